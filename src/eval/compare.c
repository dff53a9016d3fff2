/* Logits of one position, compared. Loops are written so that the compiler vectorises them; the
 * copies for AVX2 and AVX-512 are chosen by the loader (target_clones). */
#include "eval/compare.h"

#include "base/fast_exp.h"

#include <math.h>

enum { LANES = 16 };

SAMP_CLONES static float largest(const float *x, size_t n)
{
    float lane[LANES], best = -INFINITY;
    for (int l = 0; l < LANES; l++) lane[l] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    for (int l = 0; l < LANES; l++) best = lane[l] > best ? lane[l] : best;
    return best;
}

SAMP_CLONES static double exp_sum(const float *x, size_t n, float max)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += (double)samp_fast_exp(x[i + l] - max);
    for (; i < n; i++) sum += (double)samp_fast_exp(x[i] - max);
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

/* sum exp(p - max) * (p - q) */
SAMP_CLONES static double weighted_difference(const float *p, const float *q, size_t n, float max)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] +=
                (double)samp_fast_exp(p[i + l] - max) * ((double)p[i + l] - (double)q[i + l]);
    for (; i < n; i++) sum += (double)samp_fast_exp(p[i] - max) * ((double)p[i] - (double)q[i]);
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

static int32_t index_of(const float *x, size_t n, float value)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] == value) return (int32_t)i;
    return 0;
}

static double log_sum_exp(const float *logits, size_t vocab, float max)
{
    return (double)max + log(exp_sum(logits, vocab, max));
}

double samp_log_sum_exp(const float *logits, size_t vocab)
{
    return log_sum_exp(logits, vocab, largest(logits, vocab));
}

samp_position samp_score_position(const float *logits, size_t vocab, int32_t target)
{
    float max = largest(logits, vocab);
    double lse = log_sum_exp(logits, vocab, max);
    return (samp_position){(double)logits[target] - lse, index_of(logits, vocab, max)};
}

samp_comparison samp_compare_position(const float *baseline, const float *candidate, size_t vocab,
                                      int32_t target)
{
    float max_p = largest(baseline, vocab), max_q = largest(candidate, vocab);
    double sum_p = exp_sum(baseline, vocab, max_p), sum_q = exp_sum(candidate, vocab, max_q);
    double lse_p = (double)max_p + log(sum_p), lse_q = (double)max_q + log(sum_q);
    double kl = weighted_difference(baseline, candidate, vocab, max_p) / sum_p - lse_p + lse_q;
    return (samp_comparison){
        .baseline = {(double)baseline[target] - lse_p, index_of(baseline, vocab, max_p)},
        .candidate = {(double)candidate[target] - lse_q, index_of(candidate, vocab, max_q)},
        .kl = kl > 0 ? kl : 0, /* rounding can leave -1e-9 for equal logits */
    };
}

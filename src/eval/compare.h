/* Logits of one position, compared: log-probabilities, KL divergence, top-1.
 *
 * Formulas, with p the baseline and q the candidate over the vocabulary, m the maxima:
 *     lse = m + ln sum exp(x - m)            KL(p||q) = sum p (x_p - x_q) - lse_p + lse_q
 * exp in float (relative error below 2e-7), all sums in double. */
#ifndef SAMP_EVAL_COMPARE_H
#define SAMP_EVAL_COMPARE_H

#include <stddef.h>
#include <stdint.h>

typedef struct samp_position {
    double log_probability; /* of the target token, natural log */
    int32_t top;            /* id of the largest logit, lowest id of equals */
} samp_position;

/* ln sum exp of all logits: a token's log-probability is (double)logit minus this. */
double samp_log_sum_exp(const float *logits, size_t vocab);
samp_position samp_score_position(const float *logits, size_t vocab, int32_t target);

typedef struct samp_comparison {
    samp_position baseline, candidate;
    double kl; /* nats, at least 0 */
} samp_comparison;

samp_comparison samp_compare_position(const float *baseline, const float *candidate, size_t vocab,
                                      int32_t target);

#endif

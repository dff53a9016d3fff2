/* KL divergence and log-probabilities against long-double arithmetic. */
#include "base/prng.h"
#include "eval/compare.h"
#include "support/cmocka_all.h"

#include <math.h>

enum { VOCAB = 4999 }; /* not a multiple of the lanes */

static float p[VOCAB], q[VOCAB];

static long double log_sum_exp(const float *x)
{
    long double sum = 0, max = -INFINITY;
    for (int i = 0; i < VOCAB; i++) max = fmaxl(max, x[i]);
    for (int i = 0; i < VOCAB; i++) sum += expl((long double)x[i] - max);
    return max + logl(sum);
}

static void fill(uint64_t seed, double spread, double noise)
{
    samp_prng prng = {seed};
    for (int i = 0; i < VOCAB; i++) {
        p[i] = (float)(spread * samp_prng_normal(&prng));
        q[i] = (float)(p[i] + noise * samp_prng_normal(&prng));
    }
}

static void equals_long_double(void **state)
{
    (void)state;
    const double spreads[] = {0.1, 3, 30}, noises[] = {1e-3, 0.1, 5};
    for (int s = 0; s < 3; s++)
        for (int n = 0; n < 3; n++) {
            fill((uint64_t)(s * 3 + n + 1), spreads[s], noises[n]);
            long double lse_p = log_sum_exp(p), lse_q = log_sum_exp(q), kl = 0;
            for (int i = 0; i < VOCAB; i++)
                kl += expl((long double)p[i] - lse_p) *
                      (((long double)p[i] - lse_p) - ((long double)q[i] - lse_q));
            samp_comparison c = samp_compare_position(p, q, VOCAB, 17);
            assert_float_equal(c.kl, (double)kl, 1e-6 + 1e-6 * (double)kl);
            assert_float_equal(c.baseline.log_probability, (double)((long double)p[17] - lse_p),
                               2e-6);
            assert_float_equal(c.candidate.log_probability, (double)((long double)q[17] - lse_q),
                               2e-6);
            assert_float_equal(samp_score_position(q, VOCAB, 17).log_probability,
                               c.candidate.log_probability, 0);
        }
}

static void equal_logits_have_no_divergence(void **state)
{
    (void)state;
    fill(5, 4, 0);
    samp_comparison c = samp_compare_position(p, q, VOCAB, 0);
    assert_true(c.kl >= 0 && c.kl < 1e-9);
    assert_int_equal(c.baseline.top, c.candidate.top);
}

static void top_is_the_lowest_of_equals(void **state)
{
    (void)state;
    fill(6, 1, 0);
    p[100] = p[4000] = 50;
    assert_int_equal(samp_score_position(p, VOCAB, 0).top, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_long_double),
                                       cmocka_unit_test(equal_logits_have_no_divergence),
                                       cmocka_unit_test(top_is_the_lowest_of_equals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

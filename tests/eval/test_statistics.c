/* Intervals against simulation and known values. */
#include "base/prng.h"
#include "eval/statistics.h"
#include "support/cmocka_all.h"

#include <math.h>

/* In 400 simulated texts of 40 windows whose tokens share a window effect, a 95 % interval must
 * hold the true mean about 95 % of the time; an interval that took tokens as independent would hold
 * it in less than half. */
static void interval_covers_clustered_mean(void **state)
{
    (void)state;
    enum { WINDOWS = 40, TOKENS = 50, RUNS = 400 };
    samp_prng prng = {1};
    int covered = 0;
    for (int run = 0; run < RUNS; run++) {
        float values[WINDOWS * TOKENS];
        size_t starts[WINDOWS + 1];
        for (int w = 0; w < WINDOWS; w++) {
            double effect = samp_prng_normal(&prng);
            starts[w] = (size_t)w * TOKENS;
            for (int t = 0; t < TOKENS; t++)
                values[w * TOKENS + t] = (float)(3 + effect + samp_prng_normal(&prng));
        }
        starts[WINDOWS] = WINDOWS * TOKENS;
        samp_estimate e = samp_estimate_mean(values, starts, WINDOWS);
        covered += e.low <= 3 && 3 <= e.high;
    }
    assert_in_range(covered, (int)(0.91 * RUNS), (int)(0.98 * RUNS));
}

static void one_window_has_no_interval(void **state)
{
    (void)state;
    float values[] = {1, 2, 3};
    size_t starts[] = {0, 3};
    samp_estimate e = samp_estimate_mean(values, starts, 1);
    assert_true(e.value == 2 && e.low == 2 && e.high == 2);
}

static void quantiles_interpolate_like_numpy(void **state)
{
    (void)state;
    float values[] = {4, 1, 3, 2};
    assert_float_equal(samp_estimate_quantile(values, 4, 0.5).value, 2.5, 1e-12);
    assert_float_equal(samp_estimate_quantile(values, 4, 0.99).value, 3.97, 1e-6);
    float one[] = {7};
    samp_estimate e = samp_estimate_quantile(one, 1, 0.99);
    assert_true(e.value == 7 && e.low == 7 && e.high == 7);
}

/* Wilson's interval for 45 of 50: 0.7864 … 0.9565 (Brown, Cai, DasGupta 2001, formula 4). */
static void wilson_interval(void **state)
{
    (void)state;
    samp_estimate e = samp_estimate_share(45, 50);
    assert_float_equal(e.value, 0.9, 1e-12);
    assert_float_equal(e.low, 0.7864, 1e-4);
    assert_float_equal(e.high, 0.9565, 1e-4);
    assert_true(samp_estimate_share(50, 50).high <= 1.0 + 1e-12);
    assert_true(samp_estimate_share(0, 50).low >= -1e-12);
}

/* Approval of a prime minister in two surveys of the same 1,600 people (Agresti, Categorical Data
 * Analysis, table 10.1): 150 turned away, 86 came; Wald's interval there is -.059 to -.021,
 * McNemar's chi-square 17.36. Exact probabilities: scipy.stats.binomtest. */
static void paired_known_figures(void **state)
{
    (void)state;
    samp_estimate e = samp_estimate_paired(150, 86, 1600);
    assert_float_equal(e.value, -0.04, 1e-12);
    assert_float_equal(e.low, -0.05872284505, 1e-9);
    assert_float_equal(e.high, -0.02117727979, 1e-9);
    assert_float_equal(samp_mcnemar_exact(150, 86), 3.7159361395713866e-05, 1e-12);
    assert_float_equal(samp_mcnemar_exact(2, 8), 0.109375, 1e-12);
    assert_float_equal(samp_mcnemar_exact(0, 6), 0.03125, 1e-12);
    assert_float_equal(samp_mcnemar_exact(5, 5), 1, 0);
    assert_float_equal(samp_mcnemar_exact(0, 0), 1, 0);
    e = samp_estimate_paired(0, 0, 30); /* nothing changed is not nothing can change */
    assert_true(e.value == 0 && e.low < -0.08 && e.high > 0.08);
    e = samp_estimate_paired(0, 1, 1);
    assert_true(e.value == 1 && e.low >= -1 && e.high <= 1);
}

/* 2,000 pairs of models over 100 questions, 6 % lost and 3 % gained on average. */
static void paired_interval_covers(void **state)
{
    (void)state;
    enum { RUNS = 2000, QUESTIONS = 100 };
    samp_prng prng = {3};
    int covered = 0;
    for (int run = 0; run < RUNS; run++) {
        size_t lost = 0, gained = 0;
        for (int q = 0; q < QUESTIONS; q++) {
            double u = samp_prng_uniform(&prng);
            lost += u < 0.06;
            gained += u >= 0.06 && u < 0.09;
        }
        samp_estimate e = samp_estimate_paired(lost, gained, QUESTIONS);
        covered += e.low <= -0.03 && -0.03 <= e.high;
    }
    assert_in_range(covered, (int)(0.94 * RUNS), (int)(0.98 * RUNS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paired_known_figures),
                                       cmocka_unit_test(paired_interval_covers),
                                       cmocka_unit_test(interval_covers_clustered_mean),
                                       cmocka_unit_test(one_window_has_no_interval),
                                       cmocka_unit_test(quantiles_interpolate_like_numpy),
                                       cmocka_unit_test(wilson_interval)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

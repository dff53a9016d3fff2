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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(interval_covers_clustered_mean),
                                       cmocka_unit_test(one_window_has_no_interval),
                                       cmocka_unit_test(quantiles_interpolate_like_numpy),
                                       cmocka_unit_test(wilson_interval)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

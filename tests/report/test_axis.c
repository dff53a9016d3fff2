/* Axes keep every value inside, whatever the values are; ticks are round and in order. */
#include "support/cmocka_all.h"

#include "report/axis.h"

#include <float.h>
#include <math.h>

static samp_axis axis_over(double a, double b, bool logarithmic)
{
    samp_range range = {0};
    samp_range_add(&range, a, logarithmic);
    samp_range_add(&range, b, logarithmic);
    return samp_axis_make(&range, logarithmic, 100, 500);
}

static void ticks_are(const samp_axis *axis, size_t n, const double *expected)
{
    double ticks[SAMP_AXIS_TICKS_MAX];
    assert_int_equal(samp_axis_ticks(axis, ticks), n);
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(ticks[i] - expected[i]) <= 1e-9 * fabs(expected[i]));
}

static void round_ticks(void **state)
{
    (void)state;
    samp_axis linear = axis_over(76e6, 269e6, false);
    ticks_are(&linear, 4, (const double[]){1e8, 1.5e8, 2e8, 2.5e8});
    samp_axis narrow = axis_over(0.02, 0.08, true);
    ticks_are(&narrow, 2, (const double[]){0.02, 0.05});
    samp_axis wide = axis_over(1e-6, 0.5, true);
    ticks_are(&wide, 7, (const double[]){1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1});
}

static void values_lie_where_they_should(void **state)
{
    (void)state;
    samp_axis axis = {1, 100, 300, 100, true}; /* points up */
    assert_float_equal(samp_axis_at(&axis, 1), 300, 1e-3);
    assert_float_equal(samp_axis_at(&axis, 10), 200, 1e-3);
    assert_float_equal(samp_axis_at(&axis, 1e9), 100, 1e-3);
    assert_float_equal(samp_axis_at(&axis, 0), 300, 1e-3);
    assert_float_equal(samp_axis_at(&axis, -3), 300, 1e-3);
    assert_float_equal(samp_axis_at(&axis, NAN), 300, 1e-3);
}

static void any_values_give_an_axis(void **state)
{
    (void)state;
    static const double odd[] = {0,       -1,       1,       NAN,    INFINITY, -INFINITY,
                                 DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, 1e-300,   1e300};
    enum { N = sizeof odd / sizeof *odd };
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
                samp_axis axis = axis_over(odd[i], odd[j], logarithmic);
                double ticks[SAMP_AXIS_TICKS_MAX];
                size_t n = samp_axis_ticks(&axis, ticks);
                assert_true(axis.low < axis.high && isfinite(axis.low) && isfinite(axis.high));
                assert_true(n <= SAMP_AXIS_TICKS_MAX);
                for (size_t t = 1; t < n; t++) assert_true(ticks[t] > ticks[t - 1]);
                for (size_t k = 0; k < N; k++) {
                    double at = samp_axis_at(&axis, odd[k]);
                    assert_true(at >= 100 && at <= 500);
                }
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_ticks),
        cmocka_unit_test(values_lie_where_they_should),
        cmocka_unit_test(any_values_give_an_axis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

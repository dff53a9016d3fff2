/* The scalar definitions of backend/numerics.h: accuracy against the C library in double, rounding,
 * order of sums, and what they do with zeros, tiny values, infinities and NaN. Backends are compared
 * with these, so an error here would be everybody's. */
#include "backend/numerics.h"
#include "base/prng.h"
#include "support/cmocka_all.h"

#include <string.h>

static void test_exp_accuracy(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = -87.29; x <= 88; x += 0.000731) {
        float f = (float)x;
        double exact = exp((double)f);
        worst = fmax(worst, fabs((double)samp_exp(f) - exact) / exact);
    }
    if (!(worst < 2e-7)) fail_msg("relative error %g", worst);
}

static void test_exp_ends(void **state)
{
    (void)state;
    assert_true(samp_exp(0) == 1);
    assert_true(samp_exp(-0.0f) == 1);
    assert_true(samp_exp(-INFINITY) == 0);
    assert_true(samp_exp(-1000) == 0);
    assert_true(samp_exp(-87.3f) == 0);
    assert_true(samp_exp(NAN) == 0);
    assert_true(samp_exp(INFINITY) == samp_exp(88));
    assert_true(isfinite(samp_exp(1000)));
    float before = 0;
    for (float x = -88; x < 1; x += 0.01f) { /* never falls */
        assert_true(samp_exp(x) >= before);
        before = samp_exp(x);
    }
}

static void test_silu(void **state)
{
    (void)state;
    for (float g = -60; g < 60; g += 0.37f) {
        double exact = (double)g / (1 + exp(-(double)g)) * 3;
        assert_true(fabs((double)samp_silu(g, 3) - exact) <= 1e-6 * fabs(exact) + 1e-30);
    }
    assert_true(samp_silu(0, 5) == 0);
    assert_true(isfinite(samp_silu(-1e30f, 1)));
    assert_true(isnan(samp_silu(NAN, 1)));
}

/* Lanes are added in halves: 2^24 swallows a 1 added to it alone, not two 1s added up before. */
static void test_sum_order(void **state)
{
    (void)state;
    float lane[SAMP_LANES] = {0};
    lane[0] = 16777216;
    lane[4] = 1; /* meets lane 12's 1 first: 2, which counts */
    lane[12] = 1;
    assert_true(samp_lane_sum(lane) == 16777218);
    lane[12] = 0;
    lane[8] = 1; /* each meets lane 0's number alone: both are lost */
    assert_true(samp_lane_sum(lane) == 16777216);

    float a[40], b[40]; /* elements 16 apart share a lane */
    for (int i = 0; i < 40; i++) a[i] = 0, b[i] = 1;
    a[3] = 16777216;
    a[19] = 1;
    a[35] = -16777216;
    assert_true(samp_dot(a, b, 40) == 0);
    a[35] = 0;
    a[36] = -16777216;
    assert_true(samp_dot(a, b, 40) == 0);
    assert_true(samp_dot(a, b, 0) == 0);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    float x[50], gain[50], y[50];
    samp_prng prng = {8};
    double squares = 0;
    for (int i = 0; i < 50; i++) {
        x[i] = (float)samp_prng_normal(&prng);
        gain[i] = (float)samp_prng_normal(&prng);
        squares += (double)x[i] * (double)x[i];
    }
    samp_rmsnorm(x, gain, 50, 1e-5f, y);
    for (int i = 0; i < 50; i++) {
        double exact = (double)x[i] / sqrt(squares / 50 + 1e-5) * (double)gain[i];
        assert_true(fabs((double)y[i] - exact) < 1e-6 * fabs(exact) + 1e-12);
    }
    memset(x, 0, sizeof x);
    samp_rmsnorm(x, gain, 50, 1e-5f, y);
    for (int i = 0; i < 50; i++) assert_true(y[i] == 0);
}

static void test_input_quantize(void **state)
{
    (void)state;
    static const int maxima[] = {SAMP_A8_MAX, SAMP_A16_MAX};
    samp_prng prng = {9};
    float x[64];
    int16_t q[64];
    int32_t sum;
    for (int round = 0; round < 400; round++) {
        size_t n = 1 + samp_prng_below(&prng, 64);
        int n_max = maxima[round % 2], total = 0, largest = 0;
        float m = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)(samp_prng_normal(&prng) * pow(10, round % 37 - 18));
            m = fmaxf(m, fabsf(x[i]));
        }
        float scale = samp_input_quantize(x, n, n_max, q, &sum);
        assert_true(scale == m / (float)n_max);
        for (size_t i = 0; i < n; i++) {
            assert_true(fabs((double)q[i] * (double)scale - (double)x[i]) <= 0.501 * (double)scale);
            total += q[i];
            largest = q[i] > largest ? q[i] : -q[i] > largest ? -q[i] : largest;
        }
        assert_int_equal(total, sum);
        assert_int_equal(largest, n_max);
    }
    const float even[] = {127, 0.5f, 1.5f, -2.5f}; /* halves go to even */
    samp_input_quantize(even, 4, SAMP_A8_MAX, q, &sum);
    assert_true(q[1] == 0 && q[2] == 2 && q[3] == -2);
}

static void test_input_quantize_ends(void **state)
{
    (void)state;
    int16_t q[3] = {9, 9, 9};
    int32_t sum = 9;
    const float zeros[] = {0, -0.0f, 1e-31f}, infinite[] = {1, INFINITY, 2}, nan[] = {NAN, 1, 2};
    assert_true(samp_input_quantize(zeros, 3, SAMP_A16_MAX, q, &sum) == 0);
    assert_true(q[0] == 0 && q[1] == 0 && q[2] == 0 && sum == 0);
    assert_true(isnan(samp_input_quantize(infinite, 3, SAMP_A16_MAX, q, &sum)));
    assert_true(
        isnan(samp_input_quantize(nan, 3, SAMP_A16_MAX, q, &sum))); /* so that the logits tell */
    const float huge[] = {3e38f, -3e38f, 1};
    assert_true(isfinite(samp_input_quantize(huge, 3, SAMP_A16_MAX, q, &sum)));
    assert_true(q[0] == SAMP_A16_MAX && q[1] == -SAMP_A16_MAX && q[2] == 0);
}

static void test_kv_quantize(void **state)
{
    (void)state;
    samp_prng prng = {10};
    float x[128];
    int8_t q[128];
    for (int i = 0; i < 128; i++) x[i] = (float)samp_prng_normal(&prng);
    float scale = samp_kv_quantize(x, 128, q);
    for (int i = 0; i < 128; i++)
        assert_true(fabs((double)q[i] * (double)scale - (double)x[i]) <= 0.501 * (double)scale);
    memset(x, 0, sizeof x);
    assert_true(samp_kv_quantize(x, 128, q) == 0);
    for (int i = 0; i < 128; i++) assert_int_equal(q[i], 0);
}

static void test_rope_pair(void **state)
{
    (void)state;
    float a = 3, b = -2;
    samp_rope_pair(&a, &b, 0, 1); /* a quarter turn */
    assert_true(a == 2 && b == 3);
    samp_rope_pair(&a, &b, 1, 0);
    assert_true(a == 2 && b == 3);
    float c = cosf(0.7f), s = sinf(0.7f);
    samp_rope_pair(&a, &b, c, s);
    assert_true(fabs((double)a - (2 * cos(0.7) - 3 * sin(0.7))) < 1e-6);
    assert_true(fabs((double)b - (3 * cos(0.7) + 2 * sin(0.7))) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_accuracy),
        cmocka_unit_test(test_exp_ends),
        cmocka_unit_test(test_silu),
        cmocka_unit_test(test_sum_order),
        cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_input_quantize),
        cmocka_unit_test(test_input_quantize_ends),
        cmocka_unit_test(test_kv_quantize),
        cmocka_unit_test(test_rope_pair),
    };
    return cmocka_run_group_tests_name("backend/numerics", tests, NULL, NULL);
}

/* The scalar definitions of backend/numerics.h themselves: how accurate samp_exp is, that quantized
 * inputs split into bytes, that sums are what they claim. SIMD is compared with them in tests/cpu.
 */
#include "support/cmocka_all.h"

#include "backend/numerics.h"
#include "base/prng.h"

#include <stdio.h>

/* Every 976th float from -87.3 to 88: two million of them. */
static void test_exp_accuracy(void **state)
{
    (void)state;
    double worst = 0;
    float at = 0;
    const float ends[] = {88.0f, -87.3f};
    for (int side = 0; side < 2; side++)
        for (uint32_t bits = samp_float_bits(side ? -0.0f : 0.0f);
             bits < samp_float_bits(ends[side]); bits += 976) {
            float x = samp_bits_float(bits);
            double exact = exp((double)x), error = fabs(samp_exp(x) - exact) / exact;
            if (error > worst) worst = error, at = x;
        }
    printf("samp_exp: largest relative error %.3g at %.9g\n", worst, (double)at);
    assert_true(worst < 2e-7);
}

static void test_exp_special(void **state)
{
    (void)state;
    assert_true(samp_exp(0.0f) == 1.0f && samp_exp(-0.0f) == 1.0f);
    assert_true(samp_exp(-87.3f) == 0.0f && samp_exp(-1000.0f) == 0.0f);
    assert_true(samp_exp(-INFINITY) == 0.0f && samp_exp(NAN) == 0.0f);
    assert_true(samp_exp(nextafterf(-87.3f, 0)) >= 0x1p-126f); /* the smallest result is normal */
    assert_true(samp_exp(89.0f) == samp_exp(88.0f) && samp_exp(INFINITY) == samp_exp(88.0f));
    assert_true(isfinite(samp_exp(88.0f)));
    for (uint32_t i = 1; i < 100; i++) { /* around a tiny argument */
        assert_true(samp_exp(samp_bits_float(i)) == 1.0f);
        assert_true(samp_exp(-samp_bits_float(i)) == 1.0f);
    }
}

/* Softmax needs exp to keep order at least near 0, where the largest scores are. */
static void test_exp_monotonic(void **state)
{
    (void)state;
    float before = samp_exp(-1.0f), x = -1.0f;
    while (x < -1e-9f) {
        for (int i = 0; i < 7; i++) x = nextafterf(x, 0);
        float now = samp_exp(x);
        if (now < before)
            fail_msg("samp_exp(%a) = %a is below its predecessor %a", (double)x, (double)now,
                     (double)before);
        assert_true(now <= 1.0f);
        before = now;
    }
}

static void test_silu(void **state)
{
    (void)state;
    for (double g = -100; g <= 100; g += 0.01) {
        double x = (float)g, exact = x / (1 + exp(-x)) * 3, got = samp_silu((float)g, 3);
        if (x > -87) assert_true(fabs(got - exact) <= 4e-7 * fabs(exact));
        assert_true(isfinite(got));
    }
}

static void check_input(const float *x, size_t n, int n_max)
{
    int16_t q[SAMP_INPUT_GROUP];
    int32_t sum, total = 0;
    float m = 0, scale = samp_input_quantize(x, n, n_max, q, &sum);
    for (size_t i = 0; i < n; i++) m = fmaxf(m, fabsf(x[i]));
    for (size_t i = 0; i < n; i++) {
        int lo = (int8_t)(q[i] & 0xff), hi = (q[i] - lo) / 256;
        assert_in_range(hi + 127, 0, 254); /* q = 256*hi + lo, both int8, hi never -128 */
        assert_int_equal(256 * hi + lo, q[i]);
        assert_true(q[i] >= -n_max && q[i] <= n_max);
        assert_true(fabsf((float)q[i] * scale - x[i]) <= 0.5001f * m / (float)n_max + 1e-6f * m);
        total += q[i];
    }
    assert_int_equal(total, sum);
}

static void test_input_quantize(void **state)
{
    (void)state;
    samp_prng prng = {7};
    float x[SAMP_INPUT_GROUP];
    for (int round = 0; round < 20000; round++) {
        double size = pow(10, samp_prng_uniform(&prng) * 60 - 28);
        size_t n = 1 + samp_prng_below(&prng, SAMP_INPUT_GROUP);
        for (size_t i = 0; i < n; i++) x[i] = (float)(size * samp_prng_normal(&prng));
        check_input(x, n, SAMP_A8_MAX);
        check_input(x, n, SAMP_A16_MAX);
    }
}

static void test_quantize_edges(void **state)
{
    (void)state;
    float x[4] = {9e-31f, -9e-31f, 0, 0};
    int16_t q[4];
    int8_t k[4];
    int32_t sum = 1;
    assert_true(samp_input_quantize(x, 4, SAMP_A8_MAX, q, &sum) == 0 && sum == 0 && q[0] == 0);
    assert_true(samp_kv_quantize(x, 4, k) == 0 && k[0] == 0 && k[1] == 0);
    x[2] = -2;
    assert_true(samp_kv_quantize(x, 4, k) == 2.0f / 127 && k[2] == -127);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        x[1] = bad[i];
        assert_true(isnan(samp_input_quantize(x, 4, SAMP_A16_MAX, q, &sum)) && q[2] == 0 &&
                    sum == 0);
        assert_true(isnan(samp_kv_quantize(x, 4, k)) && k[2] == 0);
    }
}

/* The lane order written out by hand for n = 1 … 200, and closeness to the exact sum. */
static void test_dot(void **state)
{
    (void)state;
    samp_prng prng = {9};
    float a[200], b[200];
    for (size_t n = 1; n <= 200; n++) {
        double exact = 0, size = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = (float)samp_prng_normal(&prng);
            b[i] = (float)samp_prng_normal(&prng);
            exact += (double)a[i] * b[i];
            size += fabs((double)a[i] * b[i]);
        }
        float lane[16];
        for (size_t l = 0; l < 16; l++) {
            lane[l] = 0;
            for (size_t i = l; i < n; i += 16) lane[l] = fmaf(a[i], b[i], lane[l]);
        }
#define PAIR(i) (lane[i] + lane[(i) + 8])
#define QUAD(i) (PAIR(i) + PAIR((i) + 4))
        float sum = (QUAD(0) + QUAD(2)) + (QUAD(1) + QUAD(3));
        assert_true(sum == samp_dot(a, b, n));
        assert_true(fabs(sum - exact) <= 1e-6 * size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_accuracy),
        cmocka_unit_test(test_exp_special),
        cmocka_unit_test(test_exp_monotonic),
        cmocka_unit_test(test_silu),
        cmocka_unit_test(test_input_quantize),
        cmocka_unit_test(test_quantize_edges),
        cmocka_unit_test(test_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

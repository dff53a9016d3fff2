/* base/half.h against an independent computation: every pattern of fp16, bf16 and E4M3 through its
 * fields in double, and for every two neighbours their midpoint (a tie, to even) and the floats on
 * both sides of it. */
#include "support/cmocka_all.h"

#include "base/half.h"
#include "base/prng.h"
#include "format/convert.h"

#include <float.h>
#include <math.h>

/* A small float type by its fields. */
typedef struct small_type {
    int exponent_bits, fraction_bits, bias;
    uint32_t last; /* the largest finite magnitude's code */
} small_type;

static const small_type fp16 = {5, 10, 15, 0x7bff}, bf16 = {8, 7, 127, 0x7f7f},
                        e4m3 = {4, 3, 7, 0x7e};

static double value_of(const small_type *type, uint32_t magnitude)
{
    int exponent = (int)(magnitude >> type->fraction_bits);
    uint32_t fraction = magnitude & ((1u << type->fraction_bits) - 1);
    if (exponent == 0) return ldexp(fraction, 1 - type->bias - type->fraction_bits);
    return ldexp((double)(fraction + (1u << type->fraction_bits)),
                 exponent - type->bias - type->fraction_bits);
}

typedef float decode_function(uint32_t code);
typedef uint32_t encode_function(float x);

static float decode_fp16(uint32_t code) { return samp_fp16_to_float((uint16_t)code); }
static float decode_bf16(uint32_t code) { return samp_bf16_to_float((uint16_t)code); }
static float decode_e4m3(uint32_t code) { return samp_e4m3_to_float((uint8_t)code); }
static uint32_t encode_fp16(float x) { return samp_float_to_fp16(x); }
static uint32_t encode_bf16(float x) { return samp_float_to_bf16(x); }
static uint32_t encode_e4m3(float x) { return samp_float_to_e4m3(x); }

static void check_type(const small_type *type, decode_function *decode, encode_function *encode)
{
    uint32_t sign = 1u << (type->exponent_bits + type->fraction_bits);
    for (uint32_t code = 0; code <= type->last; code++) {
        double want = value_of(type, code);
        assert_true((double)decode(code) == want);
        assert_true((double)decode(code | sign) == -want);
        assert_int_equal(signbit(decode(code | sign)) != 0, 1);
        assert_int_equal(encode((float)want), code);
        assert_int_equal(encode(-(float)want), code | sign);
        if (code == type->last) continue;
        /* the midpoint is a float: these types have at least one bit less */
        float tie = (float)((want + value_of(type, code + 1)) / 2);
        uint32_t even = code % 2 ? code + 1 : code;
        assert_int_equal(encode(tie), even);
        assert_int_equal(encode(-tie), even | sign);
        assert_int_equal(encode(nextafterf(tie, 0)), code);
        assert_int_equal(encode(nextafterf(tie, INFINITY)), code + 1);
    }
}

static void test_every_value(void **unused)
{
    (void)unused;
    check_type(&fp16, decode_fp16, encode_fp16);
    check_type(&bf16, decode_bf16, encode_bf16);
    check_type(&e4m3, decode_e4m3, encode_e4m3);
}

static void test_beyond(void **unused)
{
    (void)unused;
    /* fp16: from half a step above 65504 on, infinity */
    assert_int_equal(samp_float_to_fp16(65519.996f), 0x7bff);
    assert_int_equal(samp_float_to_fp16(65520), 0x7c00);
    assert_int_equal(samp_float_to_fp16(-FLT_MAX), 0xfc00);
    assert_int_equal(samp_float_to_fp16(INFINITY), 0x7c00);
    assert_int_equal(samp_float_to_fp16(0x1p-25f), 0);
    assert_int_equal(samp_float_to_fp16(nextafterf(0x1p-25f, 1)), 1);
    assert_int_equal(samp_float_to_bf16(FLT_MAX), 0x7f80);
    assert_int_equal(samp_float_to_bf16(INFINITY), 0x7f80);
    /* E4M3 saturates */
    assert_int_equal(samp_float_to_e4m3(449), 0x7e);
    assert_int_equal(samp_float_to_e4m3(-1e30f), 0xfe);
    assert_int_equal(samp_float_to_e4m3(INFINITY), 0x7e);
    assert_int_equal(samp_float_to_e4m3(0x1p-10f), 0);
    assert_int_equal(samp_float_to_e4m3(nextafterf(0x1p-10f, 1)), 1);
    assert_true(isinf(samp_fp16_to_float(0x7c00)) && samp_fp16_to_float(0xfc00) < 0);
}

static void test_nan(void **unused)
{
    (void)unused;
    for (uint32_t code = 0x7c01; code < 0x8000; code++) {
        assert_true(isnan(samp_fp16_to_float((uint16_t)code)));
        uint32_t back = samp_float_to_fp16(samp_fp16_to_float((uint16_t)code));
        assert_int_equal(back, code | 0x200); /* quiet, payload kept */
    }
    assert_true(isnan(samp_e4m3_to_float(0x7f)) && isnan(samp_e4m3_to_float(0xff)));
    samp_prng prng = {1};
    for (int i = 0; i < 10000; i++) {
        uint32_t bits = (uint32_t)samp_prng_next(&prng) | 0x7f800001;
        float x = samp_bits_float(bits);
        assert_true(isnan(samp_fp16_to_float(samp_float_to_fp16(x))));
        assert_true(isnan(samp_bf16_to_float(samp_float_to_bf16(x))));
        assert_int_equal(samp_float_to_e4m3(x), (bits >> 24 & 0x80) | 0x7f);
    }
}

/* Any float goes to a nearest value: no other code is closer. */
static void test_random(void **unused)
{
    (void)unused;
    samp_prng prng = {2};
    for (int i = 0; i < 1000000; i++) {
        float x = fabsf(samp_bits_float((uint32_t)samp_prng_next(&prng) & 0x7fffffff));
        if (!(x < 448)) continue;
        uint32_t code = samp_float_to_e4m3(x);
        double distance = fabs((double)x - value_of(&e4m3, code));
        if (code > 0) assert_true(distance <= fabs((double)x - value_of(&e4m3, code - 1)));
        if (code < 0x7e) assert_true(distance <= fabs((double)x - value_of(&e4m3, code + 1)));
        code = samp_float_to_fp16(x);
        distance = fabs((double)x - value_of(&fp16, code));
        if (code > 0) assert_true(distance <= fabs((double)x - value_of(&fp16, code - 1)));
        assert_true(distance <= fabs((double)x - value_of(&fp16, code + 1)));
    }
}

/* The largest of a few values of either sign is found wherever it is; infinity and NaN are larger
 * than every number. */
static void test_magnitude(void **unused)
{
    (void)unused;
    enum { N = 77 };
    float values[N];
    uint16_t halves[N], brains[N];
    for (int i = 0; i < N; i++) {
        values[i] = (i % 2 ? -0.25f : 0.125f) * (float)(i % 5);
        halves[i] = samp_float_to_fp16(values[i]);
        brains[i] = samp_float_to_bf16(values[i]);
    }
    static const float largest[] = {1.5f, -2, 65504, -INFINITY, NAN};
    for (int at = 0; at < N; at++)
        for (int k = 0; k < 5; k++) {
            float before = values[at];
            values[at] = largest[k];
            halves[at] = samp_float_to_fp16(largest[k]);
            brains[at] = samp_float_to_bf16(largest[k]);
            uint32_t bits = samp_float_bits(largest[k]) & 0x7fffffff;
            assert_int_equal(samp_magnitude_bits(SAMP_F32, values, N), bits);
            assert_int_equal(samp_magnitude_bits(SAMP_F16, halves, N), bits);
            uint32_t rounded = samp_float_bits(samp_bf16_to_float(brains[at])) & 0x7fffffff;
            assert_int_equal(samp_magnitude_bits(SAMP_BF16, brains, N), rounded);
            values[at] = before;
            halves[at] = samp_float_to_fp16(before);
            brains[at] = samp_float_to_bf16(before);
        }
    assert_int_equal(samp_magnitude_bits(SAMP_F32, values, 0), 0);
    assert_int_equal(samp_magnitude_bits(SAMP_BF16, brains, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_value),
                                       cmocka_unit_test(test_beyond), cmocka_unit_test(test_nan),
                                       cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_magnitude)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The vector functions against their scalar definitions, bit for bit, at every level of this host:
 * random and adversarial values, every length around the vector widths, unaligned pointers, and no
 * byte written past the end. */
#include "support/cmocka_all.h"

#include "backend/cpu/levels.h"
#include "backend/numerics.h"
#include "base/prng.h"

#include <float.h>

enum { N_MAX = 200, ROOM = N_MAX + 40, FENCE = 0xA5 };

static float a[ROOM], b[ROOM], expected[ROOM], got[ROOM];

/* Every level once; `name` of the level is printed when an assertion fails. */
#define FOR_LEVELS(vector)                                                                         \
    for (int level = 0; level <= (int)samp_cpu_host(); level++)                                    \
        for (const samp__vector *vector = samp__levels[level].vector; vector; vector = NULL)

static float odd_value(samp_prng *prng)
{
    static const float list[] = {0,         -0.0f,   1,     -1,       0x1p-149f, -0x1p-149f,
                                 0x1p-126f, 0x1p24f, 65504, 65519.9f, 65520,     1e-30f,
                                 9.9e-31f,  127,     1e30f, -1e30f,   FLT_MAX,   0x1p-24f,
                                 0x1p-25f,  88.5f,   -87.4f};
    return list[samp_prng_below(prng, sizeof list / sizeof *list)];
}

/* kind 0: normal; 1: all sizes; 2: odd values among normal ones; 3: zero. */
static void fill(samp_prng *prng, float *x, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        double value = samp_prng_normal(prng);
        if (kind == 1) value *= pow(2, (double)samp_prng_below(prng, 200) - 100);
        x[i] = kind == 3 ? 0 : (float)value;
        if (kind == 2 && samp_prng_below(prng, 3) == 0) x[i] = odd_value(prng);
    }
}

static void assert_floats(const float *x, const float *y, size_t n, const char *what, int level)
{
    for (size_t i = 0; i < n; i++)
        if (samp_float_bits(x[i]) != samp_float_bits(y[i]) && !(isnan(x[i]) && isnan(y[i])))
            fail_msg("%s at level %s, n %zu, element %zu: %a, expected %a", what,
                     samp_cpu_name((samp_cpu_level)level), n, i, (double)x[i], (double)y[i]);
}

static void assert_fence(const void *end)
{
    for (int i = 0; i < 64; i++) assert_int_equal(((const unsigned char *)end)[i], FENCE);
}

static void test_dot_and_norm(void **state)
{
    (void)state;
    samp_prng prng = {1};
    FOR_LEVELS(vector)
    {
        for (size_t n = 0; n <= N_MAX; n++) {
            const float *x = a + n % 5, *y = b + n % 3;
            fill(&prng, a, ROOM, (int)(n % 4));
            fill(&prng, b, ROOM, (int)(n % 4));
            float dot = vector->dot(x, y, n), plain = samp_dot(x, y, n);
            assert_floats(&dot, &plain, 1, "dot", level);
            if (!n) continue;
            memset(got, FENCE, sizeof got);
            samp_rmsnorm(x, y, n, 1e-5f, expected);
            vector->rmsnorm(x, y, n, 1e-5f, got);
            assert_floats(got, expected, n, "rmsnorm", level);
            assert_fence(got + n);
        }
    }
}

/* A lane that has only -0 keeps it: the sum's sign of zero must not depend on the length's
 * remainder. */
static void test_dot_sign_of_zero(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 64; n++) {
        for (size_t i = 0; i < n; i++) a[i] = 0x1p-149f, b[i] = -0x1p-149f;
        float plain = samp_dot(a, b, n);
        FOR_LEVELS(vector)
        {
            float dot = vector->dot(a, b, n);
            assert_int_equal(samp_float_bits(dot), samp_float_bits(plain));
        }
    }
}

static void test_elementwise(void **state)
{
    (void)state;
    samp_prng prng = {2};
    FOR_LEVELS(vector)
    {
        for (size_t n = 0; n <= N_MAX; n++) {
            fill(&prng, a, ROOM, (int)(n % 4));
            fill(&prng, b, ROOM, (int)(n % 3));
            memset(got, FENCE, sizeof got);
            for (size_t i = 0; i < n; i++) expected[i] = samp_silu(a[i + 1], b[i]);
            vector->silu(a + 1, b, n, got);
            assert_floats(got, expected, n, "silu", level);
            assert_fence(got + n);
            for (size_t i = 0; i < n; i++) expected[i] = samp_exp(40 * a[i]);
            for (size_t i = 0; i < n; i++) b[i] = 40 * a[i];
            vector->exp(b, n, got);
            assert_floats(got, expected, n, "exp", level);
            assert_fence(got + n);
            for (size_t i = 0; i < n; i++) expected[i] = a[i] + b[i];
            vector->add(a, b, n, b);
            assert_floats(b, expected, n, "add", level);
        }
    }
}

static void test_exp_edges(void **state)
{
    (void)state;
    const float edges[] = {0,
                           -0.0f,
                           -87.3f,
                           nextafterf(-87.3f, 0),
                           nextafterf(-87.3f, -88),
                           -87.25f,
                           88,
                           89,
                           1e30f,
                           -1e30f,
                           INFINITY,
                           -INFINITY,
                           NAN,
                           0x1p-149f,
                           -0x1p-149f,
                           0.34657359f,
                           -0.34657359f};
    size_t n = sizeof edges / sizeof *edges;
    for (size_t i = 0; i < n; i++) expected[i] = samp_exp(edges[i]);
    FOR_LEVELS(vector)
    {
        vector->exp(edges, n, got);
        assert_memory_equal(got, expected, n * sizeof *got);
    }
}

static void check_quantize(const samp__vector *vector, size_t n, int level)
{
    int16_t q[SAMP_INPUT_GROUP + 32], plain[SAMP_INPUT_GROUP];
    int8_t k[ROOM + 64], plain_k[ROOM];
    for (int n_max = SAMP_A8_MAX; n <= SAMP_INPUT_GROUP; n_max = SAMP_A16_MAX) {
        int32_t sum, plain_sum;
        memset(q, FENCE, sizeof q);
        float scale = vector->input_quantize(a + 1, n, n_max, q, &sum);
        float plain_scale = samp_input_quantize(a + 1, n, n_max, plain, &plain_sum);
        assert_floats(&scale, &plain_scale, 1, "input scale", level);
        assert_memory_equal(q, plain, n * sizeof *q);
        assert_int_equal(sum, plain_sum);
        assert_fence(q + n);
        if (n_max == SAMP_A16_MAX) break;
    }
    memset(k, FENCE, sizeof k);
    float scale = vector->kv_quantize(a, n, k), plain_scale = samp_kv_quantize(a, n, plain_k);
    assert_floats(&scale, &plain_scale, 1, "kv scale", level);
    assert_memory_equal(k, plain_k, n);
    assert_fence(k + n);
}

static void test_quantize(void **state)
{
    (void)state;
    samp_prng prng = {3};
    const float poison[] = {NAN, -NAN, INFINITY, -INFINITY, 1e-30f, 9.99e-31f, FLT_MAX};
    FOR_LEVELS(vector)
    {
        for (size_t n = 1; n <= N_MAX; n++)
            for (int kind = 0; kind < 4; kind++) {
                fill(&prng, a, ROOM, kind);
                check_quantize(vector, n, level);
                /* rounding to even: halves of the step */
                for (size_t i = 0; i < n; i++)
                    a[i] = (float)((int)samp_prng_below(&prng, 509) - 254) * 0.5f;
                a[0] = 127;
                check_quantize(vector, n, level);
                for (size_t i = 0; i < sizeof poison / sizeof *poison && kind == 3; i++) {
                    a[1 + samp_prng_below(&prng, n)] = poison[i];
                    check_quantize(vector, n, level);
                    fill(&prng, a, ROOM, (int)(n % 2) * 3);
                }
            }
    }
}

/* All 65,536 halves there and back; all floats around every rounding boundary of a half. */
static void test_fp16(void **state)
{
    (void)state;
    static uint16_t halves[65536], back[65536];
    static float wide[65536], near[65536];
    for (uint32_t h = 0; h < 65536; h++) halves[h] = (uint16_t)h;
    FOR_LEVELS(vector)
    {
        vector->from_fp16(halves, 65536, wide);
        for (uint32_t h = 0; h < 65536; h++)
            assert_int_equal(samp_float_bits(wide[h]),
                             samp_float_bits(samp_fp16_to_float((uint16_t)h)));
        for (int step = -1; step <= 1; step++) {
            for (uint32_t h = 0; h < 65536;
                 h++) { /* half way to the next half, and its neighbours */
                float half_way = isnan(wide[h])
                                     ? wide[h]
                                     : 0.5f * (wide[h] + samp_fp16_to_float((uint16_t)(h ^ 1)));
                near[h] = step ? nextafterf(half_way, step * INFINITY) : half_way;
            }
            vector->to_fp16(near, 65536, back);
            for (uint32_t h = 0; h < 65536; h++)
                assert_int_equal(back[h], samp_float_to_fp16(near[h]));
        }
        for (size_t n = 0; n < 40; n++) {
            memset(back, FENCE, 2 * ROOM);
            vector->to_fp16(wide + 0x3c01, n, back);
            assert_memory_equal(back, halves + 0x3c01, 2 * n);
            assert_fence(back + n);
        }
        vector->from_bf16(halves, 65535, wide);
        for (uint32_t h = 0; h < 65535; h++)
            assert_int_equal(samp_float_bits(wide[h]),
                             samp_float_bits(samp_bf16_to_float((uint16_t)h)));
    }
}

static void test_rope(void **state)
{
    (void)state;
    samp_prng prng = {4};
    FOR_LEVELS(vector)
    {
        for (size_t dim = 2; dim <= N_MAX; dim += 2) {
            fill(&prng, a, ROOM, (int)(dim / 2 % 3));
            fill(&prng, b, ROOM, 0); /* cos, sin */
            memcpy(expected, a, sizeof a);
            for (size_t i = 0; i < dim / 2; i++)
                samp_rope_pair(expected + i, expected + dim / 2 + i, b[2 * i], b[2 * i + 1]);
            vector->rope(a, dim, b);
            assert_floats(a, expected, ROOM, "rope", level);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot_and_norm), cmocka_unit_test(test_dot_sign_of_zero),
        cmocka_unit_test(test_elementwise),  cmocka_unit_test(test_exp_edges),
        cmocka_unit_test(test_quantize),     cmocka_unit_test(test_fp16),
        cmocka_unit_test(test_rope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

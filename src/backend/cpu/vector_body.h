/* The vector functions of vector.h, once, over the lanes of vector_lanes.h; included by
 * vector_scalar.c, vector_avx2.c, vector_avx512.c and vector_neon.c, which export the table. The
 * scalar twin of each is in numerics.h. */
#ifndef SAMP_CPU_VECTOR_BODY_H
#define SAMP_CPU_VECTOR_BODY_H

#include "backend/cpu/levels.h"
#include "backend/cpu/vector_lanes.h"

static float vector_dot(const float *a, const float *b, size_t n)
{
    lanes sum = lanes_set(0);
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES)
        sum = lanes_fma(lanes_load(a + i), lanes_load(b + i), sum);
    int rest = (int)(n - i);
    if (rest) { /* the other lanes keep their sum, even its sign of zero */
        lanes product = lanes_fma(lanes_load_n(a + i, rest), lanes_load_n(b + i, rest), sum);
        sum = lanes_first(product, sum, rest);
    }
    return lanes_sum(sum);
}

static void vector_rmsnorm(const float *x, const float *gain, size_t dim, float eps, float *y)
{
    lanes r = lanes_set(1.0f / sqrtf(vector_dot(x, x, dim) / (float)dim + eps));
    size_t i = 0;
    for (; i + SAMP_LANES <= dim; i += SAMP_LANES)
        lanes_store(y + i, lanes_mul(lanes_mul(lanes_load(x + i), r), lanes_load(gain + i)));
    int rest = (int)(dim - i);
    if (rest)
        lanes_store_n(
            y + i, lanes_mul(lanes_mul(lanes_load_n(x + i, rest), r), lanes_load_n(gain + i, rest)),
            rest);
}

SAMP__INLINE lanes silu(lanes g, lanes u)
{
    return lanes_mul(lanes_div(g, lanes_add(lanes_set(1.0f), lanes_exp(lanes_neg(g)))), u);
}

static void vector_silu(const float *g, const float *u, size_t n, float *y)
{
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES)
        lanes_store(y + i, silu(lanes_load(g + i), lanes_load(u + i)));
    int rest = (int)(n - i);
    if (rest)
        lanes_store_n(y + i, silu(lanes_load_n(g + i, rest), lanes_load_n(u + i, rest)), rest);
}

static void vector_exp(const float *x, size_t n, float *y)
{
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES) lanes_store(y + i, lanes_exp(lanes_load(x + i)));
    int rest = (int)(n - i);
    if (rest) lanes_store_n(y + i, lanes_exp(lanes_load_n(x + i, rest)), rest);
}

static void vector_add(const float *a, const float *b, size_t n, float *y)
{
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES)
        lanes_store(y + i, lanes_add(lanes_load(a + i), lanes_load(b + i)));
    int rest = (int)(n - i);
    if (rest)
        lanes_store_n(y + i, lanes_add(lanes_load_n(a + i, rest), lanes_load_n(b + i, rest)), rest);
}

static uint32_t max_bits(const float *x, size_t n)
{
    lanes max = lanes_set(0);
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES) max = lanes_max_bits(max, lanes_load(x + i));
    int rest = (int)(n - i);
    if (rest) max = lanes_max_bits(max, lanes_load_n(x + i, rest));
    return lanes_largest_bits(max);
}

/* What both quantizations share: 0 when all of x is (nearly) zero or some of it is not finite, and
 * then *scale is the result; else the factor to multiply by. */
static float quantize_factor(const float *x, size_t n, float n_max, float *scale)
{
    uint32_t bits = max_bits(x, n);
    float m = samp_bits_float(bits);
    bool finite = bits < 0x7f800000;
    *scale = m / n_max;
    if (m >= 1e-30f && finite) return n_max / m;
    *scale = finite ? 0 : NAN;
    return 0;
}

static float vector_input_quantize(const float *x, size_t n, int n_max, int16_t *q, int32_t *sum)
{
    float scale, factor = quantize_factor(x, n, (float)n_max, &scale);
    *sum = 0;
    if (factor == 0) {
        memset(q, 0, n * sizeof *q);
        return scale;
    }
    lanes total = lanes_set(0); /* exact: whole numbers below 2^24 */
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES) {
        lanes whole = lanes_round(lanes_mul(lanes_load(x + i), lanes_set(factor)));
        lanes_store_int16(q + i, whole);
        total = lanes_add(total, whole);
    }
    *sum = (int32_t)lanes_sum(total);
    for (; i < n; i++) {
        q[i] = (int16_t)nearbyintf(x[i] * factor);
        *sum += q[i];
    }
    return scale;
}

static float vector_kv_quantize(const float *x, size_t n, int8_t *q)
{
    float scale, factor = quantize_factor(x, n, 127.0f, &scale);
    if (factor == 0) {
        memset(q, 0, n);
        return scale;
    }
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES)
        lanes_store_int8(q + i, lanes_round(lanes_mul(lanes_load(x + i), lanes_set(factor))));
    for (; i < n; i++) q[i] = (int8_t)nearbyintf(x[i] * factor);
    return scale;
}

static void vector_to_fp16(const float *x, size_t n, uint16_t *y)
{
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES) lanes_store_fp16(y + i, lanes_load(x + i));
    for (; i < n; i++) y[i] = samp_float_to_fp16(x[i]);
}

static void vector_from_fp16(const uint16_t *x, size_t n, float *y)
{
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES) lanes_store(y + i, lanes_load_fp16(x + i));
    for (; i < n; i++) y[i] = samp_fp16_to_float(x[i]);
}

static void vector_from_bf16(const uint16_t *x, size_t n, float *y)
{
    size_t i = 0;
    for (; i + SAMP_LANES <= n; i += SAMP_LANES) lanes_store(y + i, lanes_load_bf16(x + i));
    for (; i < n; i++) y[i] = samp_bf16_to_float(x[i]);
}

static void vector_rope(float *head, size_t head_dim, const float *cos_sin)
{
    size_t half = head_dim / 2, i = 0;
    for (; i + SAMP_LANES <= half; i += SAMP_LANES) {
        lanes c, s, a = lanes_load(head + i), b = lanes_load(head + half + i);
        lanes_load_pairs(cos_sin + 2 * i, &c, &s);
        lanes_store(head + i, lanes_fma(a, c, lanes_neg(lanes_mul(b, s))));
        lanes_store(head + half + i, lanes_fma(b, c, lanes_mul(a, s)));
    }
    for (; i < half; i++)
        samp_rope_pair(head + i, head + half + i, cos_sin[2 * i], cos_sin[2 * i + 1]);
}

#define SAMP__VECTOR_TABLE                                                                         \
    {                                                                                              \
        .dot = vector_dot, .rmsnorm = vector_rmsnorm, .silu = vector_silu, .exp = vector_exp,      \
        .add = vector_add, .input_quantize = vector_input_quantize, .to_fp16 = vector_to_fp16,     \
        .from_fp16 = vector_from_fp16, .from_bf16 = vector_from_bf16, .rope = vector_rope,         \
        .kv_quantize = vector_kv_quantize,                                                         \
    }

#endif

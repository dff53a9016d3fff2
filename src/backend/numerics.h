/* What every backend computes, operation by operation. The scalar functions here are the definition: the
 * reference backend calls them, the CPU backend's SIMD paths equal them bit for bit (tests use memcmp), and
 * a GPU stays within its stated error of them. All arithmetic is IEEE float, no contraction but fmaf.
 *
 * lanes    Sums run in 16 lanes: lane l takes elements l, l+16, l+32, … in order with fmaf; then lanes are
 *          added in halves: 8, 4, 2, 1 (samp_dot). One AVX-512 register or two of AVX2 hold the lanes.
 * matmul   float weights (fp32, bf16, fp16, and every format in exact mode):
 *              y = 0; y = fmaf(w[k], x[k], y) for k in order.
 *          fp8_e4m3, but not in exact mode: the same with w of samp_row_form, then y = y * its scale.
 *          integer form (format.h), groups of g columns, input quantized in groups of 64 (below):
 *              y = 0; for each group: S = sum t[k]*q[k], exact in int32;
 *              y = fmaf((float)S, w_scale*x_scale, y)      (x_scale of the 64-group the group lies in)
 *          A residual is added last: out = out + y.
 * outliers Of formats that have them (samp_format.outliers: LLM.int8), with 8-bit inputs: m = max |x| over all of a token's
 *          columns with |x| < the input's threshold (0: over all columns) takes the place of every group's m; the other
 *          columns' q is 0. When the product is out, they follow unrounded: out = fmaf(w_scale*t, x, out), in order.
 * input    quantization: m = max |x| of 64; q = rint(x * (N/m)), N = 127 (a8) or 32512 (a16 = 127*256, so that
 *          q = 256*hi + lo with hi, lo in int8); x_scale = m/N; m < 1e-30 gives q = 0, x_scale = 0.
 * norm     y = (x * r) * gain, r = 1/sqrtf(samp_dot(x,x)/dim + eps).
 * silu     (g / (1 + exp(-g))) * u.
 * rope     pairs (i, i + head_dim/2), angle = position * frequency computed in double, cos and sin rounded to
 *          float: y0 = fmaf(x0, c, -(x1*s)), y1 = fmaf(x1, c, x0*s).
 * kv       fp32: as it is. fp16: rounded to nearest even. int8: per token and head: m = max|x|, scale = m/127 (float),
 *          q = rint(x * (127/m)); m < 1e-30 gives zeros and scale 0. K is stored after rope.
 * heads    of q, k and v before anything else: x + bias, where there is one; then q and k: norm over head_dim where
 *          there is a gain, rope where the layer has it.
 * attention for one query and head, over key blocks of SAMP_KV_BLOCK positions in order, online softmax:
 *              s_j = samp_dot(q, k_j) * scale           (int8 K: samp_dot(q, (float)k_j) * (k_scale*scale))
 *              M' = max(M, max s_j); c = exp(M - M'); l = l*c + (lane sum of p_j); o = o*c
 *              p_j = exp(s_j - M'); o[d] = fmaf(p_j, v_j[d], o[d]) for j in order (int8 V: p_j*v_scale)
 *          Lane sum of p: lane j%16 adds p_j in order, then halves. First block: M = -inf, so c = 0, l = o = 0.
 *          Result o[d] / l. Only positions <= the query's take part.
 *          With a window only the last `window` of them do; blocks are the same ones.
 * exp      samp_exp below; inputs here are <= 0 or bounded, results below 2^-126 are 0. */
#ifndef SAMP_BACKEND_NUMERICS_H
#define SAMP_BACKEND_NUMERICS_H

#include "base/half.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SAMP_LANES = 16,
    SAMP_KV_BLOCK = 64,
    SAMP_INPUT_GROUP = 64,
    SAMP_A8_MAX = 127,
    SAMP_A16_MAX = 32512
};

static inline float samp_lane_sum(const float lane[SAMP_LANES])
{
    float sum[SAMP_LANES];
    for (int l = 0; l < SAMP_LANES; l++) sum[l] = lane[l];
    for (int half = SAMP_LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) sum[l] += sum[l + half];
    return sum[0];
}

static inline float samp_dot(const float *a, const float *b, size_t n)
{
    float lane[SAMP_LANES] = {0};
    for (size_t i = 0; i < n; i++) lane[i % SAMP_LANES] = fmaf(a[i], b[i], lane[i % SAMP_LANES]);
    return samp_lane_sum(lane);
}

/* exp(x): 2^n * p(r), n = rint(x*log2 e), r = x - n*ln 2 in two parts, degree-6 polynomial. x <= -87.3 gives 0,
 * x > 88 is computed as 88. Relative error below 2e-7 (tests/backend/test_numerics.c). */
static inline float samp_exp(float x)
{
    if (!(x > -87.3f))
        return 0.0f; /* -inf too; NaN also gives 0 and is caught where logits are checked */
    float clamped = x < 88.0f ? x : 88.0f;
    float n = nearbyintf(clamped * 1.44269504f);
    float r = fmaf(n, -0.693359375f, clamped);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return p * samp_bits_float((uint32_t)((int32_t)n + 127) << 23);
}

/* A divisor of exactly zero cannot occur: 1 + exp >= 1. */
static inline float samp_silu(float g, float u) { return g / (1.0f + samp_exp(-g)) * u; }

static inline void samp_rmsnorm(const float *x, const float *gain, size_t dim, float eps, float *y)
{
    float r = 1.0f / sqrtf(samp_dot(x, x, dim) / (float)dim + eps);
    for (size_t i = 0; i < dim; i++) y[i] = x[i] * r * gain[i];
}

/* The largest |x|, as its bits: as integers they are ordered like the floats, with NaN on top. */
static inline uint32_t samp_max_bits(const float *x, size_t n)
{
    uint32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = samp_float_bits(x[i]) & 0x7fffffff;
        max = magnitude > max ? magnitude : max;
    }
    return max;
}

/* Whether a column is multiplied as it is; 0: none is. A NaN is none, and shows in m. */
static inline bool samp_is_outlier(float x, float threshold)
{
    return threshold > 0 && fabsf(x) >= threshold;
}

/* One group of n <= 64 inputs: q, the scale, and the sum of q (for kernels with unsigned weights); bits are those
 * of m. A group with an infinity or NaN has a NaN scale, so that its outputs are NaN. */
static inline float samp_input_quantize_to(const float *x, size_t n, uint32_t bits, int n_max,
                                           int16_t *q, int32_t *sum)
{
    float m = samp_bits_float(bits);
    *sum = 0;
    if (!(m >= 1e-30f) || bits >= 0x7f800000) {
        for (size_t i = 0; i < n; i++) q[i] = 0;
        return bits >= 0x7f800000 ? NAN : 0;
    }
    float factor = (float)n_max / m;
    for (size_t i = 0; i < n; i++) {
        q[i] = (int16_t)nearbyintf(x[i] * factor);
        *sum += q[i];
    }
    return m / (float)n_max;
}

static inline float samp_input_quantize(const float *x, size_t n, int n_max, int16_t *q,
                                        int32_t *sum)
{
    return samp_input_quantize_to(x, n, samp_max_bits(x, n), n_max, q, sum);
}

static inline void samp_rope_pair(float *x0, float *x1, float c, float s)
{
    float a = *x0, b = *x1;
    *x0 = fmaf(a, c, -(b * s));
    *x1 = fmaf(b, c, a * s);
}

/* Like samp_input_quantize: what is not finite becomes a NaN scale, and reaches the logits. */
static inline float samp_kv_quantize(const float *x, size_t n, int8_t *q)
{
    uint32_t bits = samp_max_bits(x, n);
    float m = samp_bits_float(bits);
    if (!(m >= 1e-30f) || bits >= 0x7f800000) {
        for (size_t i = 0; i < n; i++) q[i] = 0;
        return bits >= 0x7f800000 ? NAN : 0;
    }
    float factor = 127.0f / m;
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)nearbyintf(x[i] * factor);
    return m / 127.0f;
}

#endif

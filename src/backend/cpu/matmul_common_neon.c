/* The inputs of NEON's integer products, in the order of matmul_neon.h, and its products of float
 * weights. Scalar twins: samp_input_quantize, and float_group of matmul_scalar.c.
 *
 * Float weights: y[r] = fmaf(w[r][k], x[k], y[r]), k in order; a column of 16 rows is four
 * registers, BF16, FP16 and FP8 are widened by one or two instructions each. Tiles are 64 rows x 1
 * token, which reads 64 to 256 bytes of weights for 64 multiply-adds, and 16 rows x 4 tokens: 16
 * sums, which hide the latency of four multiply-adds a cycle. The share of a roofline is not
 * measured: this was only run under qemu. */
#include "backend/cpu/matmul_neon.h"

#include "backend/cpu/kernel.h"

#include <arm_neon.h>
#include <string.h>

const uint8_t samp__neon_widths[] = {1, 2, SAMP__NEON_TILE, 0};

/* ---- inputs ---- */

/* 8 columns as int16 -> their 8 bytes, or with 16 bits the bytes hi and then lo. */
INLINE void store_step(uint8_t *q, int16x8_t v, int bits)
{
    if (bits == 8) {
        vst1_s8((int8_t *)q, vmovn_s16(v));
        return;
    }
    int8x8_t low = vmovn_s16(v); /* lo in -128 … 127; q - lo is 256*hi, without overflow */
    int16x8_t high = vsubq_s16(v, vmovl_s8(low));
    vst1q_s8((int8_t *)q, vcombine_s8(vshrn_n_s16(high, 8), low));
}

/* samp_input_quantize_to of a whole block (x padded with zeros), m its own where given is NULL;
 * start[0], start[width], start[2*width] as in matmul.h. Steps of 8 columns are `stride` bytes
 * apart. */
INLINE float quantize_block(const float *x, const uint32_t *given, int bits, uint8_t *q,
                            size_t stride, int32_t *start, size_t width)
{
    enum { STEPS = SAMP__BLOCK / SAMP__STEP };
    uint32x4_t max = vdupq_n_u32(0);
    for (int i = 0; i < SAMP__BLOCK; i += 4)
        max = vmaxq_u32(max, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
    uint32_t top = given ? *given : vmaxvq_u32(max);
    float m = samp_bits_float(top), n_max = bits == 8 ? SAMP_A8_MAX : SAMP_A16_MAX;
    if (!(m >= 1e-30f) || top >= 0x7f800000) {
        for (size_t i = 0; i < STEPS; i++) memset(q + i * stride, 0, bits == 8 ? 8 : 16);
        start[0] = start[width] = start[2 * width] = 0;
        return top >= 0x7f800000 ? NAN : 0;
    }
    float32x4_t factor = vdupq_n_f32(n_max / m);
    int32_t sum[2] = {0, 0};
    for (size_t i = 0; i < STEPS; i++) {
        const float *from = x + i * SAMP__STEP;
        int32x4_t a = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(from), factor));
        int32x4_t b = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(from + 4), factor));
        sum[i / (STEPS / 2)] += vaddvq_s32(vaddq_s32(a, b));
        store_step(q + i * stride, vmovn_high_s32(vmovn_s32(a), b), bits);
    }
    start[0] = -128 * (sum[0] + sum[1]);
    start[width] = -128 * sum[0];
    start[2 * width] = -128 * sum[1];
    return m / n_max;
}

void samp__neon_quantize(const samp__quantized *to, size_t token, const float *x, size_t cols)
{
    size_t slot = samp__tile_slot(to, token), t = slot % to->width;
    bool alone = to->bits == 8 && to->width == 1; /* no pair */
    size_t stride = alone ? SAMP__STEP : 2 * SAMP__STEP;
    const uint32_t *given = to->magnitude ? to->magnitude + token : NULL;
    for (size_t b = 0; b < to->n_blocks; b++, slot += to->width) {
        const float *from = x + b * SAMP__BLOCK;
        float padded[SAMP__BLOCK] = {0};
        if (cols - b * SAMP__BLOCK < SAMP__BLOCK) {
            memcpy(padded, from, (cols - b * SAMP__BLOCK) * sizeof *x);
            from = padded;
        }
        uint8_t *q = to->q + slot * to->q_bytes;
        if (to->bits == 8 && t % 2) q -= to->q_bytes - SAMP__STEP; /* the second of its pair */
        int32_t *start = to->start + 3 * slot - 2 * t;
        to->scale[slot] = to->bits == 8
                              ? quantize_block(from, given, 8, q, stride, start, to->width)
                              : quantize_block(from, given, 16, q, stride, start, to->width);
    }
}

/* ---- float weights ---- */

enum { FLOAT_TILE = 4, QUARTERS = SAMP__ROWS / 4 };

/* Four rows' weights of a column. */
INLINE float32x4_t load_values(samp__kind kind, const uint8_t *line, int quarter)
{
    if (kind == SAMP__FP32) return vld1q_f32((const float *)line + 4 * quarter);
    if (kind == SAMP__FP8) { /* E4M3's bits as an FP16: the value * 2^-8 */
        int8x8_t code = vld1_s8((const int8_t *)line + 8 * (quarter / 2));
        uint16x8_t half =
            vandq_u16(vreinterpretq_u16_s16(vshll_n_s8(code, 7)), vdupq_n_u16(0xbfff));
        float16x8_t value = vreinterpretq_f16_u16(half);
        return quarter % 2 ? vcvt_high_f32_f16(value) : vcvt_f32_f16(vget_low_f16(value));
    }
    uint16x4_t v = vld1_u16((const uint16_t *)line + 4 * quarter);
    if (kind == SAMP__FP16) return vcvt_f32_f16(vreinterpret_f16_u16(v));
    return vreinterpretq_f32_u32(vshll_n_u16(v, 16));
}

/* One token x n_groups groups of 16 rows, of which there are 1 or 4. */
INLINE void float_groups(samp__kind kind, int n_groups, const samp_weight *weight,
                         const uint8_t *line, const float *x, float (*y)[SAMP__ROWS])
{
    const int quarters = QUARTERS * n_groups;
    float32x4_t sum[FLOAT_TILE * QUARTERS];
    UNROLL
    for (int g = 0; g < quarters; g++) sum[g] = vdupq_n_f32(0);
    for (size_t k = 0; k < weight->cols; k++, line += SAMP__ROWS * samp__kinds[kind].lines) {
        UNROLL
        for (int g = 0; g < quarters; g++) {
            const uint8_t *at = line + (size_t)(g / QUARTERS) * weight->group_bytes;
            sum[g] = vfmaq_n_f32(sum[g], load_values(kind, at, g % QUARTERS), x[k]);
        }
    }
    UNROLL
    for (int g = 0; g < quarters; g++) vst1q_f32(y[g / QUARTERS] + 4 * (g % QUARTERS), sum[g]);
}

INLINE void float_tokens(samp__kind kind, const uint8_t *line, size_t n, const float *x,
                         size_t cols, float (*y)[SAMP__ROWS], float *panel)
{
    float32x4_t sum[FLOAT_TILE][QUARTERS];
    UNROLL
    for (int t = 0; t < FLOAT_TILE; t++)
        for (int g = 0; g < QUARTERS; g++) sum[t][g] = vld1q_f32(y[t] + 4 * g);
    for (size_t k = 0; k < n; k++, line += SAMP__ROWS * samp__kinds[kind].lines) {
        UNROLL
        for (int g = 0; g < QUARTERS; g++) {
            float32x4_t w = load_values(kind, line, g);
            if (panel) vst1q_f32(panel + SAMP__ROWS * k + 4 * (size_t)g, w);
            UNROLL
            for (size_t t = 0; t < FLOAT_TILE; t++)
                sum[t][g] = vfmaq_n_f32(sum[t][g], w, x[t * cols + k]);
        }
    }
    UNROLL
    for (int t = 0; t < FLOAT_TILE; t++)
        for (int g = 0; g < QUARTERS; g++) vst1q_f32(y[t] + 4 * g, sum[t][g]);
}

#include "backend/cpu/float_tiles.h"

void samp__neon_floats(const samp__product *product) { walk_floats(product); }

/* The sixteen lanes of vector_lanes.h as four NEON registers; included there. Every operation is
 * one instruction a register, and none has another rounding or another NaN than plain C: where
 * FMIN and FMAX would differ from `a < b ? a : b`, a comparison selects. There are no masked loads
 * or stores: a part of a vector goes through memory, which only ends of rows do. */
#ifndef SAMP_CPU_VECTOR_LANES_NEON_H
#define SAMP_CPU_VECTOR_LANES_NEON_H

#include <arm_neon.h>

enum { SAMP__EXP_CHAINS = 2 };

typedef struct lanes {
    float32x4_t v[4];
} lanes;

/* `expression` for each register i. */
#define SAMP__EACH(expression)                                                                     \
    lanes y;                                                                                       \
    for (int i = 0; i < 4; i++) y.v[i] = (expression);                                             \
    return y

static const int32_t samp__first_mask[2 * SAMP_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                         -1, -1, -1, -1, -1, -1, -1, -1};

SAMP__INLINE lanes lanes_set(float x) { SAMP__EACH(vdupq_n_f32(x)); }
SAMP__INLINE lanes lanes_load(const float *p) { SAMP__EACH(vld1q_f32(p + 4 * i)); }
SAMP__INLINE lanes lanes_load_n(const float *p, int n)
{
    float all[SAMP_LANES] = {0};
    for (int l = 0; l < n; l++) all[l] = p[l];
    return lanes_load(all);
}
SAMP__INLINE lanes lanes_load_fp16(const uint16_t *p)
{
    SAMP__EACH(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
SAMP__INLINE lanes lanes_load_bf16(const uint16_t *p)
{
    SAMP__EACH(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
SAMP__INLINE lanes lanes_load_int8(const int8_t *p)
{
    int8x16_t bytes = vld1q_s8(p);
    int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    return (lanes){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
                    vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                    vcvtq_f32_s32(vmovl_high_s16(high))}};
}
SAMP__INLINE lanes lanes_add(lanes a, lanes b) { SAMP__EACH(vaddq_f32(a.v[i], b.v[i])); }
SAMP__INLINE lanes lanes_sub(lanes a, lanes b) { SAMP__EACH(vsubq_f32(a.v[i], b.v[i])); }
SAMP__INLINE lanes lanes_mul(lanes a, lanes b) { SAMP__EACH(vmulq_f32(a.v[i], b.v[i])); }
SAMP__INLINE lanes lanes_div(lanes a, lanes b) { SAMP__EACH(vdivq_f32(a.v[i], b.v[i])); }
SAMP__INLINE lanes lanes_neg(lanes a) { SAMP__EACH(vnegq_f32(a.v[i])); }
SAMP__INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    SAMP__EACH(vfmaq_f32(c.v[i], a.v[i], b.v[i]));
}
SAMP__INLINE lanes lanes_round(lanes a) { SAMP__EACH(vrndnq_f32(a.v[i])); }
SAMP__INLINE lanes lanes_max(lanes a, lanes b)
{
    SAMP__EACH(vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
SAMP__INLINE lanes lanes_min(lanes a, lanes b)
{
    SAMP__EACH(vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
SAMP__INLINE uint32x4_t samp__magnitude(float32x4_t x)
{
    return vreinterpretq_u32_f32(vabsq_f32(x)); /* only the sign bit changes, of a NaN too */
}
SAMP__INLINE lanes lanes_max_bits(lanes max, lanes x)
{
    SAMP__EACH(
        vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(max.v[i]), samp__magnitude(x.v[i]))));
}
SAMP__INLINE lanes lanes_first(lanes a, lanes b, int n)
{
    const int32_t *mask = samp__first_mask + SAMP_LANES - n;
    SAMP__EACH(vbslq_f32(vreinterpretq_u32_s32(vld1q_s32(mask + 4 * i)), a.v[i], b.v[i]));
}
SAMP__INLINE lanes lanes_where_above(lanes a, lanes x, float limit)
{
    SAMP__EACH(vreinterpretq_f32_u32(
        vandq_u32(vreinterpretq_u32_f32(a.v[i]), vcgtq_f32(x.v[i], vdupq_n_f32(limit)))));
}
SAMP__INLINE lanes lanes_scale(lanes p, lanes n)
{
    SAMP__EACH(vmulq_f32(p.v[i], vreinterpretq_f32_s32(vshlq_n_s32(
                                     vaddq_s32(vcvtq_s32_f32(n.v[i]), vdupq_n_s32(127)), 23))));
}
SAMP__INLINE void lanes_store(float *p, lanes a)
{
    for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.v[i]);
}
SAMP__INLINE void lanes_store_n(float *p, lanes a, int n)
{
    float all[SAMP_LANES];
    lanes_store(all, a);
    for (int l = 0; l < n; l++) p[l] = all[l];
}
SAMP__INLINE void lanes_store_fp16(uint16_t *p, lanes a)
{
    for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
SAMP__INLINE int16x8_t samp__pack16(float32x4_t a, float32x4_t b)
{
    return vmovn_high_s32(vmovn_s32(vcvtq_s32_f32(a)), vcvtq_s32_f32(b));
}
SAMP__INLINE void lanes_store_int16(int16_t *p, lanes a)
{
    vst1q_s16(p, samp__pack16(a.v[0], a.v[1]));
    vst1q_s16(p + 8, samp__pack16(a.v[2], a.v[3]));
}
SAMP__INLINE void lanes_store_int8(int8_t *p, lanes a)
{
    int8x8_t low = vmovn_s16(samp__pack16(a.v[0], a.v[1]));
    vst1q_s8(p, vmovn_high_s16(low, samp__pack16(a.v[2], a.v[3])));
}
SAMP__INLINE void lanes_load_pairs(const float *p, lanes *first, lanes *second)
{
    for (int i = 0; i < 4; i++) {
        float32x4x2_t pairs = vld2q_f32(p + 8 * i);
        first->v[i] = pairs.val[0];
        second->v[i] = pairs.val[1];
    }
}
/* As samp_lane_sum: halves of 8, 4, 2, 1. */
SAMP__INLINE float lanes_sum(lanes a)
{
    float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
SAMP__INLINE float lanes_largest(lanes a)
{
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[1]), vmaxq_f32(a.v[2], a.v[3])));
}
SAMP__INLINE uint32_t lanes_largest_bits(lanes a)
{
    uint32x4_t low = vmaxq_u32(samp__magnitude(a.v[0]), samp__magnitude(a.v[1]));
    uint32x4_t high = vmaxq_u32(samp__magnitude(a.v[2]), samp__magnitude(a.v[3]));
    return vmaxvq_u32(vmaxq_u32(low, high));
}

#undef SAMP__EACH

#endif

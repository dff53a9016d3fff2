/* The inner loops with NEON: the same bytes as kernels_scalar.c (twins: the functions of the same
 * names there), whose functions also take the elements left over at the end.
 *
 * A code of a 16-entry table is found by bisection, 4 compares: after each, the next midpoint is
 * looked up by the bits found so far (tbl). Decoding looks up the 4 bytes of 16 floats, a table of
 * 16 bytes each. How fast they are is not measured: this was only run under qemu. */
#include "format/kernels.h"

#include <arm_neon.h>
#include <string.h>

static const samp__kernels *const scalar = &samp__kernels_scalar;

static float extreme(const float *w, size_t n)
{
    float32x4_t low = vdupq_n_f32(0), high = low;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t x = vld1q_f32(w + i);
        low = vminq_f32(low, x);
        high = vmaxq_f32(high, x);
    }
    float all[3] = {vmaxvq_f32(high), vminvq_f32(low), scalar->extreme(w + i, n - i)};
    return scalar->extreme(all, 3);
}

static uint32_t magnitude(const float *w, size_t n)
{
    uint32x4_t a = vdupq_n_u32(0), b = a;
    const uint32x4_t bits = vdupq_n_u32(0x7fffffff);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        a = vmaxq_u32(a, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(w + i)), bits));
        b = vmaxq_u32(b, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(w + i + 4)), bits));
    }
    uint32_t largest = vmaxvq_u32(vmaxq_u32(a, b)), rest = 0;
    if (i < n) scalar->magnitudes(w + i, n - i, n, &rest);
    return largest > rest ? largest : rest;
}

static void magnitudes(const float *w, size_t n, size_t group, uint32_t *out)
{
    for (size_t i = 0; i < n; i += group) *out++ = magnitude(w + i, n - i < group ? n - i : group);
}

/* A codebook in registers: the midpoints by level of the bisection, and the values. */
typedef struct codebook {
    float32x4_t first, second_low, second_high; /* midpoints 7; 3, 11 */
    uint8x16_t third;                           /* 1 5 9 13 */
    uint8x16x2_t fourth;                        /* 0 2 … 14 */
    uint8x16x4_t value;
} codebook;

static inline codebook load_codebook(const float midpoint[15], const float *value)
{
    const float *m = midpoint;
    const float third[4] = {m[1], m[5], m[9], m[13]};
    const float fourth[8] = {m[0], m[2], m[4], m[6], m[8], m[10], m[12], m[14]};
    codebook book = {.first = vdupq_n_f32(m[7]),
                     .second_low = vdupq_n_f32(m[3]),
                     .second_high = vdupq_n_f32(m[11]),
                     .third = vld1q_u8((const uint8_t *)third)};
    for (int i = 0; i < 2; i++) book.fourth.val[i] = vld1q_u8((const uint8_t *)(fourth + 4 * i));
    for (int i = 0; value && i < 4; i++)
        book.value.val[i] = vld1q_u8((const uint8_t *)(value + 4 * i));
    return book;
}

/* The places of the bytes of floats number `code` in a table. */
static inline uint8x16_t float_places(uint32x4_t code)
{
    return vreinterpretq_u8_u32(
        vmlaq_n_u32(vdupq_n_u32(0x03020100), code, 0x04040404)); /* no carry: code < 16 */
}

/* A compare gives -1 where a bit is 1. */
static inline uint32x4_t next_bit(uint32x4_t code, float32x4_t x, float32x4_t bound)
{
    return vsubq_u32(vaddq_u32(code, code), vcgtq_f32(x, bound));
}

static inline uint32x4_t bisect(const codebook *book, float32x4_t x)
{
    uint32x4_t upper = vcgtq_f32(x, book->first);
    float32x4_t second = vbslq_f32(upper, book->second_high, book->second_low);
    uint32x4_t code = next_bit(vshrq_n_u32(upper, 31), x, second);
    uint8x16_t third = vqtbl1q_u8(book->third, float_places(code));
    code = next_bit(code, x, vreinterpretq_f32_u8(third));
    uint8x16_t fourth = vqtbl2q_u8(book->fourth, float_places(code));
    return next_bit(code, x, vreinterpretq_f32_u8(fourth));
}

/* 16 codes, or other numbers below 256, to bytes. */
static inline uint8x16_t to_bytes(const uint32x4_t code[4])
{
    uint16x8_t low = vmovn_high_u32(vmovn_u32(code[0]), code[1]);
    uint16x8_t high = vmovn_high_u32(vmovn_u32(code[2]), code[3]);
    return vmovn_high_u16(vmovn_u16(low), high);
}

static void pack_group(const codebook *book, const samp__codebook *prepared, const float *w,
                       size_t n, float inv, int pad, uint8_t *out)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        uint8x16_t bytes[2];
        for (int half = 0; half < 2; half++) {
            uint32x4_t code[4];
            for (int k = 0; k < 4; k++)
                code[k] = bisect(book, vmulq_n_f32(vld1q_f32(w + i + 16 * half + 4 * k), inv));
            bytes[half] = to_bytes(code);
        }
        uint8x16_t even = vuzp1q_u8(bytes[0], bytes[1]), odd = vuzp2q_u8(bytes[0], bytes[1]);
        vst1q_u8(out + i / 2, vsliq_n_u8(odd, even, 4));
    }
    if (i < n) scalar->codebook_pack(w + i, n - i, n, &inv, prepared, pad, out + i / 2);
}

static void codebook_pack(const float *w, size_t n, size_t group, const float *inv,
                          const samp__codebook *prepared, int pad, uint8_t *out)
{
    const codebook book = load_codebook(prepared->midpoint, NULL);
    for (size_t i = 0; i < n; i += group)
        pack_group(&book, prepared, w + i, n - i < group ? n - i : group, *inv++, pad, out + i / 2);
}

static void codebook_unpack(const uint8_t *packed, size_t n, float scale, const float value[16],
                            float *out)
{
    float scaled[16];
    for (int k = 0; k < 16; k += 4) vst1q_f32(scaled + k, vmulq_n_f32(vld1q_f32(value + k), scale));
    const uint8x16x4_t planes = vld4q_u8((const uint8_t *)scaled);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        uint8x8_t pairs = vld1_u8(packed + i / 2);
        uint8x8_t even = vshr_n_u8(pairs, 4), odd = vand_u8(pairs, vdup_n_u8(15));
        uint8x16_t code = vcombine_u8(vzip1_u8(even, odd), vzip2_u8(even, odd));
        uint8x16x4_t bytes;
        for (int plane = 0; plane < 4; plane++)
            bytes.val[plane] = vqtbl1q_u8(planes.val[plane], code);
        vst4q_u8((uint8_t *)(out + i), bytes);
    }
    scalar->codebook_unpack(packed + i / 2, n - i, scale, value, out + i);
}

/* Clamping before rounding gives what clamping after does, as the limits are integers. */
static inline int32x4_t round_clamped(float32x4_t x, float low, float high)
{
    return vcvtnq_s32_f32(vminq_f32(vmaxq_f32(x, vdupq_n_f32(low)), vdupq_n_f32(high)));
}

static void round_integers(const float *w, size_t n, float inv, float low, float high, int8_t *t)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        uint32x4_t r[4];
        for (int k = 0; k < 4; k++)
            r[k] = vreinterpretq_u32_s32(
                round_clamped(vmulq_n_f32(vld1q_f32(w + i + 4 * k), inv), low, high));
        vst1q_u8((uint8_t *)t + i, to_bytes(r));
    }
    scalar->round_integers(w + i, n - i, inv, low, high, t + i);
}

/* The level nearest to each x: loads from the table, one a lane, at samp__lut_index. */
static inline float32x4_t nearest_levels(const samp__lut *lut, float32x4_t x)
{
    const float *level = lut->value + SAMP__LUT_ZERO;
    float32x4_t clamped = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-127)), vdupq_n_f32(127));
    int32x4_t index = vcvtpq_s32_f32(vaddq_f32(clamped, clamped)); /* upward */
    const float nearest[4] = {level[vgetq_lane_s32(index, 0)], level[vgetq_lane_s32(index, 1)],
                              level[vgetq_lane_s32(index, 2)], level[vgetq_lane_s32(index, 3)]};
    return vld1q_f32(nearest);
}

static void round_to_levels(const samp__lut *lut, const float *w, size_t n, float inv, int8_t *t)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        uint32x4_t r[4];
        for (int k = 0; k < 4; k++)
            r[k] = vreinterpretq_u32_s32(
                vcvtq_s32_f32(nearest_levels(lut, vmulq_n_f32(vld1q_f32(w + i + 4 * k), inv))));
        vst1q_u8((uint8_t *)t + i, to_bytes(r));
    }
    scalar->round_to_levels(lut, w + i, n - i, inv, t + i);
}

static void scale_integers(const int8_t *t, size_t n, float scale, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        int16x8_t wide = vmovl_s8(vld1_s8(t + i));
        float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
        float32x4_t high = vcvtq_f32_s32(vmovl_high_s16(wide));
        vst1q_f32(out + i, vmulq_n_f32(low, scale));
        vst1q_f32(out + i + 4, vmulq_n_f32(high, scale));
    }
    scalar->scale_integers(t + i, n - i, scale, out + i);
}

/* 16 lanes, added in halves as the scalar code does. */
static inline float lane_sum(const float32x4_t lane[4])
{
    float32x4_t four = vaddq_f32(vaddq_f32(lane[0], lane[2]), vaddq_f32(lane[1], lane[3]));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

static samp__fit fit(const samp__levels *levels, const float *w, const float *h, size_t n,
                     float scale)
{
    const float inv = 1.0f / scale;
    codebook book = {0};
    if (levels->value) book = load_codebook(levels->midpoint, levels->value);
    float32x4_t wt[4] = {0}, tt[4] = {0}, error[4] = {0};
    for (size_t i = 0; i < n; i += 16)
        for (int k = 0; k < 4; k++) {
            float32x4_t x = vld1q_f32(w + i + 4 * k), weight = vld1q_f32(h + i + 4 * k), t;
            float32x4_t scaled = vmulq_n_f32(x, inv);
            if (levels->value)
                t = vreinterpretq_f32_u8(
                    vqtbl4q_u8(book.value, float_places(bisect(&book, scaled))));
            else if (levels->lut)
                t = nearest_levels(levels->lut, scaled);
            else
                t = vcvtq_f32_s32(round_clamped(scaled, levels->low, levels->high));
            float32x4_t ht = vmulq_f32(weight, t), rest = vsubq_f32(x, vmulq_n_f32(t, scale));
            wt[k] = vaddq_f32(wt[k], vmulq_f32(ht, x));
            tt[k] = vaddq_f32(tt[k], vmulq_f32(ht, t));
            error[k] = vaddq_f32(error[k], vmulq_f32(vmulq_f32(weight, rest), rest));
        }
    return (samp__fit){lane_sum(wt), lane_sum(tt), lane_sum(error)};
}

static void bf16_to_float(const void *in, size_t n, float *out)
{
    const uint8_t *bytes = in;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint16x8_t v = vreinterpretq_u16_u8(vld1q_u8(bytes + 2 * i));
        vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(v), 16)));
        vst1q_f32(out + i + 4, vreinterpretq_f32_u32(vshll_high_n_u16(v, 16)));
    }
    scalar->bf16_to_float(bytes + 2 * i, n - i, out + i);
}

/* 4 floats -> bf16. */
static inline uint16x4_t bf16_of(float32x4_t x)
{
    uint32x4_t bits = vreinterpretq_u32_f32(x), high = vshrq_n_u32(bits, 16);
    uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    uint16x4_t rounded = vaddhn_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint16x4_t quiet = vmovn_u32(vorrq_u32(high, vdupq_n_u32(0x40)));
    return vbsl_u16(vmovn_u32(vceqq_f32(x, x)), rounded, quiet);
}

static void float_to_bf16(const float *in, size_t n, void *out)
{
    uint8_t *bytes = out;
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u8(bytes + 2 * i, vreinterpret_u8_u16(bf16_of(vld1q_f32(in + i))));
    scalar->float_to_bf16(in + i, n - i, bytes + 2 * i);
}

static void fp16_to_float(const void *in, size_t n, float *out)
{
    const uint8_t *bytes = in;
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(bytes + 2 * i))));
    scalar->fp16_to_float(bytes + 2 * i, n - i, out + i);
}

static void float_to_fp16(const float *in, size_t n, void *out)
{
    uint8_t *bytes = out;
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u8(bytes + 2 * i, vreinterpret_u8_f16(vcvt_f16_f32(vld1q_f32(in + i))));
    scalar->float_to_fp16(in + i, n - i, bytes + 2 * i);
}

/* base/half.h's samp_float_to_e4m3 for finite x (and infinities), 4 at a time. */
static inline uint32x4_t e4m3_of(float32x4_t x)
{
    uint32x4_t bits = vreinterpretq_u32_f32(x), magnitude = vreinterpretq_u32_f32(vabsq_f32(x));
    uint32x4_t sign = vandq_u32(vshrq_n_u32(bits, 24), vdupq_n_u32(0x80));
    /* 448 and more: 0x43e00000 rounds to code 0x7e */
    magnitude = vminq_u32(magnitude, vdupq_n_u32(0x43e00000));
    uint32x4_t odd = vandq_u32(vshrq_n_u32(magnitude, 20), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(vaddq_u32(magnitude, vdupq_n_u32(0x7ffff)), odd);
    uint32x4_t normal = vshrq_n_u32(vsubq_u32(rounded, vdupq_n_u32(0x3c000000)), 20);
    float32x4_t shifted = vaddq_f32(vreinterpretq_f32_u32(magnitude), vdupq_n_f32(0x1p14f));
    uint32x4_t subnormal = vsubq_u32(vreinterpretq_u32_f32(shifted), vdupq_n_u32(0x46800000));
    uint32x4_t is_small = vcltq_u32(magnitude, vdupq_n_u32(0x3c800000));
    return vorrq_u32(sign, vbslq_u32(is_small, subnormal, normal));
}

static void float_to_e4m3(const float *w, size_t n, float scale, uint8_t *out)
{
    const float32x4_t divisor = vdupq_n_f32(scale);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        uint32x4_t code[4];
        for (int k = 0; k < 4; k++) code[k] = e4m3_of(vdivq_f32(vld1q_f32(w + i + 4 * k), divisor));
        vst1q_u8(out + i, to_bytes(code));
    }
    scalar->float_to_e4m3(w + i, n - i, scale, out + i);
}

/* As fp16 the bits of an E4M3 shifted by 7 are its value * 2^-8, exactly; 0x7f (NaN) is put right
 * after. */
static void e4m3_to_float(const uint8_t *in, size_t n, float scale, float *out)
{
    const uint16x8_t magnitude_bits = vdupq_n_u16(0x7f), nan = vdupq_n_u16(0x7e00);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint16x8_t wide = vmovl_u8(vld1_u8(in + i));
        uint16x8_t magnitude = vandq_u16(wide, magnitude_bits);
        uint16x8_t half = vshlq_n_u16(magnitude, 7);
        half = vbslq_u16(vceqq_u16(magnitude, magnitude_bits), nan, half);
        half = vorrq_u16(half, vshlq_n_u16(vandq_u16(wide, vdupq_n_u16(0x80)), 8));
        float16x8_t values = vreinterpretq_f16_u16(half);
        float32x4_t low = vmulq_n_f32(vcvt_f32_f16(vget_low_f16(values)), 256.0f);
        float32x4_t high = vmulq_n_f32(vcvt_high_f32_f16(values), 256.0f);
        vst1q_f32(out + i, vmulq_n_f32(low, scale));
        vst1q_f32(out + i + 4, vmulq_n_f32(high, scale));
    }
    scalar->e4m3_to_float(in + i, n - i, scale, out + i);
}

const samp__kernels samp__kernels_neon = {.extreme = extreme,
                                          .magnitudes = magnitudes,
                                          .codebook_pack = codebook_pack,
                                          .codebook_unpack = codebook_unpack,
                                          .round_integers = round_integers,
                                          .round_to_levels = round_to_levels,
                                          .scale_integers = scale_integers,
                                          .fit = fit,
                                          .bf16_to_float = bf16_to_float,
                                          .float_to_bf16 = float_to_bf16,
                                          .fp16_to_float = fp16_to_float,
                                          .float_to_fp16 = float_to_fp16,
                                          .float_to_e4m3 = float_to_e4m3,
                                          .e4m3_to_float = e4m3_to_float};

/* The inner loops in plain C: the definition that the SIMD versions must equal byte for byte. */
#include "format/kernels.h"

#include "base/half.h"

#include <math.h>

static float extreme(const float *w, size_t n)
{
    float low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
    }
    return high >= -low ? high : low;
}

static void magnitudes(const float *w, size_t n, size_t group, uint32_t *out)
{
    for (size_t first = 0; first < n; first += group) {
        uint32_t largest = 0;
        for (size_t i = first; i < n && i < first + group; i++) {
            uint32_t bits = samp_float_bits(w[i]) & 0x7fffffff;
            largest = bits > largest ? bits : largest;
        }
        *out++ = largest;
    }
}

static unsigned nearest_code(float x, const float midpoint[15])
{
    unsigned code = 0;
    for (int i = 0; i < 15; i++) code += x > midpoint[i];
    return code;
}

static void codebook_pack(const float *w, size_t n, size_t group, const float *inv,
                          const samp__codebook *book, int pad, uint8_t *out)
{
    for (size_t i = 0; i < n; i += 2) {
        float factor = inv[i / group];
        unsigned even = nearest_code(w[i] * factor, book->midpoint);
        unsigned odd = i + 1 < n ? nearest_code(w[i + 1] * factor, book->midpoint) : (unsigned)pad;
        out[i / 2] = (uint8_t)(even << 4 | odd);
    }
}

static void codebook_unpack(const uint8_t *packed, size_t n, float scale, const float value[16],
                            float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = value[i % 2 ? packed[i / 2] & 15 : packed[i / 2] >> 4] * scale;
}

static void round_integers(const float *w, size_t n, float inv, float low, float high, int8_t *t)
{
    for (size_t i = 0; i < n; i++) {
        float x = w[i] * inv;
        t[i] = (int8_t)samp__round(x < low ? low : x > high ? high : x);
    }
}

static void round_to_levels(const samp__lut *lut, const float *w, size_t n, float inv, int8_t *t)
{
    for (size_t i = 0; i < n; i++) t[i] = (int8_t)samp__lut_nearest(lut, w[i] * inv);
}

static void scale_integers(const int8_t *t, size_t n, float scale, float *out)
{
    for (size_t i = 0; i < n; i++) out[i] = scale * (float)t[i];
}

enum { LANES = 16 };

static float lane_sum(float lane[LANES])
{
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

static float nearest_level(const samp__levels *levels, float x)
{
    if (levels->value) return levels->value[nearest_code(x, levels->midpoint)];
    if (levels->lut) return samp__lut_nearest(levels->lut, x);
    return samp__round(x < levels->low ? levels->low : x > levels->high ? levels->high : x);
}

static samp__fit fit(const samp__levels *levels, const float *w, const float *h, size_t n,
                     float scale)
{
    float wt[LANES] = {0}, tt[LANES] = {0}, error[LANES] = {0}, inv = 1.0f / scale;
    for (size_t i = 0; i < n; i++) {
        float t = nearest_level(levels, w[i] * inv), ht = h[i] * t, rest = w[i] - scale * t;
        wt[i % LANES] += ht * w[i];
        tt[i % LANES] += ht * t;
        error[i % LANES] += h[i] * rest * rest;
    }
    return (samp__fit){lane_sum(wt), lane_sum(tt), lane_sum(error)};
}

static uint16_t load_u16(const void *in, size_t i)
{
    uint16_t x;
    memcpy(&x, (const uint8_t *)in + 2 * i, sizeof x);
    return x;
}

static void store_u16(void *out, size_t i, uint16_t x)
{
    memcpy((uint8_t *)out + 2 * i, &x, sizeof x);
}

static void bf16_to_float(const void *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) out[i] = samp_bf16_to_float(load_u16(in, i));
}

static void float_to_bf16(const float *in, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) store_u16(out, i, samp_float_to_bf16(in[i]));
}

static void fp16_to_float(const void *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) out[i] = samp_fp16_to_float(load_u16(in, i));
}

static void float_to_fp16(const float *in, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) store_u16(out, i, samp_float_to_fp16(in[i]));
}

static void float_to_e4m3(const float *w, size_t n, float scale, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = samp_float_to_e4m3(w[i] / scale);
}

static void e4m3_to_float(const uint8_t *in, size_t n, float scale, float *out)
{
    for (size_t i = 0; i < n; i++) out[i] = samp_e4m3_to_float(in[i]) * scale;
}

const samp__kernels samp__kernels_scalar = {.extreme = extreme,
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

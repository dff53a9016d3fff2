/* Conversions between float and the 16- and 8-bit floating-point types, in plain C: the definitions
 * that every SIMD conversion must equal. All round to nearest, ties to even. */
#ifndef SAMP_BASE_HALF_H
#define SAMP_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t samp_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float samp_bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* IEEE binary16 -> float, exact; a NaN comes out quiet. */
static inline float samp_fp16_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 31)
        return samp_bits_float(sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0));
    if (exponent) return samp_bits_float(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

/* float -> IEEE binary16; overflow gives infinity, NaN stays NaN (quiet, top payload bits kept). */
static inline uint16_t samp_float_to_fp16(float x)
{
    uint32_t bits = samp_float_bits(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* >= 65520 */
    if (magnitude < 0x38800000) { /* below 2^-14: subnormal; adding 0.5 rounds at 2^-24 */
        float rounded = samp_bits_float(magnitude) + 0.5f;
        return (uint16_t)(sign | (samp_float_bits(rounded) - 0x3f000000));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((rounded - 0x38000000) >> 13));
}

static inline float samp_bf16_to_float(uint16_t b) { return samp_bits_float((uint32_t)b << 16); }

static inline uint16_t samp_float_to_bf16(float x)
{
    uint32_t bits = samp_float_bits(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* FP8 E4M3 (the "FN" kind: no infinity, 0x7f is NaN, largest 448) -> float, exact. */
static inline float samp_e4m3_to_float(uint8_t b)
{
    uint32_t sign = (uint32_t)(b & 0x80) << 24, exponent = b >> 3 & 15, fraction = b & 7;
    if ((b & 0x7f) == 0x7f) return samp_bits_float(sign | 0x7fc00000);
    if (exponent) return samp_bits_float(sign | (exponent + 120) << 23 | fraction << 20);
    float magnitude = (float)fraction * 0x1p-9f;
    return sign ? -magnitude : magnitude;
}

/* float -> FP8 E4M3, saturating at +-448; NaN gives 0x7f with the sign. */
static inline uint8_t samp_float_to_e4m3(float x)
{
    uint32_t bits = samp_float_bits(x), sign = bits >> 24 & 0x80, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint8_t)(sign | 0x7f);
    if (magnitude >= 0x43e00000) return (uint8_t)(sign | 0x7e); /* >= 448 */
    if (magnitude < 0x3c800000) { /* below 2^-6: subnormal; adding 2^14 rounds at 2^-9 */
        float rounded = samp_bits_float(magnitude) + 0x1p14f;
        return (uint8_t)(sign | (samp_float_bits(rounded) - 0x46800000));
    }
    uint32_t rounded = magnitude + 0x7ffff + (magnitude >> 20 & 1);
    uint32_t code = (rounded - 0x3c000000) >> 20;
    return (uint8_t)(sign | (code > 0x7e ? 0x7e : code));
}

#endif

/* The inner loops of this room, one table of functions for each instruction set.
 *
 * kernels_scalar.c is the definition; the others give the same bytes (tests/format/test_kernels.c
 * compares with memcmp). Inputs are finite but where it is said. No pointer needs alignment. */
#ifndef SAMP_FORMAT_KERNELS_H
#define SAMP_FORMAT_KERNELS_H

#include "base/cpu.h"
#include "format/codebook.h"
#include "format/lut.h"

#include <stddef.h>
#include <stdint.h>

/* rint for |x| below 2^22, ties to even, without a call: adding 1.5*2^23 leaves no room for a
 * fraction. */
static inline float samp__round(float x)
{
    const float shift = 0x1.8p23f;
    return (x + shift) - shift;
}

/* The values t that a code can stand for: a 16-entry codebook, the integers of a table of nearest
 * levels, or the integers low … high. */
typedef struct samp__levels {
    const float *value;    /* [16] ascending, or NULL */
    const float *midpoint; /* [15] */
    const samp__lut *lut;  /* or NULL; value and lut NULL: low … high */
    float low, high;
} samp__levels;

/* How well t, the levels nearest to w/scale, fits w; h weighs each square. */
typedef struct samp__fit {
    float wt;    /* sum of h*w*t */
    float tt;    /* sum of h*t*t */
    float error; /* sum of h*(w - scale*t)^2 */
} samp__fit;

typedef struct samp__kernels {
    /* The weight of the largest magnitude, the positive of equals; 0 (positive) when n is 0. */
    float (*extreme)(const float *w, size_t n);
    /* The largest magnitude of every `group` weights (the last group may be short), as float bits: w
     * may be anything, infinity is 0x7f800000 and NaNs are larger. */
    void (*magnitudes)(const float *w, size_t n, size_t group, uint32_t *out);

    /* Code = how many of the 15 ascending midpoints are below w*inv (a tie takes the lower code);
     * two codes a byte, even element in the high nibble. An odd last one is paired with code `pad`.
     * Every `group` weights, an even number, have their own inv. */
    void (*codebook_pack)(const float *w, size_t n, size_t group, const float *inv,
                          const samp__codebook *book, int pad, uint8_t *out);
    /* out = value[code] * scale. */
    void (*codebook_unpack)(const uint8_t *packed, size_t n, float scale, const float value[16],
                            float *out);

    /* t = rint of w*inv clamped to low … high (integers), ties to even. */
    void (*round_integers)(const float *w, size_t n, float inv, float low, float high, int8_t *t);

    /* t = the level nearest to w*inv (lut.h). */
    void (*round_to_levels)(const samp__lut *lut, const float *w, size_t n, float inv, int8_t *t);

    /* out = scale * (float)t */
    void (*scale_integers)(const int8_t *t, size_t n, float scale, float *out);

    /* n is a multiple of 16 (pad with h = 0). Sums run in 16 lanes that are added in halves. */
    samp__fit (*fit)(const samp__levels *levels, const float *w, const float *h, size_t n,
                     float scale);

    void (*bf16_to_float)(const void *in, size_t n, float *out);
    void (*float_to_bf16)(const float *in, size_t n, void *out);
    void (*fp16_to_float)(const void *in, size_t n, float *out);
    void (*float_to_fp16)(const float *in, size_t n, void *out);
    /* out = e4m3(w / scale), saturating. */
    void (*float_to_e4m3)(const float *w, size_t n, float scale, uint8_t *out);
    /* out = float(e4m3) * scale. */
    void (*e4m3_to_float)(const uint8_t *in, size_t n, float scale, float *out);
} samp__kernels;

extern const samp__kernels samp__kernels_scalar, samp__kernels_avx2, samp__kernels_avx512,
    samp__kernels_neon;
/* By level: kernels_x86.c, kernels_arm64.c or kernels_other.c, of which a build has one. */
extern const samp__kernels *const samp__kernels_of[SAMP_CPU_COUNT];

/* The table for this process: the host's level, or what SAMP_CPU forces. (An SAMP_CPU that makes no
 * sense is reported where the program starts; here it counts as unset.) */
const samp__kernels *samp__kernels_get(void);
/* The table of one level, for tests; a level without its own has that of the level below. */
const samp__kernels *samp__kernels_at(samp_cpu_level level);

#endif

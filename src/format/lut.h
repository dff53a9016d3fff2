/* The level nearest to a number, by table: for codebooks of more than 16 values, and for error
 * feedback, which rounds one weight at a time.
 *
 * All levels are integers of -127 … 127, so that every midpoint between two is a multiple of 1/2,
 * and the nearest level is the same for all x in (i/2 - 1/2, i/2]: entry i + 254 of a table of 509.
 * A tie takes the lower level. */
#ifndef SAMP_FORMAT_LUT_H
#define SAMP_FORMAT_LUT_H

#include <stdint.h>

enum { SAMP__LUT_SIZE = 509, SAMP__LUT_ZERO = 254 };

typedef struct samp__lut {
    float value[SAMP__LUT_SIZE]; /* the nearest level of x at index ceil(2*clamp(x)) + 254 */
} samp__lut;

/* level [n] ascending integers of -127 … 127, n > 0. */
void samp__lut_fill(samp__lut *lut, const float *level, int n);
/* All integers low … high. */
void samp__lut_fill_range(samp__lut *lut, int low, int high);

static inline int samp__lut_index(float x)
{
    float twice = 2 * (x < -127 ? -127 : x > 127 ? 127 : x);
    int i = (int)twice; /* toward zero */
    return i + ((float)i < twice) + SAMP__LUT_ZERO;
}

static inline float samp__lut_nearest(const samp__lut *lut, float x)
{
    return lut->value[samp__lut_index(x)];
}

#endif

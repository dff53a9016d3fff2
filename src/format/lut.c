/* The table of nearest levels (lut.h). */
#include "format/lut.h"

void samp__lut_fill(samp__lut *lut, const float *level, int n)
{
    int nearest = 0;
    for (int i = 0; i < SAMP__LUT_SIZE; i++) {
        float x = (float)(i - SAMP__LUT_ZERO) / 2;
        while (nearest + 1 < n && x > (level[nearest] + level[nearest + 1]) / 2) nearest++;
        lut->value[i] = level[nearest];
    }
}

void samp__lut_fill_range(samp__lut *lut, int low, int high)
{
    float level[255];
    for (int t = low; t <= high; t++) level[t - low] = (float)t;
    samp__lut_fill(lut, level, high - low + 1);
}

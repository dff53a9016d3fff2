/* exp without branches, for loops the compiler vectorises (in files built with -fno-trapping-math:
 * CMakeLists.txt). Not the exp of backend/numerics.h: what is computed with it (statistics,
 * chances) need not be that one. Nothing is fused, so that it is the same everywhere. */
#ifndef SAMP_BASE_FAST_EXP_H
#define SAMP_BASE_FAST_EXP_H

#include "base/clones.h"

#include <stdint.h>
#include <string.h>

/* x is clamped to -87 … 88; relative error below 3e-7. */
static inline float samp_fast_exp(float x)
{
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* to the nearest integer */
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

#endif

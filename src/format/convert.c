/* Array conversions: the dispatch behind convert.h. */
#include "format/convert.h"

#include "base/half.h"
#include "format/kernels.h"

#include <string.h>

void samp_bf16_to_floats(const void *in, size_t n, float *out)
{
    samp__kernels_get()->bf16_to_float(in, n, out);
}

void samp_bf16_from_floats(const float *in, size_t n, void *out)
{
    samp__kernels_get()->float_to_bf16(in, n, out);
}

void samp_fp16_to_floats(const void *in, size_t n, float *out)
{
    samp__kernels_get()->fp16_to_float(in, n, out);
}

void samp_fp16_from_floats(const float *in, size_t n, void *out)
{
    samp__kernels_get()->float_to_fp16(in, n, out);
}

void samp_e4m3_to_floats(const void *in, size_t n, float *out)
{
    samp__kernels_get()->e4m3_to_float(in, n, 1.0f, out);
}

/* Without the sign, 16-bit floats are in the order of their bits: compilers vectorize this. */
static uint16_t largest_of_halves(const void *in, size_t n)
{
    int16_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        int16_t bits;
        memcpy(&bits, (const uint8_t *)in + 2 * i, sizeof bits);
        bits &= 0x7fff;
        largest = bits > largest ? bits : largest;
    }
    return (uint16_t)largest;
}

uint32_t samp_magnitude_bits(samp_dtype dtype, const void *in, size_t n)
{
    if (dtype == SAMP_F16) return samp_float_bits(samp_fp16_to_float(largest_of_halves(in, n)));
    if (dtype == SAMP_BF16) return samp_float_bits(samp_bf16_to_float(largest_of_halves(in, n)));
    uint32_t bits = 0;
    samp__kernels_get()->magnitudes(in, n, n, &bits);
    return bits;
}

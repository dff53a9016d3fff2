/* Array conversions: the dispatch behind convert.h. */
#include "format/convert.h"

#include "format/kernels.h"

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

uint32_t samp_floats_magnitude(const float *w, size_t n)
{
    uint32_t bits = 0;
    samp__kernels_get()->magnitudes(w, n, n, &bits);
    return bits;
}

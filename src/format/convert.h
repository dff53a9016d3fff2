/* Arrays of bf16, fp16 and fp8 to floats and back: base/half.h's definitions at the speed of the
 * host's instruction set. The narrow side may lie at any byte, as tensors in a mapped file do. */
#ifndef SAMP_FORMAT_CONVERT_H
#define SAMP_FORMAT_CONVERT_H

#include "format/dtype.h"

void samp_bf16_to_floats(const void *in, size_t n, float *out);
void samp_bf16_from_floats(const float *in, size_t n, void *out);
void samp_fp16_to_floats(const void *in, size_t n, float *out);
void samp_fp16_from_floats(const float *in, size_t n, void *out); /* beyond 65504: infinity */
void samp_e4m3_to_floats(const void *in, size_t n, float *out);
/* The largest magnitude of n numbers of type F32, F16 or BF16, as a float's bits: 0x7f800000 and more
 * when one is not finite. */
uint32_t samp_magnitude_bits(samp_dtype dtype, const void *in, size_t n);

#endif

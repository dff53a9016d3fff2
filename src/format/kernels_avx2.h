/* The AVX2 functions that the AVX-512 table uses too: they are as fast as memory is. */
#ifndef SAMP_FORMAT_KERNELS_AVX2_H
#define SAMP_FORMAT_KERNELS_AVX2_H

#include "format/kernels.h"

float samp__avx2_extreme(const float *w, size_t n);
void samp__avx2_magnitudes(const float *w, size_t n, size_t group, uint32_t *out);
void samp__avx2_codebook_unpack(const uint8_t *packed, size_t n, float scale, const float value[16],
                                float *out);
void samp__avx2_round_integers(const float *w, size_t n, float inv, float low, float high,
                               int8_t *t);
void samp__avx2_round_to_levels(const samp__lut *lut, const float *w, size_t n, float inv,
                                int8_t *t);
void samp__avx2_scale_integers(const int8_t *t, size_t n, float scale, float *out);
void samp__avx2_bf16_to_float(const void *in, size_t n, float *out);
void samp__avx2_float_to_bf16(const float *in, size_t n, void *out);
void samp__avx2_fp16_to_float(const void *in, size_t n, float *out);
void samp__avx2_float_to_fp16(const float *in, size_t n, void *out);
void samp__avx2_float_to_e4m3(const float *w, size_t n, float scale, uint8_t *out);
void samp__avx2_e4m3_to_float(const uint8_t *in, size_t n, float scale, float *out);

#endif

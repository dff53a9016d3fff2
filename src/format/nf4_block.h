/* The steps of NF4 that nf4.c, nf4_nest.c and nf4_format.c share. */
#ifndef SAMP_FORMAT_NF4_BLOCK_H
#define SAMP_FORMAT_NF4_BLOCK_H

#include "format/kernels.h"

/* Fills and returns out: midpoints of the code table as bitsandbytes rounds them, (a + b) / 2 in
 * float. */
const float *samp__nf4_midpoints(float out[15]);

/* n (1 … 64) weights -> ceil(n/2) bytes of codes; returns absmax as bitsandbytes stores it. */
float samp__nf4_block(const samp__kernels *kernels, const float midpoint[15], const float *w,
                      uint64_t n, uint8_t *codes);
/* The same with a given 1/scale of either sign. */
void samp__nf4_pack(const samp__kernels *kernels, const float midpoint[15], const float *w,
                    uint64_t n, float inv, uint8_t *codes);

/* x - offset in blocks of 256 -> codes of the signed dynamic map and absmax of each block. When the
 * offset is 0 this is bitsandbytes' blockwise 8-bit quantization. */
void samp__dynamic8_encode(const float *x, uint64_t n, float offset, uint8_t *codes, float *absmax);

/* nested_offset of a text that samp_nf4_state_read has accepted, without allocating; 0 when absent.
 */
float samp__nf4_state_offset(const void *text, uint64_t n);

#endif

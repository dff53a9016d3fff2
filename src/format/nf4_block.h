/* The steps of NF4 that nf4.c, nf4_nest.c and nf4_format.c share. */
#ifndef SAMP_FORMAT_NF4_BLOCK_H
#define SAMP_FORMAT_NF4_BLOCK_H

#include "format/dtype.h"
#include "format/kernels.h"

/* The code table; its midpoints are as bitsandbytes rounds them, (a + b) / 2 in float. */
void samp__nf4_codebook(samp__codebook *out);

/* Blocks of n numbers of type F32, F16 or BF16, the last may be short -> ceil(n/2) bytes of codes, and
 * each block's absmax as bitsandbytes stores it (floats at any byte). 16 bits are widened a few blocks
 * at a time, so that the floats stay in the first cache. Returns the largest magnitude as a float's bits;
 * what was written is of no use when that is not finite. */
uint32_t samp__nf4_blocks(const samp__kernels *kernels, const samp__codebook *book,
                          samp_dtype dtype, const void *w, uint64_t n, uint8_t *codes,
                          void *absmax);
/* The same with given scales' inverses, of either sign: one a block, or one for all when n is short. */
void samp__nf4_pack(const samp__kernels *kernels, const samp__codebook *book, const float *w,
                    uint64_t n, const float *inv, uint8_t *codes);

/* x - offset in blocks of 256 -> codes of the signed dynamic map and absmax of each block. When the
 * offset is 0 this is bitsandbytes' blockwise 8-bit quantization. */
void samp__dynamic8_encode(const float *x, uint64_t n, float offset, uint8_t *codes, float *absmax);

/* nested_offset of a text that samp_nf4_state_read has accepted, without allocating; 0 when absent.
 */
float samp__nf4_state_offset(const void *text, uint64_t n);

#endif

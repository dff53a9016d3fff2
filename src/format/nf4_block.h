/* One NF4 block, for the table rows of nf4_format.c and the flat functions of nf4.c. */
#ifndef SAMP_FORMAT_NF4_BLOCK_H
#define SAMP_FORMAT_NF4_BLOCK_H

#include "format/kernels.h"

/* n (1 … 64) weights -> ceil(n/2) bytes of codes; returns absmax as bitsandbytes stores it. */
float samp__nf4_block(const samp__kernels *kernels, const float *w, uint64_t n, uint8_t *codes);
/* The same with a given 1/scale of either sign. */
void samp__nf4_pack(const samp__kernels *kernels, const float *w, uint64_t n, float inv,
                    uint8_t *codes);

#endif

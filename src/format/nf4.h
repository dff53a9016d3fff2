/* NF4 exactly as bitsandbytes makes it, over a flat array: for tests against its golden vectors, and for
 * readers of its files. Matrices use the table of format.h. */
#ifndef SAMP_FORMAT_NF4_H
#define SAMP_FORMAT_NF4_H

#include "base/error.h"

#include <stdint.h>

enum { SAMP_NF4_BLOCK = 64, SAMP_NF4_NESTED_BLOCK = 256 };

extern const float samp_nf4_code[16];       /* code value of each 4-bit code */
extern const float samp_nf4_nested_map[256]; /* signed dynamic map of the double quantization */

/* n floats -> ceil(n/2) bytes (even element in the high nibble) and ceil(n/64) absmax. n may be any number. */
void samp_nf4_encode(const float *w, uint64_t n, uint8_t *codes, float *absmax);
void samp_nf4_decode(const uint8_t *codes, const float *absmax, uint64_t n, float *out);
/* Double quantization of n_blocks absmax: codes u8, one float a 256 blocks, and the offset (their mean). */
void samp_nf4_nest(const float *absmax, uint64_t n_blocks, uint8_t *codes, float *nested_absmax, float *offset);
void samp_nf4_unnest(const uint8_t *codes, const float *nested_absmax, float offset, uint64_t n_blocks, float *absmax);

#endif

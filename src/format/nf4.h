/* NF4 exactly as bitsandbytes makes it on a CPU (0.50.2, AVX2 host), over a flat array: for tests
 * against its golden vectors, and for readers of its files. Matrices use the table of format.h.
 *
 * Two of its results depend on its machine, and GPUs give others: the offset is PyTorch's mean,
 * whose order of summation follows the vector width (here 8 lanes), and its CPU double quantization
 * looks codes up on a grid of 65,536 points instead of finding the nearest. Both are reproduced as
 * they are. */
#ifndef SAMP_FORMAT_NF4_H
#define SAMP_FORMAT_NF4_H

#include "base/error.h"
#include "format/dtype.h"

#include <stdbool.h>
#include <stdint.h>

enum { SAMP_NF4_BLOCK = 64, SAMP_NF4_NESTED_BLOCK = 256 };

extern const float samp_nf4_code[16];        /* code value of each 4-bit code */
extern const float samp_nf4_nested_map[256]; /* signed dynamic map of the double quantization */

/* n floats -> ceil(n/2) bytes (even element in the high nibble) and ceil(n/64) absmax. n may be any
 * number. */
void samp_nf4_encode(const float *w, uint64_t n, uint8_t *codes, float *absmax);
void samp_nf4_decode(const uint8_t *codes, const float *absmax, uint64_t n, float *out);
/* Double quantization of n_blocks absmax: codes u8, one float a 256 blocks, and the offset (their
 * mean). */
void samp_nf4_nest(const float *absmax, uint64_t n_blocks, uint8_t *codes, float *nested_absmax,
                   float *offset);
void samp_nf4_unnest(const uint8_t *codes, const float *nested_absmax, float offset,
                     uint64_t n_blocks, float *absmax);

/* ---- The quant_state part: what bitsandbytes keeps beside the tensors, as JSON text
 * ------------------
 * {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [R, C]} and, when nested,
 * also "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": X, byte for byte as
 * Python prints it, but for one thing: the length of X is not known before the last weight is, and
 * a file's layout must be, so the text is padded with spaces after the closing brace up to the
 * length of the longest X. JSON readers skip them. */
typedef struct samp_nf4_state {
    uint64_t rows, cols;
    samp_dtype dtype; /* what readers decode to: SAMP_F32, SAMP_F16 or SAMP_BF16 (ours) */
    bool nested;
    float offset; /* when nested */
} samp_nf4_state;

/* Bytes of the padded text; depends on everything but the offset. */
uint64_t samp_nf4_state_bytes(const samp_nf4_state *state);
/* Writes exactly that many bytes (no NUL). */
void samp_nf4_state_write(const samp_nf4_state *state, void *out);
/* Reads n bytes of such text, also bitsandbytes' own (shape of any rank: rows = the first
 * dimension, cols = the product of the others); `name` is the tensor's, for messages. */
samp_status samp_nf4_state_read(const void *text, uint64_t n, const char *name, samp_nf4_state *out,
                                samp_error *error);

#endif

/* The tensor types of GGUF: one list with sizes, and decoding of those samp reads to float. */
#ifndef SAMP_FILE_GGUF_BLOCKS_H
#define SAMP_FILE_GGUF_BLOCKS_H

#include <stdint.h>

/* blocks: n_blocks of the type, as in the file; out [n_blocks][values of a block] */
typedef void samp_gguf_decode(const unsigned char *blocks, uint64_t n_blocks, float *out);

typedef struct samp_gguf_type {
    uint32_t number; /* in the file */
    const char *name;
    uint32_t block;           /* values */
    uint32_t bytes;           /* of a block */
    samp_gguf_decode *decode; /* NULL: only the size is known */
} samp_gguf_type;

/* NULL for a number that is not, or no longer, a type. */
const samp_gguf_type *samp_gguf_type_find(uint32_t number);

#endif

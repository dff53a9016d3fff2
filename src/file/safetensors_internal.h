/* What reader and writer of safetensors must agree on. */
#ifndef SAMP_FILE_SAFETENSORS_INTERNAL_H
#define SAMP_FILE_SAFETENSORS_INTERNAL_H

#include "base/memory.h"
#include "file/safetensors.h"

enum {
    SAMP_ST_LENGTH_BYTES = 8,
    SAMP_ST_HEADER_MAX = 100000000,
    SAMP_ST_TENSORS_MAX = 1000000,
    SAMP_ST_METADATA_MAX = 65536
};

/* Bits of a tensor; false when they are more than 2^64 on the way. Multiplied from the left, as the
 * Rust library does: an overflow before a dimension of 0 is still one. */
static inline bool samp__tensor_bits(samp_dtype dtype, int rank, const uint64_t *shape,
                                     uint64_t *bits)
{
    *bits = 1;
    for (int i = 0; i < rank; i++)
        if (!samp_mul(*bits, shape[i], bits)) return false;
    return samp_mul(*bits, samp_dtype_bits(dtype), bits);
}

#endif

/* The element types a safetensors file can hold: one list. */
#ifndef SAMP_FORMAT_DTYPE_H
#define SAMP_FORMAT_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* id, name in the file, bits */
#define SAMP_DTYPE_LIST(X)                                                                         \
    X(BOOL, "BOOL", 8)                                                                             \
    X(U8, "U8", 8)                                                                                 \
    X(I8, "I8", 8)                                                                                 \
    X(F8_E5M2, "F8_E5M2", 8)                                                                       \
    X(F8_E4M3, "F8_E4M3", 8)                                                                       \
    X(F8_E8M0, "F8_E8M0", 8)                                                                       \
    X(I16, "I16", 16)                                                                              \
    X(U16, "U16", 16)                                                                              \
    X(F16, "F16", 16)                                                                              \
    X(BF16, "BF16", 16)                                                                            \
    X(I32, "I32", 32)                                                                              \
    X(U32, "U32", 32)                                                                              \
    X(F32, "F32", 32)                                                                              \
    X(C64, "C64", 64)                                                                              \
    X(F64, "F64", 64)                                                                              \
    X(I64, "I64", 64)                                                                              \
    X(U64, "U64", 64)                                                                              \
    X(F4, "F4", 4)                                                                                 \
    X(F6_E2M3, "F6_E2M3", 6)                                                                       \
    X(F6_E3M2, "F6_E3M2", 6)

typedef enum samp_dtype {
#define X(id, name, bits) SAMP_##id,
    SAMP_DTYPE_LIST(X)
#undef X
        SAMP_DTYPE_COUNT
} samp_dtype;

const char *samp_dtype_name(samp_dtype dtype);
unsigned samp_dtype_bits(samp_dtype dtype);
/* name[0..n) -> dtype; false when unknown. Case matters, as in the file format. */
bool samp_dtype_parse(const char *name, size_t n, samp_dtype *out);

#endif

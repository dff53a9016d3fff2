/* What the files of this room share: the full row of a format, and how a layout is built.
 *
 * A family's file (float.c, fp8.c, …) defines one samp__format_entry for each of its formats;
 * format.c gathers them by SAMP_FORMAT_LIST. Parts come from memory-mapped files, where a tensor
 * may start at any byte: numbers wider than a byte are read and written with the helpers below,
 * never through a cast. */
#ifndef SAMP_FORMAT_ENTRY_H
#define SAMP_FORMAT_ENTRY_H

#include "format/format.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are little-endian in files and are read in place"
#endif

typedef struct samp__format_entry {
    samp_format format;
    /* The integer form (format.h). integer_group is NULL for formats without one. */
    int (*integer_group)(const samp_layout *layout);
    void (*integer_form)(const samp_layout *layout, const void *const parts[], uint64_t row0,
                         uint64_t n_rows, samp_integer_rows *out);
    void (*row_form)(const samp_layout *layout, const void *const parts[], uint64_t row0,
                     uint64_t n_rows, float *w, float *scale); /* NULL: none */
    const int8_t *codebook; /* [1 << code_bits] t by code, NULL unless codes are indices */
} samp__format_entry;

#define X(id, name, table) extern const samp__format_entry table;
SAMP_FORMAT_LIST(X)
#undef X

/* Sizes up to these keep every product in this room below 2^64. */
#define SAMP__SIDE_MAX   ((uint64_t)1 << 32)
#define SAMP__WEIGHT_MAX ((uint64_t)1 << 44)

/* Starts a layout: refuses empty and oversized shapes. */
samp_status samp__layout_begin(samp_layout *out, uint64_t rows, uint64_t cols, samp_error *error);
/* Appends a part; rank 1 when shape1 is 0, rank 0 (one number) when both are. */
void samp__layout_add(samp_layout *out, const char *suffix, samp_dtype dtype, uint64_t shape0,
                      uint64_t shape1);

static inline float samp__load_f32(const void *base, uint64_t i)
{
    float x;
    memcpy(&x, (const uint8_t *)base + 4 * i, sizeof x);
    return x;
}

static inline void samp__store_f32(void *base, uint64_t i, float x)
{
    memcpy((uint8_t *)base + 4 * i, &x, sizeof x);
}

/* Every one of the n floats of a part is finite and in low … high. */
samp_status samp__check_scales(const void *part, uint64_t n, float low, float high,
                               const char *name, const char *suffix, samp_error *error);

#endif

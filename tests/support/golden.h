/* Reads the array files of tests/golden (container: tools/golden_file.py) into memory. */
#ifndef SAMP_TESTS_SUPPORT_GOLDEN_H
#define SAMP_TESTS_SUPPORT_GOLDEN_H

#include "support/cmocka_all.h"

#include "base/half.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct golden_file {
    uint8_t *bytes;
    size_t size;
} golden_file;

/* One entry, pointing into the file's bytes. */
typedef struct golden_array {
    uint32_t dtype; /* 0 u8, 1 i8, 2 f16, 3 bf16, 4 f32, 5 i32, 6 f64 */
    uint64_t n;
    uint64_t n_bytes;
    const uint8_t *data; /* 8-byte aligned */
} golden_array;

/* name: "nf4/gauss_f32", without ".bin". */
static inline golden_file golden_open(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.bin", SAMP_GOLDEN, name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be opened", path);
    fseek(file, 0, SEEK_END);
    golden_file out = {.size = (size_t)ftell(file)};
    rewind(file);
    out.bytes = malloc(out.size);
    assert_non_null(out.bytes);
    assert_int_equal(fread(out.bytes, 1, out.size, file), out.size);
    fclose(file);
    assert_memory_equal(out.bytes, "SAMPGOLD", 8);
    return out;
}

static inline golden_array golden_get(const golden_file *file, const char *name)
{
    uint32_t n_entries;
    memcpy(&n_entries, file->bytes + 12, 4);
    size_t at = 16;
    for (uint32_t i = 0; i < n_entries; i++) {
        golden_array out;
        const uint8_t *head = file->bytes + at;
        memcpy(&out.dtype, head + 48, 4);
        memcpy(&out.n, head + 56, 8);
        memcpy(&out.n_bytes, head + 64, 8);
        out.data = head + 72;
        if (strcmp((const char *)head, name) == 0) return out;
        at += 72 + (out.n_bytes + 7) / 8 * 8;
    }
    fail_msg("no entry '%s'", name);
    return (golden_array){0};
}

/* A float array of any of the float types, widened; to be freed. */
static inline float *golden_floats(const golden_array *array)
{
    float *out = malloc((array->n + 1) * sizeof *out);
    assert_non_null(out);
    for (uint64_t i = 0; i < array->n; i++) {
        uint16_t h = 0;
        if (array->dtype != 4) memcpy(&h, array->data + 2 * i, 2);
        if (array->dtype == 4)
            memcpy(&out[i], array->data + 4 * i, 4);
        else
            out[i] = array->dtype == 2 ? samp_fp16_to_float(h) : samp_bf16_to_float(h);
    }
    return out;
}

#endif

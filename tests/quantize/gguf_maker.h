/* Writes small GGUF files (version 3) for tests of the import: metadata and F32 tensors. */
#ifndef TESTS_QUANTIZE_GGUF_MAKER_H
#define TESTS_QUANTIZE_GGUF_MAKER_H

#include "base/buffer.h"

#include <stdint.h>
#include <string.h>

enum {
    GGUF_U32 = 4,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_ALIGN = 32
};

typedef struct gguf_maker {
    samp_buffer metadata, infos, data;
    uint64_t n_keys, n_tensors;
} gguf_maker;

static inline void put_u32(samp_buffer *out, uint32_t x) { samp_buffer_append(out, &x, sizeof x); }

static inline void put_u64(samp_buffer *out, uint64_t x) { samp_buffer_append(out, &x, sizeof x); }

static inline void put_string(samp_buffer *out, const char *text)
{
    put_u64(out, strlen(text));
    samp_buffer_text(out, text);
}

static inline void gguf_key(gguf_maker *gguf, const char *key, uint32_t type)
{
    put_string(&gguf->metadata, key);
    put_u32(&gguf->metadata, type);
    gguf->n_keys++;
}

static inline void gguf_u32(gguf_maker *gguf, const char *key, uint32_t value)
{
    gguf_key(gguf, key, GGUF_U32);
    put_u32(&gguf->metadata, value);
}

static inline void gguf_f32(gguf_maker *gguf, const char *key, float value)
{
    gguf_key(gguf, key, GGUF_F32);
    samp_buffer_append(&gguf->metadata, &value, sizeof value);
}

static inline void gguf_text(gguf_maker *gguf, const char *key, const char *value)
{
    gguf_key(gguf, key, GGUF_STRING);
    put_string(&gguf->metadata, value);
}

static inline void gguf_texts(gguf_maker *gguf, const char *key, const char *const *values,
                              size_t n)
{
    gguf_key(gguf, key, GGUF_ARRAY);
    put_u32(&gguf->metadata, GGUF_STRING);
    put_u64(&gguf->metadata, n);
    for (size_t i = 0; i < n; i++) put_string(&gguf->metadata, values[i]);
}

static inline void gguf_u32s(gguf_maker *gguf, const char *key, const uint32_t *values, size_t n)
{
    gguf_key(gguf, key, GGUF_ARRAY);
    put_u32(&gguf->metadata, 5); /* INT32 */
    put_u64(&gguf->metadata, n);
    samp_buffer_append(&gguf->metadata, values, n * sizeof *values);
}

/* rows 0 = a vector */
static inline void gguf_tensor(gguf_maker *gguf, const char *name, uint64_t rows, uint64_t cols,
                               const float *values)
{
    static const char zeros[GGUF_ALIGN];
    put_string(&gguf->infos, name);
    put_u32(&gguf->infos, rows ? 2 : 1);
    put_u64(&gguf->infos, cols);
    if (rows) put_u64(&gguf->infos, rows);
    put_u32(&gguf->infos, 0); /* F32 */
    put_u64(&gguf->infos, gguf->data.length);
    samp_buffer_append(&gguf->data, values, (rows ? rows : 1) * cols * sizeof *values);
    samp_buffer_append(&gguf->data, zeros,
                       (GGUF_ALIGN - gguf->data.length % GGUF_ALIGN) % GGUF_ALIGN);
    gguf->n_tensors++;
}

/* The whole file; the maker is released. */
static inline samp_buffer gguf_finish(gguf_maker *gguf)
{
    static const char zeros[GGUF_ALIGN];
    samp_buffer out = {0};
    samp_buffer_text(&out, "GGUF");
    put_u32(&out, 3);
    put_u64(&out, gguf->n_tensors);
    put_u64(&out, gguf->n_keys);
    samp_buffer_append(&out, gguf->metadata.data, gguf->metadata.length);
    samp_buffer_append(&out, gguf->infos.data, gguf->infos.length);
    samp_buffer_append(&out, zeros, (GGUF_ALIGN - out.length % GGUF_ALIGN) % GGUF_ALIGN);
    samp_buffer_append(&out, gguf->data.data, gguf->data.length);
    samp_buffer_release(&gguf->metadata);
    samp_buffer_release(&gguf->infos);
    samp_buffer_release(&gguf->data);
    return out;
}

#endif

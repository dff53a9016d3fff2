/* GGUF: header, tensor list and decoded rows. Everything is checked once, at opening: every count
 * against the bytes left, every tensor against the file, names against duplicates, tensors against
 * each other. Keys and values are in gguf_metadata.c, the bytes in gguf_reader.c, the decoding in
 * gguf_blocks.c. The samp_gguf owns its file and, in one arena, names and tensors. */
#include "file/gguf_blocks.h"
#include "file/gguf_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEYS_MAX = 65536,
    TENSORS_MAX = 1000000,
    NAME_BYTES_MAX = 512,
    RANK_MAX = 4,
    KEY_BYTES_MIN = 13,   /* empty key, type, one byte */
    TENSOR_BYTES_MIN = 33 /* one-byte name, rank 1, type, offset */
};

/* Bytes of a tensor from its type and shape, everything checked. */
static bool size_tensor(samp_gguf_reader *reader, samp_gguf_tensor *tensor)
{
    const samp_gguf_type *type = samp_gguf_type_find(tensor->type);
    uint64_t n = 1;
    bool fits = true;
    if (!type) {
        samp_cursor_fail(&reader->window, SAMP_UNSUPPORTED, "tensor %s has the unknown type %u",
                         tensor->name, tensor->type);
        return false;
    }
    tensor->type_name = type->name;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0)
            samp_cursor_fail(&reader->window, SAMP_CORRUPT, "tensor %s has a dimension of 0",
                             tensor->name);
        fits = fits && samp_mul(n, tensor->shape[i], &n);
    }
    if (tensor->shape[0] % type->block)
        samp_cursor_fail(&reader->window, SAMP_CORRUPT,
                         "tensor %s has rows of %" PRIu64
                         " values, expected a multiple of %u for %s",
                         tensor->name, tensor->shape[0], type->block, type->name);
    fits = fits && samp_mul(n / type->block, type->bytes, &tensor->bytes) && n <= INT64_MAX;
    if (!fits)
        samp_cursor_fail(&reader->window, SAMP_CORRUPT,
                         "the shape of tensor %s asks for more than 2^63 values", tensor->name);
    return reader->window.status == SAMP_OK;
}

static bool read_tensor(samp_gguf *gguf, samp_gguf_reader *reader, samp_gguf_tensor *tensor)
{
    tensor->name = samp__gguf_read_name(gguf, reader, NAME_BYTES_MAX, "a tensor name");
    uint64_t rank = samp_gguf_reader_integer(reader, 4, "the rank of a tensor");
    if (reader->window.status != SAMP_OK) return false;
    if (rank < 1 || rank > RANK_MAX) {
        samp_cursor_fail(&reader->window, SAMP_CORRUPT,
                         "tensor %s has rank %" PRIu64 ", expected 1 to %d", tensor->name, rank,
                         RANK_MAX);
        return false;
    }
    tensor->rank = (int)rank;
    for (int i = 0; i < RANK_MAX; i++)
        tensor->shape[i] =
            i < tensor->rank ? samp_gguf_reader_integer(reader, 8, "a dimension") : 1;
    tensor->type = (uint32_t)samp_gguf_reader_integer(reader, 4, "a tensor type");
    tensor->offset = samp_gguf_reader_integer(reader, 8, "a tensor offset");
    return reader->window.status == SAMP_OK && size_tensor(reader, tensor);
}

static bool read_tensors(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t n)
{
    gguf->tensors = samp_arena_alloc(&gguf->arena, n, sizeof *gguf->tensors);
    if (!gguf->tensors) samp_cursor_fail(&reader->window, SAMP_NOMEM, "out of memory for tensors");
    for (uint64_t i = 0; gguf->tensors && i < n; i++, gguf->n_tensors++) {
        if (!read_tensor(gguf, reader, &gguf->tensors[i])) return false;
        if (samp_names_add(&gguf->names, gguf->tensors[i].name, (uint32_t)i, NULL) != SAMP_OK)
            samp_cursor_fail(&reader->window, SAMP_NOMEM, "out of memory for tensors");
    }
    const char *twice = reader->window.status == SAMP_OK ? samp_names_sort(&gguf->names) : NULL;
    if (twice) samp_cursor_fail(&reader->window, SAMP_CORRUPT, "tensor %s is there twice", twice);
    return reader->window.status == SAMP_OK;
}

static int compare_places(const void *a, const void *b)
{
    const samp_gguf_tensor *x = *(const samp_gguf_tensor *const *)a,
                           *y = *(const samp_gguf_tensor *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static samp_status check_overlap(samp_gguf *gguf, samp_error *error)
{
    if (gguf->n_tensors < 2) return SAMP_OK;
    const samp_gguf_tensor **order = samp_realloc(NULL, gguf->n_tensors, sizeof *order);
    if (!order) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for tensors", gguf->where);
    for (size_t i = 0; i < gguf->n_tensors; i++) order[i] = &gguf->tensors[i];
    qsort(order, gguf->n_tensors, sizeof *order, compare_places);
    samp_status status = SAMP_OK;
    for (size_t i = 1; status == SAMP_OK && i < gguf->n_tensors; i++)
        if (order[i]->offset - order[i - 1]->offset < order[i - 1]->bytes)
            status = samp_fail(error, SAMP_CORRUPT, "%s: tensors %s and %s overlap", gguf->where,
                               order[i - 1]->name, order[i]->name);
    samp_free(order);
    return status;
}

/* Offsets from the start of the data become offsets in the file; each tensor must lie in it. */
static samp_status place_tensors(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t file_size,
                                 samp_error *error)
{
    uint64_t alignment = samp__gguf_alignment(gguf, &reader->window);
    if (alignment == 0) return reader->window.status;
    uint64_t start = samp_round_up(samp_gguf_reader_at(reader), alignment);
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        samp_gguf_tensor *tensor = &gguf->tensors[i];
        uint64_t begin, end;
        if (tensor->offset % alignment)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: tensor %s is at offset %" PRIu64
                             ", expected a multiple of %" PRIu64,
                             gguf->where, tensor->name, tensor->offset, alignment);
        if (!samp_add(start, tensor->offset, &begin) || !samp_add(begin, tensor->bytes, &end) ||
            end > file_size)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: tensor %s (%" PRIu64 " bytes at offset %" PRIu64
                             " of the data) lies past the end of "
                             "the file (%" PRIu64 " bytes); it is truncated",
                             gguf->where, tensor->name, tensor->bytes, tensor->offset, file_size);
        tensor->offset = begin;
    }
    return check_overlap(gguf, error);
}

static bool check_version(samp_gguf_reader *reader)
{
    samp_cursor *window = &reader->window;
    char magic[4] = {0};
    if (!samp_gguf_reader_copy(reader, magic, sizeof magic, "the magic \"GGUF\"")) return false;
    if (memcmp(magic, "GGUF", sizeof magic) != 0) {
        samp_cursor_fail(window, SAMP_CORRUPT,
                         "the file does not start with \"GGUF\", so it is not a GGUF file");
        return false;
    }
    uint32_t version = (uint32_t)samp_gguf_reader_integer(reader, 4, "the version");
    if (window->status == SAMP_OK && version != 0 && (version & 0xffff) == 0)
        samp_cursor_fail(window, SAMP_UNSUPPORTED,
                         "the file is big-endian, only little-endian GGUF is read");
    else if (window->status == SAMP_OK && version != 2 && version != 3)
        samp_cursor_fail(window, SAMP_UNSUPPORTED, "GGUF version %u, only 2 and 3 are read",
                         version);
    return window->status == SAMP_OK;
}

/* A count that even the smallest items could not fill from the bytes left is a lie. */
static uint64_t read_count(samp_gguf_reader *reader, uint64_t max, const char *what)
{
    uint64_t n = samp_gguf_reader_integer(reader, 8, what);
    if (reader->window.status == SAMP_OK && n > max)
        samp_cursor_fail(&reader->window, SAMP_LIMIT,
                         "%s is %" PRIu64 ", at most %" PRIu64 " are accepted", what, n, max);
    return n;
}

static samp_status read_all(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t file_size,
                            samp_error *error)
{
    samp_cursor *window = &reader->window;
    if (!check_version(reader)) return window->status;
    uint64_t n_tensors = read_count(reader, TENSORS_MAX, "the number of tensors");
    uint64_t n_keys = read_count(reader, KEYS_MAX, "the number of metadata keys");
    uint64_t left = samp_gguf_reader_left(reader);
    if (window->status == SAMP_OK && n_keys * KEY_BYTES_MIN + n_tensors * TENSOR_BYTES_MIN > left)
        samp_cursor_fail(window, SAMP_CORRUPT,
                         "%" PRIu64 " keys and %" PRIu64 " tensors cannot lie in the %" PRIu64
                         " bytes left",
                         n_keys, n_tensors, left);
    if (window->status != SAMP_OK) return window->status;
    if (!samp__gguf_read_metadata(gguf, reader, n_keys) || !read_tensors(gguf, reader, n_tensors))
        return window->status;
    return place_tensors(gguf, reader, file_size, error);
}

/* Takes file over. */
static samp_status parse(samp_gguf **out, samp_file *file, const void *bytes, uint64_t n,
                         uint64_t file_size, const char *where, samp_error *error)
{
    *out = NULL;
    samp_gguf *gguf = samp_alloc(1, sizeof *gguf);
    char *name = gguf ? samp_strdup(where) : NULL;
    if (!name) {
        samp_free(gguf);
        samp_file_close(file);
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory while opening it", where);
    }
    gguf->file = file;
    gguf->where = name;
    samp_gguf_reader reader;
    samp_status status = samp_gguf_reader_init(&reader, file, bytes, n, name, error);
    if (status == SAMP_OK) status = read_all(gguf, &reader, file_size, error);
    samp_gguf_reader_release(&reader);
    if (status == SAMP_OK)
        *out = gguf;
    else
        samp_gguf_close(gguf);
    return status;
}

samp_status samp_gguf_parse(samp_gguf **out, const void *bytes, uint64_t n, uint64_t file_size,
                            const char *where, samp_error *error)
{
    return parse(out, NULL, bytes, n, file_size, where, error);
}

samp_status samp_gguf_open(samp_gguf **out, const char *path, samp_error *error)
{
    *out = NULL;
    samp_file *file;
    SAMP_TRY(samp_file_open(&file, path, error));
    return parse(out, file, NULL, 0, samp_file_size(file), path, error);
}

void samp_gguf_close(samp_gguf *gguf)
{
    if (!gguf) return;
    samp_file_close(gguf->file);
    samp_names_release(&gguf->keys);
    samp_names_release(&gguf->names);
    samp_free(gguf->where);
    samp_arena_release(&gguf->arena);
    samp_free(gguf);
}

size_t samp_gguf_count(const samp_gguf *gguf) { return gguf->n_tensors; }

const samp_gguf_tensor *samp_gguf_at(const samp_gguf *gguf, size_t index)
{
    return &gguf->tensors[index];
}

const samp_gguf_tensor *samp_gguf_find(const samp_gguf *gguf, const char *name)
{
    uint32_t item;
    return samp_names_find(&gguf->names, name, &item) ? &gguf->tensors[item] : NULL;
}

/* n_blocks blocks from byte `at` of the file, through a buffer of some. */
static samp_status decode_blocks(samp_gguf *gguf, const samp_gguf_type *type, uint64_t at,
                                 uint64_t n_blocks, float *out, samp_error *error)
{
    enum { BUFFER = 1 << 18 };
    unsigned char *buffer = samp_realloc(NULL, BUFFER, 1);
    if (!buffer)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a read buffer", gguf->where);
    samp_status status = SAMP_OK;
    while (status == SAMP_OK && n_blocks) {
        uint64_t n = BUFFER / type->bytes < n_blocks ? BUFFER / type->bytes : n_blocks;
        status = samp_file_read(gguf->file, at, buffer, n * type->bytes, error);
        if (status == SAMP_OK) type->decode(buffer, n, out);
        at += n * type->bytes;
        out += n * type->block;
        n_blocks -= n;
    }
    samp_free(buffer);
    return status;
}

samp_status samp_gguf_rows(samp_gguf *gguf, const samp_gguf_tensor *tensor, uint64_t row0,
                           uint64_t n_rows, float *out, samp_error *error)
{
    const samp_gguf_type *type = samp_gguf_type_find(tensor->type);
    uint64_t rows = tensor->shape[1] * tensor->shape[2] * tensor->shape[3]; /* checked at opening */
    uint64_t row_blocks = tensor->shape[0] / type->block;
    if (!type->decode)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: tensor %s is %s, which is not read; expected F32, F16, BF16, Q8_0, "
                         "Q4_0, Q4_1, Q5_0, "
                         "Q5_1, Q4_K, Q5_K, Q6_K or IQ4_NL",
                         gguf->where, tensor->name, type->name);
    if (!gguf->file)
        return samp_fail(error, SAMP_INVALID, "%s: only the metadata was parsed", gguf->where);
    if (row0 > rows || n_rows > rows - row0)
        return samp_fail(error, SAMP_INVALID,
                         "%s: %" PRIu64 " rows from row %" PRIu64
                         " lie outside of tensor %s (%" PRIu64 " rows)",
                         gguf->where, n_rows, row0, tensor->name, rows);
    return decode_blocks(gguf, type, tensor->offset + row0 * row_blocks * type->bytes,
                         n_rows * row_blocks, out, error);
}

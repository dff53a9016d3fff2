/* GGUF: header, metadata, tensor list, and access to both. All of it is checked once, at opening:
 * every count against the bytes left, every tensor's size against the file, keys and names against
 * duplicates, tensors against each other. Reading of the metadata's bytes is in gguf_reader.c,
 * decoding in gguf_blocks.c. The samp_gguf owns its file and, in one arena, keys, values and
 * tensors. */
#include "file/gguf.h"

#include "base/half.h"
#include "base/memory.h"
#include "file/gguf_blocks.h"
#include "file/gguf_reader.h"
#include "file/names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEYS_MAX = 65536,
    KEY_BYTES_MAX = 65535,
    TENSORS_MAX = 1000000,
    NAME_BYTES_MAX = 512,
    STRING_BYTES_MAX = 64 << 20,
    ARRAY_MAX = 16 << 20,
    ALIGNMENT_MAX = 1 << 20,
    RANK_MAX = 4,
    KEY_BYTES_MIN = 13,   /* empty key, type, one byte */
    TENSOR_BYTES_MIN = 33 /* one-byte name, rank 1, type, offset */
};

/* Types of metadata values, as numbered in the file; kind, bytes of a number (0: not a number). */
typedef enum value_kind {
    KIND_UNSIGNED,
    KIND_SIGNED,
    KIND_FLOAT,
    KIND_BOOL,
    KIND_STRING,
    KIND_ARRAY
} value_kind;

static const struct value_type {
    value_kind kind;
    unsigned bytes;
} value_types[] = {
    {KIND_UNSIGNED, 1}, {KIND_SIGNED, 1}, {KIND_UNSIGNED, 2}, {KIND_SIGNED, 2}, {KIND_UNSIGNED, 4},
    {KIND_SIGNED, 4},   {KIND_FLOAT, 4},  {KIND_BOOL, 1},     {KIND_STRING, 0}, {KIND_ARRAY, 0},
    {KIND_UNSIGNED, 8}, {KIND_SIGNED, 8}, {KIND_FLOAT, 8},
};
enum { N_VALUE_TYPES = sizeof value_types / sizeof *value_types, TYPE_U32 = 4 };

typedef struct gguf_value {
    const char *key;
    uint32_t type; /* of the value, or of the elements of an array */
    bool is_array;
    uint64_t n; /* elements of an array; 0 also when its integers do not fit in 32 bits */
    union {
        uint64_t bits; /* integer (sign-extended) or bool */
        double number;
        samp_gguf_string text;
        samp_gguf_string *strings;
        int32_t *integers;
        float *floats;
    };
} gguf_value;

struct samp_gguf {
    samp_file *file; /* NULL when parsed from memory */
    char *where;
    samp_arena arena;
    gguf_value *values;
    samp_names keys; /* item = index into values */
    samp_gguf_tensor *tensors;
    size_t n_tensors;
    samp_names names;
};

/* A number of any type: integers as 64 bits, floats as the bits of a double. */
static uint64_t read_number(samp_gguf_reader *reader, const struct value_type *type)
{
    uint64_t bits = samp_gguf_reader_integer(reader, type->bytes, "a metadata value");
    unsigned unused = 64 - 8 * type->bytes;
    if (type->kind == KIND_SIGNED) return (uint64_t)((int64_t)(bits << unused) >> unused);
    if (type->kind == KIND_FLOAT && type->bytes == 4) {
        double number = samp_bits_float((uint32_t)bits);
        memcpy(&bits, &number, sizeof bits);
    }
    if (type->kind == KIND_BOOL && bits > 1)
        samp_cursor_fail(&reader->window, SAMP_CORRUPT,
                         "a truth value is %" PRIu64 ", expected 0 or 1", bits);
    return bits;
}

static double number_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void *array_memory(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t n, size_t size)
{
    void *memory = samp_arena_alloc(&gguf->arena, (size_t)n, size);
    if (!memory)
        samp_cursor_fail(&reader->window, SAMP_NOMEM, "out of memory for an array of %" PRIu64, n);
    return memory;
}

/* Integers and truth values as int32; when one does not fit the array is read past and left out. */
static bool read_integers(samp_gguf *gguf, samp_gguf_reader *reader, const struct value_type *type,
                          gguf_value *value)
{
    bool fit = true;
    value->integers = array_memory(gguf, reader, value->n, sizeof *value->integers);
    for (uint64_t i = 0; value->integers && i < value->n && reader->window.status == SAMP_OK; i++) {
        uint64_t bits = read_number(reader, type);
        value->integers[i] = (int32_t)bits;
        fit = fit && (uint64_t)(int64_t)(int32_t)bits == bits;
    }
    if (!fit) value->n = 0;
    return reader->window.status == SAMP_OK;
}

static bool read_floats(samp_gguf *gguf, samp_gguf_reader *reader, const struct value_type *type,
                        gguf_value *value)
{
    value->floats = array_memory(gguf, reader, value->n, sizeof *value->floats);
    for (uint64_t i = 0; value->floats && i < value->n && reader->window.status == SAMP_OK; i++)
        value->floats[i] = (float)number_of(read_number(reader, type));
    return reader->window.status == SAMP_OK;
}

static bool read_string(samp_gguf *gguf, samp_gguf_reader *reader, samp_gguf_string *out)
{
    out->data =
        samp_gguf_reader_string(reader, &gguf->arena, STRING_BYTES_MAX, &out->length, "a string");
    return out->data != NULL;
}

static bool read_strings(samp_gguf *gguf, samp_gguf_reader *reader, gguf_value *value)
{
    value->strings = array_memory(gguf, reader, value->n, sizeof *value->strings);
    for (uint64_t i = 0; value->strings && i < value->n; i++)
        if (!read_string(gguf, reader, &value->strings[i])) return false;
    return reader->window.status == SAMP_OK;
}

static const struct value_type *read_type(samp_gguf_reader *reader, uint32_t *number)
{
    *number = (uint32_t)samp_gguf_reader_integer(reader, 4, "a metadata type");
    if (reader->window.status != SAMP_OK) return NULL;
    if (*number < N_VALUE_TYPES) return &value_types[*number];
    samp_cursor_fail(&reader->window, SAMP_CORRUPT, "metadata type %u is unknown, expected 0 to %d",
                     *number, N_VALUE_TYPES - 1);
    return NULL;
}

static bool read_array(samp_gguf *gguf, samp_gguf_reader *reader, gguf_value *value)
{
    const struct value_type *type = read_type(reader, &value->type);
    value->is_array = true;
    value->n = samp_gguf_reader_integer(reader, 8, "the length of an array");
    if (!type || reader->window.status != SAMP_OK) return false;
    if (type->kind == KIND_ARRAY) {
        samp_cursor_fail(&reader->window, SAMP_UNSUPPORTED, "key %s is an array of arrays",
                         value->key);
        return false;
    }
    uint64_t element = type->kind == KIND_STRING ? 8 : type->bytes;
    if (value->n > samp_gguf_reader_left(reader) / element) {
        samp_cursor_fail(&reader->window, SAMP_CORRUPT,
                         "key %s is an array of %" PRIu64 " elements, but only %" PRIu64
                         " bytes are left",
                         value->key, value->n, samp_gguf_reader_left(reader));
        return false;
    }
    if (value->n > ARRAY_MAX) {
        samp_cursor_fail(&reader->window, SAMP_LIMIT,
                         "key %s is an array of %" PRIu64 " elements, at most %d are accepted",
                         value->key, value->n, ARRAY_MAX);
        return false;
    }
    if (type->kind == KIND_STRING) return read_strings(gguf, reader, value);
    if (type->kind == KIND_FLOAT) return read_floats(gguf, reader, type, value);
    return read_integers(gguf, reader, type, value);
}

/* A key or tensor name: 1 to max bytes, none of them a control byte. */
static const char *read_name(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t max,
                             const char *what)
{
    uint64_t length;
    const char *name = samp_gguf_reader_string(reader, &gguf->arena, max, &length, what);
    if (!name) return NULL;
    bool plain = length > 0;
    for (uint64_t i = 0; i < length && plain; i++)
        plain = (unsigned char)name[i] >= 0x20 && name[i] != 0x7f;
    if (plain) return name;
    samp_cursor_fail(&reader->window, SAMP_CORRUPT, "%s is %s", what,
                     length ? "not plain text" : "empty");
    return NULL;
}

static bool read_value(samp_gguf *gguf, samp_gguf_reader *reader, gguf_value *value)
{
    value->key = read_name(gguf, reader, KEY_BYTES_MAX, "a metadata key");
    const struct value_type *type = value->key ? read_type(reader, &value->type) : NULL;
    if (!type) return false;
    if (type->kind == KIND_ARRAY) return read_array(gguf, reader, value);
    if (type->kind == KIND_STRING) return read_string(gguf, reader, &value->text);
    uint64_t bits = read_number(reader, type);
    if (type->kind == KIND_FLOAT)
        value->number = number_of(bits);
    else
        value->bits = bits;
    return reader->window.status == SAMP_OK;
}

static bool read_metadata(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t n)
{
    gguf->values = array_memory(gguf, reader, n, sizeof *gguf->values);
    for (uint64_t i = 0; gguf->values && i < n; i++) {
        if (!read_value(gguf, reader, &gguf->values[i])) return false;
        if (samp_names_add(&gguf->keys, gguf->values[i].key, (uint32_t)i, NULL) != SAMP_OK)
            samp_cursor_fail(&reader->window, SAMP_NOMEM, "out of memory for metadata");
    }
    const char *twice = reader->window.status == SAMP_OK ? samp_names_sort(&gguf->keys) : NULL;
    if (twice)
        samp_cursor_fail(&reader->window, SAMP_CORRUPT, "metadata key %s is there twice", twice);
    return reader->window.status == SAMP_OK;
}

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
    tensor->name = read_name(gguf, reader, NAME_BYTES_MAX, "a tensor name");
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
    gguf->tensors = array_memory(gguf, reader, n, sizeof *gguf->tensors);
    for (uint64_t i = 0; gguf->tensors && i < n; i++, gguf->n_tensors++) {
        if (!read_tensor(gguf, reader, &gguf->tensors[i])) return false;
        if (samp_names_add(&gguf->names, gguf->tensors[i].name, (uint32_t)i, NULL) != SAMP_OK)
            samp_cursor_fail(&reader->window, SAMP_NOMEM, "out of memory for tensors");
    }
    const char *twice = reader->window.status == SAMP_OK ? samp_names_sort(&gguf->names) : NULL;
    if (twice) samp_cursor_fail(&reader->window, SAMP_CORRUPT, "tensor %s is there twice", twice);
    return reader->window.status == SAMP_OK;
}

/* general.alignment, 32 when it is not given, 0 after a failure. */
static uint64_t read_alignment(const samp_gguf *gguf, samp_cursor *cursor)
{
    uint32_t item;
    if (!samp_names_find(&gguf->keys, "general.alignment", &item)) return 32;
    const gguf_value *value = &gguf->values[item];
    uint64_t alignment = value->type == TYPE_U32 && !value->is_array ? value->bits : 0;
    if (alignment > 0 && alignment <= ALIGNMENT_MAX && (alignment & (alignment - 1)) == 0)
        return alignment;
    samp_cursor_fail(cursor, SAMP_CORRUPT,
                     "general.alignment is %" PRIu64 ", expected a 32-bit power of two up to %d",
                     alignment, ALIGNMENT_MAX);
    return 0;
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
    uint64_t alignment = read_alignment(gguf, &reader->window);
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
    if (!read_metadata(gguf, reader, n_keys) || !read_tensors(gguf, reader, n_tensors))
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

static const gguf_value *find_value(const samp_gguf *gguf, const char *key, bool is_array)
{
    uint32_t item;
    if (!samp_names_find(&gguf->keys, key, &item)) return NULL;
    return gguf->values[item].is_array == is_array ? &gguf->values[item] : NULL;
}

static value_kind kind_of(const gguf_value *value) { return value_types[value->type].kind; }

bool samp_gguf_integer(const samp_gguf *gguf, const char *key, int64_t *out)
{
    const gguf_value *value = find_value(gguf, key, false);
    if (!value || (kind_of(value) != KIND_SIGNED && kind_of(value) != KIND_UNSIGNED)) return false;
    if (kind_of(value) == KIND_UNSIGNED && value->bits > INT64_MAX) return false;
    *out = (int64_t)value->bits;
    return true;
}

bool samp_gguf_number(const samp_gguf *gguf, const char *key, double *out)
{
    int64_t integer;
    const gguf_value *value = find_value(gguf, key, false);
    if (value && kind_of(value) == KIND_FLOAT) {
        *out = value->number;
        return true;
    }
    if (!samp_gguf_integer(gguf, key, &integer)) return false;
    *out = (double)integer;
    return true;
}

bool samp_gguf_bool(const samp_gguf *gguf, const char *key, bool *out)
{
    const gguf_value *value = find_value(gguf, key, false);
    if (!value || kind_of(value) != KIND_BOOL) return false;
    *out = value->bits != 0;
    return true;
}

bool samp_gguf_text(const samp_gguf *gguf, const char *key, samp_gguf_string *out)
{
    const gguf_value *value = find_value(gguf, key, false);
    if (!value || kind_of(value) != KIND_STRING) return false;
    *out = value->text;
    return true;
}

uint64_t samp_gguf_strings(const samp_gguf *gguf, const char *key, const samp_gguf_string **out)
{
    const gguf_value *value = find_value(gguf, key, true);
    if (!value || kind_of(value) != KIND_STRING) return 0;
    *out = value->strings;
    return value->n;
}

uint64_t samp_gguf_integers(const samp_gguf *gguf, const char *key, const int32_t **out)
{
    const gguf_value *value = find_value(gguf, key, true);
    if (!value || kind_of(value) == KIND_STRING || kind_of(value) == KIND_FLOAT) return 0;
    *out = value->integers;
    return value->n;
}

uint64_t samp_gguf_floats(const samp_gguf *gguf, const char *key, const float **out)
{
    const gguf_value *value = find_value(gguf, key, true);
    if (!value || kind_of(value) != KIND_FLOAT) return 0;
    *out = value->floats;
    return value->n;
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

/* GGUF metadata: keys with values of thirteen types, checked while they are read and handed out
 * widened. Keys and values live in the gguf's arena; arrays of integers become int32, arrays of
 * floats float. */
#include "file/gguf_internal.h"

#include "base/half.h"

#include <inttypes.h>
#include <string.h>

enum {
    KEY_BYTES_MAX = 65535,
    STRING_BYTES_MAX = 64 << 20,
    ARRAY_MAX = 16 << 20,
    ALIGNMENT_MAX = 1 << 20
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

typedef struct samp_gguf_value {
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
} samp_gguf_value;

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
                          samp_gguf_value *value)
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
                        samp_gguf_value *value)
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

static bool read_strings(samp_gguf *gguf, samp_gguf_reader *reader, samp_gguf_value *value)
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

static bool read_array(samp_gguf *gguf, samp_gguf_reader *reader, samp_gguf_value *value)
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

const char *samp__gguf_read_name(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t max,
                                 const char *what)
{
    uint64_t length;
    const char *name = samp_gguf_reader_string(reader, &gguf->arena, max, &length, what);
    if (!name) return NULL;
    if (length > 0 && samp_name_is_plain(name, length)) return name;
    samp_cursor_fail(&reader->window, SAMP_CORRUPT, "%s is %s", what,
                     length ? "not plain text" : "empty");
    return NULL;
}

static bool read_value(samp_gguf *gguf, samp_gguf_reader *reader, samp_gguf_value *value)
{
    value->key = samp__gguf_read_name(gguf, reader, KEY_BYTES_MAX, "a metadata key");
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

bool samp__gguf_read_metadata(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t n)
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

uint64_t samp__gguf_alignment(const samp_gguf *gguf, samp_cursor *cursor)
{
    uint32_t item;
    if (!samp_names_find(&gguf->keys, "general.alignment", &item)) return 32;
    const samp_gguf_value *value = &gguf->values[item];
    uint64_t alignment = value->type == TYPE_U32 && !value->is_array ? value->bits : 0;
    if (alignment > 0 && alignment <= ALIGNMENT_MAX && (alignment & (alignment - 1)) == 0)
        return alignment;
    samp_cursor_fail(cursor, SAMP_CORRUPT,
                     "general.alignment is %" PRIu64 ", expected a 32-bit power of two up to %d",
                     alignment, ALIGNMENT_MAX);
    return 0;
}

static const samp_gguf_value *find_value(const samp_gguf *gguf, const char *key, bool is_array)
{
    uint32_t item;
    if (!samp_names_find(&gguf->keys, key, &item)) return NULL;
    return gguf->values[item].is_array == is_array ? &gguf->values[item] : NULL;
}

static value_kind kind_of(const samp_gguf_value *value) { return value_types[value->type].kind; }

bool samp_gguf_integer(const samp_gguf *gguf, const char *key, int64_t *out)
{
    const samp_gguf_value *value = find_value(gguf, key, false);
    if (!value || (kind_of(value) != KIND_SIGNED && kind_of(value) != KIND_UNSIGNED)) return false;
    if (kind_of(value) == KIND_UNSIGNED && value->bits > INT64_MAX) return false;
    *out = (int64_t)value->bits;
    return true;
}

bool samp_gguf_number(const samp_gguf *gguf, const char *key, double *out)
{
    int64_t integer;
    const samp_gguf_value *value = find_value(gguf, key, false);
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
    const samp_gguf_value *value = find_value(gguf, key, false);
    if (!value || kind_of(value) != KIND_BOOL) return false;
    *out = value->bits != 0;
    return true;
}

bool samp_gguf_text(const samp_gguf *gguf, const char *key, samp_gguf_string *out)
{
    const samp_gguf_value *value = find_value(gguf, key, false);
    if (!value || kind_of(value) != KIND_STRING) return false;
    *out = value->text;
    return true;
}

uint64_t samp_gguf_strings(const samp_gguf *gguf, const char *key, const samp_gguf_string **out)
{
    const samp_gguf_value *value = find_value(gguf, key, true);
    if (!value || kind_of(value) != KIND_STRING) return 0;
    *out = value->strings;
    return value->n;
}

uint64_t samp_gguf_integers(const samp_gguf *gguf, const char *key, const int32_t **out)
{
    const samp_gguf_value *value = find_value(gguf, key, true);
    if (!value || kind_of(value) == KIND_STRING || kind_of(value) == KIND_FLOAT) return 0;
    *out = value->integers;
    return value->n;
}

uint64_t samp_gguf_floats(const samp_gguf *gguf, const char *key, const float **out)
{
    const samp_gguf_value *value = find_value(gguf, key, true);
    if (!value || kind_of(value) != KIND_FLOAT) return 0;
    *out = value->floats;
    return value->n;
}

/* safetensors, reading: an 8-byte length N, N bytes of JSON, then the tensors' data.
 *
 * The rules are those of the Rust library (safetensors/src/tensor.rs), and stricter where it lets
 * ambiguity through: a key may be there only once, a tensor is described by an object (serde also
 * takes an array in field order), the header starts with '{', names hold no control bytes, metadata
 * no NUL. The parsed file owns all names and infos (an arena and two arrays); the header's bytes
 * are not kept. */
#include "file/json_cursor.h"
#include "file/names.h"
#include "file/safetensors_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct samp_safetensors {
    samp_file *file; /* NULL when only a header was parsed */
    samp_arena arena;
    samp_tensor_info *tensors; /* in file order */
    size_t n_tensors, capacity;
    samp_names by_name;
    samp_names metadata;          /* item = index into metadata_values */
    const char **metadata_values; /* in the arena's strings */
    size_t metadata_capacity;
};

/* What the parser passes around. */
typedef struct header_parser {
    samp_safetensors *file;
    samp_cursor bytes;
    samp_json_cursor json;
} header_parser;

static bool out_of_memory(header_parser *parser)
{
    samp_cursor_fail(&parser->bytes, SAMP_NOMEM, "out of memory for the header");
    return false;
}

/* A copy of a text of __metadata__; those are handed out as C strings, so NUL is refused. */
static const char *copy_metadata(header_parser *parser, samp_json_text text)
{
    if (memchr(text.data, 0, text.length)) {
        samp_cursor_fail(&parser->bytes, SAMP_CORRUPT, "__metadata__ holds a NUL character");
        return NULL;
    }
    const char *copy = samp_arena_strndup(&parser->file->arena, text.data, text.length);
    if (!copy) out_of_memory(parser);
    return copy;
}

static bool add_metadata(header_parser *parser, const char *key, const char *value)
{
    samp_safetensors *file = parser->file;
    size_t at = file->metadata.n;
    if (at == SAMP_ST_METADATA_MAX) {
        samp_cursor_fail(&parser->bytes, SAMP_LIMIT, "__metadata__ has more than %d keys",
                         SAMP_ST_METADATA_MAX);
        return false;
    }
    if (at == file->metadata_capacity) {
        size_t capacity = at ? 2 * at : 16;
        void *values = samp_realloc(file->metadata_values, capacity, sizeof *file->metadata_values);
        if (!values) return out_of_memory(parser);
        file->metadata_values = values;
        file->metadata_capacity = capacity;
    }
    if (samp_names_add(&file->metadata, key, (uint32_t)at, NULL) != SAMP_OK)
        return out_of_memory(parser);
    file->metadata_values[at] = value;
    return true;
}

static bool read_metadata(header_parser *parser)
{
    samp_json_cursor *json = &parser->json;
    samp_json_text text;
    if (samp_json_cursor_peek(json) == 'n') return samp_json_cursor_skip(json); /* null: none */
    if (!samp_json_cursor_enter(json, '{')) return false;
    while (samp_json_cursor_member(json, &text)) {
        const char *key = copy_metadata(parser, text);
        if (!key || !samp_json_cursor_string(json, "a string as a value of __metadata__", &text))
            return false;
        const char *value = copy_metadata(parser, text);
        if (!value || !add_metadata(parser, key, value)) return false;
    }
    return parser->bytes.status == SAMP_OK;
}

static bool check_name(header_parser *parser, samp_json_text name)
{
    if (name.length == 0 || name.length > SAMP_TENSOR_NAME_MAX) {
        samp_cursor_fail(&parser->bytes, SAMP_CORRUPT,
                         "a tensor's name is %zu bytes, expected 1 to %d", name.length,
                         SAMP_TENSOR_NAME_MAX);
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c >= 0x20 && c != 0x7f) continue;
        samp_cursor_fail(&parser->bytes, SAMP_CORRUPT,
                         "the tensor name \"%.*s\" holds control byte 0x%02x", (int)i, name.data,
                         c);
        return false;
    }
    return true;
}

static bool read_dtype(header_parser *parser, samp_tensor_info *tensor)
{
    samp_json_text text;
    if (!samp_json_cursor_string(&parser->json, "a string as dtype", &text)) return false;
    if (samp_dtype_parse(text.data, text.length, &tensor->dtype)) return true;
    int shown = text.length < 32 ? (int)text.length : 32;
    samp_cursor_fail(
        &parser->bytes, SAMP_CORRUPT,
        "tensor %s has the unknown dtype \"%.*s\", expected one of BOOL, U8, I8, F16, BF16, F32, …",
        tensor->name, shown, text.data);
    return false;
}

static bool read_shape(header_parser *parser, samp_tensor_info *tensor)
{
    if (!samp_json_cursor_enter(&parser->json, '[')) return false;
    while (samp_json_cursor_element(&parser->json)) {
        uint64_t size;
        if (!samp_json_cursor_u64(&parser->json, "a dimension of shape", &size)) return false;
        if (tensor->rank == SAMP_RANK_MAX) {
            samp_cursor_fail(&parser->bytes, SAMP_LIMIT, "tensor %s has more than %d dimensions",
                             tensor->name, SAMP_RANK_MAX);
            return false;
        }
        tensor->shape[tensor->rank++] = size;
    }
    return parser->bytes.status == SAMP_OK;
}

/* offset and bytes get begin and end as the file says; place_tensors turns them into what they are
 * named. */
static bool read_offsets(header_parser *parser, samp_tensor_info *tensor)
{
    uint64_t pair[2] = {0};
    int n = 0;
    if (!samp_json_cursor_enter(&parser->json, '[')) return false;
    for (; samp_json_cursor_element(&parser->json); n++) {
        uint64_t value;
        if (!samp_json_cursor_u64(&parser->json, "an offset in data_offsets", &value)) return false;
        if (n < 2) pair[n] = value;
    }
    if (n != 2)
        samp_cursor_fail(&parser->bytes, SAMP_CORRUPT,
                         "tensor %s has %d data_offsets, expected begin and end", tensor->name, n);
    tensor->offset = pair[0];
    tensor->bytes = pair[1];
    return parser->bytes.status == SAMP_OK;
}

static bool read_tensor(header_parser *parser, samp_tensor_info *tensor)
{
    typedef bool reader(header_parser *, samp_tensor_info *);
    static const struct {
        const char *key;
        reader *read;
    } members[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
    enum { N_MEMBERS = sizeof members / sizeof *members };
    bool seen[N_MEMBERS] = {false};
    samp_json_text key;
    if (!samp_json_cursor_enter(&parser->json, '{')) return false;
    while (samp_json_cursor_member(&parser->json, &key)) {
        int i = 0;
        while (i < N_MEMBERS && !samp_json_text_is(key, members[i].key)) i++;
        if (i == N_MEMBERS) { /* ignored, as the Rust library does */
            if (!samp_json_cursor_skip(&parser->json)) return false;
            continue;
        }
        if (seen[i]) {
            samp_cursor_fail(&parser->bytes, SAMP_CORRUPT, "tensor %s has \"%s\" twice",
                             tensor->name, members[i].key);
            return false;
        }
        seen[i] = true;
        if (!members[i].read(parser, tensor)) return false;
    }
    for (int i = 0; i < N_MEMBERS; i++)
        if (!seen[i])
            samp_cursor_fail(&parser->bytes, SAMP_CORRUPT, "tensor %s has no \"%s\"", tensor->name,
                             members[i].key);
    return parser->bytes.status == SAMP_OK;
}

/* A zeroed info at the end of the list. */
static samp_tensor_info *append_tensor(header_parser *parser, samp_json_text name)
{
    samp_safetensors *file = parser->file;
    if (file->n_tensors == SAMP_ST_TENSORS_MAX) {
        samp_cursor_fail(&parser->bytes, SAMP_LIMIT, "more than %d tensors", SAMP_ST_TENSORS_MAX);
        return NULL;
    }
    if (file->n_tensors == file->capacity) {
        size_t capacity = file->capacity ? 2 * file->capacity : 64;
        void *tensors = samp_realloc(file->tensors, capacity, sizeof *file->tensors);
        if (!tensors) return (void)out_of_memory(parser), NULL;
        file->tensors = tensors;
        file->capacity = capacity;
    }
    samp_tensor_info *tensor = &file->tensors[file->n_tensors++];
    *tensor = (samp_tensor_info){.name = samp_arena_strndup(&file->arena, name.data, name.length)};
    if (!tensor->name) return (void)out_of_memory(parser), NULL;
    return tensor;
}

static bool read_header(header_parser *parser)
{
    samp_json_text key;
    bool metadata = false;
    if (parser->bytes.data[parser->bytes.at] != '{') {
        samp_cursor_fail(&parser->bytes, SAMP_CORRUPT,
                         "the header starts with byte 0x%02x, expected '{'",
                         parser->bytes.data[parser->bytes.at]);
        return false;
    }
    if (!samp_json_cursor_enter(&parser->json, '{')) return false;
    while (samp_json_cursor_member(&parser->json, &key)) {
        if (samp_json_text_is(key, "__metadata__")) {
            if (metadata)
                samp_cursor_fail(&parser->bytes, SAMP_CORRUPT, "\"__metadata__\" is there twice");
            metadata = true;
            if (!read_metadata(parser)) return false;
            continue;
        }
        if (!check_name(parser, key)) return false;
        samp_tensor_info *tensor = append_tensor(parser, key);
        if (!tensor || !read_tensor(parser, tensor)) return false;
    }
    return samp_json_cursor_end(&parser->json);
}

/* By begin, then end; names decide between empty tensors at one place, so that the order is
 * defined. */
static int compare_offsets(const void *a, const void *b)
{
    const samp_tensor_info *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Bytes that shape and dtype ask for. */
static samp_status tensor_bytes(const samp_tensor_info *tensor, const char *where, uint64_t *bytes,
                                samp_error *error)
{
    uint64_t n;
    if (!samp__tensor_bits(tensor->dtype, tensor->rank, tensor->shape, &n))
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the shape of tensor %s asks for more than 2^64 bits", where,
                         tensor->name);
    if (n % 8)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: tensor %s is %" PRIu64
                         " bits of %s, which do not end at a whole byte",
                         where, tensor->name, n, samp_dtype_name(tensor->dtype));
    *bytes = n / 8;
    return SAMP_OK;
}

/* Sorted by offset the tensors must cover the data from its first byte to its last, without gap or
 * overlap. */
static samp_status place_tensors(samp_safetensors *file, uint64_t data_start, uint64_t data_bytes,
                                 const char *where, samp_error *error)
{
    if (file->n_tensors)
        qsort(file->tensors, file->n_tensors, sizeof *file->tensors, compare_offsets);
    uint64_t at = 0;
    for (size_t i = 0; i < file->n_tensors; i++) {
        samp_tensor_info *tensor = &file->tensors[i];
        uint64_t begin = tensor->offset, end = tensor->bytes, bytes = 0;
        if (end < begin)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: tensor %s ends at byte %" PRIu64
                             " of the data, before it begins (%" PRIu64 ")",
                             where, tensor->name, end, begin);
        if (begin != at)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: tensor %s begins at byte %" PRIu64
                             " of the data, expected %" PRIu64 ": there is %s",
                             where, tensor->name, begin, at, begin < at ? "an overlap" : "a hole");
        SAMP_TRY(tensor_bytes(tensor, where, &bytes, error));
        if (end - begin != bytes)
            return samp_fail(
                error, SAMP_CORRUPT,
                "%s: tensor %s has %" PRIu64 " bytes of data, its shape and %s ask for %" PRIu64,
                where, tensor->name, end - begin, samp_dtype_name(tensor->dtype), bytes);
        if (end > data_bytes)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: tensor %s ends at byte %" PRIu64
                             " of the data, but there are only %" PRIu64 "; the file is truncated",
                             where, tensor->name, end, data_bytes);
        tensor->offset = data_start + begin;
        tensor->bytes = bytes;
        at = end;
    }
    if (at != data_bytes)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: %" PRIu64
                         " bytes follow the last tensor's data, expected the end of the file",
                         where, data_bytes - at);
    return SAMP_OK;
}

static samp_status index_names(samp_safetensors *file, const char *where, samp_error *error)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        SAMP_TRY(samp_names_add(&file->by_name, file->tensors[i].name, (uint32_t)i, error));
    const char *twice = samp_names_sort(&file->by_name);
    if (twice) return samp_fail(error, SAMP_CORRUPT, "%s: tensor %s is there twice", where, twice);
    twice = samp_names_sort(&file->metadata);
    if (twice)
        return samp_fail(error, SAMP_CORRUPT, "%s: __metadata__ has \"%.200s\" twice", where,
                         twice);
    return SAMP_OK;
}

/* The header's length N from the first 8 bytes. */
static samp_status header_length(const unsigned char *first, uint64_t file_size, const char *where,
                                 uint64_t *length, samp_error *error)
{
    samp_cursor cursor;
    samp_cursor_init(&cursor, first, SAMP_ST_LENGTH_BYTES, where, error);
    uint64_t n = samp_cursor_u64(&cursor, "the header length");
    if (memcmp(first, "version ", SAMP_ST_LENGTH_BYTES) == 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s is a git-lfs pointer, not the weights; fetch them with `git lfs pull`",
                         where);
    if (n == 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the header length is 0, expected at least 2; a file that starts with "
                         "zeros was often "
                         "not written to its end",
                         where);
    if (n > SAMP_ST_HEADER_MAX)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the header length is %" PRIu64
                         ", at most %d is allowed; this is probably not a safetensors file",
                         where, n, SAMP_ST_HEADER_MAX);
    if (n > file_size - SAMP_ST_LENGTH_BYTES)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the header is %" PRIu64 " bytes, but the file has only %" PRIu64
                         " after its length; it is truncated",
                         where, n, file_size - SAMP_ST_LENGTH_BYTES);
    *length = n;
    return SAMP_OK;
}

static samp_status too_short(uint64_t size, const char *where, samp_error *error)
{
    return samp_fail(error, SAMP_CORRUPT,
                     "%s is %" PRIu64 " bytes, expected at least %d for the header length", where,
                     size, SAMP_ST_LENGTH_BYTES);
}

samp_status samp_safetensors_parse(samp_safetensors **out, const void *bytes, uint64_t n,
                                   uint64_t file_size, const char *where, samp_error *error)
{
    *out = NULL;
    uint64_t length;
    if (n < SAMP_ST_LENGTH_BYTES || file_size < n) return too_short(n, where, error);
    SAMP_TRY(header_length(bytes, file_size, where, &length, error));
    if (length > n - SAMP_ST_LENGTH_BYTES)
        return samp_fail(error, SAMP_INVALID, "%s: only a part of the header was given", where);
    samp_safetensors *file = samp_alloc(1, sizeof *file);
    if (!file) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for the header", where);
    header_parser parser = {.file = file};
    samp_cursor_init(&parser.bytes, bytes, SAMP_ST_LENGTH_BYTES + length, where, error);
    parser.bytes.at = SAMP_ST_LENGTH_BYTES;
    samp_json_cursor_init(&parser.json, &parser.bytes);
    samp_status status = read_header(&parser) ? SAMP_OK : parser.bytes.status;
    samp_json_cursor_release(&parser.json);
    uint64_t data_start = SAMP_ST_LENGTH_BYTES + length;
    if (status == SAMP_OK)
        status = place_tensors(file, data_start, file_size - data_start, where, error);
    if (status == SAMP_OK) status = index_names(file, where, error);
    if (status != SAMP_OK) {
        samp_safetensors_close(file);
        return status;
    }
    *out = file;
    return SAMP_OK;
}

/* The length field and the header in memory of their own (*header, to be released with samp_free).
 */
static samp_status read_whole_header(samp_file *file, unsigned char **header, uint64_t *n,
                                     samp_error *error)
{
    unsigned char first[SAMP_ST_LENGTH_BYTES];
    uint64_t size = samp_file_size(file), length;
    const char *path = samp_file_path(file);
    if (size < SAMP_ST_LENGTH_BYTES) return too_short(size, path, error);
    SAMP_TRY(samp_file_read(file, 0, first, SAMP_ST_LENGTH_BYTES, error));
    SAMP_TRY(header_length(first, size, path, &length, error));
    *n = SAMP_ST_LENGTH_BYTES + length;
    *header = samp_realloc(NULL, *n, 1);
    if (!*header)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a header of %" PRIu64 " bytes",
                         path, *n);
    memcpy(*header, first, SAMP_ST_LENGTH_BYTES); /* not read again: it was checked */
    return samp_file_read(file, SAMP_ST_LENGTH_BYTES, *header + SAMP_ST_LENGTH_BYTES, length,
                          error);
}

samp_status samp_safetensors_open(samp_safetensors **out, const char *path, samp_error *error)
{
    *out = NULL;
    samp_file *file;
    unsigned char *header = NULL;
    uint64_t n = 0;
    SAMP_TRY(samp_file_open(&file, path, error));
    samp_status status = read_whole_header(file, &header, &n, error);
    if (status == SAMP_OK)
        status = samp_safetensors_parse(out, header, n, samp_file_size(file), path, error);
    samp_free(header);
    if (status == SAMP_OK)
        (*out)->file = file;
    else
        samp_file_close(file);
    return status;
}

void samp_safetensors_close(samp_safetensors *file)
{
    if (!file) return;
    samp_file_close(file->file);
    samp_names_release(&file->by_name);
    samp_names_release(&file->metadata);
    samp_free(file->metadata_values);
    samp_free(file->tensors);
    samp_arena_release(&file->arena);
    samp_free(file);
}

size_t samp_safetensors_count(const samp_safetensors *file) { return file->n_tensors; }

const samp_tensor_info *samp_safetensors_at(const samp_safetensors *file, size_t index)
{
    return &file->tensors[index];
}

const samp_tensor_info *samp_safetensors_find(const samp_safetensors *file, const char *name)
{
    uint32_t item;
    return samp_names_find(&file->by_name, name, &item) ? &file->tensors[item] : NULL;
}

const char *samp_safetensors_metadata(const samp_safetensors *file, const char *key)
{
    uint32_t item;
    return samp_names_find(&file->metadata, key, &item) ? file->metadata_values[item] : NULL;
}

samp_status samp_safetensors_read(samp_safetensors *file, const samp_tensor_info *tensor,
                                  uint64_t at, void *out, uint64_t n, samp_error *error)
{
    if (!file->file)
        return samp_fail(error, SAMP_INVALID, "tensor %s: only its header was parsed",
                         tensor->name);
    if (at > tensor->bytes || n > tensor->bytes - at)
        return samp_fail(error, SAMP_INVALID,
                         "%s: %" PRIu64 " bytes at byte %" PRIu64
                         " lie outside of tensor %s (%" PRIu64 " bytes)",
                         samp_file_path(file->file), n, at, tensor->name, tensor->bytes);
    return samp_file_read(file->file, tensor->offset + at, out, n, error);
}

void samp_safetensors_forget(samp_safetensors *file, const samp_tensor_info *tensor, uint64_t at,
                             uint64_t n)
{
    if (file->file) samp_file_forget(file->file, tensor->offset + at, n);
}

/* safetensors, writing: the header for tensors whose names, types and shapes are known. The caller
 * writes it and then each tensor's data at the offset it was told, in any order. */
#include "base/utf8.h"
#include "file/names.h"
#include "file/safetensors_internal.h"

#include <inttypes.h>
#include <string.h>

enum { DATA_ALIGNMENT = 64 };

static void append_quoted(samp_buffer *out, const char *text)
{
    samp_buffer_append(out, "\"", 1);
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\') samp_buffer_append(out, "\\", 1);
        if (c < 0x20)
            samp_buffer_printf(out, "\\u%04x", c);
        else
            samp_buffer_append(out, at, 1);
    }
    samp_buffer_append(out, "\"", 1);
}

static samp_status append_metadata(samp_buffer *out, const char *const (*metadata)[2], size_t n,
                                   samp_error *error)
{
    samp_names keys = {0};
    samp_status status = SAMP_OK;
    samp_buffer_text(out, "\"__metadata__\":{");
    for (size_t i = 0; i < n && status == SAMP_OK; i++) {
        const char *key = metadata[i][0], *value = metadata[i][1];
        if (!samp_utf8_valid(key, strlen(key)) || !samp_utf8_valid(value, strlen(value)))
            status = samp_fail(error, SAMP_INVALID, "metadata \"%.100s\" is not valid UTF-8", key);
        if (status == SAMP_OK) status = samp_names_add(&keys, key, (uint32_t)i, error);
        if (i) samp_buffer_append(out, ",", 1);
        append_quoted(out, key);
        samp_buffer_append(out, ":", 1);
        append_quoted(out, value);
    }
    samp_buffer_append(out, "}", 1);
    const char *twice = samp_names_sort(&keys);
    if (status == SAMP_OK && twice)
        status = samp_fail(error, SAMP_INVALID, "metadata \"%.100s\" is given twice", twice);
    samp_names_release(&keys);
    return status;
}

/* What the reader would refuse must not be written. */
static samp_status check_spec(const samp_tensor_spec *spec, uint64_t *bytes, samp_error *error)
{
    size_t length = strlen(spec->name);
    bool plain = length >= 1 && length <= SAMP_TENSOR_NAME_MAX &&
                 samp_utf8_valid(spec->name, length) && samp_name_is_plain(spec->name, length) &&
                 strcmp(spec->name, "__metadata__") != 0;
    if (!plain)
        return samp_fail(error, SAMP_INVALID, "\"%.200s\" cannot be the name of a tensor",
                         spec->name);
    if (spec->rank < 0 || spec->rank > SAMP_RANK_MAX || (unsigned)spec->dtype >= SAMP_DTYPE_COUNT)
        return samp_fail(error, SAMP_INVALID, "tensor %s: rank %d or dtype %d is not possible",
                         spec->name, spec->rank, (int)spec->dtype);
    uint64_t n;
    if (!samp__tensor_bits(spec->dtype, spec->rank, spec->shape, &n) || n % 8)
        return samp_fail(error, SAMP_INVALID,
                         "tensor %s: its shape overflows or does not end at a whole byte",
                         spec->name);
    *bytes = n / 8;
    return SAMP_OK;
}

static samp_status append_tensor(samp_buffer *out, const samp_tensor_spec *spec, uint64_t *at,
                                 samp_error *error)
{
    uint64_t bytes = 0, end;
    SAMP_TRY(check_spec(spec, &bytes, error));
    if (!samp_add(*at, bytes, &end) || end > INT64_MAX)
        return samp_fail(error, SAMP_LIMIT, "tensor %s does not fit in a file", spec->name);
    append_quoted(out, spec->name);
    samp_buffer_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", samp_dtype_name(spec->dtype));
    for (int i = 0; i < spec->rank; i++)
        samp_buffer_printf(out, i ? ",%" PRIu64 : "%" PRIu64, spec->shape[i]);
    samp_buffer_printf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", *at, end);
    *at = end;
    return SAMP_OK;
}

static samp_status check_unique(const samp_tensor_spec *specs, size_t n, samp_error *error)
{
    samp_names names = {0};
    samp_status status = SAMP_OK;
    for (size_t i = 0; i < n && status == SAMP_OK; i++)
        status = samp_names_add(&names, specs[i].name, (uint32_t)i, error);
    const char *twice = status == SAMP_OK ? samp_names_sort(&names) : NULL;
    if (twice) status = samp_fail(error, SAMP_INVALID, "tensor %s is given twice", twice);
    samp_names_release(&names);
    return status;
}

/* Pads with spaces and fills in the length. */
static samp_status finish_header(samp_buffer *header, samp_error *error)
{
    samp_buffer_append(header, "}", 1);
    SAMP_TRY(samp_buffer_ok(header, error));
    size_t padded = samp_round_up(header->length, DATA_ALIGNMENT);
    char *at = samp_buffer_reserve(header, padded - header->length);
    SAMP_TRY(samp_buffer_ok(header, error));
    memset(at, ' ', padded - header->length);
    header->length = padded;
    uint64_t length = padded - SAMP_ST_LENGTH_BYTES;
    if (length > SAMP_ST_HEADER_MAX)
        return samp_fail(error, SAMP_LIMIT,
                         "the header would be %" PRIu64 " bytes, at most %d are allowed", length,
                         SAMP_ST_HEADER_MAX);
    for (int i = 0; i < SAMP_ST_LENGTH_BYTES; i++) header->data[i] = (char)(length >> 8 * i);
    return SAMP_OK;
}

samp_status samp_safetensors_header(const samp_tensor_spec *specs, size_t n,
                                    const char *const (*metadata)[2], size_t n_metadata,
                                    samp_buffer *header, uint64_t *offsets, uint64_t *file_size,
                                    samp_error *error)
{
    if (n_metadata > SAMP_ST_METADATA_MAX)
        return samp_fail(error, SAMP_LIMIT, "%zu keys of metadata, at most %d are allowed",
                         n_metadata, SAMP_ST_METADATA_MAX);
    if (n > SAMP_ST_TENSORS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%zu tensors in one file, at most %d are allowed", n,
                         SAMP_ST_TENSORS_MAX);
    SAMP_TRY(check_unique(specs, n, error));
    samp_buffer_clear(header);
    samp_buffer_append(header, "\0\0\0\0\0\0\0\0{", SAMP_ST_LENGTH_BYTES + 1);
    if (n_metadata) SAMP_TRY(append_metadata(header, metadata, n_metadata, error));
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (i || n_metadata) samp_buffer_append(header, ",", 1);
        offsets[i] = at;
        SAMP_TRY(append_tensor(header, &specs[i], &at, error));
    }
    SAMP_TRY(finish_header(header, error));
    for (size_t i = 0; i < n; i++) offsets[i] += header->length;
    *file_size = header->length + at;
    return SAMP_OK;
}

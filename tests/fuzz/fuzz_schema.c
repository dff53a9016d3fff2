/* Schemas and texts for constrained decoding: up to the first zero byte a schema, behind it bytes of
 * a text. A schema is refused with a sentence or compiled; a text is read as far as it fits; what is
 * complete is JSON. */
#include "constrain/constrain.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_text(samp_constrainer *c, const char *text, size_t n)
{
    size_t length = 0;
    while (length < n && samp_constrainer_accept_bytes(c, text + length, 1)) length++;
    if (length < n && samp_constrainer_accept_bytes(c, text + length, 1)) abort();
    if (!samp_constrainer_complete(c)) return;
    json_t *value = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!value) abort();
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    samp_constrainer *c;
    samp_error error = {0};
    json_t *schema = json_loadb((const char *)data, n, JSON_DECODE_ANY, NULL);
    samp_constrain_options options = {.schema = schema, .ordered = size % 2};
    if (!schema) return 0;
    if (samp_constrainer_create(&c, NULL, &options, &error) == SAMP_OK) {
        if (end) read_text(c, (const char *)end + 1, size - n - 1);
        samp_constrainer_release(c);
    } else if (!error.message[0])
        abort();
    json_decref(schema);
    return 0;
}

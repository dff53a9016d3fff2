/* JSON through jansson, with the checks every reader here needs: size cap, duplicate keys refused,
 * typed members whose absence or wrong type is one clear sentence.
 * jansson's own limits: depth 2048, strings valid UTF-8 without NUL. Integers beyond int64 are read as
 * floating-point numbers. */
#ifndef SAMP_BASE_JSON_H
#define SAMP_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

/* Parses n bytes; `where` names the source in messages ("model/config.json"). */
samp_status samp_json_parse(json_t **out, const char *text, size_t n, const char *where,
                            samp_error *error);
/* json_loadb with its flags (failure may be NULL), for text that samp_json_parse is too strict for.
 * Always instead of jansson's own, which reads past the end of a token once an allocation failed. */
json_t *samp_json_read(const char *text, size_t n, size_t flags, json_error_t *failure);
/* Reads and parses a file of at most max_bytes. */
samp_status samp_json_load(json_t **out, const char *path, size_t max_bytes, samp_error *error);

/* Members of an object. `where` names the object in messages. A missing member leaves *out as it
 * was when `required` is false; null counts as missing. Integers are range-checked: min <= value <=
 * max. */
samp_status samp_json_integer(const json_t *object, const char *key, bool required, int64_t min,
                              int64_t max, int64_t *out, const char *where, samp_error *error);
/* Finite number. */
samp_status samp_json_number(const json_t *object, const char *key, bool required, double *out,
                             const char *where, samp_error *error);
samp_status samp_json_bool(const json_t *object, const char *key, bool required, bool *out,
                           const char *where, samp_error *error);
/* *out points into the document. */
samp_status samp_json_string(const json_t *object, const char *key, bool required, const char **out,
                             const char *where, samp_error *error);

/* Sets object[key] = value (reference stolen); false when out of memory (value may be NULL). */
static inline bool samp_json_set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

#endif

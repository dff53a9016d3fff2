/* JSON: parse with limits, and typed members. */
#include "base/json.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Jansson's parser goes on when the text of a token cannot grow: a byte of it is lost, and the
 * token is then read past its end (2.14). So once an allocation failed in a parse, the rest of them
 * fail as well, which ends it before that; and whatever it then says, memory was the reason. */
static _Thread_local bool parsing, allocation_failed;

static void *json_allocate(size_t n)
{
    void *pointer = allocation_failed ? NULL : samp_realloc(NULL, n, 1);
    allocation_failed |= !pointer && parsing;
    return pointer;
}

/* NULL for what is no JSON, and when memory ran out. */
static json_t *parse(const char *text, size_t n, size_t flags, json_error_t *failure,
                     bool *out_of_memory)
{
    json_set_alloc_funcs(json_allocate, samp_free);
    parsing = true;
    json_t *value = json_loadb(text, n, flags, failure);
    *out_of_memory = allocation_failed;
    parsing = allocation_failed = false;
    if (!*out_of_memory) return value;
    json_decref(value);
    return NULL;
}

enum { INT64_DIGITS = 18 }; /* as many always fit */

/* A copy of a document with ".0" behind each integer that may not fit into 64 bits: jansson refuses
 * those, Python's libraries write them ("model_max_length": 1000000000000000019884624838656), and so
 * they become floating-point numbers. */
static char *widen_integers(const char *text, size_t n, size_t *n_widened)
{
    char *out = samp_realloc(NULL, n + n / 8 + 2, 1);
    size_t to = 0;
    if (!out) return NULL;
    for (size_t at = 0, end; at < n; at = end) {
        end = at + 1;
        if (text[at] == '"') { /* a string, as it is */
            while (end < n && text[end] != '"') end += text[end] == '\\' && end + 1 < n ? 2 : 1;
            end += end < n;
        } else if (text[at] >= '0' && text[at] <= '9') {
            while (end < n && text[end] && strchr("0123456789.eE+-", text[end])) end++;
        }
        memcpy(out + to, text + at, end - at);
        to += end - at;
        if (text[at] < '0' || text[at] > '9' || end - at <= INT64_DIGITS) continue;
        if (memchr(text + at, '.', end - at) || memchr(text + at, 'e', end - at) ||
            memchr(text + at, 'E', end - at))
            continue;
        memcpy(out + to, ".0", 2);
        to += 2;
    }
    *n_widened = to;
    return out;
}

samp_status samp_json_parse(json_t **out, const char *text, size_t n, const char *where,
                            samp_error *error)
{
    enum { FLAGS = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY };
    json_error_t failure;
    bool out_of_memory;
    *out = parse(text, n, FLAGS, &failure, &out_of_memory);
    if (!*out && !out_of_memory && json_error_code(&failure) == json_error_numeric_overflow) {
        size_t n_widened;
        char *widened = widen_integers(text, n, &n_widened);
        json_error_t unused;
        out_of_memory = !widened;
        if (widened) *out = parse(widened, n_widened, FLAGS, &unused, &out_of_memory);
        samp_free(widened);
    }
    if (*out) return SAMP_OK;
    if (out_of_memory)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory while parsing JSON", where);
    return samp_fail(error, SAMP_CORRUPT, "%s: not valid JSON at line %d, column %d: %s", where,
                     failure.line, failure.column, failure.text);
}

json_t *samp_json_read(const char *text, size_t n, size_t flags, json_error_t *failure)
{
    bool out_of_memory;
    return parse(text, n, flags, failure, &out_of_memory);
}

samp_status samp_json_load(json_t **out, const char *path, size_t max_bytes, samp_error *error)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        samp_status failed = samp_fail_errno(error, "%s cannot be opened", path);
        if (fd >= 0) close(fd);
        return failed;
    }
    struct stat info;
    samp_status status = SAMP_OK;
    char *text = NULL;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode))
        status = samp_fail(error, SAMP_CORRUPT, "%s is not a regular file", path);
    else if ((uint64_t)info.st_size > max_bytes)
        status = samp_fail(error, SAMP_LIMIT, "%s is %lld bytes, at most %zu are accepted", path,
                           (long long)info.st_size, max_bytes);
    else if (!(text = samp_realloc(NULL, (size_t)info.st_size, 1)))
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for %lld bytes", path,
                           (long long)info.st_size);
    if (status == SAMP_OK) {
        size_t n = fread(text, 1, (size_t)info.st_size, file);
        status = ferror(file) ? samp_fail_errno(error, "%s cannot be read", path)
                              : samp_json_parse(out, text, n, path, error);
    }
    samp_free(text);
    fclose(file);
    return status;
}

/* The member, NULL when missing or null; an error when missing and required. */
static samp_status member(const json_t *object, const char *key, bool required, const json_t **out,
                          const char *where, samp_error *error)
{
    *out = json_object_get(object, key);
    if (*out && json_is_null(*out)) *out = NULL;
    if (*out || !required) return SAMP_OK;
    return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is missing", where, key);
}

samp_status samp_json_integer(const json_t *object, const char *key, bool required, int64_t min,
                              int64_t max, int64_t *out, const char *where, samp_error *error)
{
    const json_t *value;
    SAMP_TRY(member(object, key, required, &value, where, error));
    if (!value) return SAMP_OK;
    if (!json_is_integer(value))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is not an integer", where, key);
    int64_t number = json_integer_value(value);
    if (number < min || number > max)
        return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is %lld, expected %lld to %lld", where,
                         key, (long long)number, (long long)min, (long long)max);
    *out = number;
    return SAMP_OK;
}

samp_status samp_json_number(const json_t *object, const char *key, bool required, double *out,
                             const char *where, samp_error *error)
{
    const json_t *value;
    SAMP_TRY(member(object, key, required, &value, where, error));
    if (!value) return SAMP_OK;
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is not a finite number", where, key);
    *out = json_number_value(value);
    return SAMP_OK;
}

samp_status samp_json_bool(const json_t *object, const char *key, bool required, bool *out,
                           const char *where, samp_error *error)
{
    const json_t *value;
    SAMP_TRY(member(object, key, required, &value, where, error));
    if (!value) return SAMP_OK;
    if (!json_is_boolean(value))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is neither true nor false", where, key);
    *out = json_is_true(value);
    return SAMP_OK;
}

samp_status samp_json_string(const json_t *object, const char *key, bool required, const char **out,
                             const char *where, samp_error *error)
{
    const json_t *value;
    SAMP_TRY(member(object, key, required, &value, where, error));
    if (!value) return SAMP_OK;
    if (!json_is_string(value))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is not a string", where, key);
    *out = json_string_value(value);
    return SAMP_OK;
}

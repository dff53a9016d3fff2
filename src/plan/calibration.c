/* Calibration text to tokens. The file is read whole (it is capped), one record is parsed at a
 * time; the counts by stratum live in a JSON object from the start, because a reader of the
 * sensitivity file is all they are for. */
#include "plan/calibration.h"

#include "file/file.h"

#include <stdio.h>
#include <string.h>

enum { FINGERPRINT_BYTES_MAX = 4 << 20, HELD_OUT_OF = 8 };

typedef struct loader {
    const char *path;
    const samp_tokenizer *tokenizer;
    samp_calibration_options options;
    size_t max_tokens; /* SIZE_MAX = no limit */
    size_t first;      /* tokens the caller had before */
    samp_tokens *tokens;
    json_t *strata; /* name -> {"records", "bytes", "tokens"} of what was taken */
    json_t *seen;   /* name -> records that came by */
    uint64_t n_records;
    bool full; /* max_tokens cut something off */
} loader;

samp_status samp_fingerprint_path(char *out, size_t n, const char *path, samp_error *error)
{
    const char *name = samp_path_name(path), *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - path) : strlen(path);
    int length = snprintf(out, n, "%.*s.fingerprint.json", (int)stem, path);
    if (length < 0 || (size_t)length >= n)
        return samp_fail(error, SAMP_LIMIT, "the path %.64s… is too long", path);
    return SAMP_OK;
}

static bool add(json_t *object, const char *key, uint64_t n)
{
    json_int_t sum = json_integer_value(json_object_get(object, key)) + (json_int_t)n;
    return samp_json_set(object, key, json_integer(sum));
}

static samp_status count_record(loader *l, const char *stratum, size_t bytes, size_t n_tokens,
                                samp_error *error)
{
    json_t *row = json_object_get(l->strata, stratum);
    if (!row && !samp_json_set(l->strata, stratum, row = json_object())) row = NULL;
    if (!row || !add(row, "records", 1) || !add(row, "bytes", bytes) ||
        !add(row, "tokens", n_tokens))
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory while counting strata", l->path);
    l->n_records++;
    return SAMP_OK;
}

static samp_status add_record(loader *l, const char *text, size_t n, bool parse_special,
                              const char *stratum, samp_error *error)
{
    size_t before = l->tokens->count;
    samp_encode_text options = {.parse_special = parse_special, .add_bos = true};
    SAMP_TRY(samp_tokenizer_encode(l->tokenizer, text, n, options, l->tokens, error));
    int32_t eos = samp_tokenizer_eos(l->tokenizer);
    if (eos >= 0) SAMP_TRY(samp_tokens_push(l->tokens, eos, error));
    if (l->tokens->count - l->first > l->max_tokens) {
        l->tokens->count = l->first + l->max_tokens;
        l->full = true;
    }
    return count_record(l, stratum, n, l->tokens->count - before, error);
}

/* Whether the next record of a stratum belongs to the part that is read. */
static samp_status is_wanted(loader *l, const char *stratum, bool *wanted, samp_error *error)
{
    bool held_out = json_integer_value(json_object_get(l->seen, stratum)) % HELD_OUT_OF == 1;
    *wanted = l->options.part == SAMP_CALIBRATION_ALL ||
              held_out == (l->options.part == SAMP_CALIBRATION_HELD_OUT);
    if (l->options.stratum && strcmp(stratum, l->options.stratum) != 0) *wanted = false;
    if (add(l->seen, stratum, 1)) return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "%s: out of memory while counting strata", l->path);
}

static samp_status add_line(loader *l, const char *line, size_t n, uint64_t number,
                            samp_error *error)
{
    char where[160];
    snprintf(where, sizeof where, "%.120s, line %llu", l->path, (unsigned long long)number);
    json_t *record;
    const char *text = NULL, *stratum = "unnamed";
    SAMP_TRY(samp_json_parse(&record, line, n, where, error));
    samp_status status =
        json_is_object(record)
            ? samp_json_string(record, "text", true, &text, where, error)
            : samp_fail(error, SAMP_CORRUPT, "%s is not an object with \"text\"", where);
    if (status == SAMP_OK)
        status = samp_json_string(record, "stratum", false, &stratum, where, error);
    bool wanted = false;
    if (status == SAMP_OK) status = is_wanted(l, stratum, &wanted, error);
    if (status == SAMP_OK && wanted)
        status = add_record(l, text, json_string_length(json_object_get(record, "text")), true,
                            stratum, error);
    json_decref(record);
    return status;
}

static samp_status add_lines(loader *l, const samp_buffer *content, samp_error *error)
{
    const char *at = content->data, *end = content->data + content->length;
    for (uint64_t number = 1; at < end; number++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end) line_end = end;
        size_t n = (size_t)(line_end - at), blank = 0;
        while (blank < n && (at[blank] == ' ' || at[blank] == '\t' || at[blank] == '\r')) blank++;
        if (blank < n && l->tokens->count - l->first >= l->max_tokens) {
            l->full = true;
            return SAMP_OK;
        }
        if (blank < n) SAMP_TRY(add_line(l, at, n, number, error));
        at = line_end + 1;
    }
    return SAMP_OK;
}

/* The last white space at or before `at`, so that no word is split; `at` itself when there is none. */
static size_t cut_at(const char *text, size_t at)
{
    size_t cut = at;
    while (cut > 0 && text[cut] != ' ' && text[cut] != '\n') cut--;
    return cut ? cut : at;
}

/* Only as much of a plain text as max_tokens can need is tokenized: a token is at least a byte, and
 * long texts would be cut anyway. */
static samp_status add_text(loader *l, const samp_buffer *content, samp_error *error)
{
    enum { BYTES_PER_TOKEN_MAX = 64 };
    const char *text = content->data;
    size_t n = content->length, wanted, held_out = cut_at(text, n - n / HELD_OUT_OF);
    if (l->options.part == SAMP_CALIBRATION_FIT) n = held_out;
    if (l->options.part == SAMP_CALIBRATION_HELD_OUT) text += held_out, n -= held_out;
    if (!__builtin_mul_overflow(l->max_tokens, (size_t)BYTES_PER_TOKEN_MAX, &wanted) &&
        wanted < n) {
        n = cut_at(text, wanted);
        l->full = true;
    }
    if (n == 0) return SAMP_OK;
    return add_record(l, text, n, false, "unnamed", error);
}

/* A JSON object at the start means JSON lines: no plain calibration text begins with one whole. */
static bool is_json_lines(const samp_buffer *content)
{
    const char *end = memchr(content->data, '\n', content->length);
    size_t n = end ? (size_t)(end - content->data) : content->length;
    json_t *first;
    samp_error ignored;
    if (content->data[strspn(content->data, " \t\r\n")] != '{') return false;
    if (samp_json_parse(&first, content->data, n, "", &ignored) != SAMP_OK)
        return strncmp(content->data, "{\"text\":", 8) == 0;
    bool is_object = json_is_object(first);
    json_decref(first);
    return is_object;
}

/* A new reference, NULL when there is no fingerprint of exactly these bytes. */
static json_t *find_fingerprint(const char *path, const char *digest)
{
    char place[4096];
    const char *named = NULL;
    json_t *fingerprint;
    samp_error ignored;
    if (samp_fingerprint_path(place, sizeof place, path, &ignored) != SAMP_OK ||
        samp_json_load(&fingerprint, place, FINGERPRINT_BYTES_MAX, &ignored) != SAMP_OK)
        return NULL;
    if (json_is_object(fingerprint) &&
        samp_json_string(fingerprint, "sha256", true, &named, place, &ignored) == SAMP_OK &&
        strcmp(named, digest) == 0)
        return fingerprint;
    json_decref(fingerprint);
    return NULL;
}

static samp_status describe(loader *l, const char *digest, json_t **out, samp_error *error)
{
    json_t *fingerprint = find_fingerprint(l->path, digest);
    *out = json_pack("{s:i,s:I,s:I,s:b,s:O}", "schema_version", 1, "records",
                     (json_int_t)l->n_records, "tokens", (json_int_t)(l->tokens->count - l->first),
                     "complete", !l->full, "strata", l->strata);
    if (*out && fingerprint && !samp_json_set(*out, "fingerprint", json_incref(fingerprint))) {
        json_decref(*out);
        *out = NULL;
    }
    json_decref(fingerprint);
    return *out ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory", l->path);
}

samp_status samp_calibration_load(const char *path, const samp_tokenizer *tokenizer,
                                  const samp_calibration_options *options, samp_tokens *tokens,
                                  char digest[SAMP_SHA256_HEX], json_t **strata, samp_error *error)
{
    if (strata) *strata = NULL;
    loader l = {.path = path,
                .tokenizer = tokenizer,
                .options = *options,
                .max_tokens = options->max_tokens ? options->max_tokens : SIZE_MAX,
                .first = tokens->count,
                .tokens = tokens};
    samp_buffer content = {0};
    samp_status status = samp_file_slurp(path, SAMP_CALIBRATION_BYTES_MAX, &content, error);
    if (status == SAMP_OK) status = samp_sha256_bytes(content.data, content.length, digest, error);
    if (status == SAMP_OK && content.length == 0)
        status = samp_fail(error, SAMP_INVALID, "%s is empty, expected calibration text", path);
    l.strata = json_object();
    l.seen = json_object();
    if (status == SAMP_OK && (!l.strata || !l.seen))
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    if (status == SAMP_OK)
        status = is_json_lines(&content) ? add_lines(&l, &content, error)
                                         : add_text(&l, &content, error);
    if (status == SAMP_OK && tokens->count == l.first && options->part == SAMP_CALIBRATION_HELD_OUT)
        status =
            samp_fail(error, SAMP_INVALID,
                      "%s is too small to hold an eighth out: no stratum has two records", path);
    if (status == SAMP_OK && tokens->count == l.first)
        status = samp_fail(error, SAMP_INVALID, "%s has no token to calibrate on", path);
    if (status == SAMP_OK && strata) status = describe(&l, digest, strata, error);
    json_decref(l.strata);
    json_decref(l.seen);
    samp_buffer_release(&content);
    return status;
}

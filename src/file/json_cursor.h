/* Strict streaming JSON (RFC 8259) over a samp_cursor, for headers too large or too hostile for a
 * document tree: nothing is kept but the last string, integers are exact, strings must be valid
 * UTF-8 without lone surrogates, nesting is at most SAMP_JSON_DEPTH_MAX. The caller pulls what it
 * expects:
 *
 *     samp_json_cursor_enter(&json, '{');
 *     while (samp_json_cursor_member(&json, &key)) { … read or skip exactly one value … }
 *
 * The first failure is kept in the samp_cursor; every call after it returns false and reads
 * nothing. */
#ifndef SAMP_FILE_JSON_CURSOR_H
#define SAMP_FILE_JSON_CURSOR_H

#include "base/buffer.h"
#include "base/utf8.h"
#include "file/cursor.h"

enum {
    SAMP_JSON_DEPTH_MAX = 127
}; /* what serde_json accepts, the parser of the safetensors library */

typedef struct samp_json_text {
    const char
        *data; /* UTF-8, not NUL-terminated, may hold NUL; valid until the next string is read */
    size_t length;
} samp_json_text;

typedef struct samp_json_cursor {
    samp_cursor *bytes;
    unsigned depth;
    bool fresh;          /* nothing was read yet since the innermost container was entered */
    samp_buffer scratch; /* the last string that had escapes */
} samp_json_cursor;

void samp_json_cursor_init(samp_json_cursor *json, samp_cursor *bytes);
void samp_json_cursor_release(samp_json_cursor *json);

/* First byte of the next value ('{', '[', '"', '-', a digit, 't', 'f', 'n'), 0 at the end of input.
 */
char samp_json_cursor_peek(samp_json_cursor *json);
/* Steps into an object ('{') or array ('['); a failure when the next value is something else. */
bool samp_json_cursor_enter(samp_json_cursor *json, char open);
/* Next member of the object entered: its key, the value comes next. false at its end (stepped out).
 */
bool samp_json_cursor_member(samp_json_cursor *json, samp_json_text *key);
/* Next element of the array entered: the value comes next. false at its end (stepped out). */
bool samp_json_cursor_element(samp_json_cursor *json);
bool samp_json_cursor_string(samp_json_cursor *json, const char *what, samp_json_text *out);
/* A whole number 0 … 2^64-1 written with digits only: no sign, fraction or exponent. */
bool samp_json_cursor_u64(samp_json_cursor *json, const char *what, uint64_t *out);
/* Any value, checked and left behind. */
bool samp_json_cursor_skip(samp_json_cursor *json);
/* Nothing but white space may follow. */
bool samp_json_cursor_end(samp_json_cursor *json);

/* text equals the literal */
bool samp_json_text_is(samp_json_text text, const char *literal);

#endif

/* Strict streaming JSON. Strings without escapes are returned in place, others from the scratch
 * buffer. */
#include "file/json_cursor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void samp_json_cursor_init(samp_json_cursor *json, samp_cursor *bytes)
{
    *json = (samp_json_cursor){.bytes = bytes};
}

void samp_json_cursor_release(samp_json_cursor *json) { samp_buffer_release(&json->scratch); }

/* The byte at the cursor, -1 at the end and after a failure. */
static int current(const samp_json_cursor *json)
{
    const samp_cursor *bytes = json->bytes;
    return bytes->status == SAMP_OK && bytes->at < bytes->size ? bytes->data[bytes->at] : -1;
}

static int skip_space(samp_json_cursor *json)
{
    int c;
    while ((c = current(json)) == ' ' || c == '\n' || c == '\r' || c == '\t') json->bytes->at++;
    return c;
}

/* "expected WHAT, found 'x'" at the cursor. */
static bool fail_expected(samp_json_cursor *json, const char *what)
{
    int c = current(json);
    if (c < 0)
        samp_cursor_fail(json->bytes, SAMP_CORRUPT, "JSON ends where %s was expected", what);
    else if (c < 0x20 || c >= 0x7f)
        samp_cursor_fail(json->bytes, SAMP_CORRUPT, "found byte 0x%02x, expected %s", c, what);
    else
        samp_cursor_fail(json->bytes, SAMP_CORRUPT, "found '%c', expected %s", c, what);
    return false;
}

char samp_json_cursor_peek(samp_json_cursor *json)
{
    int c = skip_space(json);
    return c < 0 ? 0 : (char)c;
}

bool samp_json_cursor_enter(samp_json_cursor *json, char open)
{
    if (skip_space(json) != open)
        return fail_expected(json, open == '{' ? "an object" : "an array");
    if (json->depth == SAMP_JSON_DEPTH_MAX) {
        samp_cursor_fail(json->bytes, SAMP_LIMIT, "JSON is nested deeper than %d",
                         SAMP_JSON_DEPTH_MAX);
        return false;
    }
    json->bytes->at++;
    json->depth++;
    json->fresh = true;
    return true;
}

/* Stands before the next item of a container and true, or behind the container and false. */
static bool next_item(samp_json_cursor *json, char close, const char *expected)
{
    bool fresh = json->fresh;
    json->fresh = false;
    int c = skip_space(json);
    if (c == close) {
        json->bytes->at++;
        json->depth--;
        return false;
    }
    if (fresh) return c >= 0 || fail_expected(json, expected);
    if (c != ',') return fail_expected(json, expected);
    json->bytes->at++;
    return true;
}

bool samp_json_cursor_member(samp_json_cursor *json, samp_json_text *key)
{
    if (!next_item(json, '}', "',' or '}'")) return false;
    if (!samp_json_cursor_string(json, "a key in quotes", key)) return false;
    if (skip_space(json) != ':') return fail_expected(json, "':'");
    json->bytes->at++;
    return true;
}

bool samp_json_cursor_element(samp_json_cursor *json) { return next_item(json, ']', "',' or ']'"); }

static bool read_hex4(samp_json_cursor *json, unsigned *out)
{
    const unsigned char *digits = samp_cursor_bytes(json->bytes, 4, "a \\u escape");
    if (!digits) return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = digits[i], lower = c | 0x20;
        bool decimal = c >= '0' && c <= '9';
        if (!decimal && !(lower >= 'a' && lower <= 'f')) {
            json->bytes->at -= (uint64_t)(4 - i);
            return fail_expected(json, "a hexadecimal digit");
        }
        *out = *out * 16 + (decimal ? c - '0' : lower - 'a' + 10);
    }
    return true;
}

static void append_utf8(samp_buffer *out, unsigned code)
{
    char bytes[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; code >>= 6) bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(lead[n] | code);
    samp_buffer_append(out, bytes, n);
}

/* The cursor stands behind "\u". */
static bool read_unicode_escape(samp_json_cursor *json)
{
    unsigned code, low;
    if (!read_hex4(json, &code)) return false;
    if (code >= 0xd800 && code <= 0xdfff) {
        bool pair = code < 0xdc00 && current(json) == '\\';
        if (pair) {
            json->bytes->at++;
            pair = current(json) == 'u';
            json->bytes->at += pair;
            if (pair && !read_hex4(json, &low)) return false;
            pair = pair && low >= 0xdc00 && low <= 0xdfff;
        }
        if (!pair) {
            samp_cursor_fail(json->bytes, SAMP_CORRUPT,
                             "\\u%04x is half of a surrogate pair, and the other half is missing",
                             code);
            return false;
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(&json->scratch, code);
    return true;
}

/* The cursor stands behind a backslash. */
static bool read_escape(samp_json_cursor *json)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    int c = current(json);
    if (c == 'u') {
        json->bytes->at++;
        return read_unicode_escape(json);
    }
    const char *name = c > 0 ? strchr(names, c) : NULL;
    if (!name) return fail_expected(json, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    json->bytes->at++;
    samp_buffer_append(&json->scratch, values + (name - names), 1);
    return true;
}

/* Moves over bytes that stand for themselves; stops at a quote, a backslash or the end. */
static bool skip_plain(samp_json_cursor *json)
{
    samp_cursor *bytes = json->bytes;
    while (bytes->at < bytes->size) {
        const unsigned char *at = bytes->data + bytes->at;
        if (*at == '"' || *at == '\\') return true;
        if (*at < 0x20) {
            samp_cursor_fail(bytes, SAMP_CORRUPT,
                             "a string holds control byte 0x%02x, which must be escaped", *at);
            return false;
        }
        int length = samp_utf8_length((const char *)at, bytes->size - bytes->at);
        if (length <= 0) {
            samp_cursor_fail(bytes, SAMP_CORRUPT, "a string is not valid UTF-8 (byte 0x%02x)", *at);
            return false;
        }
        bytes->at += (uint64_t)length;
    }
    return true;
}

bool samp_json_cursor_string(samp_json_cursor *json, const char *what, samp_json_text *out)
{
    samp_cursor *bytes = json->bytes;
    if (skip_space(json) != '"') return fail_expected(json, what);
    bytes->at++;
    samp_buffer_clear(&json->scratch);
    bool escaped = false;
    for (;;) {
        const char *plain = (const char *)bytes->data + bytes->at;
        if (!skip_plain(json)) return false;
        size_t length = (size_t)((const char *)bytes->data + bytes->at - plain);
        int c = current(json);
        if (c < 0) return fail_expected(json, "the closing quote of a string");
        bytes->at++;
        if (c == '"' && !escaped) { /* the whole string lies in place */
            *out = (samp_json_text){plain, length};
            return true;
        }
        samp_buffer_append(&json->scratch, plain, length);
        if (c == '"') break;
        escaped = true;
        if (!read_escape(json)) return false;
    }
    if (json->scratch.failed) {
        samp_cursor_fail(bytes, SAMP_NOMEM, "out of memory for a string");
        return false;
    }
    *out = (samp_json_text){json->scratch.data, json->scratch.length};
    return true;
}

static bool is_digit(int c) { return c >= '0' && c <= '9'; }

bool samp_json_cursor_u64(samp_json_cursor *json, const char *what, uint64_t *out)
{
    uint64_t value = 0;
    int c = skip_space(json);
    uint64_t start = json->bytes->at;
    if (!is_digit(c)) return fail_expected(json, what);
    for (; is_digit(c); c = current(json)) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value)) {
            samp_cursor_fail(json->bytes, SAMP_CORRUPT, "%s is larger than 2^64-1", what);
            return false;
        }
        json->bytes->at++;
    }
    bool leading_zero = json->bytes->data[start] == '0' && json->bytes->at - start > 1;
    if (leading_zero || c == '.' || c == 'e' || c == 'E') {
        samp_cursor_fail(json->bytes, SAMP_CORRUPT,
                         "%s must be written as a plain whole number without %s", what,
                         leading_zero ? "leading zeros" : "fraction or exponent");
        return false;
    }
    *out = value;
    return true;
}

static bool skip_digits(samp_json_cursor *json)
{
    if (!is_digit(current(json))) return fail_expected(json, "a digit");
    while (is_digit(current(json))) json->bytes->at++;
    return true;
}

static bool skip_number(samp_json_cursor *json)
{
    samp_cursor *bytes = json->bytes;
    uint64_t start = bytes->at;
    if (current(json) == '-') bytes->at++;
    bool zero = current(json) == '0';
    if (zero)
        bytes->at++;
    else if (!skip_digits(json))
        return false;
    if (current(json) == '.') {
        bytes->at++;
        if (!skip_digits(json)) return false;
    }
    int c = current(json);
    if (c == 'e' || c == 'E') {
        bytes->at++;
        c = current(json);
        if (c == '+' || c == '-') bytes->at++;
        if (!skip_digits(json)) return false;
    }
    /* A number no double can hold would read as infinity elsewhere. */
    samp_buffer_clear(&json->scratch);
    samp_buffer_append(&json->scratch, bytes->data + start, bytes->at - start);
    if (json->scratch.failed) {
        samp_cursor_fail(bytes, SAMP_NOMEM, "out of memory for a number");
        return false;
    }
    if (isinf(strtod(json->scratch.data, NULL))) {
        samp_cursor_fail(bytes, SAMP_CORRUPT, "a number is too large");
        return false;
    }
    return true;
}

static bool skip_word(samp_json_cursor *json, const char *word)
{
    for (; *word; word++) {
        if (current(json) != *word) return fail_expected(json, "true, false or null");
        json->bytes->at++;
    }
    return true;
}

/* Recursion is bounded by SAMP_JSON_DEPTH_MAX. */
bool samp_json_cursor_skip(samp_json_cursor *json)
{
    samp_json_text text;
    int c = skip_space(json);
    switch (c) {
    case '{':
        if (!samp_json_cursor_enter(json, '{')) return false;
        while (samp_json_cursor_member(json, &text))
            if (!samp_json_cursor_skip(json)) return false;
        return json->bytes->status == SAMP_OK;
    case '[':
        if (!samp_json_cursor_enter(json, '[')) return false;
        while (samp_json_cursor_element(json))
            if (!samp_json_cursor_skip(json)) return false;
        return json->bytes->status == SAMP_OK;
    case '"': return samp_json_cursor_string(json, "a string", &text);
    case 't': return skip_word(json, "true");
    case 'f': return skip_word(json, "false");
    case 'n': return skip_word(json, "null");
    default:
        if (c == '-' || is_digit(c)) return skip_number(json);
        return fail_expected(json, "a value");
    }
}

bool samp_json_cursor_end(samp_json_cursor *json)
{
    if (json->bytes->status != SAMP_OK) return false;
    return skip_space(json) < 0 || fail_expected(json, "the end of the JSON text");
}

bool samp_json_text_is(samp_json_text text, const char *literal)
{
    return strlen(literal) == text.length && memcmp(text.data, literal, text.length) == 0;
}

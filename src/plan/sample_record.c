/* Lines of logs to texts: JSON with a second, lenient try, then the shapes of requests. */
#include "plan/sample_record.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON that may be damaged ---- */

static unsigned hex4(const char *text)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        unsigned digit = c >= '0' && c <= '9'                 ? (unsigned)(c - '0')
                         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (unsigned)((c | 32) - 'a') + 10
                                                              : 16;
        if (digit > 15) return UINT32_MAX;
        value = value << 4 | digit;
    }
    return value;
}

/* Length of the escape at text (a backslash) that is copied as it is; 0: a lone surrogate. */
static size_t escape_length(const char *text, size_t n)
{
    if (n < 6 || text[1] != 'u') return n < 2 ? n : 2;
    unsigned high = hex4(text + 2);
    if (high < 0xD800 || high > 0xDFFF) return 6;
    if (high > 0xDBFF || n < 12 || text[6] != '\\' || text[7] != 'u') return 0;
    unsigned low = hex4(text + 8);
    return low >= 0xDC00 && low <= 0xDFFF ? 12 : 0;
}

/* The line with invalid UTF-8 and lone surrogates replaced by U+FFFD, control bytes by blanks. */
static void repair(const char *line, size_t n, samp_buffer *out)
{
    samp_buffer_clear(out);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)line[i];
        size_t length = 1;
        if (c == '\\') {
            length = escape_length(line + i, n - i);
            if (length == 0) {
                samp_buffer_text(out, "\\ufffd");
                i += 6;
                continue;
            }
        } else if (c >= 0x80) {
            length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
            if (length > n - i || !samp_utf8_valid(line + i, length)) {
                samp_buffer_text(out, "\xEF\xBF\xBD");
                i++;
                continue;
            }
        } else if (c < 0x20) {
            samp_buffer_text(out, " ");
            i++;
            continue;
        }
        samp_buffer_append(out, line + i, length);
        i += length;
    }
}

/* The first try is strict and sees nearly every line; the second takes what services really write.
 * */
static samp_status parse(samp_record *record, const char *line, size_t n, json_t **out,
                         samp_error *error)
{
    record->repaired = false;
    samp_status status = samp_json_parse(out, line, n, "record", error);
    if (status != SAMP_CORRUPT) return status;
    repair(line, n, &record->scratch);
    SAMP_TRY(samp_buffer_ok(&record->scratch, error));
    json_error_t failure;
    const size_t flags = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL;
    *out = samp_json_read(record->scratch.data, record->scratch.length, flags, &failure);
    if (!*out) return status; /* what the strict try said */
    record->repaired = true;
    return SAMP_OK;
}

/* The value at a dotted path; a part that is a number also indexes lists. NULL: not there. */
static const json_t *at_path(const json_t *value, const char *path)
{
    while (value && *path) {
        char part[128];
        size_t length = strcspn(path, ".");
        if (length >= sizeof part) return NULL;
        memcpy(part, path, length);
        part[length] = '\0';
        value = json_is_array(value) ? json_array_get(value, strtoul(part, NULL, 10))
                                     : json_object_get(value, part);
        path += length + (path[length] == '.');
    }
    return value;
}

/* ---- text ---- */

/* n, or less than that so that at most `most` bytes and no half character are left. */
static size_t cut(const char *text, size_t n, size_t most)
{
    if (n <= most) return n;
    while (most > 0 && (text[most] & 0xC0) == 0x80) most--;
    return most;
}

static void append(samp_record *record, const char *text, size_t n)
{
    size_t kept = cut(text, n, SAMP_RECORD_TEXT_MAX - record->text.length);
    if (kept < n) record->truncated = true;
    n = kept;
    size_t first = record->text.length;
    samp_buffer_append(&record->text, text, n);
    if (record->text.failed || !memchr(text, '\0', n)) return;
    for (size_t i = first; i < record->text.length; i++)
        if (record->text.data[i] == '\0') record->text.data[i] = ' ';
}

static void append_text(samp_record *record, const char *text)
{
    append(record, text, strlen(text));
}

static void append_string(samp_record *record, const json_t *string)
{
    append(record, json_string_value(string), json_string_length(string));
}

/* A message's content: a text, or parts of which those with a text count. */
static void append_content(samp_record *record, const json_t *content)
{
    if (json_is_string(content)) append_string(record, content);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i), *text = json_object_get(part, "text");
        if (json_is_string(part)) text = part;
        if (json_is_string(text)) append_string(record, text);
    }
}

static void append_tool_calls(samp_record *record, const json_t *calls)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i),
                     *function = json_object_get(call, "function");
        const json_t *name = json_object_get(function ? function : call, "name");
        const json_t *given = json_object_get(function ? function : call, "arguments");
        if (!json_is_string(name)) continue;
        append_text(record, "<tool_call>\n{\"name\": \"");
        append_string(record, name);
        append_text(record, "\", \"arguments\": ");
        char *dumped = json_is_string(given) ? NULL : json_dumps(given, JSON_ENCODE_ANY);
        if (json_is_string(given))
            append_string(record, given);
        else
            append_text(record, dumped ? dumped : "{}");
        samp_free(dumped);
        append_text(record, "}\n</tool_call>");
    }
}

static void append_message(samp_record *record, const char *role, const json_t *message)
{
    enum { ROLE_MAX = 32 };
    append_text(record, "<|im_start|>");
    append(record, role, cut(role, strlen(role), ROLE_MAX));
    append_text(record, "\n");
    append_content(record, json_is_object(message) ? json_object_get(message, "content") : message);
    append_tool_calls(record, json_object_get(message, "tool_calls"));
    append_text(record, "<|im_end|>\n");
}

/* ---- shapes of records ---- */

static const json_t *first_of(const json_t *object, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        if (value && !json_is_null(value)) return value;
    }
    return NULL;
}

/* The answer in a record or in a server's response: a text, or a message; NULL when there is none.
 * */
static const json_t *find_answer(const json_t *record)
{
    static const char *const keys[] = {"response", "completion"};
    const json_t *answer = first_of(record, keys, 2);
    if (json_is_string(answer)) return answer;
    const json_t *choices = json_object_get(answer ? answer : record, "choices");
    const json_t *choice = json_array_get(choices, 0);
    const json_t *message = json_object_get(choice, "message");
    if (message) return message;
    if (json_is_string(json_object_get(choice, "text"))) return json_object_get(choice, "text");
    if (json_is_object(answer) && json_object_get(answer, "content")) return answer;
    return json_object_get(answer, "message");
}

static bool is_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && strcmp(role, "assistant") == 0;
}

/* False when it is not a list of messages. */
static bool append_chat(samp_record *record, const json_t *messages, const json_t *answer)
{
    size_t n = json_array_size(messages);
    if (n == 0) return false;
    for (size_t i = 0; i < n; i++)
        if (!json_is_object(json_array_get(messages, i))) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        append_message(record, role ? role : "user", message);
        bool system = role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0);
        if (i == 0 && system && n > 1) record->body = record->text.length;
    }
    if (answer && !is_assistant(json_array_get(messages, n - 1)))
        append_message(record, "assistant", answer);
    return true;
}

static bool append_prompt(samp_record *record, const json_t *prompt, const json_t *answer)
{
    bool any = json_is_string(prompt);
    for (size_t i = 0; i < json_array_size(prompt); i++)
        any |= json_is_string(json_array_get(prompt, i));
    if (!any) return false;
    if (answer) {
        append_message(record, "user", prompt);
        append_message(record, "assistant", answer);
        return true;
    }
    if (json_is_string(prompt)) append_string(record, prompt);
    for (size_t i = 0; i < json_array_size(prompt); i++) {
        if (!json_is_string(json_array_get(prompt, i))) continue;
        if (record->text.length) append_text(record, "\n");
        append_string(record, json_array_get(prompt, i));
    }
    return true;
}

static const char *append_value(samp_record *record, const json_t *value, const json_t *outer,
                                unsigned depth);

static const char *append_object(samp_record *record, const json_t *object, const json_t *outer,
                                 unsigned depth)
{
    const json_t *answer = find_answer(object);
    if (!answer && outer) answer = find_answer(outer);
    if (append_chat(record, json_object_get(object, "messages"), answer)) return NULL;
    if (append_prompt(record, json_object_get(object, "prompt"), answer)) return NULL;
    const json_t *text = json_object_get(object, "text");
    if (json_is_string(text)) {
        append_string(record, text);
        return NULL;
    }
    static const char *const wrappers[] = {"request", "body"};
    const json_t *inner = first_of(object, wrappers, 2);
    if (inner && depth > 0) return append_value(record, inner, object, depth - 1);
    if (json_object_get(object, "prompt")) return "its \"prompt\" is neither a text nor texts";
    if (json_object_get(object, "messages")) return "its \"messages\" are not a list of messages";
    return "it has none of \"messages\", \"prompt\" and \"text\"; --field names where the request "
           "is";
}

/* A request logged as a string of JSON. */
static bool append_nested(samp_record *record, const json_t *string, const json_t *outer,
                          unsigned depth)
{
    const char *text = json_string_value(string);
    if (depth == 0 || (*text != '{' && *text != '[')) return false;
    json_t *value = samp_json_read(text, json_string_length(string), JSON_ALLOW_NUL, NULL);
    bool done = value && append_value(record, value, outer, depth - 1) == NULL;
    json_decref(value);
    if (!done) samp_buffer_clear(&record->text);
    return done;
}

/* NULL, or why the value is no record. */
static const char *append_value(samp_record *record, const json_t *value, const json_t *outer,
                                unsigned depth)
{
    if (json_is_string(value)) {
        if (append_nested(record, value, outer, depth)) return NULL;
        const json_t *answer = outer ? find_answer(outer) : NULL;
        append_prompt(record, value, answer == value ? NULL : answer);
        return NULL;
    }
    if (json_is_object(value)) return append_object(record, value, outer, depth);
    if (append_chat(record, value, outer ? find_answer(outer) : NULL)) return NULL;
    if (json_is_array(value) && append_prompt(record, value, NULL)) return NULL;
    return "it is neither an object nor a text";
}

static void read_stratum(samp_record *record, const json_t *root, const char *path)
{
    const json_t *value = path ? at_path(root, path) : NULL;
    record->stratum[0] = '\0';
    if (json_is_string(value)) {
        size_t n =
            cut(json_string_value(value), json_string_length(value), sizeof record->stratum - 1);
        for (size_t i = 0; i < n; i++) {
            char c = json_string_value(value)[i];
            record->stratum[i] = (unsigned char)c < 0x20 || c == 0x7F ? '?' : c;
        }
        record->stratum[n] = '\0';
    } else if (json_is_integer(value)) {
        snprintf(record->stratum, sizeof record->stratum, "%lld",
                 (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(record->stratum, sizeof record->stratum, "%s",
                 json_is_true(value) ? "true" : "false");
    }
}

samp_status samp_record_read(samp_record *record, const char *line, size_t n, const char *field,
                             const char *stratum_field, samp_error *error)
{
    enum { WRAPPERS_MAX = 3 };
    json_t *root;
    samp_buffer_clear(&record->text);
    record->body = 0;
    record->truncated = false;
    SAMP_TRY(parse(record, line, n, &root, error));
    const json_t *value = field ? at_path(root, field) : root;
    const char *why = value ? append_value(record, value, field ? root : NULL, WRAPPERS_MAX)
                            : "the path of --field is not in it";
    size_t blank = 0;
    while (blank < record->text.length && (unsigned char)record->text.data[blank] <= ' ') blank++;
    if (!why && blank == record->text.length) why = "its text is empty";
    read_stratum(record, root, stratum_field);
    json_decref(root);
    if (record->text.failed)
        return samp_fail(error, SAMP_NOMEM, "out of memory while reading a record");
    return why ? samp_fail(error, SAMP_CORRUPT, "%s", why) : SAMP_OK;
}

void samp_record_release(samp_record *record)
{
    samp_buffer_release(&record->text);
    samp_buffer_release(&record->scratch);
}

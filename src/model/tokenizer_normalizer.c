/* Normalizers of tokenizer.json: what is done to a text before it is cut into words.
 *
 * Supported are those the Llama family and its neighbours use: NFC (NFD, NFKC, NFKD), Prepend,
 * Replace of a string, and Sequence. Invalid UTF-8 passes through unchanged. A list of transforms
 * reads a text and writes one of two buffers that the caller owns; an unchanged text is not copied.
 */
#include "model/tokenizer_internal.h"

#include <string.h>
#include <utf8proc.h>

enum { NON_STARTERS_MAX = 256 };

samp_status samp__transform_add(samp_tokenizer *t, samp__transforms *list,
                                samp__transform_kind kind, const char *from, const char *to,
                                const char *where, samp_error *error)
{
    if (list->count == SAMP__STEPS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: more than %d steps change the text", where,
                         SAMP__STEPS_MAX);
    samp__transform *item = &list->items[list->count];
    *item = (samp__transform){.kind = kind, .n_from = strlen(from), .n_to = strlen(to)};
    item->from = samp_arena_strndup(&t->arena, from, item->n_from);
    item->to = samp_arena_strndup(&t->arena, to, item->n_to);
    if (!item->from || !item->to) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    if (kind == SAMP__REPLACE && item->n_from == 0)
        return samp_fail(error, SAMP_CORRUPT, "%s: \"Replace\" has an empty pattern", where);
    list->count++;
    return SAMP_OK;
}

static int unicode_form(const char *type)
{
    if (strcmp(type, "NFC") == 0) return UTF8PROC_COMPOSE;
    if (strcmp(type, "NFD") == 0) return UTF8PROC_DECOMPOSE;
    if (strcmp(type, "NFKC") == 0) return UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    if (strcmp(type, "NFKD") == 0) return UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    return 0;
}

static samp_status read_step(samp_tokenizer *t, const json_t *json, int depth, const char *where,
                             samp_error *error)
{
    const char *type = NULL, *text = NULL, *from = NULL;
    SAMP_TRY(samp_json_string(json, "type", true, &type, where, error));
    samp__transforms *list = &t->normalizer;
    if (strcmp(type, "Sequence") == 0 && depth < 4) {
        const json_t *items = json_object_get(json, "normalizers");
        if (!json_is_array(items))
            return samp_fail(error, SAMP_CORRUPT, "%s: normalizer \"Sequence\" has no list", where);
        size_t i;
        const json_t *item;
        json_array_foreach(items, i, item) SAMP_TRY(read_step(t, item, depth + 1, where, error));
        return SAMP_OK;
    }
    if (unicode_form(type)) {
        SAMP_TRY(samp__transform_add(t, list, SAMP__UNICODE_FORM, "", "", where, error));
        list->items[list->count - 1].form = unicode_form(type) | UTF8PROC_STABLE;
        return SAMP_OK;
    }
    if (strcmp(type, "Prepend") == 0) {
        SAMP_TRY(samp_json_string(json, "prepend", true, &text, where, error));
        return samp__transform_add(t, list, SAMP__PREPEND, "", text, where, error);
    }
    if (strcmp(type, "Replace") == 0) {
        const json_t *pattern = json_object_get(json, "pattern");
        SAMP_TRY(samp_json_string(pattern, "String", false, &from, where, error));
        SAMP_TRY(samp_json_string(json, "content", true, &text, where, error));
        if (from) return samp__transform_add(t, list, SAMP__REPLACE, from, text, where, error);
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: normalizer \"Replace\" is supported with a \"String\" pattern only",
                         where);
    }
    return samp_fail(
        error, SAMP_UNSUPPORTED,
        "%s: normalizer \"%s\" is not supported (supported: Sequence up to 4 deep, NFC, "
        "NFD, NFKC, NFKD, Prepend, Replace of a String)",
        where, type);
}

samp_status samp__normalizer_read(samp_tokenizer *t, const json_t *json, const char *where,
                                  samp_error *error)
{
    return json ? read_step(t, json, 0, where, error) : SAMP_OK;
}

static void replace_all(const samp__transform *item, const char *text, size_t n, samp_buffer *out)
{
    const char *end = text + n;
    for (;;) {
        const char *hit = memmem(text, (size_t)(end - text), item->from, item->n_from);
        samp_buffer_append(out, text, (size_t)((hit ? hit : end) - text));
        if (!hit) return;
        samp_buffer_append(out, item->to, item->n_to);
        text = hit + item->n_from;
    }
}

/* Normalizes valid UTF-8 without ASCII (but for a first character, which the next may combine
 * with). */
static void normalize_run(int form, const char *text, size_t n, samp_buffer *out)
{
    utf8proc_option_t options = (utf8proc_option_t)form;
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t count = utf8proc_decompose(bytes, (utf8proc_ssize_t)n, NULL, 0, options);
    if (count <= 0) { /* nothing that utf8proc can do: text stays as it is */
        samp_buffer_append(out, text, n);
        return;
    }
    utf8proc_int32_t *codes = samp_realloc(NULL, (size_t)count, sizeof *codes);
    if (!codes) {
        out->failed = true;
        return;
    }
    count = utf8proc_decompose(bytes, (utf8proc_ssize_t)n, codes, count, options);
    if (count > 0) count = utf8proc_normalize_utf32(codes, count, options);
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        char encoded[4];
        samp_buffer_append(out, encoded, samp_utf8_encode((uint32_t)codes[i], encoded));
    }
    samp_free(codes);
}

/* A run ends before an ASCII character or an invalid byte: neither combines with what stands before
 * it. It also ends after 256 combining marks in a row, which no text has: utf8proc sorts marks in
 * quadratic time, and five megabytes of them must not stop a server. */
static size_t run_length(const char *text, size_t n)
{
    size_t at = 0;
    int marks = 0;
    while (at < n && (at == 0 || (unsigned char)text[at] >= 0x80)) {
        int length = samp_utf8_length(text + at, n - at);
        if (length <= 0) break;
        uint32_t code = samp_utf8_decode(text + at, length);
        marks = utf8proc_get_property((utf8proc_int32_t)code)->combining_class ? marks + 1 : 0;
        if (marks > NON_STARTERS_MAX) break;
        at += (size_t)length;
    }
    return at;
}

static void normalize(int form, const char *text, size_t n, samp_buffer *out)
{
    for (size_t at = 0; at < n;) {
        size_t run = run_length(text + at, n - at);
        if (run > 1)
            normalize_run(form, text + at, run, out);
        else
            samp_buffer_append(out, text + at, run = 1);
        at += run;
    }
}

static bool is_ascii(const char *text, size_t n)
{
    unsigned char all = 0;
    for (size_t i = 0; i < n; i++) all |= (unsigned char)text[i];
    return all < 0x80;
}

static bool starts_with(const char *text, size_t n, const samp__transform *item)
{
    return n >= item->n_to && memcmp(text, item->to, item->n_to) == 0;
}

/* Whether a transform changes nothing, found without a copy. */
static bool is_idle(const samp__transform *item, bool first, const char *text, size_t n)
{
    switch (item->kind) {
    case SAMP__UNICODE_FORM: return is_ascii(text, n);
    case SAMP__PREPEND: return n == 0;
    case SAMP__PREPEND_FRESH: return n == 0 || starts_with(text, n, item);
    case SAMP__PREPEND_FIRST: return n == 0 || !first || starts_with(text, n, item);
    case SAMP__REPLACE: return !memmem(text, n, item->from, item->n_from);
    }
    return true;
}

samp_status samp__transforms_apply(const samp__transforms *list, bool first, samp_buffer buffers[2],
                                   const char **text, size_t *n, samp_error *error)
{
    int into = 0;
    for (int i = 0; i < list->count; i++) {
        const samp__transform *item = &list->items[i];
        if (is_idle(item, first, *text, *n)) continue;
        samp_buffer *out = &buffers[into];
        samp_buffer_clear(out);
        if (item->kind == SAMP__UNICODE_FORM) {
            normalize(item->form, *text, *n, out);
        } else if (item->kind == SAMP__REPLACE) {
            replace_all(item, *text, *n, out);
        } else {
            samp_buffer_append(out, item->to, item->n_to);
            samp_buffer_append(out, *text, *n);
        }
        SAMP_TRY(samp_buffer_ok(out, error));
        if (out->length > SAMP__TEXT_MAX)
            return samp_fail(error, SAMP_LIMIT,
                             "the normalized text has %zu bytes, at most %d are accepted",
                             out->length, SAMP__TEXT_MAX);
        *text = out->data ? out->data : "";
        *n = out->length;
        into = 1 - into;
    }
    return SAMP_OK;
}

static bool is_prefix(const samp__transform *item)
{
    return item->kind != SAMP__UNICODE_FORM && item->kind != SAMP__REPLACE;
}

samp_status samp__transforms_marks(const samp__transforms *list, bool first, const char *text,
                                   size_t n, const uint8_t *marks, const char *changed,
                                   size_t n_changed, samp_buffer *out, samp_error *error)
{
    samp__transforms inner = {0}; /* what is put in front is put in front of the whole */
    for (int i = 0; i < list->count; i++)
        if (!is_prefix(&list->items[i])) inner.items[inner.count++] = list->items[i];
    samp_buffer scratch[2] = {{0}, {0}};
    samp_status status = SAMP_OK;
    bool same = true;
    samp_buffer_clear(out);
    for (size_t from = 0, to; status == SAMP_OK && same && from < n; from = to) {
        const uint8_t *end = memchr(marks + from, !marks[from], n - from);
        to = end ? (size_t)(end - marks) : n;
        const char *piece = text + from;
        size_t length = to - from, at = out->length;
        status =
            samp__transforms_apply(from ? &inner : list, first, scratch, &piece, &length, error);
        if (status != SAMP_OK) break;
        same = length <= n_changed - at && memcmp(changed + at, piece, length) == 0;
        char *room = same ? samp_buffer_reserve(out, length) : NULL;
        if (!room) break;
        memset(room, marks[from], length);
        out->length += length;
    }
    if (status == SAMP_OK && (!same || out->length != n_changed)) {
        samp_buffer_clear(out);
        char *room = samp_buffer_reserve(out, n_changed);
        if (room) memset(room, 0, n_changed);
        out->length = room ? n_changed : 0;
    }
    samp_buffer_release(&scratch[0]);
    samp_buffer_release(&scratch[1]);
    return status == SAMP_OK ? samp_buffer_ok(out, error) : status;
}

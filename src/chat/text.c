/* Texts with their marks: pieces, search, stripping, slices by character, and the builder that
 * every new text is made in. Memory is the rendering's arena; pieces share their source's. */
#include "chat/jinja.h"

#include "base/utf8.h"

#include <utf8proc.h>

samp__text samp__text_part(samp__text text, size_t from, size_t to)
{
    samp__text part = text;
    part.bytes = text.bytes + from;
    part.n = (uint32_t)(to - from);
    if (text.marks) part.marks = text.marks + from;
    return part;
}

bool samp__text_equal(samp__text a, samp__text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.bytes, b.bytes, a.n) == 0);
}

int64_t samp__text_find(samp__text text, samp__text needle, size_t from)
{
    if (from > text.n) return -1;
    if (needle.n == 0) return (int64_t)from;
    const char *found = memmem(text.bytes + from, text.n - from, needle.bytes, needle.n);
    return found ? found - text.bytes : -1;
}

size_t samp__character_bytes(char first)
{
    unsigned char byte = (unsigned char)first;
    return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

uint32_t samp__code_at(samp__text text, size_t at)
{
    return samp_utf8_decode(text.bytes + at, (int)samp__character_bytes(text.bytes[at]));
}

uint32_t samp__characters(samp__text text) { return (uint32_t)samp_utf8_count(text.bytes, text.n); }

bool samp__is_space(uint32_t code)
{
    if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13) || (code >= 28 && code <= 31);
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return code == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

static bool in_set(samp__text text, size_t at, const samp__text *set)
{
    uint32_t code = samp__code_at(text, at);
    if (!set) return samp__is_space(code);
    for (size_t i = 0; i < set->n; i += samp__character_bytes(set->bytes[i]))
        if (samp__code_at(*set, i) == code) return true;
    return false;
}

samp__text samp__strip(samp__text text, samp__sides sides, const samp__text *set)
{
    size_t from = 0, to = text.n;
    if (sides & SAMP__LEFT)
        while (from < to && in_set(text, from, set))
            from += samp__character_bytes(text.bytes[from]);
    while (sides & SAMP__RIGHT && to > from) {
        size_t last = to - 1;
        while (last > from && ((unsigned char)text.bytes[last] & 0xc0) == 0x80) last--;
        if (!in_set(text, last, set)) break;
        to = last;
    }
    return samp__text_part(text, from, to);
}

/* ---- building -------------------------------------------------------------------------------- */

static samp_status grow(samp__render *r, samp__builder *b, size_t more)
{
    size_t needed = b->n + more, capacity = b->capacity ? b->capacity : 32;
    if (needed > r->limits.output_bytes)
        return samp__fail(r, SAMP_LIMIT, "a text of more than %llu bytes, the limit",
                          (unsigned long long)r->limits.output_bytes);
    if (needed <= b->capacity) return SAMP_OK;
    while (capacity < needed) capacity *= 2;
    char *bytes;
    uint8_t *marks;
    SAMP_TRY(samp__allocate(r, capacity, 1, &bytes));
    SAMP_TRY(samp__allocate(r, capacity, 1, &marks));
    if (b->n) {
        memcpy(bytes, b->bytes, b->n);
        memcpy(marks, b->marks, b->n);
    }
    b->bytes = bytes;
    b->marks = marks;
    b->capacity = capacity;
    return SAMP_OK;
}

samp_status samp__build(samp__render *r, samp__builder *b, samp__text text)
{
    if (text.n == 0) return SAMP_OK;
    SAMP_TRY(samp__charge(r, text.n / 64));
    SAMP_TRY(grow(r, b, text.n));
    memcpy(b->bytes + b->n, text.bytes, text.n);
    if (text.marks)
        memcpy(b->marks + b->n, text.marks, text.n);
    else
        memset(b->marks + b->n, text.trusted, text.n);
    b->n += text.n;
    return SAMP_OK;
}

samp_status samp__build_literal(samp__render *r, samp__builder *b, const char *text)
{
    return samp__build(r, b,
                       (samp__text){.bytes = text, .n = (uint32_t)strlen(text), .trusted = true});
}

samp__text samp__built(const samp__builder *b)
{
    samp__text text = {.bytes = b->bytes ? b->bytes : "", .n = (uint32_t)b->n};
    if (b->n == 0) return text;
    text.trusted = b->marks[0];
    if (memchr(b->marks, !b->marks[0], b->n)) text.marks = b->marks;
    return text;
}

samp_status samp__to_text(samp__render *r, const samp__value *v, samp__text *out)
{
    if (v->kind == SAMP__TEXT) {
        *out = v->text;
        return SAMP_OK;
    }
    samp__builder b = {0};
    SAMP_TRY(samp__build_value(r, &b, v));
    *out = samp__built(&b);
    return SAMP_OK;
}

/* ---- slices by character --------------------------------------------------------------------- */

/* Byte offset of character `index`, which is at most the number of characters. */
static size_t offset_of(samp__text text, int64_t index)
{
    size_t at = 0;
    while (index-- > 0) at += samp__character_bytes(text.bytes[at]);
    return at;
}

samp_status samp__text_slice(samp__render *r, samp__text text, int64_t from, int64_t to,
                             int64_t step, samp__value *out)
{
    SAMP_TRY(samp__charge(r, text.n / 16));
    if (step == 1) {
        size_t begin = offset_of(text, from), end = to > from ? offset_of(text, to) : begin;
        *out = samp__of_text(samp__text_part(text, begin, end));
        return SAMP_OK;
    }
    uint32_t count = 0;
    uint32_t *offsets; /* of each character */
    SAMP_TRY(samp__allocate(r, (size_t)text.n + 1, sizeof *offsets, &offsets));
    for (size_t at = 0; at < text.n; at += samp__character_bytes(text.bytes[at]))
        offsets[count++] = (uint32_t)at;
    samp__builder b = {0};
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step) {
        size_t at = offsets[i], n = samp__character_bytes(text.bytes[at]);
        SAMP_TRY(samp__charge(r, 1));
        SAMP_TRY(samp__build(r, &b, samp__text_part(text, at, at + n)));
    }
    *out = samp__of_text(samp__built(&b));
    return SAMP_OK;
}

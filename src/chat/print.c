/* Values as texts: Python's str() and repr(), and json.dumps() as Hugging Face's tojson calls it.
 * What the program writes (brackets, quotes, digits) is marked as the template's; the characters
 * of a text keep their marks, through escapes too. */
#include "chat/jinja.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

/* The shortest decimal that reads back as the same number, in Python's layout: an exponent below
 * 1e-4 and from 1e16 on. */
const char *samp__float_repr(double number, char out[32])
{
    char digits[32], *end;
    if (!isfinite(number)) return isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
    for (int precision = 0; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, number);
        if (strtod(digits, NULL) == number) break;
    }
    int exponent = (int)strtol(strchr(digits, 'e') + 1, &end, 10);
    char *mark = strchr(digits, 'e');
    int precision = (int)(mark - digits) - (digits[0] == '-') - 1; /* digits after the first */
    if (precision > 0) precision--;                                /* the point */
    if (exponent < -4 || exponent >= 16) {
        snprintf(mark, 8, "e%+03d", exponent);
        return strcpy(out, digits);
    }
    int decimals = precision - exponent > 1 ? precision - exponent : 1;
    snprintf(out, 32, "%.*f", decimals, number);
    return out;
}

/* Writes a backslash, a letter, and the code in as many hexadecimal digits, marked as the character
 * of source at `at` is. */
static samp_status build_escape(samp__render *r, samp__builder *b, samp__text source, size_t at,
                                char letter, int digits, uint32_t code)
{
    char text[16];
    int n = digits ? snprintf(text, sizeof text, "\\%c%0*x", letter, digits, (unsigned)code)
                   : snprintf(text, sizeof text, "\\%c", letter);
    bool trusted = source.marks ? source.marks[at] : source.trusted;
    return samp__build(r, b, (samp__text){.bytes = text, .n = (uint32_t)n, .trusted = trusted});
}

/* ---- repr ------------------------------------------------------------------------------------ */

/* As Python's str.isprintable. */
static bool is_printable(uint32_t code)
{
    if (code == ' ') return true;
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    default: return true;
    }
}

static samp_status repr_character(samp__render *r, samp__builder *b, samp__text text, size_t at,
                                  char quote)
{
    static const char from[] = "\n\r\t\\", to[] = "nrt\\";
    uint32_t code = samp__code_at(text, at);
    const char *simple = code && code < 0x80 ? strchr(from, (int)code) : NULL;
    if (simple) return build_escape(r, b, text, at, to[simple - from], 0, 0);
    if (code == (unsigned char)quote) return build_escape(r, b, text, at, quote, 0, 0);
    if (!is_printable(code)) {
        char letter = code < 0x100 ? 'x' : code < 0x10000 ? 'u' : 'U';
        return build_escape(r, b, text, at, letter,
                            letter == 'x'   ? 2
                            : letter == 'u' ? 4
                                            : 8,
                            code);
    }
    size_t n = samp__character_bytes(text.bytes[at]);
    return samp__build(r, b, samp__text_part(text, at, at + n));
}

static samp_status repr_text(samp__render *r, samp__builder *b, samp__text text)
{
    bool single = text.n && memchr(text.bytes, '\'', text.n);
    char quote = single && !memchr(text.bytes, '"', text.n) ? '"' : '\'';
    const char quotes[] = {quote, '\0'};
    SAMP_TRY(samp__charge(r, text.n / 8));
    SAMP_TRY(samp__build_literal(r, b, quotes));
    for (size_t at = 0; at < text.n; at += samp__character_bytes(text.bytes[at]))
        SAMP_TRY(repr_character(r, b, text, at, quote));
    return samp__build_literal(r, b, quotes);
}

static samp_status repr_list(samp__render *r, samp__builder *b, const samp__value *v)
{
    bool is_tuple = v->kind == SAMP__TUPLE;
    SAMP_TRY(samp__build_literal(r, b, is_tuple ? "(" : "["));
    for (uint32_t i = 0; i < v->list->n; i++) {
        if (i) SAMP_TRY(samp__build_literal(r, b, ", "));
        SAMP_TRY(samp__build_repr(r, b, &v->list->items[i]));
    }
    if (is_tuple && v->list->n == 1) SAMP_TRY(samp__build_literal(r, b, ","));
    return samp__build_literal(r, b, is_tuple ? ")" : "]");
}

static samp_status repr_dict(samp__render *r, samp__builder *b, const samp__dict *dict)
{
    SAMP_TRY(samp__build_literal(r, b, "{"));
    for (uint32_t i = 0; i < dict->keys.n; i++) {
        if (i) SAMP_TRY(samp__build_literal(r, b, ", "));
        SAMP_TRY(samp__build_repr(r, b, &dict->keys.items[i]));
        SAMP_TRY(samp__build_literal(r, b, ": "));
        SAMP_TRY(samp__build_repr(r, b, &dict->values.items[i]));
    }
    return samp__build_literal(r, b, "}");
}

static samp_status repr_inside(samp__render *r, samp__builder *b, const samp__value *v)
{
    char text[32];
    switch (v->kind) {
    case SAMP__UNDEFINED: return samp__build_literal(r, b, "Undefined");
    case SAMP__NONE: return samp__build_literal(r, b, "None");
    case SAMP__BOOL: return samp__build_literal(r, b, v->truth ? "True" : "False");
    case SAMP__INT:
        snprintf(text, sizeof text, "%" PRId64, v->integer);
        return samp__build_literal(r, b, text);
    case SAMP__FLOAT: return samp__build_literal(r, b, samp__float_repr(v->number, text));
    case SAMP__TEXT: return repr_text(r, b, v->text);
    case SAMP__LIST:
    case SAMP__TUPLE: return repr_list(r, b, v);
    case SAMP__DICT: return repr_dict(r, b, v->dict);
    default:
        return samp__fail(r, SAMP_UNSUPPORTED, "%s cannot be written as text",
                          samp__kind_name(v->kind));
    }
}

samp_status samp__build_repr(samp__render *r, samp__builder *b, const samp__value *v)
{
    SAMP_TRY(samp__enter(r));
    samp_status status = repr_inside(r, b, v);
    samp__leave(r);
    return status;
}

samp_status samp__build_value(samp__render *r, samp__builder *b, const samp__value *v)
{
    if (v->kind == SAMP__UNDEFINED) return SAMP_OK;
    return v->kind == SAMP__TEXT ? samp__build(r, b, v->text) : samp__build_repr(r, b, v);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

typedef struct json_writer {
    samp__render *r;
    samp__builder *b;
    const samp__json_style *style;
    unsigned level;
} json_writer;

static samp_status write_value(json_writer *w, const samp__value *v);

static samp_status json_character(json_writer *w, samp__text text, size_t at)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    uint32_t code = samp__code_at(text, at);
    const char *simple = code && code < 0x80 ? strchr(from, (int)code) : NULL;
    if (simple) return build_escape(w->r, w->b, text, at, to[simple - from], 0, 0);
    if (code >= 0x10000 && w->style->ascii) { /* a surrogate pair */
        uint32_t rest = code - 0x10000;
        SAMP_TRY(build_escape(w->r, w->b, text, at, 'u', 4, 0xd800 + (rest >> 10)));
        return build_escape(w->r, w->b, text, at, 'u', 4, 0xdc00 + (rest & 0x3ff));
    }
    if (code < 0x20 || (code > 0x7e && w->style->ascii))
        return build_escape(w->r, w->b, text, at, 'u', 4, code);
    size_t n = samp__character_bytes(text.bytes[at]);
    return samp__build(w->r, w->b, samp__text_part(text, at, at + n));
}

/* Bytes from `at` on that JSON writes as they are. */
static size_t plain_bytes(const json_writer *w, samp__text text, size_t at)
{
    size_t end = at;
    for (; end < text.n; end++) {
        unsigned char c = (unsigned char)text.bytes[end];
        if (c < 0x20 || c == '"' || c == '\\' || (c > 0x7e && w->style->ascii)) break;
    }
    return end - at;
}

static samp_status write_text(json_writer *w, samp__text text)
{
    SAMP_TRY(samp__charge(w->r, text.n / 16));
    SAMP_TRY(samp__build_literal(w->r, w->b, "\""));
    for (size_t at = 0; at < text.n;) {
        size_t plain = plain_bytes(w, text, at);
        SAMP_TRY(samp__build(w->r, w->b, samp__text_part(text, at, at + plain)));
        at += plain;
        if (at == text.n) break;
        SAMP_TRY(json_character(w, text, at));
        at += samp__character_bytes(text.bytes[at]);
    }
    return samp__build_literal(w->r, w->b, "\"");
}

static samp_status new_line(json_writer *w)
{
    if (!w->style->indented) return SAMP_OK;
    SAMP_TRY(samp__build_literal(w->r, w->b, "\n"));
    for (unsigned i = 0; i < w->level; i++) SAMP_TRY(samp__build(w->r, w->b, w->style->indent));
    return SAMP_OK;
}

static samp_status write_list(json_writer *w, const samp__list *list)
{
    if (list->n == 0) return samp__build_literal(w->r, w->b, "[]");
    SAMP_TRY(samp__build_literal(w->r, w->b, "["));
    w->level++;
    for (uint32_t i = 0; i < list->n; i++) {
        if (i) SAMP_TRY(samp__build(w->r, w->b, w->style->item_separator));
        SAMP_TRY(new_line(w));
        SAMP_TRY(write_value(w, &list->items[i]));
    }
    w->level--;
    SAMP_TRY(new_line(w));
    return samp__build_literal(w->r, w->b, "]");
}

static samp_status write_key(json_writer *w, const samp__value *key)
{
    if (key->kind == SAMP__TEXT) return write_text(w, key->text);
    if (key->kind > SAMP__FLOAT || key->kind < SAMP__NONE)
        return samp__fail(w->r, SAMP_INVALID, "%s cannot be a key in JSON",
                          samp__kind_name(key->kind));
    SAMP_TRY(samp__build_literal(w->r, w->b, "\""));
    SAMP_TRY(write_value(w, key));
    return samp__build_literal(w->r, w->b, "\"");
}

/* order[i]: which member comes i-th. */
static samp_status member_order(json_writer *w, const samp__dict *dict, uint32_t **order)
{
    uint32_t n = dict->keys.n;
    SAMP_TRY(samp__allocate(w->r, n, sizeof **order, order));
    for (uint32_t i = 0; i < n; i++) (*order)[i] = i;
    for (uint32_t i = 1; w->style->sort_keys && i < n; i++) {
        uint32_t moving = (*order)[i], at = i;
        for (; at > 0; at--) {
            int order_of_two;
            SAMP_TRY(samp__order(w->r, &dict->keys.items[moving],
                                 &dict->keys.items[(*order)[at - 1]], &order_of_two));
            if (order_of_two >= 0) break;
            (*order)[at] = (*order)[at - 1];
        }
        (*order)[at] = moving;
    }
    return SAMP_OK;
}

static samp_status write_dict(json_writer *w, const samp__dict *dict)
{
    uint32_t *order;
    if (dict->keys.n == 0) return samp__build_literal(w->r, w->b, "{}");
    SAMP_TRY(member_order(w, dict, &order));
    SAMP_TRY(samp__build_literal(w->r, w->b, "{"));
    w->level++;
    for (uint32_t i = 0; i < dict->keys.n; i++) {
        if (i) SAMP_TRY(samp__build(w->r, w->b, w->style->item_separator));
        SAMP_TRY(new_line(w));
        SAMP_TRY(write_key(w, &dict->keys.items[order[i]]));
        SAMP_TRY(samp__build(w->r, w->b, w->style->key_separator));
        SAMP_TRY(write_value(w, &dict->values.items[order[i]]));
    }
    w->level--;
    SAMP_TRY(new_line(w));
    return samp__build_literal(w->r, w->b, "}");
}

static samp_status write_inside(json_writer *w, const samp__value *v)
{
    switch (v->kind) {
    case SAMP__NONE: return samp__build_literal(w->r, w->b, "null");
    case SAMP__BOOL: return samp__build_literal(w->r, w->b, v->truth ? "true" : "false");
    case SAMP__INT: return samp__build_repr(w->r, w->b, v);
    case SAMP__FLOAT:
        if (isnan(v->number)) return samp__build_literal(w->r, w->b, "NaN");
        if (!isfinite(v->number))
            return samp__build_literal(w->r, w->b, v->number > 0 ? "Infinity" : "-Infinity");
        return samp__build_repr(w->r, w->b, v);
    case SAMP__TEXT: return write_text(w, v->text);
    case SAMP__LIST:
    case SAMP__TUPLE: return write_list(w, v->list);
    case SAMP__DICT: return write_dict(w, v->dict);
    default:
        return samp__fail(w->r, SAMP_INVALID, "%s cannot be written as JSON",
                          samp__kind_name(v->kind));
    }
}

static samp_status write_value(json_writer *w, const samp__value *v)
{
    SAMP_TRY(samp__enter(w->r));
    samp_status status = write_inside(w, v);
    samp__leave(w->r);
    return status;
}

samp_status samp__build_json(samp__render *r, samp__builder *b, const samp__value *v,
                             const samp__json_style *style)
{
    json_writer writer = {.r = r, .b = b, .style = style};
    return write_value(&writer, v);
}

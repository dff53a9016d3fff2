/* Patterns: a recursive-descent parser that writes nodes. */
#include "constrain/regex_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 200, REPEAT_MAX = 10000 };

typedef struct parser {
    samp__regex *regex;
    const char *text;
    size_t n, at;
    unsigned depth;
    samp_error *error;
} parser;

/* ---- character classes ----------------------------------------------------------------------- */

static const range digits[] = {{'0', '9'}};
static const range word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const range space[] = {
    {9, 13},          {32, 32},         {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
    {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
static const range line_end[] = {{10, 10}, {13, 13}, {0x2028, 0x2029}};

static samp_status add_ranges(samp__regex *r, const range *list, size_t n, bool negated,
                              samp_error *error)
{
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        if (!negated) {
            SAMP_TRY(samp__regex_range(r, list[i].low, list[i].high, error));
            continue;
        }
        if (list[i].low > next) SAMP_TRY(samp__regex_range(r, next, list[i].low - 1, error));
        next = list[i].high + 1;
    }
    if (negated) SAMP_TRY(samp__regex_range(r, next, LAST_CHARACTER, error));
    return SAMP_OK;
}

static samp_status bad(parser *p, samp_status status, const char *what)
{
    return samp_fail(p->error, status, "%s in the pattern '%.100s', at byte %zu", what, p->text,
                     p->at);
}

static bool look(const parser *p, char c) { return p->at < p->n && p->text[p->at] == c; }

static bool take(parser *p, char c)
{
    if (!look(p, c)) return false;
    p->at++;
    return true;
}

static samp_status hex(parser *p, unsigned least, unsigned most, uint32_t *out)
{
    unsigned n = 0;
    uint32_t value = 0;
    for (; n < most && p->at < p->n; n++, p->at++) {
        char c = p->text[p->at];
        const char *place = c ? strchr("0123456789abcdef", c | 0x20) : NULL;
        if (c >= '0' && c <= '9') place = strchr("0123456789", c);
        if (!place) break;
        value = value * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (n < least || value > LAST_CHARACTER) return bad(p, SAMP_INVALID, "a wrong escape");
    *out = value;
    return SAMP_OK;
}

/* After a backslash: a class (its ranges are added, *is_class), or one character. */
static samp_status escape(parser *p, bool *is_class, uint32_t *character)
{
    static const struct {
        char name;
        const range *list;
        size_t n;
        bool negated;
    } classes[] = {{'d', digits, 1, false}, {'D', digits, 1, true},  {'w', word, 4, false},
                   {'W', word, 4, true},    {'s', space, 10, false}, {'S', space, 10, true}};
    static const char controls[][2] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'},
                                       {'f', '\f'}, {'v', '\v'}, {'0', '\0'}};
    if (p->at >= p->n) return bad(p, SAMP_INVALID, "a lone backslash");
    char c = p->text[p->at];
    *is_class = false;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (classes[i].name != c) continue;
        p->at++;
        *is_class = true;
        return add_ranges(p->regex, classes[i].list, classes[i].n, classes[i].negated, p->error);
    }
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        if (controls[i][0] != c) continue;
        p->at++;
        *character = (unsigned char)controls[i][1];
        return SAMP_OK;
    }
    if (take(p, 'x')) return hex(p, 2, 2, character);
    if (take(p, 'u')) {
        if (!take(p, '{')) return hex(p, 4, 4, character);
        SAMP_TRY(hex(p, 1, 6, character));
        return take(p, '}') ? SAMP_OK : bad(p, SAMP_INVALID, "an escape without its brace");
    }
    if (take(p, 'c') && p->at < p->n) {
        *character = (unsigned char)p->text[p->at++] & 31;
        return SAMP_OK;
    }
    if ((c >= '1' && c <= '9') || c == 'k' || c == 'b' || c == 'B' || c == 'p' || c == 'P')
        return bad(p, SAMP_UNSUPPORTED,
                   "an escape that is not supported (\\b, \\p, or a reference)");
    *character = samp__next_character(p->text, &p->at);
    return SAMP_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

/* Turns the ranges from `first` on into their complement. */
static samp_status negate_ranges(samp__regex *r, uint32_t first, samp_error *error)
{
    uint32_t n = r->n_ranges - first, kept = 0;
    range *list = samp_alloc(n + 1, sizeof *list);
    if (!list) return samp_fail(error, SAMP_NOMEM, "out of memory for a pattern");
    if (n) memcpy(list, r->ranges + first, n * sizeof *list);
    qsort(list, n, sizeof *list, compare_ranges);
    for (uint32_t i = 0; i < n; i++) { /* overlapping ones become one */
        if (kept && list[i].low <= list[kept - 1].high + 1) {
            if (list[i].high > list[kept - 1].high) list[kept - 1].high = list[i].high;
        } else
            list[kept++] = list[i];
    }
    r->n_ranges = first;
    samp_status status = SAMP_OK;
    if (!(kept == 1 && list[0].low == 0 && list[0].high == LAST_CHARACTER))
        status = add_ranges(r, list, kept, true, error);
    samp_free(list);
    return status;
}

/* One member of a bracket: a class, a character, or a range. */
static samp_status bracket_member(parser *p)
{
    uint32_t low, high;
    bool is_class = false;
    if (take(p, '\\')) {
        if (take(p, 'b'))
            low = '\b';
        else if (take(p, '-'))
            low = '-';
        else
            SAMP_TRY(escape(p, &is_class, &low));
    } else
        low = samp__next_character(p->text, &p->at);
    if (is_class) return SAMP_OK;
    high = low;
    if (look(p, '-') && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
        size_t dash = p->at++;
        uint32_t before = p->regex->n_ranges;
        if (take(p, '\\'))
            SAMP_TRY(escape(p, &is_class, &high));
        else
            high = samp__next_character(p->text, &p->at);
        if (is_class) { /* [a-\d]: the dash is itself */
            p->regex->n_ranges = before;
            p->at = dash + 1;
            SAMP_TRY(samp__regex_range(p->regex, '-', '-', p->error));
            high = low;
        } else if (high < low)
            return bad(p, SAMP_INVALID, "a range that goes backwards");
    }
    return samp__regex_range(p->regex, low, high, p->error);
}

static samp_status bracket(parser *p, piece *out)
{
    uint32_t first = p->regex->n_ranges;
    bool negated = take(p, '^');
    while (p->at < p->n && !look(p, ']')) SAMP_TRY(bracket_member(p));
    if (!take(p, ']')) return bad(p, SAMP_INVALID, "a bracket without its end");
    if (negated) SAMP_TRY(negate_ranges(p->regex, first, p->error));
    return samp__regex_set(p->regex, first, out, p->error);
}

/* ---- expressions ----------------------------------------------------------------------------- */

static samp_status alternation(parser *p, piece *out);

static samp_status group(parser *p, piece *out)
{
    if (take(p, '?')) {
        if (take(p, '<') && !look(p, '=') && !look(p, '!')) { /* (?<name>…) */
            while (p->at < p->n && !look(p, '>')) p->at++;
            if (!take(p, '>')) return bad(p, SAMP_INVALID, "a group's name without its end");
        } else if (!take(p, ':'))
            return bad(p, SAMP_UNSUPPORTED, "look-around, which is not supported,");
    }
    if (++p->depth > DEPTH_MAX) return bad(p, SAMP_LIMIT, "too many nested groups");
    SAMP_TRY(alternation(p, out));
    p->depth--;
    return take(p, ')') ? SAMP_OK : bad(p, SAMP_INVALID, "a group without its end");
}

static samp_status assertion(samp__regex *r, node_kind kind, piece *out, samp_error *error)
{
    SAMP_TRY(samp__regex_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    return samp__regex_node(r, kind, out->out, NOWHERE, &out->in, error);
}

static samp_status atom(parser *p, piece *out)
{
    uint32_t first = p->regex->n_ranges, character;
    bool is_class = false;
    if (take(p, '(')) return group(p, out);
    if (take(p, '[')) return bracket(p, out);
    if (take(p, '^')) return assertion(p->regex, BEGIN, out, p->error);
    if (take(p, '$')) return assertion(p->regex, END, out, p->error);
    if (take(p, '.')) {
        SAMP_TRY(add_ranges(p->regex, line_end, 3, true, p->error));
        return samp__regex_set(p->regex, first, out, p->error);
    }
    if (look(p, '*') || look(p, '+') || look(p, '?'))
        return bad(p, SAMP_INVALID, "a repetition of nothing");
    if (take(p, '\\'))
        SAMP_TRY(escape(p, &is_class, &character));
    else
        character = samp__next_character(p->text, &p->at);
    if (!is_class) SAMP_TRY(samp__regex_range(p->regex, character, character, p->error));
    return samp__regex_set(p->regex, first, out, p->error);
}

/* {m}, {m,}, {m,n}; anything else is a brace as it stands. */
static bool bounds(parser *p, uint32_t *least, uint32_t *most)
{
    size_t begin = p->at;
    uint32_t values[2] = {0, 0};
    unsigned n = 0, digits_seen = 0;
    for (p->at++; p->at < p->n && !look(p, '}'); p->at++) {
        char c = p->text[p->at];
        if (c == ',' && n == 0 && digits_seen)
            n = 1, digits_seen = 0;
        else if (c >= '0' && c <= '9' && digits_seen < 7)
            values[n] = values[n] * 10 + (uint32_t)(c - '0'), digits_seen++;
        else
            break;
    }
    if (!look(p, '}') || (n == 0 && !digits_seen)) {
        p->at = begin;
        return false;
    }
    p->at++;
    *least = values[0];
    *most = n == 0 ? values[0] : digits_seen ? values[1] : SAMP__REGEX_FOREVER;
    return true;
}

/* The atom between begin and end once more. */
static samp_status again(parser *p, size_t begin, size_t end, piece *out)
{
    p->at = begin;
    SAMP_TRY(atom(p, out));
    p->at = end;
    return SAMP_OK;
}

static samp_status star(samp__regex *r, piece body, piece *out, samp_error *error)
{
    uint32_t loop;
    SAMP_TRY(samp__regex_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    SAMP_TRY(samp__regex_node(r, SPLIT, body.in, out->out, &loop, error));
    r->nodes[body.out].a = loop;
    out->in = loop;
    return SAMP_OK;
}

/* body{least,most}: the atom's text is parsed again for each repetition. */
static samp_status repeat(parser *p, size_t begin, size_t end, uint32_t least, uint32_t most,
                          piece *out)
{
    samp__regex *r = p->regex;
    piece body;
    size_t after = p->at;
    bool forever = most == SAMP__REGEX_FOREVER;
    if (least > REPEAT_MAX || (!forever && most > REPEAT_MAX))
        return bad(p, SAMP_LIMIT, "a repetition of more than 10,000 times");
    if (most < least) return bad(p, SAMP_INVALID, "a repetition whose bounds are the wrong way");
    SAMP_TRY(samp__regex_empty(r, out, p->error));
    for (uint32_t i = 0; i < least; i++) {
        SAMP_TRY(again(p, begin, end, &body));
        samp__regex_join(r, out, body);
    }
    uint32_t skips = NOWHERE; /* a chain of SPLITs whose b leads to the end */
    for (uint32_t i = least; forever ? i == least : i < most; i++) {
        SAMP_TRY(again(p, begin, end, &body));
        if (forever) {
            SAMP_TRY(star(r, body, &body, p->error));
        } else {
            uint32_t choice;
            SAMP_TRY(samp__regex_node(r, SPLIT, body.in, skips, &choice, p->error));
            skips = choice;
            body.in = choice;
        }
        samp__regex_join(r, out, body);
    }
    piece last;
    SAMP_TRY(samp__regex_empty(r, &last, p->error));
    samp__regex_join(r, out, last);
    while (skips != NOWHERE) {
        uint32_t next = r->nodes[skips].b;
        r->nodes[skips].b = last.in;
        skips = next;
    }
    p->at = after;
    return SAMP_OK;
}

static samp_status term(parser *p, piece *out)
{
    size_t begin = p->at;
    SAMP_TRY(atom(p, out));
    size_t end = p->at;
    uint32_t least = 1, most = 1;
    if (take(p, '*'))
        least = 0, most = SAMP__REGEX_FOREVER;
    else if (take(p, '+'))
        most = SAMP__REGEX_FOREVER;
    else if (take(p, '?'))
        least = 0;
    else if (!look(p, '{') || !bounds(p, &least, &most))
        return SAMP_OK;
    take(p, '?'); /* lazy: the same texts */
    return repeat(p, begin, end, least, most, out);
}

static samp_status sequence(parser *p, piece *out)
{
    piece next;
    SAMP_TRY(samp__regex_empty(p->regex, out, p->error));
    while (p->at < p->n && !look(p, '|') && !look(p, ')')) {
        SAMP_TRY(term(p, &next));
        samp__regex_join(p->regex, out, next);
    }
    return SAMP_OK;
}

static samp_status alternation(parser *p, piece *out)
{
    samp__regex *r = p->regex;
    SAMP_TRY(sequence(p, out));
    while (take(p, '|')) {
        piece other;
        uint32_t choice, end;
        SAMP_TRY(sequence(p, &other));
        SAMP_TRY(samp__regex_node(r, SPLIT, out->in, other.in, &choice, p->error));
        SAMP_TRY(samp__regex_node(r, SPLIT, NOWHERE, NOWHERE, &end, p->error));
        r->nodes[out->out].a = end;
        r->nodes[other.out].a = end;
        *out = (piece){choice, end};
    }
    return SAMP_OK;
}

samp_status samp__regex_parse(samp__regex *regex, const char *pattern, size_t n, piece *out,
                              samp_error *error)
{
    parser p = {.regex = regex, .text = pattern, .n = n, .error = error};
    SAMP_TRY(alternation(&p, out));
    return p.at < n ? bad(&p, SAMP_INVALID, "a ')' without its beginning") : SAMP_OK;
}

/* Patterns: a recursive-descent parser that writes nodes, and the sets of them. */
#include "constrain/regex.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { LAST_CHARACTER = 0x10ffff, DEPTH_MAX = 200, REPEAT_MAX = 10000, NOWHERE = UINT32_MAX };

typedef enum node_kind {
    SET,   /* consumes a character of `ranges` and goes to a */
    SPLIT, /* goes to a and b (b may be NOWHERE) */
    BEGIN, /* ^: goes to a at the start of the text */
    END,   /* $: goes to a at its end */
    MATCH
} node_kind;

typedef struct range {
    uint32_t low, high;
} range;

typedef struct node {
    node_kind kind;
    uint32_t a, b;
    uint32_t first_range, n_ranges;
    uint32_t least, most; /* characters to a match, not through BEGIN */
} node;

struct samp__regex {
    node *nodes;
    uint32_t n_nodes, nodes_capacity;
    range *ranges;
    uint32_t n_ranges, ranges_capacity;
    uint32_t start;
    uint32_t *marks; /* [n_nodes] the round in which a node was last visited */
    uint32_t *stack; /* [2 * n_nodes + 2] */
    uint32_t round;
};

typedef struct parser {
    samp__regex *regex;
    const char *text;
    size_t n, at;
    unsigned depth;
    samp_error *error;
} parser;

/* A piece of program: goes in at `in`; its end is `out`, a SPLIT whose a is not set yet. */
typedef struct piece {
    uint32_t in, out;
} piece;

uint32_t samp__next_character(const char *text, size_t *at)
{
    const unsigned char *p = (const unsigned char *)text + *at;
    unsigned n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (unsigned i = 1; i < n; i++) c = c << 6 | (p[i] & 0x3f);
    *at += n;
    return c;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static samp_status add_node(samp__regex *r, node_kind kind, uint32_t a, uint32_t b, uint32_t *out,
                            samp_error *error)
{
    if (r->n_nodes == SAMP__REGEX_NODES_MAX)
        return samp_fail(error, SAMP_LIMIT, "a pattern is too large");
    if (r->n_nodes == r->nodes_capacity) {
        uint32_t capacity = 2 * r->nodes_capacity + 32;
        node *nodes = samp_realloc(r->nodes, capacity, sizeof *nodes);
        if (!nodes) return samp_fail(error, SAMP_NOMEM, "out of memory for a pattern");
        r->nodes = nodes;
        r->nodes_capacity = capacity;
    }
    r->nodes[r->n_nodes] = (node){.kind = kind, .a = a, .b = b, .first_range = r->n_ranges};
    *out = r->n_nodes++;
    return SAMP_OK;
}

static samp_status add_range(samp__regex *r, uint32_t low, uint32_t high, samp_error *error)
{
    if (r->n_ranges == r->ranges_capacity) {
        uint32_t capacity = 2 * r->ranges_capacity + 32;
        range *ranges = samp_realloc(r->ranges, capacity, sizeof *ranges);
        if (!ranges) return samp_fail(error, SAMP_NOMEM, "out of memory for a pattern");
        r->ranges = ranges;
        r->ranges_capacity = capacity;
    }
    r->ranges[r->n_ranges++] = (range){low, high};
    return SAMP_OK;
}

/* A SET node with the ranges added since `first`, and the SPLIT behind it. */
static samp_status set_piece(samp__regex *r, uint32_t first, piece *out, samp_error *error)
{
    SAMP_TRY(add_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    SAMP_TRY(add_node(r, SET, out->out, NOWHERE, &out->in, error));
    r->nodes[out->in].first_range = first;
    r->nodes[out->in].n_ranges = r->n_ranges - first;
    return SAMP_OK;
}

static samp_status empty_piece(samp__regex *r, piece *out, samp_error *error)
{
    SAMP_TRY(add_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    out->in = out->out;
    return SAMP_OK;
}

static void join(samp__regex *r, piece *first, piece second)
{
    r->nodes[first->out].a = second.in;
    first->out = second.out;
}

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
            SAMP_TRY(add_range(r, list[i].low, list[i].high, error));
            continue;
        }
        if (list[i].low > next) SAMP_TRY(add_range(r, next, list[i].low - 1, error));
        next = list[i].high + 1;
    }
    if (negated) SAMP_TRY(add_range(r, next, LAST_CHARACTER, error));
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
            SAMP_TRY(add_range(p->regex, '-', '-', p->error));
            high = low;
        } else if (high < low)
            return bad(p, SAMP_INVALID, "a range that goes backwards");
    }
    return add_range(p->regex, low, high, p->error);
}

static samp_status bracket(parser *p, piece *out)
{
    uint32_t first = p->regex->n_ranges;
    bool negated = take(p, '^');
    while (p->at < p->n && !look(p, ']')) SAMP_TRY(bracket_member(p));
    if (!take(p, ']')) return bad(p, SAMP_INVALID, "a bracket without its end");
    if (negated) SAMP_TRY(negate_ranges(p->regex, first, p->error));
    return set_piece(p->regex, first, out, p->error);
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
    SAMP_TRY(add_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    return add_node(r, kind, out->out, NOWHERE, &out->in, error);
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
        return set_piece(p->regex, first, out, p->error);
    }
    if (look(p, '*') || look(p, '+') || look(p, '?'))
        return bad(p, SAMP_INVALID, "a repetition of nothing");
    if (take(p, '\\'))
        SAMP_TRY(escape(p, &is_class, &character));
    else
        character = samp__next_character(p->text, &p->at);
    if (!is_class) SAMP_TRY(add_range(p->regex, character, character, p->error));
    return set_piece(p->regex, first, out, p->error);
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
    SAMP_TRY(add_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    SAMP_TRY(add_node(r, SPLIT, body.in, out->out, &loop, error));
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
    SAMP_TRY(empty_piece(r, out, p->error));
    for (uint32_t i = 0; i < least; i++) {
        SAMP_TRY(again(p, begin, end, &body));
        join(r, out, body);
    }
    uint32_t skips = NOWHERE; /* a chain of SPLITs whose b leads to the end */
    for (uint32_t i = least; forever ? i == least : i < most; i++) {
        SAMP_TRY(again(p, begin, end, &body));
        if (forever) {
            SAMP_TRY(star(r, body, &body, p->error));
        } else {
            uint32_t choice;
            SAMP_TRY(add_node(r, SPLIT, body.in, skips, &choice, p->error));
            skips = choice;
            body.in = choice;
        }
        join(r, out, body);
    }
    piece last;
    SAMP_TRY(empty_piece(r, &last, p->error));
    join(r, out, last);
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
    SAMP_TRY(empty_piece(p->regex, out, p->error));
    while (p->at < p->n && !look(p, '|') && !look(p, ')')) {
        SAMP_TRY(term(p, &next));
        join(p->regex, out, next);
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
        SAMP_TRY(add_node(r, SPLIT, out->in, other.in, &choice, p->error));
        SAMP_TRY(add_node(r, SPLIT, NOWHERE, NOWHERE, &end, p->error));
        r->nodes[out->out].a = end;
        r->nodes[other.out].a = end;
        *out = (piece){choice, end};
    }
    return SAMP_OK;
}

/* ---- distances ------------------------------------------------------------------------------- */

static uint32_t least_of(const samp__regex *r, uint32_t i)
{
    return i == NOWHERE ? SAMP__REGEX_FOREVER : r->nodes[i].least;
}

/* A match without another character, through END too. */
static void find_least(samp__regex *r)
{
    for (uint32_t i = 0; i < r->n_nodes; i++)
        r->nodes[i].least = r->nodes[i].kind == MATCH ? 0 : SAMP__REGEX_FOREVER;
    bool changed = true;
    while (changed) { /* programs are written back to front: few rounds */
        changed = false;
        for (uint32_t k = 0; k < 2 * r->n_nodes; k++) {
            uint32_t i = k < r->n_nodes ? k : 2 * r->n_nodes - 1 - k;
            node *n = &r->nodes[i];
            uint32_t a = least_of(r, n->a), b = least_of(r, n->b), least = n->least;
            if (n->kind == SET && n->n_ranges && a < SAMP__REGEX_FOREVER) least = a + 1;
            if (n->kind == SPLIT) least = a < b ? a : b;
            if (n->kind == END && a == 0) least = 0;
            if (least >= n->least) continue;
            n->least = least;
            changed = true;
        }
    }
}

/* Longest way to a match by depth-first search; a cycle is forever. marks: 0 new, 1 open, 2 done. */
static void find_most(samp__regex *r)
{
    for (uint32_t begin = 0; begin < r->n_nodes; begin++) {
        uint32_t n = 0;
        if (r->marks[begin] == 0) r->stack[n++] = begin;
        while (n) {
            uint32_t i = r->stack[n - 1];
            node *x = &r->nodes[i];
            uint32_t next[2] = {x->a, x->kind == SPLIT ? x->b : NOWHERE};
            if (r->marks[i] == 2) {
                n--;
                continue;
            }
            bool entered = r->marks[i] == 1;
            r->marks[i] = 1;
            uint32_t most = 0;
            bool waits = false;
            for (int k = 0; k < 2; k++) {
                if (next[k] == NOWHERE || least_of(r, next[k]) == SAMP__REGEX_FOREVER) continue;
                if (r->marks[next[k]] == 0 && !entered) {
                    r->stack[n++] = next[k];
                    waits = true;
                } else if (r->marks[next[k]] != 2)
                    most = SAMP__REGEX_FOREVER;
                else if (r->nodes[next[k]].most > most)
                    most = r->nodes[next[k]].most;
            }
            if (waits) continue;
            x->most = most + (x->kind == SET);
            if (x->most > SAMP__REGEX_FOREVER) x->most = SAMP__REGEX_FOREVER;
            r->marks[i] = 2;
            n--;
        }
    }
    memset(r->marks, 0, r->n_nodes * sizeof *r->marks);
}

/* ---- compiling ------------------------------------------------------------------------------- */

static samp_status any_character(samp__regex *r, uint32_t next, uint32_t *out, samp_error *error)
{
    SAMP_TRY(add_range(r, 0, LAST_CHARACTER, error));
    SAMP_TRY(add_node(r, SET, next, NOWHERE, out, error));
    r->nodes[*out].first_range = r->n_ranges - 1;
    r->nodes[*out].n_ranges = 1;
    return SAMP_OK;
}

/* Before and after the pattern anything may stand; `anchored` for literals. */
static samp_status complete(samp__regex *r, piece body, bool anchored, samp_error *error)
{
    uint32_t match, loop, skip;
    SAMP_TRY(add_node(r, MATCH, NOWHERE, NOWHERE, &match, error));
    r->start = body.in;
    r->nodes[body.out].a = match;
    if (!anchored) {
        SAMP_TRY(add_node(r, SPLIT, match, NOWHERE, &loop, error));
        SAMP_TRY(any_character(r, loop, &skip, error));
        r->nodes[loop].b = skip;
        r->nodes[body.out].a = loop;
        SAMP_TRY(add_node(r, SPLIT, body.in, NOWHERE, &r->start, error));
        SAMP_TRY(any_character(r, r->start, &skip, error));
        r->nodes[r->start].b = skip;
    }
    r->marks = samp_alloc(r->n_nodes, sizeof *r->marks);
    r->stack = samp_alloc(2 * (size_t)r->n_nodes + 2, sizeof *r->stack);
    if (!r->marks || !r->stack) return samp_fail(error, SAMP_NOMEM, "out of memory for a pattern");
    find_least(r);
    find_most(r);
    return SAMP_OK;
}

samp_status samp__regex_compile(samp__regex **out, const char *pattern, size_t n, samp_error *error)
{
    piece body;
    samp__regex *r = samp_alloc(1, sizeof *r);
    if (!r) return samp_fail(error, SAMP_NOMEM, "out of memory for a pattern");
    parser p = {.regex = r, .text = pattern, .n = n, .error = error};
    samp_status status = alternation(&p, &body);
    if (status == SAMP_OK && p.at < n)
        status = bad(&p, SAMP_INVALID, "a ')' without its beginning");
    if (status == SAMP_OK) status = complete(r, body, false, error);
    if (status == SAMP_OK)
        *out = r;
    else
        samp__regex_release(r);
    return status;
}

static samp_status literal(samp__regex *r, const char *text, size_t n, uint32_t end, uint32_t *in,
                           samp_error *error)
{
    piece all, next;
    SAMP_TRY(empty_piece(r, &all, error));
    for (size_t at = 0; at < n;) {
        uint32_t first = r->n_ranges, c = samp__next_character(text, &at);
        SAMP_TRY(add_range(r, c, c, error));
        SAMP_TRY(set_piece(r, first, &next, error));
        join(r, &all, next);
    }
    r->nodes[all.out].a = end;
    *in = all.in;
    return SAMP_OK;
}

static samp_status literals(samp__regex *r, const char *const *strings, const size_t *lengths,
                            size_t n, samp_error *error)
{
    piece body = {NOWHERE, 0};
    SAMP_TRY(add_node(r, SPLIT, NOWHERE, NOWHERE, &body.out, error));
    for (size_t i = 0; i < n; i++) {
        uint32_t in;
        SAMP_TRY(literal(r, strings[i], lengths[i], body.out, &in, error));
        SAMP_TRY(add_node(r, SPLIT, in, body.in, &body.in, error));
    }
    if (body.in == NOWHERE) SAMP_TRY(add_node(r, SPLIT, NOWHERE, NOWHERE, &body.in, error));
    return complete(r, body, true, error);
}

samp_status samp__regex_literals(samp__regex **out, const char *const *strings,
                                 const size_t *lengths, size_t n, samp_error *error)
{
    samp__regex *r = samp_alloc(1, sizeof *r);
    if (!r) return samp_fail(error, SAMP_NOMEM, "out of memory for a list of strings");
    samp_status status = literals(r, strings, lengths, n, error);
    if (status == SAMP_OK)
        *out = r;
    else
        samp__regex_release(r);
    return status;
}

void samp__regex_release(samp__regex *regex)
{
    if (!regex) return;
    samp_free(regex->nodes);
    samp_free(regex->ranges);
    samp_free(regex->marks);
    samp_free(regex->stack);
    samp_free(regex);
}

/* ---- sets ------------------------------------------------------------------------------------ */

uint32_t samp__regex_size(const samp__regex *regex) { return regex->n_nodes; }

/* Adds what is reached from `from` without a character. */
static uint32_t close_over(samp__regex *r, uint32_t from, bool at_start, uint32_t *set, uint32_t n)
{
    uint32_t n_stack = 0;
    r->stack[n_stack++] = from;
    while (n_stack) {
        uint32_t i = r->stack[--n_stack];
        if (i == NOWHERE || r->marks[i] == r->round) continue;
        r->marks[i] = r->round;
        const node *x = &r->nodes[i];
        bool through = x->kind == SPLIT || (x->kind == BEGIN && at_start);
        if (!through) {
            if (x->kind != BEGIN && x->least < SAMP__REGEX_FOREVER) set[n++] = i;
            continue;
        }
        r->stack[n_stack++] = x->a;
        if (x->kind == SPLIT) r->stack[n_stack++] = x->b;
    }
    return n;
}

static void next_round(samp__regex *r)
{
    if (++r->round) return;
    memset(r->marks, 0, r->n_nodes * sizeof *r->marks);
    r->round = 1;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t samp__regex_start(samp__regex *regex, uint32_t *set)
{
    next_round(regex);
    uint32_t n = close_over(regex, regex->start, true, set, 0);
    qsort(set, n, sizeof *set, compare_numbers);
    return n;
}

static bool takes(const samp__regex *r, const node *x, uint32_t low, uint32_t high)
{
    if (x->kind != SET) return false;
    for (uint32_t i = 0; i < x->n_ranges; i++) {
        const range *range_ = &r->ranges[x->first_range + i];
        if (range_->low <= high && range_->high >= low) return true;
    }
    return false;
}

uint32_t samp__regex_step(samp__regex *regex, const uint32_t *set, uint32_t n, uint32_t character,
                          uint32_t *out)
{
    uint32_t n_out = 0;
    next_round(regex);
    for (uint32_t i = 0; i < n; i++) {
        const node *x = &regex->nodes[set[i]];
        if (takes(regex, x, character, character))
            n_out = close_over(regex, x->a, false, out, n_out);
    }
    qsort(out, n_out, sizeof *out, compare_numbers);
    return n_out;
}

bool samp__regex_can_step(const samp__regex *regex, const uint32_t *set, uint32_t n, uint32_t low,
                          uint32_t high)
{
    for (uint32_t i = 0; i < n; i++) {
        const node *x = &regex->nodes[set[i]];
        if (takes(regex, x, low, high) && least_of(regex, x->a) < SAMP__REGEX_FOREVER) return true;
    }
    return false;
}

bool samp__regex_accepts(const samp__regex *regex, const uint32_t *set, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (regex->nodes[set[i]].least == 0) return true;
    return false;
}

void samp__regex_distance(const samp__regex *regex, const uint32_t *set, uint32_t n,
                          uint32_t *least, uint32_t *most)
{
    *least = SAMP__REGEX_FOREVER;
    *most = 0;
    for (uint32_t i = 0; i < n; i++) {
        const node *x = &regex->nodes[set[i]];
        if (x->least < *least) *least = x->least;
        if (x->most > *most) *most = x->most;
    }
}

bool samp__regex_matches(samp__regex *regex, const char *text, size_t n)
{
    uint32_t *sets = samp_alloc(2 * (size_t)regex->n_nodes + 2, sizeof *sets), *next, *set = sets;
    if (!sets) return false;
    next = sets + regex->n_nodes + 1;
    uint32_t count = samp__regex_start(regex, set);
    for (size_t at = 0; at < n && count;) {
        count = samp__regex_step(regex, set, count, samp__next_character(text, &at), next);
        uint32_t *other = set;
        set = next;
        next = other;
    }
    bool matches = samp__regex_accepts(regex, set, count);
    samp_free(sets);
    return matches;
}

/* Programs of nodes, how far each is from a match, and the sets of them. */
#include "constrain/regex_internal.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "constrain/intern.h"

#include <stdlib.h>
#include <string.h>

uint32_t samp__next_character(const char *text, size_t *at)
{
    unsigned char first = (unsigned char)text[*at];
    int n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t character = samp_utf8_decode(text + *at, n);
    *at += (size_t)n;
    return character;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

samp_status samp__regex_node(samp__regex *r, node_kind kind, uint32_t a, uint32_t b, uint32_t *out,
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

samp_status samp__regex_range(samp__regex *r, uint32_t low, uint32_t high, samp_error *error)
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

samp_status samp__regex_set(samp__regex *r, uint32_t first, piece *out, samp_error *error)
{
    SAMP_TRY(samp__regex_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    SAMP_TRY(samp__regex_node(r, SET, out->out, NOWHERE, &out->in, error));
    r->nodes[out->in].first_range = first;
    r->nodes[out->in].n_ranges = r->n_ranges - first;
    return SAMP_OK;
}

samp_status samp__regex_empty(samp__regex *r, piece *out, samp_error *error)
{
    SAMP_TRY(samp__regex_node(r, SPLIT, NOWHERE, NOWHERE, &out->out, error));
    out->in = out->out;
    return SAMP_OK;
}

void samp__regex_join(samp__regex *r, piece *first, piece second)
{
    r->nodes[first->out].a = second.in;
    first->out = second.out;
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
    SAMP_TRY(samp__regex_range(r, 0, LAST_CHARACTER, error));
    SAMP_TRY(samp__regex_node(r, SET, next, NOWHERE, out, error));
    r->nodes[*out].first_range = r->n_ranges - 1;
    r->nodes[*out].n_ranges = 1;
    return SAMP_OK;
}

/* Before and after the pattern anything may stand; `anchored` for literals. */
static samp_status complete(samp__regex *r, piece body, bool anchored, samp_error *error)
{
    uint32_t match, loop, skip;
    SAMP_TRY(samp__regex_node(r, MATCH, NOWHERE, NOWHERE, &match, error));
    r->start = body.in;
    r->nodes[body.out].a = match;
    if (!anchored) {
        SAMP_TRY(samp__regex_node(r, SPLIT, match, NOWHERE, &loop, error));
        SAMP_TRY(any_character(r, loop, &skip, error));
        r->nodes[loop].b = skip;
        r->nodes[body.out].a = loop;
        SAMP_TRY(samp__regex_node(r, SPLIT, body.in, NOWHERE, &r->start, error));
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
    samp_status status = samp__regex_parse(r, pattern, n, &body, error);
    if (status == SAMP_OK) status = complete(r, body, false, error);
    if (status == SAMP_OK)
        *out = r;
    else
        samp__regex_release(r);
    return status;
}

/* One node a character, from the last to the first. */
static samp_status literal(samp__regex *r, const char *text, size_t n, uint32_t end, uint32_t *in,
                           samp_error *error)
{
    *in = end;
    while (n) {
        size_t at = --n;
        while (at && (text[at] & 0xc0) == 0x80) at--;
        n = at;
        uint32_t c = samp__next_character(text, &at);
        SAMP_TRY(samp__regex_range(r, c, c, error));
        SAMP_TRY(samp__regex_node(r, SET, *in, NOWHERE, in, error));
        r->nodes[*in].first_range = r->n_ranges - 1;
        r->nodes[*in].n_ranges = 1;
    }
    return SAMP_OK;
}

static samp_status literals(samp__regex *r, const char *const *strings, const size_t *lengths,
                            size_t n, samp_error *error)
{
    piece body = {NOWHERE, 0};
    SAMP_TRY(samp__regex_node(r, SPLIT, NOWHERE, NOWHERE, &body.out, error));
    for (size_t i = 0; i < n; i++) {
        uint32_t in;
        SAMP_TRY(literal(r, strings[i], lengths[i], body.out, &in, error));
        SAMP_TRY(samp__regex_node(r, SPLIT, in, body.in, &body.in, error));
    }
    if (body.in == NOWHERE) SAMP_TRY(samp__regex_node(r, SPLIT, NOWHERE, NOWHERE, &body.in, error));
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

uint32_t samp__regex_start(samp__regex *regex, uint32_t *set)
{
    next_round(regex);
    uint32_t n = close_over(regex, regex->start, true, set, 0);
    qsort(set, n, sizeof *set, samp__compare_numbers);
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
    qsort(out, n_out, sizeof *out, samp__compare_numbers);
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

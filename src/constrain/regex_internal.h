/* What the parser of patterns writes and the sets walk over. Private to regex*.c. */
#ifndef SAMP_CONSTRAIN_REGEX_INTERNAL_H
#define SAMP_CONSTRAIN_REGEX_INTERNAL_H

#include "constrain/regex.h"

enum { LAST_CHARACTER = 0x10ffff, NOWHERE = UINT32_MAX };

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

/* A piece of program: goes in at `in`; its end is `out`, a SPLIT whose a is not set yet. */
typedef struct piece {
    uint32_t in, out;
} piece;

/* Building blocks of programs (regex.c). */
samp_status samp__regex_node(samp__regex *regex, node_kind kind, uint32_t a, uint32_t b,
                             uint32_t *out, samp_error *error);
samp_status samp__regex_range(samp__regex *regex, uint32_t low, uint32_t high, samp_error *error);
/* A SET node with the ranges added since `first`, and the SPLIT behind it. */
samp_status samp__regex_set(samp__regex *regex, uint32_t first, piece *out, samp_error *error);
samp_status samp__regex_empty(samp__regex *regex, piece *out, samp_error *error);
void samp__regex_join(samp__regex *regex, piece *first, piece second);

/* The program of a pattern (regex_parse.c). */
samp_status samp__regex_parse(samp__regex *regex, const char *pattern, size_t n, piece *out,
                              samp_error *error);

#endif

/* Shapes: what a JSON value may be, by kind, with references and combinations worked in.
 *
 * A *conjunction* is a set of schemas that all apply to one value, interned as the sorted list of
 * their addresses; its shape is the intersection of theirs. Children (properties, items) are
 * conjunctions again, so that recursion needs no special care: there are only so many of them. */
#ifndef SAMP_CONSTRAIN_SHAPE_H
#define SAMP_CONSTRAIN_SHAPE_H

#include "base/json.h"
#include "base/memory.h"
#include "constrain/intern.h"
#include "constrain/regex.h"

enum {
    SAMP__ALTERNATIVES_MAX = 512, /* of one kind in one shape */
    SAMP__SHAPES_MAX = 50000,
    SAMP__PATTERNS_MAX = 8, /* that one string must match, or not match, together */
    SAMP__PROPERTIES_MAX = 4096,
    SAMP__UNBOUNDED = 1 << 30
};

typedef uint32_t samp__conjunction; /* interned; 0 = no schema: anything */

typedef struct samp__number_shape {
    bool integer, exclusive_min, exclusive_max;
    double min, max;    /* -INFINITY, INFINITY: none */
    double multiple_of; /* 0 = none */
} samp__number_shape;

typedef struct samp__string_shape {
    uint32_t min, max; /* characters; SAMP__UNBOUNDED */
    uint32_t n_patterns, n_forbidden;
    samp__regex *patterns[SAMP__PATTERNS_MAX], *forbidden[SAMP__PATTERNS_MAX];
} samp__string_shape;

typedef struct samp__array_shape {
    uint32_t min, max;
    uint32_t n_prefix;
    samp__conjunction *prefix; /* [n_prefix] */
    samp__conjunction items;   /* of all that follow */
} samp__array_shape;

typedef struct samp__property {
    const char *name;
    uint32_t length;
    bool required, forbidden; /* forbidden: nothing may be its value */
    samp__conjunction value;
} samp__property;

typedef struct samp__pattern_property {
    samp__regex *regex;
    samp__conjunction value;
} samp__pattern_property;

typedef struct samp__dependency {
    const char *name, *needs; /* when name is there, needs must be */
} samp__dependency;

typedef struct samp__object_shape {
    uint32_t min, max; /* properties */
    uint32_t n_properties, n_patterns, n_dependencies;
    samp__property *properties; /* in the order of the schema */
    samp__pattern_property *patterns;
    samp__dependency *dependencies;
    samp__conjunction additional;
    bool no_additional;       /* no other property may be there */
    samp__string_shape names; /* of all properties */
} samp__object_shape;

typedef struct samp__shape {
    bool null, truth, falsehood;
    uint32_t n_numbers, n_strings, n_arrays, n_objects;
    samp__number_shape *numbers;
    samp__string_shape *strings;
    samp__array_shape *arrays;
    samp__object_shape *objects;
} samp__shape;

typedef struct samp__shapes {
    samp_arena arena;
    json_t *root; /* the schema; owned reference */
    json_t *made; /* array of schemas that rewriting made */
    samp__intern conjunctions;
    samp__shape **list; /* [n] of conjunction i+1; NULL = not made yet */
    uint8_t *possible;  /* [capacity] of conjunction i: 0 not known, 1 asked now, 2 yes, 3 no */
    uint32_t capacity;
    samp__regex **regexes; /* all, for release */
    uint32_t n_regexes, regexes_capacity;
    unsigned depth;  /* of expansion, against references to themselves */
    unsigned nested; /* shapes that are made to see whether others are possible */
} samp__shapes;

/* The shape of a schema and, closed over its children, all that can be met below it. */
samp_status samp__shapes_open(samp__shapes *shapes, const json_t *schema, samp__conjunction *root,
                              samp_error *error);
void samp__shapes_release(samp__shapes *shapes);
/* Made at the first wish; alternatives that no value can be are left out. */
samp_status samp__shape_of(samp__shapes *shapes, samp__conjunction conjunction,
                           const samp__shape **out, samp_error *error);
/* Whether any value satisfies it; false too when its shape cannot be made. */
bool samp__conjunction_possible(samp__shapes *shapes, samp__conjunction conjunction);
/* a and b together. */
samp_status samp__conjunction_and(samp__shapes *shapes, samp__conjunction a, samp__conjunction b,
                                  samp__conjunction *out, samp_error *error);
samp_status samp__conjunction_of(samp__shapes *shapes, const json_t *schema, samp__conjunction *out,
                                 samp_error *error);

/* ---- private to the files that make shapes ---- */

/* Everything, and nothing. */
samp_status samp__shape_any(samp__shapes *shapes, samp__shape *out, samp_error *error);
samp_status samp__shape_and(samp__shapes *shapes, const samp__shape *a, const samp__shape *b,
                            samp__shape *out, samp_error *error);
samp_status samp__shape_or(samp__shapes *shapes, const samp__shape *a, const samp__shape *b,
                           samp__shape *out, samp_error *error);
bool samp__shape_is_empty(const samp__shape *shape);
/* Drops alternatives that no value can be, looking into what they must hold (settle.c). */
void samp__shape_settle(samp__shapes *shapes, samp__shape *shape);
/* One schema with all its combinations. where: its place, for messages. */
samp_status samp__shape_expand(samp__shapes *shapes, const json_t *schema, samp__shape *out,
                               samp_error *error);
/* The keywords that say what one value may be, without combinations (keywords.c). */
samp_status samp__shape_keywords(samp__shapes *shapes, const json_t *schema, samp__shape *out,
                                 samp_error *error);
/* A schema for everything that `schema` refuses; SAMP_UNSUPPORTED where that cannot be said
 * (rewrite.c). */
samp_status samp__schema_negate(samp__shapes *shapes, const json_t *schema, const json_t **out,
                                samp_error *error);
/* The schema that a reference within the document leads to. */
samp_status samp__schema_follow(samp__shapes *shapes, const json_t *schema, const char *reference,
                                const json_t **out, samp_error *error);
/* Keeps a schema that was made; steals it; NULL = out of memory. */
samp_status samp__schema_keep(samp__shapes *shapes, json_t *schema, const json_t **out,
                              samp_error *error);
samp_status samp__shapes_regex(samp__shapes *shapes, const char *pattern, size_t n,
                               samp__regex **out, samp_error *error);
samp_status samp__shapes_literals(samp__shapes *shapes, const char *const *strings,
                                  const size_t *lengths, size_t n, samp__regex **out,
                                  samp_error *error);
/* "/properties/age", where a schema stands in the document; "" when it was made. */
const char *samp__schema_place(samp__shapes *shapes, const json_t *schema);

#endif

/* Intersections and unions of shapes. */
#include "constrain/shape.h"

#include <math.h>
#include <string.h>

static samp_status out_of_memory(samp_error *error)
{
    return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
}

static samp_status too_many(samp_error *error)
{
    return samp_fail(error, SAMP_LIMIT, "the schema has more than %d alternatives for one value",
                     SAMP__ALTERNATIVES_MAX);
}

samp_status samp__shape_any(samp__shapes *s, samp__shape *out, samp_error *error)
{
    *out = (samp__shape){.null = true,
                         .truth = true,
                         .falsehood = true,
                         .n_numbers = 1,
                         .n_strings = 1,
                         .n_arrays = 1,
                         .n_objects = 1};
    out->numbers = samp_arena_alloc(&s->arena, 1, sizeof *out->numbers);
    out->strings = samp_arena_alloc(&s->arena, 1, sizeof *out->strings);
    out->arrays = samp_arena_alloc(&s->arena, 1, sizeof *out->arrays);
    out->objects = samp_arena_alloc(&s->arena, 1, sizeof *out->objects);
    if (!out->numbers || !out->strings || !out->arrays || !out->objects)
        return out_of_memory(error);
    *out->numbers = (samp__number_shape){.min = -INFINITY, .max = INFINITY};
    *out->strings = (samp__string_shape){.max = SAMP__UNBOUNDED};
    *out->arrays = (samp__array_shape){.max = SAMP__UNBOUNDED};
    *out->objects = (samp__object_shape){.max = SAMP__UNBOUNDED, .names.max = SAMP__UNBOUNDED};
    return SAMP_OK;
}

bool samp__shape_is_empty(const samp__shape *shape)
{
    return !shape->null && !shape->truth && !shape->falsehood && !shape->n_numbers &&
           !shape->n_strings && !shape->n_arrays && !shape->n_objects;
}

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* ---- numbers --------------------------------------------------------------------------------- */

/* Least common multiple of two positive numbers that are whole after scaling by a power of ten. */
static bool common_multiple(double a, double b, double *out)
{
    double scale = 1;
    if (a == 0 || b == 0 || a == b) {
        *out = a > 0 ? a : b;
        return true;
    }
    while (scale < 1e9 && (a * scale != floor(a * scale) || b * scale != floor(b * scale)))
        scale *= 10;
    double x = round(a * scale), y = round(b * scale), p = x, q = y;
    if (x < 1 || y < 1 || x > 1e15 || y > 1e15) return false;
    while (q >= 1) {
        double rest = fmod(p, q);
        p = q;
        q = rest;
    }
    *out = x / p * y / scale;
    return x / p * y < 1e15;
}

/* false: nothing is in both. */
static bool and_numbers(const samp__number_shape *a, const samp__number_shape *b,
                        samp__number_shape *out, bool *failed)
{
    *out = *a;
    out->integer = a->integer || b->integer;
    if (b->min > a->min || (b->min == a->min && b->exclusive_min)) {
        out->min = b->min;
        out->exclusive_min = b->exclusive_min;
    }
    if (b->max < a->max || (b->max == a->max && b->exclusive_max)) {
        out->max = b->max;
        out->exclusive_max = b->exclusive_max;
    }
    if (!common_multiple(a->multiple_of, b->multiple_of, &out->multiple_of)) *failed = true;
    bool open = out->exclusive_min || out->exclusive_max;
    if (out->min > out->max || (out->min == out->max && open)) return false;
    double step = out->multiple_of > 0 ? out->multiple_of : out->integer ? 1 : 0;
    if (out->integer && step != floor(step)) step = 0; /* decided digit by digit */
    if (step == 0 || isinf(out->min) || isinf(out->max)) return true;
    double first = ceil(out->min / step) * step;
    if (out->exclusive_min && first == out->min) first += step;
    return out->exclusive_max ? first < out->max : first <= out->max;
}

/* ---- strings --------------------------------------------------------------------------------- */

static samp_status add_regex(samp__regex **list, uint32_t *n, samp__regex *regex, samp_error *error)
{
    for (uint32_t i = 0; i < *n; i++)
        if (list[i] == regex) return SAMP_OK;
    if (*n == SAMP__PATTERNS_MAX)
        return samp_fail(error, SAMP_LIMIT, "the schema has more than %d patterns for one string",
                         SAMP__PATTERNS_MAX);
    list[(*n)++] = regex;
    return SAMP_OK;
}

static samp_status and_strings(const samp__string_shape *a, const samp__string_shape *b,
                               samp__string_shape *out, samp_error *error)
{
    *out = *a;
    out->min = larger(a->min, b->min);
    out->max = smaller(a->max, b->max);
    for (uint32_t i = 0; i < b->n_patterns; i++)
        SAMP_TRY(add_regex(out->patterns, &out->n_patterns, b->patterns[i], error));
    for (uint32_t i = 0; i < b->n_forbidden; i++)
        SAMP_TRY(add_regex(out->forbidden, &out->n_forbidden, b->forbidden[i], error));
    return SAMP_OK;
}

/* Whether some text matches: exact for one pattern, for two by walking pairs of sets as long as
 * there are few; otherwise it is taken to be so. */
static bool strings_possible(const samp__string_shape *s)
{
    enum { SET_MAX = 4096 };
    uint32_t set[SET_MAX], least, most;
    if (s->min > s->max) return false;
    for (uint32_t i = 0; i < s->n_patterns; i++) {
        if (samp__regex_size(s->patterns[i]) > SET_MAX) continue;
        uint32_t n = samp__regex_start(s->patterns[i], set);
        if (n == 0) return false;
        samp__regex_distance(s->patterns[i], set, n, &least, &most);
        if (least > s->max || most < s->min) return false;
    }
    return true;
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static samp_status and_arrays(samp__shapes *s, const samp__array_shape *a,
                              const samp__array_shape *b, samp__array_shape *out, samp_error *error)
{
    *out = (samp__array_shape){.min = larger(a->min, b->min),
                               .max = smaller(a->max, b->max),
                               .n_prefix = larger(a->n_prefix, b->n_prefix)};
    if (out->n_prefix) {
        out->prefix = samp_arena_alloc(&s->arena, out->n_prefix, sizeof *out->prefix);
        if (!out->prefix) return out_of_memory(error);
    }
    for (uint32_t i = 0; i < out->n_prefix; i++) {
        samp__conjunction x = i < a->n_prefix ? a->prefix[i] : a->items;
        samp__conjunction y = i < b->n_prefix ? b->prefix[i] : b->items;
        SAMP_TRY(samp__conjunction_and(s, x, y, &out->prefix[i], error));
    }
    return samp__conjunction_and(s, a->items, b->items, &out->items, error);
}

/* ---- objects --------------------------------------------------------------------------------- */

static const samp__property *find(const samp__object_shape *o, const char *name)
{
    for (uint32_t i = 0; i < o->n_properties; i++)
        if (strcmp(o->properties[i].name, name) == 0) return &o->properties[i];
    return NULL;
}

/* What an object says of a property it may not declare. */
static samp_status opinion(samp__shapes *s, const samp__object_shape *o, const samp__property *p,
                           samp__conjunction *value, bool *forbidden, bool *required,
                           samp_error *error)
{
    const samp__property *own = find(o, p->name);
    bool matched = false;
    if (own) {
        *value = own->value;
        *forbidden = own->forbidden;
        *required = own->required;
        return SAMP_OK;
    }
    *value = 0;
    *required = *forbidden = false;
    for (uint32_t i = 0; i < o->n_patterns; i++) {
        if (!samp__regex_matches(o->patterns[i].regex, p->name, p->length)) continue;
        SAMP_TRY(samp__conjunction_and(s, *value, o->patterns[i].value, value, error));
        matched = true;
    }
    if (matched) return SAMP_OK;
    *value = o->additional;
    *forbidden = o->no_additional;
    return SAMP_OK;
}

/* Properties of `a`, and those of `b` that a has not (only_new), with both opinions. */
static samp_status merge_properties(samp__shapes *s, const samp__object_shape *a,
                                    const samp__object_shape *b, bool only_new,
                                    samp__object_shape *out, samp_error *error)
{
    for (uint32_t i = 0; i < a->n_properties; i++) {
        const samp__property *p = &a->properties[i];
        samp__conjunction other;
        bool forbidden, required;
        if (only_new && find(b, p->name)) continue;
        SAMP_TRY(opinion(s, b, p, &other, &forbidden, &required, error));
        samp__property *q = &out->properties[out->n_properties++];
        *q = *p;
        q->forbidden |= forbidden;
        q->required |= required;
        SAMP_TRY(samp__conjunction_and(s, p->value, other, &q->value, error));
    }
    return SAMP_OK;
}

static samp_status merge_patterns(samp__shapes *s, const samp__object_shape *a,
                                  const samp__object_shape *b, samp__object_shape *out,
                                  samp_error *error)
{
    uint32_t n = a->n_patterns + b->n_patterns;
    if (n == 0) return SAMP_OK;
    if ((a->n_patterns && (b->additional || b->no_additional) && a->patterns != b->patterns) ||
        (b->n_patterns && (a->additional || a->no_additional) && a->patterns != b->patterns))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "'patternProperties' together with another schema's "
                         "'additionalProperties' is not supported");
    out->patterns = samp_arena_alloc(&s->arena, n, sizeof *out->patterns);
    if (!out->patterns) return out_of_memory(error);
    for (uint32_t i = 0; i < a->n_patterns; i++) out->patterns[out->n_patterns++] = a->patterns[i];
    if (a->patterns == b->patterns) return SAMP_OK;
    for (uint32_t i = 0; i < b->n_patterns; i++) out->patterns[out->n_patterns++] = b->patterns[i];
    return SAMP_OK;
}

static samp_status and_objects(samp__shapes *s, const samp__object_shape *a,
                               const samp__object_shape *b, samp__object_shape *out,
                               samp_error *error)
{
    *out = (samp__object_shape){.min = larger(a->min, b->min),
                                .max = smaller(a->max, b->max),
                                .no_additional = a->no_additional || b->no_additional};
    uint32_t n = a->n_properties + b->n_properties;
    if (n > SAMP__PROPERTIES_MAX)
        return samp_fail(error, SAMP_LIMIT, "an object of the schema has more than %d properties",
                         SAMP__PROPERTIES_MAX);
    out->properties = samp_arena_alloc(&s->arena, n + 1, sizeof *out->properties);
    if (!out->properties) return out_of_memory(error);
    SAMP_TRY(merge_properties(s, a, b, false, out, error));
    SAMP_TRY(merge_properties(s, b, a, true, out, error));
    SAMP_TRY(merge_patterns(s, a, b, out, error));
    SAMP_TRY(samp__conjunction_and(s, a->additional, b->additional, &out->additional, error));
    out->n_dependencies = a->n_dependencies + b->n_dependencies;
    out->dependencies =
        samp_arena_alloc(&s->arena, out->n_dependencies + 1, sizeof *out->dependencies);
    if (!out->dependencies) return out_of_memory(error);
    for (uint32_t i = 0; i < out->n_dependencies; i++)
        out->dependencies[i] =
            i < a->n_dependencies ? a->dependencies[i] : b->dependencies[i - a->n_dependencies];
    return and_strings(&a->names, &b->names, &out->names, error);
}

static bool object_possible(const samp__object_shape *o)
{
    uint32_t required = 0, possible = 0;
    for (uint32_t i = 0; i < o->n_properties; i++) {
        const samp__property *p = &o->properties[i];
        if (p->required && p->forbidden) return false;
        required += p->required;
        possible += !p->forbidden;
    }
    bool closed = o->no_additional && o->n_patterns == 0;
    return o->min <= o->max && required <= o->max && !(closed && possible < o->min);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* The product of two lists of alternatives; `both` combines one pair, `possible` says whether
 * something is left. */
#define AND_LISTS(member, count, type, combine, possible)                                          \
    do {                                                                                           \
        uint64_t n = (uint64_t)a->count * b->count;                                                \
        if (n > SAMP__ALTERNATIVES_MAX) return too_many(error);                                    \
        if (n == 0) break;                                                                         \
        out->member = samp_arena_alloc(&s->arena, n, sizeof(type));                                \
        if (!out->member) return out_of_memory(error);                                             \
        for (uint32_t i = 0; i < a->count; i++)                                                    \
            for (uint32_t k = 0; k < b->count; k++) {                                              \
                const type *x = &a->member[i], *y = &b->member[k];                                 \
                type *z = &out->member[out->count];                                                \
                combine;                                                                           \
                if (possible) out->count++;                                                        \
            }                                                                                      \
    } while (0)

samp_status samp__shape_and(samp__shapes *s, const samp__shape *a, const samp__shape *b,
                            samp__shape *out, samp_error *error)
{
    bool failed = false, some;
    *out = (samp__shape){.null = a->null && b->null,
                         .truth = a->truth && b->truth,
                         .falsehood = a->falsehood && b->falsehood};
    AND_LISTS(numbers, n_numbers, samp__number_shape, some = and_numbers(x, y, z, &failed), some);
    AND_LISTS(strings, n_strings, samp__string_shape, SAMP_TRY(and_strings(x, y, z, error)),
              strings_possible(z));
    AND_LISTS(arrays, n_arrays, samp__array_shape, SAMP_TRY(and_arrays(s, x, y, z, error)),
              z->min <= z->max);
    AND_LISTS(objects, n_objects, samp__object_shape, SAMP_TRY(and_objects(s, x, y, z, error)),
              object_possible(z));
    if (failed)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "the schema has two values of 'multipleOf' for one number that do not "
                         "combine");
    return SAMP_OK;
}

#define OR_LISTS(member, count, type)                                                              \
    do {                                                                                           \
        uint32_t n = a->count + b->count;                                                          \
        if (n > SAMP__ALTERNATIVES_MAX) return too_many(error);                                    \
        if (n == 0) break;                                                                         \
        out->member = samp_arena_alloc(&s->arena, n, sizeof(type));                                \
        if (!out->member) return out_of_memory(error);                                             \
        for (uint32_t i = 0; i < n; i++)                                                           \
            out->member[i] = i < a->count ? a->member[i] : b->member[i - a->count];                \
        out->count = n;                                                                            \
    } while (0)

samp_status samp__shape_or(samp__shapes *s, const samp__shape *a, const samp__shape *b,
                           samp__shape *out, samp_error *error)
{
    *out = (samp__shape){.null = a->null || b->null,
                         .truth = a->truth || b->truth,
                         .falsehood = a->falsehood || b->falsehood};
    OR_LISTS(numbers, n_numbers, samp__number_shape);
    OR_LISTS(strings, n_strings, samp__string_shape);
    OR_LISTS(arrays, n_arrays, samp__array_shape);
    OR_LISTS(objects, n_objects, samp__object_shape);
    return SAMP_OK;
}

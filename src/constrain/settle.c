/* Shapes of conjunctions, made when first wished for, and what of them no value can be. */
#include "constrain/shape.h"

#include <string.h>

enum { NESTED_MAX = 12 };

static samp_status make_shape(samp__shapes *s, samp__conjunction conjunction, samp__shape *out,
                              samp_error *error)
{
    size_t bytes;
    SAMP_TRY(samp__shape_any(s, out, error));
    for (size_t i = 0; conjunction; i++) {
        samp__shape one, both;
        const json_t *const *list = samp__intern_get(&s->conjunctions, conjunction, &bytes);
        if (i * sizeof *list >= bytes) break;
        SAMP_TRY(samp__shape_expand(s, list[i], &one, error));
        SAMP_TRY(samp__shape_and(s, out, &one, &both, error));
        *out = both;
    }
    return SAMP_OK;
}

static samp_status make_room(samp__shapes *s, samp__conjunction conjunction, samp_error *error)
{
    if (conjunction < s->capacity) return SAMP_OK;
    uint32_t capacity = 2 * conjunction + 64;
    samp__shape **list = samp_realloc(s->list, capacity, sizeof *list);
    if (list) s->list = list;
    uint8_t *possible = samp_realloc(s->possible, capacity, 1);
    if (possible) s->possible = possible;
    if (!list || !possible) return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    memset(list + s->capacity, 0, (capacity - s->capacity) * sizeof *list);
    memset(possible + s->capacity, 0, capacity - s->capacity);
    s->capacity = capacity;
    return SAMP_OK;
}

samp_status samp__shape_of(samp__shapes *s, samp__conjunction conjunction, const samp__shape **out,
                           samp_error *error)
{
    SAMP_TRY(make_room(s, conjunction, error));
    if (!s->list[conjunction]) {
        samp__shape *shape = samp_arena_alloc(&s->arena, 1, sizeof *shape);
        if (!shape) return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
        unsigned depth = s->depth;
        s->depth = 0;
        SAMP_TRY(make_shape(s, conjunction, shape, error));
        s->depth = depth;
        s->list[conjunction] = shape; /* before it is settled: it may hold itself */
        samp__shape_settle(s, shape);
    }
    *out = s->list[conjunction];
    return SAMP_OK;
}

/* ---- what is possible ------------------------------------------------------------------------ */

bool samp__conjunction_possible(samp__shapes *s, samp__conjunction conjunction)
{
    const samp__shape *shape;
    samp_error ignored;
    if (conjunction == 0) return true;
    if (make_room(s, conjunction, &ignored) != SAMP_OK) return false;
    if (s->possible[conjunction]) return s->possible[conjunction] != 3; /* asked now: may be */
    if (s->nested == NESTED_MAX) return true; /* not looked at any deeper: may be */
    s->possible[conjunction] = 1;
    s->nested++;
    bool possible =
        samp__shape_of(s, conjunction, &shape, &ignored) == SAMP_OK && !samp__shape_is_empty(shape);
    s->nested--;
    s->possible[conjunction] = possible ? 2 : 3;
    return possible;
}

/* Items that cannot be end the array before them. */
static bool settle_array(samp__shapes *s, samp__array_shape *array)
{
    for (uint32_t i = 0; i < array->n_prefix && i < array->max; i++)
        if (!samp__conjunction_possible(s, array->prefix[i])) array->max = i;
    if (array->max > array->n_prefix && !samp__conjunction_possible(s, array->items))
        array->max = array->n_prefix;
    return array->min <= array->max;
}

static bool settle_object(samp__shapes *s, samp__object_shape *object)
{
    for (uint32_t i = 0; i < object->n_properties; i++) {
        samp__property *p = &object->properties[i];
        p->forbidden = p->forbidden || !samp__conjunction_possible(s, p->value);
        if (p->required && p->forbidden) return false;
    }
    if (!samp__conjunction_possible(s, object->additional)) object->no_additional = true;
    return true;
}

void samp__shape_settle(samp__shapes *s, samp__shape *shape)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < shape->n_arrays; i++)
        if (settle_array(s, &shape->arrays[i])) shape->arrays[kept++] = shape->arrays[i];
    shape->n_arrays = kept;
    kept = 0;
    for (uint32_t i = 0; i < shape->n_objects; i++)
        if (settle_object(s, &shape->objects[i])) shape->objects[kept++] = shape->objects[i];
    shape->n_objects = kept;
}

/* ---- all that can be met --------------------------------------------------------------------- */

static samp_status visit(samp__intern *seen, samp__conjunction conjunction, samp_error *error)
{
    if (samp__intern_add(seen, &conjunction, sizeof conjunction)) return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
}

static samp_status visit_children(samp__intern *seen, const samp__shape *shape, samp_error *error)
{
    for (uint32_t i = 0; i < shape->n_arrays; i++) {
        for (uint32_t k = 0; k < shape->arrays[i].n_prefix; k++)
            SAMP_TRY(visit(seen, shape->arrays[i].prefix[k], error));
        SAMP_TRY(visit(seen, shape->arrays[i].items, error));
    }
    for (uint32_t i = 0; i < shape->n_objects; i++) {
        const samp__object_shape *o = &shape->objects[i];
        for (uint32_t k = 0; k < o->n_properties; k++)
            SAMP_TRY(visit(seen, o->properties[k].value, error));
        for (uint32_t k = 0; k < o->n_patterns; k++)
            SAMP_TRY(visit(seen, o->patterns[k].value, error));
        SAMP_TRY(visit(seen, o->additional, error));
    }
    return SAMP_OK;
}

/* So that what is not supported is found now, not in the middle of an answer. */
static samp_status close_over(samp__shapes *s, samp__conjunction root, samp__intern *seen,
                              samp_error *error)
{
    SAMP_TRY(visit(seen, root, error));
    for (uint32_t i = 1; i <= seen->n; i++) {
        const samp__shape *shape;
        samp__conjunction next;
        memcpy(&next, samp__intern_get(seen, i, NULL), sizeof next);
        SAMP_TRY(samp__shape_of(s, next, &shape, error));
        SAMP_TRY(visit_children(seen, shape, error));
    }
    return SAMP_OK;
}

samp_status samp__shapes_open(samp__shapes *s, const json_t *schema, samp__conjunction *root,
                              samp_error *error)
{
    samp__intern seen = {0};
    *s = (samp__shapes){.root = json_deep_copy(schema), .made = json_array()};
    samp_status status = SAMP_OK;
    if (!s->root || !s->made) status = samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    if (status == SAMP_OK) status = samp__conjunction_of(s, s->root, root, error);
    if (status == SAMP_OK) status = close_over(s, *root, &seen, error);
    if (status == SAMP_OK && !samp__conjunction_possible(s, *root))
        status = samp_fail(error, SAMP_INVALID, "no value satisfies the schema");
    samp__intern_release(&seen);
    if (status != SAMP_OK) samp__shapes_release(s);
    return status;
}

void samp__shapes_release(samp__shapes *s)
{
    for (uint32_t i = 0; i < s->n_regexes; i++) samp__regex_release(s->regexes[i]);
    samp_free(s->regexes);
    samp_free(s->list);
    samp_free(s->possible);
    samp__intern_release(&s->conjunctions);
    samp_arena_release(&s->arena);
    json_decref(s->made);
    json_decref(s->root);
    *s = (samp__shapes){0};
}

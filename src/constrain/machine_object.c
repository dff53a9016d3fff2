/* Objects and arrays: which properties may come, which must, and what follows what. */
#include "constrain/machine.h"

#include <string.h>

enum phase { OPEN, COLON, VALUE_DONE, COMMA };

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static bool skip_space(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    if (!is_space(byte)) return false;
    samp__frame next = *frame;
    if (next.space++ < SAMP__SPACE_MAX) samp__emit(m, &next);
    return true;
}

static void expect_value(samp__machine *m, const samp__frame *parent, samp__conjunction value)
{
    samp__frame next = *parent;
    next.phase = VALUE_DONE;
    next.space = 0;
    samp__frame frame = {.kind = SAMP__FRAME_VALUE, .a = value, .parent = samp__push(m, &next)};
    samp__emit(m, &frame);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

/* The conjunction of item i. */
static samp__conjunction item(const samp__array_shape *array, uint32_t i)
{
    return i < array->n_prefix ? array->prefix[i] : array->items;
}

static void begin_item(samp__machine *m, const samp__frame *frame, const samp__array_shape *array,
                       samp__frame *value)
{
    samp__frame next = *frame;
    next.phase = VALUE_DONE;
    next.space = 0;
    uint32_t most = array->n_prefix > array->min ? array->n_prefix : array->min;
    next.b = frame->b + 1;
    if (array->max >= SAMP__UNBOUNDED && next.b > most + 1) next.b = most + 1;
    *value = (samp__frame){
        .kind = SAMP__FRAME_VALUE, .a = item(array, frame->b), .parent = samp__push(m, &next)};
}

void samp__step_array(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    const samp__shape *shape = samp__frame_shape(m, frame->shape);
    samp__frame next = *frame, value;
    if (!shape || skip_space(m, frame, byte)) return;
    const samp__array_shape *array = &shape->arrays[frame->alternative];
    bool may_end = frame->phase != COMMA && frame->b >= array->min;
    if (byte == ']') {
        if (may_end) samp__emit_id(m, frame->parent);
    } else if (frame->phase == VALUE_DONE) {
        next.phase = COMMA;
        next.space = 0;
        if (byte == ',' && frame->b < array->max) samp__emit(m, &next);
    } else if (frame->b < array->max) { /* the first byte of an item */
        begin_item(m, frame, array, &value);
        samp__step_any(m, samp__push(m, &value), byte);
    }
}

/* ---- properties ------------------------------------------------------------------------------ */

const samp__object_shape *samp__frame_object(samp__machine *m, const samp__frame *object)
{
    const samp__shape *shape = samp__frame_shape(m, object->shape);
    return shape ? &shape->objects[object->alternative] : NULL;
}

static bool is_seen(const samp__machine *m, const samp__frame *object, uint32_t i)
{
    if (!object->a) return false;
    const uint8_t *seen = samp__intern_get(&m->blobs, object->a, NULL);
    return seen[i / 8] >> i % 8 & 1;
}

static int find(const samp__object_shape *o, const char *name)
{
    for (uint32_t i = 0; i < o->n_properties; i++)
        if (strcmp(o->properties[i].name, name) == 0) return (int)i;
    return -1;
}

/* Properties that must still come once property `added` is there too (-1: as it is): the required
 * ones, and what those that are there or must come depend on. SAMP__UNBOUNDED when one of them
 * cannot come. */
static uint32_t n_missing(const samp__machine *m, const samp__frame *frame,
                          const samp__object_shape *o, int added)
{
    uint8_t there[SAMP__PROPERTIES_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n_properties; i++) {
        bool seen = is_seen(m, frame, i) || (int)i == added;
        there[i] = seen || o->properties[i].required;
        n += there[i] && !seen;
    }
    for (bool changed = o->n_dependencies > 0; changed;) {
        changed = false;
        for (uint32_t i = 0; i < o->n_dependencies; i++) {
            int name = find(o, o->dependencies[i].name), needs = find(o, o->dependencies[i].needs);
            if (name < 0 || needs < 0 || !there[name] || there[needs]) continue;
            if (o->properties[needs].forbidden) return SAMP__UNBOUNDED;
            there[needs] = 1;
            changed = true;
            n++;
        }
    }
    return n;
}

/* In the order of the schema: nothing later is there, nothing required before it is missing. */
static bool in_order(const samp__machine *m, const samp__frame *frame, const samp__object_shape *o,
                     uint32_t i)
{
    for (uint32_t k = 0; k < o->n_properties; k++) {
        bool seen = is_seen(m, frame, k);
        if (k > i ? seen : k < i && o->properties[k].required && !seen) return false;
    }
    return true;
}

/* Whether property `added` (-1: one that is not declared) leaves room for all that must come. */
static bool has_room(const samp__machine *m, const samp__frame *frame, const samp__object_shape *o,
                     int added)
{
    return frame->b < o->max && frame->b + 1 + n_missing(m, frame, o, added) <= o->max;
}

static bool may_come(const samp__machine *m, const samp__frame *frame, const samp__object_shape *o,
                     uint32_t i)
{
    const samp__property *p = &o->properties[i];
    return !p->forbidden && !is_seen(m, frame, i) && has_room(m, frame, o, (int)i) &&
           (!m->ordered || in_order(m, frame, o, i));
}

bool samp__object_name_begins(samp__machine *m, const samp__frame *frame, const char *text,
                              size_t n, bool allowed)
{
    const samp__object_shape *o = samp__frame_object(m, frame);
    for (uint32_t i = 0; o && i < o->n_properties; i++) {
        const samp__property *p = &o->properties[i];
        if (p->length < n || memcmp(p->name, text, n) != 0) continue;
        if (!allowed || may_come(m, frame, o, i)) return true;
    }
    return false;
}

bool samp__object_name_goes_on(samp__machine *m, const samp__frame *frame, const char *text,
                               size_t n, uint32_t low, uint32_t high)
{
    const samp__object_shape *o = samp__frame_object(m, frame);
    for (uint32_t i = 0; o && i < o->n_properties; i++) {
        const samp__property *p = &o->properties[i];
        size_t at = n;
        if (p->length <= n || memcmp(p->name, text, n) != 0) continue;
        uint32_t character = samp__next_character(p->name, &at);
        if (character >= low && character <= high && may_come(m, frame, o, i)) return true;
    }
    return false;
}

/* Whether properties that are not declared may come now. */
bool samp__object_allows_other(samp__machine *m, const samp__frame *frame)
{
    const samp__object_shape *o = samp__frame_object(m, frame);
    if (!o || o->no_additional || !has_room(m, frame, o, -1)) return false;
    return !m->ordered || n_missing(m, frame, o, -1) == 0;
}

static bool any_key_possible(samp__machine *m, const samp__frame *frame,
                             const samp__object_shape *o)
{
    for (uint32_t i = 0; i < o->n_properties; i++)
        if (may_come(m, frame, o, i)) return true;
    if (o->n_patterns && has_room(m, frame, o, -1)) return true;
    return samp__object_allows_other(m, frame);
}

/* ---- keys that are complete ------------------------------------------------------------------ */

static void see(samp__machine *m, const samp__object_shape *o, samp__frame *object, uint32_t i)
{
    uint8_t seen[SAMP__PROPERTIES_MAX / 8 + 1] = {0};
    size_t bytes = (o->n_properties + 7) / 8;
    if (object->a) {
        size_t n;
        const void *before = samp__intern_get(&m->blobs, object->a, &n);
        memcpy(seen, before, n);
    }
    seen[i / 8] |= (uint8_t)(1 << i % 8);
    object->a = samp__blob(m, seen, bytes);
}

static void count_property(const samp__object_shape *o, samp__frame *object)
{
    object->phase = COLON;
    object->space = 0;
    if (o->max < SAMP__UNBOUNDED || object->b < o->min) object->b++;
}

/* A declared property with this very name: true when there is one, allowed or not. */
static bool declared_done(samp__machine *m, const samp__object_shape *o, const samp__frame *object,
                          const samp__frame *key)
{
    size_t n = 0;
    if (!key->d) return false;
    const char *name = samp__intern_get(&m->blobs, key->d, &n);
    for (uint32_t i = 0; i < o->n_properties; i++) {
        const samp__property *p = &o->properties[i];
        if (p->length != n || memcmp(p->name, name, n) != 0) continue;
        if (!may_come(m, object, o, i)) return true;
        samp__frame next = *object;
        next.c = p->value;
        count_property(o, &next);
        see(m, o, &next, i);
        samp__emit(m, &next);
        return true;
    }
    return false;
}

void samp__object_key_done(samp__machine *m, const samp__frame *key)
{
    samp__frame object = samp__frame_get(m, key->parent);
    const samp__object_shape *o = samp__frame_object(m, &object);
    samp__regex *list[4 * SAMP__PATTERNS_MAX];
    samp_error ignored;
    if (!o) return;
    for (uint32_t i = 0; i < o->names.n_patterns; i++) {
        list[i] = o->names.patterns[i];
        if (!samp__pattern_accepts(m, list, key->a, i)) return;
    }
    if (key->b < o->names.min || key->b > o->names.max) return;
    if (declared_done(m, o, &object, key)) return;
    samp__frame next = object;
    bool matched = false;
    next.c = 0;
    for (uint32_t i = 0; i < o->n_patterns; i++) {
        uint32_t at = o->names.n_patterns + i;
        list[at] = o->patterns[i].regex;
        if (!samp__pattern_accepts(m, list, key->a, at)) continue;
        matched = true;
        if (samp__conjunction_and(&m->shapes, next.c, o->patterns[i].value, &next.c, &ignored) !=
            SAMP_OK)
            m->failed = true;
    }
    if (matched ? !has_room(m, &object, o, -1) : !samp__object_allows_other(m, &object)) return;
    if (!matched) next.c = o->additional;
    if (m->failed || !samp__conjunction_possible(&m->shapes, next.c)) return;
    count_property(o, &next);
    samp__emit(m, &next);
}

void samp__step_object(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    const samp__object_shape *o = samp__frame_object(m, frame);
    samp__frame next = *frame;
    if (!o || skip_space(m, frame, byte)) return;
    next.space = 0;
    if (frame->phase == COLON) {
        samp__conjunction value = frame->c;
        next.c = 0;
        if (byte == ':') expect_value(m, &next, value);
    } else if (byte == '}') {
        if (frame->phase != COMMA && n_missing(m, frame, o, -1) == 0 && frame->b >= o->min)
            samp__emit_id(m, frame->parent);
    } else if (frame->phase == VALUE_DONE) {
        next.phase = COMMA;
        if (byte == ',' && any_key_possible(m, frame, o)) samp__emit(m, &next);
    } else if (byte == '"' && any_key_possible(m, frame, o))
        samp__begin_key(m, samp__push(m, &next));
}

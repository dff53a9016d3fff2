/* Strings and keys: characters against patterns and lengths. */
#include "constrain/machine.h"

#include "base/utf8.h"

#include <string.h>

/* ---- sets of patterns ------------------------------------------------------------------------ */

/* Blob of sets: for each pattern its count, then its nodes. */
static uint32_t *sets_room(samp__machine *m, samp__regex *const *list, uint32_t n)
{
    size_t room = 1;
    for (uint32_t i = 0; i < n; i++) room += 1 + samp__regex_size(list[i]);
    uint32_t *sets = samp_alloc(room, sizeof *sets);
    m->failed = m->failed || !sets;
    return sets;
}

/* Set i of a blob; *n its count. Valid until the next blob. */
static const uint32_t *set_at(const samp__machine *m, uint32_t sets, uint32_t i, uint32_t *n)
{
    const uint32_t *at = samp__intern_get(&m->blobs, sets, NULL);
    for (; i; i--) at += 1 + at[0];
    *n = at[0];
    return at + 1;
}

uint32_t samp__patterns_start(samp__machine *m, samp__regex *const *list, uint32_t n)
{
    if (n == 0) return 0;
    uint32_t *sets = sets_room(m, list, n), length = 0;
    if (!sets) return 0;
    for (uint32_t i = 0; i < n; i++) {
        sets[length] = samp__regex_start(list[i], sets + length + 1);
        length += 1 + sets[length];
    }
    uint32_t blob = samp__blob(m, sets, length * sizeof *sets);
    samp_free(sets);
    return blob;
}

uint32_t samp__patterns_step(samp__machine *m, samp__regex *const *list, uint32_t n, uint32_t sets,
                             uint32_t character)
{
    if (n == 0) return 0;
    uint32_t *next = sets_room(m, list, n), length = 0, count;
    if (!next) return 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *set = set_at(m, sets, i, &count);
        next[length] = samp__regex_step(list[i], set, count, character, next + length + 1);
        length += 1 + next[length];
    }
    uint32_t blob = samp__blob(m, next, length * sizeof *next);
    samp_free(next);
    return blob;
}

bool samp__patterns_can_step(samp__machine *m, samp__regex *const *list, uint32_t n, uint32_t sets,
                             uint32_t low, uint32_t high)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count;
        const uint32_t *set = set_at(m, sets, i, &count);
        if (!samp__regex_can_step(list[i], set, count, low, high)) return false;
    }
    return true;
}

bool samp__pattern_accepts(samp__machine *m, samp__regex *const *list, uint32_t sets, uint32_t i)
{
    uint32_t count;
    const uint32_t *set = set_at(m, sets, i, &count);
    return samp__regex_accepts(list[i], set, count);
}

bool samp__pattern_alive(samp__machine *m, uint32_t sets, uint32_t i)
{
    uint32_t count;
    set_at(m, sets, i, &count);
    return count > 0;
}

void samp__patterns_distance(samp__machine *m, samp__regex *const *list, uint32_t n, uint32_t sets,
                             uint32_t *least, uint32_t *most)
{
    *least = 0;
    *most = SAMP__REGEX_FOREVER;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count, own_least, own_most;
        const uint32_t *set = set_at(m, sets, i, &count);
        samp__regex_distance(list[i], set, count, &own_least, &own_most);
        if (own_least > *least) *least = own_least;
        if (own_most < *most) *most = own_most;
    }
}

/* ---- strings --------------------------------------------------------------------------------- */

/* The patterns it must match and must not match, as one list. */
static uint32_t all_patterns(const samp__string_shape *shape,
                             samp__regex *list[2 * SAMP__PATTERNS_MAX])
{
    for (uint32_t i = 0; i < shape->n_patterns; i++) list[i] = shape->patterns[i];
    for (uint32_t i = 0; i < shape->n_forbidden; i++)
        list[shape->n_patterns + i] = shape->forbidden[i];
    return shape->n_patterns + shape->n_forbidden;
}

static bool may_end(samp__machine *m, const samp__string_shape *shape, const samp__frame *frame)
{
    samp__regex *list[2 * SAMP__PATTERNS_MAX];
    uint32_t n = all_patterns(shape, list);
    if (frame->b < shape->min || frame->b > shape->max) return false;
    for (uint32_t i = 0; i < n; i++)
        if (samp__pattern_accepts(m, list, frame->a, i) != (i < shape->n_patterns)) return false;
    return true;
}

/* Whether the string can still become one of the right length. */
static bool may_go_on(samp__machine *m, const samp__string_shape *shape, uint32_t sets,
                      uint32_t count)
{
    uint32_t least, most;
    if (count > shape->max) return false;
    for (uint32_t i = 0; i < shape->n_patterns; i++)
        if (!samp__pattern_alive(m, sets, i)) return false;
    if (shape->n_patterns == 0) return true;
    samp__patterns_distance(m, (samp__regex *const *)shape->patterns, shape->n_patterns, sets,
                            &least, &most);
    return count + least <= shape->max && count + most >= shape->min;
}

/* Counts that make no difference any more are one state. */
static uint32_t saturate(const samp__string_shape *shape, uint32_t count)
{
    return shape->max >= SAMP__UNBOUNDED && count > shape->min ? shape->min : count;
}

void samp__begin_string(samp__machine *m, uint32_t parent, samp__conjunction conjunction,
                        uint32_t alternative)
{
    const samp__shape *shape = samp__frame_shape(m, conjunction);
    samp__regex *list[2 * SAMP__PATTERNS_MAX];
    if (!shape) return;
    const samp__string_shape *string = &shape->strings[alternative];
    uint32_t n = all_patterns(string, list);
    samp__frame frame = {.parent = parent,
                         .kind = SAMP__FRAME_STRING,
                         .shape = conjunction,
                         .alternative = alternative,
                         .a = samp__patterns_start(m, list, n)};
    if (!m->failed && may_go_on(m, string, frame.a, 0)) samp__emit(m, &frame);
}

void samp__step_string(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    const samp__shape *shape = samp__frame_shape(m, frame->shape);
    samp__regex *list[2 * SAMP__PATTERNS_MAX];
    if (!shape) return;
    const samp__string_shape *string = &shape->strings[frame->alternative];
    uint32_t n = all_patterns(string, list), character, low, high, ranges[6][2];
    unsigned n_ranges;
    samp__frame next = *frame;
    switch (samp__character_step(&next.space, &next.c, byte, &character, &low, &high)) {
    case SAMP__CHARACTER_END:
        if (may_end(m, string, frame)) samp__emit_id(m, frame->parent);
        return;
    case SAMP__CHARACTER_PART:
        if (frame->b >= string->max) return;
        n_ranges = samp__character_ranges(next.space, low, high, ranges);
        for (unsigned i = 0; i < n_ranges; i++)
            if (samp__patterns_can_step(m, list, string->n_patterns, frame->a, ranges[i][0],
                                        ranges[i][1])) {
                samp__emit(m, &next);
                return;
            }
        return;
    case SAMP__CHARACTER_DONE:
        next.a = samp__patterns_step(m, list, n, frame->a, character);
        next.b = frame->b + 1;
        if (m->failed || !may_go_on(m, string, next.a, next.b)) return;
        next.b = saturate(string, next.b);
        samp__emit(m, &next);
        return;
    case SAMP__CHARACTER_NO:
    default: return;
    }
}

enum { NAME_MAX_BYTES = 4096 };

/* ---- keys ------------------------------------------------------------------------------------ */

/* Patterns that a key is followed by: the names' own first, then patternProperties. */
static uint32_t key_patterns(const samp__object_shape *object,
                             samp__regex *list[4 * SAMP__PATTERNS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < object->names.n_patterns; i++) list[n++] = object->names.patterns[i];
    for (uint32_t i = 0; i < object->n_patterns && n < 4 * SAMP__PATTERNS_MAX; i++)
        list[n++] = object->patterns[i].regex;
    return n;
}

void samp__begin_key(samp__machine *m, uint32_t object_id)
{
    samp__frame parent = samp__frame_get(m, object_id);
    const samp__object_shape *object = samp__frame_object(m, &parent);
    samp__regex *list[4 * SAMP__PATTERNS_MAX];
    if (!object) return;
    uint32_t n = key_patterns(object, list);
    samp__frame frame = {.parent = object_id,
                         .kind = SAMP__FRAME_KEY,
                         .a = samp__patterns_start(m, list, n),
                         .d = samp__blob(m, "", 0)};
    samp__emit(m, &frame);
}

/* The text of the key with one more character, as long as a declared name begins so. */
static uint32_t longer_name(samp__machine *m, const samp__frame *object, uint32_t text,
                            uint32_t character)
{
    char name[NAME_MAX_BYTES];
    size_t n;
    if (text == 0) return 0;
    const char *so_far = samp__intern_get(&m->blobs, text, &n);
    if (n + 4 > sizeof name) return 0;
    memcpy(name, so_far, n);
    n += samp_utf8_encode(character, name + n);
    return samp__object_name_begins(m, object, name, n, false) ? samp__blob(m, name, n) : 0;
}

/* Whether some key that begins so may come: a declared one, one that patterns take, or any. */
static bool key_possible(samp__machine *m, const samp__frame *object,
                         const samp__object_shape *shape, const samp__frame *key)
{
    for (uint32_t i = 0; i < shape->names.n_patterns; i++)
        if (!samp__pattern_alive(m, key->a, i)) return false;
    if (key->b > shape->names.max) return false;
    if (key->d) {
        size_t n;
        char name[NAME_MAX_BYTES];
        const char *text = samp__intern_get(&m->blobs, key->d, &n);
        memcpy(name, text, n);
        if (samp__object_name_begins(m, object, name, n, true)) return true;
    }
    for (uint32_t i = 0; i < shape->n_patterns; i++)
        if (samp__pattern_alive(m, key->a, shape->names.n_patterns + i)) return true;
    return samp__object_allows_other(m, object);
}

/* The same for a key whose next character will be low … high. */
static bool key_can_go_on(samp__machine *m, const samp__frame *object,
                          const samp__object_shape *shape, const samp__frame *key,
                          samp__regex *const *list, uint32_t low, uint32_t high)
{
    uint32_t n_names = shape->names.n_patterns, count;
    if (!samp__patterns_can_step(m, list, n_names, key->a, low, high)) return false;
    if (key->b >= shape->names.max) return false;
    if (samp__object_allows_other(m, object)) return true;
    for (uint32_t i = n_names; i < n_names + shape->n_patterns; i++) {
        const uint32_t *set = set_at(m, key->a, i, &count);
        if (samp__regex_can_step(list[i], set, count, low, high)) return true;
    }
    if (!key->d) return false;
    size_t n;
    char name[NAME_MAX_BYTES];
    const char *text = samp__intern_get(&m->blobs, key->d, &n);
    memcpy(name, text, n);
    return samp__object_name_goes_on(m, object, name, n, low, high);
}

void samp__step_key(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    samp__frame parent = samp__frame_get(m, frame->parent), next = *frame;
    const samp__object_shape *object = samp__frame_object(m, &parent);
    samp__regex *list[4 * SAMP__PATTERNS_MAX];
    uint32_t character, low, high, ranges[6][2];
    unsigned n_ranges;
    if (!object) return;
    uint32_t n = key_patterns(object, list);
    switch (samp__character_step(&next.space, &next.c, byte, &character, &low, &high)) {
    case SAMP__CHARACTER_END: samp__object_key_done(m, frame); return;
    case SAMP__CHARACTER_PART:
        n_ranges = samp__character_ranges(next.space, low, high, ranges);
        for (unsigned i = 0; i < n_ranges; i++)
            if (key_can_go_on(m, &parent, object, frame, list, ranges[i][0], ranges[i][1])) {
                samp__emit(m, &next);
                return;
            }
        return;
    case SAMP__CHARACTER_DONE:
        next.a = samp__patterns_step(m, list, n, frame->a, character);
        next.d = longer_name(m, &parent, frame->d, character);
        next.b = frame->b + 1;
        if (m->failed || !key_possible(m, &parent, object, &next)) return;
        if (object->names.max >= SAMP__UNBOUNDED && next.b > object->names.min)
            next.b = object->names.min;
        samp__emit(m, &next);
        return;
    case SAMP__CHARACTER_NO:
    default: return;
    }
}

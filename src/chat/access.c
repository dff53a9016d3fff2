/* a.name, a[key] and slices, with Jinja2's rules: an attribute is looked for among the methods of a
 * value, then among its items; an item among the items, then the methods. What is not there is
 * undefined, and only using that is an error. */
#include "chat/jinja.h"

static samp__value undefined(const char *name)
{
    return (samp__value){.kind = SAMP__UNDEFINED, .missing = name};
}

/* A name as text for messages, in the rendering's arena when it must be copied. */
static samp_status keep_name(samp__render *r, samp__text name, const char **out)
{
    char *copy;
    uint32_t n = name.n < 60 ? name.n : 60;
    SAMP_TRY(samp__allocate(r, n + 1, 1, &copy));
    memcpy(copy, name.bytes, n);
    *out = copy;
    return SAMP_OK;
}

static samp_status loop_attribute(const samp__loop *loop, samp__text name, samp__value *out,
                                  bool *found)
{
    const samp__list *items = loop->items;
    uint32_t index = loop->index;
    *found = true;
    if (samp__text_is(name, "index"))
        *out = samp__int((int64_t)index + 1);
    else if (samp__text_is(name, "index0"))
        *out = samp__int(index);
    else if (samp__text_is(name, "first"))
        *out = samp__bool(index == 0);
    else if (samp__text_is(name, "last"))
        *out = samp__bool(index + 1 == items->n);
    else if (samp__text_is(name, "length"))
        *out = samp__int(items->n);
    else if (samp__text_is(name, "revindex"))
        *out = samp__int((int64_t)items->n - index);
    else if (samp__text_is(name, "revindex0"))
        *out = samp__int((int64_t)items->n - index - 1);
    else if (samp__text_is(name, "depth")) /* only recursive loops, which are refused, go deeper */
        *out = samp__int(1);
    else if (samp__text_is(name, "depth0"))
        *out = samp__int(0);
    else if (samp__text_is(name, "previtem"))
        *out = index > 0 ? items->items[index - 1] : undefined("there is no previous item");
    else if (samp__text_is(name, "nextitem"))
        *out = index + 1 < items->n ? items->items[index + 1] : undefined("there is no next item");
    else
        *found = false;
    return SAMP_OK;
}

static samp_status find_method(samp__render *r, const samp__value *a, samp__text name,
                               samp__value *out, bool *found)
{
    const samp__builtin *row = samp__method_find(a->kind, name);
    samp__method *method;
    *found = row != NULL;
    if (!row) return SAMP_OK;
    SAMP_TRY(samp__allocate(r, 1, sizeof *method, &method));
    *method = (samp__method){.row = row, .self = *a};
    *out = (samp__value){.kind = SAMP__METHOD, .method = method};
    return SAMP_OK;
}

static samp_status fail_undefined(samp__render *r, const samp__value *a)
{
    return samp__fail(r, SAMP_INVALID, "'%.60s' is undefined", a->missing);
}

samp_status samp__attribute(samp__render *r, const samp__value *a, samp__text name,
                            samp__value *out)
{
    bool found = false;
    const char *missing;
    if (a->kind == SAMP__UNDEFINED) return fail_undefined(r, a);
    SAMP_TRY(find_method(r, a, name, out, &found));
    if (!found && a->kind == SAMP__LOOP) SAMP_TRY(loop_attribute(a->loop, name, out, &found));
    if (!found && (a->kind == SAMP__DICT || a->kind == SAMP__NAMESPACE)) {
        samp__value key = samp__of_text(name);
        const samp__value *item = samp__dict_get(r, a->dict, &key);
        SAMP_TRY(samp__charge(r, a->dict->keys.n / 4));
        found = item != NULL;
        if (item) *out = *item;
    }
    if (found) return SAMP_OK;
    SAMP_TRY(keep_name(r, name, &missing));
    *out = undefined(missing);
    return SAMP_OK;
}

static bool is_index(const samp__value *key, int64_t *index)
{
    if (key->kind != SAMP__INT && key->kind != SAMP__BOOL) return false;
    *index = key->kind == SAMP__BOOL ? key->truth : key->integer;
    return true;
}

samp_status samp__item(samp__render *r, const samp__value *a, const samp__value *key,
                       samp__value *out)
{
    int64_t index;
    uint32_t n;
    if (a->kind == SAMP__UNDEFINED) return fail_undefined(r, a);
    if (a->kind == SAMP__DICT) {
        const samp__value *item = samp__dict_get(r, a->dict, key);
        SAMP_TRY(samp__charge(r, a->dict->keys.n / 4));
        if (item) {
            *out = *item;
            return SAMP_OK;
        }
    } else if (is_index(key, &index) &&
               (a->kind == SAMP__LIST || a->kind == SAMP__TUPLE || a->kind == SAMP__TEXT)) {
        samp__length(a, &n);
        if (index < 0) index += n;
        if (index < 0 || index >= n) {
            *out = undefined("an item past the end");
            return SAMP_OK;
        }
        if (a->kind == SAMP__TEXT) return samp__text_slice(r, a->text, index, index + 1, 1, out);
        *out = a->list->items[index];
        return SAMP_OK;
    }
    if (key->kind == SAMP__TEXT && a->kind != SAMP__DICT)
        return samp__attribute(r, a, key->text, out);
    if (key->kind == SAMP__TEXT) { /* not an item: a method, as message["items"] may be */
        bool found;
        const char *missing;
        SAMP_TRY(find_method(r, a, key->text, out, &found));
        if (found) return SAMP_OK;
        SAMP_TRY(keep_name(r, key->text, &missing));
        *out = undefined(missing);
        return SAMP_OK;
    }
    *out = undefined("an item that is not there");
    return SAMP_OK;
}

/* A bound as Python clips it to a sequence of n items: low … high. */
static samp_status clip(samp__render *r, const samp__value *bound, int64_t absent, int64_t low,
                        int64_t high, uint32_t n, int64_t *out)
{
    *out = absent;
    if (bound->kind == SAMP__ABSENT || bound->kind == SAMP__NONE) return SAMP_OK;
    if (!is_index(bound, out))
        return samp__fail(r, SAMP_INVALID, "a slice goes from integer to integer, found %s",
                          samp__kind_name(bound->kind));
    if (*out < 0) *out += n;
    if (*out < low) *out = low;
    if (*out > high) *out = high;
    return SAMP_OK;
}

samp_status samp__slice(samp__render *r, const samp__value *a, const samp__value bounds[3],
                        samp__value *out)
{
    int64_t from, to, step = 1;
    uint32_t n;
    if (a->kind == SAMP__UNDEFINED) return fail_undefined(r, a);
    if (a->kind != SAMP__LIST && a->kind != SAMP__TUPLE && a->kind != SAMP__TEXT)
        return samp__fail(r, SAMP_INVALID, "a slice of %s", samp__kind_name(a->kind));
    samp__length(a, &n);
    if (bounds[2].kind > SAMP__NONE && !is_index(&bounds[2], &step))
        return samp__fail(r, SAMP_INVALID, "the step of a slice is an integer, found %s",
                          samp__kind_name(bounds[2].kind));
    if (step == 0) return samp__fail(r, SAMP_INVALID, "the step of a slice cannot be 0");
    if (step > n) step = (int64_t)n + 1; /* the same items, and no overflow */
    if (step < -(int64_t)n) step = -(int64_t)n - 1;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : (int64_t)n - 1;
    SAMP_TRY(clip(r, &bounds[0], step > 0 ? low : high, low, high, n, &from));
    SAMP_TRY(clip(r, &bounds[1], step > 0 ? high : low, low, high, n, &to));
    if (a->kind == SAMP__TEXT) return samp__text_slice(r, a->text, from, to, step, out);
    samp__list *list;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    if (step == 1 && from < to) { /* shares the items */
        *list = (samp__list){.items = a->list->items + from, .n = (uint32_t)(to - from)};
        list->capacity = list->n;
    }
    for (int64_t i = from; step != 1 && (step > 0 ? i < to : i > to); i += step)
        SAMP_TRY(samp__list_add(r, list, a->list->items[i]));
    *out = (samp__value){.kind = a->kind, .list = list};
    return SAMP_OK;
}

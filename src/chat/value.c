/* Values: truth, equality, order, length, iteration, lists and dicts, and JSON documents as values.
 * All memory is the rendering's arena. */
#include "chat/jinja.h"

const char *samp__kind_name(samp__kind kind)
{
    static const char *const names[] = {
        [SAMP__ABSENT] = "nothing",
        [SAMP__UNDEFINED] = "an undefined value",
        [SAMP__NONE] = "None",
        [SAMP__BOOL] = "bool",
        [SAMP__INT] = "int",
        [SAMP__FLOAT] = "float",
        [SAMP__TEXT] = "str",
        [SAMP__LIST] = "list",
        [SAMP__TUPLE] = "tuple",
        [SAMP__DICT] = "dict",
        [SAMP__NAMESPACE] = "namespace",
        [SAMP__MACRO] = "macro",
        [SAMP__FUNCTION] = "function",
        [SAMP__METHOD] = "method",
        [SAMP__LOOP] = "loop",
    };
    return names[kind];
}

bool samp__truth(const samp__value *v)
{
    switch (v->kind) {
    case SAMP__ABSENT:
    case SAMP__UNDEFINED:
    case SAMP__NONE: return false;
    case SAMP__BOOL: return v->truth;
    case SAMP__INT: return v->integer != 0;
    case SAMP__FLOAT: return v->number != 0;
    case SAMP__TEXT: return v->text.n != 0;
    case SAMP__LIST:
    case SAMP__TUPLE: return v->list->n != 0;
    case SAMP__DICT: return v->dict->keys.n != 0;
    case SAMP__LOOP: return v->loop->items->n != 0;
    default: return true;
    }
}

bool samp__length(const samp__value *v, uint32_t *n)
{
    switch (v->kind) {
    case SAMP__UNDEFINED: *n = 0; return true;
    case SAMP__TEXT: *n = samp__characters(v->text); return true;
    case SAMP__LIST:
    case SAMP__TUPLE: *n = v->list->n; return true;
    case SAMP__DICT: *n = v->dict->keys.n; return true;
    case SAMP__LOOP: *n = v->loop->items->n; return true;
    default: return false;
    }
}

/* ---- comparison ------------------------------------------------------------------------------ */

/* Bools count as the integers 0 and 1. */
static bool number_of(const samp__value *v, double *number, int64_t *integer)
{
    if (v->kind == SAMP__FLOAT) {
        *number = v->number;
        return true;
    }
    if (v->kind != SAMP__INT && v->kind != SAMP__BOOL) return false;
    *integer = v->kind == SAMP__INT ? v->integer : v->truth;
    *number = (double)*integer;
    return true;
}

static samp_status lists_equal(samp__render *r, const samp__list *a, const samp__list *b, bool *out)
{
    *out = a->n == b->n;
    for (uint32_t i = 0; *out && i < a->n; i++)
        SAMP_TRY(samp__equal(r, &a->items[i], &b->items[i], out));
    return SAMP_OK;
}

static samp_status dicts_equal(samp__render *r, const samp__dict *a, const samp__dict *b, bool *out)
{
    *out = a->keys.n == b->keys.n;
    for (uint32_t i = 0; *out && i < a->keys.n; i++) {
        const samp__value *other = samp__dict_get(r, b, &a->keys.items[i]);
        *out = other != NULL;
        if (other) SAMP_TRY(samp__equal(r, &a->values.items[i], other, out));
    }
    return SAMP_OK;
}

static samp_status equal_inside(samp__render *r, const samp__value *a, const samp__value *b,
                                bool *out)
{
    switch (a->kind) {
    case SAMP__UNDEFINED:
    case SAMP__NONE: *out = true; return SAMP_OK;
    case SAMP__TEXT:
        *out = samp__text_equal(a->text, b->text);
        return samp__charge(r, a->text.n / 64);
    case SAMP__LIST:
    case SAMP__TUPLE: return lists_equal(r, a->list, b->list, out);
    case SAMP__DICT: return dicts_equal(r, a->dict, b->dict, out);
    case SAMP__NAMESPACE: *out = a->dict == b->dict; return SAMP_OK;
    case SAMP__MACRO: *out = a->macro == b->macro; return SAMP_OK;
    case SAMP__FUNCTION: *out = a->function == b->function; return SAMP_OK;
    case SAMP__LOOP: *out = a->loop == b->loop; return SAMP_OK;
    default: *out = false; return SAMP_OK;
    }
}

samp_status samp__equal(samp__render *r, const samp__value *a, const samp__value *b, bool *out)
{
    double x, y;
    int64_t i = 0, j = 0;
    *out = false;
    SAMP_TRY(samp__charge(r, 1));
    if (number_of(a, &x, &i) && number_of(b, &y, &j)) {
        *out = a->kind != SAMP__FLOAT && b->kind != SAMP__FLOAT ? i == j : x == y;
        return SAMP_OK;
    }
    if (a->kind != b->kind) return SAMP_OK;
    SAMP_TRY(samp__enter(r));
    samp_status status = equal_inside(r, a, b, out);
    samp__leave(r);
    return status;
}

static samp_status order_lists(samp__render *r, const samp__list *a, const samp__list *b, int *out)
{
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        bool same;
        SAMP_TRY(samp__equal(r, &a->items[i], &b->items[i], &same));
        if (!same) return samp__order(r, &a->items[i], &b->items[i], out);
    }
    *out = (a->n > b->n) - (a->n < b->n);
    return SAMP_OK;
}

samp_status samp__order(samp__render *r, const samp__value *a, const samp__value *b, int *out)
{
    double x, y;
    int64_t i = 0, j = 0;
    SAMP_TRY(samp__charge(r, 1));
    if (number_of(a, &x, &i) && number_of(b, &y, &j)) {
        bool whole = a->kind != SAMP__FLOAT && b->kind != SAMP__FLOAT;
        *out = whole ? (i > j) - (i < j) : (x > y) - (x < y);
        return SAMP_OK;
    }
    if (a->kind == SAMP__TEXT && b->kind == SAMP__TEXT) {
        /* The order of UTF-8 bytes is that of code points. */
        uint32_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
        int first = n ? memcmp(a->text.bytes, b->text.bytes, n) : 0;
        *out = first ? first : (a->text.n > b->text.n) - (a->text.n < b->text.n);
        return samp__charge(r, n / 64);
    }
    if (a->kind == b->kind && (a->kind == SAMP__LIST || a->kind == SAMP__TUPLE)) {
        SAMP_TRY(samp__enter(r));
        samp_status status = order_lists(r, a->list, b->list, out);
        samp__leave(r);
        return status;
    }
    return samp__fail(r, SAMP_INVALID, "%s and %s have no order", samp__kind_name(a->kind),
                      samp__kind_name(b->kind));
}

samp_status samp__contains(samp__render *r, const samp__value *item, const samp__value *in,
                           bool *out)
{
    *out = false;
    if (in->kind == SAMP__UNDEFINED) return SAMP_OK;
    if (in->kind == SAMP__TEXT) {
        if (item->kind != SAMP__TEXT)
            return samp__fail(r, SAMP_INVALID, "\"in\" a text needs a text, found %s",
                              samp__kind_name(item->kind));
        SAMP_TRY(samp__charge(r, in->text.n / 16));
        *out = samp__text_find(in->text, item->text, 0) >= 0;
        return SAMP_OK;
    }
    if (in->kind == SAMP__DICT) {
        if (item->kind == SAMP__LIST || item->kind == SAMP__DICT)
            return samp__fail(r, SAMP_INVALID, "%s cannot be a key of a dict",
                              samp__kind_name(item->kind));
        *out = samp__dict_get(r, in->dict, item) != NULL;
        return samp__charge(r, in->dict->keys.n / 4);
    }
    if (in->kind != SAMP__LIST && in->kind != SAMP__TUPLE)
        return samp__fail(r, SAMP_INVALID, "\"in\" needs a list, a dict or a text, found %s",
                          samp__kind_name(in->kind));
    for (uint32_t i = 0; !*out && i < in->list->n; i++)
        SAMP_TRY(samp__equal(r, item, &in->list->items[i], out));
    return SAMP_OK;
}

/* ---- containers ------------------------------------------------------------------------------ */

samp_status samp__list_add(samp__render *r, samp__list *list, samp__value item)
{
    if (list->n == list->capacity) {
        uint32_t capacity = list->capacity ? 2 * list->capacity : 4;
        samp__value *items;
        SAMP_TRY(samp__allocate(r, capacity, sizeof *items, &items));
        if (list->n) memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = item;
    return samp__charge(r, 1);
}

static samp_status characters(samp__render *r, samp__text text, samp__list *out)
{
    for (size_t at = 0; at < text.n;) {
        size_t end = at + samp__character_bytes(text.bytes[at]);
        SAMP_TRY(samp__list_add(r, out, samp__of_text(samp__text_part(text, at, end))));
        at = end;
    }
    return SAMP_OK;
}

samp_status samp__items(samp__render *r, const samp__value *v, const samp__list **out)
{
    samp__list *list;
    switch (v->kind) {
    case SAMP__LIST:
    case SAMP__TUPLE: *out = v->list; return SAMP_OK;
    case SAMP__DICT: *out = &v->dict->keys; return SAMP_OK;
    case SAMP__LOOP: *out = v->loop->items; return SAMP_OK;
    case SAMP__UNDEFINED:
    case SAMP__TEXT:
        SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
        *out = list;
        return v->kind == SAMP__TEXT ? characters(r, v->text, list) : SAMP_OK;
    default:
        return samp__fail(r, SAMP_INVALID, "%s cannot be gone through", samp__kind_name(v->kind));
    }
}

/* Dicts of a conversation are small: a search through the keys is the fastest index they need, and
 * the work is counted. */
const samp__value *samp__dict_get(samp__render *r, const samp__dict *dict, const samp__value *key)
{
    for (uint32_t i = 0; i < dict->keys.n; i++) {
        const samp__value *candidate = &dict->keys.items[i];
        bool same;
        if (candidate->kind == SAMP__TEXT && key->kind == SAMP__TEXT)
            same = samp__text_equal(candidate->text, key->text);
        else if (samp__equal(r, candidate, key, &same) != SAMP_OK)
            return NULL;
        if (same) return &dict->values.items[i];
    }
    return NULL;
}

const samp__value *samp__dict_find(const samp__dict *dict, const char *key)
{
    for (uint32_t i = 0; i < dict->keys.n; i++) {
        const samp__value *candidate = &dict->keys.items[i];
        if (candidate->kind == SAMP__TEXT && samp__text_is(candidate->text, key))
            return &dict->values.items[i];
    }
    return NULL;
}

samp_status samp__dict_set(samp__render *r, samp__dict *dict, samp__value key, samp__value value)
{
    if (key.kind == SAMP__LIST || key.kind == SAMP__DICT)
        return samp__fail(r, SAMP_INVALID, "%s cannot be a key of a dict",
                          samp__kind_name(key.kind));
    SAMP_TRY(samp__charge(r, dict->keys.n / 4));
    samp__value *old = (samp__value *)samp__dict_get(r, dict, &key);
    if (old) {
        *old = value;
        return SAMP_OK;
    }
    SAMP_TRY(samp__list_add(r, &dict->keys, key));
    return samp__list_add(r, &dict->values, value);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static samp__value json_text(const char *bytes, size_t n, bool trusted)
{
    return samp__of_text((samp__text){.bytes = bytes, .n = (uint32_t)n, .trusted = trusted});
}

static samp_status list_from_json(samp__render *r, const json_t *json, bool trusted,
                                  samp__value *out)
{
    samp__list *list;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    for (size_t i = 0; i < json_array_size(json); i++) {
        samp__value item;
        SAMP_TRY(samp__from_json(r, json_array_get(json, i), trusted, &item));
        SAMP_TRY(samp__list_add(r, list, item));
    }
    *out = samp__of_list(list);
    return SAMP_OK;
}

static samp_status dict_from_json(samp__render *r, const json_t *json, bool trusted,
                                  samp__value *out)
{
    samp__dict *dict;
    const char *key;
    json_t *member;
    SAMP_TRY(samp__allocate(r, 1, sizeof *dict, &dict));
    json_object_foreach((json_t *)json, key, member)
    {
        samp__value value;
        SAMP_TRY(samp__from_json(r, member, trusted, &value));
        SAMP_TRY(samp__list_add(r, &dict->keys, json_text(key, strlen(key), trusted)));
        SAMP_TRY(samp__list_add(r, &dict->values, value));
    }
    *out = (samp__value){.kind = SAMP__DICT, .dict = dict};
    return SAMP_OK;
}

samp_status samp__from_json(samp__render *r, const json_t *json, bool trusted, samp__value *out)
{
    samp_status status;
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_NULL: *out = (samp__value){.kind = SAMP__NONE}; return SAMP_OK;
    case JSON_TRUE:
    case JSON_FALSE: *out = samp__bool(json_is_true(json)); return SAMP_OK;
    case JSON_INTEGER: *out = samp__int(json_integer_value(json)); return SAMP_OK;
    case JSON_REAL: *out = samp__float(json_real_value(json)); return SAMP_OK;
    case JSON_STRING:
        if (json_string_length(json) > r->limits.output_bytes)
            return samp__fail(r, SAMP_LIMIT, "a message of %zu bytes, the limit is %llu",
                              json_string_length(json), (unsigned long long)r->limits.output_bytes);
        *out = json_text(json_string_value(json), json_string_length(json), trusted);
        return SAMP_OK;
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    SAMP_TRY(samp__enter(r));
    status = (json_is_array(json) ? list_from_json : dict_from_json)(r, json, trusted, out);
    samp__leave(r);
    return status;
}

/* Filters over the items of a value. Each gives a list, where Jinja2 often gives a generator: no
 * template can tell them apart but by printing one. */
#include "chat/jinja.h"

#include <stdlib.h>

/* item.a.b of the path "a.b"; a part of digits is an index. */
static samp_status follow(samp__render *r, samp__value item, const samp__value *path,
                          const samp__value *or_else, samp__value *out)
{
    *out = item;
    if (path->kind == SAMP__ABSENT) return SAMP_OK;
    if (path->kind != SAMP__TEXT) return samp__item(r, &item, path, out);
    for (samp__text rest = path->text; rest.bytes;) {
        int64_t dot = samp__text_find(rest, SAMP__LITERAL("."), 0);
        samp__text name = samp__text_part(rest, 0, dot < 0 ? rest.n : (size_t)dot);
        samp__value key = samp__of_text(name);
        bool digits = name.n > 0 && name.n < 10;
        for (uint32_t i = 0; digits && i < name.n; i++)
            digits = name.bytes[i] >= '0' && name.bytes[i] <= '9';
        if (digits) {
            int64_t index = 0;
            for (uint32_t i = 0; i < name.n; i++) index = index * 10 + name.bytes[i] - '0';
            key = samp__int(index);
        }
        samp__value inner = *out;
        SAMP_TRY(samp__item(r, &inner, &key, out));
        if (or_else && out->kind == SAMP__UNDEFINED) *out = *or_else;
        rest = dot < 0 ? (samp__text){0} : samp__text_part(rest, (size_t)dot + 1, rest.n);
    }
    return SAMP_OK;
}

static samp_status begin(samp__render *r, const samp__call *call, const samp__list **items,
                         samp__list **made, samp__value *out)
{
    static const samp__list none = {0};
    bool may_be_none = !call->row->parameters; /* map, select …: what is false is empty */
    *items = &none;
    if (!may_be_none || samp__truth(&call->self)) SAMP_TRY(samp__items(r, &call->self, items));
    SAMP_TRY(samp__allocate(r, 1, sizeof **made, made));
    *out = samp__of_list(*made);
    return SAMP_OK;
}

static samp_status list(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__list *items;
    SAMP_TRY(samp__items(r, &call->self, &items));
    *out = samp__of_list(items);
    return SAMP_OK;
}

static samp_status first_or_last(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__list *items;
    SAMP_TRY(samp__items(r, &call->self, &items));
    if (items->n == 0)
        *out = (samp__value){.kind = SAMP__UNDEFINED, .missing = "an item of an empty list"};
    else
        *out = items->items[call->row->name[0] == 'f' ? 0 : items->n - 1];
    return SAMP_OK;
}

static samp_status items_of(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__list *empty;
    if (call->self.kind == SAMP__UNDEFINED) {
        SAMP_TRY(samp__allocate(r, 1, sizeof *empty, &empty));
        *out = samp__of_list(empty);
        return SAMP_OK;
    }
    if (call->self.kind != SAMP__DICT)
        return samp__fail(r, SAMP_INVALID, "'items' of %s, expected a dict",
                          samp__kind_name(call->self.kind));
    return samp__method_find(SAMP__DICT, SAMP__LITERAL("items"))->run(r, call, out);
}

static samp_status join(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text between = SAMP__LITERAL("");
    const samp__list *items;
    samp__builder b = {0};
    SAMP_TRY(samp__argument_text(r, call, 0, &between));
    SAMP_TRY(samp__items(r, &call->self, &items));
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value item;
        SAMP_TRY(follow(r, items->items[i], &call->args[1], NULL, &item));
        if (i) SAMP_TRY(samp__build(r, &b, between));
        SAMP_TRY(samp__build_value(r, &b, &item));
    }
    *out = samp__of_text(samp__built(&b));
    return SAMP_OK;
}

static samp_status reverse(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__value bounds[3] = {{SAMP__ABSENT}, {SAMP__ABSENT}, samp__int(-1)};
    const samp__list *items;
    if (call->self.kind == SAMP__TEXT) return samp__slice(r, &call->self, bounds, out);
    SAMP_TRY(samp__items(r, &call->self, &items));
    samp__value all = samp__of_list(items);
    return samp__slice(r, &all, bounds, out);
}

/* ---- map and select -------------------------------------------------------------------------- */

static const samp__value *keyword(const samp__arguments *given, const char *name)
{
    for (uint32_t i = 0; i < given->n_keywords; i++)
        if (samp__text_is(given->keywords[i].name, name)) return &given->keywords[i].value;
    return NULL;
}

/* The arguments after the first `skip`. */
static samp_status rest_of(samp__render *r, const samp__arguments *given, uint32_t skip,
                           samp__arguments **rest)
{
    SAMP_TRY(samp__allocate(r, 1, sizeof **rest, rest));
    for (uint32_t i = skip; i < given->n; i++) (*rest)->items[(*rest)->n++] = given->items[i];
    return SAMP_OK;
}

static samp_status map(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__arguments *given = call->given;
    const samp__value *attribute = keyword(given, "attribute");
    const samp__builtin *filter = NULL;
    const samp__list *items;
    samp__list *made;
    samp__arguments *rest;
    if (given->n && given->items[0].kind == SAMP__TEXT)
        filter = samp__filter_find(given->items[0].text);
    if ((given->n == 0) != (attribute != NULL) || (given->n && !filter))
        return samp__fail(r, SAMP_UNSUPPORTED, "'map' takes the name of a filter or attribute=");
    SAMP_TRY(begin(r, call, &items, &made, out));
    SAMP_TRY(rest_of(r, given, 1, &rest));
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value item;
        if (filter)
            SAMP_TRY(samp__call_builtin(r, filter, &items->items[i], rest, &item));
        else
            SAMP_TRY(follow(r, items->items[i], attribute, keyword(given, "default"), &item));
        SAMP_TRY(samp__list_add(r, made, item));
    }
    return SAMP_OK;
}

/* select, reject, selectattr, rejectattr: by a test, or by truth when none is given. */
static samp_status choose(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__arguments *given = call->given;
    const char *name = call->row->name;
    bool keeps = name[0] == 's', by_attribute = strlen(name) > 6;
    const samp__builtin *test = NULL;
    samp__value path = {.kind = SAMP__ABSENT};
    const samp__list *items;
    samp__list *made;
    samp__arguments *rest;
    if (by_attribute && given->n == 0)
        return samp__fail(r, SAMP_INVALID, "'%s' takes the name of an attribute", name);
    if (by_attribute) path = given->items[0];
    if (given->n > by_attribute) {
        const samp__value *test_name = &given->items[by_attribute];
        test = test_name->kind == SAMP__TEXT ? samp__test_find(test_name->text) : NULL;
        if (!test) return samp__fail(r, SAMP_UNSUPPORTED, "'%s' by an unknown test", name);
    }
    SAMP_TRY(begin(r, call, &items, &made, out));
    SAMP_TRY(rest_of(r, given, 1 + (uint32_t)by_attribute, &rest));
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value item, holds;
        SAMP_TRY(follow(r, items->items[i], &path, NULL, &item));
        holds = item;
        if (test) SAMP_TRY(samp__call_builtin(r, test, &item, rest, &holds));
        if (samp__truth(&holds) == keeps) SAMP_TRY(samp__list_add(r, made, items->items[i]));
    }
    return SAMP_OK;
}

/* ---- order ----------------------------------------------------------------------------------- */

/* What items are compared by: their attribute, in small letters unless case counts. */
static samp_status sort_key(samp__render *r, samp__value item, const samp__value *path,
                            bool case_sensitive, samp__value *out)
{
    SAMP_TRY(follow(r, item, path, NULL, out));
    if (case_sensitive || out->kind != SAMP__TEXT) return SAMP_OK;
    samp__call lower = {.row = samp__method_find(SAMP__TEXT, SAMP__LITERAL("lower")), .self = *out};
    return lower.row->run(r, &lower, out);
}

/* Insertion keeps equal items in their order, as Python's sort; comparisons are counted work. */
static samp_status sort_items(samp__render *r, const samp__list *items, const samp__value *path,
                              bool case_sensitive, bool descending, samp__list *out)
{
    samp__value *keys;
    SAMP_TRY(samp__allocate(r, items->n, sizeof *keys, &keys));
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value item = items->items[i], key;
        uint32_t at = i;
        SAMP_TRY(sort_key(r, item, path, case_sensitive, &key));
        SAMP_TRY(samp__list_add(r, out, item));
        for (; at > 0; at--) {
            int order;
            SAMP_TRY(samp__order(r, &key, &keys[at - 1], &order));
            if (descending ? order <= 0 : order >= 0) break;
            keys[at] = keys[at - 1];
            out->items[at] = out->items[at - 1];
        }
        keys[at] = key;
        out->items[at] = item;
    }
    return SAMP_OK;
}

static samp_status sort(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__list *items;
    samp__list *made;
    SAMP_TRY(begin(r, call, &items, &made, out));
    return sort_items(r, items, &call->args[2], samp__argument_truth(call, 1),
                      samp__argument_truth(call, 0), made);
}

/* Pairs of key and value, by key or by value. */
static samp_status dictsort(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text by = SAMP__LITERAL("key");
    samp__list *made;
    samp__value pairs;
    SAMP_TRY(samp__argument_text(r, call, 1, &by));
    if (call->self.kind != SAMP__DICT)
        return samp__fail(r, SAMP_INVALID, "'dictsort' of %s, expected a dict",
                          samp__kind_name(call->self.kind));
    SAMP_TRY(samp__method_find(SAMP__DICT, SAMP__LITERAL("items"))->run(r, call, &pairs));
    SAMP_TRY(samp__allocate(r, 1, sizeof *made, &made));
    *out = samp__of_list(made);
    samp__value path = samp__int(samp__text_is(by, "value"));
    return sort_items(r, pairs.list, &path, samp__argument_truth(call, 0),
                      samp__argument_truth(call, 2), made);
}

static samp_status unique(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__list *items;
    samp__list *made, keys = {0};
    SAMP_TRY(begin(r, call, &items, &made, out));
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value key, seen = samp__of_list(&keys);
        bool known;
        SAMP_TRY(sort_key(r, items->items[i], &call->args[1], samp__argument_truth(call, 0), &key));
        SAMP_TRY(samp__contains(r, &key, &seen, &known));
        if (known) continue;
        SAMP_TRY(samp__list_add(r, &keys, key));
        SAMP_TRY(samp__list_add(r, made, items->items[i]));
    }
    return SAMP_OK;
}

static samp_status least_or_most(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__list *items;
    samp__value best = {.kind = SAMP__ABSENT};
    bool most = call->row->name[1] == 'a';
    SAMP_TRY(samp__items(r, &call->self, &items));
    *out = (samp__value){.kind = SAMP__UNDEFINED, .missing = "an item of an empty list"};
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value key;
        int order = 1;
        SAMP_TRY(sort_key(r, items->items[i], &call->args[1], samp__argument_truth(call, 0), &key));
        if (best.kind != SAMP__ABSENT) {
            SAMP_TRY(samp__order(r, &key, &best, &order));
            if (!most) order = -order;
        }
        if (order <= 0) continue;
        best = key;
        *out = items->items[i];
    }
    return SAMP_OK;
}

static samp_status sum(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__list *items;
    SAMP_TRY(samp__items(r, &call->self, &items));
    *out = call->args[1].kind == SAMP__ABSENT ? samp__int(0) : call->args[1];
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value item, total = *out;
        SAMP_TRY(follow(r, items->items[i], &call->args[0], NULL, &item));
        SAMP_TRY(samp__binary(r, '+', &total, &item, out));
    }
    return SAMP_OK;
}

const samp__builtin samp__list_filters[] = {
    {"list", "", 0, list},
    {"first", "", 0, first_or_last},
    {"last", "", 0, first_or_last},
    {"items", "", 0, items_of},
    {"join", "d attribute", 0, join},
    {"reverse", "", 0, reverse},
    {"map", NULL, 0, map},
    {"select", NULL, 0, choose},
    {"reject", NULL, 0, choose},
    {"selectattr", NULL, 0, choose},
    {"rejectattr", NULL, 0, choose},
    {"sort", "reverse case_sensitive attribute", 0, sort},
    {"dictsort", "case_sensitive by reverse", 0, dictsort},
    {"unique", "case_sensitive attribute", 0, unique},
    {"min", "case_sensitive attribute", 0, least_or_most},
    {"max", "case_sensitive attribute", 0, least_or_most},
    {"sum", "attribute start", 0, sum},
    {0},
};

const samp__builtin *samp__filter_find(samp__text name)
{
    for (const samp__builtin *row = samp__text_filters; row->name; row++)
        if (samp__text_is(name, row->name)) return row;
    for (const samp__builtin *row = samp__list_filters; row->name; row++)
        if (samp__text_is(name, row->name)) return row;
    return NULL;
}

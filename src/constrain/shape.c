/* Shapes of conjunctions: made one by one, each with its combinations (allOf, anyOf, oneOf, not,
 * if) and references worked in. */
#include "constrain/shape.h"

#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, CONJUNCTION_MAX = 64, MADE_MAX = 100000 };

/* ---- things that live as long as the shapes -------------------------------------------------- */

samp_status samp__schema_keep(samp__shapes *s, json_t *schema, const json_t **out,
                              samp_error *error)
{
    if (!schema || json_array_append_new(s->made, schema))
        return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    if (json_array_size(s->made) > MADE_MAX)
        return samp_fail(error, SAMP_LIMIT, "the schema's combinations are too many");
    *out = schema;
    return SAMP_OK;
}

static samp_status keep_regex(samp__shapes *s, samp__regex *regex, samp_error *error)
{
    if (s->n_regexes == s->regexes_capacity) {
        uint32_t capacity = 2 * s->regexes_capacity + 8;
        void *list = samp_realloc(s->regexes, capacity, sizeof *s->regexes);
        if (!list) {
            samp__regex_release(regex);
            return samp_fail(error, SAMP_NOMEM, "out of memory for a pattern");
        }
        s->regexes = list;
        s->regexes_capacity = capacity;
    }
    s->regexes[s->n_regexes++] = regex;
    return SAMP_OK;
}

samp_status samp__shapes_regex(samp__shapes *s, const char *pattern, size_t n, samp__regex **out,
                               samp_error *error)
{
    SAMP_TRY(samp__regex_compile(out, pattern, n, error));
    return keep_regex(s, *out, error);
}

samp_status samp__shapes_literals(samp__shapes *s, const char *const *strings,
                                  const size_t *lengths, size_t n, samp__regex **out,
                                  samp_error *error)
{
    SAMP_TRY(samp__regex_literals(out, strings, lengths, n, error));
    return keep_regex(s, *out, error);
}

/* ---- places ---------------------------------------------------------------------------------- */

/* Depth-first search for a schema's address; the path is written back to front. */
static bool find_place(const json_t *at, const json_t *wanted, unsigned depth, samp_buffer *path)
{
    const char *key;
    json_t *value;
    size_t i, length = path->length;
    if (at == wanted) return true;
    if (depth == DEPTH_MAX) return false;
    json_object_foreach((json_t *)at, key, value)
    {
        samp_buffer_printf(path, "/%.60s", key);
        if (find_place(value, wanted, depth + 1, path)) return true;
        path->length = length;
    }
    json_array_foreach((json_t *)at, i, value)
    {
        samp_buffer_printf(path, "/%zu", i);
        if (find_place(value, wanted, depth + 1, path)) return true;
        path->length = length;
    }
    return false;
}

const char *samp__schema_place(samp__shapes *s, const json_t *schema)
{
    samp_buffer path = {0};
    samp_buffer_text(&path, "");
    bool found = find_place(s->root, schema, 0, &path) && !path.failed;
    const char *kept =
        found && path.length ? samp_arena_strndup(&s->arena, path.data, path.length) : NULL;
    samp_buffer_release(&path);
    return kept ? kept : "/";
}

/* ---- conjunctions ---------------------------------------------------------------------------- */

static int compare_addresses(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

static samp_status intern_list(samp__shapes *s, const json_t **list, size_t n,
                               samp__conjunction *out, samp_error *error)
{
    size_t kept = 0;
    qsort(list, n, sizeof *list, compare_addresses);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || list[kept - 1] != list[i]) list[kept++] = list[i];
    *out = samp__intern_add(&s->conjunctions, list, kept * sizeof *list);
    if (*out == 0) return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    if (*out > SAMP__SHAPES_MAX)
        return samp_fail(error, SAMP_LIMIT, "the schema has more than %d combinations",
                         SAMP__SHAPES_MAX);
    return SAMP_OK;
}

samp_status samp__conjunction_of(samp__shapes *s, const json_t *schema, samp__conjunction *out,
                                 samp_error *error)
{
    *out = 0;
    if (json_is_true(schema) || (json_is_object(schema) && json_object_size(schema) == 0))
        return SAMP_OK;
    if (!json_is_object(schema) && !json_is_false(schema))
        return samp_fail(error, SAMP_INVALID, "'%s' of the schema must be an object, true or false",
                         samp__schema_place(s, schema));
    return intern_list(s, &schema, 1, out, error);
}

samp_status samp__conjunction_and(samp__shapes *s, samp__conjunction a, samp__conjunction b,
                                  samp__conjunction *out, samp_error *error)
{
    const json_t *list[2 * CONJUNCTION_MAX];
    size_t n_a, n_b;
    *out = a ? a : b;
    if (a == 0 || b == 0 || a == b) return SAMP_OK;
    const void *first = samp__intern_get(&s->conjunctions, a, &n_a);
    const void *second = samp__intern_get(&s->conjunctions, b, &n_b);
    if (n_a + n_b > sizeof list)
        return samp_fail(error, SAMP_LIMIT, "more than %d schemas apply to one value",
                         2 * CONJUNCTION_MAX);
    memcpy(list, first, n_a);
    memcpy((char *)list + n_a, second, n_b);
    return intern_list(s, list, (n_a + n_b) / sizeof *list, out, error);
}

/* ---- references ------------------------------------------------------------------------------ */

/* One step of a JSON pointer: [text, text+n), escapes undone into out. */
static const json_t *step_into(const json_t *at, const char *text, size_t n)
{
    char key[512];
    size_t length = 0;
    for (size_t i = 0; i < n && length < sizeof key - 1; i++) {
        unsigned code;
        if (text[i] == '~' && i + 1 < n && (text[i + 1] == '0' || text[i + 1] == '1'))
            key[length++] = text[++i] == '0' ? '~' : '/';
        else if (text[i] == '%' && i + 2 < n && sscanf(text + i + 1, "%2x", &code) == 1) {
            key[length++] = (char)code;
            i += 2;
        } else
            key[length++] = text[i];
    }
    key[length] = '\0';
    if (json_is_array(at)) {
        char *end;
        unsigned long index = strtoul(key, &end, 10);
        return length && !*end ? json_array_get(at, index) : NULL;
    }
    return json_object_get(at, key);
}

static const json_t *find_anchor(const json_t *at, const char *name, unsigned depth)
{
    const char *key, *anchor = json_string_value(json_object_get(at, "$anchor"));
    json_t *value;
    size_t i;
    const json_t *found = NULL;
    if (anchor && strcmp(anchor, name) == 0) return at;
    if (depth == DEPTH_MAX) return NULL;
    json_object_foreach((json_t *)at, key, value) if (!found) found =
        find_anchor(value, name, depth + 1);
    json_array_foreach((json_t *)at, i, value) if (!found) found =
        find_anchor(value, name, depth + 1);
    return found;
}

samp_status samp__schema_follow(samp__shapes *s, const json_t *schema, const char *reference,
                                const json_t **out, samp_error *error)
{
    const json_t *at = s->root;
    if (reference[0] != '#')
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "the reference '%.100s' at '%s' of the schema leads out of the document",
                         reference, samp__schema_place(s, schema));
    const char *text = reference + 1;
    if (*text && *text != '/') at = find_anchor(s->root, text, 0);
    while (at && *text == '/') {
        size_t n = strcspn(++text, "/");
        at = step_into(at, text, n);
        text += n;
    }
    if (!at)
        return samp_fail(error, SAMP_INVALID,
                         "the reference '%.100s' at '%s' of the schema leads nowhere", reference,
                         samp__schema_place(s, schema));
    *out = at;
    return SAMP_OK;
}

/* ---- combinations ---------------------------------------------------------------------------- */

static samp_status narrow(samp__shapes *s, samp__shape *shape, const samp__shape *by,
                          samp_error *error)
{
    samp__shape both;
    SAMP_TRY(samp__shape_and(s, shape, by, &both, error));
    *shape = both;
    return SAMP_OK;
}

static samp_status narrow_schema(samp__shapes *s, samp__shape *shape, const json_t *schema,
                                 samp_error *error)
{
    samp__shape other;
    SAMP_TRY(samp__shape_expand(s, schema, &other, error));
    return narrow(s, shape, &other, error);
}

static samp_status check_list(samp__shapes *s, const json_t *schema, const char *keyword,
                              const json_t *list, samp_error *error)
{
    if (json_is_array(list) && json_array_size(list)) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID, "'%s' at '%s' of the schema must be an array of schemas",
                     keyword, samp__schema_place(s, schema));
}

static samp_status narrow_any(samp__shapes *s, samp__shape *shape, const json_t *list,
                              samp_error *error)
{
    samp__shape all = {0}, one, both;
    size_t i;
    json_t *schema;
    json_array_foreach((json_t *)list, i, schema)
    {
        SAMP_TRY(samp__shape_expand(s, schema, &one, error));
        SAMP_TRY(samp__shape_or(s, &all, &one, &both, error));
        all = both;
    }
    return narrow(s, shape, &all, error);
}

/* Exactly one: any of them when no two have a value in common, else each without the others. */
static samp_status narrow_one(samp__shapes *s, samp__shape *shape, const json_t *list,
                              samp_error *error)
{
    size_t n = json_array_size(list);
    bool apart = true;
    samp__shape *shapes = samp_arena_alloc(&s->arena, n, sizeof *shapes), both;
    if (!shapes) return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    for (size_t i = 0; i < n; i++) {
        shapes[i] = *shape; /* what else is said often keeps them apart */
        SAMP_TRY(narrow_schema(s, &shapes[i], json_array_get(list, i), error));
    }
    for (size_t i = 0; apart && i < n; i++)
        for (size_t k = i + 1; apart && k < n; k++) {
            SAMP_TRY(samp__shape_and(s, &shapes[i], &shapes[k], &both, error));
            samp__shape_settle(s, &both);
            apart = samp__shape_is_empty(&both);
        }
    samp__shape all = {0};
    for (size_t i = 0; i < n; i++) {
        samp__shape one = shapes[i];
        for (size_t k = 0; !apart && k < n; k++) {
            const json_t *other = NULL;
            if (k == i) continue;
            SAMP_TRY(samp__schema_negate(s, json_array_get(list, k), &other, error));
            SAMP_TRY(narrow_schema(s, &one, other, error));
        }
        SAMP_TRY(samp__shape_or(s, &all, &one, &both, error));
        all = both;
    }
    *shape = all;
    return SAMP_OK;
}

/* (if and then) or (not if and else) */
static samp_status narrow_if(samp__shapes *s, samp__shape *shape, const json_t *schema,
                             samp_error *error)
{
    const json_t *condition = json_object_get(schema, "if"), *otherwise;
    const json_t *then_schema = json_object_get(schema, "then");
    const json_t *else_schema = json_object_get(schema, "else");
    samp__shape yes, no, both;
    if (!then_schema && !else_schema) return SAMP_OK;
    SAMP_TRY(samp__shape_expand(s, condition, &yes, error));
    if (then_schema) SAMP_TRY(narrow_schema(s, &yes, then_schema, error));
    SAMP_TRY(samp__schema_negate(s, condition, &otherwise, error));
    SAMP_TRY(samp__shape_expand(s, otherwise, &no, error));
    if (else_schema) SAMP_TRY(narrow_schema(s, &no, else_schema, error));
    SAMP_TRY(samp__shape_or(s, &yes, &no, &both, error));
    return narrow(s, shape, &both, error);
}

/* When a property is there, its schema applies to the whole object. */
static samp_status narrow_dependent(samp__shapes *s, samp__shape *shape, const json_t *all,
                                    samp_error *error)
{
    const char *name;
    json_t *schema;
    json_object_foreach((json_t *)all, name, schema)
    {
        const json_t *either = NULL;
        if (json_is_array(schema)) continue; /* `dependencies`: names are read with the object */
        json_t *absent = json_pack("{s:{s:b}}", "properties", name, 0);
        SAMP_TRY(samp__schema_keep(s, json_pack("[o, O]", absent, schema), &either, error));
        SAMP_TRY(narrow_any(s, shape, either, error));
    }
    return SAMP_OK;
}

static void forbid(samp__shape *shape, samp__regex *regex)
{
    for (uint32_t i = 0; i < shape->n_strings; i++)
        shape->strings[i].forbidden[shape->strings[i].n_forbidden++] = regex;
}

static samp_status forbid_pattern(samp__shapes *s, samp__shape *shape, const json_t *pattern,
                                  samp_error *error)
{
    samp__regex *regex;
    SAMP_TRY(samp__shapes_regex(s, json_string_value(pattern), json_string_length(pattern), &regex,
                                error));
    forbid(shape, regex);
    return SAMP_OK;
}

/* Strings that a negation took out. */
static samp_status forbid_strings(samp__shapes *s, samp__shape *shape, const json_t *list,
                                  samp_error *error)
{
    size_t n = json_array_size(list);
    const char **strings = samp_arena_alloc(&s->arena, n + 1, sizeof *strings);
    size_t *lengths = samp_arena_alloc(&s->arena, n + 1, sizeof *lengths);
    samp__regex *regex;
    if (!strings || !lengths) return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
    for (size_t i = 0; i < n; i++) {
        strings[i] = json_string_value(json_array_get(list, i));
        lengths[i] = json_string_length(json_array_get(list, i));
    }
    if (n == 0 || shape->n_strings == 0) return SAMP_OK;
    SAMP_TRY(samp__shapes_literals(s, strings, lengths, n, &regex, error));
    forbid(shape, regex);
    return SAMP_OK;
}

static samp_status expand_object(samp__shapes *s, const json_t *schema, samp__shape *out,
                                 samp_error *error)
{
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    const json_t *all = json_object_get(schema, "allOf"), *any = json_object_get(schema, "anyOf");
    const json_t *one = json_object_get(schema, "oneOf"), *not_ = json_object_get(schema, "not");
    const json_t *target, *forbidden = json_object_get(schema, "x-samp-forbidden");
    SAMP_TRY(samp__shape_keywords(s, schema, out, error));
    if (forbidden) SAMP_TRY(forbid_strings(s, out, forbidden, error));
    forbidden = json_object_get(schema, "x-samp-forbidden-pattern");
    if (forbidden) SAMP_TRY(forbid_pattern(s, out, forbidden, error));
    if (reference) {
        SAMP_TRY(samp__schema_follow(s, schema, reference, &target, error));
        SAMP_TRY(narrow_schema(s, out, target, error));
    }
    if (all) {
        size_t i;
        json_t *part;
        SAMP_TRY(check_list(s, schema, "allOf", all, error));
        json_array_foreach((json_t *)all, i, part) SAMP_TRY(narrow_schema(s, out, part, error));
    }
    if (any) {
        SAMP_TRY(check_list(s, schema, "anyOf", any, error));
        SAMP_TRY(narrow_any(s, out, any, error));
    }
    if (one) {
        SAMP_TRY(check_list(s, schema, "oneOf", one, error));
        SAMP_TRY(narrow_one(s, out, one, error));
    }
    if (not_) {
        SAMP_TRY(samp__schema_negate(s, not_, &target, error));
        SAMP_TRY(narrow_schema(s, out, target, error));
    }
    if (json_object_get(schema, "if")) SAMP_TRY(narrow_if(s, out, schema, error));
    SAMP_TRY(narrow_dependent(s, out, json_object_get(schema, "dependencies"), error));
    return narrow_dependent(s, out, json_object_get(schema, "dependentSchemas"), error);
}

samp_status samp__shape_expand(samp__shapes *s, const json_t *schema, samp__shape *out,
                               samp_error *error)
{
    if (json_is_true(schema)) return samp__shape_any(s, out, error);
    *out = (samp__shape){0};
    if (json_is_false(schema)) return SAMP_OK;
    if (!json_is_object(schema))
        return samp_fail(error, SAMP_INVALID, "'%s' of the schema must be an object, true or false",
                         samp__schema_place(s, schema));
    if (++s->depth > DEPTH_MAX)
        return samp_fail(error, SAMP_INVALID,
                         "'%s' of the schema refers to itself, or is nested too deep",
                         samp__schema_place(s, schema));
    SAMP_TRY(expand_object(s, schema, out, error));
    s->depth--;
    return SAMP_OK;
}

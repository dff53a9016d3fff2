/* Keywords of a schema that say what a single value may be: type, enum, const, and the bounds of
 * numbers, strings, arrays and objects. */
#include "constrain/formats.h"
#include "constrain/shape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static samp_status out_of_memory(samp_error *error)
{
    return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
}

static samp_status wrong(samp__shapes *s, const json_t *schema, const char *keyword,
                         const char *expected, samp_error *error)
{
    return samp_fail(error, SAMP_INVALID, "'%s' at '%s' of the schema must be %s", keyword,
                     samp__schema_place(s, schema), expected);
}

static bool has_combinations(const json_t *schema)
{
    static const char *const names[] = {"$ref", "allOf", "anyOf",        "oneOf",
                                        "if",   "not",   "dependencies", "dependentSchemas"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(schema, names[i])) return true;
    return false;
}

/* Keywords that mean something and are not supported. Annotations and what JSON Schema does not
 * know are no constraint. */
static samp_status refuse_unsupported(samp__shapes *s, const json_t *schema, samp_error *error)
{
    static const char *const names[] = {"contains", "$dynamicRef", "$recursiveRef"};
    static const char *const rests[] = {"unevaluatedItems", "unevaluatedProperties"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(schema, names[i]))
            return samp_fail(error, SAMP_UNSUPPORTED, "'%s' at '%s' of the schema is not supported",
                             names[i], samp__schema_place(s, schema));
    for (size_t i = 0; i < 2; i++) {
        const json_t *rest = json_object_get(schema, rests[i]);
        if (rest && !json_is_true(rest) && has_combinations(schema))
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "'%s' beside a combination of schemas, at '%s' of the schema, is not "
                             "supported",
                             rests[i], samp__schema_place(s, schema));
    }
    if (json_is_true(json_object_get(schema, "uniqueItems")))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "'uniqueItems' at '%s' of the schema is not supported",
                         samp__schema_place(s, schema));
    return SAMP_OK;
}

/* A count: a whole number from 0 on. */
static samp_status read_count(samp__shapes *s, const json_t *schema, const char *keyword,
                              uint32_t *out, samp_error *error)
{
    const json_t *value = json_object_get(schema, keyword);
    if (!value) return SAMP_OK;
    double n = json_is_number(value) ? json_number_value(value) : -1;
    if (n < 0 || n != floor(n)) return wrong(s, schema, keyword, "a whole number from 0 on", error);
    *out = n < SAMP__UNBOUNDED ? (uint32_t)n : SAMP__UNBOUNDED;
    return SAMP_OK;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static samp_status read_bound(samp__shapes *s, const json_t *schema, const char *keyword,
                              const char *exclusive_keyword, double *bound, bool *exclusive,
                              bool upper, samp_error *error)
{
    const json_t *value = json_object_get(schema, keyword);
    const json_t *other = json_object_get(schema, exclusive_keyword);
    if (value && !json_is_number(value)) return wrong(s, schema, keyword, "a number", error);
    if (value) *bound = json_number_value(value);
    if (json_is_boolean(other)) { /* draft 4 */
        *exclusive = json_is_true(other);
        return SAMP_OK;
    }
    if (other && !json_is_number(other))
        return wrong(s, schema, exclusive_keyword, "a number", error);
    if (!other) return SAMP_OK;
    double x = json_number_value(other);
    if (upper ? x <= *bound : x >= *bound) {
        *bound = x;
        *exclusive = true;
    }
    return SAMP_OK;
}

static samp_status read_number(samp__shapes *s, const json_t *schema, samp__number_shape *out,
                               samp_error *error)
{
    SAMP_TRY(read_bound(s, schema, "minimum", "exclusiveMinimum", &out->min, &out->exclusive_min,
                        false, error));
    SAMP_TRY(read_bound(s, schema, "maximum", "exclusiveMaximum", &out->max, &out->exclusive_max,
                        true, error));
    const json_t *multiple = json_object_get(schema, "multipleOf");
    if (!multiple) return SAMP_OK;
    out->multiple_of = json_is_number(multiple) ? json_number_value(multiple) : 0;
    if (!(out->multiple_of > 0)) return wrong(s, schema, "multipleOf", "a number above 0", error);
    return SAMP_OK;
}

/* ---- strings --------------------------------------------------------------------------------- */

static samp_status add_pattern(samp__shapes *s, const json_t *schema, const char *keyword,
                               const char *pattern, size_t n, samp__string_shape *out,
                               samp_error *error)
{
    if (out->n_patterns == SAMP__PATTERNS_MAX)
        return samp_fail(error, SAMP_LIMIT, "'%s' has more than %d patterns for one string",
                         samp__schema_place(s, schema), SAMP__PATTERNS_MAX);
    if (samp__shapes_regex(s, pattern, n, &out->patterns[out->n_patterns], error) != SAMP_OK)
        return samp_error_prefix(error, "'%s' at '%s' of the schema", keyword,
                                 samp__schema_place(s, schema));
    out->n_patterns++;
    return SAMP_OK;
}

static samp_status read_string(samp__shapes *s, const json_t *schema, samp__string_shape *out,
                               samp_error *error)
{
    SAMP_TRY(read_count(s, schema, "minLength", &out->min, error));
    SAMP_TRY(read_count(s, schema, "maxLength", &out->max, error));
    const json_t *pattern = json_object_get(schema, "pattern");
    const json_t *format = json_object_get(schema, "format");
    if (pattern && !json_is_string(pattern)) return wrong(s, schema, "pattern", "a string", error);
    if (pattern)
        SAMP_TRY(add_pattern(s, schema, "pattern", json_string_value(pattern),
                             json_string_length(pattern), out, error));
    if (!json_is_string(format)) return SAMP_OK;
    const char *known = samp__format_pattern(json_string_value(format));
    if (!known)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "the format '%.60s' at '%s' of the schema is not supported",
                         json_string_value(format), samp__schema_place(s, schema));
    return add_pattern(s, schema, "format", known, strlen(known), out, error);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static samp_status read_array(samp__shapes *s, const json_t *schema, samp__array_shape *out,
                              samp_error *error)
{
    SAMP_TRY(read_count(s, schema, "minItems", &out->min, error));
    SAMP_TRY(read_count(s, schema, "maxItems", &out->max, error));
    const json_t *items = json_object_get(schema, "items");
    const json_t *prefix = json_object_get(schema, "prefixItems");
    if (!items) items = json_object_get(schema, "unevaluatedItems"); /* the same, alone */
    if (json_is_array(items)) {                                      /* before 2020-12 */
        prefix = items;
        items = json_object_get(schema, "additionalItems");
    }
    if (prefix && (!json_is_array(prefix) || json_array_size(prefix) > SAMP__PROPERTIES_MAX))
        return wrong(s, schema, "prefixItems", "an array of schemas", error);
    out->n_prefix = (uint32_t)json_array_size(prefix);
    if (out->n_prefix) {
        out->prefix = samp_arena_alloc(&s->arena, out->n_prefix, sizeof *out->prefix);
        if (!out->prefix) return out_of_memory(error);
    }
    for (uint32_t i = 0; i < out->n_prefix; i++)
        SAMP_TRY(samp__conjunction_of(s, json_array_get(prefix, i), &out->prefix[i], error));
    return items ? samp__conjunction_of(s, items, &out->items, error) : SAMP_OK;
}

/* ---- objects --------------------------------------------------------------------------------- */

static samp__property *property(samp__object_shape *object, const char *name)
{
    for (uint32_t i = 0; i < object->n_properties; i++)
        if (strcmp(object->properties[i].name, name) == 0) return &object->properties[i];
    return NULL;
}

static size_t count_dependencies(const json_t *schema);

static samp_status read_properties(samp__shapes *s, const json_t *schema, samp__object_shape *out,
                                   samp_error *error)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    size_t n = json_object_size(properties) + json_array_size(required), i;
    n += 2 * count_dependencies(schema);
    if (properties && !json_is_object(properties))
        return wrong(s, schema, "properties", "an object of schemas", error);
    if (required && !json_is_array(required) && !json_is_boolean(required))
        return wrong(s, schema, "required", "an array of names", error);
    if (n > SAMP__PROPERTIES_MAX)
        return samp_fail(error, SAMP_LIMIT, "'%s' of the schema has more than %d properties",
                         samp__schema_place(s, schema), SAMP__PROPERTIES_MAX);
    out->properties = samp_arena_alloc(&s->arena, n + 1, sizeof *out->properties);
    if (!out->properties) return out_of_memory(error);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)properties, name, value)
    {
        samp__property *p = &out->properties[out->n_properties++];
        *p = (samp__property){.name = name, .length = (uint32_t)strlen(name)};
        SAMP_TRY(samp__conjunction_of(s, value, &p->value, error));
    }
    json_array_foreach((json_t *)required, i, value)
    {
        const char *needed = json_string_value(value);
        if (!needed) return wrong(s, schema, "required", "an array of names", error);
        samp__property *p = property(out, needed);
        if (!p) {
            p = &out->properties[out->n_properties++];
            *p = (samp__property){.name = needed, .length = (uint32_t)strlen(needed)};
            p->value = UINT32_MAX; /* whatever else says of the name: see finish_undeclared */
        }
        p->required = true;
    }
    return SAMP_OK;
}

static samp_status read_patterns(samp__shapes *s, const json_t *schema, samp__object_shape *out,
                                 samp_error *error)
{
    const json_t *patterns = json_object_get(schema, "patternProperties");
    const char *name;
    json_t *value;
    if (!patterns) return SAMP_OK;
    if (!json_is_object(patterns) || json_object_size(patterns) > SAMP__PATTERNS_MAX)
        return wrong(s, schema, "patternProperties", "an object of at most 8 patterns", error);
    out->patterns =
        samp_arena_alloc(&s->arena, json_object_size(patterns) + 1, sizeof *out->patterns);
    if (!out->patterns) return out_of_memory(error);
    json_object_foreach((json_t *)patterns, name, value)
    {
        samp__pattern_property *p = &out->patterns[out->n_patterns++];
        SAMP_TRY(samp__shapes_regex(s, name, strlen(name), &p->regex, error));
        SAMP_TRY(samp__conjunction_of(s, value, &p->value, error));
    }
    return SAMP_OK;
}

/* Declared properties that patterns match obey both; required ones that nothing declares are what
 * patterns or additionalProperties say. */
static samp_status combine_patterns(samp__shapes *s, samp__object_shape *out, samp_error *error)
{
    for (uint32_t i = 0; i < out->n_properties; i++) {
        samp__property *p = &out->properties[i];
        bool undeclared = p->value == UINT32_MAX, matched = false;
        if (undeclared) p->value = 0;
        for (uint32_t k = 0; k < out->n_patterns; k++) {
            if (!samp__regex_matches(out->patterns[k].regex, p->name, p->length)) continue;
            SAMP_TRY(samp__conjunction_and(s, p->value, out->patterns[k].value, &p->value, error));
            matched = true;
        }
        if (!undeclared || matched) continue;
        p->value = out->additional;
        p->forbidden = out->no_additional;
    }
    return SAMP_OK;
}

/* A property that only a dependency names is followed like a declared one. */
static void know_property(samp__object_shape *out, const char *name)
{
    if (property(out, name)) return;
    out->properties[out->n_properties++] =
        (samp__property){.name = name, .length = (uint32_t)strlen(name), .value = UINT32_MAX};
}

static samp_status add_dependencies(samp__shapes *s, const json_t *schema, const char *keyword,
                                    samp__object_shape *out, samp_error *error)
{
    const json_t *all = json_object_get(schema, keyword);
    const char *name;
    json_t *needs, *need;
    size_t i;
    if (all && !json_is_object(all)) return wrong(s, schema, keyword, "an object", error);
    json_object_foreach((json_t *)all, name, needs) json_array_foreach(needs, i, need)
    {
        if (!json_is_string(need))
            return wrong(s, schema, keyword, "an object of arrays of names", error);
        know_property(out, name);
        know_property(out, json_string_value(need));
        out->dependencies[out->n_dependencies++] =
            (samp__dependency){.name = name, .needs = json_string_value(need)};
    }
    return SAMP_OK;
}

/* How many names the dependencies hold: room for them among the properties. */
static size_t count_dependencies(const json_t *schema)
{
    static const char *const keywords[] = {"dependentRequired", "dependencies"};
    const char *name;
    json_t *needs;
    size_t n = 0;
    for (size_t k = 0; k < 2; k++)
        json_object_foreach(json_object_get(schema, keywords[k]), name, needs) n +=
            json_array_size(needs);
    return n;
}

static samp_status read_dependencies(samp__shapes *s, const json_t *schema, samp__object_shape *out,
                                     samp_error *error)
{
    size_t n = count_dependencies(schema);
    if (n == 0) return SAMP_OK;
    out->dependencies = samp_arena_alloc(&s->arena, n, sizeof *out->dependencies);
    if (!out->dependencies) return out_of_memory(error);
    SAMP_TRY(add_dependencies(s, schema, "dependentRequired", out, error));
    return add_dependencies(s, schema, "dependencies", out, error);
}

/* propertyNames: bounds and patterns of names; no alternatives. */
static samp_status read_names(samp__shapes *s, const json_t *schema, samp__object_shape *out,
                              samp_error *error)
{
    const json_t *names = json_object_get(schema, "propertyNames");
    if (!names) return SAMP_OK;
    samp__shape shape;
    SAMP_TRY(samp__shape_expand(s, names, &shape, error));
    if (shape.n_strings > 1)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "'propertyNames' with alternatives, at '%s' of the schema, is not "
                         "supported",
                         samp__schema_place(s, schema));
    if (shape.n_strings == 0) { /* no name at all */
        out->max = 0;
        return SAMP_OK;
    }
    out->names = shape.strings[0];
    return SAMP_OK;
}

static samp_status read_object(samp__shapes *s, const json_t *schema, samp__object_shape *out,
                               samp_error *error)
{
    SAMP_TRY(read_count(s, schema, "minProperties", &out->min, error));
    SAMP_TRY(read_count(s, schema, "maxProperties", &out->max, error));
    const json_t *additional = json_object_get(schema, "additionalProperties");
    if (!additional) additional = json_object_get(schema, "unevaluatedProperties"); /* the same */
    out->no_additional = json_is_false(additional);
    if (additional && !json_is_boolean(additional))
        SAMP_TRY(samp__conjunction_of(s, additional, &out->additional, error));
    SAMP_TRY(read_properties(s, schema, out, error));
    SAMP_TRY(read_patterns(s, schema, out, error));
    SAMP_TRY(read_dependencies(s, schema, out, error));
    SAMP_TRY(combine_patterns(s, out, error));
    return read_names(s, schema, out, error);
}

/* ---- literals -------------------------------------------------------------------------------- */

/* A literal object: exactly these properties, each a constant. */
static samp_status literal_object(samp__shapes *s, const json_t *value, samp__shape *out,
                                  samp_error *error)
{
    json_t *properties = json_object(), *required = json_array();
    const char *name;
    json_t *member;
    bool good = properties && required;
    json_object_foreach((json_t *)value, name, member)
    {
        good = good && !json_object_set_new(properties, name, json_pack("{s:O}", "const", member));
        good = good && !json_array_append_new(required, json_string(name));
    }
    json_t *schema = json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
                               "required", required, "additionalProperties", 0);
    const json_t *kept;
    if (!good) {
        json_decref(schema);
        return out_of_memory(error);
    }
    SAMP_TRY(samp__schema_keep(s, schema, &kept, error));
    return samp__shape_keywords(s, kept, out, error);
}

static samp_status literal_array(samp__shapes *s, const json_t *value, samp__shape *out,
                                 samp_error *error)
{
    json_t *prefix = json_array(), *member;
    size_t i;
    bool good = prefix != NULL;
    json_array_foreach((json_t *)value, i, member) good =
        good && !json_array_append_new(prefix, json_pack("{s:O}", "const", member));
    json_int_t n = (json_int_t)json_array_size(value);
    json_t *schema = json_pack("{s:s, s:o, s:I, s:I}", "type", "array", "prefixItems", prefix,
                               "minItems", n, "maxItems", n);
    const json_t *kept;
    if (!good) {
        json_decref(schema);
        return out_of_memory(error);
    }
    SAMP_TRY(samp__schema_keep(s, schema, &kept, error));
    return samp__shape_keywords(s, kept, out, error);
}

static samp_status literal_number(samp__shapes *s, const json_t *value, samp__shape *out,
                                  samp_error *error)
{
    double x = json_number_value(value);
    *out = (samp__shape){.n_numbers = 1};
    out->numbers = samp_arena_alloc(&s->arena, 1, sizeof *out->numbers);
    if (!out->numbers) return out_of_memory(error);
    *out->numbers = (samp__number_shape){.min = x, .max = x, .integer = json_is_integer(value)};
    return SAMP_OK;
}

/* All strings of a list together are one alternative. */
static samp_status literal_strings(samp__shapes *s, const json_t *values, samp__shape *out,
                                   samp_error *error)
{
    size_t n = json_array_size(values), count = 0, i;
    json_t *value;
    const char **strings = samp_arena_alloc(&s->arena, n, sizeof *strings);
    size_t *lengths = samp_arena_alloc(&s->arena, n, sizeof *lengths);
    out->strings = samp_arena_alloc(&s->arena, 1, sizeof *out->strings);
    if (!strings || !lengths || !out->strings) return out_of_memory(error);
    json_array_foreach((json_t *)values, i, value)
    {
        if (!json_is_string(value)) continue;
        strings[count] = json_string_value(value);
        lengths[count++] = json_string_length(value);
    }
    if (count == 0) return SAMP_OK;
    *out->strings = (samp__string_shape){.max = SAMP__UNBOUNDED, .n_patterns = 1};
    out->n_strings = 1;
    return samp__shapes_literals(s, strings, lengths, count, &out->strings->patterns[0], error);
}

static samp_status literals(samp__shapes *s, const json_t *values, samp__shape *out,
                            samp_error *error)
{
    size_t i;
    json_t *value;
    *out = (samp__shape){0};
    SAMP_TRY(literal_strings(s, values, out, error));
    json_array_foreach((json_t *)values, i, value)
    {
        samp__shape one = {0}, both;
        switch (json_typeof(value)) {
        case JSON_NULL: one.null = true; break;
        case JSON_TRUE: one.truth = true; break;
        case JSON_FALSE: one.falsehood = true; break;
        case JSON_STRING: continue;
        case JSON_OBJECT: SAMP_TRY(literal_object(s, value, &one, error)); break;
        case JSON_ARRAY: SAMP_TRY(literal_array(s, value, &one, error)); break;
        default: SAMP_TRY(literal_number(s, value, &one, error)); break;
        }
        SAMP_TRY(samp__shape_or(s, out, &one, &both, error));
        *out = both;
    }
    return SAMP_OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool has_type(const json_t *type, const char *name)
{
    size_t i;
    json_t *one;
    if (!type) return true;
    if (json_is_string(type)) return strcmp(json_string_value(type), name) == 0;
    json_array_foreach((json_t *)type, i, one)
    {
        const char *text = json_string_value(one);
        if (text && strcmp(text, name) == 0) return true;
    }
    return false;
}

static samp_status check_type(samp__shapes *s, const json_t *schema, samp_error *error)
{
    static const char *const names[] = {"null",   "boolean", "integer", "number",
                                        "string", "array",   "object"};
    const json_t *type = json_object_get(schema, "type");
    size_t n = json_is_array(type) ? json_array_size(type) : type != NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(type) ? json_array_get(type, i) : type;
        const char *text = json_string_value(one);
        size_t k = 0;
        while (text && k < 7 && strcmp(text, names[k]) != 0) k++;
        if (!text || k == 7)
            return wrong(s, schema, "type", "the name of a type, or an array of them", error);
    }
    return SAMP_OK;
}

/* A value of each kind with the bounds of the schema; kinds that `type` leaves out are taken away.
 */
static samp_status bounded(samp__shapes *s, const json_t *schema, samp__shape *out,
                           samp_error *error)
{
    const json_t *type = json_object_get(schema, "type");
    SAMP_TRY(samp__shape_any(s, out, error));
    out->null = has_type(type, "null");
    out->truth = out->falsehood = has_type(type, "boolean");
    if (type && !has_type(type, "number")) {
        out->numbers[0].integer = true;
        if (!has_type(type, "integer")) out->n_numbers = 0;
    }
    if (!has_type(type, "string")) out->n_strings = 0;
    if (!has_type(type, "array")) out->n_arrays = 0;
    if (!has_type(type, "object")) out->n_objects = 0;
    if (out->n_numbers) SAMP_TRY(read_number(s, schema, out->numbers, error));
    if (out->n_strings) SAMP_TRY(read_string(s, schema, out->strings, error));
    if (out->n_arrays) SAMP_TRY(read_array(s, schema, out->arrays, error));
    if (out->n_objects) SAMP_TRY(read_object(s, schema, out->objects, error));
    return SAMP_OK;
}

samp_status samp__shape_keywords(samp__shapes *s, const json_t *schema, samp__shape *out,
                                 samp_error *error)
{
    samp__shape bounds, values;
    SAMP_TRY(refuse_unsupported(s, schema, error));
    SAMP_TRY(check_type(s, schema, error));
    SAMP_TRY(bounded(s, schema, &bounds, error));
    *out = bounds;
    json_t *constant = json_object_get(schema, "const");
    const json_t *list = json_object_get(schema, "enum");
    if (list && !json_is_array(list)) return wrong(s, schema, "enum", "an array", error);
    if (constant) {
        const json_t *one;
        SAMP_TRY(samp__schema_keep(s, json_pack("[O]", constant), &one, error));
        SAMP_TRY(literals(s, one, &values, error));
        SAMP_TRY(samp__shape_and(s, &bounds, &values, out, error));
        bounds = *out;
    }
    if (!list) return SAMP_OK;
    SAMP_TRY(literals(s, list, &values, error));
    return samp__shape_and(s, &bounds, &values, out, error);
}

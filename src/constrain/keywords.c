/* Keywords of a schema that say what a single value may be: type, enum, const, and the bounds of
 * numbers, strings, arrays and objects. */
#include "constrain/formats.h"
#include "constrain/keywords.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

samp_status samp__keyword_no_memory(samp_error *error)
{
    return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
}

samp_status samp__keyword_wrong(samp__shapes *s, const json_t *schema, const char *keyword,
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

samp_status samp__keyword_count(samp__shapes *s, const json_t *schema, const char *keyword,
                                uint32_t *out, samp_error *error)
{
    const json_t *value = json_object_get(schema, keyword);
    if (!value) return SAMP_OK;
    double n = json_is_number(value) ? json_number_value(value) : -1;
    if (n < 0 || n != floor(n))
        return samp__keyword_wrong(s, schema, keyword, "a whole number from 0 on", error);
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
    if (value && !json_is_number(value))
        return samp__keyword_wrong(s, schema, keyword, "a number", error);
    if (value) *bound = json_number_value(value);
    if (json_is_boolean(other)) { /* draft 4 */
        *exclusive = json_is_true(other);
        return SAMP_OK;
    }
    if (other && !json_is_number(other))
        return samp__keyword_wrong(s, schema, exclusive_keyword, "a number", error);
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
    if (!(out->multiple_of > 0))
        return samp__keyword_wrong(s, schema, "multipleOf", "a number above 0", error);
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
    SAMP_TRY(samp__keyword_count(s, schema, "minLength", &out->min, error));
    SAMP_TRY(samp__keyword_count(s, schema, "maxLength", &out->max, error));
    const json_t *pattern = json_object_get(schema, "pattern");
    const json_t *format = json_object_get(schema, "format");
    if (pattern && !json_is_string(pattern))
        return samp__keyword_wrong(s, schema, "pattern", "a string", error);
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
    SAMP_TRY(samp__keyword_count(s, schema, "minItems", &out->min, error));
    SAMP_TRY(samp__keyword_count(s, schema, "maxItems", &out->max, error));
    const json_t *items = json_object_get(schema, "items");
    const json_t *prefix = json_object_get(schema, "prefixItems");
    if (!items) items = json_object_get(schema, "unevaluatedItems"); /* the same, alone */
    if (json_is_array(items)) {                                      /* before 2020-12 */
        prefix = items;
        items = json_object_get(schema, "additionalItems");
    }
    if (prefix && (!json_is_array(prefix) || json_array_size(prefix) > SAMP__PROPERTIES_MAX))
        return samp__keyword_wrong(s, schema, "prefixItems", "an array of schemas", error);
    out->n_prefix = (uint32_t)json_array_size(prefix);
    if (out->n_prefix) {
        out->prefix = samp_arena_alloc(&s->arena, out->n_prefix, sizeof *out->prefix);
        if (!out->prefix) return samp__keyword_no_memory(error);
    }
    for (uint32_t i = 0; i < out->n_prefix; i++)
        SAMP_TRY(samp__conjunction_of(s, json_array_get(prefix, i), &out->prefix[i], error));
    return items ? samp__conjunction_of(s, items, &out->items, error) : SAMP_OK;
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
        return samp__keyword_no_memory(error);
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
        return samp__keyword_no_memory(error);
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
    if (!out->numbers) return samp__keyword_no_memory(error);
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
    if (!strings || !lengths || !out->strings) return samp__keyword_no_memory(error);
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
            return samp__keyword_wrong(s, schema, "type", "the name of a type, or an array of them",
                                       error);
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
    if (out->n_objects) SAMP_TRY(samp__keywords_object(s, schema, out->objects, error));
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
    if (list && !json_is_array(list))
        return samp__keyword_wrong(s, schema, "enum", "an array", error);
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

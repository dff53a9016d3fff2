/* What a schema refuses, as a schema: for not, oneOf, if and dependentSchemas. A schema's keywords
 * apply together, so its negation is that one of them fails:
 *
 *     not {type: T, required: [a, b]}  =  anyOf [all other types, a is missing, b is missing] */
#include "constrain/shape.h"

#include <string.h>

/* A failed pack stands for "out of memory" until the end. */
static json_t *missing(const char *name)
{
    return json_pack("{s:s, s:{s:b}}", "type", "object", "properties", name, 0);
}

static samp_status cannot(samp__shapes *s, const json_t *schema, const char *keyword,
                          samp_error *error)
{
    return samp_fail(error, SAMP_UNSUPPORTED,
                     "the opposite of '%s', which 'not', 'oneOf' or 'if' at '%s' of the schema "
                     "asks for, is not supported",
                     keyword, samp__schema_place(s, schema));
}

static samp_status negate_type(samp__shapes *s, const json_t *schema, const json_t *type,
                               json_t *branches, samp_error *error)
{
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};
    json_t *others = json_array(),
           *wanted = json_is_array(type) ? json_incref((json_t *)type) : json_pack("[O]", type);
    for (size_t i = 0; i < 6; i++) {
        size_t k;
        json_t *one;
        bool there = false;
        json_array_foreach(wanted, k, one)
        {
            const char *text = json_string_value(one);
            there = there || (text && strcmp(text, names[i]) == 0);
            if (text && strcmp(text, "integer") == 0 && i == 2) { /* 1.5 is no integer */
                json_decref(wanted);
                json_decref(others);
                return cannot(s, schema, "type: integer", error);
            }
        }
        if (!there) json_array_append_new(others, json_string(names[i]));
    }
    json_decref(wanted);
    if (json_array_size(others))
        json_array_append_new(branches, json_pack("{s:o}", "type", others));
    else
        json_decref(others);
    return SAMP_OK;
}

static void negate_required(const json_t *names, json_t *branches)
{
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)names, i, name)
    {
        if (json_is_string(name)) json_array_append_new(branches, missing(json_string_value(name)));
    }
}

/* Some property is there and refused. */
static void negate_properties(const json_t *properties, json_t *branches)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)properties, name, value)
    {
        if (json_is_true(value)) continue;
        json_array_append_new(branches,
                              json_pack("{s:s, s:{s:{s:O}}, s:[s]}", "type", "object", "properties",
                                        name, "not", value, "required", name));
    }
}

/* Any number but this one. */
static json_t *other_number(json_t *value)
{
    return json_pack("{s:[{s:s, s:O}, {s:s, s:O}]}", "anyOf", "type", "number", "exclusiveMaximum",
                     value, "type", "number", "exclusiveMinimum", value);
}

/* All but some literals: strings by what they must not match, numbers by what lies around them, the
 * rest by kind. */
static samp_status negate_values(samp__shapes *s, const json_t *schema, const json_t *values,
                                 json_t *branches, samp_error *error)
{
    size_t i;
    json_t *value, *strings = json_array(), *booleans = json_array(), *numbers = json_array();
    bool has_null = false, good = strings && booleans && numbers;
    json_array_foreach((json_t *)values, i, value)
    {
        if (json_is_string(value))
            json_array_append(strings, value);
        else if (json_is_number(value))
            json_array_append_new(numbers, other_number(value));
        else if (json_is_boolean(value))
            json_array_append_new(booleans, json_boolean(!json_is_true(value)));
        else if (json_is_null(value))
            has_null = true;
        else
            good = false;
    }
    size_t n_booleans = json_array_size(booleans);
    if (good) {
        json_array_append_new(branches, json_pack("{s:[s,s]}", "type", "array", "object"));
        if (json_array_size(numbers))
            json_array_append_new(branches, json_pack("{s:O}", "allOf", numbers));
        else
            json_array_append_new(branches, json_pack("{s:s}", "type", "number"));
        if (!has_null) json_array_append_new(branches, json_pack("{s:s}", "type", "null"));
        if (n_booleans == 0) json_array_append_new(branches, json_pack("{s:s}", "type", "boolean"));
        if (n_booleans == 1) json_array_append_new(branches, json_pack("{s:O}", "enum", booleans));
        json_array_append_new(
            branches, json_pack("{s:s, s:O}", "type", "string", "x-samp-forbidden", strings));
    }
    json_decref(strings);
    json_decref(booleans);
    json_decref(numbers);
    return good ? SAMP_OK : cannot(s, schema, "an array or object literal", error);
}

/* Bounds: the other side of each. */
static bool negate_bound(const char *keyword, const json_t *value, json_t *branches)
{
    static const struct {
        const char *keyword, *type, *opposite;
        int step; /* for counts */
    } bounds[] = {
        {"minimum", "number", "exclusiveMaximum", 0},
        {"maximum", "number", "exclusiveMinimum", 0},
        {"exclusiveMinimum", "number", "maximum", 0},
        {"exclusiveMaximum", "number", "minimum", 0},
        {"minLength", "string", "maxLength", -1},
        {"maxLength", "string", "minLength", 1},
        {"minItems", "array", "maxItems", -1},
        {"maxItems", "array", "minItems", 1},
        {"minProperties", "object", "maxProperties", -1},
        {"maxProperties", "object", "minProperties", 1},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        if (strcmp(bounds[i].keyword, keyword) != 0 || !json_is_number(value)) continue;
        double bound = json_number_value(value) + bounds[i].step;
        if (bounds[i].step && bound < 0) return true; /* minLength 0 never fails */
        json_array_append_new(
            branches, json_pack("{s:s, s:f}", "type", bounds[i].type, bounds[i].opposite, bound));
        return true;
    }
    return false;
}

static void negate_all(const json_t *list, json_t *branches)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
        json_array_append_new(branches, json_pack("{s:O}", "not", one));
}

/* All of them must fail. */
static void negate_any(const json_t *list, json_t *branches)
{
    json_t *all = json_array(), *one;
    size_t i;
    json_array_foreach((json_t *)list, i, one)
        json_array_append_new(all, json_pack("{s:O}", "not", one));
    json_array_append_new(branches, json_pack("{s:o}", "allOf", all));
}

static bool is_annotation(const char *keyword)
{
    static const char *const names[] = {"title",    "description", "default",  "examples",
                                        "$comment", "deprecated",  "readOnly", "writeOnly",
                                        "$schema",  "$id",         "$defs",    "definitions",
                                        "then",     "else",        "$anchor"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], keyword) == 0) return true;
    return false;
}

static samp_status negate_reference(samp__shapes *s, const json_t *schema, const char *reference,
                                    json_t *branches, samp_error *error)
{
    const json_t *target = NULL;
    SAMP_TRY(samp__schema_follow(s, schema, reference, &target, error));
    json_array_append_new(branches, json_pack("{s:O}", "not", target));
    return SAMP_OK;
}

static samp_status negate_keyword(samp__shapes *s, const json_t *schema, const char *keyword,
                                  json_t *value, json_t *branches, samp_error *error)
{
    if (!strcmp(keyword, "type")) return negate_type(s, schema, value, branches, error);
    if (!strcmp(keyword, "enum")) return negate_values(s, schema, value, branches, error);
    if (!strcmp(keyword, "$ref") && json_is_string(value))
        return negate_reference(s, schema, json_string_value(value), branches, error);
    if (!strcmp(keyword, "const")) {
        json_t *one = json_pack("[O]", value);
        samp_status status = negate_values(s, schema, one, branches, error);
        json_decref(one);
        return status;
    }
    if (!strcmp(keyword, "required"))
        negate_required(value, branches);
    else if (!strcmp(keyword, "properties"))
        negate_properties(value, branches);
    else if (!strcmp(keyword, "allOf"))
        negate_all(value, branches);
    else if (!strcmp(keyword, "anyOf"))
        negate_any(value, branches);
    else if (!strcmp(keyword, "not"))
        json_array_append(branches, value);
    else if (!strcmp(keyword, "pattern") && json_is_string(value))
        json_array_append_new(
            branches, json_pack("{s:s, s:O}", "type", "string", "x-samp-forbidden-pattern", value));
    else if (!negate_bound(keyword, value, branches) && !is_annotation(keyword))
        return cannot(s, schema, keyword, error);
    return SAMP_OK;
}

samp_status samp__schema_negate(samp__shapes *s, const json_t *schema, const json_t **out,
                                samp_error *error)
{
    if (json_is_boolean(schema))
        return samp__schema_keep(s, json_boolean(!json_is_true(schema)), out, error);
    json_t *branches = json_array(), *value;
    const char *keyword;
    samp_status status = SAMP_OK;
    json_object_foreach((json_t *)schema, keyword, value)
    {
        if (status == SAMP_OK) status = negate_keyword(s, schema, keyword, value, branches, error);
    }
    if (status != SAMP_OK) {
        json_decref(branches);
        return status;
    }
    if (json_array_size(branches) == 0) { /* {}: everything; nothing is left */
        json_decref(branches);
        return samp__schema_keep(s, json_false(), out, error);
    }
    return samp__schema_keep(s, json_pack("{s:o}", "anyOf", branches), out, error);
}

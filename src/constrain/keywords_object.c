/* Keywords of objects: which properties may come, must come, and come together. */
#include "constrain/keywords.h"

#include <string.h>

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
        return samp__keyword_wrong(s, schema, "properties", "an object of schemas", error);
    if (required && !json_is_array(required) && !json_is_boolean(required))
        return samp__keyword_wrong(s, schema, "required", "an array of names", error);
    if (n > SAMP__PROPERTIES_MAX)
        return samp_fail(error, SAMP_LIMIT, "'%s' of the schema has more than %d properties",
                         samp__schema_place(s, schema), SAMP__PROPERTIES_MAX);
    out->properties = samp_arena_alloc(&s->arena, n + 1, sizeof *out->properties);
    if (!out->properties) return samp__keyword_no_memory(error);
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
        if (!needed) return samp__keyword_wrong(s, schema, "required", "an array of names", error);
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
        return samp__keyword_wrong(s, schema, "patternProperties",
                                   "an object of at most 8 patterns", error);
    out->patterns =
        samp_arena_alloc(&s->arena, json_object_size(patterns) + 1, sizeof *out->patterns);
    if (!out->patterns) return samp__keyword_no_memory(error);
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
    if (all && !json_is_object(all))
        return samp__keyword_wrong(s, schema, keyword, "an object", error);
    json_object_foreach((json_t *)all, name, needs) json_array_foreach(needs, i, need)
    {
        if (!json_is_string(need))
            return samp__keyword_wrong(s, schema, keyword, "an object of arrays of names", error);
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
    if (!out->dependencies) return samp__keyword_no_memory(error);
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

samp_status samp__keywords_object(samp__shapes *s, const json_t *schema, samp__object_shape *out,
                                  samp_error *error)
{
    SAMP_TRY(samp__keyword_count(s, schema, "minProperties", &out->min, error));
    SAMP_TRY(samp__keyword_count(s, schema, "maxProperties", &out->max, error));
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

/* Recipes and plans. */
#include "quantize/recipe.h"

#include <stdio.h>
#include <string.h>

typedef struct recipe {
    const char *name;
    samp_format_id mlp, attention, embedding, head;
    const char *summary;
} recipe;

static const recipe RECIPES[] = {
#define X(name, mlp, attention, embedding, head, summary)                                          \
    {name,                                                                                         \
     SAMP_FORMAT_##mlp,                                                                            \
     SAMP_FORMAT_##attention,                                                                      \
     SAMP_FORMAT_##embedding,                                                                      \
     SAMP_FORMAT_##head,                                                                           \
     summary},
    SAMP_RECIPE_LIST(X)
#undef X
};

const char *samp_recipe_names(void)
{
    return &(", "
#define X(name, mlp, attention, embedding, head, summary) ", " name
             SAMP_RECIPE_LIST(X)
#undef X
                 )[4];
}

static const recipe *find_recipe(const char *name)
{
    for (size_t i = 0; i < sizeof RECIPES / sizeof *RECIPES; i++)
        if (strcmp(RECIPES[i].name, name) == 0) return &RECIPES[i];
    return NULL;
}

const char *samp_recipe_summary(const char *name)
{
    const recipe *found = find_recipe(name);
    return found ? found->summary : NULL;
}

static samp_format_id format_for(const recipe *row, samp_role role, bool tied)
{
    const char *class = samp_role_class(role);
    if (strcmp(class, "mlp") == 0) return row->mlp;
    if (strcmp(class, "attention") == 0) return row->attention;
    return role == SAMP_ROLE_EMBED && !tied ? row->embedding : row->head;
}

samp_status samp_recipe_plan(const char *name, const samp_model *model, samp_weight_plan *plan,
                             samp_error *error)
{
    const recipe *found = find_recipe(name);
    if (!found)
        return samp_fail(error, SAMP_INVALID, "recipe \"%.40s\" is unknown, known are %s", name,
                         samp_recipe_names());
    bool tied = samp_model_config(model)->tied_embeddings;
    for (size_t i = 0; i < samp_model_count(model); i++) {
        samp_role role = samp_model_at(model, i)->role;
        plan[i] = (samp_weight_plan){.activation_bits = 16};
        if (!samp_role_is_matrix(role)) continue;
        plan[i].format = samp_format_get(format_for(found, role, tied));
        if (plan[i].format->outliers) plan[i].activation_bits = 8; /* what they are for */
    }
    return SAMP_OK;
}

static samp_status parse_module(const json_t *value, const char *module, const char *where,
                                samp_weight_plan *out, samp_error *error)
{
    char inside[256];
    snprintf(inside, sizeof inside, "%.100s: module %.120s", where, module);
    if (!json_is_object(value))
        return samp_fail(error, SAMP_CORRUPT, "%s is not an object", inside);
    const char *format = NULL, *rounding = samp_rounding_name(SAMP_ROUNDING_ABSMAX);
    int64_t bits = 16;
    SAMP_TRY(samp_json_string(value, "format", true, &format, inside, error));
    SAMP_TRY(samp_json_integer(value, "activation_bits", false, 8, 16, &bits, inside, error));
    SAMP_TRY(samp_json_string(value, "rounding", false, &rounding, inside, error));
    if (!samp_rounding_parse(rounding, &out->rounding))
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: \"rounding\" is \"%.40s\", expected absmax, search or gptq", inside,
                         rounding);
    if (bits != 8 && bits != 16)
        return samp_fail(error, SAMP_CORRUPT, "%s: \"activation_bits\" is %lld, expected 8 or 16",
                         inside, (long long)bits);
    out->activation_bits = (int)bits;
    out->format = samp_format_find(format);
    if (out->format) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID, "%s: format \"%.60s\" is unknown, known are %s", inside,
                     format, samp_format_names());
}

samp_status samp_plan_cut_head(const json_t *json, const char *where, samp_model *model,
                               samp_error *error)
{
    int64_t first_rows = 0;
    SAMP_TRY(samp_json_integer(json, "first_rows", false, 1, INT64_MAX, &first_rows, where, error));
    if (first_rows == 0) return SAMP_OK;
    samp_status status = samp_model_cut_head(model, (uint64_t)first_rows, error);
    return status == SAMP_OK ? status : samp_error_prefix(error, "%s", where);
}

samp_status samp_plan_parse(const json_t *json, const char *where, const samp_model *model,
                            samp_weight_plan *plan, samp_error *error)
{
    const json_t *modules = json_object_get(json, "modules");
    if (!json_is_object(modules))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"modules\" is missing or not an object", where);
    size_t count = samp_model_count(model);
    memset(plan, 0, count * sizeof *plan);
    const char *module;
    json_t *value;
    json_object_foreach((json_t *)modules, module, value)
    {
        size_t n = strlen(module), i = 0;
        for (; i < count; i++) {
            const char *name = samp_model_at(model, i)->name;
            if (strncmp(name, module, n) == 0 && strcmp(name + n, ".weight") == 0) break;
        }
        if (i == count)
            return samp_fail(error, SAMP_MISMATCH, "%s: %s has no module %.200s", where,
                             samp_model_folder(model), module);
        if (!samp_role_is_matrix(samp_model_at(model, i)->role))
            return samp_fail(error, SAMP_INVALID, "%s: %.200s is a norm, which stays as it is",
                             where, module);
        SAMP_TRY(parse_module(value, module, where, &plan[i], error));
    }
    return SAMP_OK;
}

/* Other programs' quantization_config. Members are read as their own libraries read them: a missing
 * one has the library's default, one of another type is an error. */
#include "quantize/foreign.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

static const char CONFIG[] = "config.json";

const json_t *samp_foreign_object(const json_t *root)
{
    const json_t *object = json_object_get(root, "quantization_config");
    return object ? object : json_object_get(root, "compression_config");
}

void samp_foreign_check_threshold(const json_t *object, samp_findings *findings)
{
    const json_t *value = json_object_get(object, "llm_int8_threshold");
    double threshold = json_number_value(value);
    if (!json_is_number(value) || threshold >= 6) return;
    samp_findings_add(findings, SAMP_FINDING_INT8_THRESHOLD, CONFIG, NULL,
                      threshold <= 0 ? "llm_int8_threshold is %g: no column is an outlier, all "
                                       "multiply in 8 bits"
                                     : "llm_int8_threshold is %g, expected 6.0 or more",
                      threshold);
}

/* Adds why the object cannot be used. */
static bool refuse(samp_findings *findings, const samp_error *failure)
{
    samp_findings_add(findings, SAMP_FINDING_QUANT_CONFIG, CONFIG, NULL, "%s", failure->message);
    return false;
}

/* ---- bitsandbytes ---------------------------------------------------------------------------- */

static samp_status read_bitsandbytes(samp_foreign *out, const json_t *object, const char **type,
                                     samp_error *error)
{
    bool four = false, eight = false;
    double threshold = 6;
    SAMP_TRY(samp_json_bool(object, "load_in_4bit", false, &four, CONFIG, error));
    SAMP_TRY(samp_json_bool(object, "load_in_8bit", false, &eight, CONFIG, error));
    SAMP_TRY(samp_json_number(object, "llm_int8_threshold", false, &threshold, CONFIG, error));
    SAMP_TRY(samp_json_bool(object, "bnb_4bit_use_double_quant", false, &out->double_quant, CONFIG,
                            error));
    SAMP_TRY(samp_json_string(object, "bnb_4bit_quant_type", false, type, CONFIG, error));
    out->four_bits = four;
    if (four == eight)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: bitsandbytes' load_in_4bit and load_in_8bit are both %s", CONFIG,
                         four ? "true" : "false");
    if (four && strcmp(*type, "nf4") != 0 && strcmp(*type, "fp4") != 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: \"bnb_4bit_quant_type\" is \"%.40s\", expected nf4 or fp4", CONFIG,
                         *type);
    return SAMP_OK;
}

static bool take_bitsandbytes(samp_foreign *out, const json_t *object, samp_findings *findings)
{
    const char *type = "fp4"; /* transformers' default */
    samp_error failure;
    out->method = SAMP_FOREIGN_BITSANDBYTES;
    if (read_bitsandbytes(out, object, &type, &failure) != SAMP_OK)
        return refuse(findings, &failure);
    if (json_object_get(object, "quant_type"))
        samp_findings_add(findings, SAMP_FINDING_QUANT_DETAIL, CONFIG, NULL,
                          "bitsandbytes does not read quant_type but bnb_4bit_quant_type, which is "
                          "%s",
                          out->four_bits ? type : "of no meaning for 8 bits");
    if (!out->four_bits) samp_foreign_check_threshold(object, findings);
    return true;
}

/* ---- compressed-tensors ---------------------------------------------------------------------- */

static samp_status read_strategy(samp_foreign_group *out, const json_t *weights, const char *where,
                                 samp_error *error)
{
    static const struct {
        const char *name;
        samp_foreign_strategy strategy;
    } known[] = {{"tensor", SAMP_FOREIGN_TENSOR},
                 {"channel", SAMP_FOREIGN_CHANNEL},
                 {"group", SAMP_FOREIGN_GROUP},
                 {"tensor_group", SAMP_FOREIGN_GROUP},
                 {"block", SAMP_FOREIGN_BLOCK}};
    const char *name = NULL;
    int64_t size = 0;
    SAMP_TRY(samp_json_string(weights, "strategy", false, &name, where, error));
    SAMP_TRY(samp_json_integer(weights, "group_size", false, -1, 1 << 20, &size, where, error));
    out->group_size = size > 0 ? (uint64_t)size : 0;
    out->strategy = size > 0 ? SAMP_FOREIGN_GROUP
                    : size   ? SAMP_FOREIGN_CHANNEL
                             : SAMP_FOREIGN_TENSOR; /* the library's, when none is named */
    size_t i = 0, n = sizeof known / sizeof *known;
    while (name && i < n && strcmp(name, known[i].name) != 0) i++;
    if (i == n)
        return samp_fail(error, SAMP_CORRUPT, "%s: the strategy \"%.40s\" is unknown", where, name);
    if (name) out->strategy = known[i].strategy;
    if (out->strategy == SAMP_FOREIGN_GROUP && !out->group_size)
        return samp_fail(error, SAMP_CORRUPT, "%s: \"group_size\" is missing or not positive",
                         where);
    for (size_t k = 0; k < 2 && out->strategy == SAMP_FOREIGN_BLOCK; k++) {
        const json_t *block = json_object_get(weights, "block_structure");
        json_int_t edge = json_integer_value(json_array_get(block, k));
        if (edge < 1 || edge > 1 << 20)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: \"block_structure\" is not a pair of positive integers", where);
        out->block[k] = (uint64_t)edge;
    }
    return SAMP_OK;
}

static samp_status read_group(samp_foreign *out, const char *name, const json_t *group,
                              samp_error *error)
{
    char where[128];
    int64_t bits = 8;
    snprintf(where, sizeof where, "%s: weights of config group \"%.40s\"", CONFIG, name);
    const json_t *weights = json_object_get(group, "weights");
    if (!weights || json_is_null(weights)) return SAMP_OK; /* activations or the cache only */
    if (!json_is_object(weights))
        return samp_fail(error, SAMP_CORRUPT, "%s: they are not an object", where);
    if (out->n_groups == SAMP_FOREIGN_GROUPS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: more than %d config groups", CONFIG,
                         SAMP_FOREIGN_GROUPS_MAX);
    samp_foreign_group *entry = &out->groups[out->n_groups++];
    SAMP_TRY(samp_json_integer(weights, "num_bits", false, 1, 16, &bits, where, error));
    entry->bits = (uint64_t)bits;
    return read_strategy(entry, weights, where, error);
}

static bool take_compressed(samp_foreign *out, const json_t *object, samp_findings *findings)
{
    samp_error failure;
    const char *name;
    json_t *group, *groups = json_object_get(object, "config_groups");
    out->method = SAMP_FOREIGN_COMPRESSED_TENSORS;
    json_object_foreach(groups, name, group)
    {
        if (read_group(out, name, group, &failure) != SAMP_OK) return refuse(findings, &failure);
    }
    if (out->n_groups) return true;
    samp_fail(&failure, SAMP_CORRUPT,
              "%s: \"config_groups\" is missing, or none of them has weights", CONFIG);
    return refuse(findings, &failure);
}

/* ---- which ----------------------------------------------------------------------------------- */

bool samp_foreign_read(samp_foreign *out, const json_t *object, samp_findings *findings)
{
    const json_t *method = json_object_get(object, "quant_method");
    const char *name = json_string_value(method);
    if (!json_is_object(object) || (method && !name)) {
        samp_findings_add(findings, SAMP_FINDING_QUANT_CONFIG, CONFIG, NULL,
                          "quantization_config is not an object with a text as quant_method");
        return false;
    }
    /* Checkpoints of 2022 name no method; transformers takes them for bitsandbytes'. */
    if (!name &&
        (json_object_get(object, "load_in_8bit") || json_object_get(object, "load_in_4bit")))
        name = "bitsandbytes";
    if (!name) {
        samp_findings_add(findings, SAMP_FINDING_QUANT_CONFIG, CONFIG, NULL,
                          "quantization_config has no quant_method");
        return false;
    }
    bool known = true, usable = true;
    if (strcmp(name, "bitsandbytes") == 0)
        usable = take_bitsandbytes(out, object, findings);
    else if (strcmp(name, "compressed-tensors") == 0)
        usable = take_compressed(out, object, findings);
    else
        known = false;
    if (!known) out->method = SAMP_FOREIGN_UNCHECKED;
    samp_findings_add(findings, known ? SAMP_FINDING_QUANT_FOREIGN : SAMP_FINDING_QUANT_UNCHECKED,
                      CONFIG, NULL, "quant_method is \"%.60s\"", name);
    return usable && known;
}

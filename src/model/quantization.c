/* quantization_config, read and written.
 *
 *   {"quant_method": "samp", "quant_type": "samp", "compute_dtype": "bfloat16", "block_size": 64,
 *    "double_quant": true, "llm_int8_threshold": 6.0,
 *    "modules": {"model.layers.0.mlp.down_proj": {"format": "nf4", "activation_bits": 16}, …}}
 *
 * "modules" decides; the other members say the same in the words other tools use, but for the
 * threshold, which is read. With llm_int8 also "load_in_8bit" and "llm_int8_skip_modules". A head that is
 * stored as two weights has "first_rows", and two modules (samp_stored_at). */
#include "model/quantization.h"
#include "model/model.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

static const char SUFFIX[] = ".weight";

/* Length of the module's name: the weight's without ".weight". */
static size_t module_length(const char *weight_name)
{
    size_t n = strlen(weight_name), suffix = sizeof SUFFIX - 1;
    return n > suffix && strcmp(weight_name + n - suffix, SUFFIX) == 0 ? n - suffix : n;
}

static samp_status parse_entry(const json_t *value, const char *module,
                               samp_quantization_entry *out, const char *where, samp_error *error)
{
    if (!json_is_object(value))
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: quantization_config: module %.200s is not an object", where, module);
    const char *format = NULL;
    int64_t bits = 16;
    samp_status status = samp_json_string(value, "format", true, &format, where, error);
    if (status == SAMP_OK)
        status = samp_json_integer(value, "activation_bits", false, 8, 16, &bits, where, error);
    if (status != SAMP_OK)
        return samp_error_prefix(error, "quantization_config of module %.200s", module);
    if (bits != 8 && bits != 16)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: quantization_config: \"activation_bits\" of %.200s is %lld, expected "
                         "8 or 16",
                         where, module, (long long)bits);
    out->format = samp_format_find(format);
    out->activation_bits = (int)bits;
    if (out->format) return SAMP_OK;
    return samp_fail(error, SAMP_UNSUPPORTED,
                     "%s: quantization_config: format \"%.60s\" of %.200s is unknown, known are %s",
                     where, format, module, samp_format_names());
}

samp_status samp_quantization_open(const json_t *root, const json_t **modules, const char *where,
                                   samp_error *error)
{
    *modules = NULL;
    const json_t *object = json_object_get(root, "quantization_config");
    if (!object || json_is_null(object)) return SAMP_OK;
    if (!json_is_object(object))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"quantization_config\" is not an object",
                         where);
    const char *method = NULL;
    samp_status status = samp_json_string(object, "quant_method", true, &method, where, error);
    if (status != SAMP_OK) return samp_error_prefix(error, "quantization_config");
    if (strcmp(method, "samp") != 0)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"quant_method\" is \"%.60s\", only \"samp\" can be read; start from "
                         "the model's 16-bit weights",
                         where, method);
    const json_t *list = json_object_get(object, "modules");
    if (!json_is_object(list))
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: quantization_config: \"modules\" is missing or not an object", where);
    const char *module;
    json_t *value;
    samp_quantization_entry entry;
    json_object_foreach((json_t *)list, module, value)
        SAMP_TRY(parse_entry(value, module, &entry, where, error));
    *modules = list;
    return SAMP_OK;
}

samp_status samp_quantization_entry_of(const json_t *modules, const char *name,
                                       samp_quantization_entry *out, const char *where,
                                       samp_error *error)
{
    *out = (samp_quantization_entry){NULL, 16};
    if (!modules) return SAMP_OK;
    char module[SAMP_TENSOR_NAME_MAX];
    size_t n = module_length(name);
    if (n >= sizeof module) return SAMP_OK;
    memcpy(module, name, n);
    module[n] = '\0';
    const json_t *value = json_object_get(modules, module);
    return value ? parse_entry(value, module, out, where, error) : SAMP_OK;
}

samp_status samp_quantization_first_rows(const json_t *root, uint64_t rows, uint64_t *out,
                                         const char *where, samp_error *error)
{
    int64_t first = 0;
    *out = 0;
    const json_t *object = json_object_get(root, "quantization_config");
    if (!json_object_get(object, "first_rows")) return SAMP_OK;
    samp_status status =
        samp_json_integer(object, "first_rows", true, 1, (int64_t)rows - 1, &first, where, error);
    if (status != SAMP_OK) return samp_error_prefix(error, "quantization_config");
    *out = (uint64_t)first;
    return SAMP_OK;
}

samp_status samp_quantization_threshold(const json_t *root, float *out, const char *where,
                                        samp_error *error)
{
    const json_t *object = json_object_get(root, "quantization_config");
    double threshold = SAMP_OUTLIER_THRESHOLD;
    samp_status status =
        samp_json_number(object, "llm_int8_threshold", false, &threshold, where, error);
    if (status != SAMP_OK) return samp_error_prefix(error, "quantization_config");
    if (threshold < 0 || threshold > FLT_MAX)
        return samp_fail(
            error, SAMP_CORRUPT,
            "%s: quantization_config: \"llm_int8_threshold\" is %g, expected 0 or more", where,
            threshold);
    *out = (float)threshold;
    return SAMP_OK;
}

/* Members by which bitsandbytes loads the int8 modules (after "quant_method" is set to its name):
 * what is a linear layer and is stored otherwise must be named. */
static bool add_int8_members(json_t *object, const samp_model *model,
                             const samp_format *const *format_of)
{
    json_t *skipped = json_array();
    bool used = false, ok = skipped != NULL, head = false;
    for (size_t i = 0; ok && i < samp_model_count(model); i++) {
        const samp_weight_ref *weight = samp_model_at(model, i);
        if (!samp_role_is_matrix(weight->role) || weight->role == SAMP_ROLE_EMBED) continue;
        head |= weight->role == SAMP_ROLE_HEAD;
        if (format_of[i] && format_of[i]->outliers)
            used = true;
        else
            ok = json_array_append_new(
                     skipped, json_stringn(weight->name, module_length(weight->name))) == 0;
    }
    if (ok && !head) ok = json_array_append_new(skipped, json_string("lm_head")) == 0;
    if (ok && used)
        ok = samp_json_set(object, "load_in_8bit", json_true()) &&
             samp_json_set(object, "llm_int8_skip_modules", json_incref(skipped));
    json_decref(skipped);
    return ok;
}

json_t *samp_quantization_config(const samp_model *model, const samp_format *const *format_of,
                                 const int *activation_bits, const char *quant_type)
{
    json_t *modules = json_object();
    bool plain_nf4 = false, nested_nf4 = false;
    for (size_t i = 0; modules && i < samp_model_count(model); i++) {
        const samp_format *format = format_of[i];
        if (!format) continue;
        plain_nf4 |= format->id == SAMP_FORMAT_NF4_PLAIN;
        nested_nf4 |= format->id == SAMP_FORMAT_NF4;
        char module[SAMP_TENSOR_NAME_MAX];
        const char *name = samp_model_at(model, i)->name;
        size_t n = module_length(name);
        memcpy(module, name, n);
        module[n] = '\0';
        json_t *entry =
            json_pack("{s:s, s:i}", "format", format->name, "activation_bits", activation_bits[i]);
        if (!entry || !samp_json_set(modules, module, entry)) {
            json_decref(modules);
            return NULL;
        }
    }
    if (!modules) return NULL;
    json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:b, s:f, s:o}", "quant_method", "samp",
                               "quant_type", quant_type, "compute_dtype", "bfloat16", "block_size",
                               64, "double_quant", nested_nf4 || !plain_nf4, "llm_int8_threshold",
                               (double)SAMP_OUTLIER_THRESHOLD, "modules", modules);
    json_int_t first_rows = (json_int_t)samp_model_weight(model, SAMP_ROLE_HEAD, 0)->layout.rows;
    if (!object) return NULL;
    if (add_int8_members(object, model, format_of) &&
        (!samp_model_head_rest(model) ||
         samp_json_set(object, "first_rows", json_integer(first_rows))))
        return object;
    json_decref(object);
    return NULL;
}

/* Which formats the modules use, by id. */
static void used_formats(const json_t *modules, bool used[SAMP_FORMAT_COUNT])
{
    const char *module;
    json_t *value;
    json_object_foreach((json_t *)modules, module, value)
    {
        const char *name = json_string_value(json_object_get(value, "format"));
        const samp_format *format = name ? samp_format_find(name) : NULL;
        if (format) used[format->id] = true;
    }
}

samp_quantization_doubt samp_quantization_doubts(const json_t *root, char *why, size_t n)
{
    const json_t *object = json_object_get(root, "quantization_config");
    bool used[SAMP_FORMAT_COUNT] = {false};
    used_formats(json_object_get(object, "modules"), used);
    const char *type = json_string_value(json_object_get(object, "quant_type"));
    const samp_format *named = type ? samp_format_find(type) : NULL;
    if (!type || (named && !used[named->id])) {
        snprintf(why, n, "quant_type %s%.60s",
                 type ? "names a format that no module has: " : "is missing", type ? type : "");
        return SAMP_QUANTIZATION_TYPE;
    }
    bool nested = used[SAMP_FORMAT_NF4], plain = used[SAMP_FORMAT_NF4_PLAIN];
    const json_t *block = json_object_get(object, "block_size");
    const json_t *nesting = json_object_get(object, "double_quant");
    if ((nested || plain) && json_integer_value(block) != 64) {
        snprintf(why, n, "block_size is not 64, which is what NF4 modules have");
        return SAMP_QUANTIZATION_DETAIL;
    }
    if ((nested || plain) && json_is_true(nesting) != nested) {
        snprintf(why, n, "double_quant is not %s, which is what the NF4 modules have",
                 nested ? "true" : "false");
        return SAMP_QUANTIZATION_DETAIL;
    }
    return SAMP_QUANTIZATION_FINE;
}

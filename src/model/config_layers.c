/* What layers of one model differ in: sliding windows and missing rope, from config.json's
 * "sliding_window", "use_sliding_window", "layer_types", "max_window_layers", "no_rope_layers" and
 * "no_rope_layer_interval". Members that a family's transformers class does not read are not read
 * here either: many published files carry "sliding_window" that is switched off. */
#include "model/config_internal.h"

#include <string.h>

/* An array with an entry for each layer at least, or NULL when it is missing or null. */
static samp_status find_list(const samp_config *config, const json_t *root, const char *key,
                             const json_t **out, const char *where, samp_error *error)
{
    const json_t *list = json_object_get(root, key);
    *out = NULL;
    if (!list || json_is_null(list)) return SAMP_OK;
    if (!json_is_array(list) || json_array_size(list) < config->n_layers)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: \"%s\" is not a list with an entry for each of %u layers", where, key,
                         config->n_layers);
    *out = list;
    return SAMP_OK;
}

/* In "no_rope_layers" a 1 says that the layer does have rope. */
static samp_status parse_no_rope(samp_config *config, const json_t *root, const char *where,
                                 samp_error *error)
{
    const json_t *list;
    int64_t interval = 4;
    SAMP_TRY(find_list(config, root, "no_rope_layers", &list, where, error));
    SAMP_TRY(samp_json_integer(root, "no_rope_layer_interval", false, 1, SAMP_LAYERS_MAX, &interval,
                               where, error));
    for (uint32_t i = 0; i < config->n_layers; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t has_rope = (i + 1) % interval != 0;
        if (list) has_rope = json_is_integer(value) ? json_integer_value(value) : -1;
        if (has_rope != 0 && has_rope != 1)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: \"no_rope_layers\" has an entry that is neither 0 nor 1", where);
        if (!has_rope) config->layers[i] |= SAMP_LAYER_NO_ROPE;
    }
    return SAMP_OK;
}

/* Without "layer_types": Qwen's windows begin at a layer, SmolLM3's are on the layers without rope.
 */
static samp_status default_windows(samp_config *config, const json_t *root,
                                   const samp_family *family, const char *where, samp_error *error)
{
    int64_t begin = 28;
    SAMP_TRY(
        samp_json_integer(root, "max_window_layers", false, 0, INT32_MAX, &begin, where, error));
    for (uint32_t i = 0; i < config->n_layers; i++)
        if (family->no_rope_layers ? !samp_layer_has_rope(config, i) : i >= begin)
            config->layers[i] |= SAMP_LAYER_WINDOW;
    return SAMP_OK;
}

static samp_status parse_layer_types(samp_config *config, const json_t *list, const char *where,
                                     samp_error *error)
{
    for (uint32_t i = 0; i < config->n_layers; i++) {
        const char *type = json_string_value(json_array_get(list, i));
        if (type && strcmp(type, "sliding_attention") == 0)
            config->layers[i] |= SAMP_LAYER_WINDOW;
        else if (!type || strcmp(type, "full_attention") != 0)
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s: \"layer_types\" has \"%.50s\" for layer %u, supported are "
                             "\"full_attention\" and \"sliding_attention\"",
                             where, type ? type : "(no text)", i);
    }
    return SAMP_OK;
}

static samp_status parse_windows(samp_config *config, const json_t *root, const samp_family *family,
                                 const char *where, samp_error *error)
{
    const json_t *value = json_object_get(root, "sliding_window"), *types = NULL;
    int64_t window = family->no_rope_layers ? 0 : 4096; /* where the member is missing */
    bool used = family->window == SAMP_WINDOW_ALL;
    if (family->window == SAMP_WINDOW_SWITCH)
        SAMP_TRY(samp_json_bool(root, "use_sliding_window", false, &used, where, error));
    if (!used || json_is_null(value)) return SAMP_OK;
    SAMP_TRY(samp_json_integer(root, "sliding_window", false, 1, SAMP__POSITIONS_MAX, &window,
                               where, error));
    if (window == 0) return SAMP_OK;
    if (family->window == SAMP_WINDOW_SWITCH)
        SAMP_TRY(find_list(config, root, "layer_types", &types, where, error));
    if (types)
        SAMP_TRY(parse_layer_types(config, types, where, error));
    else if (family->window == SAMP_WINDOW_SWITCH)
        SAMP_TRY(default_windows(config, root, family, where, error));
    else
        for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i] |= SAMP_LAYER_WINDOW;
    config->window = (uint32_t)window;
    return SAMP_OK;
}

samp_status samp__config_layers(samp_config *config, const json_t *root, const samp_family *family,
                                const char *where, samp_error *error)
{
    if (family->no_rope_layers) SAMP_TRY(parse_no_rope(config, root, where, error));
    if (family->window == SAMP_WINDOW_NEVER) return SAMP_OK;
    return parse_windows(config, root, family, where, error);
}

bool samp__config_layers_json(const samp_config *config, const samp_family *family, json_t *object)
{
    json_t *types = json_array(), *ropes = json_array();
    bool windows = config->window > 0, ok = types && ropes;
    for (uint32_t i = 0; ok && i < config->n_layers; i++) {
        bool window = samp_layer_window(config, i) > 0, rope = samp_layer_has_rope(config, i);
        ok = !json_array_append_new(types,
                                    json_string(window ? "sliding_attention" : "full_attention")) &&
             !json_array_append_new(ropes, json_integer(rope));
    }
    if (ok && family->window != SAMP_WINDOW_NEVER)
        ok = samp_json_set(object, "sliding_window",
                           windows ? json_integer(config->window) : json_null());
    if (ok && family->window == SAMP_WINDOW_SWITCH)
        ok = samp_json_set(object, "use_sliding_window", json_boolean(windows)) &&
             json_object_set(object, "layer_types", types) == 0;
    if (ok && family->no_rope_layers) ok = json_object_set(object, "no_rope_layers", ropes) == 0;
    json_decref(types);
    json_decref(ropes);
    return ok;
}

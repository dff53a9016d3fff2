/* samp_config -> config.json, in the words of the family's transformers class. */
#include "model/config_internal.h"

#include <assert.h>
#include <stdio.h>

/* The shortest decimal that reads back as the same float: config.json should say 1e-05, not
 * 9.9999997473787516e-06. */
static double shortest_double(float value)
{
    for (int digits = 1; digits < 9; digits++) {
        char text[32];
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        double candidate = 0;
        if (sscanf(text, "%lf", &candidate) == 1 && (float)candidate == value) return candidate;
    }
    return (double)value;
}

static json_t *eos_json(const samp_config *config)
{
    if (config->n_eos_tokens == 0) return json_null();
    if (config->n_eos_tokens == 1) return json_integer(config->eos_tokens[0]);
    json_t *list = json_array();
    for (int i = 0; i < config->n_eos_tokens; i++)
        json_array_append_new(list, json_integer(config->eos_tokens[i]));
    return list;
}

json_t *samp_config_json(const samp_config *config, const char *dtype)
{
    const samp_family *family = samp_family_find(config->architecture);
    assert(family); /* a config is parsed, or made for one of them */
    json_t *object = json_pack(
        "{s:[s], s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:b, s:o,"
        " s:o, s:n}",
        "architectures", family->architecture, "model_type", family->model_type, "torch_dtype",
        dtype, "hidden_act", "silu", "hidden_size", (json_int_t)config->dim, "intermediate_size",
        (json_int_t)config->hidden_dim, "num_hidden_layers", (json_int_t)config->n_layers,
        "num_attention_heads", (json_int_t)config->n_heads, "num_key_value_heads",
        (json_int_t)config->n_kv_heads, "head_dim", (json_int_t)config->head_dim, "vocab_size",
        (json_int_t)config->vocab_size, "max_position_embeddings",
        (json_int_t)config->max_positions, "rms_norm_eps", shortest_double(config->rms_norm_eps),
        "rope_theta", config->rope_theta, "rope_scaling", samp__config_rope_json(config),
        "tie_word_embeddings", config->tied_embeddings, "bos_token_id",
        config->bos_token < 0 ? json_null() : json_integer(config->bos_token), "eos_token_id",
        eos_json(config), "pad_token_id"); /* else a class's own, past a small vocabulary */
    bool ok = object && samp__config_layers_json(config, family, object);
    /* Qwen2's biases are not for config.json to say. */
    if (ok && !family->qkv_bias)
        ok = samp_json_set(object, "attention_bias", json_false()) &&
             samp_json_set(object, "mlp_bias", json_false());
    if (ok) return object;
    json_decref(object);
    return NULL;
}

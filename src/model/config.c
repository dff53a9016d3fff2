/* config.json -> samp_config, strictly: every number has a range, and what would change the
 * arithmetic (another architecture, an activation, biases, an unknown rope scaling) is refused by
 * name instead of being ignored. Keys that only matter to other programs are not looked at.
 *
 * Owns nothing: samp_config is plain data; the JSON document belongs to the caller. */
#include "model/config.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    CONFIG_BYTES_MAX = 10 << 20,
    LAYERS_MAX = 1024,
    WIDTH_MAX = 1 << 20,
    HEADS_MAX = 1 << 14,
    HEAD_DIM_MAX = 1024,
    VOCAB_MAX = 1 << 22,
    POSITIONS_MAX = 1 << 26
};

/* An architecture of the Llama family: same tensors, same arithmetic, other numbers. */
typedef struct family {
    const char *architecture;
    bool sliding_window; /* its config may ask for windowed attention, which is refused */
} family;

static const family FAMILIES[] = {{"LlamaForCausalLM", false}, {"MistralForCausalLM", true}};

static samp_status read_u32(const json_t *root, const char *key, uint32_t max, uint32_t *out,
                            const char *where, samp_error *error)
{
    int64_t value = 0;
    SAMP_TRY(samp_json_integer(root, key, true, 1, max, &value, where, error));
    *out = (uint32_t)value;
    return SAMP_OK;
}

static samp_status read_positive(const json_t *object, const char *key, bool required, double max,
                                 double *out, const char *where, samp_error *error)
{
    SAMP_TRY(samp_json_number(object, key, required, out, where, error));
    if (*out > 0 && *out <= max) return SAMP_OK;
    return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is %g, expected more than 0 and at most %g",
                     where, key, *out, max);
}

static samp_status parse_architecture(samp_config *config, const json_t *root, const char *where,
                                      samp_error *error)
{
    const json_t *list = json_object_get(root, "architectures");
    if (!json_is_array(list) || json_array_size(list) != 1 ||
        !json_is_string(json_array_get(list, 0)))
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: \"architectures\" is not a list of one name, expected for instance "
                         "[\"LlamaForCausalLM\"]",
                         where);
    const char *name = json_string_value(json_array_get(list, 0));
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++) {
        if (strcmp(FAMILIES[i].architecture, name) != 0) continue;
        const json_t *window = json_object_get(root, "sliding_window");
        if (FAMILIES[i].sliding_window && window && !json_is_null(window))
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s: \"sliding_window\" is set, windowed attention is not supported; "
                             "only models with \"sliding_window\": null are",
                             where);
        snprintf(config->architecture, sizeof config->architecture, "%s", name);
        return SAMP_OK;
    }
    return samp_fail(error, SAMP_UNSUPPORTED,
                     "%s: architecture \"%.100s\" is not supported, supported are "
                     "LlamaForCausalLM and MistralForCausalLM without sliding window",
                     where, name);
}

/* Options whose other values mean other arithmetic. */
static samp_status refuse_variants(const json_t *root, const char *where, samp_error *error)
{
    const char *activation = "silu";
    SAMP_TRY(samp_json_string(root, "hidden_act", false, &activation, where, error));
    if (strcmp(activation, "silu") != 0)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"hidden_act\" is \"%.50s\", only \"silu\" is supported", where,
                         activation);
    static const char *const biases[] = {"attention_bias", "mlp_bias"};
    for (size_t i = 0; i < sizeof biases / sizeof *biases; i++) {
        bool bias = false;
        SAMP_TRY(samp_json_bool(root, biases[i], false, &bias, where, error));
        if (bias)
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s: \"%s\" is true, linear layers with biases are not supported",
                             where, biases[i]);
    }
    double rotary = 1;
    SAMP_TRY(samp_json_number(root, "partial_rotary_factor", false, &rotary, where, error));
    if (rotary != 1)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"partial_rotary_factor\" is %g, only 1 is supported", where, rotary);
    return SAMP_OK;
}

static samp_status parse_sizes(samp_config *config, const json_t *root, const char *where,
                               samp_error *error)
{
    SAMP_TRY(read_u32(root, "num_hidden_layers", LAYERS_MAX, &config->n_layers, where, error));
    SAMP_TRY(read_u32(root, "hidden_size", WIDTH_MAX, &config->dim, where, error));
    SAMP_TRY(read_u32(root, "intermediate_size", WIDTH_MAX, &config->hidden_dim, where, error));
    SAMP_TRY(read_u32(root, "vocab_size", VOCAB_MAX, &config->vocab_size, where, error));
    SAMP_TRY(read_u32(root, "num_attention_heads", HEADS_MAX, &config->n_heads, where, error));
    SAMP_TRY(read_u32(root, "max_position_embeddings", POSITIONS_MAX, &config->max_positions, where,
                      error));
    int64_t kv_heads = config->n_heads;
    SAMP_TRY(samp_json_integer(root, "num_key_value_heads", false, 1, config->n_heads, &kv_heads,
                               where, error));
    config->n_kv_heads = (uint32_t)kv_heads;
    if (config->n_heads % config->n_kv_heads != 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: \"num_attention_heads\" is %u, not a multiple of "
                         "\"num_key_value_heads\" %u",
                         where, config->n_heads, config->n_kv_heads);
    int64_t head_dim = 0;
    SAMP_TRY(samp_json_integer(root, "head_dim", false, 2, HEAD_DIM_MAX, &head_dim, where, error));
    if (head_dim == 0) {
        if (config->dim % config->n_heads != 0)
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: \"hidden_size\" is %u, not a multiple of \"num_attention_heads\" "
                             "%u, and there is no \"head_dim\"",
                             where, config->dim, config->n_heads);
        head_dim = config->dim / config->n_heads;
    }
    if (head_dim % 2 != 0 || head_dim > HEAD_DIM_MAX)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: a head has %lld dimensions, expected an even number up to %d", where,
                         (long long)head_dim, HEAD_DIM_MAX);
    config->head_dim = (uint32_t)head_dim;
    if ((uint64_t)config->n_heads * config->head_dim > WIDTH_MAX)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: %u heads of %u dimensions are wider than the limit of %d", where,
                         config->n_heads, config->head_dim, WIDTH_MAX);
    return SAMP_OK;
}

static samp_status parse_llama3(samp_config *config, const json_t *rope, const char *where,
                                samp_error *error)
{
    SAMP_TRY(read_positive(rope, "low_freq_factor", true, 1e6, &config->rope_low_freq_factor, where,
                           error));
    SAMP_TRY(read_positive(rope, "high_freq_factor", true, 1e6, &config->rope_high_freq_factor,
                           where, error));
    if (config->rope_low_freq_factor >= config->rope_high_freq_factor)
        return samp_fail(
            error, SAMP_CORRUPT,
            "%s: \"low_freq_factor\" is %g, expected less than \"high_freq_factor\" %g", where,
            config->rope_low_freq_factor, config->rope_high_freq_factor);
    return read_u32(rope, "original_max_position_embeddings", POSITIONS_MAX,
                    &config->rope_original_positions, where, error);
}

/* Rope parameters live in "rope_parameters" (transformers 5, rope_theta inside) or in
 * "rope_scaling" and "rope_theta" (before); the kind is "rope_type" or, older, "type". */
static samp_status parse_rope(samp_config *config, const json_t *root, const char *where,
                              samp_error *error)
{
    config->rope_theta = 10000;
    SAMP_TRY(read_positive(root, "rope_theta", false, 1e15, &config->rope_theta, where, error));
    const char *key = "rope_parameters";
    const json_t *rope = json_object_get(root, key);
    if (!rope || json_is_null(rope)) rope = json_object_get(root, key = "rope_scaling");
    if (!rope || json_is_null(rope)) return SAMP_OK;

    char inside[256];
    snprintf(inside, sizeof inside, "%s: \"%s\"", where, key);
    if (!json_is_object(rope))
        return samp_fail(error, SAMP_CORRUPT, "%s is neither an object nor null", inside);
    SAMP_TRY(read_positive(rope, "rope_theta", false, 1e15, &config->rope_theta, inside, error));
    const char *kind = "default", *old_kind = NULL;
    SAMP_TRY(samp_json_string(rope, "type", false, &old_kind, inside, error));
    if (old_kind) kind = old_kind;
    SAMP_TRY(samp_json_string(rope, "rope_type", false, &kind, inside, error));
    if (strcmp(kind, "default") == 0) return SAMP_OK;
    bool linear = strcmp(kind, "linear") == 0;
    if (!linear && strcmp(kind, "llama3") != 0)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s asks for scaling of type \"%.50s\", supported are \"default\", "
                         "\"linear\" and \"llama3\"",
                         inside, kind);
    config->rope_scaling = linear ? SAMP_ROPE_LINEAR : SAMP_ROPE_LLAMA3;
    SAMP_TRY(read_positive(rope, "factor", true, 1e6, &config->rope_factor, inside, error));
    return linear ? SAMP_OK : parse_llama3(config, rope, inside, error);
}

static samp_status read_token(const json_t *value, const samp_config *config, const char *key,
                              int32_t *out, const char *where, samp_error *error)
{
    if (!json_is_integer(value))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is not an integer or a list of integers",
                         where, key);
    int64_t id = json_integer_value(value);
    if (id < 0 || id >= config->vocab_size)
        return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is %lld, expected 0 to %u", where, key,
                         (long long)id, config->vocab_size - 1);
    *out = (int32_t)id;
    return SAMP_OK;
}

static samp_status parse_tokens(samp_config *config, const json_t *root, const char *where,
                                samp_error *error)
{
    config->bos_token = -1;
    const json_t *bos = json_object_get(root, "bos_token_id");
    if (bos && !json_is_null(bos))
        SAMP_TRY(read_token(bos, config, "bos_token_id", &config->bos_token, where, error));
    const json_t *eos = json_object_get(root, "eos_token_id");
    if (!eos || json_is_null(eos)) return SAMP_OK;
    size_t count = json_is_array(eos) ? json_array_size(eos) : 1;
    if (count > SAMP_EOS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: \"eos_token_id\" lists %zu tokens, at most %d fit",
                         where, count, SAMP_EOS_MAX);
    for (size_t i = 0; i < count; i++)
        SAMP_TRY(read_token(json_is_array(eos) ? json_array_get(eos, i) : eos, config,
                            "eos_token_id", &config->eos_tokens[i], where, error));
    config->n_eos_tokens = (int)count;
    return SAMP_OK;
}

samp_status samp_config_parse(samp_config *out, const json_t *root, const char *where,
                              samp_error *error)
{
    *out = (samp_config){0};
    if (!json_is_object(root))
        return samp_fail(error, SAMP_CORRUPT, "%s is not a JSON object", where);
    SAMP_TRY(parse_architecture(out, root, where, error));
    SAMP_TRY(refuse_variants(root, where, error));
    SAMP_TRY(parse_sizes(out, root, where, error));
    double eps = 1e-6;
    SAMP_TRY(read_positive(root, "rms_norm_eps", false, 1, &eps, where, error));
    if (eps < 1e-20)
        return samp_fail(error, SAMP_CORRUPT, "%s: \"rms_norm_eps\" is %g, expected at least 1e-20",
                         where, eps);
    out->rms_norm_eps = (float)eps;
    SAMP_TRY(
        samp_json_bool(root, "tie_word_embeddings", false, &out->tied_embeddings, where, error));
    SAMP_TRY(parse_rope(out, root, where, error));
    return parse_tokens(out, root, where, error);
}

samp_status samp_config_load(samp_config *out, const char *folder, json_t **root, samp_error *error)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/config.json", folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return samp_fail(error, SAMP_LIMIT,
                         "the path of config.json is longer than %zu bytes: %.200s…",
                         sizeof path - 1, folder);
    json_t *document = NULL;
    SAMP_TRY(samp_json_load(&document, path, CONFIG_BYTES_MAX, error));
    samp_status status = samp_config_parse(out, document, path, error);
    if (status == SAMP_OK && root)
        *root = document;
    else
        json_decref(document);
    return status;
}

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

static json_t *rope_scaling_json(const samp_config *config)
{
    if (config->rope_scaling == SAMP_ROPE_NONE) return json_null();
    if (config->rope_scaling == SAMP_ROPE_LINEAR)
        return json_pack("{s:s, s:f}", "rope_type", "linear", "factor", config->rope_factor);
    return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor",
                     config->rope_factor, "low_freq_factor", config->rope_low_freq_factor,
                     "high_freq_factor", config->rope_high_freq_factor,
                     "original_max_position_embeddings",
                     (json_int_t)config->rope_original_positions);
}

json_t *samp_config_json(const samp_config *config, const char *dtype)
{
    json_t *eos = config->n_eos_tokens == 0   ? json_null()
                  : config->n_eos_tokens == 1 ? json_integer(config->eos_tokens[0])
                                              : json_array();
    for (int i = 0; config->n_eos_tokens > 1 && i < config->n_eos_tokens; i++)
        json_array_append_new(eos, json_integer(config->eos_tokens[i]));
    bool llama = strcmp(config->architecture, "LlamaForCausalLM") == 0;
    return json_pack(
        "{s:[s], s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:b, s:b,"
        " s:b, s:o, s:o}",
        "architectures", config->architecture, "model_type", llama ? "llama" : "mistral",
        "torch_dtype", dtype, "hidden_act", "silu", "hidden_size", (json_int_t)config->dim,
        "intermediate_size", (json_int_t)config->hidden_dim, "num_hidden_layers",
        (json_int_t)config->n_layers, "num_attention_heads", (json_int_t)config->n_heads,
        "num_key_value_heads", (json_int_t)config->n_kv_heads, "head_dim",
        (json_int_t)config->head_dim, "vocab_size", (json_int_t)config->vocab_size,
        "max_position_embeddings", (json_int_t)config->max_positions, "rms_norm_eps",
        shortest_double(config->rms_norm_eps), "rope_theta", config->rope_theta, "rope_scaling",
        rope_scaling_json(config), "tie_word_embeddings", config->tied_embeddings, "attention_bias",
        false, "mlp_bias", false, "bos_token_id",
        config->bos_token < 0 ? json_null() : json_integer(config->bos_token), "eos_token_id", eos);
}

/* llama3 (transformers' modeling_rope_utils): long wavelengths are slowed down by `factor`, short
 * ones kept, and those between are blended by how often they turn in the original context. */
static double llama3_frequency(const samp_config *config, double frequency)
{
    double turns = (double)config->rope_original_positions * frequency / 6.283185307179586;
    if (turns > config->rope_high_freq_factor) return frequency;
    if (turns < config->rope_low_freq_factor) return frequency / config->rope_factor;
    double smooth = (turns - config->rope_low_freq_factor) /
                    (config->rope_high_freq_factor - config->rope_low_freq_factor);
    return (1 - smooth) * frequency / config->rope_factor + smooth * frequency;
}

void samp_rope_frequencies(const samp_config *config, double *out)
{
    for (uint32_t i = 0; i < config->head_dim / 2; i++) {
        double frequency = pow(config->rope_theta, -2.0 * i / config->head_dim);
        if (config->rope_scaling == SAMP_ROPE_LINEAR)
            frequency /= config->rope_factor;
        else if (config->rope_scaling == SAMP_ROPE_LLAMA3)
            frequency = llama3_frequency(config, frequency);
        out[i] = frequency;
    }
}

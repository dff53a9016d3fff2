/* config.json -> samp_config, strictly: every number has a range, and what would change the
 * arithmetic (another architecture, an activation, biases, an unknown rope scaling) is refused by
 * name instead of being ignored. Keys that only matter to other programs are not looked at.
 *
 * Owns nothing: samp_config is plain data; the JSON document belongs to the caller. */
#include "model/config_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CONFIG_BYTES_MAX = 10 << 20,
    WIDTH_MAX = 1 << 20,
    HEADS_MAX = 1 << 14,
    HEAD_DIM_MAX = 1024,
    VOCAB_MAX = 1 << 22
};

samp_status samp__config_u32(const json_t *object, const char *key, uint32_t max, uint32_t *out,
                             const char *where, samp_error *error)
{
    int64_t value = 0;
    SAMP_TRY(samp_json_integer(object, key, true, 1, max, &value, where, error));
    *out = (uint32_t)value;
    return SAMP_OK;
}

samp_status samp__config_positive(const json_t *object, const char *key, bool required, double max,
                                  double *out, const char *where, samp_error *error)
{
    SAMP_TRY(samp_json_number(object, key, required, out, where, error));
    if (*out > 0 && *out <= max) return SAMP_OK;
    return samp_fail(error, SAMP_CORRUPT, "%s: \"%s\" is %g, expected more than 0 and at most %g",
                     where, key, *out, max);
}

static samp_status parse_architecture(samp_config *config, const json_t *root,
                                      const samp_family **family, const char *where,
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
    *family = samp_family_find(name);
    if (!*family) {
        char names[256];
        samp_family_names(false, names, sizeof names);
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: architecture \"%.100s\" is not supported, supported are %s", where,
                         name, names);
    }
    snprintf(config->architecture, sizeof config->architecture, "%s", name);
    config->qkv_bias = (*family)->qkv_bias;
    config->qk_norm = (*family)->qk_norm;
    return SAMP_OK;
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
                             "%s: \"%s\" is true, biases of these layers are not supported", where,
                             biases[i]);
    }
    double rotary = 1;
    SAMP_TRY(samp_json_number(root, "partial_rotary_factor", false, &rotary, where, error));
    if (rotary != 1)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: \"partial_rotary_factor\" is %g, only 1 is supported", where, rotary);
    return SAMP_OK;
}

/* A member that is null counts as missing, and then as the same for all: as many heads of keys as of
 * queries, and of a width that makes hidden_size together. One that is not there at all has the
 * family's default. */
static samp_status parse_heads(samp_config *config, const json_t *root, const samp_family *family,
                               const char *where, samp_error *error)
{
    int64_t kv_heads = config->n_heads, head_dim = 0;
    if (family->n_kv_heads && !json_object_get(root, "num_key_value_heads"))
        kv_heads = family->n_kv_heads;
    if (!json_object_get(root, "head_dim")) head_dim = family->head_dim;
    SAMP_TRY(samp_json_integer(root, "num_key_value_heads", false, 1, config->n_heads, &kv_heads,
                               where, error));
    config->n_kv_heads = (uint32_t)kv_heads;
    if (config->n_heads % config->n_kv_heads != 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: \"num_attention_heads\" is %u, not a multiple of "
                         "\"num_key_value_heads\" %u",
                         where, config->n_heads, config->n_kv_heads);
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

static samp_status parse_sizes(samp_config *config, const json_t *root, const char *where,
                               samp_error *error)
{
    const struct {
        const char *key;
        uint32_t max, *out;
    } sizes[] = {{"num_hidden_layers", SAMP_LAYERS_MAX, &config->n_layers},
                 {"hidden_size", WIDTH_MAX, &config->dim},
                 {"intermediate_size", WIDTH_MAX, &config->hidden_dim},
                 {"vocab_size", VOCAB_MAX, &config->vocab_size},
                 {"num_attention_heads", HEADS_MAX, &config->n_heads},
                 {"max_position_embeddings", SAMP__POSITIONS_MAX, &config->max_positions}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        SAMP_TRY(samp__config_u32(root, sizes[i].key, sizes[i].max, sizes[i].out, where, error));
    return SAMP_OK;
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

/* The ends of text of an object; they stay as they are when it names none. */
static samp_status parse_eos(samp_config *config, const json_t *root, const char *where,
                             samp_error *error)
{
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

static samp_status parse_tokens(samp_config *config, const json_t *root, const char *where,
                                samp_error *error)
{
    config->bos_token = -1;
    const json_t *bos = json_object_get(root, "bos_token_id");
    if (bos && !json_is_null(bos))
        SAMP_TRY(read_token(bos, config, "bos_token_id", &config->bos_token, where, error));
    return parse_eos(config, root, where, error);
}

samp_status samp_config_parse(samp_config *out, const json_t *root, const char *where,
                              samp_error *error)
{
    *out = (samp_config){0};
    if (!json_is_object(root))
        return samp_fail(error, SAMP_CORRUPT, "%s is not a JSON object", where);
    const samp_family *family;
    SAMP_TRY(parse_architecture(out, root, &family, where, error));
    SAMP_TRY(refuse_variants(root, where, error));
    SAMP_TRY(parse_sizes(out, root, where, error));
    SAMP_TRY(parse_heads(out, root, family, where, error));
    double eps = 1e-6;
    SAMP_TRY(samp__config_positive(root, "rms_norm_eps", false, 1, &eps, where, error));
    if (eps < 1e-20)
        return samp_fail(error, SAMP_CORRUPT, "%s: \"rms_norm_eps\" is %g, expected at least 1e-20",
                         where, eps);
    out->rms_norm_eps = (float)eps;
    out->tied_embeddings = family->tied_embeddings;
    SAMP_TRY(
        samp_json_bool(root, "tie_word_embeddings", false, &out->tied_embeddings, where, error));
    SAMP_TRY(samp__config_layers(out, root, family, where, error));
    SAMP_TRY(samp__config_rope(out, root, family, where, error));
    return parse_tokens(out, root, where, error);
}

/* folder/name, parsed; *out stays NULL when the file is not there and need not be. */
static samp_status load_json(const char *folder, const char *name, bool required, char path[4096],
                             json_t **out, samp_error *error)
{
    int n = snprintf(path, 4096, "%s/%s", folder, name);
    if (n < 0 || n >= 4096)
        return samp_fail(error, SAMP_LIMIT, "the path of %s is longer than 4095 bytes: %.200s…",
                         name, folder);
    if (!required && access(path, F_OK) != 0) return SAMP_OK;
    return samp_json_load(out, path, CONFIG_BYTES_MAX, error);
}

samp_status samp_config_load(samp_config *out, const char *folder, json_t **root, samp_error *error)
{
    char path[4096];
    json_t *document = NULL, *generation = NULL;
    SAMP_TRY(load_json(folder, "config.json", true, path, &document, error));
    samp_status status = samp_config_parse(out, document, path, error);
    if (status == SAMP_OK)
        status = load_json(folder, "generation_config.json", false, path, &generation, error);
    if (status == SAMP_OK) status = parse_eos(out, generation, path, error);
    json_decref(generation);
    if (status == SAMP_OK && root)
        *root = document;
    else
        json_decref(document);
    return status;
}

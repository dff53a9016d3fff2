/* The architecture of a model, from config.json: Llama and the families of family.h. Unknown
 * architectures are refused by name. */
#ifndef SAMP_MODEL_CONFIG_H
#define SAMP_MODEL_CONFIG_H

#include "base/error.h"
#include "base/json.h"

typedef enum samp_rope_scaling {
    SAMP_ROPE_NONE,
    SAMP_ROPE_LINEAR,
    SAMP_ROPE_LLAMA3,
    SAMP_ROPE_YARN
} samp_rope_scaling;

enum { SAMP_EOS_MAX = 8, SAMP_LAYERS_MAX = 1024 };

/* What one layer has and another may not: bits. */
enum {
    SAMP_LAYER_WINDOW = 1, /* its queries see samp_config.window positions, not all */
    SAMP_LAYER_NO_ROPE = 2 /* its queries and keys are not rotated */
};

typedef struct samp_config {
    char architecture[64]; /* "LlamaForCausalLM" */
    uint32_t n_layers, dim, hidden_dim, n_heads, n_kv_heads, head_dim, vocab_size;
    uint32_t max_positions; /* max_position_embeddings; with yarn, what its factor makes of them */
    float rms_norm_eps;
    bool qkv_bias;   /* q, k and v have biases */
    bool qk_norm;    /* each head of q and k is normed, before it is rotated */
    uint32_t window; /* positions a query sees, its own the last; 0 = all, on every layer */
    uint8_t layers[SAMP_LAYERS_MAX]; /* SAMP_LAYER_… of each */
    double rope_theta;
    samp_rope_scaling rope_scaling;
    double rope_factor;
    uint32_t rope_original_positions;                   /* llama3, yarn */
    double rope_low_freq_factor, rope_high_freq_factor; /* llama3 */
    double rope_beta_fast, rope_beta_slow;              /* yarn */
    double rope_magnitude; /* yarn: of the rotated vectors (its attention_factor) */
    bool rope_truncate;    /* yarn: its range of frequencies goes to whole ones */
    bool tied_embeddings;
    int32_t bos_token; /* -1 none */
    int32_t eos_tokens[SAMP_EOS_MAX];
    int n_eos_tokens;
} samp_config;

/* Caps, so that no product of two sizes can overflow: layers 1,024; dim, hidden_dim 2^20; vocab
 * 2^22. */
samp_status samp_config_parse(samp_config *out, const json_t *root, const char *where,
                              samp_error *error);
/* Reads folder/config.json (at most 10 MB) and keeps the document when root is not NULL. Where a
 * folder/generation_config.json names ends of text, they replace config.json's, as generating with
 * transformers does. */
samp_status samp_config_load(samp_config *out, const char *folder, json_t **root,
                             samp_error *error);
/* The config.json of a plain 16-bit model with this architecture; dtype "float16", "bfloat16",
 * "float32". NULL when out of memory. */
json_t *samp_config_json(const samp_config *config, const char *dtype);

/* The rotation of position p turns pair i of a head by p * frequencies[i] and multiplies it by the
 * magnitude, which is 1 but for yarn. out [head_dim/2]. */
void samp_rope_frequencies(const samp_config *config, double *out);
double samp_rope_magnitude(const samp_config *config);

/* Positions that a query of this layer sees; 0 = all up to its own. */
static inline uint32_t samp_layer_window(const samp_config *config, uint32_t layer)
{
    return config->layers[layer] & SAMP_LAYER_WINDOW ? config->window : 0;
}

static inline bool samp_layer_has_rope(const samp_config *config, uint32_t layer)
{
    return !(config->layers[layer] & SAMP_LAYER_NO_ROPE);
}

#endif

/* The architecture of a model, from config.json. Llama family: Llama 2/3, SmolLM2 and others that
 * differ only in numbers. Unknown architectures are refused by name. */
#ifndef SAMP_MODEL_CONFIG_H
#define SAMP_MODEL_CONFIG_H

#include "base/error.h"
#include "base/json.h"

typedef enum samp_rope_scaling {
    SAMP_ROPE_NONE,
    SAMP_ROPE_LINEAR,
    SAMP_ROPE_LLAMA3
} samp_rope_scaling;

enum { SAMP_EOS_MAX = 8 };

typedef struct samp_config {
    char architecture[64]; /* "LlamaForCausalLM" */
    uint32_t n_layers, dim, hidden_dim, n_heads, n_kv_heads, head_dim, vocab_size;
    uint32_t max_positions; /* max_position_embeddings */
    float rms_norm_eps;
    double rope_theta;
    samp_rope_scaling rope_scaling;
    double rope_factor, rope_low_freq_factor, rope_high_freq_factor;
    uint32_t rope_original_positions;
    bool tied_embeddings;
    int32_t bos_token; /* -1 none */
    int32_t eos_tokens[SAMP_EOS_MAX];
    int n_eos_tokens;
} samp_config;

/* Caps, so that no product of two sizes can overflow: layers 1,024; dim, hidden_dim 2^20; vocab
 * 2^22. */
samp_status samp_config_parse(samp_config *out, const json_t *root, const char *where,
                              samp_error *error);
/* Reads folder/config.json (at most 10 MB) and keeps the document when root is not NULL. */
samp_status samp_config_load(samp_config *out, const char *folder, json_t **root,
                             samp_error *error);
/* The config.json of a plain 16-bit model with this architecture; dtype "float16", "bfloat16",
 * "float32". */
json_t *samp_config_json(const samp_config *config, const char *dtype);

/* Inverse frequencies of the rotation, [head_dim/2], scaling applied. */
void samp_rope_frequencies(const samp_config *config, double *out);

#endif

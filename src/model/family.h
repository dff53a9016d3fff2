/* The architectures that can be read: Llama and its relatives, which share tensors and arithmetic
 * but for the few things named here. A new one is a row of the table in family.c, and its golden
 * checkpoint (tools/golden_models.py). */
#ifndef SAMP_MODEL_FAMILY_H
#define SAMP_MODEL_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How an architecture's config.json asks for sliding windows. */
typedef enum samp_family_window {
    SAMP_WINDOW_NEVER,
    SAMP_WINDOW_ALL,   /* "sliding_window", unless it is null, on all layers */
    SAMP_WINDOW_SWITCH /* only when "use_sliding_window" is true, on the layers of "layer_types" */
} samp_family_window;

typedef struct samp_family {
    const char *architecture; /* in config.json: "Qwen2ForCausalLM" */
    const char *model_type;   /* beside it: "qwen2" */
    const char *gguf;         /* general.architecture of its GGUF files */
    bool gguf_interleaved;    /* whose q and k have the rows in the order of rope_rows.h */
    bool qkv_bias;            /* q, k and v have biases */
    bool qk_norm;             /* each head of q and k is normed before rope */
    bool no_rope_layers;      /* some layers do not rotate: "no_rope_layers" */
    samp_family_window window;
    /* What holds where config.json has no such member, as transformers has it. 0: as many as query
     * heads; the width over the number of heads. */
    uint32_t n_kv_heads, head_dim;
    double rope_theta;
    bool tied_embeddings;
} samp_family;

/* NULL when there is none of that name. */
const samp_family *samp_family_find(const char *architecture);
const samp_family *samp_family_of_gguf(const char *name, size_t length);
/* Their names as a list for messages, in out: "LlamaForCausalLM, MistralForCausalLM, …", or those of
 * GGUF files: "llama, qwen2, …". */
void samp_family_names(bool gguf, char *out, size_t n);

#endif

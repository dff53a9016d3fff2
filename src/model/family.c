/* The table of architectures. Llama's row serves Llama 2, 3 and 3.1 to 3.3, and SmolLM2. */
#include "model/family.h"

#include <stdio.h>
#include <string.h>

static const samp_family FAMILIES[] = {
    {.architecture = "LlamaForCausalLM",
     .model_type = "llama",
     .gguf = "llama",
     .gguf_interleaved = true,
     .rope_theta = 10000},
    {.architecture = "MistralForCausalLM",
     .model_type = "mistral",
     .gguf = "llama",
     .gguf_interleaved = true,
     .window = SAMP_WINDOW_ALL,
     .n_kv_heads = 8,
     .rope_theta = 10000},
    {.architecture = "Qwen2ForCausalLM",
     .model_type = "qwen2",
     .gguf = "qwen2",
     .qkv_bias = true,
     .window = SAMP_WINDOW_SWITCH,
     .n_kv_heads = 32,
     .rope_theta = 10000},
    {.architecture = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .gguf = "qwen3",
     .qk_norm = true,
     .window = SAMP_WINDOW_SWITCH,
     .n_kv_heads = 32,
     .head_dim = 128,
     .rope_theta = 10000},
    {.architecture = "SmolLM3ForCausalLM",
     .model_type = "smollm3",
     .gguf = "smollm3",
     .gguf_interleaved = true,
     .no_rope_layers = true,
     .window = SAMP_WINDOW_SWITCH,
     .n_kv_heads = 4,
     .rope_theta = 2e6,
     .tied_embeddings = true},
};

enum { N_FAMILIES = sizeof FAMILIES / sizeof *FAMILIES };

const samp_family *samp_family_find(const char *architecture)
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(FAMILIES[i].architecture, architecture) == 0) return &FAMILIES[i];
    return NULL;
}

const samp_family *samp_family_of_gguf(const char *name, size_t length)
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strlen(FAMILIES[i].gguf) == length && memcmp(FAMILIES[i].gguf, name, length) == 0)
            return &FAMILIES[i];
    return NULL;
}

void samp_family_names(bool gguf, char *out, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < N_FAMILIES && at < n; i++) {
        const samp_family *family = &FAMILIES[i];
        const char *name = gguf ? family->gguf : family->architecture;
        if (gguf && samp_family_of_gguf(name, strlen(name)) != family) continue; /* named already */
        at += (size_t)snprintf(out + at, n - at, "%s%s", at ? ", " : "", name);
    }
}

/* Makes small Hugging Face folders for tests: random bf16 weights of given shapes. */
#ifndef TESTS_QUANTIZE_MODEL_MAKER_H
#define TESTS_QUANTIZE_MODEL_MAKER_H

#include "base/half.h"
#include "base/memory.h"
#include "base/prng.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct maker_shape {
    uint32_t n_layers, dim, hidden_dim, n_heads, n_kv_heads, vocab_size;
    bool tied;
} maker_shape;

static const maker_shape MAKER_TINY = {2, 128, 192, 4, 2, 160, false};

static inline samp_config maker_config(maker_shape shape)
{
    samp_config config = {.n_layers = shape.n_layers,
                          .dim = shape.dim,
                          .hidden_dim = shape.hidden_dim,
                          .n_heads = shape.n_heads,
                          .n_kv_heads = shape.n_kv_heads,
                          .head_dim = shape.dim / shape.n_heads,
                          .vocab_size = shape.vocab_size,
                          .max_positions = 256,
                          .rms_norm_eps = 1e-5f,
                          .rope_theta = 10000,
                          .tied_embeddings = shape.tied,
                          .bos_token = 1,
                          .eos_tokens = {2},
                          .n_eos_tokens = 1};
    snprintf(config.architecture, sizeof config.architecture, "LlamaForCausalLM");
    return config;
}

static inline void maker_must(samp_status status, const samp_error *error)
{
    if (status == SAMP_OK) return;
    fprintf(stderr, "model_maker: %s\n", error->message);
    abort();
}

/* A repeating stretch of normal values, so that large models are made quickly. */
enum { MAKER_POOL = (1 << 20) + 7 };

static inline uint16_t *maker_pool(uint64_t seed)
{
    uint16_t *pool = samp_alloc(MAKER_POOL, sizeof *pool);
    samp_prng prng = {seed};
    for (size_t i = 0; i < MAKER_POOL; i++)
        pool[i] = samp_float_to_bf16((float)(0.05 * samp_prng_normal(&prng)));
    return pool;
}

static inline void maker_fill(samp_output *output, uint64_t offset, uint64_t elements,
                              const uint16_t *pool, size_t start)
{
    samp_error error;
    for (uint64_t at = 0; at < elements;) {
        uint64_t n = MAKER_POOL - start;
        if (n > elements - at) n = elements - at;
        maker_must(samp_output_write_at(output, offset + at * 2, pool + start, n * 2, &error),
                   &error);
        at += n;
        start = 0;
    }
}

static inline void maker_json(const char *folder, const char *name, json_t *json)
{
    char path[4096];
    samp_error error;
    maker_must(samp_path_join(path, sizeof path, folder, name, &error), &error);
    char *text = json_dumps(json, JSON_INDENT(2));
    maker_must(samp_file_write(path, text, strlen(text), &error), &error);
    free(text);
    json_decref(json);
}

/* folder/config.json, tokenizer.json (a stand-in) and model.safetensors, all weights bf16. */
static inline void maker_model(const char *folder, maker_shape shape, uint64_t seed)
{
    samp_error error;
    samp_config config = maker_config(shape);
    size_t count = samp_weight_count(&config);
    samp_tensor_spec *specs = samp_alloc(count, sizeof *specs);
    uint64_t *offsets = samp_alloc(count, sizeof *offsets), file_size;
    char(*names)[SAMP_TENSOR_NAME_MAX] = samp_alloc(count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        samp_role role;
        uint32_t layer;
        uint64_t rows, cols;
        samp_weight_at(&config, i, &role, &layer);
        samp_role_name(role, layer, names[i]);
        samp_role_shape(role, &config, &rows, &cols);
        bool matrix = samp_role_is_matrix(role);
        specs[i] = (samp_tensor_spec){.name = names[i], .dtype = SAMP_BF16, .rank = matrix ? 2 : 1};
        specs[i].shape[0] = matrix ? rows : cols;
        specs[i].shape[1] = matrix ? cols : 0;
    }
    samp_buffer header = {0};
    maker_must(samp_make_folder(folder, &error), &error);
    maker_must(samp_safetensors_header(specs, count, NULL, 0, &header, offsets, &file_size, &error),
               &error);
    char path[4096];
    samp_output *output;
    maker_must(samp_path_join(path, sizeof path, folder, "model.safetensors", &error), &error);
    maker_must(samp_output_create(&output, path, &error), &error);
    maker_must(samp_output_write(output, header.data, header.length, &error), &error);
    uint16_t *pool = maker_pool(seed);
    for (size_t i = 0; i < count; i++) {
        uint64_t elements = specs[i].shape[0] * (specs[i].rank == 2 ? specs[i].shape[1] : 1);
        maker_fill(output, offsets[i], elements, pool, i * 7919 % MAKER_POOL);
    }
    maker_must(samp_output_commit(output, &error), &error);
    samp_free(pool);
    samp_buffer_release(&header);
    samp_free(specs);
    samp_free(offsets);
    samp_free(names);
    maker_json(folder, "config.json", samp_config_json(&config, "bfloat16"));
    maker_json(folder, "tokenizer.json", json_pack("{s:s}", "version", "1.0"));
}

/* A fresh folder under /tmp (or $TMPDIR), removed by maker_cleanup. */
static inline void maker_scratch(char *out, size_t n)
{
    const char *base = getenv("TMPDIR");
    snprintf(out, n, "%s/samp-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(out)) abort();
}

#endif

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
#include <unistd.h>

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

/* The tensors of a model: names and specs, to be changed by a test before they are written. */
typedef struct maker_tensors {
    size_t n;
    samp_tensor_spec *specs;
    char (*names)[SAMP_TENSOR_NAME_MAX];
} maker_tensors;

static inline maker_tensors maker_tensors_of(const samp_config *config)
{
    size_t n = samp_weight_count(config);
    maker_tensors tensors = {n, samp_alloc(n + 4, sizeof(samp_tensor_spec)),
                             samp_alloc(n + 4, SAMP_TENSOR_NAME_MAX)};
    for (size_t i = 0; i < n; i++) {
        samp_role role;
        uint32_t layer;
        uint64_t rows, cols;
        samp_weight_at(config, i, &role, &layer);
        samp_role_name(role, layer, tensors.names[i]);
        samp_role_shape(role, config, &rows, &cols);
        bool matrix = samp_role_is_matrix(role);
        tensors.specs[i] = (samp_tensor_spec){
            .name = tensors.names[i], .dtype = SAMP_BF16, .rank = matrix ? 2 : 1};
        tensors.specs[i].shape[0] = matrix ? rows : cols;
        tensors.specs[i].shape[1] = matrix ? cols : 0;
    }
    return tensors;
}

static inline void maker_tensors_release(maker_tensors *tensors)
{
    samp_free(tensors->specs);
    samp_free(tensors->names);
}

static inline samp_tensor_spec *maker_find(const maker_tensors *tensors, const char *name)
{
    for (size_t i = 0; i < tensors->n; i++)
        if (strcmp(tensors->specs[i].name, name) == 0) return &tensors->specs[i];
    abort();
}

/* folder/FILE with these tensors, filled with random bf16 values (of whatever type they are). */
static inline void maker_shard(const char *folder, const char *file, const maker_tensors *tensors,
                               uint64_t seed)
{
    samp_error error;
    uint64_t *offsets = samp_alloc(tensors->n, sizeof *offsets), file_size;
    samp_buffer header = {0};
    char path[4096];
    samp_output *output;
    maker_must(samp_safetensors_header(tensors->specs, tensors->n, NULL, 0, &header, offsets,
                                       &file_size, &error),
               &error);
    maker_must(samp_path_join(path, sizeof path, folder, file, &error), &error);
    maker_must(samp_output_create(&output, path, &error), &error);
    maker_must(samp_output_write(output, header.data, header.length, &error), &error);
    uint16_t *pool = maker_pool(seed);
    for (size_t i = 0; i < tensors->n; i++) {
        const samp_tensor_spec *spec = &tensors->specs[i];
        uint64_t elements = spec->shape[0] * (spec->rank == 2 ? spec->shape[1] : 1);
        maker_fill(output, offsets[i], elements * samp_dtype_bits(spec->dtype) / 16, pool,
                   i * 7919 % MAKER_POOL);
    }
    maker_must(samp_output_commit(output, &error), &error);
    samp_free(pool);
    samp_buffer_release(&header);
    samp_free(offsets);
}

/* folder/tokenizer.json with tokens a, b, c and words of no use, one for each row of the embedding
 * (a thousand at most: larger models are made for their size). */
static inline void maker_tokenizer(const char *folder, uint32_t n)
{
    json_t *vocab = json_object();
    for (uint32_t i = 0; i < n && i < 1000; i++) {
        char word[16];
        snprintf(word, sizeof word, i < 3 ? "%c" : "w%u", i < 3 ? 'a' + i : i);
        json_object_set_new(vocab, word, json_integer(i));
    }
    maker_json(folder, "tokenizer.json",
               json_pack("{s:s, s:{s:s, s:o, s:[]}, s:[]}", "version", "1.0", "model", "type",
                         "BPE", "vocab", vocab, "merges", "added_tokens"));
}

/* folder/config.json, tokenizer.json and model.safetensors, all weights bf16. */
static inline void maker_model(const char *folder, maker_shape shape, uint64_t seed)
{
    samp_error error;
    samp_config config = maker_config(shape);
    maker_tensors tensors = maker_tensors_of(&config);
    maker_must(samp_make_folder(folder, &error), &error);
    maker_shard(folder, "model.safetensors", &tensors, seed);
    maker_json(folder, "config.json", samp_config_json(&config, "bfloat16"));
    maker_tokenizer(folder, shape.vocab_size);
    maker_tensors_release(&tensors);
}

/* folder/FILE with these tensors, all zeros, without blocks on the disk. */
static inline void maker_sparse_shard(const char *folder, const char *file,
                                      const maker_tensors *tensors)
{
    samp_error error;
    uint64_t *offsets = samp_alloc(tensors->n, sizeof *offsets), file_size;
    samp_buffer header = {0};
    char path[4096];
    maker_must(samp_safetensors_header(tensors->specs, tensors->n, NULL, 0, &header, offsets,
                                       &file_size, &error),
               &error);
    maker_must(samp_path_join(path, sizeof path, folder, file, &error), &error);
    maker_must(samp_file_write(path, header.data, header.length, &error), &error);
    if (truncate(path, (off_t)file_size) != 0) abort();
    samp_buffer_release(&header);
    samp_free(offsets);
}

/* A model of zeros, sparse, however large; n_shards > 1 cuts it and adds the index. */
static inline void maker_sparse_model(const char *folder, maker_shape shape, size_t n_shards)
{
    samp_error error;
    samp_config config = maker_config(shape);
    maker_tensors tensors = maker_tensors_of(&config);
    json_t *map = json_object();
    maker_must(samp_make_folder(folder, &error), &error);
    for (size_t s = 0; s < n_shards; s++) {
        char file[64] = "model.safetensors";
        size_t first = tensors.n * s / n_shards, end = tensors.n * (s + 1) / n_shards;
        maker_tensors part = {end - first, tensors.specs + first, tensors.names + first};
        if (n_shards > 1)
            snprintf(file, sizeof file, "model-%05zu-of-%05zu.safetensors", s + 1, n_shards);
        maker_sparse_shard(folder, file, &part);
        for (size_t i = first; i < end; i++)
            json_object_set_new(map, tensors.names[i], json_string(file));
    }
    if (n_shards > 1)
        maker_json(folder, "model.safetensors.index.json",
                   json_pack("{s:{}, s:O}", "metadata", "weight_map", map));
    json_decref(map);
    maker_json(folder, "config.json", samp_config_json(&config, "bfloat16"));
    maker_tensors_release(&tensors);
}

/* A fresh folder under /tmp (or $TMPDIR), removed by maker_cleanup. */
static inline void maker_scratch(char *out, size_t n)
{
    const char *base = getenv("TMPDIR");
    snprintf(out, n, "%s/samp-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(out)) abort();
}

#endif

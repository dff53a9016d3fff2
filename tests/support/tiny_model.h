/* Small random Llama models on disk, for tests of everything that runs one: a folder with
 * config.json and model.safetensors in plain floats, and copies of it in any number format.
 *
 * The shapes are chosen to be awkward: widths that are no multiple of 64, grouped heads, more
 * positions than one KV block. Weights are scaled so that logits spread over a few units, as a
 * trained model's do. Functions stop the program on failure: a test that can't write its input has
 * no answer to give. */
#ifndef SAMP_TESTS_SUPPORT_TINY_MODEL_H
#define SAMP_TESTS_SUPPORT_TINY_MODEL_H

#include "base/memory.h"
#include "base/prng.h"
#include "file/file.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void tiny_check(samp_status status, const samp_error *error)
{
    if (status == SAMP_OK) return;
    fprintf(stderr, "tiny model: %s\n", error->message);
    exit(1);
}

/* dim 96 is a multiple of 32 only, 172 of 4: NF4's blocks cross rows; 3 query heads a KV head. */
static inline samp_config tiny_config(void)
{
    samp_config config = {.architecture = "LlamaForCausalLM",
                          .n_layers = 2,
                          .dim = 96,
                          .hidden_dim = 172,
                          .n_heads = 6,
                          .n_kv_heads = 2,
                          .head_dim = 16,
                          .vocab_size = 203,
                          .max_positions = 512,
                          .rms_norm_eps = 1e-5f,
                          .rope_theta = 10000,
                          .tied_embeddings = true,
                          .bos_token = 1,
                          .eos_tokens = {2},
                          .n_eos_tokens = 1};
    return config;
}

/* Every width a multiple of 64, so that every format takes its integer path. */
static inline samp_config tiny_config_even(void)
{
    samp_config config = tiny_config();
    config.dim = 128;
    config.hidden_dim = 192;
    config.n_heads = 4;
    config.head_dim = 32;
    config.tied_embeddings = false;
    return config;
}

/* A new folder under the temporary folder; release with tiny_remove. */
static inline char *tiny_folder(void)
{
    const char *base = getenv("TMPDIR");
    char path[256];
    snprintf(path, sizeof path, "%s/samp-tiny-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) {
        perror(path);
        exit(1);
    }
    return samp_strdup(path);
}

static inline void tiny_remove(char *folder)
{
    samp_error error;
    tiny_check(samp_remove_folder(folder, &error), &error);
    samp_free(folder);
}

static inline void tiny_write_json(const char *folder, json_t *json)
{
    samp_error error;
    char path[512], *text = json_dumps(json, JSON_INDENT(1));
    tiny_check(samp_path_join(path, sizeof path, folder, "config.json", &error), &error);
    tiny_check(samp_file_write(path, text, strlen(text), &error), &error);
    free(text);
    json_decref(json);
}

/* One tensor of a file being put together. */
typedef struct tiny_tensor {
    char name[SAMP_TENSOR_NAME_MAX];
    samp_tensor_spec spec;
    void *bytes;
    uint64_t n_bytes;
} tiny_tensor;

typedef struct tiny_file {
    tiny_tensor *tensors;
    size_t n, capacity;
} tiny_file;

static inline void tiny_add(tiny_file *file, const char *name, samp_dtype dtype, int rank,
                            const uint64_t *shape, const void *bytes, uint64_t n_bytes)
{
    if (file->n == file->capacity) {
        file->capacity = file->capacity ? 2 * file->capacity : 64;
        file->tensors = samp_realloc(file->tensors, file->capacity, sizeof *file->tensors);
    }
    tiny_tensor *tensor = &file->tensors[file->n++];
    *tensor = (tiny_tensor){.spec = {.dtype = dtype, .rank = rank}, .n_bytes = n_bytes};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    memcpy(tensor->spec.shape, shape, (size_t)rank * sizeof *shape);
    tensor->bytes = samp_alloc(n_bytes, 1);
    memcpy(tensor->bytes, bytes, n_bytes);
}

/* Writes folder/model.safetensors and releases the file. */
static inline void tiny_commit(tiny_file *file, const char *folder)
{
    samp_error error;
    char path[512];
    samp_buffer header = {0};
    samp_output *output;
    uint64_t size, *offsets = samp_alloc(file->n, sizeof *offsets);
    samp_tensor_spec *specs = samp_alloc(file->n, sizeof *specs);
    for (size_t i = 0; i < file->n; i++) {
        specs[i] = file->tensors[i].spec;
        specs[i].name = file->tensors[i].name;
    }
    tiny_check(samp_safetensors_header(specs, file->n, NULL, 0, &header, offsets, &size, &error),
               &error);
    tiny_check(samp_path_join(path, sizeof path, folder, "model.safetensors", &error), &error);
    tiny_check(samp_output_create(&output, path, &error), &error);
    tiny_check(samp_output_write(output, header.data, header.length, &error), &error);
    for (size_t i = 0; i < file->n; i++) {
        const tiny_tensor *tensor = &file->tensors[i];
        tiny_check(samp_output_write_at(output, offsets[i], tensor->bytes, tensor->n_bytes, &error),
                   &error);
        samp_free(tensor->bytes);
    }
    tiny_check(samp_output_commit(output, &error), &error);
    samp_buffer_release(&header);
    samp_free(specs);
    samp_free(offsets);
    samp_free(file->tensors);
}

/* Random weights of one role: norms near 1, embeddings near 1, matrices 2/sqrt(cols), with a few
 * large values, so that scales and outliers matter. */
static inline void tiny_weight(tiny_file *file, const samp_config *config, samp_role role,
                               uint32_t layer, samp_prng *prng)
{
    uint64_t rows, cols;
    char name[SAMP_TENSOR_NAME_MAX];
    samp_role_shape(role, config, &rows, &cols);
    samp_role_name(role, layer, name);
    bool matrix = samp_role_is_matrix(role);
    double scale =
        role == SAMP_ROLE_EMBED ? (config->tied_embeddings ? 0.3 : 1) : 2 / sqrt((double)cols);
    float *values = samp_alloc(rows * cols, sizeof *values);
    for (uint64_t i = 0; i < rows * cols; i++) {
        double x = samp_prng_normal(prng);
        if (samp_prng_below(prng, 500) == 0) x *= 6;
        values[i] = (float)(matrix ? x * scale : 1 + 0.2 * x);
    }
    uint64_t shape[2] = {rows, cols};
    tiny_add(file, name, SAMP_F32, matrix ? 2 : 1, matrix ? shape : &shape[1], values,
             rows * cols * sizeof *values);
    samp_free(values);
}

/* Writes a model of this shape in fp32. */
static inline void tiny_write(const char *folder, const samp_config *config, uint64_t seed)
{
    samp_prng prng = {seed};
    tiny_file file = {0};
    for (int role = 0; role < SAMP_ROLE_COUNT; role++) {
        if (!samp_role_present((samp_role)role, config)) continue;
        uint32_t n = samp_role_is_per_layer((samp_role)role) ? config->n_layers : 1;
        for (uint32_t layer = 0; layer < n; layer++)
            tiny_weight(&file, config, (samp_role)role, layer, &prng);
    }
    tiny_commit(&file, folder);
    tiny_write_json(folder, samp_config_json(config, "float32"));
}

/* One weight of `model` in another format, all parts. */
static inline void tiny_encode(tiny_file *file, samp_model *model, const samp_weight_ref *ref,
                               const samp_format *format)
{
    samp_error error;
    samp_layout layout;
    void *scales[SAMP_PARTS_MAX] = {0}, *parts[SAMP_PARTS_MAX] = {0};
    uint64_t rows = ref->layout.rows, cols = ref->layout.cols;
    float *w = samp_alloc(rows * cols, sizeof *w);
    tiny_check(samp_model_read_rows(model, ref, 0, rows, scales, w, &error), &error);
    samp_model_free_parts(scales);
    tiny_check(format->layout(rows, cols, &layout, &error), &error);
    for (int i = 0; i < layout.n_parts; i++) parts[i] = samp_alloc(layout.parts[i].bytes, 1);
    float *work = samp_alloc(layout.work_floats, sizeof *work);
    format->encode(&layout, w, 0, rows, &(samp_encode_options){0}, parts, work);
    if (format->finish) tiny_check(format->finish(&layout, parts, work, &error), &error);
    for (int i = 0; i < layout.n_parts; i++) {
        const samp_part *part = &layout.parts[i];
        char name[SAMP_TENSOR_NAME_MAX];
        tiny_check(samp_part_name(name, sizeof name, ref->name, part, &error), &error);
        bool norm = !samp_role_is_matrix(ref->role);
        tiny_add(file, name, part->dtype, norm ? 1 : part->rank, norm ? &cols : part->shape,
                 parts[i], part->bytes);
    }
    samp_model_free_parts(parts);
    samp_free(work);
    samp_free(w);
}

/* Copies a model with every matrix in `format`, but for the head's first `first_rows` rows, which
 * are a weight of their own in `first` (first_rows 0: they are not); norms stay fp32. */
static inline void tiny_quantize_cut(const char *from, const char *to, samp_format_id format,
                                     int activation_bits, uint64_t first_rows, samp_format_id first)
{
    samp_error error;
    samp_model *model;
    tiny_file file = {0};
    tiny_check(samp_model_open(&model, from, &error), &error);
    if (first_rows) tiny_check(samp_model_cut_head(model, first_rows, &error), &error);
    size_t n = samp_model_count(model);
    const samp_format **formats = samp_alloc(n, sizeof *formats);
    int *bits = samp_alloc(n, sizeof *bits);
    for (size_t i = 0; i < n; i++) {
        const samp_weight_ref *ref = samp_model_at(model, i);
        bool own = first_rows && ref == samp_model_weight(model, SAMP_ROLE_HEAD, 0);
        bool matrix = samp_role_is_matrix(ref->role);
        if (matrix) formats[i] = samp_format_get(own ? first : format);
        bits[i] = activation_bits;
        tiny_encode(&file, model, ref, matrix ? formats[i] : samp_format_get(SAMP_FORMAT_FP32));
    }
    tiny_commit(&file, to);
    json_t *json = samp_config_json(samp_model_config(model), "float32");
    json_object_set_new(json, "quantization_config",
                        samp_quantization_config(model, formats, bits, "test"));
    tiny_write_json(to, json);
    samp_free(bits);
    samp_free(formats);
    samp_model_close(model);
}

static inline void tiny_quantize(const char *from, const char *to, samp_format_id format,
                                 int activation_bits)
{
    tiny_quantize_cut(from, to, format, activation_bits, 0, format);
}

#endif

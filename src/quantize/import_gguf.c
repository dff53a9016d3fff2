/* GGUF (architecture "llama") as an import source: config from the metadata, weights by their GGUF
 * names. */
#include "base/memory.h"
#include "file/rope_rows.h"
#include "quantize/import_source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* role, name in a GGUF file */
#define GGUF_NAME_LIST(X)                                                                          \
    X(EMBED, "token_embd.weight")                                                                  \
    X(ATTN_NORM, "attn_norm.weight")                                                               \
    X(Q, "attn_q.weight")                                                                          \
    X(K, "attn_k.weight")                                                                          \
    X(V, "attn_v.weight")                                                                          \
    X(O, "attn_output.weight")                                                                     \
    X(MLP_NORM, "ffn_norm.weight")                                                                 \
    X(GATE, "ffn_gate.weight")                                                                     \
    X(UP, "ffn_up.weight")                                                                         \
    X(DOWN, "ffn_down.weight")                                                                     \
    X(FINAL_NORM, "output_norm.weight")                                                            \
    X(HEAD, "output.weight")

static const char ROPE_FREQUENCIES[] = "rope_freqs.weight";

typedef struct gguf_state {
    samp_gguf *gguf;
    const samp_gguf_tensor **tensors; /* by samp_weight_index */
} gguf_state;

static void gguf_name(samp_role role, uint32_t layer, char *out, size_t n)
{
    static const char *const names[SAMP_ROLE_COUNT] = {
#define X(id, name) [SAMP_ROLE_##id] = name,
        GGUF_NAME_LIST(X)
#undef X
    };
    if (samp_role_is_per_layer(role))
        snprintf(out, n, "blk.%u.%s", layer, names[role]);
    else
        snprintf(out, n, "%s", names[role]);
}

/* ---- metadata -------------------------------------------------------------------------------- */

static samp_status integer(const samp_gguf *gguf, const char *path, const char *key, int64_t max,
                           uint32_t *out, samp_error *error)
{
    int64_t value;
    if (!samp_gguf_integer(gguf, key, &value))
        return samp_fail(error, SAMP_CORRUPT, "%s: metadata \"%s\" is missing or not an integer",
                         path, key);
    if (value < 1 || value > max)
        return samp_fail(error, SAMP_CORRUPT, "%s: metadata \"%s\" is %lld, expected 1 to %lld",
                         path, key, (long long)value, (long long)max);
    *out = (uint32_t)value;
    return SAMP_OK;
}

static bool text_is(samp_gguf_string text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static samp_status check_architecture(const samp_gguf *gguf, const char *path, samp_error *error)
{
    samp_gguf_string name = {"", 0};
    samp_gguf_text(gguf, "general.architecture", &name);
    if (!text_is(name, "llama"))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: architecture \"%.*s\" is not supported, supported is \"llama\"", path,
                         (int)(name.length < 60 ? name.length : 60), name.data);
    int64_t experts = 0;
    if (samp_gguf_integer(gguf, "llama.expert_count", &experts) && experts > 0)
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s is a mixture of %lld experts, which is not supported", path,
                         (long long)experts);
    return SAMP_OK;
}

static samp_status read_sizes(const samp_gguf *gguf, const char *path, samp_config *config,
                              samp_error *error)
{
    const int64_t max = INT32_MAX;
    SAMP_TRY(integer(gguf, path, "llama.block_count", max, &config->n_layers, error));
    SAMP_TRY(integer(gguf, path, "llama.embedding_length", max, &config->dim, error));
    SAMP_TRY(integer(gguf, path, "llama.feed_forward_length", max, &config->hidden_dim, error));
    SAMP_TRY(integer(gguf, path, "llama.attention.head_count", max, &config->n_heads, error));
    SAMP_TRY(integer(gguf, path, "llama.context_length", max, &config->max_positions, error));
    config->n_kv_heads = config->n_heads;
    int64_t unused;
    if (samp_gguf_integer(gguf, "llama.attention.head_count_kv", &unused))
        SAMP_TRY(
            integer(gguf, path, "llama.attention.head_count_kv", max, &config->n_kv_heads, error));
    config->head_dim = config->dim / config->n_heads;
    static const char *const same[] = {"llama.attention.key_length", "llama.attention.value_length",
                                       "llama.rope.dimension_count"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        uint32_t length = 0;
        if (!samp_gguf_integer(gguf, same[i], &unused)) continue;
        SAMP_TRY(integer(gguf, path, same[i], max, &length, error));
        if (i == 0) config->head_dim = length;
        if (length != config->head_dim)
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s: metadata \"%s\" is %u, heads have %u dimensions; only equal "
                             "lengths are supported",
                             path, same[i], length, config->head_dim);
    }
    const samp_gguf_tensor *embedding = samp_gguf_find(gguf, "token_embd.weight");
    if (!embedding || embedding->rank != 2 || embedding->shape[1] > INT32_MAX)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: tensor token_embd.weight is missing or no matrix", path);
    config->vocab_size = (uint32_t)embedding->shape[1];
    config->tied_embeddings = samp_gguf_find(gguf, "output.weight") == NULL;
    return SAMP_OK;
}

static void read_tokens(const samp_gguf *gguf, samp_config *config)
{
    int64_t id;
    config->bos_token = -1;
    if (samp_gguf_integer(gguf, "tokenizer.ggml.bos_token_id", &id) && id >= 0 && id <= INT32_MAX)
        config->bos_token = (int32_t)id;
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.eot_token_id"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (!samp_gguf_integer(gguf, ends[i], &id) || id < 0 || id > INT32_MAX) continue;
        if (config->n_eos_tokens && config->eos_tokens[0] == id) continue;
        config->eos_tokens[config->n_eos_tokens++] = (int32_t)id;
    }
}

/* ---- rope scaling ---------------------------------------------------------------------------- */

/* Llama 3.1 and later: the file holds, for each frequency, what it is divided by. All published
 * models use the same blend (factors 1 and 4, 8,192 positions) and differ in the largest divisor;
 * other tables are refused, because config.json could not express them. */
static samp_status read_rope_table(samp_gguf *gguf, const samp_gguf_tensor *tensor,
                                   const char *path, samp_config *config, samp_error *error)
{
    uint32_t half = config->head_dim / 2;
    if (tensor->rank != 1 || tensor->shape[0] != half || half == 0)
        return samp_fail(error, SAMP_CORRUPT, "%s: tensor %s has not the %u values of half a head",
                         path, ROPE_FREQUENCIES, half);
    float *divisors = samp_alloc(half, sizeof *divisors);
    double *plain = samp_alloc(half, sizeof *plain), *scaled = samp_alloc(half, sizeof *scaled);
    samp_status status = divisors && plain && scaled
                             ? samp_gguf_rows(gguf, tensor, 0, 1, divisors, error)
                             : samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    bool known = status == SAMP_OK;
    if (known) {
        samp_rope_frequencies(config, plain);
        config->rope_scaling = SAMP_ROPE_LLAMA3;
        config->rope_factor = (double)divisors[half - 1];
        config->rope_low_freq_factor = 1;
        config->rope_high_freq_factor = 4;
        config->rope_original_positions = 8192;
        samp_rope_frequencies(config, scaled);
    }
    for (uint32_t i = 0; known && i < half; i++)
        known = fabs(plain[i] / scaled[i] - (double)divisors[i]) <= 1e-3 * (double)divisors[i];
    if (status == SAMP_OK && !known)
        status = samp_fail(error, SAMP_UNSUPPORTED,
                           "%s: tensor %s is not the rope scaling of Llama 3 (low factor 1, high "
                           "factor 4, 8192 original positions)",
                           path, ROPE_FREQUENCIES);
    samp_free(divisors);
    samp_free(plain);
    samp_free(scaled);
    return status;
}

static samp_status read_rope(samp_gguf *gguf, const char *path, samp_config *config,
                             samp_error *error)
{
    double factor = 1;
    samp_gguf_number(gguf, "llama.rope.scale_linear", &factor); /* how old files say linear */
    samp_gguf_string type = {"", 0};
    if (samp_gguf_text(gguf, "llama.rope.scaling.type", &type)) {
        if (text_is(type, "linear"))
            samp_gguf_number(gguf, "llama.rope.scaling.factor", &factor);
        else if (!text_is(type, "none"))
            return samp_fail(
                error, SAMP_UNSUPPORTED,
                "%s: rope scaling \"%.*s\" is not supported, supported are none, linear "
                "and Llama 3's",
                path, (int)(type.length < 60 ? type.length : 60), type.data);
    }
    if (factor != 1) {
        config->rope_scaling = SAMP_ROPE_LINEAR;
        config->rope_factor = factor;
    }
    const samp_gguf_tensor *table = samp_gguf_find(gguf, ROPE_FREQUENCIES);
    if (!table) return SAMP_OK;
    if (factor != 1)
        return samp_fail(error, SAMP_UNSUPPORTED, "%s has both linear rope scaling and %s", path,
                         ROPE_FREQUENCIES);
    return read_rope_table(gguf, table, path, config, error);
}

static samp_status read_config(samp_import_source *source, samp_gguf *gguf, samp_error *error)
{
    samp_config *config = &source->config;
    SAMP_TRY(check_architecture(gguf, source->path, error));
    snprintf(config->architecture, sizeof config->architecture, "LlamaForCausalLM");
    SAMP_TRY(read_sizes(gguf, source->path, config, error));
    double eps = 1e-5;
    samp_gguf_number(gguf, "llama.attention.layer_norm_rms_epsilon", &eps);
    config->rms_norm_eps = (float)eps;
    config->rope_theta = 10000;
    samp_gguf_number(gguf, "llama.rope.freq_base", &config->rope_theta);
    read_tokens(gguf, config);
    SAMP_TRY(samp__import_check(source, error));
    return read_rope(gguf, source->path, config, error);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static samp_status find_tensor(const gguf_state *state, const char *path, const samp_config *config,
                               size_t index, samp_error *error)
{
    samp_role role;
    uint32_t layer;
    uint64_t rows, cols;
    samp_weight_at(config, index, &role, &layer);
    samp_role_shape(role, config, &rows, &cols);
    char name[64];
    gguf_name(role, layer, name, sizeof name);
    const samp_gguf_tensor *tensor = samp_gguf_find(state->gguf, name);
    if (!tensor) return samp_fail(error, SAMP_MISMATCH, "%s: tensor %s is missing", path, name);
    int rank = samp_role_is_matrix(role) ? 2 : 1;
    if (tensor->rank != rank || tensor->shape[0] != cols || (rank == 2 && tensor->shape[1] != rows))
        return samp_fail(error, SAMP_MISMATCH,
                         "%s: tensor %s has not the shape %llu x %llu that the metadata asks for",
                         path, name, (unsigned long long)rows, (unsigned long long)cols);
    state->tensors[index] = tensor;
    return SAMP_OK;
}

/* A tensor nobody reads (a bias, an adapter) would silently change the model. */
static samp_status refuse_extra(const gguf_state *state, const char *path, size_t count,
                                samp_error *error)
{
    size_t known = count + (samp_gguf_find(state->gguf, ROPE_FREQUENCIES) ? 1 : 0);
    if (samp_gguf_count(state->gguf) == known) return SAMP_OK;
    for (size_t i = 0; i < samp_gguf_count(state->gguf); i++) {
        const samp_gguf_tensor *tensor = samp_gguf_at(state->gguf, i);
        bool used = strcmp(tensor->name, ROPE_FREQUENCIES) == 0;
        for (size_t k = 0; k < count && !used; k++) used = state->tensors[k] == tensor;
        if (!used)
            return samp_fail(error, SAMP_UNSUPPORTED,
                             "%s: tensor %.200s is no part of the Llama architecture as it is read "
                             "here",
                             path, tensor->name);
    }
    return SAMP_OK;
}

static samp_status gguf_rows(const samp_import_source *source, samp_role role, uint32_t layer,
                             uint64_t row0, uint64_t n_rows, float *out, samp_error *error)
{
    const gguf_state *state = source->state;
    const samp_gguf_tensor *tensor =
        state->tensors[samp_weight_index(&source->config, role, layer)];
    if (role != SAMP_ROLE_Q && role != SAMP_ROLE_K)
        return samp_gguf_rows(state->gguf, tensor, row0, n_rows, out, error);
    const samp_config *config = &source->config;
    uint32_t n_heads = role == SAMP_ROLE_Q ? config->n_heads : config->n_kv_heads;
    for (uint64_t i = 0; i < n_rows; i++) {
        uint64_t row = samp_unpermute_row(n_heads, config->head_dim, row0 + i);
        SAMP_TRY(samp_gguf_rows(state->gguf, tensor, row, 1, out + i * tensor->shape[0], error));
    }
    return SAMP_OK;
}

static samp_status gguf_tokenizer(const samp_import_source *source, const char *tokenizer_path,
                                  samp_tokenizer **out, samp_error *error)
{
    (void)tokenizer_path; /* it is in the file */
    return samp_tokenizer_from_gguf(out, ((const gguf_state *)source->state)->gguf, error);
}

static void gguf_close(samp_import_source *source)
{
    gguf_state *state = source->state;
    if (!state) return;
    samp_gguf_close(state->gguf);
    samp_free(state->tensors);
    samp_free(state);
    source->state = NULL;
}

static samp_status open_gguf(samp_import_source *source, gguf_state *state, samp_error *error)
{
    SAMP_TRY(samp_gguf_open(&state->gguf, source->path, error));
    SAMP_TRY(read_config(source, state->gguf, error));
    size_t count = samp_weight_count(&source->config);
    state->tensors = samp_alloc(count, sizeof *state->tensors);
    if (!state->tensors) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", source->path);
    for (size_t i = 0; i < count; i++)
        SAMP_TRY(find_tensor(state, source->path, &source->config, i, error));
    return refuse_extra(state, source->path, count, error);
}

samp_status samp__import_gguf(samp_import_source *out, const char *path, samp_error *error)
{
    gguf_state *state = samp_alloc(1, sizeof *state);
    *out = (samp_import_source){.kind = "GGUF",
                                .path = path,
                                .rows = gguf_rows,
                                .tokenizer = gguf_tokenizer,
                                .close = gguf_close,
                                .state = state};
    if (!state) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    samp_status status = open_gguf(out, state, error);
    if (status != SAMP_OK) gguf_close(out);
    return status;
}

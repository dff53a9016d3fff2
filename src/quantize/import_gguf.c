/* GGUF as an import source, of the architectures of model/family.h: weights by their GGUF names, rows
 * of q and k in Hugging Face's order. The config comes from the metadata (import_gguf_config.c). */
#include "base/memory.h"
#include "file/rope_rows.h"
#include "quantize/import_gguf.h"

#include <stdio.h>
#include <string.h>

/* role, name in a GGUF file */
#define GGUF_NAME_LIST(X)                                                                          \
    X(EMBED, "token_embd.weight")                                                                  \
    X(ATTN_NORM, "attn_norm.weight")                                                               \
    X(Q, "attn_q.weight")                                                                          \
    X(K, "attn_k.weight")                                                                          \
    X(V, "attn_v.weight")                                                                          \
    X(Q_BIAS, "attn_q.bias")                                                                       \
    X(K_BIAS, "attn_k.bias")                                                                       \
    X(V_BIAS, "attn_v.bias")                                                                       \
    X(Q_NORM, "attn_q_norm.weight")                                                                \
    X(K_NORM, "attn_k_norm.weight")                                                                \
    X(O, "attn_output.weight")                                                                     \
    X(MLP_NORM, "ffn_norm.weight")                                                                 \
    X(GATE, "ffn_gate.weight")                                                                     \
    X(UP, "ffn_up.weight")                                                                         \
    X(DOWN, "ffn_down.weight")                                                                     \
    X(FINAL_NORM, "output_norm.weight")                                                            \
    X(HEAD, "output.weight")

/* A weight's tensor, and the file that has it. */
typedef struct place {
    samp_gguf *file;
    const samp_gguf_tensor *tensor;
} place;

typedef struct gguf_state {
    samp_gguf_set set;
    const samp_family *family;
    place *places; /* by samp_weight_index */
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

/* ---- tensors --------------------------------------------------------------------------------- */

static samp_status find_tensor(gguf_state *state, const char *path, const samp_config *config,
                               size_t index, samp_error *error)
{
    samp_role role;
    uint32_t layer;
    uint64_t rows, cols;
    samp_weight_at(config, index, &role, &layer);
    samp_role_shape(role, config, &rows, &cols);
    char name[64];
    gguf_name(role, layer, name, sizeof name);
    place *found = &state->places[index];
    const samp_gguf_tensor *tensor = samp_gguf_set_find(&state->set, name, &found->file);
    if (!tensor) return samp_fail(error, SAMP_MISMATCH, "%s: tensor %s is missing", path, name);
    int rank = samp_role_is_matrix(role) ? 2 : 1;
    if (tensor->rank != rank || tensor->shape[0] != cols || (rank == 2 && tensor->shape[1] != rows))
        return samp_fail(error, SAMP_MISMATCH,
                         "%s: tensor %s has not the shape %llu x %llu that the metadata asks for",
                         path, name, (unsigned long long)rows, (unsigned long long)cols);
    found->tensor = tensor;
    return SAMP_OK;
}

static bool is_used(const gguf_state *state, size_t count, const samp_gguf_tensor *tensor)
{
    for (size_t k = 0; k < count; k++)
        if (state->places[k].tensor == tensor) return true;
    return strcmp(tensor->name, samp__gguf_rope_divisors) == 0;
}

/* A tensor nobody reads (a bias, an adapter) would silently change the model. */
static samp_status refuse_extra(const gguf_state *state, const samp_import_source *source,
                                size_t count, samp_error *error)
{
    samp_gguf *unused;
    size_t known = count;
    if (samp_gguf_set_find(&state->set, samp__gguf_rope_divisors, &unused)) known++;
    if (samp_gguf_set_count(&state->set) == known) return SAMP_OK;
    for (uint32_t f = 0; f < state->set.n; f++)
        for (size_t i = 0; i < samp_gguf_count(state->set.files[f]); i++) {
            const samp_gguf_tensor *tensor = samp_gguf_at(state->set.files[f], i);
            if (!is_used(state, count, tensor))
                return samp_fail(error, SAMP_UNSUPPORTED,
                                 "%s: tensor %.200s is no part of a %s as it is read here",
                                 state->set.paths[f], tensor->name, source->config.architecture);
        }
    return SAMP_OK;
}

static samp_status gguf_rows(const samp_import_source *source, samp_role role, uint32_t layer,
                             uint64_t row0, uint64_t n_rows, float *out, samp_error *error)
{
    const gguf_state *state = source->state;
    const samp_config *config = &source->config;
    const place *from = &state->places[samp_weight_index(config, role, layer)];
    bool rotated = role == SAMP_ROLE_Q || role == SAMP_ROLE_K;
    if (!rotated || !state->family->gguf_interleaved)
        return samp_gguf_rows(from->file, from->tensor, row0, n_rows, out, error);
    uint32_t n_heads = role == SAMP_ROLE_Q ? config->n_heads : config->n_kv_heads;
    for (uint64_t i = 0; i < n_rows; i++) {
        uint64_t row = samp_unpermute_row(n_heads, config->head_dim, row0 + i);
        SAMP_TRY(samp_gguf_rows(from->file, from->tensor, row, 1, out + i * from->tensor->shape[0],
                                error));
    }
    return SAMP_OK;
}

static samp_status gguf_tokenizer(const samp_import_source *source, const char *tokenizer_path,
                                  samp_tokenizer **out, samp_error *error)
{
    (void)tokenizer_path; /* it is in the file */
    const gguf_state *state = source->state;
    return samp_tokenizer_from_gguf(out, state->set.files[0], error);
}

static void gguf_close(samp_import_source *source)
{
    gguf_state *state = source->state;
    if (!state) return;
    samp_gguf_set_close(&state->set);
    samp_free(state->places);
    samp_free(state);
    source->state = NULL;
}

static samp_status open_gguf(samp_import_source *source, gguf_state *state, samp_error *error)
{
    SAMP_TRY(samp_gguf_set_open(&state->set, source->path, error));
    source->n_files = state->set.n;
    source->files = (const char *const *)state->set.paths;
    SAMP_TRY(samp__import_gguf_config(source, &state->set, &state->family, error));
    size_t count = samp_weight_count(&source->config);
    state->places = samp_alloc(count, sizeof *state->places);
    if (!state->places) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", source->path);
    for (size_t i = 0; i < count; i++)
        SAMP_TRY(find_tensor(state, source->path, &source->config, i, error));
    return refuse_extra(state, source, count, error);
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

/* Bringing a model to a device: weights one tensor at a time, the rope table, the tensors of a
 * step.
 *
 * Memory: the host holds one tensor's bytes at a time; what was created on the device is listed in
 * the network and released in samp__network_release, also after a load that failed half-way. */
#include "run/network.h"

#include "base/memory.h"

#include <string.h>

static const samp_weight **matrix_slot(samp__network *network, samp_role role, uint32_t layer,
                                       bool rest)
{
    switch (role) {
    case SAMP_ROLE_EMBED: return &network->embed[rest];
    case SAMP_ROLE_Q: return &network->layers[layer].qkv[0];
    case SAMP_ROLE_K: return &network->layers[layer].qkv[1];
    case SAMP_ROLE_V: return &network->layers[layer].qkv[2];
    case SAMP_ROLE_O: return &network->layers[layer].o[0];
    case SAMP_ROLE_GATE: return &network->layers[layer].gate_up[0];
    case SAMP_ROLE_UP: return &network->layers[layer].gate_up[1];
    case SAMP_ROLE_DOWN: return &network->layers[layer].down[0];
    default: return &network->head[rest];
    }
}

static const samp_tensor **norm_slot(samp__network *network, samp_role role, uint32_t layer)
{
    switch (role) {
    case SAMP_ROLE_ATTN_NORM: return &network->layers[layer].attn_norm;
    case SAMP_ROLE_MLP_NORM: return &network->layers[layer].mlp_norm;
    default: return &network->final_norm;
    }
}

static samp_status load_matrix(samp__network *network, samp_model *model,
                               const samp_weight_ref *ref, samp_error *error)
{
    void *parts[SAMP_PARTS_MAX] = {0};
    SAMP_TRY(samp_model_read_parts(model, ref, parts, error));
    samp_weight_source source = {.name = ref->name,
                                 .format = ref->format,
                                 .layout = &ref->layout,
                                 .parts = (const void *const *)parts,
                                 .activation_bits = ref->activation_bits,
                                 .embed = ref->role == SAMP_ROLE_EMBED};
    samp_weight *weight = NULL;
    samp_status status = network->backend->weight_create(network->device, &source, &weight, error);
    samp_model_free_parts(parts);
    SAMP_TRY(status);
    network->weights[network->n_weights++] = weight;
    bool rest = ref == samp_model_head_rest(model);
    *matrix_slot(network, ref->role, ref->layer, rest) = weight;
    return SAMP_OK;
}

samp_status samp__network_upload(samp__network *network, const float *values, size_t n,
                                 samp_tensor **out, samp_error *error)
{
    SAMP_TRY(network->backend->tensor_create(network->device, n, out, error));
    samp_status status = network->backend->tensor_set(network->device, *out, values, n, error);
    if (status != SAMP_OK) {
        network->backend->tensor_release(network->device, *out);
        *out = NULL;
    }
    return status;
}

static samp_status load_norm(samp__network *network, samp_model *model, const samp_weight_ref *ref,
                             samp_error *error)
{
    float *values = samp_alloc(network->config.dim, sizeof *values);
    if (!values) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", ref->name);
    samp_tensor *tensor = NULL;
    samp_status status = samp_model_read_vector(model, ref, values, error);
    if (status == SAMP_OK)
        status = samp__network_upload(network, values, network->config.dim, &tensor, error);
    samp_free(values);
    SAMP_TRY(status);
    network->norms[network->n_norms++] = tensor;
    *norm_slot(network, ref->role, ref->layer) = tensor;
    return SAMP_OK;
}

static samp_status load_weights(samp__network *network, samp_model *model,
                                const samp_progress *progress, samp_error *error)
{
    size_t n = samp_model_count(model);
    uint64_t done = 0, total = 0;
    for (size_t i = 0; i < n; i++) total += samp_model_at(model, i)->layout.bytes;
    for (size_t i = 0; i < n; i++) {
        const samp_weight_ref *ref = samp_model_at(model, i);
        if (samp_role_is_matrix(ref->role))
            SAMP_TRY(load_matrix(network, model, ref, error));
        else
            SAMP_TRY(load_norm(network, model, ref, error));
        done += ref->layout.bytes;
        if (!samp_progress_report(progress, "load", done, total))
            return samp_fail(error, SAMP_CANCELLED, "%s: loading was cancelled",
                             samp_model_folder(model));
    }
    if (!network->head[0]) memcpy(network->head, network->embed, sizeof network->head);
    return SAMP_OK;
}

void samp__network_shape_head(samp__network *network, const samp_model *model)
{
    const samp_weight_ref *rest = samp_model_head_rest(model);
    network->n_head = rest ? 2 : 1;
    network->n_embed = network->config.tied_embeddings ? network->n_head : 1;
    network->head_rows[0] = (uint32_t)samp_model_weight(model, SAMP_ROLE_HEAD, 0)->layout.rows;
    network->head_rows[1] = rest ? (uint32_t)rest->layout.rows : 0;
}

/* cos and sin of position * frequency: in double, because the angle of a late position needs more
 * than the 24 bits of a float to be known to a float's precision. */
samp_status samp__network_rope(samp__network *network, uint32_t n_positions, samp_error *error)
{
    uint32_t half = network->config.head_dim / 2;
    uint64_t n;
    bool fits = samp_mul((uint64_t)n_positions * 2, half, &n);
    float *table = fits ? samp_alloc(n, sizeof *table) : NULL;
    double *frequencies = samp_alloc(half, sizeof *frequencies);
    samp_status status = SAMP_OK;
    if (!table || !frequencies) {
        status = samp_fail(error, SAMP_NOMEM, "out of memory for the rotations of %u positions",
                           n_positions);
    } else {
        samp_rope_frequencies(&network->config, frequencies);
        for (size_t position = 0; position < n_positions; position++)
            for (size_t i = 0; i < half; i++) {
                double angle = (double)position * frequencies[i];
                table[(position * half + i) * 2] = (float)cos(angle);
                table[(position * half + i) * 2 + 1] = (float)sin(angle);
            }
        status = samp__network_upload(network, table, n, &network->rope, error);
    }
    samp_free(frequencies);
    samp_free(table);
    return status;
}

/* Every matrix is read once a token, but for the embedding, of which a token reads one row. */
static uint64_t bytes_a_token(const samp__network *network)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < network->n_weights; i++)
        if (network->weights[i] != network->embed[0] || network->embed[0] == network->head[0])
            bytes += network->backend->weight_bytes(network->weights[i]);
    return bytes;
}

samp_status samp__network_load(samp__network *network, samp_model *model, uint32_t n_positions,
                               const samp_progress *progress, samp_error *error)
{
    network->config = *samp_model_config(model);
    samp__network_shape_head(network, model);
    network->layers = samp_alloc(network->config.n_layers, sizeof *network->layers);
    network->weights = samp_alloc(samp_model_count(model), sizeof *network->weights);
    network->norms = samp_alloc(samp_model_count(model), sizeof *network->norms);
    if (!network->layers || !network->weights || !network->norms)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory", samp_model_folder(model));
    SAMP_TRY(load_weights(network, model, progress, error));
    SAMP_TRY(samp__network_rope(network, n_positions, error));
    network->weight_bytes = bytes_a_token(network);
    return SAMP_OK;
}

/* ---- the tensors of a step ---- */

static void drop(samp__network *network, samp_tensor *tensor)
{
    if (tensor) network->backend->tensor_release(network->device, tensor);
}

typedef struct room {
    samp_tensor **tensor;
    uint64_t width; /* floats a row */
} room;

static samp_status grow(samp__network *network, const room *rooms, size_t n_rooms, uint32_t n,
                        uint32_t *have, samp_error *error)
{
    if (n <= *have) return SAMP_OK;
    uint32_t rows = *have;
    *have = 0;
    for (size_t i = 0; i < n_rooms; i++) {
        drop(network, *rooms[i].tensor);
        *rooms[i].tensor = NULL;
    }
    rows = n > 2 * rows ? n : 2 * rows; /* doubling: few steps allocate, whatever sizes come */
    for (size_t i = 0; i < n_rooms; i++)
        SAMP_TRY(network->backend->tensor_create(network->device, rows * rooms[i].width,
                                                 rooms[i].tensor, error));
    *have = rows;
    return SAMP_OK;
}

samp_status samp__network_reserve(samp__network *network, uint32_t n_tokens, uint32_t n_rows,
                                  samp_error *error)
{
    const samp_config *c = &network->config;
    uint64_t q_width = (uint64_t)c->n_heads * c->head_dim,
             kv_width = (uint64_t)c->n_kv_heads * c->head_dim;
    const room tokens[] = {{&network->x, c->dim},
                           {&network->qkv[0], q_width},
                           {&network->qkv[1], kv_width},
                           {&network->qkv[2], kv_width},
                           {&network->attended, q_width},
                           {&network->gate_up[0], c->hidden_dim},
                           {&network->gate_up[1], c->hidden_dim}};
    const room rows[] = {{&network->last, c->dim},
                         {&network->logits[0], network->head_rows[0]},
                         {&network->logits[1], network->head_rows[1]}};
    SAMP_TRY(
        grow(network, tokens, sizeof tokens / sizeof *tokens, n_tokens, &network->n_tokens, error));
    return grow(network, rows, (size_t)(1 + network->n_head), n_rows, &network->n_rows, error);
}

/* One head: its rows are those wanted. Two: each gives a piece of every row. */
void samp__network_read_logits(const samp__network *network, size_t row, size_t n, float *out)
{
    const uint32_t *width = network->head_rows;
    size_t rows = network->n_head == 1 ? n : 1; /* in a piece */
    for (size_t i = 0; i < n; i += rows)
        for (int part = 0; part < network->n_head; part++) {
            network->backend->read(network->device, network->logits[part], (row + i) * width[part],
                                   rows * width[part], out);
            out += rows * width[part];
        }
}

void samp__network_release(samp__network *network)
{
    const samp_backend *backend = network->backend;
    samp_tensor *tensors[] = {network->x,          network->qkv[0],   network->qkv[1],
                              network->qkv[2],     network->attended, network->gate_up[0],
                              network->gate_up[1], network->last,     network->logits[0],
                              network->logits[1],  network->rope};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) drop(network, tensors[i]);
    for (size_t i = 0; i < network->n_norms; i++)
        backend->tensor_release(network->device, network->norms[i]);
    for (size_t i = 0; i < network->n_weights; i++)
        backend->weight_release(network->device, network->weights[i]);
    samp_free(network->norms);
    samp_free(network->weights);
    samp_free(network->layers);
    *network = (samp__network){0};
}

/* Bringing a model to a device: weights one tensor at a time, the rope table, the tensors of a
 * step.
 *
 * Memory: the host holds one tensor's bytes at a time; what was created on the device is listed in
 * the network and released in samp__network_release, also after a load that failed half-way. */
#include "run/network.h"

#include "base/memory.h"

#include <string.h>

const samp_weight **samp__layer_matrix(samp__layer *layer, samp_role role)
{
    switch (role) {
    case SAMP_ROLE_Q: return &layer->qkv[0];
    case SAMP_ROLE_K: return &layer->qkv[1];
    case SAMP_ROLE_V: return &layer->qkv[2];
    case SAMP_ROLE_O: return &layer->o[0];
    case SAMP_ROLE_GATE: return &layer->gate_up[0];
    case SAMP_ROLE_UP: return &layer->gate_up[1];
    case SAMP_ROLE_DOWN: return &layer->down[0];
    default: return NULL;
    }
}

const samp_tensor **samp__layer_vector(samp__layer *layer, samp_role role)
{
    switch (role) {
    case SAMP_ROLE_ATTN_NORM: return &layer->attn_norm;
    case SAMP_ROLE_MLP_NORM: return &layer->mlp_norm;
    case SAMP_ROLE_Q_BIAS: return &layer->qkv_bias[0];
    case SAMP_ROLE_K_BIAS: return &layer->qkv_bias[1];
    case SAMP_ROLE_V_BIAS: return &layer->qkv_bias[2];
    case SAMP_ROLE_Q_NORM: return &layer->qk_norm[0];
    case SAMP_ROLE_K_NORM: return &layer->qk_norm[1];
    default: return NULL;
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
    const samp_weight **slot = samp_role_is_per_layer(ref->role)
                                   ? samp__layer_matrix(&network->layers[ref->layer], ref->role)
                               : ref->role == SAMP_ROLE_EMBED ? &network->embed[rest]
                                                              : &network->head[rest];
    *slot = weight;
    return SAMP_OK;
}

/* Values to the device as a new tensor. */
static samp_status upload(samp__network *network, const float *values, size_t n, samp_tensor **out,
                          samp_error *error)
{
    SAMP_TRY(network->backend->tensor_create(network->device, n, out, error));
    samp_status status = network->backend->tensor_set(network->device, *out, values, n, error);
    if (status != SAMP_OK) {
        network->backend->tensor_release(network->device, *out);
        *out = NULL;
    }
    return status;
}

samp_status samp__network_vector(samp__network *network, samp_model *model,
                                 const samp_weight_ref *ref, samp_tensor **out, samp_error *error)
{
    float *values = samp_alloc(ref->layout.cols, sizeof *values);
    if (!values) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", ref->name);
    samp_status status = samp_model_read_vector(model, ref, values, error);
    if (status == SAMP_OK) status = upload(network, values, ref->layout.cols, out, error);
    samp_free(values);
    return status;
}

static samp_status load_vector(samp__network *network, samp_model *model,
                               const samp_weight_ref *ref, samp_error *error)
{
    samp_tensor *tensor = NULL;
    SAMP_TRY(samp__network_vector(network, model, ref, &tensor, error));
    network->vectors[network->n_vectors++] = tensor;
    *(samp_role_is_per_layer(ref->role)
          ? samp__layer_vector(&network->layers[ref->layer], ref->role)
          : &network->final_norm) = tensor;
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
            SAMP_TRY(load_vector(network, model, ref, error));
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
        double magnitude = samp_rope_magnitude(&network->config);
        for (size_t position = 0; position < n_positions; position++)
            for (size_t i = 0; i < half; i++) {
                double angle = (double)position * frequencies[i];
                table[(position * half + i) * 2] = (float)(magnitude * cos(angle));
                table[(position * half + i) * 2 + 1] = (float)(magnitude * sin(angle));
            }
        status = upload(network, table, n, &network->rope, error);
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

static float outlier_threshold_of(const samp_model *model)
{
    for (size_t i = 0; i < samp_model_count(model); i++)
        if (samp_model_at(model, i)->format->outliers) return samp_model_outlier_threshold(model);
    return 0;
}

samp_status samp__network_load(samp__network *network, samp_model *model, uint32_t n_positions,
                               const samp_progress *progress, samp_error *error)
{
    network->config = *samp_model_config(model);
    network->outlier_threshold = outlier_threshold_of(model);
    samp__network_shape_head(network, model);
    network->layers = samp_alloc(network->config.n_layers, sizeof *network->layers);
    network->weights = samp_alloc(samp_model_count(model), sizeof *network->weights);
    network->vectors = samp_alloc(samp_model_count(model), sizeof *network->vectors);
    if (!network->layers || !network->weights || !network->vectors)
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
    for (size_t i = 0; i < network->n_vectors; i++)
        backend->tensor_release(network->device, network->vectors[i]);
    for (size_t i = 0; i < network->n_weights; i++)
        backend->weight_release(network->device, network->weights[i]);
    samp_free(network->vectors);
    samp_free(network->weights);
    samp_free(network->layers);
    *network = (samp__network){0};
}

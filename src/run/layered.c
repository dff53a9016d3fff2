/* A model run one layer at a time. The network inside has no layers of its own: blocks bring them.
 */
#include "run/layered.h"

#include "base/memory.h"
#include "run/network.h"

#include <string.h>

struct samp_layered {
    samp__network network; /* tensors of a step, rope, final norm, head */
    samp_model *model;
    samp_kv *kv; /* one layer */
    uint32_t window;
    uint32_t *blocks;   /* [window/64] KV blocks 0, 1, 2, … */
    int32_t *no_tokens; /* [window] zeros, for steps that embed nothing */
    samp_tensor *final_norm;
};

struct samp_layered_block {
    uint32_t layer;
    samp__layer weights;
    samp_weight *matrices[7]; /* the same, for release */
    samp_tensor *vectors[7];
    size_t n_matrices, n_vectors;
};

/* One matrix on the device: the model's own, or what replace gives. */
static samp_status create_matrix(samp_layered *l, const samp_weight_ref *ref,
                                 const samp_replace *replace, bool embed, samp_weight **out,
                                 samp_error *error)
{
    const samp_backend *backend = l->network.backend;
    void *parts[SAMP_PARTS_MAX] = {0};
    samp_weight_source source = {.name = ref->name,
                                 .format = ref->format,
                                 .layout = &ref->layout,
                                 .activation_bits = ref->activation_bits,
                                 .embed = embed};
    bool replaced = false;
    if (replace && replace->source)
        SAMP_TRY(replace->source(replace->context, ref, &source, &replaced, error));
    if (!replaced) {
        SAMP_TRY(samp_model_read_parts(l->model, ref, parts, error));
        source.parts = (const void *const *)parts;
    }
    samp_status status = backend->weight_create(l->network.device, &source, out, error);
    samp_model_free_parts(parts);
    return status;
}

static samp_status open_tables(samp_layered *l, samp_error *error)
{
    uint32_t n_blocks = (l->window + SAMP_KV_BLOCK - 1) / SAMP_KV_BLOCK;
    l->blocks = samp_alloc(n_blocks, sizeof *l->blocks);
    l->no_tokens = samp_alloc(l->window, sizeof *l->no_tokens);
    if (!l->blocks || !l->no_tokens)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a window of %u", l->window);
    for (uint32_t i = 0; i < n_blocks; i++) l->blocks[i] = i;
    return SAMP_OK;
}

samp_status samp_layered_open(samp_layered **out, samp_model *model,
                              const samp_session_options *options, uint32_t window,
                              samp_error *error)
{
    *out = NULL;
    samp_layered *l = samp_alloc(1, sizeof *l);
    if (!l) return samp_fail(error, SAMP_NOMEM, "out of memory");
    l->model = model;
    l->window = window;
    samp__network *net = &l->network;
    net->config = *samp_model_config(model);
    samp__network_shape_head(net, model);
    net->backend = samp_cpu_backend();
    samp_status status = SAMP_OK;
    if (options->backend && strcmp(options->backend, "cpu") != 0)
        status = samp_backend_load(options->backend, &net->backend, error);
    samp_device_options device = {.n_threads = options->n_threads, .exact = options->exact};
    samp_kv_shape shape = {.n_layers = 1,
                           .n_blocks = (window + SAMP_KV_BLOCK - 1) / SAMP_KV_BLOCK,
                           .n_kv_heads = net->config.n_kv_heads,
                           .head_dim = net->config.head_dim,
                           .type = samp__kv_type(options)};
    if (status == SAMP_OK) status = net->backend->open(&net->device, &device, error);
    if (status == SAMP_OK) status = net->backend->kv_create(net->device, &shape, &l->kv, error);
    if (status == SAMP_OK) status = samp__network_rope(net, window, error);
    if (status == SAMP_OK) status = samp__network_reserve(net, window, 1, error);
    if (status == SAMP_OK)
        status = samp__network_vector(net, model, samp_model_weight(model, SAMP_ROLE_FINAL_NORM, 0),
                                      &l->final_norm, error);
    if (status == SAMP_OK) status = open_tables(l, error);
    net->final_norm = l->final_norm;
    if (status != SAMP_OK) {
        samp_layered_close(l);
        return status;
    }
    *out = l;
    return SAMP_OK;
}

void samp_layered_close(samp_layered *l)
{
    if (!l) return;
    const samp_backend *backend = l->network.backend;
    samp_device *device = l->network.device;
    if (device) {
        if (l->final_norm) backend->tensor_release(device, l->final_norm);
        if (l->kv) backend->kv_release(device, l->kv);
        samp__network_release(&l->network);
        backend->close(device);
    }
    samp_free(l->blocks);
    samp_free(l->no_tokens);
    samp_free(l);
}

/* Starts a step over positions 0 … n-1 of one sequence. batch and seq live until its sync. */
static void begin(samp_layered *l, const int32_t *tokens, uint32_t n, samp_batch_seq *seq,
                  samp_batch *batch)
{
    *seq = (samp_batch_seq){.first = 0, .count = n, .start = 0, .blocks = l->blocks};
    *batch = (samp_batch){.n_tokens = n, .n_seqs = 1, .tokens = tokens, .seqs = seq};
    l->network.backend->begin(l->network.device, batch);
}

/* The output head or the embedding: one weight, or two by rows. */
struct samp_layered_head {
    samp_weight *parts[SAMP__HEAD_PARTS];
};

static const samp_weight *const *const_parts(const samp_layered_head *head)
{
    return (const samp_weight *const *)head->parts;
}

static void release_parts(samp_layered *l, samp_layered_head *head)
{
    for (int i = 0; i < SAMP__HEAD_PARTS; i++)
        if (head->parts[i]) l->network.backend->weight_release(l->network.device, head->parts[i]);
}

/* What was created is in head->parts, also after a failure. */
static samp_status create_parts(samp_layered *l, samp_role role, int n, const samp_replace *replace,
                                samp_layered_head *head, samp_error *error)
{
    for (int i = 0; i < n; i++) {
        const samp_weight_ref *ref =
            i == 0 ? samp_model_weight(l->model, role, 0) : samp_model_head_rest(l->model);
        SAMP_TRY(create_matrix(l, ref, replace, role == SAMP_ROLE_EMBED, &head->parts[i], error));
    }
    return SAMP_OK;
}

samp_status samp_layered_embed(samp_layered *l, const samp_replace *replace, const int32_t *tokens,
                               uint32_t n, float *x, samp_error *error)
{
    const samp__network *net = &l->network;
    samp_layered_head embedding = {{NULL}};
    samp_status status = create_parts(l, SAMP_ROLE_EMBED, net->n_embed, replace, &embedding, error);
    for (uint32_t at = 0; at < n && status == SAMP_OK; at += l->window) {
        samp_batch_seq seq;
        samp_batch batch;
        uint32_t count = n - at < l->window ? n - at : l->window;
        begin(l, tokens + at, count, &seq, &batch);
        net->backend->embed(net->device, net->n_embed, const_parts(&embedding), net->x);
        net->backend->read(net->device, net->x, 0, (size_t)count * net->config.dim,
                           x + (size_t)at * net->config.dim);
        status = net->backend->sync(net->device, error);
    }
    release_parts(l, &embedding);
    return status;
}

static samp_status block_weights(samp_layered *l, samp_layered_block *b,
                                 const samp_replace *replace, samp_error *error)
{
    for (int i = 0; i < SAMP_ROLE_COUNT; i++) {
        samp_role role = (samp_role)i;
        if (!samp_role_is_per_layer(role) || !samp_role_present(role, &l->network.config)) continue;
        const samp_weight_ref *ref = samp_model_weight(l->model, role, b->layer);
        if (samp_role_is_matrix(role)) {
            samp_weight **matrix = &b->matrices[b->n_matrices];
            SAMP_TRY(create_matrix(l, ref, replace, false, matrix, error));
            *samp__layer_matrix(&b->weights, role) = b->matrices[b->n_matrices++];
        } else {
            samp_tensor **vector = &b->vectors[b->n_vectors];
            SAMP_TRY(samp__network_vector(&l->network, l->model, ref, vector, error));
            *samp__layer_vector(&b->weights, role) = b->vectors[b->n_vectors++];
        }
    }
    return SAMP_OK;
}

samp_status samp_layered_block_create(samp_layered *l, uint32_t layer, const samp_replace *replace,
                                      samp_layered_block **out, samp_error *error)
{
    *out = NULL;
    samp_layered_block *block = samp_alloc(1, sizeof *block);
    if (!block) return samp_fail(error, SAMP_NOMEM, "out of memory for layer %u", layer);
    block->layer = layer;
    samp_status status = block_weights(l, block, replace, error);
    if (status == SAMP_OK)
        *out = block;
    else
        samp_layered_block_release(l, block);
    return status;
}

void samp_layered_block_release(samp_layered *l, samp_layered_block *block)
{
    if (!block) return;
    for (size_t i = 0; i < block->n_matrices; i++)
        l->network.backend->weight_release(l->network.device, block->matrices[i]);
    for (size_t i = 0; i < block->n_vectors; i++)
        l->network.backend->tensor_release(l->network.device, block->vectors[i]);
    samp_free(block);
}

samp_status samp_layered_run(samp_layered *l, const samp_layered_block *block, uint32_t n, float *x,
                             const samp_tap *tap, samp_error *error)
{
    samp__network *net = &l->network;
    size_t values = (size_t)n * net->config.dim;
    samp_batch_seq seq;
    samp_batch batch;
    net->tap = tap ? *tap : (samp_tap){0};
    SAMP_TRY(net->backend->tensor_set(net->device, net->x, x, values, error));
    begin(l, l->no_tokens, n, &seq, &batch);
    samp__forward_layer(net, &block->weights, block->layer, l->kv, 0, n);
    net->backend->read(net->device, net->x, 0, values, x);
    return net->backend->sync(net->device, error);
}

samp_status samp_layered_head_create(samp_layered *l, const samp_replace *replace,
                                     samp_layered_head **out, samp_error *error)
{
    *out = NULL;
    samp_layered_head *head = samp_alloc(1, sizeof *head);
    if (!head) return samp_fail(error, SAMP_NOMEM, "out of memory for the output head");
    samp_status status = create_parts(l, SAMP_ROLE_HEAD, l->network.n_head, replace, head, error);
    if (status == SAMP_OK)
        *out = head;
    else
        samp_layered_head_release(l, head);
    return status;
}

void samp_layered_head_release(samp_layered *l, samp_layered_head *head)
{
    if (!head) return;
    release_parts(l, head);
    samp_free(head);
}

samp_status samp_layered_logits(samp_layered *l, const samp_layered_head *const heads[2],
                                const float *x, uint32_t n, float *logits, const samp_tap *tap,
                                samp_error *error)
{
    samp__network *net = &l->network;
    samp_batch_seq seq;
    samp_batch batch;
    net->tap = tap ? *tap : (samp_tap){0};
    for (int i = 0; i < net->n_head; i++) net->head[i] = heads[i]->parts[i];
    SAMP_TRY(samp__network_reserve(net, l->window, n, error));
    SAMP_TRY(net->backend->tensor_set(net->device, net->x, x, (size_t)n * net->config.dim, error));
    begin(l, l->no_tokens, n, &seq, &batch);
    samp__forward_head(net, net->x, n);
    samp__network_read_logits(net, 0, n, logits);
    return net->backend->sync(net->device, error);
}

/* The model, top to bottom: a Llama-family transformer as a backend's operations.
 *
 * Everything here only enqueues; the caller syncs. Norms and the gated product are made on the way
 * into the matmul that needs them, so that no backend has to write them out. */
#include "run/network.h"

static samp_input plain(const samp_tensor *x) { return (samp_input){SAMP_INPUT_PLAIN, .x = x}; }

static samp_input norm(const samp__network *net, const samp_tensor *x, const samp_tensor *gain)
{
    return (samp_input){SAMP_INPUT_NORM, .x = x, .gain = gain, .eps = net->config.rms_norm_eps};
}

static samp_input silu(samp_tensor *const gate_up[2])
{
    return (samp_input){SAMP_INPUT_SILU, .x = gate_up[0], .y = gate_up[1]};
}

/* outs[i] = input · weights[i]^T over n rows; added to what is there when add. */
static void multiply(const samp__network *net, samp_role role, uint32_t layer, uint32_t n,
                     samp_input input, int n_weights, const samp_weight *const weights[],
                     samp_tensor *const outs[], bool add)
{
    input.outlier_threshold = net->outlier_threshold;
    if (net->tap.input)
        net->tap.input(net->tap.context, net->backend, net->device, role, layer, &input, n);
    net->backend->matmul(net->device, n, &input, n_weights, weights, outs, add);
}

/* Makes heads of q, k and v, appends keys and values to the cache, attends. */
static void attend(const samp__network *net, const samp__layer *l, uint32_t layer, samp_kv *kv,
                   uint32_t kv_layer)
{
    const samp_config *c = &net->config;
    samp_attention attention = {.layer = kv_layer,
                                .n_heads = c->n_heads,
                                .n_kv_heads = c->n_kv_heads,
                                .head_dim = c->head_dim,
                                .window = samp_layer_window(c, layer),
                                .scale = 1.0f / sqrtf((float)c->head_dim),
                                .eps = c->rms_norm_eps,
                                .rope = samp_layer_has_rope(c, layer) ? net->rope : NULL,
                                .bias = {l->qkv_bias[0], l->qkv_bias[1], l->qkv_bias[2]},
                                .gain = {l->qk_norm[0], l->qk_norm[1]},
                                .q = net->qkv[0],
                                .k = net->qkv[1],
                                .v = net->qkv[2],
                                .out = net->attended};
    net->backend->attention(net->device, kv, &attention);
}

void samp__forward_layer(const samp__network *net, const samp__layer *l, uint32_t layer,
                         samp_kv *kv, uint32_t kv_layer, uint32_t n)
{
    samp_tensor *x = net->x;
    multiply(net, SAMP_ROLE_Q, layer, n, norm(net, x, l->attn_norm), 3, l->qkv, net->qkv, false);
    attend(net, l, layer, kv, kv_layer);
    multiply(net, SAMP_ROLE_O, layer, n, plain(net->attended), 1, l->o, &x, true);
    multiply(net, SAMP_ROLE_GATE, layer, n, norm(net, x, l->mlp_norm), 2, l->gate_up, net->gate_up,
             false);
    multiply(net, SAMP_ROLE_DOWN, layer, n, silu(net->gate_up), 1, l->down, &x, true);
}

void samp__forward_head(const samp__network *net, const samp_tensor *x, uint32_t n)
{
    multiply(net, SAMP_ROLE_HEAD, 0, n, norm(net, x, net->final_norm), net->n_head, net->head,
             net->logits, false);
}

void samp__forward(const samp__network *net, samp_kv *kv, const samp_batch *batch,
                   const uint32_t *rows, uint32_t n_rows)
{
    const samp_backend *run = net->backend;
    run->begin(net->device, batch);
    run->embed(net->device, net->n_embed, net->embed, net->x);
    for (uint32_t i = 0; i < net->config.n_layers; i++)
        samp__forward_layer(net, &net->layers[i], i, kv, i, batch->n_tokens);
    if (n_rows == 0) return;
    run->gather(net->device, net->x, rows, n_rows, net->config.dim, net->last);
    samp__forward_head(net, net->last, n_rows);
}

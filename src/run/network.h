/* A model on a device: its weights in kernel layout, the tensors a step works in, and the forward
 * pass. Private to the run room; a session owns one. */
#ifndef SAMP_RUN_NETWORK_H
#define SAMP_RUN_NETWORK_H

#include "run/session.h"

enum { SAMP__HEAD_PARTS = 2 };

/* Matrices that share an input stand together: one matmul each. */
typedef struct samp__layer {
    const samp_tensor *attn_norm, *mlp_norm; /* [dim] */
    const samp_tensor *qkv_bias[3];          /* [heads * head_dim]; NULL: the family has none */
    const samp_tensor *qk_norm[2];           /* [head_dim]; or NULL */
    const samp_weight *qkv[3], *o[1], *gate_up[2], *down[1];
} samp__layer;

typedef struct samp__network {
    const samp_backend *backend;
    samp_device *device;
    samp_config config;
    samp_tap tap;

    /* One weight, or two where the model's head is two by rows; the same ones when tied. */
    const samp_weight *embed[SAMP__HEAD_PARTS], *head[SAMP__HEAD_PARTS];
    uint32_t head_rows[SAMP__HEAD_PARTS];
    int n_embed, n_head;
    const samp_tensor *final_norm;
    samp__layer *layers;     /* [n_layers] */
    samp_tensor *rope;       /* [n_positions][head_dim/2][2]: cos, sin */
    float outlier_threshold; /* of the model; 0 where no weight has outliers */
    uint64_t weight_bytes;   /* read to make one token */
    samp_weight **weights;   /* all matrices, for release */
    samp_tensor **vectors;   /* all norms and biases, for release */
    size_t n_weights, n_vectors;

    uint32_t n_tokens, n_rows;             /* what the tensors below have room for */
    samp_tensor *x;                        /* [n_tokens][dim], the residual stream */
    samp_tensor *qkv[3];                   /* [n_tokens][heads * head_dim] */
    samp_tensor *attended;                 /* [n_tokens][n_heads * head_dim] */
    samp_tensor *gate_up[2];               /* [n_tokens][hidden_dim] */
    samp_tensor *last;                     /* [n_rows][dim], rows of x that want logits */
    samp_tensor *logits[SAMP__HEAD_PARTS]; /* [n_rows][head_rows[i]] */
} samp__network;

/* Reads all weights from the model, one tensor at a time, and makes the table for positions 0 …
 * n_positions-1. backend, device and tap are set. On failure release what is there with
 * samp__network_release. */
samp_status samp__network_load(samp__network *network, samp_model *model, uint32_t n_positions,
                               const samp_progress *progress, samp_error *error);
void samp__network_release(samp__network *network);
/* Room for a step; allocates only when it is larger than any before. */
samp_status samp__network_reserve(samp__network *network, uint32_t n_tokens, uint32_t n_rows,
                                  samp_error *error);

/* Which weights embed and head will be: how many, and their rows. config is set. */
void samp__network_shape_head(samp__network *network, const samp_model *model);
/* Enqueues the copy of n rows of logits, from row `row` on, to out [n][vocab_size]. */
void samp__network_read_logits(const samp__network *network, size_t row, size_t n, float *out);

/* Where a layer keeps what has this role; NULL for roles that are no layer's. */
const samp_weight **samp__layer_matrix(samp__layer *layer, samp_role role);
const samp_tensor **samp__layer_vector(samp__layer *layer, samp_role role);
/* A norm or bias of the model to the device as a new tensor. */
samp_status samp__network_vector(samp__network *network, samp_model *model,
                                 const samp_weight_ref *ref, samp_tensor **out, samp_error *error);
/* Makes the table of rotations for positions 0 … n_positions-1; config is set. */
samp_status samp__network_rope(samp__network *network, uint32_t n_positions, samp_error *error);

/* How keys and values are kept: an exact session does not round them to FP16. */
static inline samp_kv_type samp__kv_type(const samp_session_options *options)
{
    bool widen = options->exact && options->kv_type == SAMP_KV_FP16;
    return widen ? SAMP_KV_FP32 : options->kv_type;
}

/* Enqueues one step. rows [n_rows] are the tokens of the batch whose logits are wanted: they come
 * to network->logits in this order. Batch and rows must live until sync. */
void samp__forward(const samp__network *network, samp_kv *kv, const samp_batch *batch,
                   const uint32_t *rows, uint32_t n_rows);
/* Its parts, for those who run layer by layer (run/layered.c): layer `layer` on network->x, with
 * keys and values in layer kv_layer of the cache; and the logits of n rows of x. */
void samp__forward_layer(const samp__network *network, const samp__layer *weights, uint32_t layer,
                         samp_kv *kv, uint32_t kv_layer, uint32_t n);
void samp__forward_head(const samp__network *network, const samp_tensor *x, uint32_t n);

#endif

/* A model run one layer at a time, for work that must not hold the whole model: activations come
 * from the host and go back to it, a layer's weights are on the device only while its block is.
 * A block may hold other weights than the model's (a group quantized in memory), which is how the
 * planner probes. One window of positions 0 … n-1 a run; keys and values live for that run only. */
#ifndef SAMP_RUN_LAYERED_H
#define SAMP_RUN_LAYERED_H

#include "run/session.h"

typedef struct samp_layered samp_layered;
typedef struct samp_layered_block samp_layered_block; /* one layer's weights on the device */

/* Replaces a weight: fills *source (preset for the model's own format, parts NULL) with parts that
 * live until the call that asked has returned. *replaced = false keeps the model's. */
typedef struct samp_replace {
    samp_status (*source)(void *context, const samp_weight_ref *ref, samp_weight_source *source,
                          bool *replaced, samp_error *error);
    void *context;
} samp_replace;

/* window: most positions a run. options: backend, n_threads, exact and kv_type count. The model
 * must stay open. */
samp_status samp_layered_open(samp_layered **out, samp_model *model,
                              const samp_session_options *options, uint32_t window,
                              samp_error *error);
void samp_layered_close(samp_layered *layered);

/* x [n][dim] = embeddings of the tokens; replace may be NULL. */
samp_status samp_layered_embed(samp_layered *layered, const samp_replace *replace,
                               const int32_t *tokens, uint32_t n, float *x, samp_error *error);

samp_status samp_layered_block_create(samp_layered *layered, uint32_t layer,
                                      const samp_replace *replace, samp_layered_block **out,
                                      samp_error *error);
void samp_layered_block_release(samp_layered *layered, samp_layered_block *block);
/* Takes x [n][dim] through the block, in place. tap may be NULL. */
samp_status samp_layered_run(samp_layered *layered, const samp_layered_block *block, uint32_t n,
                             float *x, const samp_tap *tap, samp_error *error);

/* The output head (the embedding of a tied model) on the device: one weight, or two by rows
 * (model.h), for which replace is asked one by one. */
typedef struct samp_layered_head samp_layered_head;
samp_status samp_layered_head_create(samp_layered *layered, const samp_replace *replace,
                                     samp_layered_head **out, samp_error *error);
void samp_layered_head_release(samp_layered *layered, samp_layered_head *head);
/* logits [n][vocab_size] of rows x [n][dim] that left the last layer, by the first weight of
 * heads[0] and, where there are two, the second of heads[1]. tap may be NULL. */
samp_status samp_layered_logits(samp_layered *layered, const samp_layered_head *const heads[2],
                                const float *x, uint32_t n, float *logits, const samp_tap *tap,
                                samp_error *error);

#endif

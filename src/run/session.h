/* A session: a model loaded into a backend, and steps over batches of sequences.
 * One thread uses a session. Nothing is allocated in a step once the batch sizes were seen. */
#ifndef SAMP_RUN_SESSION_H
#define SAMP_RUN_SESSION_H

#include "backend/backend.h"
#include "base/clock.h"
#include "model/model.h"

/* Called in every step just before linear layers multiply their input (role: Q for q, k, v; O; GATE
 * for gate and up; DOWN; HEAD): it may enqueue reads of the input's tensors, of n_rows rows. */
typedef struct samp_tap {
    void (*input)(void *context, const samp_backend *backend, samp_device *device, samp_role role,
                  uint32_t layer, const samp_input *input, uint32_t n_rows);
    void *context;
} samp_tap;

typedef struct samp_session_options {
    const char *backend;  /* NULL or "cpu": built in; else samp-backend-NAME.so */
    unsigned n_threads;   /* 0 = what affinity and cgroup allow */
    bool exact;           /* weights and products in float, keys and values too */
    samp_kv_type kv_type; /* FP16 means FP32 in an exact session */
    /* Positions the KV store holds, over all sequences; 0 = the model's, at most 4096. */
    uint32_t context;
    uint32_t max_batch;     /* tokens a step; 0 = 512 */
    samp_progress progress; /* "load", bytes */
    samp_tap tap;           /* zeroed = none */
} samp_session_options;

typedef struct samp_session samp_session;

/* The model is read during the call only; it may be closed before the session. */
samp_status samp_session_open(samp_session **out, samp_model *model,
                              const samp_session_options *options, samp_error *error);
void samp_session_close(samp_session *session);
const samp_config *samp_session_config(const samp_session *session);
const samp_backend *samp_session_backend(const samp_session *session);
const char *samp_session_describe(const samp_session *session);
/* Bytes the kernels read to make one token (all linear layers and the head), KV excluded. */
uint64_t samp_session_weight_bytes(const samp_session *session);
uint64_t samp_session_kv_bytes(const samp_session *session);
uint32_t samp_session_max_batch(const samp_session *session);
/* Positions a sequence can have: the model's, or the context's when that is less. */
uint32_t samp_session_max_positions(const samp_session *session);
/* From which magnitude on inputs of LLM.int8 weights are outliers, the model's or what the guard below
 * made of it; 0 when no weight has outliers, or the model wants none. */
float samp_session_outlier_threshold(const samp_session *session);
unsigned samp_session_threads(const samp_session *session);
uint32_t samp_session_context(const samp_session *session); /* positions the KV store holds */

/* A sequence owns KV blocks; its positions grow as tokens are fed. */
typedef struct samp_sequence samp_sequence;
samp_status samp_sequence_create(samp_session *session, samp_sequence **out, samp_error *error);
/* Gives its blocks back; NULL allowed. */
void samp_sequence_release(samp_session *session, samp_sequence *sequence);
uint32_t samp_sequence_length(const samp_sequence *sequence);
/* Forgets positions from `length` on (0 = empty); blocks past it are given back. */
void samp_sequence_truncate(samp_session *session, samp_sequence *sequence, uint32_t length);

/* KV blocks that several sequences hold, for a prefix cache. A full block never changes, so whoever
 * has the same tokens at the same positions may read it. Blocks are known by their numbers. */
uint32_t samp_sequence_block(const samp_sequence *sequence, uint32_t i); /* positions 64*i … */
/* Appends a full block to a sequence whose length is a multiple of SAMP_KV_BLOCK. */
void samp_sequence_adopt(samp_session *session, samp_sequence *sequence, uint32_t block);
/* Puts a block with the same tokens in the place of full block i. */
void samp_sequence_replace(samp_session *session, samp_sequence *sequence, uint32_t i,
                           uint32_t block);
/* Holds a block that a sequence holds, so that it outlives the sequence; and gives it back. */
void samp_session_kv_hold(samp_session *session, uint32_t block);
void samp_session_kv_drop(samp_session *session, uint32_t block);

/* Tokens to feed to one sequence in a step. logits: NULL, or where to put them. */
typedef struct samp_feed {
    samp_sequence *sequence;
    const int32_t *tokens;
    uint32_t n_tokens;
    bool all_logits; /* one row a token; else only for the last token */
    float *logits;   /* [n_tokens or 1][vocab_size], NULL = none wanted */
} samp_feed;

/* Blocks of SAMP_KV_BLOCK positions that no sequence holds. */
uint32_t samp_session_kv_free(const samp_session *session);
/* How many of them a sequence needs for n_tokens more. */
uint32_t samp_sequence_kv_needed(const samp_sequence *sequence, uint32_t n_tokens);

/* When a logit is not finite and weights have outliers from a threshold below
 * SAMP_OUTLIER_THRESHOLD_SAFE on, the session takes that one from now on, says so in a warning, and
 * runs the step once more. */
#define SAMP_OUTLIER_THRESHOLD_SAFE 8.0f

/* One step. Fails with SAMP_LIMIT when KV blocks, the batch or a sequence's positions run out,
 * SAMP_INVALID for a token id outside the vocabulary or a sequence given twice, SAMP_NUMERIC when a
 * wanted logit is not finite. After any failure all sequences are as they were (the logits buffers
 * may have been written). */
samp_status samp_session_step(samp_session *session, const samp_feed *feeds, uint32_t n_feeds,
                              samp_error *error);
/* Any number of tokens of one sequence, in steps of at most max_batch; logits as for a feed, and
 * failures as for a step. */
samp_status samp_session_prefill(samp_session *session, samp_sequence *sequence,
                                 const int32_t *tokens, uint32_t n_tokens, bool all_logits,
                                 float *logits, samp_error *error);

#endif

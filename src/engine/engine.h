/* The engine: one thread that runs many requests on one session, a step at a time.
 *
 * A step takes the running requests' next tokens first, then pieces of prompts, up to the session's
 * max_batch tokens (continuous batching with chunked prefill). Of the tokens left for prompts half
 * go to the oldest, half to the shortest: a long prompt can hold up neither short ones nor answers
 * being written, and is not held up itself. Full KV blocks are shared with every later request that
 * begins alike. When blocks run out, the latest request gives its own back and is computed again
 * later. None of this changes an answer: on the CPU a request's tokens and log-probabilities are
 * the same to the bit alone, in a crowd, after preemption, from the cache, or speculated.
 *
 * Threads: submit, cancel, drain and stats may be called from any; the sink and the constraint of a
 * request are called on the engine's thread, with no lock held, and should return quickly, because
 * every request waits for them. They may call cancel, submit and stats, not drain and close.
 *
 * Memory: the engine copies what a request points to; the contexts of its sink and constraint must
 * live until the sink's end was called. */
#ifndef SAMP_ENGINE_ENGINE_H
#define SAMP_ENGINE_ENGINE_H

#include "run/sampler.h"
#include "run/session.h"

typedef struct samp_engine samp_engine;

/* What a step did, for histograms and for reading what a tap gathered. */
typedef struct samp_engine_step {
    uint32_t n_requests; /* that took part */
    uint32_t n_decode;   /* tokens fed for requests that are answering, drafts included */
    uint32_t n_prefill;  /* prompt tokens fed (and tokens computed again after a preemption) */
    double seconds;
} samp_engine_step;

typedef struct samp_engine_options {
    /* max_batch is the token budget of a step, context the positions of the KV store. A tap is
     * called on the engine's thread. */
    samp_session_options session;
    uint32_t max_running;      /* requests in a step at most; 0 = 64; half of max_batch is enough */
    uint32_t max_queue;        /* requests waiting at most; 0 = 1024 */
    uint64_t max_queue_tokens; /* prompt tokens waiting at most; 0 = no limit but max_queue */
    /* While answers are being written, pieces of prompts are cut so that a step is expected to last
     * no longer than this, but are at least as many tokens as the answers'; 0 = 0.25 s. */
    double step_seconds;
    bool no_prefix_cache, no_speculation;
    /* End an answer besides the config's: the tokenizer's end of sequence and of turn. Copied. */
    const int32_t *eos_tokens;
    uint32_t n_eos_tokens;
    /* Called on the engine's thread after each step; NULL = none wanted. */
    void (*stepped)(void *context, const samp_engine_step *step);
    void *context;
} samp_engine_options;

/* Opens a session on the model, which may be closed afterwards, and starts the thread. */
samp_status samp_engine_open(samp_engine **out, samp_model *model,
                             const samp_engine_options *options, samp_error *error);
/* Ends every request with SAMP_FINISH_ABORT, stops the thread and releases all; NULL allowed. */
void samp_engine_close(samp_engine *engine);
/* For what does not change: config, description, sizes. */
const samp_session *samp_engine_session(const samp_engine *engine);

/* ---- a request ---- */

enum {
    SAMP_ENGINE_LOGPROBS_MAX = 64,  /* alternatives a token */
    SAMP_ENGINE_STOPS_MAX = 256,    /* stop tokens of a request */
    SAMP_ENGINE_RUNNING_MAX = 4096, /* max_running */
    SAMP_ENGINE_QUEUE_MAX = 1 << 20 /* max_queue */
};

/* A token's log-probability under the model itself, before penalties, bias and temperature, as
 * samp_score_position computes it. */
typedef struct samp_logprob {
    int32_t token;
    uint32_t rank;  /* 1 = likeliest; 1 + tokens that are likelier */
    double logprob; /* natural log */
} samp_logprob;

/* A token with its log-probability and the likeliest tokens in its place. */
typedef struct samp_token_event {
    int32_t token;
    uint32_t index;              /* among the generated tokens, or the prompt's */
    bool stops;                  /* an end-of-sequence or stop token: the last one, not text */
    const samp_logprob *logprob; /* NULL when none were asked for, and at the prompt's index 0 */
    const samp_logprob *top;     /* [n_top], likeliest first */
    uint32_t n_top;
} samp_token_event;

typedef enum samp_finish {
    SAMP_FINISH_STOP,   /* end of sequence, a stop token, or the sink said so */
    SAMP_FINISH_LENGTH, /* max_tokens, or the context is full */
    SAMP_FINISH_ABORT,  /* cancelled, or the engine was closed */
    SAMP_FINISH_ERROR,  /* see status and message */
    SAMP_FINISH_COUNT
} samp_finish;
/* "stop", "length", "abort", "error". */
const char *samp_finish_name(samp_finish finish);

typedef struct samp_end {
    samp_finish finish;
    int32_t stop_token;             /* that ended it, -1 when it ended otherwise */
    uint32_t n_prompt, n_generated; /* tokens; a stop token counts as generated */
    uint32_t n_cached;              /* prompt tokens that came from the prefix cache */
    uint32_t n_preemptions;
    /* samp_clock() of arrival, of the first step, of the first and the last generated token, of the
     * end; 0 = did not happen. */
    double arrived, scheduled, first_token, last_token, ended;
    samp_status status;  /* of SAMP_FINISH_ERROR, else SAMP_OK */
    const char *message; /* one sentence, "" when there is none; lives during the call */
} samp_end;

typedef struct samp_sink {
    /* A generated token. A false answer ends the request with SAMP_FINISH_STOP: a stop string was
     * seen. Called once more at most after a cancel. */
    bool (*token)(void *context, const samp_token_event *event);
    /* A prompt token's log-probability, in order; called when prompt_logprobs was asked for. May be
     * NULL otherwise. */
    void (*prompt)(void *context, const samp_token_event *event);
    /* Exactly once for every request that was accepted, and the last call for it. */
    void (*end)(void *context, const samp_end *end);
    void *context;
} samp_sink;

/* Restricts what may be generated. */
typedef struct samp_constraint {
    /* Sets the bit of every token that may come next: token t is bit t%64 of mask[t/64]; the mask
     * comes zeroed. Nothing allowed ends the request with SAMP_FINISH_ERROR; so does a false
     * answer. End of sequence is a token like others: to be allowed when the text is complete. NULL
     * = no constraint. */
    bool (*allowed)(void *context, uint64_t *mask);
    /* The token that was chosen; called for every generated token. */
    void (*accept)(void *context, int32_t token);
    void *context;
} samp_constraint;

typedef struct samp_request {
    const int32_t *prompt; /* at least one token, all within the vocabulary */
    uint32_t n_prompt;
    uint32_t max_tokens; /* 0 = generate nothing, score the prompt; capped by the context */
    uint32_t min_tokens; /* end-of-sequence and stop tokens are not chosen before these */
    samp_sampler_options sampler;
    const int32_t *stop_tokens; /* besides end of sequence */
    uint32_t n_stop_tokens;
    bool ignore_eos;
    int logprobs;        /* likeliest tokens wanted beside each generated one; -1 = no logprobs */
    int prompt_logprobs; /* the same for each prompt token; -1 = none */
    int64_t priority;    /* lower runs first; among equals the earlier arrival */
    /* Requests share prefixes only with those of the same salt. */
    uint64_t cache_salt;
    samp_constraint constraint;
    samp_sink sink;
} samp_request;

/* Greedy, no logprobs, everything else zero. */
samp_request samp_request_defaults(void);

/* What became of a submission. */
typedef struct samp_ticket {
    uint64_t id;          /* of the request, 0 when it was refused */
    double retry_seconds; /* of SAMP_LIMIT: when there may be room; else 0 */
    const char *reason;   /* of SAMP_LIMIT: "max_num_queued_reqs", "max_num_queued_tokens" */
} samp_ticket;

/* Puts a request in the queue. Refused without any work, and without a call of the sink:
 *   SAMP_LIMIT      the queue is full
 *   SAMP_INVALID    a value out of range, a token outside the vocabulary, a prompt that leaves no
 *                   position for an answer, or more at once than the queue ever takes
 *   SAMP_CANCELLED  the engine is draining
 *   SAMP_NOMEM
 * The sink may be called before this returns. */
samp_status samp_engine_submit(samp_engine *engine, const samp_request *request,
                               samp_ticket *ticket, samp_error *error);
/* Whether n more requests of n_tokens prompt tokens together would be let in now, as submit says
 * it: to refuse before a prompt is tokenized (n_tokens 0) or before the first of n is submitted. */
samp_status samp_engine_admits(samp_engine *engine, uint32_t n, uint64_t n_tokens,
                               samp_ticket *ticket, samp_error *error);
/* Ends a request wherever it is, with SAMP_FINISH_ABORT; its KV blocks are free by the next step.
 * An id that has ended, or never was, is ignored. Does not wait for the sink's end. */
void samp_engine_cancel(samp_engine *engine, uint64_t id);

/* Refuses new requests from now on and waits until all have ended, at most so many seconds; true
 * when none is left. */
bool samp_engine_drain(samp_engine *engine, double seconds);

/* ---- watching ---- */

/* Counters since open unless said otherwise. */
typedef struct samp_engine_stats {
    uint32_t n_running, n_waiting; /* requests now */
    uint64_t waiting_tokens;       /* prompt tokens of waiting requests, now */
    uint32_t kv_blocks, kv_used;   /* all; held by running requests now */
    uint32_t kv_cached;            /* held by no request, but kept for their content, now */
    uint64_t preemptions;
    uint64_t prefix_queries, prefix_hits;     /* prompt tokens looked up in the cache; found */
    uint64_t prompt_tokens;                   /* of requests whose prompt is complete */
    uint64_t recomputed_tokens;               /* after preemptions */
    uint64_t generated_tokens;                /* that were given to sinks */
    uint64_t drafted_tokens, accepted_tokens; /* speculation: proposed, right */
    uint64_t steps;
    double step_seconds; /* all steps together */
    uint64_t ended[SAMP_FINISH_COUNT];
    uint64_t refused_requests, refused_tokens; /* by max_queue, by max_queue_tokens */
} samp_engine_stats;

/* A snapshot, as of the last step; a request whose end was called is in it. */
void samp_engine_stats_read(samp_engine *engine, samp_engine_stats *out);

#endif

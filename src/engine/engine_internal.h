/* What the files of the engine room share: an accepted request (a job), the engine, and the parts
 * of a turn. A turn of the engine's thread is
 *     reap     jobs that were cancelled end                          (queue.c)
 *     admit    waiting jobs start while they fit                     (schedule.c)
 *     plan     which job is fed how many tokens                      (schedule.c)
 *     step     the session computes; tokens are chosen, given, kept  (step.c)
 * Memory: a job is created by submit and released when it has ended; everything a step needs is
 * allocated when the engine opens or grows to sizes not seen before. */
#ifndef SAMP_ENGINE_ENGINE_INTERNAL_H
#define SAMP_ENGINE_ENGINE_INTERNAL_H

#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/pace.h"
#include "engine/prefix_cache.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct samp__job samp__job;
struct samp__job {
    samp__job *before, *after; /* in the queue, while it waits; the lock's */
    uint64_t id;
    atomic_bool is_cancelled;

    samp_request ask; /* max_tokens capped; its arrays are the job's own, the prompt is in tokens */
    /* Prompt, then generated tokens, then guesses of this step: has room for all that can come
     * once the job runs. */
    int32_t *tokens;
    uint32_t n_tokens; /* guesses not counted */

    /* The rest is the engine's thread's. A running job's sequence holds the first tokens; what is
     * missing is fed. */
    samp_sequence *sequence; /* NULL while the job waits */
    samp_sampler *sampler;   /* NULL before it has run; outlives a preemption */
    uint32_t n_chain;        /* its first blocks that are in the prefix cache */
    uint32_t n_scored;       /* prompt tokens whose log-probability was given */
    uint32_t furthest;       /* longest the sequence has been */
    samp__draft_record guessing;
    uint32_t n_feed, n_guesses; /* this step: tokens fed, those among them that are guesses */
    bool has_ended;             /* this step: end says how */
    samp_end end;
    samp_error error; /* of SAMP_FINISH_ERROR */
};

struct samp_engine {
    samp_session *session;
    samp_engine_options options; /* defaults filled in */
    int32_t *eos_tokens;         /* [n_eos_tokens], the config's too */
    uint32_t n_eos_tokens;
    uint32_t max_batch, vocab;

    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work;  /* a job came, was cancelled, or the engine is to stop */
    pthread_cond_t quiet; /* no job is left */
    bool has_thread, is_stopping, is_draining;
    uint64_t last_id;
    samp__job *first_waiting, *last_waiting; /* in order of samp__job_before */
    uint32_t n_waiting, n_live;              /* n_live: accepted, end not yet called */
    uint32_t n_cancelled;                    /* calls since the last reap */
    uint64_t waiting_tokens, refused_requests, refused_tokens;
    samp__job **running; /* [max_running] in the same order; the thread reads it without the lock */
    uint32_t n_running;
    samp_engine_stats published;

    /* The engine's thread's alone. */
    samp__prefix_cache cache;
    samp__pace pace;
    samp_sequence **sequences; /* [n_sequences] not in use */
    uint32_t n_sequences;
    samp__job **fed; /* [n_fed] jobs of this step */
    uint32_t n_fed;
    samp_feed *feeds;    /* [max_running] */
    uint32_t n_reserved; /* KV blocks this step takes */
    float *logits;       /* [n_rows][vocab] */
    uint32_t n_rows;
    float *row;       /* [vocab] what the sampler may overwrite */
    uint64_t *mask;   /* [vocab bits] */
    uint32_t n_ended; /* jobs ended since the last publish */
    samp_engine_stats counts;
};

/* ---- engine.c ---- */

/* Makes the counters visible, and says when no job is left. */
void samp__publish(samp_engine *engine);

/* ---- job.c ---- */

/* Everything a request can be refused for, whatever the queue looks like. */
samp_status samp__job_check(const samp_engine *engine, const samp_request *request,
                            samp_error *error);
samp_status samp__job_create(samp__job **out, const samp_engine *engine,
                             const samp_request *request, samp_error *error);
void samp__job_release(samp__job *job);
/* Lower priority value first, then the earlier arrival. */
bool samp__job_before(const samp__job *a, const samp__job *b);
uint32_t samp__job_generated(const samp__job *job);
/* Tokens not yet in the sequence; 1 when only the last is to be fed. */
uint32_t samp__job_left(const samp__job *job);
/* Whether its next step adds to the answer: nothing is left but the token generated last. */
bool samp__job_is_answering(const samp__job *job);
/* Whether the prompt tokens after the sequence's still want log-probabilities. */
bool samp__job_is_scoring(const samp__job *job);
/* Gives a sequence and room to run; a failure leaves the job as it was. */
samp_status samp__job_start(samp_engine *engine, samp__job *job, samp_error *error);
/* Takes both away. Blocks in the cache stay there. */
void samp__job_stop(samp_engine *engine, samp__job *job);
/* Blocks the cache has for it from its sequence's end on, and how many of them are idle. */
uint32_t samp__job_cached(const samp_engine *engine, const samp__job *job, uint32_t *n_idle);
/* Appends them to the sequence. */
void samp__job_adopt(samp_engine *engine, samp__job *job);
/* Puts full blocks of the sequence into the cache, or the cache's own in their place. */
void samp__job_share(samp_engine *engine, samp__job *job);
/* Notes how a job ended; the first one counts. */
void samp__job_finish(samp__job *job, samp_finish finish, const samp_error *error);
/* Calls the sink's end and releases the job, which is in no list any more. */
void samp__job_end(samp_engine *engine, samp__job *job);

/* ---- queue.c ---- */

void samp__reap(samp_engine *engine);
/* Ends every job. */
void samp__abort_all(samp_engine *engine);
/* The waiting job whose turn is next; NULL when none waits. */
samp__job *samp__queue_first(samp_engine *engine);
/* From the queue to the running jobs; back; and away from them. */
void samp__queue_run(samp_engine *engine, samp__job *job);
void samp__queue_return(samp_engine *engine, samp__job *job);
void samp__queue_remove(samp_engine *engine, samp__job *job);

/* ---- schedule.c, step.c ---- */

void samp__admit(samp_engine *engine);
void samp__plan(samp_engine *engine);
void samp__step(samp_engine *engine);

/* ---- logprobs.c ---- */

/* Fills *out and top [n_top] for `token` from a row of logits. */
void samp__logprobs(const float *logits, uint32_t vocab, int32_t token, uint32_t n_top,
                    samp_logprob *out, samp_logprob *top);

#endif

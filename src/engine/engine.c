/* Opening and closing the engine, its thread's loop, and what is to be seen of it. */
#include "engine/engine.h"

#include "base/memory.h"
#include "engine/engine_internal.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>

enum { DEFAULT_RUNNING = 64, DEFAULT_QUEUE = 1024 };
#define DEFAULT_STEP_SECONDS .25

samp_request samp_request_defaults(void)
{
    return (samp_request){
        .sampler = samp_sampler_defaults(), .logprobs = -1, .prompt_logprobs = -1};
}

const char *samp_finish_name(samp_finish finish)
{
    static const char *const names[SAMP_FINISH_COUNT] = {"stop", "length", "abort", "error"};
    return names[finish];
}

/* ---- the thread ---- */

void samp__publish(samp_engine *engine)
{
    samp_engine_stats *counts = &engine->counts;
    counts->kv_blocks = samp_session_context(engine->session) / SAMP_KV_BLOCK;
    counts->kv_cached = engine->cache.n_idle;
    counts->kv_used = counts->kv_blocks - samp_session_kv_free(engine->session) - counts->kv_cached;
    pthread_mutex_lock(&engine->lock);
    engine->published = *counts;
    engine->n_live -= engine->n_ended;
    engine->n_ended = 0;
    if (engine->n_live == 0) pthread_cond_broadcast(&engine->quiet);
    pthread_mutex_unlock(&engine->lock);
}

/* False when the engine is to stop. */
static bool wait_for_work(samp_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    while (!engine->is_stopping && engine->n_waiting == 0 && engine->n_running == 0)
        pthread_cond_wait(&engine->work, &engine->lock);
    bool goes_on = !engine->is_stopping;
    pthread_mutex_unlock(&engine->lock);
    return goes_on;
}

static void *run_engine(void *context)
{
    samp_engine *engine = context;
    while (wait_for_work(engine)) {
        samp__reap(engine);
        samp__admit(engine);
        samp__plan(engine);
        if (engine->n_fed > 0) samp__step(engine);
        samp__publish(engine);
    }
    samp__abort_all(engine);
    samp__publish(engine);
    return NULL;
}

/* ---- opening ---- */

static samp_status check_options(samp_engine_options *o, samp_error *error)
{
    if (!o->max_running) o->max_running = DEFAULT_RUNNING;
    if (!o->max_queue) o->max_queue = DEFAULT_QUEUE;
    if (!o->max_queue_tokens) o->max_queue_tokens = UINT64_MAX;
    if (o->step_seconds == 0) o->step_seconds = DEFAULT_STEP_SECONDS;
    if (o->max_running > SAMP_ENGINE_RUNNING_MAX)
        return samp_fail(error, SAMP_INVALID, "%u running requests, expected at most %d",
                         o->max_running, SAMP_ENGINE_RUNNING_MAX);
    if (o->max_queue > SAMP_ENGINE_QUEUE_MAX)
        return samp_fail(error, SAMP_INVALID, "a queue of %u requests, expected at most %d",
                         o->max_queue, SAMP_ENGINE_QUEUE_MAX);
    if (!(o->step_seconds > 0 && o->step_seconds <= 3600))
        return samp_fail(error, SAMP_INVALID, "a step of %g seconds, expected 0 to 3600",
                         o->step_seconds);
    return SAMP_OK;
}

/* The config's ends of sequence and the caller's. */
static samp_status copy_eos(samp_engine *engine, samp_error *error)
{
    const samp_config *config = samp_session_config(engine->session);
    const samp_engine_options *o = &engine->options;
    if (o->n_eos_tokens > SAMP_ENGINE_STOPS_MAX)
        return samp_fail(error, SAMP_INVALID, "%u end-of-sequence tokens, expected at most %d",
                         o->n_eos_tokens, SAMP_ENGINE_STOPS_MAX);
    size_t room = (size_t)config->n_eos_tokens + o->n_eos_tokens + 1;
    engine->eos_tokens = samp_alloc(room, sizeof *engine->eos_tokens);
    if (!engine->eos_tokens) return samp_fail(error, SAMP_NOMEM, "out of memory for an engine");
    for (size_t i = 0; i + 1 < room; i++) {
        size_t n = (size_t)config->n_eos_tokens;
        int32_t token = i < n ? config->eos_tokens[i] : o->eos_tokens[i - n];
        if (token >= 0 && (uint32_t)token < engine->vocab)
            engine->eos_tokens[engine->n_eos_tokens++] = token;
    }
    return SAMP_OK;
}

static samp_status allocate(samp_engine *engine, samp_error *error)
{
    uint32_t n = engine->options.max_running;
    engine->running = samp_alloc(n, sizeof *engine->running);
    engine->fed = samp_alloc(n, sizeof *engine->fed);
    engine->feeds = samp_alloc(n, sizeof *engine->feeds);
    engine->sequences = samp_alloc(n, sizeof *engine->sequences);
    engine->row = samp_alloc(engine->vocab, sizeof *engine->row);
    engine->mask = samp_alloc((engine->vocab + 63) / 64, sizeof *engine->mask);
    if (!engine->running || !engine->fed || !engine->feeds || !engine->sequences || !engine->row ||
        !engine->mask)
        return samp_fail(error, SAMP_NOMEM, "out of memory for %u running requests", n);
    for (; engine->n_sequences < n; engine->n_sequences++)
        SAMP_TRY(
            samp_sequence_create(engine->session, &engine->sequences[engine->n_sequences], error));
    return samp__prefix_init(&engine->cache, engine->session, error);
}

static samp_status open_parts(samp_engine *engine, samp_model *model, samp_error *error)
{
    SAMP_TRY(check_options(&engine->options, error));
    SAMP_TRY(samp_session_open(&engine->session, model, &engine->options.session, error));
    engine->max_batch = samp_session_max_batch(engine->session);
    engine->vocab = samp_session_config(engine->session)->vocab_size;
    uint32_t half = (engine->max_batch + 1) / 2; /* the other half of a step is for prompts */
    if (engine->options.max_running > half) engine->options.max_running = half;
    SAMP_TRY(copy_eos(engine, error));
    return allocate(engine, error);
}

/* The thread handles no signals: they are for the program's own threads. */
static samp_status start_thread(samp_engine *engine, samp_error *error)
{
    sigset_t all, before;
    samp__publish(engine);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&engine->thread, NULL, run_engine, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    engine->has_thread = failure == 0;
    errno = failure;
    return failure == 0 ? SAMP_OK : samp_fail_errno(error, "the engine's thread cannot be started");
}

samp_status samp_engine_open(samp_engine **out, samp_model *model,
                             const samp_engine_options *options, samp_error *error)
{
    *out = NULL;
    samp_engine *engine = samp_alloc(1, sizeof *engine);
    if (!engine) return samp_fail(error, SAMP_NOMEM, "out of memory for an engine");
    engine->options = *options;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->work, NULL);
    pthread_cond_init(&engine->quiet, &clock);
    pthread_condattr_destroy(&clock);
    samp_status status = open_parts(engine, model, error);
    if (status == SAMP_OK) status = start_thread(engine, error);
    if (status == SAMP_OK)
        *out = engine;
    else
        samp_engine_close(engine);
    return status;
}

void samp_engine_close(samp_engine *engine)
{
    if (!engine) return;
    pthread_mutex_lock(&engine->lock);
    engine->is_stopping = true;
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
    if (engine->has_thread) pthread_join(engine->thread, NULL);
    samp__prefix_release(&engine->cache);
    while (engine->n_sequences > 0)
        samp_sequence_release(engine->session, engine->sequences[--engine->n_sequences]);
    samp_session_close(engine->session);
    samp_free(engine->logits);
    samp_free(engine->mask);
    samp_free(engine->row);
    samp_free(engine->sequences);
    samp_free(engine->feeds);
    samp_free(engine->fed);
    samp_free(engine->running);
    samp_free(engine->eos_tokens);
    pthread_cond_destroy(&engine->quiet);
    pthread_cond_destroy(&engine->work);
    pthread_mutex_destroy(&engine->lock);
    samp_free(engine);
}

const samp_session *samp_engine_session(const samp_engine *engine) { return engine->session; }

/* ---- other threads ---- */

bool samp_engine_drain(samp_engine *engine, double seconds)
{
    double until = samp_clock() + seconds;
    struct timespec deadline = {.tv_sec = (time_t)until,
                                .tv_nsec = (long)((until - floor(until)) * 1e9)};
    pthread_mutex_lock(&engine->lock);
    engine->is_draining = true;
    int waited = 0;
    while (engine->n_live > 0 && waited == 0)
        waited = pthread_cond_timedwait(&engine->quiet, &engine->lock, &deadline);
    bool is_quiet = engine->n_live == 0;
    pthread_mutex_unlock(&engine->lock);
    return is_quiet;
}

void samp_engine_stats_read(samp_engine *engine, samp_engine_stats *out)
{
    pthread_mutex_lock(&engine->lock);
    *out = engine->published;
    out->n_running = engine->n_running;
    out->n_waiting = engine->n_waiting;
    out->waiting_tokens = engine->waiting_tokens;
    out->refused_requests = engine->refused_requests;
    out->refused_tokens = engine->refused_tokens;
    pthread_mutex_unlock(&engine->lock);
}

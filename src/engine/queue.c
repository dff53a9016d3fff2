/* The door: requests come in, wait in order, and are cancelled. What other threads touch is here,
 * under the engine's lock; no sink is called with it held. */
#include "engine/engine_internal.h"

/* ---- the list of waiting jobs ---- */

static void list_remove(samp_engine *engine, samp__job *job)
{
    *(job->before ? &job->before->after : &engine->first_waiting) = job->after;
    *(job->after ? &job->after->before : &engine->last_waiting) = job->before;
    job->before = job->after = NULL;
    engine->n_waiting--;
    engine->waiting_tokens -= job->n_tokens;
}

/* Nearly always at the end. */
static void list_insert(samp_engine *engine, samp__job *job)
{
    samp__job *at = engine->last_waiting;
    while (at && samp__job_before(job, at)) at = at->before;
    job->before = at;
    job->after = at ? at->after : engine->first_waiting;
    *(at ? &at->after : &engine->first_waiting) = job;
    *(job->after ? &job->after->before : &engine->last_waiting) = job;
    engine->n_waiting++;
    engine->waiting_tokens += job->n_tokens;
}

/* ---- other threads ---- */

/* When a place may be free: a request has taken so long of the engine's time until now. */
static double retry_seconds(const samp_engine *engine, uint32_t n)
{
    const samp_engine_stats *stats = &engine->published;
    uint64_t ended = 0;
    for (int i = 0; i < SAMP_FINISH_COUNT; i++) ended += stats->ended[i];
    double seconds = ended ? n * stats->step_seconds / (double)ended : 1;
    return seconds < .1 ? .1 : seconds > 60 ? 60 : seconds;
}

/* With the lock held. */
static samp_status check_room(samp_engine *engine, uint32_t n, uint64_t n_tokens,
                              samp_ticket *ticket, samp_error *error)
{
    const samp_engine_options *o = &engine->options;
    *ticket = (samp_ticket){0};
    if (engine->is_draining || engine->is_stopping)
        return samp_fail(error, SAMP_CANCELLED,
                         "the engine takes no more requests: it is draining");
    if (n > o->max_queue)
        return samp_fail(error, SAMP_INVALID,
                         "%u choices at once are more than the queue ever takes (%u)", n,
                         o->max_queue);
    if (n_tokens > o->max_queue_tokens)
        return samp_fail(error, SAMP_INVALID,
                         "%llu prompt tokens at once are more than the queue ever takes (%llu)",
                         (unsigned long long)n_tokens, (unsigned long long)o->max_queue_tokens);
    double seconds = retry_seconds(engine, n);
    if (engine->n_waiting > o->max_queue - n) {
        engine->refused_requests += n;
        *ticket = (samp_ticket){.retry_seconds = seconds, .reason = "max_num_queued_reqs"};
        return samp_fail(error, SAMP_LIMIT,
                         "the queue is full: %u requests wait and %u came, at most %u may wait; "
                         "try again in %.1f s",
                         engine->n_waiting, n, o->max_queue, seconds);
    }
    if (engine->waiting_tokens > o->max_queue_tokens - n_tokens) {
        engine->refused_tokens += n;
        *ticket = (samp_ticket){.retry_seconds = seconds, .reason = "max_num_queued_tokens"};
        return samp_fail(error, SAMP_LIMIT,
                         "the queue is full: %llu prompt tokens wait and %llu came, at most %llu "
                         "may wait; try again in %.1f s",
                         (unsigned long long)engine->waiting_tokens, (unsigned long long)n_tokens,
                         (unsigned long long)o->max_queue_tokens, seconds);
    }
    return SAMP_OK;
}

samp_status samp_engine_admits(samp_engine *engine, uint32_t n, uint64_t n_tokens,
                               samp_ticket *ticket, samp_error *error)
{
    pthread_mutex_lock(&engine->lock);
    samp_status status = check_room(engine, n, n_tokens, ticket, error);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

samp_status samp_engine_submit(samp_engine *engine, const samp_request *request,
                               samp_ticket *ticket, samp_error *error)
{
    samp__job *job;
    *ticket = (samp_ticket){0};
    SAMP_TRY(samp_engine_admits(engine, 1, request->n_prompt, ticket, error));
    SAMP_TRY(samp__job_check(engine, request, error));
    SAMP_TRY(samp__job_create(&job, engine, request, error));
    pthread_mutex_lock(&engine->lock);
    samp_status status = check_room(engine, 1, request->n_prompt, ticket, error);
    if (status == SAMP_OK) {
        job->id = ticket->id = ++engine->last_id;
        engine->n_live++;
        list_insert(engine, job);
        pthread_cond_signal(&engine->work);
    }
    pthread_mutex_unlock(&engine->lock);
    if (status != SAMP_OK) samp__job_release(job);
    return status;
}

void samp_engine_cancel(samp_engine *engine, uint64_t id)
{
    pthread_mutex_lock(&engine->lock);
    samp__job *job = engine->first_waiting;
    while (job && job->id != id) job = job->after;
    for (uint32_t i = 0; i < engine->n_running && !job; i++)
        if (engine->running[i]->id == id) job = engine->running[i];
    if (job) {
        atomic_store(&job->is_cancelled, true);
        engine->n_cancelled++;
        pthread_cond_signal(&engine->work);
    }
    pthread_mutex_unlock(&engine->lock);
}

/* ---- the engine's thread ---- */

samp__job *samp__queue_first(samp_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    samp__job *job = engine->first_waiting;
    pthread_mutex_unlock(&engine->lock);
    return job;
}

void samp__queue_run(samp_engine *engine, samp__job *job)
{
    pthread_mutex_lock(&engine->lock);
    list_remove(engine, job);
    uint32_t at = engine->n_running++;
    for (; at > 0 && samp__job_before(job, engine->running[at - 1]); at--)
        engine->running[at] = engine->running[at - 1];
    engine->running[at] = job;
    pthread_mutex_unlock(&engine->lock);
}

/* With the lock held. */
static void remove_running(samp_engine *engine, const samp__job *job)
{
    uint32_t at = 0;
    while (engine->running[at] != job) at++;
    for (engine->n_running--; at < engine->n_running; at++)
        engine->running[at] = engine->running[at + 1];
}

void samp__queue_return(samp_engine *engine, samp__job *job)
{
    pthread_mutex_lock(&engine->lock);
    remove_running(engine, job);
    list_insert(engine, job);
    pthread_mutex_unlock(&engine->lock);
}

void samp__queue_remove(samp_engine *engine, samp__job *job)
{
    pthread_mutex_lock(&engine->lock);
    remove_running(engine, job);
    pthread_mutex_unlock(&engine->lock);
}

/* Takes the cancelled jobs (or all) out of both places and ends them. */
static void end_jobs(samp_engine *engine, bool all)
{
    samp__job *ending = NULL; /* linked by `after` */
    pthread_mutex_lock(&engine->lock);
    for (samp__job *job = engine->first_waiting, *after; job; job = after) {
        after = job->after;
        if (!all && !atomic_load(&job->is_cancelled)) continue;
        list_remove(engine, job);
        job->after = ending;
        ending = job;
    }
    for (uint32_t i = engine->n_running; i-- > 0;) {
        samp__job *job = engine->running[i];
        if (!all && !atomic_load(&job->is_cancelled)) continue;
        remove_running(engine, job);
        job->after = ending;
        ending = job;
    }
    engine->n_cancelled = 0;
    pthread_mutex_unlock(&engine->lock);
    for (samp__job *job = ending, *after; job; job = after) {
        after = job->after;
        samp__job_finish(job, SAMP_FINISH_ABORT, NULL);
        samp__job_end(engine, job);
    }
}

void samp__reap(samp_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    uint32_t n = engine->n_cancelled;
    pthread_mutex_unlock(&engine->lock);
    if (n > 0) end_jobs(engine, false);
}

void samp__abort_all(samp_engine *engine) { end_jobs(engine, true); }

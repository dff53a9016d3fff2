/* Who runs, and what a step computes.
 *
 * A job is let in when the KV blocks of all its tokens are free or idle, those counted that running
 * jobs still need for theirs; the queue is first come, first served, so that a large job is not
 * passed for ever. Jobs that are answering may then need more blocks than there are: the latest
 * job of the lowest priority goes back to the queue, with what it has generated, and finds most of
 * its blocks in the cache when it returns. The first job is never sent away for another, so that
 * something always gets done.
 *
 * Tokens of a step go to answers first. Of the rest the oldest prompt has half, so that it gets on
 * whatever comes, and the shortest ones the other half, so that they needn't wait for long ones. */
#include "engine/engine_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    SCORED_ROWS = 128,  /* rows of logits a step computes for prompt tokens */
    GUESSED_ROWS = 64,  /* and for guesses */
    SMALLEST_PIECE = 32 /* of prompts, however slow the machine is */
};

static uint32_t blocks_of(uint32_t n_tokens)
{
    return (n_tokens + SAMP_KV_BLOCK - 1) / SAMP_KV_BLOCK;
}

static uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* ---- blocks ---- */

/* Blocks that are free, or can be, beyond those this step has reserved. */
static uint32_t blocks_left(const samp_engine *engine)
{
    return samp_session_kv_free(engine->session) + engine->cache.n_idle - engine->n_reserved;
}

/* Reserves blocks that are left. */
static void reserve(samp_engine *engine, uint32_t n)
{
    engine->n_reserved += n;
    while (samp_session_kv_free(engine->session) < engine->n_reserved)
        samp__prefix_evict(&engine->cache);
}

static void preempt(samp_engine *engine, samp__job *job)
{
    samp__job_stop(engine, job);
    samp__queue_return(engine, job);
    job->end.n_preemptions++;
    engine->counts.preemptions++;
}

/* Reserves blocks for a running job, taking them from jobs after it; false when it had to go
 * itself. Jobs before it have been planned, those after it have not. */
static bool reserve_for(samp_engine *engine, samp__job *job, uint32_t n)
{
    while (blocks_left(engine) < n) {
        samp__job *last = engine->running[engine->n_running - 1];
        preempt(engine, last);
        if (last == job) return false;
    }
    reserve(engine, n);
    return true;
}

/* ---- admission ---- */

/* Blocks that running jobs need for the tokens they have, beyond those they hold. */
static uint32_t blocks_promised(const samp_engine *engine)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < engine->n_running; i++) {
        const samp__job *job = engine->running[i];
        n += samp_sequence_kv_needed(job->sequence, samp__job_left(job));
    }
    return n;
}

static bool fits(const samp_engine *engine, const samp__job *job)
{
    if (engine->n_running == 0) return true; /* no prompt is longer than the store */
    uint32_t n_idle, n_cached = samp__job_cached(engine, job, &n_idle);
    uint32_t needed = blocks_of(job->n_tokens + 1) - n_cached;
    return (uint64_t)needed + n_idle + blocks_promised(engine) <= blocks_left(engine);
}

void samp__admit(samp_engine *engine)
{
    samp__job *job;
    engine->n_reserved = 0;
    while (engine->n_running < engine->options.max_running &&
           (job = samp__queue_first(engine)) != NULL && fits(engine, job)) {
        samp_error error;
        samp__queue_run(engine, job);
        if (job->end.scheduled == 0) job->end.scheduled = samp_clock();
        if (samp__job_start(engine, job, &error) == SAMP_OK) continue;
        samp__queue_remove(engine, job);
        samp__job_finish(job, SAMP_FINISH_ERROR, &error);
        samp__job_end(engine, job);
    }
}

/* ---- the plan of a step ---- */

/* What is left to give out in a step. */
typedef struct budget {
    uint32_t tokens, scored_rows, guessed_rows;
} budget;

/* Guesses after the last token of an answer, when they pay and cost nobody anything. */
static uint32_t guess(samp_engine *engine, samp__job *job, double cost, const budget *left)
{
    if (engine->options.no_speculation) return 0;
    uint32_t more = job->ask.max_tokens - samp__job_generated(job); /* at least 1 */
    uint32_t n = samp__draft_length(&job->guessing, cost);
    n = min(min(n, more - 1), min(left->tokens, left->guessed_rows));
    if (n > 0) n = samp__draft_lookup(job->tokens, job->n_tokens, n, job->tokens + job->n_tokens);
    uint32_t begun = samp_sequence_length(job->sequence) % SAMP_KV_BLOCK;
    uint32_t room = begun ? SAMP_KV_BLOCK - begun - 1 : SAMP_KV_BLOCK - 1;
    return min(n, room); /* what fits into the block that is taken anyway */
}

static void plan_answers(samp_engine *engine, budget *left)
{
    uint32_t n_answering = 0;
    for (uint32_t i = 0; i < engine->n_running; i++)
        n_answering += samp__job_is_answering(engine->running[i]);
    left->tokens -= n_answering; /* guesses take what answers leave */
    double cost = samp__pace_guess_cost(&engine->pace, n_answering);
    for (uint32_t i = 0; i < engine->n_running; i++) { /* reserve_for may shorten it */
        samp__job *job = engine->running[i];
        if (!samp__job_is_answering(job)) continue;
        if (!reserve_for(engine, job, samp_sequence_kv_needed(job->sequence, 1))) break;
        job->n_guesses = guess(engine, job, cost, left);
        left->tokens -= job->n_guesses;
        left->guessed_rows -= job->n_guesses;
        job->n_feed = 1 + job->n_guesses;
        engine->fed[engine->n_fed++] = job;
    }
}

/* Whether another job of this step is about to compute this job's next block: then it waits, and
 * shares the block. */
static bool is_computed_by_other(const samp_engine *engine, const samp__job *job)
{
    uint32_t at = job->n_chain * SAMP_KV_BLOCK;
    if (engine->options.no_prefix_cache || samp__job_is_scoring(job) ||
        samp_sequence_length(job->sequence) != at || job->n_tokens <= at + SAMP_KV_BLOCK)
        return false;
    for (uint32_t i = 0; i < engine->n_fed; i++) {
        const samp__job *other = engine->fed[i];
        if (other->n_chain != job->n_chain || other->n_tokens < at + SAMP_KV_BLOCK ||
            other->ask.cache_salt != job->ask.cache_salt)
            continue;
        if (memcmp(other->tokens, job->tokens, (at + SAMP_KV_BLOCK) * sizeof *job->tokens) == 0)
            return true;
    }
    return false;
}

/* The order in which prompts share what the oldest leaves: by priority, then the shortest first. */
static int compare_prompts(const void *left, const void *right)
{
    const samp__job *a = *(samp__job *const *)left, *b = *(samp__job *const *)right;
    if (a->ask.priority != b->ask.priority) return a->ask.priority < b->ask.priority ? -1 : 1;
    uint32_t x = samp__job_left(a), y = samp__job_left(b);
    return x != y ? (x < y ? -1 : 1) : a->id < b->id ? -1 : 1;
}

/* Puts the jobs with prompt tokens to feed into the step, the oldest first; returns how many tokens
 * those after it still have. */
static uint64_t list_prompts(samp_engine *engine)
{
    uint32_t first = engine->n_fed, n = 0, kept = first + 1;
    samp__job **prompts = engine->fed + first;
    for (uint32_t i = 0; i < engine->n_running; i++)
        if (!samp__job_is_answering(engine->running[i])) prompts[n++] = engine->running[i];
    if (n == 0) return 0;
    for (uint32_t i = 0; i < n; i++) samp__job_adopt(engine, prompts[i]);
    qsort(prompts + 1, n - 1, sizeof *prompts, compare_prompts);
    uint64_t left = 0;
    for (uint32_t i = 1; i < n; i++) {
        samp__job *job = prompts[i];
        engine->n_fed = kept;
        if (is_computed_by_other(engine, job)) continue;
        engine->fed[kept++] = job;
        left += samp__job_left(job);
    }
    engine->n_fed = kept;
    return left;
}

/* Tokens of a prompt that can be fed, of at most n. */
static uint32_t piece_of(const samp_engine *engine, const samp__job *job, uint32_t n,
                         const budget *left)
{
    n = min(n, min(samp__job_left(job), left->tokens));
    if (samp__job_is_scoring(job)) n = min(n, left->scored_rows);
    uint32_t begun = samp_sequence_length(job->sequence) % SAMP_KV_BLOCK;
    uint64_t room = (uint64_t)blocks_left(engine) * SAMP_KV_BLOCK;
    if (begun) room += SAMP_KV_BLOCK - begun;
    return room < n ? (uint32_t)room : n;
}

static void plan_prompts(samp_engine *engine, budget *left)
{
    uint32_t first = engine->n_fed, kept = first, fed = engine->max_batch - left->tokens;
    uint64_t others = list_prompts(engine);
    if (engine->n_fed == first) return;
    if (first > 0) { /* somebody waits for the next token of an answer */
        uint32_t room = samp__pace_room(&engine->pace, fed, engine->options.step_seconds);
        uint32_t least = fed > SMALLEST_PIECE ? fed : SMALLEST_PIECE; /* as much as answers */
        left->tokens = min(left->tokens, room > least ? room : least);
    }
    uint32_t half = left->tokens / 2,
             most = left->tokens - (others < half ? (uint32_t)others : half);
    for (uint32_t i = first; i < engine->n_fed; i++) {
        samp__job *job = engine->fed[i];
        uint32_t n = piece_of(engine, job, i == first ? most : left->tokens, left);
        if (n == 0) continue;
        reserve(engine, samp_sequence_kv_needed(job->sequence, n));
        left->tokens -= n;
        if (samp__job_is_scoring(job)) left->scored_rows -= n;
        job->n_feed = n;
        job->n_guesses = 0;
        engine->fed[kept++] = job;
    }
    engine->n_fed = kept;
}

void samp__plan(samp_engine *engine)
{
    do {
        budget left = {engine->max_batch, SCORED_ROWS, GUESSED_ROWS};
        engine->n_fed = 0;
        engine->n_reserved = 0;
        plan_answers(engine, &left);
        plan_prompts(engine, &left);
        if (engine->n_fed > 0 || engine->n_running == 0) return;
        preempt(engine, engine->running[engine->n_running - 1]); /* all wait for blocks */
    } while (true);
}

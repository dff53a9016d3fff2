/* A step: feeds become rows of logits, rows become tokens and log-probabilities, and both are given
 * to the sinks.
 *
 * A step that the session refuses (a logit that is not finite) is tried again job by job, so that
 * only the one at fault ends. */
#include "base/memory.h"
#include "engine/engine_internal.h"

#include <string.h>

/* ---- feeding ---- */

static bool wants_row(const samp__job *job) /* after all its tokens */
{
    return job->n_feed == samp__job_left(job) + job->n_guesses && job->ask.max_tokens > 0;
}

static uint32_t rows_of(const samp__job *job)
{
    if (samp__job_is_scoring(job)) return job->n_feed;
    return wants_row(job) ? 1 + job->n_guesses : 0;
}

static samp_status reserve_rows(samp_engine *engine, uint32_t n, samp_error *error)
{
    if (n <= engine->n_rows) return SAMP_OK;
    uint64_t size;
    uint32_t rows = n > 2 * engine->n_rows ? n : 2 * engine->n_rows;
    bool fits = samp_mul(rows, engine->vocab, &size);
    float *logits = fits ? samp_realloc(engine->logits, size, sizeof *logits) : NULL;
    if (!logits)
        return samp_fail(error, SAMP_NOMEM, "out of memory for %u rows of %u logits", rows,
                         engine->vocab);
    engine->logits = logits;
    engine->n_rows = rows;
    return SAMP_OK;
}

static samp_status lay_out(samp_engine *engine, samp_error *error)
{
    size_t n_rows = 0;
    for (uint32_t i = 0; i < engine->n_fed; i++) n_rows += rows_of(engine->fed[i]);
    SAMP_TRY(reserve_rows(engine, (uint32_t)n_rows, error));
    n_rows = 0;
    for (uint32_t i = 0; i < engine->n_fed; i++) {
        const samp__job *job = engine->fed[i];
        uint32_t n = rows_of(job);
        engine->feeds[i] =
            (samp_feed){.sequence = job->sequence,
                        .tokens = job->tokens + samp_sequence_length(job->sequence),
                        .n_tokens = job->n_feed,
                        .all_logits = n > 1,
                        .logits = n ? engine->logits + n_rows * engine->vocab : NULL};
        n_rows += n;
    }
    return SAMP_OK;
}

/* Jobs that fail have ended; the others have been fed. */
static void run(samp_engine *engine)
{
    samp_error error;
    samp_status status = lay_out(engine, &error);
    if (status == SAMP_OK)
        status = samp_session_step(engine->session, engine->feeds, engine->n_fed, &error);
    if (status == SAMP_OK) return;
    bool again = engine->n_fed > 1 && status != SAMP_NOMEM;
    for (uint32_t i = 0; i < engine->n_fed; i++) {
        if (again) status = samp_session_step(engine->session, &engine->feeds[i], 1, &error);
        if (status != SAMP_OK) samp__job_finish(engine->fed[i], SAMP_FINISH_ERROR, &error);
    }
}

/* ---- scoring ---- */

static void give_prompt_token(samp__job *job, const samp_logprob *logprob, const samp_logprob *top,
                              uint32_t n_top)
{
    samp_token_event event = {.token = job->tokens[job->n_scored],
                              .index = job->n_scored,
                              .logprob = logprob,
                              .top = top,
                              .n_top = n_top};
    if (job->ask.sink.prompt) job->ask.sink.prompt(job->ask.sink.context, &event);
    job->n_scored++;
}

/* Row i is of position start+i and says how likely the token after it was. */
static void score(const samp_engine *engine, samp__job *job, const samp_feed *feed, uint32_t start)
{
    uint32_t n_top = (uint32_t)job->ask.prompt_logprobs;
    samp_logprob logprob, top[SAMP_ENGINE_LOGPROBS_MAX];
    if (job->n_scored == 0) give_prompt_token(job, NULL, NULL, 0);
    for (uint32_t i = 0; i < feed->n_tokens && samp__job_is_scoring(job); i++) {
        if (start + i + 1 != job->n_scored) continue; /* given before a preemption */
        samp__logprobs(feed->logits + (size_t)i * engine->vocab, engine->vocab,
                       job->tokens[job->n_scored], n_top, &logprob, top);
        give_prompt_token(job, &logprob, top, n_top);
    }
}

/* ---- choosing ---- */

static bool is_in(int32_t token, const int32_t *tokens, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] == token) return true;
    return false;
}

static bool is_stop(const samp_engine *engine, const samp__job *job, int32_t token)
{
    return is_in(token, job->ask.stop_tokens, job->ask.n_stop_tokens) ||
           (!job->ask.ignore_eos && is_in(token, engine->eos_tokens, engine->n_eos_tokens));
}

static void forbid(float *row, const int32_t *tokens, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) row[tokens[i]] = -INFINITY;
}

/* Sets what may not come next to -inf; false when nothing may. */
static bool restrict_row(samp_engine *engine, samp__job *job, float *row)
{
    const samp_constraint *constraint = &job->ask.constraint;
    if (samp__job_generated(job) < job->ask.min_tokens) {
        forbid(row, job->ask.stop_tokens, job->ask.n_stop_tokens);
        if (!job->ask.ignore_eos) forbid(row, engine->eos_tokens, engine->n_eos_tokens);
    }
    if (!constraint->allowed) return true;
    uint32_t n_words = (engine->vocab + 63) / 64;
    memset(engine->mask, 0, n_words * sizeof *engine->mask);
    if (!constraint->allowed(constraint->context, engine->mask)) return false;
    bool any = false;
    for (uint32_t i = 0; i < engine->vocab; i++) {
        if (!(engine->mask[i / 64] >> i % 64 & 1)) row[i] = -INFINITY;
        any |= row[i] > -INFINITY;
    }
    return any;
}

/* The next token of a row, which is overwritten unless its log-probabilities are wanted. */
static bool choose(samp_engine *engine, samp__job *job, float *row, int32_t *token)
{
    if (job->ask.logprobs >= 0) {
        memcpy(engine->row, row, engine->vocab * sizeof *row);
        row = engine->row;
    }
    if (!restrict_row(engine, job, row)) {
        samp_error error;
        samp_fail(&error, SAMP_INVALID, "after %u generated tokens the constraint allows no token",
                  samp__job_generated(job));
        samp__job_finish(job, SAMP_FINISH_ERROR, &error);
        return false;
    }
    *token = samp_sampler_next(job->sampler, row);
    return true;
}

/* ---- giving ---- */

/* Takes a chosen token into the job and gives it to the sink; the job may have ended by it. */
static void give_token(samp_engine *engine, samp__job *job, int32_t token, const float *row,
                       double now)
{
    const samp_sink *sink = &job->ask.sink;
    samp_logprob logprob, top[SAMP_ENGINE_LOGPROBS_MAX];
    bool stops = is_stop(engine, job, token);
    samp_token_event event = {.token = token, .index = samp__job_generated(job), .stops = stops};
    if (job->ask.logprobs >= 0) {
        event.n_top = (uint32_t)job->ask.logprobs;
        samp__logprobs(row, engine->vocab, token, event.n_top, &logprob, top);
        event.logprob = &logprob;
        event.top = top;
    }
    job->tokens[job->n_tokens++] = token;
    if (event.index == 0) job->end.first_token = now;
    job->end.last_token = now;
    engine->counts.generated_tokens++;
    samp_sampler_accept(job->sampler, token, true);
    if (job->ask.constraint.accept) job->ask.constraint.accept(job->ask.constraint.context, token);
    bool more = sink->token(sink->context, &event);
    if (stops) job->end.stop_token = token;
    if (stops || !more)
        samp__job_finish(job, SAMP_FINISH_STOP, NULL);
    else if (samp__job_generated(job) == job->ask.max_tokens)
        samp__job_finish(job, SAMP_FINISH_LENGTH, NULL);
}

/* Row 0 follows the last token; row i is right as long as the guesses before it were chosen. */
static void answer(samp_engine *engine, samp__job *job, float *rows, double now)
{
    uint32_t n = job->n_guesses, first = job->n_tokens, right = 0;
    bool follows = true;
    for (uint32_t i = 0; i <= n && follows && !job->has_ended; i++) {
        float *row = rows + (size_t)i * engine->vocab;
        int32_t token, guess = i < n ? job->tokens[first + i] : -1;
        if (atomic_load(&job->is_cancelled) || !choose(engine, job, row, &token)) break;
        give_token(engine, job, token, row, now);
        follows = token == guess;
        right += follows;
    }
    engine->counts.drafted_tokens += n;
    engine->counts.accepted_tokens += right;
    if (n > 0) samp__draft_learn(&job->guessing, right, !job->has_ended && right < n);
}

/* After the session has computed the job's feed, which began at `start`. */
static void take_in(samp_engine *engine, samp__job *job, const samp_feed *feed, uint32_t start,
                    double now)
{
    bool answers = start + job->n_feed == job->n_tokens + job->n_guesses;
    uint32_t n_again = job->furthest > start ? job->furthest - start : 0;
    engine->counts.recomputed_tokens += n_again < job->n_feed ? n_again : job->n_feed;
    if (atomic_load(&job->is_cancelled)) return;
    if (answers && samp__job_generated(job) == 0) engine->counts.prompt_tokens += job->n_tokens;
    if (samp__job_is_scoring(job)) {
        score(engine, job, feed, start);
        if (answers && job->ask.max_tokens > 0)
            answer(engine, job, feed->logits + (size_t)(feed->n_tokens - 1) * engine->vocab, now);
    } else if (answers && job->ask.max_tokens > 0) {
        answer(engine, job, feed->logits, now);
    }
    if (answers && job->ask.max_tokens == 0) samp__job_finish(job, SAMP_FINISH_LENGTH, NULL);
    /* Guesses that were not chosen are forgotten; the last token is still to be fed. */
    samp_sequence_truncate(engine->session, job->sequence,
                           answers && samp__job_generated(job) > 0 ? job->n_tokens - 1
                                                                   : job->n_tokens);
    samp__job_share(engine, job);
}

static void end_finished(samp_engine *engine)
{
    for (uint32_t i = 0; i < engine->n_fed; i++) {
        samp__job *job = engine->fed[i];
        if (!job->has_ended) continue;
        samp__queue_remove(engine, job);
        samp__job_end(engine, job);
    }
}

void samp__step(samp_engine *engine)
{
    double start = samp_clock();
    samp_engine_step step = {.n_requests = engine->n_fed};
    for (uint32_t i = 0; i < engine->n_fed; i++) {
        const samp__job *job = engine->fed[i];
        *(samp__job_is_answering(job) ? &step.n_decode : &step.n_prefill) += job->n_feed;
    }
    run(engine);
    double now = samp_clock();
    for (uint32_t i = 0; i < engine->n_fed; i++) {
        samp__job *job = engine->fed[i];
        if (job->has_ended) continue;
        take_in(engine, job, &engine->feeds[i], samp_sequence_length(job->sequence) - job->n_feed,
                now);
    }
    end_finished(engine);
    step.seconds = samp_clock() - start;
    samp__pace_add(&engine->pace, step.n_decode + step.n_prefill, step.seconds);
    engine->counts.steps++;
    engine->counts.step_seconds += step.seconds;
    if (engine->options.stepped) engine->options.stepped(engine->options.context, &step);
}

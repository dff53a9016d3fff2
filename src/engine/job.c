/* A job: an accepted request from its copy to its end, and the KV blocks it holds meanwhile. */
#include "base/memory.h"
#include "engine/engine_internal.h"

#include <assert.h>
#include <string.h>

/* ---- what is let in ---- */

static samp_status check_tokens(const samp_engine *engine, const char *what, const int32_t *tokens,
                                uint32_t n, samp_error *error)
{
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= engine->vocab)
            return samp_fail(error, SAMP_INVALID, "%s: token %d at %u, expected 0 to %u", what,
                             tokens[i], i, engine->vocab - 1);
    return SAMP_OK;
}

static samp_status check_logprobs(const char *what, int n, samp_error *error)
{
    if (n >= -1 && n <= SAMP_ENGINE_LOGPROBS_MAX) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID, "%s is %d, expected -1 (none) to %d", what, n,
                     SAMP_ENGINE_LOGPROBS_MAX);
}

static samp_status check_length(const samp_engine *engine, const samp_request *request,
                                samp_error *error)
{
    uint32_t positions = samp_session_max_positions(engine->session);
    uint32_t most = positions - (request->max_tokens > 0);
    if (request->n_prompt == 0)
        return samp_fail(error, SAMP_INVALID, "the prompt has no tokens, expected at least one");
    if (request->n_prompt <= most) return SAMP_OK;
    return samp_fail(
        error, SAMP_INVALID,
        "the prompt has %u tokens, expected at most %u: the context is of %u positions",
        request->n_prompt, most, positions);
}

samp_status samp__job_check(const samp_engine *engine, const samp_request *request,
                            samp_error *error)
{
    SAMP_TRY(check_length(engine, request, error));
    SAMP_TRY(check_tokens(engine, "prompt", request->prompt, request->n_prompt, error));
    SAMP_TRY(samp_sampler_check(&request->sampler, error));
    SAMP_TRY(samp_sampler_check_tokens(&request->sampler, engine->vocab, error));
    if (request->n_stop_tokens > SAMP_ENGINE_STOPS_MAX)
        return samp_fail(error, SAMP_INVALID, "%u stop tokens, expected at most %d",
                         request->n_stop_tokens, SAMP_ENGINE_STOPS_MAX);
    SAMP_TRY(
        check_tokens(engine, "stop tokens", request->stop_tokens, request->n_stop_tokens, error));
    SAMP_TRY(check_logprobs("logprobs", request->logprobs, error));
    return check_logprobs("prompt_logprobs", request->prompt_logprobs, error);
}

/* ---- from copy to release ---- */

/* A copy of n elements; *failed when there is no memory for it. */
static void *copy_of(const void *from, size_t n, size_t size, bool *failed)
{
    if (n == 0) return NULL;
    void *copy = samp_alloc(n, size);
    if (copy)
        memcpy(copy, from, n * size);
    else
        *failed = true;
    return copy;
}

static int at_most(int n, uint32_t most) { return n > 0 && (uint32_t)n > most ? (int)most : n; }

samp_status samp__job_create(samp__job **out, const samp_engine *engine,
                             const samp_request *request, samp_error *error)
{
    samp__job *job = samp_alloc(1, sizeof *job);
    if (!job) return samp_fail(error, SAMP_NOMEM, "out of memory for a request");
    samp_request *ask = &job->ask;
    *ask = *request;
    uint32_t room = samp_session_max_positions(engine->session) - ask->n_prompt;
    if (ask->max_tokens > room) ask->max_tokens = room;
    ask->logprobs = at_most(ask->logprobs, engine->vocab);
    ask->prompt_logprobs = at_most(ask->prompt_logprobs, engine->vocab);
    bool failed = false;
    job->n_tokens = ask->n_prompt;
    job->tokens = copy_of(ask->prompt, ask->n_prompt, sizeof *job->tokens, &failed);
    ask->stop_tokens =
        copy_of(ask->stop_tokens, ask->n_stop_tokens, sizeof *ask->stop_tokens, &failed);
    ask->sampler.logit_bias = copy_of(ask->sampler.logit_bias, ask->sampler.n_logit_bias,
                                      sizeof *ask->sampler.logit_bias, &failed);
    ask->prompt = NULL;
    samp__draft_record_init(&job->guessing);
    job->end = (samp_end){.finish = SAMP_FINISH_COUNT,
                          .stop_token = -1,
                          .n_prompt = ask->n_prompt,
                          .arrived = samp_clock()};
    if (failed) {
        samp__job_release(job);
        return samp_fail(error, SAMP_NOMEM, "out of memory for a request of %u tokens",
                         request->n_prompt);
    }
    *out = job;
    return SAMP_OK;
}

void samp__job_release(samp__job *job)
{
    samp_sampler_release(job->sampler);
    samp_free((void *)job->ask.sampler.logit_bias);
    samp_free((void *)job->ask.stop_tokens);
    samp_free(job->tokens);
    samp_free(job);
}

bool samp__job_before(const samp__job *a, const samp__job *b)
{
    return a->ask.priority != b->ask.priority ? a->ask.priority < b->ask.priority : a->id < b->id;
}

uint32_t samp__job_generated(const samp__job *job) { return job->n_tokens - job->ask.n_prompt; }

uint32_t samp__job_left(const samp__job *job)
{
    return job->n_tokens - samp_sequence_length(job->sequence);
}

bool samp__job_is_answering(const samp__job *job)
{
    return samp__job_generated(job) > 0 && samp__job_left(job) == 1;
}

bool samp__job_is_scoring(const samp__job *job)
{
    return job->ask.prompt_logprobs >= 0 && job->n_scored < job->ask.n_prompt;
}

/* ---- running ---- */

samp_status samp__job_start(samp_engine *engine, samp__job *job, samp_error *error)
{
    assert(!job->sequence && engine->n_sequences > 0);
    size_t room = (size_t)job->ask.n_prompt + job->ask.max_tokens + SAMP__DRAFT_MAX;
    int32_t *tokens = samp_realloc(job->tokens, room, sizeof *tokens);
    if (!tokens) return samp_fail(error, SAMP_NOMEM, "out of memory for an answer");
    job->tokens = tokens;
    if (!job->sampler) {
        SAMP_TRY(samp_sampler_create(&job->sampler, &job->ask.sampler, engine->vocab, error));
        for (uint32_t i = 0; i < job->ask.n_prompt; i++)
            samp_sampler_accept(job->sampler, tokens[i], false);
        if (!engine->options.no_prefix_cache && job->ask.prompt_logprobs < 0)
            engine->counts.prefix_queries += job->ask.n_prompt;
    }
    job->sequence = engine->sequences[--engine->n_sequences];
    samp__job_adopt(engine, job);
    return SAMP_OK;
}

void samp__job_stop(samp_engine *engine, samp__job *job)
{
    if (!job->sequence) return;
    while (job->n_chain > 0) /* the end of the text first: see prefix_cache.h */
        samp__prefix_unuse(&engine->cache, samp_sequence_block(job->sequence, --job->n_chain));
    samp_sequence_truncate(engine->session, job->sequence, 0);
    engine->sequences[engine->n_sequences++] = job->sequence;
    job->sequence = NULL;
}

/* ---- shared blocks ---- */

static uint64_t chain_end(const samp_engine *engine, const samp__job *job)
{
    if (job->n_chain == 0) return samp__prefix_root(job->ask.cache_salt);
    return samp__prefix_after(&engine->cache, samp_sequence_block(job->sequence, job->n_chain - 1));
}

/* First tokens that need no computing if their blocks are there: the last token is always fed, for
 * its logits; so are prompt tokens whose successors want log-probabilities. */
static uint32_t adoptable(const samp_engine *engine, const samp__job *job)
{
    if (engine->options.no_prefix_cache) return 0;
    if (samp__job_is_scoring(job)) return job->n_scored > 0 ? job->n_scored - 1 : 0;
    return job->n_tokens - 1;
}

uint32_t samp__job_cached(const samp_engine *engine, const samp__job *job, uint32_t *n_idle)
{
    uint32_t n = job->n_chain, most = adoptable(engine, job) / SAMP_KV_BLOCK;
    uint64_t parent = chain_end(engine, job);
    *n_idle = 0;
    for (; n < most; n++) {
        uint32_t block =
            samp__prefix_find(&engine->cache, parent, job->tokens + (size_t)n * SAMP_KV_BLOCK);
        if (block == SAMP__NO_BLOCK) break;
        *n_idle += samp__prefix_is_idle(&engine->cache, block);
        parent = samp__prefix_after(&engine->cache, block);
    }
    return n - job->n_chain;
}

void samp__job_adopt(samp_engine *engine, samp__job *job)
{
    uint32_t most = adoptable(engine, job) / SAMP_KV_BLOCK;
    if (samp_sequence_length(job->sequence) != job->n_chain * SAMP_KV_BLOCK) return;
    while (job->n_chain < most) {
        uint32_t block = samp__prefix_find(&engine->cache, chain_end(engine, job),
                                           job->tokens + (size_t)job->n_chain * SAMP_KV_BLOCK);
        if (block == SAMP__NO_BLOCK) break;
        samp__prefix_use(&engine->cache, block);
        samp_sequence_adopt(engine->session, job->sequence, block);
        job->n_chain++;
    }
    uint32_t length = samp_sequence_length(job->sequence);
    if (length <= job->furthest) return;
    engine->counts.prefix_hits += length - job->furthest;
    job->end.n_cached += length - job->furthest;
    job->furthest = length;
}

void samp__job_share(samp_engine *engine, samp__job *job)
{
    uint32_t length = samp_sequence_length(job->sequence);
    if (length > job->furthest) job->furthest = length;
    if (engine->options.no_prefix_cache) return;
    for (; (job->n_chain + 1) * SAMP_KV_BLOCK <= length; job->n_chain++) {
        const int32_t *tokens = job->tokens + (size_t)job->n_chain * SAMP_KV_BLOCK;
        uint64_t parent = chain_end(engine, job);
        uint32_t known = samp__prefix_find(&engine->cache, parent, tokens);
        if (known == SAMP__NO_BLOCK) {
            samp__prefix_insert(&engine->cache, samp_sequence_block(job->sequence, job->n_chain),
                                parent, tokens);
        } else {
            samp__prefix_use(&engine->cache, known);
            samp_sequence_replace(engine->session, job->sequence, job->n_chain, known);
        }
    }
}

/* ---- the end ---- */

void samp__job_finish(samp__job *job, samp_finish finish, const samp_error *error)
{
    if (job->has_ended) return;
    job->has_ended = true;
    job->end.finish = finish;
    if (error) job->error = *error;
}

void samp__job_end(samp_engine *engine, samp__job *job)
{
    samp__job_stop(engine, job);
    job->end.n_generated = samp__job_generated(job);
    job->end.ended = samp_clock();
    job->end.status = job->error.status;
    job->end.message = job->error.message;
    engine->counts.ended[job->end.finish]++;
    samp__publish(engine); /* who is told of the end finds it counted */
    job->ask.sink.end(job->ask.sink.context, &job->end);
    engine->n_ended++;
    samp__job_release(job);
}

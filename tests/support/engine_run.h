/* Engines over tiny models: requests whose sink writes everything down, and the same request
 * computed the plain way, one sequence alone on a session, as the oracle. */
#ifndef SAMP_TESTS_SUPPORT_ENGINE_RUN_H
#define SAMP_TESTS_SUPPORT_ENGINE_RUN_H

#include "engine/engine.h"
#include "eval/compare.h"
#include "support/tiny_session.h"

#include <stdatomic.h>

enum { RECORD_TOKENS = 600, RECORD_TOP = 4 };

/* What a sink was told. Written by the engine's thread, read when n_ends is 1. */
typedef struct record {
    int32_t tokens[RECORD_TOKENS];
    double logprobs[RECORD_TOKENS];
    samp_logprob top[RECORD_TOKENS][RECORD_TOP];
    double prompt_logprobs[RECORD_TOKENS];
    uint32_t n_tokens, n_prompt, n_after_end;
    uint32_t stop_after; /* tokens after which the sink says stop; 0 = never */
    samp_end end;
    char message[256];
    atomic_uint n_given; /* as n_tokens, for other threads */
    atomic_uint n_ends;
} record;

static inline bool record_token(void *context, const samp_token_event *event)
{
    record *r = context;
    if (r->n_ends) r->n_after_end++;
    if (event->index != r->n_tokens || r->n_tokens == RECORD_TOKENS) abort();
    r->tokens[r->n_tokens] = event->token;
    if (event->logprob) r->logprobs[r->n_tokens] = event->logprob->logprob;
    for (uint32_t i = 0; i < event->n_top && i < RECORD_TOP; i++)
        r->top[r->n_tokens][i] = event->top[i];
    r->n_tokens++;
    atomic_fetch_add(&r->n_given, 1);
    return r->n_tokens != r->stop_after;
}

static inline void record_prompt(void *context, const samp_token_event *event)
{
    record *r = context;
    if (event->index != r->n_prompt || r->n_prompt == RECORD_TOKENS) abort();
    r->prompt_logprobs[r->n_prompt++] = event->logprob ? event->logprob->logprob : 0;
}

static inline void record_end(void *context, const samp_end *end)
{
    record *r = context;
    r->end = *end;
    snprintf(r->message, sizeof r->message, "%s", end->message);
    r->end.message = r->message;
    atomic_fetch_add(&r->n_ends, 1);
}

static inline samp_sink record_sink(record *r)
{
    return (samp_sink){record_token, record_prompt, record_end, r};
}

/* One thread unless said otherwise: results are the same, and tests run side by side. */
static inline samp_engine *engine_on(const char *folder, samp_engine_options options)
{
    if (options.session.n_threads == 0) options.session.n_threads = 1;
    samp_model *model;
    samp_engine *engine;
    OK(samp_model_open(&model, folder, e));
    OK(samp_engine_open(&engine, model, &options, e));
    samp_model_close(model);
    return engine;
}

static inline uint64_t submit(samp_engine *engine, samp_request request, record *r)
{
    samp_ticket ticket;
    request.sink = record_sink(r);
    OK(samp_engine_submit(engine, &request, &ticket, e));
    assert_true(ticket.id > 0);
    return ticket.id;
}

static inline void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200 * 1000}, NULL);
}

static inline void await(const record *r)
{
    while (!atomic_load(&r->n_ends)) pause_briefly();
}

static inline samp_engine_stats stats_of(samp_engine *engine)
{
    samp_engine_stats stats;
    samp_engine_stats_read(engine, &stats);
    return stats;
}

/* Waits for all, checks that no block is held, and closes. Returns the last statistics. */
static inline samp_engine_stats finish_engine(samp_engine *engine)
{
    assert_true(samp_engine_drain(engine, 600));
    samp_engine_stats stats = stats_of(engine);
    assert_int_equal(stats.kv_used, 0);
    assert_int_equal(stats.n_running, 0);
    assert_int_equal(stats.n_waiting, 0);
    samp_engine_close(engine);
    return stats;
}

/* The request computed the plain way into *out (tokens, logprobs, prompt_logprobs); ends at `eos`
 * and max_tokens. */
static inline void oracle(samp_session *session, const samp_request *request, int32_t eos,
                          record *out)
{
    size_t vocab = vocab_of(session);
    uint32_t n = request->n_prompt;
    float *logits = samp_alloc(n * vocab, sizeof *logits), *row = logits + (n - 1) * vocab;
    float *kept = samp_alloc(vocab, sizeof *kept);
    samp_sequence *sequence = sequence_on(session);
    samp_sampler *sampler;
    *out = (record){0};
    OK(samp_sampler_create(&sampler, &request->sampler, (uint32_t)vocab, e));
    OK(samp_session_prefill(session, sequence, request->prompt, n, true, logits, e));
    for (uint32_t i = 0; i < n; i++) samp_sampler_accept(sampler, request->prompt[i], false);
    for (uint32_t i = 1; i < n; i++)
        out->prompt_logprobs[i] =
            samp_score_position(logits + (i - 1) * vocab, vocab, request->prompt[i])
                .log_probability;
    out->n_prompt = n;
    while (out->n_tokens < request->max_tokens) {
        memcpy(kept, row, vocab * sizeof *row);
        int32_t token = samp_sampler_next(sampler, row);
        out->logprobs[out->n_tokens] = samp_score_position(kept, vocab, token).log_probability;
        out->tokens[out->n_tokens++] = token;
        samp_sampler_accept(sampler, token, true);
        if (token == eos || out->n_tokens == request->max_tokens) break;
        samp_feed feed = {.sequence = sequence, .tokens = &token, .n_tokens = 1, .logits = row};
        OK(samp_session_step(session, &feed, 1, e));
    }
    samp_sampler_release(sampler);
    samp_sequence_release(session, sequence);
    samp_free(kept);
    samp_free(logits);
}

/* A request that holds the engine's thread in its first token until the gate is opened, so that
 * what a test submits meanwhile arrives at once. */
typedef struct gate {
    atomic_bool is_reached, is_open;
    record record;
    int32_t prompt;
} gate;

static inline bool gate_token(void *context, const samp_token_event *event)
{
    gate *g = context;
    atomic_store(&g->is_reached, true);
    while (!atomic_load(&g->is_open)) pause_briefly();
    return record_token(&g->record, event);
}

static inline void gate_end(void *context, const samp_end *end)
{
    record_end(&((gate *)context)->record, end);
}

/* Returns when the thread stands in the gate. It generates n tokens once it is open. */
static inline void gate_close(samp_engine *engine, gate *g, uint32_t n)
{
    samp_request request = samp_request_defaults();
    samp_ticket ticket;
    *g = (gate){.prompt = 5};
    request.prompt = &g->prompt;
    request.n_prompt = 1;
    request.max_tokens = n;
    request.ignore_eos = true;
    request.sink = (samp_sink){gate_token, NULL, gate_end, g};
    OK(samp_engine_submit(engine, &request, &ticket, e));
    while (!atomic_load(&g->is_reached)) pause_briefly();
}

/* Same tokens, same log-probabilities, bit for bit. */
static inline void expect_record(const record *got, const record *wanted)
{
    assert_int_equal(got->n_ends, 1);
    if (got->end.finish == SAMP_FINISH_ERROR) fail_msg("%s", got->message);
    assert_int_equal(got->n_tokens, wanted->n_tokens);
    assert_int_equal(got->end.n_generated, wanted->n_tokens);
    assert_memory_equal(got->tokens, wanted->tokens, got->n_tokens * sizeof *got->tokens);
    assert_memory_equal(got->logprobs, wanted->logprobs, got->n_tokens * sizeof *got->logprobs);
    if (got->n_prompt == 0) return; /* not asked for */
    assert_int_equal(got->n_prompt, wanted->n_prompt);
    assert_memory_equal(got->prompt_logprobs, wanted->prompt_logprobs,
                        got->n_prompt * sizeof *got->prompt_logprobs);
}

#endif

/* Speed of the engine itself, without a server: prefill ("pp512": a prompt of 512 tokens) and
 * decode ("tg128": 128 tokens one after another), as llama-bench measures them. Several models are
 * interleaved, repetition by repetition, so that a machine whose speed drifts treats them alike;
 * the figure is the median. */
#ifndef SAMP_BENCH_OFFLINE_H
#define SAMP_BENCH_OFFLINE_H

#include "run/session.h"

typedef enum samp_bench_kind { SAMP_BENCH_PREFILL, SAMP_BENCH_DECODE } samp_bench_kind;

typedef struct samp_bench_test {
    samp_bench_kind kind;
    uint32_t n_tokens;
    uint32_t depth; /* positions already in the KV cache */
} samp_bench_test;

typedef struct samp_bench_figure {
    double median, mean, deviation, low, high; /* tokens a second over the repetitions */
    double bytes_per_token;          /* weights and KV read for one decoded token; 0 for prefill */
    size_t n_latencies;              /* single steps timed: every decoded token, every prefill */
    double latency_p50, latency_p99; /* seconds a step; p99 is 0 under 100 steps: too few to say */
} samp_bench_figure;

enum { SAMP_BENCH_REPETITIONS_MAX = 100 };

/* Runs every test on every session, `repetitions` times after one warm-up. figures
 * [n_tests][n_sessions]. Token ids are pseudo-random, the same for all. */
samp_status samp_bench_offline(samp_session *const *sessions, size_t n_sessions,
                               const samp_bench_test *tests, size_t n_tests, uint32_t repetitions,
                               const samp_progress *progress, samp_bench_figure *figures,
                               samp_error *error);

#endif

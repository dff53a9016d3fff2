/* Prefill and decode speed, models interleaved. */
#include "bench/offline.h"

#include "base/memory.h"
#include "base/prng.h"

#include <math.h>
#include <stdlib.h>

/* Random ids from the middle of the vocabulary: no special tokens, and the same for every model of
 * one vocabulary. */
static void fill_tokens(int32_t *tokens, uint32_t n, uint32_t vocab)
{
    samp_prng prng = {42};
    uint32_t low = vocab / 8;
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = (int32_t)(low + samp_prng_below(&prng, vocab - low));
}

typedef struct bench_run {
    samp_session *session;
    samp_sequence *sequence;
    int32_t *tokens; /* depth + n_tokens ids */
    float *logits;   /* [vocab] */
} bench_run;

/* One repetition: fills the cache to `depth` untimed, then times the test. Decode asks for logits
 * at each step, as generation does; prefill for the last token's. steps: seconds of each decoded
 * token, or of the whole prefill. */
static samp_status run_once(bench_run *run, const samp_bench_test *test, double *steps,
                            samp_error *error)
{
    samp_session *session = run->session;
    samp_sequence_truncate(session, run->sequence, 0);
    const int32_t *tokens = run->tokens;
    if (test->depth)
        SAMP_TRY(
            samp_session_prefill(session, run->sequence, tokens, test->depth, false, NULL, error));
    tokens += test->depth;
    uint32_t step = test->kind == SAMP_BENCH_PREFILL ? test->n_tokens : 1;
    for (uint32_t at = 0, i = 0; at < test->n_tokens; at += step, i++) {
        double start = samp_clock();
        SAMP_TRY(samp_session_prefill(session, run->sequence, tokens + at, step, false, run->logits,
                                      error));
        steps[i] = samp_clock() - start;
    }
    return SAMP_OK;
}

static samp_status run_begin(bench_run *run, samp_session *session, const samp_bench_test *tests,
                             size_t n_tests, samp_error *error)
{
    uint32_t longest = 1, vocab = samp_session_config(session)->vocab_size;
    for (size_t t = 0; t < n_tests; t++)
        if (tests[t].depth + tests[t].n_tokens > longest)
            longest = tests[t].depth + tests[t].n_tokens;
    run->session = session;
    run->tokens = samp_alloc(longest, sizeof *run->tokens);
    run->logits = samp_alloc(vocab, sizeof *run->logits);
    if (!run->tokens || !run->logits)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a benchmark of %u tokens", longest);
    fill_tokens(run->tokens, longest, vocab);
    return samp_sequence_create(session, &run->sequence, error);
}

static void run_end(bench_run *run)
{
    if (run->sequence) samp_sequence_release(run->session, run->sequence);
    samp_free(run->tokens);
    samp_free(run->logits);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of_sorted(const double *values, size_t n)
{
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* steps [n][n_steps] seconds, sorted in place after the rates are known. */
static samp_status summarize(double *steps, uint32_t n, uint32_t n_steps, uint32_t n_tokens,
                             samp_bench_figure *out, samp_error *error)
{
    double rates[SAMP_BENCH_REPETITIONS_MAX], sum = 0, squares = 0;
    for (uint32_t r = 0; r < n; r++) {
        double seconds = 0;
        for (uint32_t i = 0; i < n_steps; i++) seconds += steps[(size_t)r * n_steps + i];
        if (!(seconds > 0))
            return samp_fail(error, SAMP_NUMERIC, "a test of %u tokens took no measurable time",
                             n_tokens);
        rates[r] = n_tokens / seconds;
        sum += rates[r];
    }
    qsort(rates, n, sizeof *rates, compare_doubles);
    for (uint32_t r = 0; r < n; r++) squares += (rates[r] - sum / n) * (rates[r] - sum / n);
    size_t n_latencies = (size_t)n * n_steps;
    qsort(steps, n_latencies, sizeof *steps, compare_doubles);
    *out = (samp_bench_figure){
        .median = median_of_sorted(rates, n),
        .mean = sum / n,
        .deviation = n > 1 ? sqrt(squares / (n - 1)) : 0,
        .low = rates[0],
        .high = rates[n - 1],
        .n_latencies = n_latencies,
        .latency_p50 = median_of_sorted(steps, n_latencies),
        .latency_p99 = n_latencies < 100 ? 0 : steps[(n_latencies * 99 + 99) / 100 - 1]};
    return SAMP_OK;
}

/* Weights once, and on average the KV of the positions before. */
static double bytes_per_token(samp_session *session, const samp_bench_test *test, uint32_t context)
{
    double positions = test->depth + test->n_tokens / 2.0;
    return (double)samp_session_weight_bytes(session) +
           (double)samp_session_kv_bytes(session) / context * positions;
}

static samp_status run_test(bench_run *runs, size_t n_runs, const samp_bench_test *test,
                            uint32_t repetitions, samp_bench_figure *figures, samp_error *error)
{
    uint32_t n_steps = test->kind == SAMP_BENCH_PREFILL ? 1 : test->n_tokens;
    size_t per_run = (size_t)repetitions * n_steps;
    /* After every run's own steps there is room for those of a warm-up. */
    double *steps = samp_alloc(n_runs * per_run + n_steps, sizeof *steps);
    if (!steps)
        return samp_fail(error, SAMP_NOMEM, "out of memory for %u repetitions", repetitions);
    samp_status status = SAMP_OK;
    for (uint32_t r = 0; r <= repetitions && status == SAMP_OK; r++)
        for (size_t s = 0; s < n_runs && status == SAMP_OK; s++) {
            size_t which = r % 2 ? n_runs - 1 - s : s; /* A B, B A, …: a steady drift cancels */
            double *at =
                r ? steps + which * per_run + (size_t)(r - 1) * n_steps : steps + n_runs * per_run;
            status = run_once(&runs[which], test, at, error);
        }
    for (size_t s = 0; s < n_runs && status == SAMP_OK; s++) {
        status = summarize(steps + s * per_run, repetitions, n_steps, test->n_tokens, &figures[s],
                           error);
        if (test->kind == SAMP_BENCH_DECODE)
            figures[s].bytes_per_token =
                bytes_per_token(runs[s].session, test, samp_session_context(runs[s].session));
    }
    samp_free(steps);
    return status;
}

samp_status samp_bench_offline(samp_session *const *sessions, size_t n_sessions,
                               const samp_bench_test *tests, size_t n_tests, uint32_t repetitions,
                               const samp_progress *progress, samp_bench_figure *figures,
                               samp_error *error)
{
    if (repetitions < 1 || repetitions > SAMP_BENCH_REPETITIONS_MAX)
        return samp_fail(error, SAMP_INVALID, "%u repetitions were asked for, expected 1 to %d",
                         repetitions, SAMP_BENCH_REPETITIONS_MAX);
    bench_run *runs = samp_alloc(n_sessions, sizeof *runs);
    if (!runs)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a benchmark of %zu models",
                         n_sessions);
    samp_status status = SAMP_OK;
    for (size_t s = 0; s < n_sessions && status == SAMP_OK; s++)
        status = run_begin(&runs[s], sessions[s], tests, n_tests, error);
    for (size_t t = 0; t < n_tests && status == SAMP_OK; t++) {
        if (!samp_progress_report(progress, "measure", t, n_tests))
            status = samp_fail(error, SAMP_CANCELLED, "the benchmark was cancelled");
        if (status == SAMP_OK)
            status =
                run_test(runs, n_sessions, &tests[t], repetitions, figures + t * n_sessions, error);
    }
    for (size_t s = 0; s < n_sessions; s++) run_end(&runs[s]);
    samp_free(runs);
    return status;
}

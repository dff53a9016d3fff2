/* Perplexity and KL divergence over windows of a text. Both models see the same chunk of a window
 * before the next is fed, so only one chunk of logits a model is in memory. */
#include "eval/eval.h"

#include "base/memory.h"
#include "base/thread.h"
#include "eval/compare.h"
#include "eval/kept_logits.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 }; /* tokens whose logits are in memory at a time */

/* Everything one run needs; values are kept a position for medians and intervals. */
typedef struct eval_run {
    samp_session *sessions[2]; /* candidate, baseline or NULL */
    samp_sequence *sequences[2];
    float *logits[2]; /* [CHUNK][vocab] */
    samp_pool *pool;
    const samp_eval_options *options;
    size_t vocab, context, n_windows, n_values;
    size_t *starts; /* [n_windows+1] first value of each window */
    float *nll, *baseline_nll, *kl, *delta_p;
    size_t same_top;
    samp_kept_logits *kept; /* the baseline's; NULL = not wanted */
} eval_run;

/* One chunk's positions, shared out to threads. */
typedef struct chunk_job {
    eval_run *run;
    const int32_t *targets; /* [count] token that follows each position */
    size_t first, count;    /* logits rows first … first+count-1 are scored */
    size_t value;           /* index of the first result */
    bool same[CHUNK];
} chunk_job;

static void score_positions(void *context, unsigned thread, unsigned n_threads)
{
    chunk_job *job = context;
    eval_run *run = job->run;
    size_t begin, end;
    samp_split(job->count, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const float *candidate = run->logits[0] + (job->first + i) * run->vocab;
        size_t at = job->value + i;
        if (!run->sessions[1]) {
            run->nll[at] =
                (float)-samp_score_position(candidate, run->vocab, job->targets[i]).log_probability;
            continue;
        }
        const float *baseline = run->logits[1] + (job->first + i) * run->vocab;
        samp_comparison c = samp_compare_position(baseline, candidate, run->vocab, job->targets[i]);
        run->nll[at] = (float)-c.candidate.log_probability;
        run->baseline_nll[at] = (float)-c.baseline.log_probability;
        run->kl[at] = (float)c.kl;
        run->delta_p[at] =
            (float)(exp(c.candidate.log_probability) - exp(c.baseline.log_probability));
        job->same[i] = c.candidate.top == c.baseline.top;
    }
}

/* Feeds tokens[at … at+n) of a window to both models and scores those of its positions that count.
 */
static samp_status eval_chunk(eval_run *run, const int32_t *window, size_t at, size_t n,
                              samp_error *error)
{
    bool known = run->kept && samp_kept_logits_known(run->kept);
    for (int m = 0; m < (known ? 1 : 2); m++)
        if (run->sessions[m])
            SAMP_TRY(samp_session_prefill(run->sessions[m], run->sequences[m], window + at,
                                          (uint32_t)n, true, run->logits[m], error));
    size_t first = run->options->second_half ? run->context / 2
                                             : 0; /* first position whose successor counts */
    size_t begin = at > first ? at : first,
           end = at + n < run->context - 1 ? at + n : run->context - 1;
    if (begin >= end) return SAMP_OK;
    if (run->kept)
        SAMP_TRY(samp_kept_logits_rows(run->kept, run->logits[1] + (begin - at) * run->vocab,
                                       end - begin, error));
    chunk_job job = {.run = run,
                     .targets = window + begin + 1,
                     .first = begin - at,
                     .count = end - begin,
                     .value = run->n_values};
    samp_pool_run(run->pool, score_positions, &job);
    run->n_values += job.count;
    for (size_t i = 0; i < job.count; i++) run->same_top += job.same[i];
    return SAMP_OK;
}

static samp_status eval_windows(eval_run *run, const int32_t *tokens, samp_error *error)
{
    uint64_t total = run->n_windows * run->context;
    for (size_t w = 0; w < run->n_windows; w++) {
        run->starts[w] = run->n_values;
        for (int m = 0; m < 2; m++)
            if (run->sessions[m]) samp_sequence_truncate(run->sessions[m], run->sequences[m], 0);
        for (size_t at = 0; at < run->context; at += CHUNK) {
            size_t n = run->context - at < CHUNK ? run->context - at : CHUNK;
            SAMP_TRY(eval_chunk(run, tokens + w * run->context, at, n, error));
            if (!samp_progress_report(&run->options->progress, "evaluate",
                                      w * run->context + at + n, total))
                return samp_fail(error, SAMP_CANCELLED, "evaluation was cancelled");
        }
    }
    run->starts[run->n_windows] = run->n_values;
    return SAMP_OK;
}

/* Opens the kept logits of the windows that will run. */
static samp_status open_kept(eval_run *run, const int32_t *tokens, samp_error *error)
{
    const samp_eval_options *o = run->options;
    if (!o->keep_logits || !run->sessions[1]) return SAMP_OK;
    samp_sha256 *hash;
    char digest[SAMP_SHA256_HEX];
    uint64_t scored = run->context - 1 - (o->second_half ? run->context / 2 : 0);
    uint64_t numbers[] = {run->context, run->n_windows, run->vocab, o->second_half};
    const char *backend = samp_session_describe(run->sessions[1]);
    SAMP_TRY(samp_sha256_begin(&hash, error));
    samp_sha256_update(hash, o->baseline_digest, strlen(o->baseline_digest));
    samp_sha256_update(hash, backend, strlen(backend));
    samp_sha256_update(hash, numbers, sizeof numbers);
    samp_sha256_update(hash, tokens, run->n_windows * run->context * sizeof *tokens);
    samp_sha256_end(hash, digest);
    return samp_kept_logits_open(&run->kept, o->keep_logits, digest, run->n_windows * scored,
                                 run->vocab, error);
}

static void summarize(eval_run *run, samp_eval_result *result)
{
    result->n_windows = run->n_windows;
    result->n_scored = run->n_values;
    result->nll = samp_estimate_mean(run->nll, run->starts, run->n_windows);
    result->perplexity = samp_estimate_exp(result->nll);
    if (!run->sessions[1]) return;
    result->compared = true;
    result->baseline_nll = samp_estimate_mean(run->baseline_nll, run->starts, run->n_windows);
    result->baseline_perplexity = samp_estimate_exp(result->baseline_nll);
    for (size_t i = 0; i < run->n_values; i++) run->nll[i] -= run->baseline_nll[i];
    result->perplexity_ratio =
        samp_estimate_exp(samp_estimate_mean(run->nll, run->starts, run->n_windows));
    result->kl_mean = samp_estimate_mean(run->kl, run->starts, run->n_windows);
    if (result->kl_mean.low < 0) result->kl_mean.low = 0;
    result->delta_p = samp_estimate_mean(run->delta_p, run->starts, run->n_windows);
    result->top1 = samp_estimate_share(run->same_top, run->n_values);
    result->kl_median =
        samp_estimate_quantile(run->kl, run->n_values, 0.5); /* sorts: after the mean */
    result->kl_p99 = samp_estimate_quantile(run->kl, run->n_values, 0.99);
}

static samp_status eval_allocate(eval_run *run, samp_error *error)
{
    size_t n = run->n_windows * run->context;
    run->starts = samp_alloc(run->n_windows + 1, sizeof *run->starts);
    float **arrays[] = {&run->nll, &run->baseline_nll, &run->kl, &run->delta_p};
    bool ok = run->starts != NULL;
    for (int i = 0; i < (run->sessions[1] ? 4 : 1); i++)
        ok = (*arrays[i] = samp_alloc(n, sizeof(float))) && ok;
    for (int m = 0; m < 2; m++)
        if (run->sessions[m])
            ok = (run->logits[m] = samp_alloc(CHUNK * run->vocab, sizeof(float))) && ok;
    if (!ok) return samp_fail(error, SAMP_NOMEM, "out of memory for the results of %zu tokens", n);
    for (int m = 0; m < 2; m++)
        if (run->sessions[m])
            SAMP_TRY(samp_sequence_create(run->sessions[m], &run->sequences[m], error));
    return samp_pool_create(&run->pool, samp_session_threads(run->sessions[0]), error);
}

static void eval_release(eval_run *run)
{
    samp_pool_release(run->pool);
    for (int m = 0; m < 2; m++) {
        if (run->sequences[m]) samp_sequence_release(run->sessions[m], run->sequences[m]);
        samp_free(run->logits[m]);
    }
    samp_free(run->starts);
    samp_free(run->nll);
    samp_free(run->baseline_nll);
    samp_free(run->kl);
    samp_free(run->delta_p);
}

samp_status samp_eval_tokens(samp_session *candidate, samp_session *baseline, const int32_t *tokens,
                             size_t n_tokens, const samp_eval_options *options,
                             samp_eval_result *result, samp_error *error)
{
    *result = (samp_eval_result){0};
    size_t context = options->context ? options->context : 512,
           vocab = samp_session_config(candidate)->vocab_size;
    if (baseline && samp_session_config(baseline)->vocab_size != vocab)
        return samp_fail(error, SAMP_MISMATCH,
                         "the baseline has %u tokens in its vocabulary, the model %zu; compare "
                         "models with one tokenizer",
                         samp_session_config(baseline)->vocab_size, vocab);
    if (context > n_tokens) context = n_tokens;
    if (context < 2)
        return samp_fail(error, SAMP_INVALID,
                         "the text has %zu tokens, at least 2 are needed to score one", n_tokens);
    eval_run run = {.sessions = {candidate, baseline},
                    .options = options,
                    .vocab = vocab,
                    .context = context,
                    .n_windows = n_tokens / context};
    if (options->max_windows && run.n_windows > options->max_windows)
        run.n_windows = options->max_windows;
    double start = samp_clock();
    samp_status status = eval_allocate(&run, error);
    if (status == SAMP_OK) status = open_kept(&run, tokens, error);
    if (status == SAMP_OK) status = eval_windows(&run, tokens, error);
    samp_status closed = samp_kept_logits_close(run.kept, status == SAMP_OK ? error : NULL);
    if (status == SAMP_OK) status = closed;
    if (status == SAMP_OK) summarize(&run, result);
    result->seconds = samp_clock() - start;
    eval_release(&run);
    return status;
}

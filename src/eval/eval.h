/* Perplexity of a model on a text, and how far it is from a baseline on the same text.
 *
 * The text's tokens are cut into windows of `context` tokens that do not overlap; a last short
 * window is left out (unless it is the only one). In a window every token but the first is
 * predicted from those before it; with second_half only tokens after position context/2 count,
 * which is llama.cpp's convention. */
#ifndef SAMP_EVAL_EVAL_H
#define SAMP_EVAL_EVAL_H

#include "eval/statistics.h"
#include "run/session.h"

typedef struct samp_eval_options {
    uint32_t context; /* tokens a window, 2 … the sessions' context; 0 = 512 */
    bool second_half;
    uint32_t max_windows; /* 0 = all */
    /* Folder in which the baseline's logits are kept, or from which they are taken when they are of
     * this baseline (named by baseline_digest) and these windows; NULL = the baseline runs. */
    const char *keep_logits, *baseline_digest;
    samp_progress progress; /* "evaluate", tokens */
} samp_eval_options;

typedef struct samp_eval_result {
    size_t n_windows, n_scored;    /* tokens scored */
    double seconds;                /* candidate and baseline together */
    samp_estimate nll, perplexity; /* candidate: nats a token, exp of it */
    bool compared;                 /* the rest is filled */
    samp_estimate baseline_nll, baseline_perplexity;
    samp_estimate perplexity_ratio; /* over the baseline's; its interval is of the paired tokens */
    samp_estimate kl_mean, kl_median, kl_p99; /* KL(baseline || candidate), nats a token */
    samp_estimate top1;    /* share of positions with the same most likely token */
    samp_estimate delta_p; /* mean of p_candidate - p_baseline of the true token */
} samp_eval_result;

/* baseline may be NULL. Both sessions must have the same vocabulary. Errors: SAMP_INVALID for fewer
 * than two tokens, SAMP_MISMATCH for different vocabularies. */
samp_status samp_eval_tokens(samp_session *candidate, samp_session *baseline, const int32_t *tokens,
                             size_t n_tokens, const samp_eval_options *options,
                             samp_eval_result *result, samp_error *error);

#endif

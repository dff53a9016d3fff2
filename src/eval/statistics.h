/* Means, proportions and quantiles with 95 % intervals.
 *
 * Tokens of one window of text depend on each other, so the interval of a mean counts windows, not
 * tokens: the variance of window totals around (mean x window size), a ratio estimator. */
#ifndef SAMP_EVAL_STATISTICS_H
#define SAMP_EVAL_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct samp_estimate {
    double value, low,
        high; /* 95 % interval; low = high = value when it cannot be known (one window) */
} samp_estimate;

/* values [n]; cluster c is values[starts[c] … starts[c+1]), starts has n_clusters+1 entries. n > 0.
 */
samp_estimate samp_estimate_mean(const float *values, const size_t *starts, size_t n_clusters);
/* Quantile q (0 … 1) by linear interpolation (as numpy), interval from order statistics. Sorts
 * values in place. */
samp_estimate samp_estimate_quantile(float *values, size_t n, double q);
/* exp of the value and of both ends: a perplexity from nats a token. */
samp_estimate samp_estimate_exp(samp_estimate e);
/* Wilson interval of successes out of n. */
samp_estimate samp_estimate_share(size_t successes, size_t n);

/* Two models answered the same n > 0 questions; `lost` were right with the first only, `gained` with
 * the second only (McNemar's table: questions on which both agree say nothing of the difference).
 * The share of right answers, second minus first, with the interval of Bonett and Price (2012):
 * Wald's after one question more of either kind, which covers also where few changed. */
samp_estimate samp_estimate_paired(size_t lost, size_t gained, size_t n);
/* Exact two-sided probability of a split at least as uneven if neither model were better. */
double samp_mcnemar_exact(size_t lost, size_t gained);

#endif

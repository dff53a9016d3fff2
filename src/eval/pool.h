/* One estimate from several texts or strata: their means weighted by scored tokens, their variances
 * added (a stratified sample). Medians and quantiles cannot be pooled and stay 0. A part with one
 * window has no interval of its own and adds none. */
#ifndef SAMP_EVAL_POOL_H
#define SAMP_EVAL_POOL_H

#include "eval/eval.h"

/* parts [n], each scored at least once; compared when all are. n = 0 gives a zeroed result. */
samp_eval_result samp_eval_pool(const samp_eval_result *parts, size_t n);

#endif

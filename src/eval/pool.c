/* Results of several texts, pooled. */
#include "eval/pool.h"

#include <math.h>

typedef samp_estimate (*estimate_of)(const samp_eval_result *part);

static samp_estimate nll_of(const samp_eval_result *part) { return part->nll; }
static samp_estimate baseline_nll_of(const samp_eval_result *part) { return part->baseline_nll; }
static samp_estimate kl_of(const samp_eval_result *part) { return part->kl_mean; }
static samp_estimate delta_p_of(const samp_eval_result *part) { return part->delta_p; }
static samp_estimate log_ratio_of(const samp_eval_result *part)
{
    samp_estimate r = part->perplexity_ratio;
    return (samp_estimate){log(r.value), log(r.low), log(r.high)};
}

static samp_estimate pool(const samp_eval_result *parts, size_t n, double n_scored, estimate_of of)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double share = (double)parts[i].n_scored / n_scored;
        samp_estimate e = of(&parts[i]);
        double half = share * (e.high - e.low) / 2;
        mean += share * e.value;
        squares += half * half;
    }
    double half = sqrt(squares);
    return (samp_estimate){mean, mean - half, mean + half};
}

samp_eval_result samp_eval_pool(const samp_eval_result *parts, size_t n)
{
    samp_eval_result all = {.compared = n > 0};
    double same = 0;
    for (size_t i = 0; i < n; i++) {
        all.n_windows += parts[i].n_windows;
        all.n_scored += parts[i].n_scored;
        all.seconds += parts[i].seconds;
        all.compared = all.compared && parts[i].compared;
        same += parts[i].top1.value * (double)parts[i].n_scored;
    }
    if (all.n_scored == 0) return (samp_eval_result){0};
    double scored = (double)all.n_scored;
    all.nll = pool(parts, n, scored, nll_of);
    all.perplexity = samp_estimate_exp(all.nll);
    if (!all.compared) return all;
    all.baseline_nll = pool(parts, n, scored, baseline_nll_of);
    all.baseline_perplexity = samp_estimate_exp(all.baseline_nll);
    all.perplexity_ratio = samp_estimate_exp(pool(parts, n, scored, log_ratio_of));
    all.kl_mean = pool(parts, n, scored, kl_of);
    if (all.kl_mean.low < 0) all.kl_mean.low = 0;
    all.delta_p = pool(parts, n, scored, delta_p_of);
    all.top1 = samp_estimate_share((size_t)(same + 0.5), all.n_scored);
    return all;
}

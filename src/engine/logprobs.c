/* Log-probabilities of a token and of the likeliest ones, from a row of logits as the model gave
 * it. */
#include "engine/engine_internal.h"
#include "eval/compare.h"

/* The likeliest first; of equal ones the lower id. One pass: nearly every logit is below the last
 * one kept. */
static void find_top(const float *logits, uint32_t vocab, double log_sum, uint32_t n_top,
                     samp_logprob *top)
{
    uint32_t n = 0;
    float least = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        if (n == n_top && !(logits[i] > least)) continue;
        uint32_t at = n < n_top ? n++ : n_top - 1;
        for (; at > 0 && logits[i] > logits[top[at - 1].token]; at--) top[at] = top[at - 1];
        top[at].token = (int32_t)i;
        least = logits[top[n - 1].token];
    }
    for (uint32_t i = 0; i < n; i++) {
        float logit = logits[top[i].token];
        bool tied = i > 0 && logits[top[i - 1].token] == logit;
        top[i].rank = tied ? top[i - 1].rank : i + 1;
        top[i].logprob = (double)logit - log_sum;
    }
}

void samp__logprobs(const float *logits, uint32_t vocab, int32_t token, uint32_t n_top,
                    samp_logprob *out, samp_logprob *top)
{
    double log_sum = samp_log_sum_exp(logits, vocab);
    uint32_t rank = 1;
    for (uint32_t i = 0; i < vocab; i++) rank += logits[i] > logits[token];
    *out = (samp_logprob){token, rank, (double)logits[token] - log_sum};
    if (n_top) find_top(logits, vocab, log_sum, n_top, top);
}

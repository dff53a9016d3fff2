/* Choosing the next token: penalties, temperature, min_p, top_k, top_p, then one draw.
 *
 * The order is vLLM's: every filter sees the temperature, and top_p counts what top_k left as the
 * whole. The vocabulary is never sorted: top_k and top_p both ask for the least likely token to
 * keep, which a quickselect finds in linear time by counting tokens or by adding up their weights.
 * The draw then walks tokens by id, so that a filter that removes nothing changes nothing, and a
 * seed gives the same text on every machine.
 *
 * Memory: a sampler owns arrays of vocab_size, but only those its options need (a server has
 * hundreds of samplers); choosing a token allocates nothing. */
#include "run/sampler.h"

#include "base/fast_exp.h"
#include "base/half.h"
#include "base/memory.h"

#include <math.h>

enum { LANES = 16, SUM_BLOCK = 256 };

struct samp_sampler {
    samp_sampler_options options;
    uint32_t vocab_size;
    samp_prng prng;
    uint32_t *generated; /* [vocab_size] times generated; NULL without penalties, as the next two */
    uint8_t *is_seen;    /* [vocab_size] prompt or generated */
    int32_t *seen;       /* [n_seen] those tokens, for penalties */
    uint32_t n_seen;
    int32_t *kept;               /* [vocab_size] scratch: ids of candidates; NULL without filters */
    samp_logit_bias *logit_bias; /* [options.n_logit_bias] */
};

samp_sampler_options samp_sampler_defaults(void)
{
    return (samp_sampler_options){.top_p = 1, .repetition_penalty = 1};
}

static samp_status check_range(const char *name, float value, float min, float max,
                               samp_error *error)
{
    if (value >= min && value <= max) return SAMP_OK; /* false for NaN */
    return samp_fail(error, SAMP_INVALID, "%s is %g, expected %g to %g", name, (double)value,
                     (double)min, (double)max);
}

samp_status samp_sampler_check(const samp_sampler_options *options, samp_error *error)
{
    SAMP_TRY(check_range("temperature", options->temperature, 0, 2, error));
    SAMP_TRY(check_range("min_p", options->min_p, 0, 1, error));
    SAMP_TRY(check_range("frequency_penalty", options->frequency_penalty, -2, 2, error));
    SAMP_TRY(check_range("presence_penalty", options->presence_penalty, -2, 2, error));
    if (!(options->top_p > 0 && options->top_p <= 1))
        return samp_fail(error, SAMP_INVALID, "top_p is %g, expected more than 0 and at most 1",
                         (double)options->top_p);
    if (options->top_k < 0)
        return samp_fail(error, SAMP_INVALID, "top_k is %d, expected 0 (off) or more",
                         options->top_k);
    if (!(options->repetition_penalty > 0 && options->repetition_penalty <= 10))
        return samp_fail(error, SAMP_INVALID,
                         "repetition_penalty is %g, expected more than 0 and at most 10",
                         (double)options->repetition_penalty);
    for (uint32_t i = 0; i < options->n_logit_bias; i++)
        SAMP_TRY(check_range("logit_bias", options->logit_bias[i].bias, -100, 100, error));
    return SAMP_OK;
}

samp_status samp_sampler_check_tokens(const samp_sampler_options *options, uint32_t vocab_size,
                                      samp_error *error)
{
    if (vocab_size == 0 || vocab_size > INT32_MAX)
        return samp_fail(error, SAMP_INVALID, "a vocabulary of %u tokens: expected 1 to %d",
                         vocab_size, INT32_MAX);
    for (uint32_t i = 0; i < options->n_logit_bias; i++) {
        int32_t token = options->logit_bias[i].token;
        if (token < 0 || (uint32_t)token >= vocab_size)
            return samp_fail(error, SAMP_INVALID, "logit_bias: token %d, expected 0 to %u", token,
                             vocab_size - 1);
    }
    return SAMP_OK;
}

static bool has_penalty(const samp_sampler_options *o)
{
    return o->repetition_penalty != 1 || o->frequency_penalty != 0 || o->presence_penalty != 0;
}

static bool has_filter(const samp_sampler_options *o) { return o->top_k > 0 || o->top_p < 1; }

static bool allocate(samp_sampler *sampler)
{
    const samp_sampler_options *o = &sampler->options;
    uint32_t n = sampler->vocab_size;
    bool done = true;
    if (has_penalty(o)) {
        sampler->generated = samp_alloc(n, sizeof *sampler->generated);
        sampler->is_seen = samp_alloc(n, sizeof *sampler->is_seen);
        sampler->seen = samp_alloc(n, sizeof *sampler->seen);
        done = sampler->generated && sampler->is_seen && sampler->seen;
    }
    if (has_filter(o)) {
        sampler->kept = samp_alloc(n, sizeof *sampler->kept);
        done &= sampler->kept != NULL;
    }
    if (o->n_logit_bias) {
        sampler->logit_bias = samp_alloc(o->n_logit_bias, sizeof *sampler->logit_bias);
        done &= sampler->logit_bias != NULL;
    }
    return done;
}

samp_status samp_sampler_create(samp_sampler **out, const samp_sampler_options *options,
                                uint32_t vocab_size, samp_error *error)
{
    *out = NULL;
    SAMP_TRY(samp_sampler_check(options, error));
    SAMP_TRY(samp_sampler_check_tokens(options, vocab_size, error));
    samp_sampler *sampler = samp_alloc(1, sizeof *sampler);
    if (!sampler) return samp_fail(error, SAMP_NOMEM, "out of memory for a sampler");
    sampler->options = *options;
    sampler->vocab_size = vocab_size;
    sampler->prng.state = options->seed;
    if (!allocate(sampler)) {
        samp_sampler_release(sampler);
        return samp_fail(error, SAMP_NOMEM, "out of memory for a sampler of %u tokens", vocab_size);
    }
    for (uint32_t i = 0; i < options->n_logit_bias; i++)
        sampler->logit_bias[i] = options->logit_bias[i];
    *out = sampler;
    return SAMP_OK;
}

void samp_sampler_release(samp_sampler *sampler)
{
    if (!sampler) return;
    samp_free(sampler->logit_bias);
    samp_free(sampler->kept);
    samp_free(sampler->seen);
    samp_free(sampler->is_seen);
    samp_free(sampler->generated);
    samp_free(sampler);
}

void samp_sampler_accept(samp_sampler *sampler, int32_t token, bool generated)
{
    if (!sampler->seen || token < 0 || (uint32_t)token >= sampler->vocab_size) return;
    if (!sampler->is_seen[token]) sampler->seen[sampler->n_seen++] = token;
    sampler->is_seen[token] = 1;
    if (generated) sampler->generated[token]++;
}

/* Repetition (Keskar et al., 2019): divides what is positive, multiplies what is negative, for
 * every token seen. Frequency and presence (OpenAI): subtracted for tokens generated. */
static void penalize(const samp_sampler *sampler, float *logits)
{
    const samp_sampler_options *o = &sampler->options;
    for (uint32_t i = 0; i < sampler->n_seen; i++) {
        float *logit = &logits[sampler->seen[i]];
        uint32_t n = sampler->generated[sampler->seen[i]];
        *logit = *logit > 0 ? *logit / o->repetition_penalty : *logit * o->repetition_penalty;
        if (n) *logit -= (float)n * o->frequency_penalty + o->presence_penalty;
    }
}

static int32_t greatest(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* ---- selection ---- */

/* The one order of tokens: heavier first, then the lower id. No two tokens are equal in it. */
static bool before(const float *weights, int32_t a, int32_t b)
{
    return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
}

static void swap(int32_t *a, int32_t *b)
{
    int32_t t = *a;
    *a = *b;
    *b = t;
}

/* Moves the tokens of ids[0..n) that stand before the pivot to the front, the pivot next; returns
 * its place. The pivot is the middle one of three, so that sorted logits are no bad case. */
static uint32_t partition(const float *weights, int32_t *ids, uint32_t n)
{
    int32_t *a = &ids[0], *b = &ids[n / 2], *c = &ids[n - 1];
    if (before(weights, *b, *a)) swap(a, b);
    if (before(weights, *c, *b)) swap(b, c);
    if (before(weights, *b, *a)) swap(a, b);
    swap(b, c); /* the pivot waits at the end */
    uint32_t place = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        if (before(weights, ids[i], *c)) swap(&ids[place++], &ids[i]);
    swap(&ids[place], c);
    return place;
}

/* Reorders ids[0..n) so that the tokens to keep come first, and returns how many: the fewest first
 * ones, in the order of `before`, whose weights (1 each when `count`) add up to at least `target`.
 * Linear on average. */
static uint32_t select_first(const float *weights, int32_t *ids, uint32_t n, double target,
                             bool count)
{
    uint32_t first = 0, end = n; /* the last token to keep is in ids[first..end) */
    while (end - first > 1) {
        uint32_t place = first + partition(weights, ids + first, end - first);
        double mass = 0;
        for (uint32_t i = first; i < place; i++) mass += count ? 1 : (double)weights[ids[i]];
        double with_pivot = mass + (count ? 1 : (double)weights[ids[place]]);
        if (mass >= target)
            end = place;
        else if (with_pivot >= target || place + 1 == end)
            return place + 1;
        else {
            target -= with_pivot;
            first = place + 1;
        }
    }
    return end;
}

/* Sums in sixteen lanes and then block by block: an order that vectorises, and the same on every
 * machine. */
SAMP_CLONES static double sum_block(const float *x, uint32_t n)
{
    double lane[LANES] = {0}, sum = 0;
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += (double)x[i + l];
    for (; i < n; i++) sum += (double)x[i];
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

static double sum_all(const float *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i += SUM_BLOCK)
        sum += sum_block(x + i, n - i < SUM_BLOCK ? n - i : SUM_BLOCK);
    return sum;
}

/* Sets the weight of every candidate that is not among the first `n_kept` of ids[0..n) to 0. */
static void clear_rest(float *weights, const int32_t *ids, uint32_t n_kept, uint32_t n)
{
    for (uint32_t i = n_kept; i < n; i++) weights[ids[i]] = 0;
}

/* A weight that all tokens to keep have at least, so that the others, nearly all, need no
 * selecting. For top_k the power of two below the k-th weight; for top_p half of what leaves tokens
 * lighter than it less than 1 - top_p of the whole together. */
static float least_kept(const samp_sampler *sampler, const float *weights, double total)
{
    const samp_sampler_options *o = &sampler->options;
    if (o->top_k == 0) return (float)((1 - (double)o->top_p) * total / sampler->vocab_size / 2);
    uint32_t counts[129] = {0}, n = 0, exponent = 128; /* no weight is above 1 */
    for (uint32_t i = 0; i < sampler->vocab_size; i++) counts[samp_float_bits(weights[i]) >> 23]++;
    while (exponent > 0 && n < (uint32_t)o->top_k) n += counts[--exponent];
    return samp_bits_float(exponent << 23);
}

static void keep_top(const samp_sampler *sampler, float *weights)
{
    const samp_sampler_options *o = &sampler->options;
    int32_t *ids = sampler->kept;
    double total = sum_all(weights, sampler->vocab_size);
    float least = least_kept(sampler, weights, total);
    uint32_t n = 0;
    for (uint32_t i = 0; i < sampler->vocab_size; i++)
        if (weights[i] > 0 && weights[i] >= least)
            ids[n++] = (int32_t)i;
        else
            weights[i] = 0;
    if (o->top_k > 0 && (uint32_t)o->top_k < n) {
        uint32_t kept = select_first(weights, ids, n, o->top_k, true);
        clear_rest(weights, ids, kept, n);
        n = kept;
    }
    if (o->top_p < 1) {
        if (o->top_k > 0) total = sum_all(weights, sampler->vocab_size);
        clear_rest(weights, ids, select_first(weights, ids, n, (double)o->top_p * total, false), n);
    }
}

/* ---- drawing ---- */

/* One token, with probability weights[i] / their sum. Whole blocks are passed by their sums; where
 * rounding of a walk through the right block finds nothing, the next token is it. */
static int32_t draw(samp_sampler *sampler, const float *weights)
{
    uint32_t n = sampler->vocab_size, last = n - 1;
    double at = 0, target = samp_prng_uniform(&sampler->prng) * sum_all(weights, n);
    for (uint32_t first = 0; first < n; first += SUM_BLOCK) {
        uint32_t end = n - first < SUM_BLOCK ? n : first + SUM_BLOCK;
        double walked = at;
        at += sum_block(weights + first, end - first);
        for (uint32_t i = first; at > target && i < end; i++) {
            walked += (double)weights[i];
            if (weights[i] > 0 && walked > target) return (int32_t)i;
        }
    }
    while (last > 0 && weights[last] <= 0) last--;
    return (int32_t)last;
}

/* Weights relative to the likeliest token's, which is 1. */
SAMP_CLONES static void weigh(float *x, uint32_t n, float max, float temperature, float min_p)
{
    for (uint32_t i = 0; i < n; i++) {
        float y = (x[i] - max) / temperature, weight = samp_fast_exp(y);
        weight = y > -87.0f ? weight : 0; /* -inf is among these */
        x[i] = weight >= min_p ? weight : 0;
    }
}

int32_t samp_sampler_next(samp_sampler *sampler, float *logits)
{
    const samp_sampler_options *o = &sampler->options;
    for (uint32_t i = 0; i < o->n_logit_bias; i++)
        logits[sampler->logit_bias[i].token] += sampler->logit_bias[i].bias;
    penalize(sampler, logits);
    int32_t best = greatest(logits, sampler->vocab_size);
    float max = logits[best];
    if (o->temperature == 0 || !isfinite(max)) return best;
    weigh(logits, sampler->vocab_size, max, o->temperature, o->min_p);
    if (has_filter(o)) keep_top(sampler, logits);
    return draw(sampler, logits);
}

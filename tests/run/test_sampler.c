/* The sampler: filters against a sorted-by-hand oracle, draws against their probabilities
 * (chi-square with fixed seeds), penalties, ties, and ranges. */
#include "run/sampler.h"

#include "base/memory.h"
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

static samp_error error;

static samp_sampler *sampler_of(samp_sampler_options options, uint32_t vocab)
{
    samp_sampler *sampler;
    if (samp_sampler_create(&sampler, &options, vocab, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    return sampler;
}

/* One choice from a copy of the logits. */
static int32_t choose(samp_sampler *sampler, const float *logits, uint32_t vocab)
{
    float *copy = samp_alloc(vocab, sizeof *copy);
    memcpy(copy, logits, vocab * sizeof *copy);
    int32_t token = samp_sampler_next(sampler, copy);
    samp_free(copy);
    return token;
}

static int32_t choose_once(samp_sampler_options options, const float *logits, uint32_t vocab)
{
    samp_sampler *sampler = sampler_of(options, vocab);
    int32_t token = choose(sampler, logits, vocab);
    samp_sampler_release(sampler);
    return token;
}

/* ---- greedy ---- */

static void test_greedy(void **state)
{
    (void)state;
    const float logits[] = {1, 5, 5, -INFINITY, 2}, tied[] = {2, 2, 2},
                none[] = {-INFINITY, -INFINITY};
    samp_sampler_options greedy = samp_sampler_defaults();
    assert_int_equal(choose_once(greedy, logits, 5), 1); /* the lower id of equals */
    assert_int_equal(choose_once(greedy, tied, 3), 0);
    assert_int_equal(choose_once(greedy, none, 2), 0);
    greedy.temperature = 1;
    assert_int_equal(choose_once(greedy, none, 2), 0);
    greedy.temperature = 1e-30f; /* so cold that only the greatest has any weight */
    const float close[] = {1.0f, 1.0000001f, 0.9999999f};
    assert_int_equal(choose_once(greedy, close, 3), 1);
}

/* ---- distributions ---- */

typedef struct probability {
    int32_t id;
    double p;
} probability;

static int heavier(const void *a, const void *b)
{
    const probability *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* What each token's probability must be: by sorting everything, in double. */
static void oracle(const samp_sampler_options *o, const float *logits, uint32_t n, double *out)
{
    probability *p = samp_alloc(n, sizeof *p);
    double max = -INFINITY, total = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++) max = fmax(max, (double)logits[i]);
    for (uint32_t i = 0; i < n; i++)
        p[i] = (probability){(int32_t)i, exp(((double)logits[i] - max) / (double)o->temperature)};
    qsort(p, n, sizeof *p, heavier);
    uint32_t kept = n;
    while (kept && p[kept - 1].p < (double)o->min_p) kept--;
    if (o->top_k > 0 && (uint32_t)o->top_k < kept) kept = (uint32_t)o->top_k;
    for (uint32_t i = 0; i < kept; i++) total += p[i].p;
    uint32_t nucleus = 0;
    while (nucleus < kept && sum < (double)o->top_p * total) sum += p[nucleus++].p;
    if (o->top_p >= 1) nucleus = kept, sum = total;
    memset(out, 0, n * sizeof *out);
    for (uint32_t i = 0; i < nucleus; i++) out[p[i].id] = p[i].p / sum;
    samp_free(p);
}

enum { DRAWS = 20000 };

/* Draws many tokens; none that the oracle excludes, and chi-square of the rest within six standard
 * deviations of what chance gives (its mean is the degrees of freedom, its variance twice that). */
static void expect_distribution(samp_sampler_options options, const float *logits, uint32_t n)
{
    double *p = samp_alloc(n, sizeof *p), chi_square = 0, degrees = -1;
    uint32_t *seen = samp_alloc(n, sizeof *seen);
    oracle(&options, logits, n, p);
    samp_sampler *sampler = sampler_of(options, n);
    for (int i = 0; i < DRAWS; i++) seen[choose(sampler, logits, n)]++;
    samp_sampler_release(sampler);
    double rare = 0, rare_seen = 0; /* cells that expect fewer than 5 are pooled */
    for (uint32_t i = 0; i < n; i++) {
        double expected = p[i] * DRAWS, difference = seen[i] - expected;
        if (p[i] == 0 && seen[i])
            fail_msg("token %u was drawn %u times, it is filtered out", i, seen[i]);
        if (expected >= 5) {
            chi_square += difference * difference / expected;
            degrees++;
        } else {
            rare += expected;
            rare_seen += seen[i];
        }
    }
    if (rare >= 5) {
        chi_square += (rare_seen - rare) * (rare_seen - rare) / rare;
        degrees++;
    }
    if (degrees > 0 && fabs(chi_square - degrees) > 6 * sqrt(2 * degrees))
        fail_msg("chi-square %g with %g degrees of freedom", chi_square, degrees);
    samp_free(seen);
    samp_free(p);
}

static void test_distributions(void **state)
{
    (void)state;
    enum { VOCAB = 300 };
    float logits[VOCAB];
    samp_prng prng = {77};
    for (int i = 0; i < VOCAB; i++) logits[i] = (float)(samp_prng_normal(&prng) * 2);
    logits[5] = logits[6] = logits[7] = 4; /* ties at the borders of filters */
    logits[8] = -INFINITY;
    const samp_sampler_options cases[] = {
        {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 1},
        {.temperature = 0.3f, .top_p = 1, .repetition_penalty = 1, .seed = 2},
        {.temperature = 2, .top_p = 1, .repetition_penalty = 1, .seed = 3},
        {.temperature = 1, .top_p = 1, .top_k = 1, .repetition_penalty = 1, .seed = 4},
        {.temperature = 1, .top_p = 1, .top_k = 10, .repetition_penalty = 1, .seed = 5},
        {.temperature = 1.5f, .top_p = 0.9f, .repetition_penalty = 1, .seed = 6},
        {.temperature = 1, .top_p = 0.01f, .repetition_penalty = 1, .seed = 7},
        {.temperature = 1, .top_p = 1, .min_p = 0.1f, .repetition_penalty = 1, .seed = 8},
        {.temperature = 1.2f,
         .top_p = 0.7f,
         .top_k = 40,
         .min_p = 0.02f,
         .repetition_penalty = 1,
         .seed = 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_distribution(cases[i], logits, VOCAB);
    float flat[VOCAB] = {0}; /* every token as likely: filters must fall back on ids */
    expect_distribution(cases[0], flat, VOCAB);
    expect_distribution(cases[4], flat, VOCAB);
    expect_distribution(cases[5], flat, VOCAB);
}

/* The set top_k and top_p keep, on many random vocabularies with many ties, against the sorted one:
 * drawn with many seeds, nothing outside it, and the whole of it when it is small. */
static void test_kept_sets(void **state)
{
    (void)state;
    samp_prng prng = {5};
    for (int round = 0; round < 200; round++) {
        uint32_t n = 1 + (uint32_t)samp_prng_below(&prng, 60);
        float logits[60];
        double p[60];
        for (uint32_t i = 0; i < n; i++) logits[i] = (float)samp_prng_below(&prng, 4);
        samp_sampler_options o = {
            .temperature = 2, .repetition_penalty = 1, .seed = (uint64_t)round};
        o.top_k = (int)samp_prng_below(&prng, n + 2);
        o.top_p = round % 2 ? 1 : (float)(0.05 + 0.9 * samp_prng_uniform(&prng));
        oracle(&o, logits, n, p);
        uint32_t seen[60] = {0};
        samp_sampler *sampler = sampler_of(o, n);
        for (int i = 0; i < 1500; i++) seen[choose(sampler, logits, n)]++;
        samp_sampler_release(sampler);
        for (uint32_t i = 0; i < n; i++) {
            if (p[i] == 0) assert_int_equal(seen[i], 0);
            if (p[i] > 0.01) assert_true(seen[i] > 0);
        }
    }
}

/* The same seed gives the same tokens, another seed others; a filter that removes nothing changes
 * nothing. */
static void test_seeds(void **state)
{
    (void)state;
    enum { VOCAB = 1000, N = 50 };
    float logits[VOCAB];
    samp_prng prng = {3};
    for (int i = 0; i < VOCAB; i++) logits[i] = (float)samp_prng_normal(&prng);
    samp_sampler_options o = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 42},
                         all = o, other = o;
    all.top_k = VOCAB;
    other.seed = 43;
    samp_sampler *a = sampler_of(o, VOCAB), *b = sampler_of(all, VOCAB),
                 *c = sampler_of(other, VOCAB);
    int differ = 0;
    for (int i = 0; i < N; i++) {
        int32_t token = choose(a, logits, VOCAB);
        assert_int_equal(token, choose(b, logits, VOCAB));
        differ += token != choose(c, logits, VOCAB);
    }
    assert_true(differ > N / 2);
    samp_sampler_release(a);
    samp_sampler_release(b);
    samp_sampler_release(c);
}

/* A vocabulary of a real size, sorted either way and flat: selection stays linear (a quadratic one
 * would take minutes here), and keeps what it must. */
static void test_large_vocabularies(void **state)
{
    (void)state;
    enum { VOCAB = 128256 };
    float *logits = samp_alloc(VOCAB, sizeof *logits);
    samp_sampler_options o = {
        .temperature = 1, .top_p = 0.5f, .top_k = 50000, .repetition_penalty = 1};
    samp_sampler *sampler = sampler_of(o, VOCAB);
    for (int shape = 0; shape < 3; shape++) {
        for (int i = 0; i < VOCAB; i++)
            logits[i] = shape == 0 ? 0 : (shape == 1 ? 1.0f : -1.0f) * (float)i / VOCAB * 10;
        int32_t token = samp_sampler_next(sampler, logits);
        if (shape == 0) assert_true(token < 25000);
        if (shape == 1) assert_true(token >= VOCAB - 50000);
        if (shape == 2) assert_true(token < 50000);
    }
    samp_sampler_release(sampler);
    samp_free(logits);
}

/* ---- penalties ---- */

static void test_penalties(void **state)
{
    (void)state;
    const float logits[] = {3, 2.9f, -1, -1.1f};
    samp_sampler_options o = samp_sampler_defaults();
    o.repetition_penalty = 1.2f;
    samp_sampler *sampler = sampler_of(o, 4);
    assert_int_equal(choose(sampler, logits, 4), 0);
    samp_sampler_accept(sampler, 0, false); /* prompt tokens count for repetition */
    assert_int_equal(choose(sampler, logits, 4), 1);
    samp_sampler_accept(sampler, 1, true);
    assert_int_equal(choose(sampler, logits, 4), 0); /* 2.5 against 2.42 */
    samp_sampler_release(sampler);

    const float negative[] = {-1, -1.1f};
    sampler = sampler_of(o, 2);
    samp_sampler_accept(sampler, 0, true);
    assert_int_equal(choose(sampler, negative, 2), 1); /* -1.2 against -1.1: negative logits grow */
    samp_sampler_release(sampler);

    o = samp_sampler_defaults();
    o.frequency_penalty = 0.06f;
    sampler = sampler_of(o, 4);
    samp_sampler_accept(sampler, 0, false); /* prompt tokens do not count */
    assert_int_equal(choose(sampler, logits, 4), 0);
    samp_sampler_accept(sampler, 0, true);
    assert_int_equal(choose(sampler, logits, 4), 0); /* 2.94 */
    samp_sampler_accept(sampler, 0, true);
    assert_int_equal(choose(sampler, logits, 4), 1); /* 2.88 */
    samp_sampler_release(sampler);

    o = samp_sampler_defaults();
    o.presence_penalty = 0.06f;
    sampler = sampler_of(o, 4);
    for (int i = 0; i < 5; i++) samp_sampler_accept(sampler, 0, true);
    assert_int_equal(choose(sampler, logits, 4), 0); /* once, however often */
    samp_sampler_release(sampler);

    o.presence_penalty = -2; /* a negative penalty is a preference */
    sampler = sampler_of(o, 4);
    samp_sampler_accept(sampler, 3, true);
    assert_int_equal(choose(sampler, logits, 4), 0);
    samp_sampler_accept(sampler, 1, true);
    assert_int_equal(choose(sampler, logits, 4), 1);
    samp_sampler_accept(sampler, -1, true); /* no token of this vocabulary */
    samp_sampler_accept(sampler, 4, true);
    assert_int_equal(choose(sampler, logits, 4), 1);
    samp_sampler_release(sampler);
}

/* Added before the penalties; a copy is kept; what nothing may follow is not chosen. */
static void test_bias(void **state)
{
    (void)state;
    const float logits[] = {3, 2.9f, -1, -INFINITY};
    samp_logit_bias biases[] = {{2, 5}, {3, 100}, {0, -100}};
    samp_sampler_options o = samp_sampler_defaults();
    o.logit_bias = biases;
    o.n_logit_bias = 3;
    o.repetition_penalty = 2;
    samp_sampler *sampler = sampler_of(o, 4);
    memset(biases, 0, sizeof biases);
    assert_int_equal(choose(sampler, logits, 4), 2); /* 4 */
    samp_sampler_accept(sampler, 2, true);
    assert_int_equal(choose(sampler, logits, 4), 1); /* 4/2 against 2.9 */
    samp_sampler_release(sampler);

    biases[0] = (samp_logit_bias){4, 1};
    assert_int_equal(samp_sampler_check(&o, &error), SAMP_OK);
    assert_int_equal(samp_sampler_create(&sampler, &o, 4, &error), SAMP_INVALID);
    assert_string_equal(error.message, "logit_bias: token 4, expected 0 to 3");
    biases[0] = (samp_logit_bias){0, 100.5f};
    assert_int_equal(samp_sampler_check(&o, &error), SAMP_INVALID);
}

/* ---- ranges ---- */

static void refuses(samp_sampler_options options, const char *message)
{
    assert_int_equal(samp_sampler_check(&options, &error), SAMP_INVALID);
    if (!strstr(error.message, message)) fail_msg("'%s' is not in: %s", message, error.message);
}

static void test_ranges(void **state)
{
    (void)state;
    samp_sampler_options good = samp_sampler_defaults(), o;
    assert_int_equal(samp_sampler_check(&good, &error), SAMP_OK);
#define REFUSES(member, value, message)                                                            \
    o = good;                                                                                      \
    o.member = value;                                                                              \
    refuses(o, message)
    REFUSES(temperature, -0.1f, "temperature is -0.1, expected 0 to 2");
    REFUSES(temperature, 2.1f, "temperature is 2.1");
    REFUSES(temperature, NAN, "temperature is nan");
    REFUSES(top_p, 0, "top_p is 0, expected more than 0 and at most 1");
    REFUSES(top_p, 1.01f, "top_p");
    REFUSES(top_p, NAN, "top_p");
    REFUSES(min_p, -1, "min_p is -1, expected 0 to 1");
    REFUSES(min_p, 1.5f, "min_p");
    REFUSES(top_k, -1, "top_k is -1");
    REFUSES(repetition_penalty, 0, "repetition_penalty is 0");
    REFUSES(repetition_penalty, INFINITY, "repetition_penalty is inf");
    REFUSES(frequency_penalty, 2.5f, "frequency_penalty is 2.5, expected -2 to 2");
    REFUSES(presence_penalty, -2.5f, "presence_penalty is -2.5");
#undef REFUSES
    samp_sampler *sampler;
    assert_int_equal(samp_sampler_create(&sampler, &good, 0, &error), SAMP_INVALID);
    assert_null(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),    cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_kept_sets), cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_penalties), cmocka_unit_test(test_large_vocabularies),
        cmocka_unit_test(test_bias),      cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests_name("run/sampler", tests, NULL, NULL);
}

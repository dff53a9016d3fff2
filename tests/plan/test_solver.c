/* The solver against exhaustive search, on thousands of small random instances, and on the shapes
 * of Llama-3-70B. */
#include "base/clock.h"
#include "base/prng.h"
#include "plan/solver.h"
#include "support/cmocka_all.h"

#include <math.h>
#include <string.h>

enum { GROUPS = 6, CHOICES = 5 };

typedef struct instance {
    samp_choice choices[GROUPS][CHOICES];
    samp_choice_group groups[GROUPS];
    size_t n_groups;
    uint64_t max_bytes;
    double max_seconds;
} instance;

/* Small integers make ties, equal bytes and dominated choices common: the hard cases for pruning.
 */
static void make_instance(instance *in, samp_prng *prng)
{
    in->n_groups = 1 + samp_prng_below(prng, GROUPS);
    bool grid = samp_prng_below(prng, 2), timed = samp_prng_below(prng, 2);
    uint64_t most = 0;
    double slowest = 0;
    for (size_t g = 0; g < in->n_groups; g++) {
        uint32_t n = 1 + (uint32_t)samp_prng_below(prng, CHOICES);
        uint64_t large = 0;
        double slow = 0;
        for (uint32_t c = 0; c < n; c++) {
            samp_choice *choice = &in->choices[g][c];
            choice->bytes = grid ? samp_prng_below(prng, 8) : samp_prng_below(prng, 1000000);
            choice->cost =
                grid ? (double)samp_prng_below(prng, 8) : exp(-6 * samp_prng_uniform(prng));
            choice->seconds = !timed ? 0
                              : grid ? (double)samp_prng_below(prng, 5)
                                     : samp_prng_uniform(prng);
            if (choice->bytes > large) large = choice->bytes;
            slow = fmax(slow, choice->seconds);
        }
        in->groups[g] = (samp_choice_group){in->choices[g], n};
        most += large;
        slowest += slow;
    }
    in->max_bytes = samp_prng_below(prng, most + 2);
    in->max_seconds = timed ? slowest * samp_prng_uniform(prng) + 0.01 : 0;
}

/* Least cost over all picks, INFINITY when none fits. */
static double exhaustive(const instance *in)
{
    double best = INFINITY;
    uint32_t picks[GROUPS] = {0};
    for (;;) {
        uint64_t bytes = 0;
        double cost = 0, seconds = 0;
        for (size_t g = 0; g < in->n_groups; g++) {
            const samp_choice *c = &in->choices[g][picks[g]];
            bytes += c->bytes, cost += c->cost, seconds += c->seconds;
        }
        if (bytes <= in->max_bytes && (in->max_seconds <= 0 || seconds <= in->max_seconds))
            best = fmin(best, cost);
        size_t g = 0;
        while (g < in->n_groups && ++picks[g] == in->groups[g].n_choices) picks[g++] = 0;
        if (g == in->n_groups) return best;
    }
}

static void equals_exhaustive_search(void **state)
{
    (void)state;
    samp_prng prng = {7};
    int solved = 0, impossible = 0;
    for (int i = 0; i < 10000; i++) {
        instance in;
        make_instance(&in, &prng);
        double best = exhaustive(&in);
        uint32_t picks[GROUPS];
        samp_solution solution;
        samp_error error;
        samp_status status = samp_solve(in.groups, in.n_groups, in.max_bytes, in.max_seconds, picks,
                                        &solution, &error);
        if (isinf(best)) {
            /* Each limit alone may be possible and both together not: that is found in the search.
             */
            assert_int_equal(status, SAMP_LIMIT);
            impossible++;
            continue;
        }
        if (status != SAMP_OK) fail_msg("instance %d: %s", i, error.message);
        assert_true(solution.exact);
        assert_float_equal(solution.cost, best, 1e-12 * (1 + best));
        assert_true(solution.bound <= solution.cost + 1e-12);
        assert_true(solution.bytes <= in.max_bytes);
        solved++;
    }
    print_message("%d solved, %d impossible, all as exhaustive search says\n", solved, impossible);
    assert_true(solved > 3000 && impossible > 300);
}

/* 80 layers x {qkv, o, gate+up, down}, embedding and head, seven formats; errors fall fourfold a
 * bit and differ a hundred-fold between groups. */
static void llama_70b_is_fast_and_tight(void **state)
{
    (void)state;
    enum { N = 322, F = 7 };
    static samp_choice choices[N][F];
    samp_choice_group groups[N];
    const double bits[F] = {3.19, 4.13, 4.25, 5.13, 6.13, 8.13, 16};
    const double params[4] = {83.9e6, 67.1e6, 469.8e6, 234.9e6};
    samp_prng prng = {3};
    for (int g = 0; g < N; g++) {
        double n = g < 320 ? params[g % 4] : 1050.7e6,
               weight = exp(4.6 * samp_prng_uniform(&prng)) * 1e-4 * n / 1e8;
        for (int f = 0; f < F; f++)
            choices[g][f] = (samp_choice){(uint64_t)(n * bits[f] / 8),
                                          weight * exp(-1.386 * bits[f]) * 500 *
                                              (0.9 + 0.2 * samp_prng_uniform(&prng)),
                                          n * bits[f] / 8 / 3.3e12};
        groups[g] = (samp_choice_group){choices[g], F};
    }
    uint32_t picks[N];
    samp_solution solution;
    samp_error error;
    for (int timed = 0; timed < 2; timed++) {
        double start = samp_clock();
        samp_status status =
            samp_solve(groups, N, 38000000000u, timed ? 0.0112 : 0, picks, &solution, &error);
        if (status != SAMP_OK) fail_msg("%s", error.message);
        print_message(
            "70B %s: cost %.6g, bound %.6g, gap %.4f %%, %s, %.2f s, %llu bytes, %.4f s a token\n",
            timed ? "bytes and time" : "bytes", solution.cost, solution.bound,
            100 * (solution.cost - solution.bound) / solution.cost,
            solution.exact ? "exact" : "not proven", samp_clock() - start,
            (unsigned long long)solution.bytes, solution.seconds);
        assert_true(solution.bytes <= 38000000000u);
        assert_true(solution.cost - solution.bound <= 0.01 * solution.cost);
    }
}

static void impossible_budget_names_the_least(void **state)
{
    (void)state;
    samp_choice choices[2] = {{100, 1, 0}, {50, 2, 0}};
    samp_choice_group groups[2] = {{choices, 2}, {choices, 2}};
    uint32_t picks[2];
    samp_solution solution;
    samp_error error;
    assert_int_equal(samp_solve(groups, 2, 99, 0, picks, &solution, &error), SAMP_LIMIT);
    assert_non_null(strstr(error.message, "need 100 bytes"));
    assert_int_equal(samp_solve(groups, 0, 99, 0, picks, &solution, &error), SAMP_INVALID);
    choices[0].cost = NAN;
    assert_int_equal(samp_solve(groups, 2, 999, 0, picks, &solution, &error), SAMP_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_exhaustive_search),
                                       cmocka_unit_test(llama_70b_is_fast_and_tight),
                                       cmocka_unit_test(impossible_budget_names_the_least)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

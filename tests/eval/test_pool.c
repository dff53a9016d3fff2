/* Pooling of strata: the mean of all tokens, and the interval of a stratified sample. */
#include "support/cmocka_all.h"

#include "eval/pool.h"

#include <math.h>

static samp_eval_result part(size_t n_scored, double kl, double half)
{
    samp_estimate e = {kl, kl - half, kl + half};
    return (samp_eval_result){.n_windows = 4,
                              .n_scored = n_scored,
                              .compared = true,
                              .nll = {3 + kl, 3 + kl - half, 3 + kl + half},
                              .baseline_nll = {3, 3, 3},
                              .perplexity_ratio = {exp(kl), exp(kl - half), exp(kl + half)},
                              .kl_mean = e,
                              .top1 = samp_estimate_share(n_scored / 2, n_scored)};
}

static void means_are_of_all_tokens(void **state)
{
    (void)state;
    samp_eval_result parts[2] = {part(300, 0.1, 0.03), part(100, 0.5, 0.08)};
    samp_eval_result all = samp_eval_pool(parts, 2);
    assert_int_equal(all.n_scored, 400);
    assert_int_equal(all.n_windows, 8);
    assert_float_equal(all.kl_mean.value, 0.2, 1e-6);
    double half = hypot(0.75 * 0.03, 0.25 * 0.08);
    assert_float_equal(all.kl_mean.high - all.kl_mean.value, half, 1e-6);
    assert_float_equal(all.perplexity_ratio.value, exp(0.2), 1e-6);
    assert_float_equal(all.perplexity_ratio.low, exp(0.2 - half), 1e-6);
    assert_float_equal(all.baseline_perplexity.value, exp(3), 1e-5);
    assert_float_equal(all.top1.value, 0.5, 1e-6);
}

/* Two halves of one sample have the interval of the whole: the square root of two narrower. */
static void halves_give_the_whole(void **state)
{
    (void)state;
    samp_eval_result parts[2] = {part(50, 0.2, 0.02), part(50, 0.2, 0.02)};
    samp_eval_result all = samp_eval_pool(parts, 2), one = samp_eval_pool(parts, 1);
    assert_float_equal(all.kl_mean.high - 0.2, 0.02 / sqrt(2), 1e-6);
    assert_float_equal(one.kl_mean.low, 0.18, 1e-6);
}

static void nothing_and_the_uncompared(void **state)
{
    (void)state;
    assert_int_equal(samp_eval_pool(NULL, 0).n_scored, 0);
    samp_eval_result parts[2] = {part(10, 0.01, 0.02), {.n_scored = 10, .nll = {1, 1, 1}}};
    samp_eval_result all = samp_eval_pool(parts, 2);
    assert_false(all.compared);
    assert_float_equal(all.nll.value, (3.01 + 1) / 2, 1e-6);
    assert_float_equal(samp_eval_pool(parts, 1).kl_mean.low, 0, 0); /* never below 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_are_of_all_tokens),
        cmocka_unit_test(halves_give_the_whole),
        cmocka_unit_test(nothing_and_the_uncompared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

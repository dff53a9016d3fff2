/* samp cost: the article's example, and ranges. */
#include "plan/cost.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static samp_cost cost_of(double price, double rate)
{
    samp_cost cost;
    samp_error error;
    samp_cost_input input = {price, rate, 1, 720};
    assert_int_equal(samp_cost_compute(&input, &cost, &error), SAMP_OK);
    return cost;
}

/* The article: $128/h against $32/h is $92,160 against $23,040, saves $69,120 a month and $829,440
 * a year; three engineer-weeks of $45,000 come back within a month. */
static void article_example(void **state)
{
    (void)state;
    samp_cost baseline = cost_of(128, 0), candidate = cost_of(32, 0);
    assert_float_equal(baseline.per_month, 92160, 1e-9);
    assert_float_equal(candidate.per_month, 23040, 1e-9);
    samp_savings savings = samp_cost_compare(&baseline, &candidate, 45000);
    assert_float_equal(savings.per_month, 69120, 1e-9);
    assert_float_equal(savings.per_year, 829440, 1e-9);
    assert_float_equal(savings.share, 0.75, 1e-12);
    assert_float_equal(savings.payback_months, 45000.0 / 69120.0, 1e-12);
}

static void tokens_and_utilization(void **state)
{
    (void)state;
    samp_cost_input input = {36, 1000, 0.5, 720};
    samp_cost cost;
    samp_error error;
    assert_int_equal(samp_cost_compute(&input, &cost, &error), SAMP_OK);
    assert_float_equal(cost.per_million_tokens, 20, 1e-9); /* 36 dollars for 1.8 million tokens */
    assert_float_equal(cost.tokens_per_month, 1.8e6 * 720, 1e-3);
}

static void a_dearer_candidate_never_pays_back(void **state)
{
    (void)state;
    samp_cost baseline = cost_of(10, 0), candidate = cost_of(12, 0);
    samp_savings savings = samp_cost_compare(&baseline, &candidate, 100);
    assert_true(savings.per_month < 0);
    assert_true(savings.payback_months == -1);
}

static void bad_numbers_are_named(void **state)
{
    (void)state;
    const samp_cost_input bad[] = {
        {-1, 1, 1, 720}, {1, NAN, 1, 720}, {1, 1, 0, 720}, {1, 1, 1.5, 720}, {1, 1, 1, 0}};
    const char *const words[] = {"price", "throughput", "utilization", "utilization", "hours"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        samp_cost cost;
        samp_error error;
        assert_int_equal(samp_cost_compute(&bad[i], &cost, &error), SAMP_INVALID);
        assert_non_null(strstr(error.message, words[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(article_example),
                                       cmocka_unit_test(tokens_and_utilization),
                                       cmocka_unit_test(a_dearer_candidate_never_pays_back),
                                       cmocka_unit_test(bad_numbers_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

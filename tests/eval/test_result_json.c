/* Results survive the way to JSON and back; what is missing or malformed is named. */
#include "support/cmocka_all.h"

#include "eval/result_json.h"

#include <string.h>

static const samp_eval_result whole = {.n_windows = 3,
                                       .n_scored = 765,
                                       .seconds = 1.5,
                                       .nll = {3, 2.9, 3.1},
                                       .perplexity = {20, 18, 22},
                                       .compared = true,
                                       .baseline_perplexity = {19, 17, 21},
                                       .perplexity_ratio = {1.05, 1.01, 1.09},
                                       .kl_mean = {0.031, 0.028, 0.034},
                                       .kl_median = {0.02, 0.019, 0.021},
                                       .kl_p99 = {0.2, 0.1, 0.4},
                                       .top1 = {0.9, 0.88, 0.92},
                                       .delta_p = {-0.01, -0.02, 0}};

static void there_and_back(void **state)
{
    (void)state;
    samp_eval_result back;
    samp_error error = {0};
    const char *text;
    json_t *json = samp_eval_result_json("prose \"1\"", 800, &whole);
    assert_int_equal(samp_eval_result_parse(json, &text, &back, "test", &error), SAMP_OK);
    assert_string_equal(text, "prose \"1\"");
    assert_memory_equal(&back, &whole, sizeof whole);
    json_decref(json);

    samp_eval_result alone = {.n_windows = 1, .n_scored = 9, .nll = {1, 1, 1}};
    json = samp_eval_result_json("x", 10, &alone);
    assert_null(json_object_get(json, "kl_mean"));
    assert_int_equal(samp_eval_result_parse(json, &text, &back, "test", &error), SAMP_OK);
    assert_false(back.compared);
    json_decref(json);
}

static void refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{}", "\"text\" is missing"},
        {"{\"text\":\"a\",\"windows\":0,\"scored\":4}", "\"windows\""},
        {"{\"text\":\"a\",\"windows\":1,\"scored\":4,\"kl_mean\":\"low\"}", "\"kl_mean\""},
        {"{\"text\":\"a\",\"windows\":1,\"scored\":4,\"kl_mean\":{\"low\":1}}", "\"value\""},
        {"{\"text\":\"a\",\"windows\":1,\"scored\":4,\"kl_mean\":{\"value\":1,\"high\":[]}}",
         "\"high\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        samp_eval_result result;
        samp_error error = {0};
        const char *text;
        json_t *json = json_loads(bad[i][0], 0, NULL);
        assert_int_equal(samp_eval_result_parse(json, &text, &result, "x.json", &error),
                         SAMP_CORRUPT);
        assert_non_null(strstr(error.message, bad[i][1]));
        assert_non_null(strstr(error.message, "x.json"));
        json_decref(json);
    }
}

static void a_plain_number_has_no_interval(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_estimate e = {7, 7, 7};
    json_t *json = json_pack("{s:f,s:n}", "prose", 0.25, "code");
    assert_int_equal(samp_estimate_parse(json, "prose", true, &e, "t", &error), SAMP_OK);
    assert_true(e.value == 0.25 && e.low == 0.25 && e.high == 0.25);
    assert_int_equal(samp_estimate_parse(json, "code", false, &e, "t", &error), SAMP_OK);
    assert_true(e.value == 0.25);
    assert_int_equal(samp_estimate_parse(json, "json", true, &e, "t", &error), SAMP_CORRUPT);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(refused),
        cmocka_unit_test(a_plain_number_has_no_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The same request alone, twice, in a crowd of 64, after preemption, with and without prefix cache
 * and speculation: the same text and log-probabilities, bit for bit (JSON holds every digit). And
 * what echo and logprobs score is what samp eval scores, to the last digit. */
#include "serve_support.h"

#include "eval/likelihood.h"

enum { CROWD = 64, KINDS = 4 };

static char *alone[KINDS]; /* what the plain server answered, as text */

static const char *body_of(unsigned kind)
{
    static const char *const bodies[KINDS] = {
        "{\"prompt\": \"greedy and long enough for a block of keys and values, and for one more "
        "of them\", \"max_tokens\": 48, \"temperature\": 0, \"logprobs\": 3, \"ignore_eos\": true}",
        "{\"prompt\": \"drawn\", \"max_tokens\": 64, \"seed\": 7, \"logprobs\": 1, \"n\": 2, "
        "\"ignore_eos\": true, \"frequency_penalty\": 0.5}",
        "{\"prompt\": \"again and again and again and again and again and again and again and \", "
        "\"max_tokens\": 64, \"temperature\": 0, \"logprobs\": 0, \"ignore_eos\": true}",
        "{\"prompt\": \"echoed prompt\", \"max_tokens\": 40, \"seed\": 11, \"echo\": true, "
        "\"logprobs\": 2, \"top_k\": 20, \"ignore_eos\": true}",
    };
    return bodies[kind];
}

/* The answer from its choices to its usage, as it came; release with free. */
static char *choices_of(const samp_buffer *answer)
{
    const char *begin = strstr(answer->data, "\"choices\":"), *end = strstr(begin, ",\"usage\":");
    assert_true(begin && end);
    return strndup(begin, (size_t)(end - begin));
}

static char *ask_alone(const served *s, unsigned kind)
{
    samp_buffer text = {0};
    assert_int_equal(ask(s, "POST", "/v1/completions", NULL, body_of(kind), &text), 200);
    char *choices = choices_of(&text);
    samp_buffer_release(&text);
    return choices;
}

static void compare(char *choices, unsigned kind)
{
    assert_string_equal(choices, alone[kind]);
    free(choices);
}

/* All at once; every answer is compared. */
static void ask_in_a_crowd(const served *s, unsigned n)
{
    int fds[CROWD];
    samp_buffer text = {0};
    for (unsigned i = 0; i < n; i++) {
        fds[i] = client_connect(s);
        client_send(fds[i], "POST", "/v1/completions", NULL, body_of(i % KINDS));
    }
    for (unsigned i = 0; i < n; i++) {
        samp_buffer_clear(&text);
        assert_int_equal(client_receive(fds[i], &text), 200);
        compare(choices_of(&text), i % KINDS);
    }
    samp_buffer_release(&text);
}

static void alone_without_cache_and_speculation(void **state)
{
    served s;
    (void)state;
    served_init(&s);
    s.options.engine.no_prefix_cache = s.options.engine.no_speculation = true;
    served_start(&s);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        alone[kind] = ask_alone(&s, kind);
        assert_non_null(strstr(alone[kind], "\"token_logprobs\":["));
    }
    served_stop(&s);
}

static void with_cache_speculation_and_in_a_crowd(void **state)
{
    served s;
    (void)state;
    served_init(&s);
    served_start(&s);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned kind = 0; kind < KINDS; kind++) compare(ask_alone(&s, kind), kind);
    assert_true(metric(&s, "vllm:prefix_cache_hits_total") > 0);
    assert_true(metric(&s, "vllm:spec_decode_num_draft_tokens_total") > 0);
    ask_in_a_crowd(&s, CROWD);
    served_stop(&s);
}

static void after_preemption(void **state)
{
    served s;
    (void)state;
    served_init(&s);
    s.options.engine.session.context = 384; /* a few blocks for all */
    served_start(&s);
    ask_in_a_crowd(&s, 24);
    assert_true(metric(&s, "vllm:num_preemptions_total") > 0);
    served_stop(&s);
}

/* ---- scores ---------------------------------------------------------------------------------- */

static const struct {
    const char *context, *continuation;
} pairs[] = {
    {"The sky is", " blue"},
    {"One, two,", " three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen"},
    {"caf\xc3\xa9", " au lait \xe2\x82\xac"},
};

/* The sum over the continuation's tokens (bytes), in their order. */
static double served_likelihood(const served *s, const char *context, const char *continuation)
{
    json_t *text = json_sprintf("%s%s", context, continuation);
    json_t *body = json_pack("{s:o, s:i, s:b, s:i}", "prompt", text, "max_tokens", 0, "echo", 1,
                             "logprobs", 1);
    char *dumped = json_dumps(body, 0);
    json_t *answer = post(s, "/v1/completions", dumped, 200);
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *values = json_object_get(json_object_get(choice, "logprobs"), "token_logprobs");
    double sum = 0;
    assert_int_equal(json_array_size(values), strlen(context) + strlen(continuation));
    for (size_t i = strlen(context); i < json_array_size(values); i++)
        sum += json_real_value(json_array_get(values, i));
    json_decref(answer);
    json_decref(body);
    free(dumped);
    return sum;
}

static void scores_are_those_of_eval(void **state)
{
    served s;
    samp_model *model;
    samp_session *session;
    samp_tokenizer *tokenizer;
    samp_scorer *scorer;
    samp_error error;
    samp_session_options options = {.n_threads = 1, .context = 512};
    (void)state;
    served_init(&s);
    served_start(&s);
    assert_int_equal(samp_model_open(&model, s.folder, &error), SAMP_OK);
    assert_int_equal(samp_session_open(&session, model, &options, &error), SAMP_OK);
    assert_int_equal(samp_tokenizer_load(&tokenizer, s.folder, &error), SAMP_OK);
    assert_int_equal(samp_scorer_create(&scorer, session, tokenizer, &error), SAMP_OK);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        samp_likelihood own;
        char expected[40], got[40];
        assert_int_equal(
            samp_scorer_score(scorer, pairs[i].context, pairs[i].continuation, &own, &error),
            SAMP_OK);
        double theirs = served_likelihood(&s, pairs[i].context, pairs[i].continuation);
        snprintf(expected, sizeof expected, "%.17g", own.log_likelihood);
        snprintf(got, sizeof got, "%.17g", theirs);
        assert_true(own.log_likelihood < 0);
        assert_string_equal(got, expected);
    }
    samp_scorer_release(scorer);
    samp_tokenizer_release(tokenizer);
    samp_session_close(session);
    samp_model_close(model);
    served_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_without_cache_and_speculation),
        cmocka_unit_test(with_cache_speculation_and_in_a_crowd),
        cmocka_unit_test(after_preemption),
        cmocka_unit_test(scores_are_those_of_eval),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (unsigned kind = 0; kind < KINDS; kind++) free(alone[kind]);
    return failed;
}

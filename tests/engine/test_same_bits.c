/* A request's tokens and log-probabilities, bit for bit: alone, among 64, after preemptions, with
 * and without the prefix cache, with and without guesses. What is right is computed the plain way,
 * by one sequence on a session of its own. */
#include "support/engine_run.h"

enum { MANY = 64, EOS = 2, VOCAB = 203, PROMPT_MAX = 150 };

static char *folder;
static int32_t prompts[MANY][PROMPT_MAX];
static samp_request requests[MANY];
static record expected[MANY], got[MANY];
static uint64_t n_accepted; /* guesses that were right, in all runs of 64 */

/* Lengths from 1 token to more than two blocks; greedy and drawn; some want prompt logprobs; some
 * begin alike, some repeat themselves. */
static void make_request(uint32_t i)
{
    samp_request *r = &requests[i];
    *r = samp_request_defaults();
    random_tokens(prompts[i], PROMPT_MAX, VOCAB, i % 3 == 0 ? 7 : 100 + i);
    if (i % 4 == 1)
        for (uint32_t t = 9; t < PROMPT_MAX; t++) prompts[i][t] = prompts[i][t - 9];
    r->prompt = prompts[i];
    r->n_prompt = 1 + i * 37 % PROMPT_MAX;
    r->max_tokens = 8 + i % 5 * 20;
    r->logprobs = RECORD_TOP;
    if (i % 7 == 2) r->prompt_logprobs = 1;
    if (i % 2) {
        r->sampler.temperature = .4f;
        r->sampler.top_p = .9f;
        r->sampler.repetition_penalty = 1.1f;
        r->sampler.seed = i;
    }
}

static void compute_expected(samp_kv_type type)
{
    samp_session *session =
        session_on(folder, (samp_session_options){.n_threads = 1, .kv_type = type});
    for (uint32_t i = 0; i < MANY; i++) oracle(session, &requests[i], EOS, &expected[i]);
    samp_session_close(session);
}

/* All at once, behind a gate. */
static samp_engine_stats run_all(samp_engine_options options)
{
    static gate g;
    samp_engine *engine = engine_on(folder, options);
    memset(got, 0, sizeof got);
    gate_close(engine, &g, 1);
    for (uint32_t i = 0; i < MANY; i++) submit(engine, requests[i], &got[i]);
    atomic_store(&g.is_open, true);
    samp_engine_stats stats = finish_engine(engine);
    uint64_t n_tokens = 1;
    for (uint32_t i = 0; i < MANY; i++) {
        expect_record(&got[i], &expected[i]);
        n_tokens += got[i].n_tokens;
        assert_int_equal(got[i].n_prompt,
                         requests[i].prompt_logprobs < 0 ? 0 : requests[i].n_prompt);
    }
    assert_int_equal(stats.generated_tokens, n_tokens);
    n_accepted += stats.accepted_tokens;
    return stats;
}

static void test_alone(void **state)
{
    (void)state;
    samp_engine *engine = engine_on(folder, (samp_engine_options){0});
    memset(got, 0, sizeof got);
    for (uint32_t i = 0; i < MANY; i++) {
        submit(engine, requests[i], &got[i]);
        await(&got[i]);
        expect_record(&got[i], &expected[i]);
        bool stopped = got[i].tokens[got[i].n_tokens - 1] == EOS;
        assert_int_equal(got[i].end.finish, stopped ? SAMP_FINISH_STOP : SAMP_FINISH_LENGTH);
        assert_true(got[i].end.arrived <= got[i].end.scheduled);
        assert_true(got[i].end.scheduled <= got[i].end.first_token);
        assert_true(got[i].end.first_token <= got[i].end.last_token);
    }
    finish_engine(engine);
}

/* Of what was got last: in order, the token's own where it is among them. */
static void check_top(void)
{
    for (uint32_t i = 0; i < MANY; i++)
        for (uint32_t t = 0; t < got[i].n_tokens; t++) {
            const samp_logprob *top = got[i].top[t];
            bool seen = false;
            for (uint32_t k = 0; k < RECORD_TOP; k++) {
                assert_true(k == 0 || top[k].logprob <= top[k - 1].logprob);
                assert_true(top[k].rank <= k + 1 && top[k].rank >= 1);
                if (top[k].token != got[i].tokens[t]) continue;
                assert_true(top[k].logprob == got[i].logprobs[t]);
                seen = true;
            }
            if (i % 2 == 0) assert_true(seen && top[0].rank == 1); /* greedy takes a likeliest */
        }
}

static void test_among_64(void **state)
{
    (void)state;
    samp_session_options session = {.context = 64 * 512, .max_batch = 200};
    samp_engine_stats plain = run_all(
        (samp_engine_options){.session = session, .no_prefix_cache = true, .no_speculation = true});
    assert_int_equal(plain.prefix_hits + plain.drafted_tokens + plain.preemptions, 0);
    samp_engine_stats all = run_all((samp_engine_options){.session = session});
    check_top();
    assert_true(all.prefix_hits > 0);
    assert_true(all.drafted_tokens >= all.accepted_tokens);
}

/* Room for little more than one request at a time. */
static void test_after_preemption(void **state)
{
    (void)state;
    samp_session_options session = {.context = 9 * 64, .max_batch = 96};
    samp_engine_stats all = run_all((samp_engine_options){.session = session});
    assert_true(all.preemptions > 3 && all.prefix_hits > 0);
    samp_engine_stats plain = run_all(
        (samp_engine_options){.session = session, .no_prefix_cache = true, .no_speculation = true});
    assert_true(plain.preemptions > 3 && plain.prefix_hits == 0 && plain.recomputed_tokens > 0);
}

/* Steps of few tokens cut prompts everywhere. */
static void test_small_steps(void **state)
{
    (void)state;
    run_all((samp_engine_options){.session = {.context = 2048, .max_batch = 9}});
}

/* Keys and values in INT8, with preemptions and shared blocks. */
static void test_int8_kv(void **state)
{
    (void)state;
    static record fp16[MANY];
    memcpy(fp16, expected, sizeof fp16);
    compute_expected(SAMP_KV_INT8);
    samp_session_options session = {.context = 9 * 64, .max_batch = 96, .kv_type = SAMP_KV_INT8};
    samp_engine_stats stats = run_all((samp_engine_options){.session = session});
    assert_true(stats.preemptions > 0 && stats.prefix_hits > 0);
    memcpy(expected, fp16, sizeof fp16);
}

/* Whether a guess is made depends on how long steps took; in all these runs some were. */
static void test_guesses_were_made(void **state)
{
    (void)state;
    assert_true(n_accepted > 0);
}

static int setup(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    folder = tiny_folder();
    tiny_write(folder, &config, 1);
    for (uint32_t i = 0; i < MANY; i++) make_request(i);
    compute_expected(SAMP_KV_FP16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiny_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_among_64),
        cmocka_unit_test(test_after_preemption),
        cmocka_unit_test(test_small_steps),
        cmocka_unit_test(test_int8_kv),
        cmocka_unit_test(test_guesses_were_made),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* What a request can ask for, one by one: lengths, stops, sampling, constraints, scores; and what
 * it is refused for. */
#include "support/engine_run.h"

enum { VOCAB = 203, TEXT = 512, EOS = 2, POISON = 150, POSITIONS = 512 };

static char *folder;
static samp_engine *engine;
static int32_t text[TEXT];
static record got, again;

static samp_request request_of(uint32_t n_prompt, uint32_t max_tokens)
{
    samp_request request = samp_request_defaults();
    request.prompt = text;
    request.n_prompt = n_prompt;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    return request;
}

static void run(samp_request request, record *r)
{
    memset(r, 0, sizeof *r);
    submit(engine, request, r);
    await(r);
}

/* ---- lengths and ends ---- */

static void test_lengths(void **state)
{
    (void)state;
    run(request_of(30, 1), &got);
    assert_int_equal(got.n_tokens, 1);
    assert_int_equal(got.end.finish, SAMP_FINISH_LENGTH);
    assert_string_equal(samp_finish_name(got.end.finish), "length");
    run(request_of(30, 0), &got);
    assert_int_equal(got.n_tokens, 0);
    assert_int_equal(got.end.finish, SAMP_FINISH_LENGTH);
    assert_true(got.end.first_token == 0 && got.end.scheduled > 0);
    run(request_of(500, UINT32_MAX), &got); /* up to the end of the context */
    assert_int_equal(got.n_tokens, POSITIONS - 500);
    run(request_of(POSITIONS, 0), &got);
    assert_int_equal(got.end.finish, SAMP_FINISH_LENGTH);
}

/* Stop tokens, the engine's own and the caller's sink; the token that stops is told and counted. */
static void test_stops(void **state)
{
    (void)state;
    run(request_of(30, 20), &got);
    samp_request request = request_of(30, 20);
    uint32_t at = 5;
    while (at > 0 && memchr(got.tokens, got.tokens[at], at * sizeof *got.tokens)) at--;
    int32_t stop = got.tokens[at];
    uint32_t first = 0;
    while (got.tokens[first] != stop) first++;
    request.stop_tokens = &stop;
    request.n_stop_tokens = 1;
    run(request, &again);
    assert_int_equal(again.n_tokens, first + 1);
    assert_int_equal(again.end.finish, SAMP_FINISH_STOP);
    assert_int_equal(again.end.stop_token, stop);
    assert_int_equal(again.end.n_generated, first + 1);

    request.min_tokens = first + 4; /* not chosen before */
    run(request, &again);
    assert_true(again.n_tokens >= first + 4);
    for (uint32_t i = 0; i < first + 4 && i < again.n_tokens - 1; i++)
        assert_int_not_equal(again.tokens[i], stop);

    request = request_of(30, 20);
    submit(engine, (memset(&again, 0, sizeof again), again.stop_after = 7, request), &again);
    await(&again);
    assert_int_equal(again.n_tokens, 7);
    assert_int_equal(again.end.finish, SAMP_FINISH_STOP);
    assert_int_equal(again.end.stop_token, -1);
}

/* The config's end of sequence, made certain by a bias; and ignored. */
static void test_eos_and_bias(void **state)
{
    (void)state;
    samp_logit_bias bias = {EOS, 100};
    samp_request request = request_of(30, 5);
    request.sampler.logit_bias = &bias;
    request.sampler.n_logit_bias = 1;
    request.ignore_eos = false;
    run(request, &got);
    assert_int_equal(got.n_tokens, 1);
    assert_int_equal(got.end.stop_token, EOS);
    request.min_tokens = 3;
    run(request, &got);
    assert_int_equal(got.n_tokens, 4);
    for (uint32_t i = 0; i < 3; i++) assert_int_not_equal(got.tokens[i], EOS);
    request.ignore_eos = true;
    run(request, &got);
    assert_int_equal(got.n_tokens, 5);
    for (uint32_t i = 0; i < 5; i++) assert_int_equal(got.tokens[i], EOS);
    bias.bias = -100;
    run(request, &got);
    for (uint32_t i = 0; i < 5; i++) assert_int_not_equal(got.tokens[i], EOS);
}

/* ---- sampling ---- */

static void test_seeds(void **state)
{
    (void)state;
    samp_request request = request_of(30, 40);
    request.sampler.temperature = 1;
    request.sampler.seed = 11;
    run(request, &got);
    run(request, &again);
    assert_memory_equal(got.tokens, again.tokens, sizeof got.tokens);
    request.sampler.seed = 12;
    run(request, &again);
    assert_memory_not_equal(got.tokens, again.tokens, sizeof got.tokens);
}

/* ---- constraints ---- */

/* Allows tokens that are `step` more than the last, or nothing after `most` tokens. */
typedef struct counting {
    int32_t next, step;
    uint32_t n, most;
    int32_t accepted[64];
} counting;

static bool allow_next(void *context, uint64_t *mask)
{
    counting *c = context;
    if (c->n == c->most) return c->step == 1; /* an empty mask, or a refusal */
    mask[c->next / 64] |= (uint64_t)1 << c->next % 64;
    return true;
}

static void accept_next(void *context, int32_t token)
{
    counting *c = context;
    c->accepted[c->n++] = token;
    c->next = (token + c->step) % VOCAB;
}

static void test_constraint(void **state)
{
    (void)state;
    for (int32_t step = 1; step <= 2; step++) {
        counting c = {.next = 70, .step = step, .most = 9};
        samp_request request = request_of(30, 20);
        request.constraint = (samp_constraint){allow_next, accept_next, &c};
        request.sampler.temperature = 1;
        run(request, &got);
        assert_int_equal(got.n_tokens, 9);
        for (int32_t i = 0; i < 9; i++) assert_int_equal(got.tokens[i], 70 + i * step);
        assert_memory_equal(c.accepted, got.tokens, 9 * sizeof *got.tokens);
        assert_int_equal(got.end.finish, SAMP_FINISH_ERROR);
        assert_int_equal(got.end.status, SAMP_INVALID);
        assert_string_equal(got.end.message,
                            "after 9 generated tokens the constraint allows no token");
    }
    counting c = {.next = 7, .step = 3, .most = 64}; /* guessed tokens are checked too */
    samp_request request = request_of(30, 60);
    request.constraint = (samp_constraint){allow_next, accept_next, &c};
    run(request, &got);
    assert_int_equal(got.end.finish, SAMP_FINISH_LENGTH);
    for (int32_t i = 0; i < 60; i++) assert_int_equal(got.tokens[i], (7 + 3 * i) % VOCAB);
}

/* ---- scores ---- */

/* Scoring alone: every prompt token's log-probability as samp eval has it, nothing generated. */
static void test_scores(void **state)
{
    (void)state;
    samp_request request = request_of(TEXT, 0);
    request.prompt_logprobs = 0;
    samp_session *session = session_on(folder, (samp_session_options){.n_threads = 1});
    oracle(session, &request, EOS, &again);
    samp_session_close(session);
    for (int i = 0; i < 2; i++) { /* the cache has it all the second time */
        run(request, &got);
        assert_int_equal(got.end.n_cached, 0);
        expect_record(&got, &again);
        assert_int_equal(got.n_prompt, TEXT);
    }
}

/* ---- failures ---- */

/* A token whose embedding is not a number ends its own request, not its neighbours'. */
static void test_poison(void **state)
{
    (void)state;
    static record records[4], plain[4];
    static gate g;
    int32_t poisoned[20];
    memcpy(poisoned, text, sizeof poisoned);
    poisoned[11] = POISON;
    for (uint32_t i = 0; i < 4; i++) run(request_of(20 + i, 6), &plain[i]);
    gate_close(engine, &g, 3);
    for (uint32_t i = 0; i < 4; i++) {
        samp_request request = request_of(20 + i, 6);
        if (i == 2) {
            request.prompt = poisoned;
            request.n_prompt = 20;
        }
        memset(&records[i], 0, sizeof records[i]);
        submit(engine, request, &records[i]);
    }
    atomic_store(&g.is_open, true);
    await(&g.record);
    for (uint32_t i = 0; i < 4; i++) {
        await(&records[i]);
        if (i != 2) expect_record(&records[i], &plain[i]);
    }
    assert_int_equal(records[2].end.finish, SAMP_FINISH_ERROR);
    assert_int_equal(records[2].end.status, SAMP_NUMERIC);
    assert_non_null(strstr(records[2].end.message, "not finite"));
}

static void refuses(samp_request request, const char *part)
{
    samp_error error;
    samp_ticket ticket;
    memset(&got, 0, sizeof got);
    request.sink = record_sink(&got);
    assert_int_equal(samp_engine_submit(engine, &request, &ticket, &error), SAMP_INVALID);
    if (!strstr(error.message, part)) fail_msg("'%s' has no '%s'", error.message, part);
    assert_true(ticket.id == 0 && got.n_ends == 0);
}

static void test_refusals(void **state)
{
    (void)state;
    static int32_t many_stops[SAMP_ENGINE_STOPS_MAX + 1];
    samp_request r;
    refuses(request_of(0, 5), "no tokens");
    refuses(request_of(POSITIONS, 1), "512 tokens, expected at most 511");
    int32_t wrong[] = {3, VOCAB, -1};
    r = request_of(2, 1), r.prompt = wrong;
    refuses(r, "prompt: token 203 at 1, expected 0 to 202");
    r = request_of(1, 1), r.stop_tokens = wrong + 2, r.n_stop_tokens = 1;
    refuses(r, "stop tokens: token -1");
    r = request_of(1, 1), r.stop_tokens = many_stops, r.n_stop_tokens = SAMP_ENGINE_STOPS_MAX + 1;
    refuses(r, "257 stop tokens");
    r = request_of(1, 1), r.sampler.temperature = -1;
    refuses(r, "temperature is -1");
    samp_logit_bias bias = {VOCAB, 1};
    r = request_of(1, 1), r.sampler.logit_bias = &bias, r.sampler.n_logit_bias = 1;
    refuses(r, "logit_bias: token 203");
    bias = (samp_logit_bias){1, NAN};
    refuses(r, "logit_bias is nan");
    r = request_of(1, 1), r.logprobs = SAMP_ENGINE_LOGPROBS_MAX + 1;
    refuses(r, "logprobs is 65");
    r = request_of(1, 1), r.prompt_logprobs = -2;
    refuses(r, "prompt_logprobs is -2");
    assert_int_equal(stats_of(engine).n_waiting, 0);
}

/* Whichever allocation fails: the engine does not open, the request is refused or ends, and nothing
 * is left behind. */
static void test_out_of_memory(void **state)
{
    (void)state;
    samp_model *model;
    samp_engine *other = NULL;
    samp_error error;
    samp_ticket ticket;
    OK(samp_model_open(&model, folder, e));
    uint64_t live = samp_alloc_live(), failed = 0;
    samp_engine_options options = {.session = {.context = 512, .n_threads = 1}, .max_running = 4};
    for (uint64_t n = 1; !other; n++) {
        samp_alloc_fail_once(n);
        samp_status status = samp_engine_open(&other, model, &options, &error);
        samp_alloc_fail_once(0);
        assert_int_equal(status, other ? SAMP_OK : SAMP_NOMEM);
        assert_true(other || samp_alloc_live() == live);
    }
    samp_request request = request_of(30, 4);
    request.sampler.temperature = 1;
    request.sampler.top_k = 20;
    request.sampler.presence_penalty = 1;
    request.sink = record_sink(&got);
    for (uint64_t n = 1; n < 40; n++) {
        memset(&got, 0, sizeof got);
        samp_alloc_fail_once(n);
        samp_status status = samp_engine_submit(other, &request, &ticket, &error);
        if (status == SAMP_OK) await(&got);
        samp_alloc_fail_once(0);
        bool ended = status == SAMP_OK && got.end.finish != SAMP_FINISH_ERROR;
        assert_int_equal(status == SAMP_OK ? got.end.status : status, ended ? SAMP_OK : SAMP_NOMEM);
        assert_true(!ended || got.n_tokens == 4);
        failed += !ended;
    }
    assert_in_range(failed, 5, 38);
    finish_engine(other);
    assert_int_equal(samp_alloc_live(), live);
    samp_model_close(model);
}

/* Options the engine refuses when it is opened. */
static void test_options(void **state)
{
    (void)state;
    samp_model *model;
    samp_engine *out;
    samp_error error;
    OK(samp_model_open(&model, folder, e));
    const samp_engine_options wrong[] = {{.max_running = SAMP_ENGINE_RUNNING_MAX + 1},
                                         {.max_queue = SAMP_ENGINE_QUEUE_MAX + 1},
                                         {.step_seconds = -1},
                                         {.step_seconds = NAN},
                                         {.n_eos_tokens = SAMP_ENGINE_STOPS_MAX + 1},
                                         {.session.context = UINT32_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(samp_engine_open(&out, model, &wrong[i], &error), SAMP_INVALID);
        assert_null(out);
    }
    samp_model_close(model);
}

/* An engine whose config has one end of sequence and whose caller names another. */
static void test_eos_of_the_caller(void **state)
{
    (void)state;
    static const int32_t eos[] = {9, -1};
    samp_logit_bias bias = {9, 100};
    samp_engine *other =
        engine_on(folder, (samp_engine_options){.eos_tokens = eos, .n_eos_tokens = 2});
    samp_request request = request_of(30, 5);
    request.ignore_eos = false;
    request.sampler.logit_bias = &bias;
    request.sampler.n_logit_bias = 1;
    memset(&got, 0, sizeof got);
    submit(other, request, &got);
    finish_engine(other);
    assert_int_equal(got.n_tokens, 1);
    assert_int_equal(got.end.stop_token, 9);
}

/* Untied, so that a token's embedding can be NaN without every logit being so. */
static void poison_embedding(const samp_config *config)
{
    char path[512];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FILE *file = fopen(path, "r+b");
    uint64_t header;
    float nan = NAN;
    assert_int_equal(fread(&header, sizeof header, 1, file), 1);
    long at = 8 + (long)header + (long)POISON * config->dim * 4; /* the first tensor is embed */
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(&nan, sizeof nan, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    samp_config config = tiny_config_even();
    folder = tiny_folder();
    tiny_write(folder, &config, 4);
    poison_embedding(&config);
    random_tokens(text, TEXT, POISON, 6);
    engine = engine_on(folder, (samp_engine_options){.session = {.context = 4096}});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    finish_engine(engine);
    tiny_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_eos_and_bias),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_constraint),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_eos_of_the_caller),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

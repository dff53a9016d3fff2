/* Who is let in, and when: order, fairness between long and short, limits of the queue, shared
 * prompts, draining. Steps are counted, not timed, and a gate (support/engine_run.h) lets requests
 * arrive together, so that every run is the same. */
#include "support/engine_run.h"

enum { VOCAB = 203, TEXT = 480, MANY = 40 };

static char *folder;
static int32_t text[TEXT];
static record records[MANY + 2];
static atomic_uint n_steps; /* of the engine under test */
static uint32_t first_step[MANY + 2], last_step[MANY + 2];

static atomic_uint largest_piece; /* prompt tokens in a step beside answers */

static void count_step(void *context, const samp_engine_step *step)
{
    (void)context;
    assert_true(step->n_requests > 0 && step->n_decode + step->n_prefill >= step->n_requests);
    if (step->n_decode > 0 && step->n_prefill > atomic_load(&largest_piece))
        atomic_store(&largest_piece, step->n_prefill);
    atomic_fetch_add(&n_steps, 1);
}

static samp_engine_options small_steps(void)
{
    return (samp_engine_options){.session = {.context = 64 * 64, .max_batch = 32},
                                 .max_running = 16,
                                 .no_speculation = true,
                                 .no_prefix_cache = true,
                                 .stepped = count_step};
}

static bool note_step(void *context, const samp_token_event *event)
{
    size_t i = (size_t)((record *)context - records);
    uint32_t step = atomic_load(&n_steps);
    if (event->index == 0) first_step[i] = step;
    assert_true(event->index == 0 || step == last_step[i] + 1); /* a token every step */
    last_step[i] = step;
    return record_token(context, event);
}

static samp_request request_of(uint32_t n_prompt, uint32_t max_tokens)
{
    samp_request request = samp_request_defaults();
    request.prompt = text;
    request.n_prompt = n_prompt;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    return request;
}

/* Into records[i], which notes the steps it gets its tokens in. */
static void submit_noting(samp_engine *engine, uint32_t i, samp_request request)
{
    samp_ticket ticket;
    request.sink = record_sink(&records[i]);
    request.sink.token = note_step;
    OK(samp_engine_submit(engine, &request, &ticket, e));
}

static void begin(void)
{
    memset(records, 0, sizeof records);
    atomic_store(&n_steps, 0);
    atomic_store(&largest_piece, 0);
}

/* One prompt of 480 tokens, then 40 of 20, steps of 32: the short ones are answered while the long
 * one is read, and the long one gets half of what answers leave, whatever comes. */
static void test_long_and_short(void **state)
{
    (void)state;
    static gate g;
    begin();
    samp_engine *engine = engine_on(folder, small_steps());
    gate_close(engine, &g, 200);
    submit_noting(engine, 0, request_of(TEXT, 2));
    for (uint32_t i = 1; i <= MANY; i++) submit_noting(engine, i, request_of(20, 3));
    atomic_store(&g.is_open, true);
    for (uint32_t i = 0; i <= MANY; i++) await(&records[i]);
    await(&g.record);
    uint32_t before = 0;
    for (uint32_t i = 1; i <= MANY; i++) before += first_step[i] < first_step[0];
    assert_true(before >= 12);        /* were not held up */
    assert_true(first_step[1] <= 3);  /* 20 tokens at 15 or 16 a step, after the gate's */
    assert_true(first_step[0] <= 45); /* 480 tokens at 11 or more a step */
    finish_engine(engine);
}

/* A step that should last a microsecond has the least of a prompt beside an answer, one that may
 * last an hour all of it. */
static void test_step_seconds(void **state)
{
    (void)state;
    static gate g;
    for (int patient = 0; patient < 2; patient++) {
        begin();
        samp_engine_options options = small_steps();
        options.session.max_batch = 512;
        options.step_seconds = patient ? 3600 : 1e-6;
        samp_engine *engine = engine_on(folder, options);
        gate_close(engine, &g, 30);
        submit(engine, request_of(400, 2), &records[0]);
        atomic_store(&g.is_open, true);
        await(&records[0]);
        assert_int_equal(atomic_load(&largest_piece), patient ? 400 : 32);
        finish_engine(engine);
    }
}

/* Short ones are read before long ones that came earlier, but for the first. */
static void test_shortest_first(void **state)
{
    (void)state;
    static gate g;
    begin();
    samp_engine *engine = engine_on(folder, small_steps());
    gate_close(engine, &g, 100);
    submit_noting(engine, 0, request_of(300, 1));
    submit_noting(engine, 1, request_of(200, 1));
    submit_noting(engine, 2, request_of(50, 1));
    submit_noting(engine, 3, request_of(20, 1));
    atomic_store(&g.is_open, true);
    for (uint32_t i = 0; i < 4; i++) await(&records[i]);
    assert_true(first_step[3] < first_step[2]);
    assert_true(first_step[2] < first_step[1]);
    finish_engine(engine);
}

static void test_priority(void **state)
{
    (void)state;
    static gate g;
    static const int64_t priorities[] = {5, 0, -7, 0, 5};
    static const uint32_t order[] = {2, 1, 3, 0, 4};
    begin();
    samp_engine_options options = small_steps();
    options.max_running = 1;
    samp_engine *engine = engine_on(folder, options);
    gate_close(engine, &g, 2);
    for (uint32_t i = 0; i < 5; i++) {
        samp_request request = request_of(10, 2);
        request.priority = priorities[i];
        submit_noting(engine, i, request);
    }
    atomic_store(&g.is_open, true);
    for (uint32_t i = 0; i < 5; i++) await(&records[i]);
    for (uint32_t k = 1; k < 5; k++) assert_true(last_step[order[k - 1]] < first_step[order[k]]);
    finish_engine(engine);
}

static void expect_refusal(samp_status status, samp_status wanted, const samp_error *error,
                           const char *part)
{
    assert_int_equal(status, wanted);
    if (!strstr(error->message, part)) fail_msg("'%s' has no '%s'", error->message, part);
}

static void test_queue_limits(void **state)
{
    (void)state;
    static gate g;
    samp_error error;
    samp_ticket ticket;
    begin();
    samp_engine_options options = small_steps();
    options.max_running = 1;
    options.max_queue = 3;
    options.max_queue_tokens = 100;
    samp_engine *engine = engine_on(folder, options);
    gate_close(engine, &g, 2);
    samp_request request = request_of(60, 1);
    submit(engine, request, &records[0]);
    request.sink = record_sink(&records[9]);
    expect_refusal(samp_engine_submit(engine, &request, &ticket, &error), SAMP_LIMIT, &error,
                   "60 prompt tokens wait and 60 came, at most 100 may wait");
    assert_string_equal(ticket.reason, "max_num_queued_tokens");
    assert_true(ticket.id == 0 && ticket.retry_seconds > 0);
    OK(samp_engine_admits(engine, 2, 40, &ticket, e));
    expect_refusal(samp_engine_admits(engine, 3, 3, &ticket, &error), SAMP_LIMIT, &error,
                   "1 requests wait and 3 came, at most 3 may wait");
    expect_refusal(samp_engine_admits(engine, 4, 0, &ticket, &error), SAMP_INVALID, &error,
                   "4 choices at once are more than the queue ever takes (3)");
    expect_refusal(samp_engine_admits(engine, 1, 101, &ticket, &error), SAMP_INVALID, &error,
                   "101 prompt tokens at once");
    submit(engine, request_of(10, 1), &records[1]);
    submit(engine, request_of(10, 1), &records[2]);
    expect_refusal(samp_engine_admits(engine, 1, 0, &ticket, &error), SAMP_LIMIT, &error,
                   "3 requests");
    assert_string_equal(ticket.reason, "max_num_queued_reqs");
    assert_int_equal(stats_of(engine).n_waiting, 3);
    assert_int_equal(stats_of(engine).waiting_tokens, 80);
    atomic_store(&g.is_open, true);
    samp_engine_stats stats = finish_engine(engine);
    assert_int_equal(stats.refused_requests, 4);
    assert_int_equal(stats.refused_tokens, 1);
    assert_int_equal(records[9].n_ends, 0);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(records[i].end.finish, SAMP_FINISH_LENGTH);
}

/* Eight of the same prompt at once: three blocks of it are computed once. */
static void test_same_prompt_at_once(void **state)
{
    (void)state;
    static gate g;
    begin();
    samp_engine_options options = small_steps();
    options.no_prefix_cache = false;
    samp_engine *engine = engine_on(folder, options);
    gate_close(engine, &g, 2);
    for (uint32_t i = 0; i < 8; i++) submit(engine, request_of(200, 2), &records[i]);
    atomic_store(&g.is_open, true);
    samp_engine_stats stats = finish_engine(engine);
    assert_int_equal(stats.prefix_hits, 7 * 192);
    assert_int_equal(stats.prefix_queries, 8 * 200 + 1);
    assert_int_equal(stats.kv_cached, 3);
    uint32_t n_cached = 0;
    for (uint32_t i = 0; i < 8; i++) n_cached += records[i].end.n_cached;
    assert_int_equal(n_cached, 7 * 192);
}

/* Only the same salt shares. */
static void test_salt(void **state)
{
    (void)state;
    static const uint64_t salts[] = {0, 9, 9, 0};
    static const uint32_t cached[] = {0, 0, 128, 128};
    begin();
    samp_engine_options options = small_steps();
    options.no_prefix_cache = false;
    samp_engine *engine = engine_on(folder, options);
    for (uint32_t i = 0; i < 4; i++) {
        samp_request request = request_of(192, 1);
        request.cache_salt = salts[i];
        submit(engine, request, &records[i]);
        await(&records[i]);
        assert_int_equal(records[i].end.n_cached, cached[i]);
    }
    finish_engine(engine);
}

/* A conversation: the answer's blocks are there for the next turn. */
static void test_next_turn(void **state)
{
    (void)state;
    static int32_t turn[150];
    begin();
    samp_engine_options options = small_steps();
    options.no_prefix_cache = false;
    samp_engine *engine = engine_on(folder, options);
    submit(engine, request_of(40, 100), &records[0]);
    await(&records[0]);
    memcpy(turn, text, 40 * sizeof *turn);
    memcpy(turn + 40, records[0].tokens, 100 * sizeof *turn);
    samp_request request = request_of(150, 1);
    request.prompt = turn;
    submit(engine, request, &records[1]);
    await(&records[1]);
    assert_int_equal(records[1].end.n_cached, 128);
    finish_engine(engine);
}

static void test_drain(void **state)
{
    (void)state;
    static gate g;
    samp_error error;
    samp_ticket ticket;
    begin();
    samp_engine *engine = engine_on(folder, small_steps());
    gate_close(engine, &g, 2);
    submit(engine, request_of(10, 5), &records[0]);
    assert_false(samp_engine_drain(engine, .01));
    samp_request request = request_of(10, 5);
    request.sink = record_sink(&records[1]);
    expect_refusal(samp_engine_submit(engine, &request, &ticket, &error), SAMP_CANCELLED, &error,
                   "draining");
    atomic_store(&g.is_open, true);
    assert_true(samp_engine_drain(engine, 600));
    assert_int_equal(records[0].end.finish, SAMP_FINISH_LENGTH);
    assert_int_equal(records[1].n_ends, 0);
    finish_engine(engine);
}

static int setup(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    folder = tiny_folder();
    tiny_write(folder, &config, 3);
    random_tokens(text, TEXT, VOCAB, 8);
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
        cmocka_unit_test(test_long_and_short), cmocka_unit_test(test_step_seconds),
        cmocka_unit_test(test_shortest_first), cmocka_unit_test(test_priority),
        cmocka_unit_test(test_queue_limits),   cmocka_unit_test(test_same_prompt_at_once),
        cmocka_unit_test(test_salt),           cmocka_unit_test(test_next_turn),
        cmocka_unit_test(test_drain),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

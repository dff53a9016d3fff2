/* Requests cut short: in the queue, in the prompt, in the answer, by their own sink, twice, after
 * their end, and by closing the engine. Each sink hears of its end once and of no token after it,
 * and no KV block stays held. */
#include "support/engine_run.h"

#include <pthread.h>

enum { VOCAB = 203, PROMPT = 180, WAVE = 50, WAVES = 20 };

static char *folder;
static int32_t prompt[PROMPT];
static record records[WAVE];

static samp_request long_request(void)
{
    samp_request request = samp_request_defaults();
    request.prompt = prompt;
    request.n_prompt = PROMPT;
    request.max_tokens = 300;
    request.ignore_eos = true;
    return request;
}

typedef struct tally {
    uint32_t in_queue, in_prompt, in_answer;
    uint64_t n_tokens;
} tally;

static void check_cut(const record *r, uint32_t n_given_before, tally *cuts)
{
    assert_int_equal(r->n_ends, 1);
    assert_int_equal(r->n_after_end, 0);
    assert_int_equal(r->end.finish, SAMP_FINISH_ABORT);
    assert_int_equal(r->end.n_generated, r->n_tokens);
    assert_true(r->n_tokens <= n_given_before + 1); /* the step that was under way */
    *(r->end.scheduled == 0 ? &cuts->in_queue
      : r->n_tokens == 0    ? &cuts->in_prompt
                            : &cuts->in_answer) += 1;
    cuts->n_tokens += r->n_tokens;
}

static void submit_wave(samp_engine *engine, samp_prng *prng, uint64_t *ids, uint32_t *order)
{
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < WAVE; i++) {
        samp_request request = long_request();
        request.n_prompt = PROMPT - (uint32_t)samp_prng_below(prng, PROMPT / 2);
        request.prompt_logprobs = samp_prng_below(prng, 4) == 0 ? 2 : -1;
        ids[i] = submit(engine, request, &records[i]);
        uint32_t at = (uint32_t)samp_prng_below(prng, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
}

/* Fifty at a time, cut in random order, from when the first waits, is read, or is answered; every
 * fourth twice. */
static void run_wave(samp_engine *engine, samp_prng *prng, uint32_t phase, tally *cuts)
{
    uint64_t ids[WAVE];
    uint32_t order[WAVE], given[WAVE];
    submit_wave(engine, prng, ids, order);
    while (phase > 0 && stats_of(engine).n_running == 0) {}
    while (phase > 1 && !atomic_load(&records[0].n_given)) pause_briefly();
    for (uint32_t k = 0; k < WAVE; k++) {
        uint32_t i = order[k];
        if (samp_prng_below(prng, 8) == 0) pause_briefly();
        samp_engine_cancel(engine, ids[i]);
        given[i] = atomic_load(&records[i].n_given);
        if (i % 4 == 0) samp_engine_cancel(engine, ids[i]);
    }
    for (uint32_t i = 0; i < WAVE; i++) {
        await(&records[i]);
        samp_engine_cancel(engine, ids[i]); /* has ended: ignored */
        check_cut(&records[i], given[i], cuts);
    }
}

static void test_a_thousand(void **state)
{
    (void)state;
    samp_prng prng = {3};
    tally cuts = {0};
    samp_engine *engine =
        engine_on(folder, (samp_engine_options){.session = {.context = 16 * 64, .max_batch = 32},
                                                .max_running = 8,
                                                .no_speculation = true});
    uint32_t n = 0;
    for (; n < WAVES || cuts.in_queue < 50 || cuts.in_prompt < 50 || cuts.in_answer < 50; n++)
        run_wave(engine, &prng, n % 3, &cuts);
    samp_engine_stats stats = finish_engine(engine);
    assert_int_equal(stats.ended[SAMP_FINISH_ABORT], WAVE * n);
    assert_int_equal(stats.generated_tokens, cuts.n_tokens);
}

/* The store holds one such request; the second can only start once the first was cut. */
static void test_blocks_are_free(void **state)
{
    (void)state;
    samp_engine *engine = engine_on(
        folder, (samp_engine_options){.session = {.context = 512}, .no_prefix_cache = true});
    memset(records, 0, sizeof records);
    uint64_t first = submit(engine, long_request(), &records[0]);
    while (atomic_load(&records[0].n_given) < 3) pause_briefly();
    assert_true(stats_of(engine).kv_used >= 3);
    samp_request second = long_request();
    second.n_prompt = 1;
    second.max_tokens = 3;
    samp_engine_cancel(engine, first);
    submit(engine, second, &records[1]);
    await(&records[1]);
    assert_int_equal(records[1].end.finish, SAMP_FINISH_LENGTH);
    finish_engine(engine);
}

typedef struct self_cutting {
    samp_engine *engine;
    record record;
    samp_engine_stats stats; /* when the end was told */
    atomic_ullong id;        /* 0 = not known yet */
} self_cutting;

static bool cut_yourself(void *context, const samp_token_event *event)
{
    self_cutting *self = context;
    record_token(&self->record, event);
    if (self->record.n_tokens == 5) {
        while (!atomic_load(&self->id)) pause_briefly();
        samp_engine_cancel(self->engine, atomic_load(&self->id));
    }
    return true;
}

static void end_of_self_cutting(void *context, const samp_end *end)
{
    self_cutting *self = context;
    self->stats = stats_of(self->engine);
    record_end(&self->record, end);
}

/* Also while guesses are being taken: none after the fifth is given. */
static void test_from_the_sink(void **state)
{
    (void)state;
    static self_cutting self;
    samp_ticket ticket;
    samp_engine *engine = self.engine = engine_on(folder, (samp_engine_options){0});
    samp_request request = long_request();
    request.sink = (samp_sink){cut_yourself, NULL, end_of_self_cutting, &self};
    OK(samp_engine_submit(engine, &request, &ticket, e));
    atomic_store(&self.id, ticket.id);
    await(&self.record);
    assert_int_equal(self.record.n_tokens, 5);
    assert_int_equal(self.record.end.finish, SAMP_FINISH_ABORT);
    assert_int_equal(self.stats.ended[SAMP_FINISH_ABORT], 1);
    assert_int_equal(self.stats.generated_tokens, 5);
    assert_int_equal(self.stats.kv_used, 0);
    finish_engine(engine);
}

enum { THREADS = 4, EACH = 40 };

typedef struct client {
    samp_engine *engine;
    pthread_t thread;
    record records[4];
    uint64_t seed, n_tokens;
} client;

/* Requests one after another, in fours; some are cut, some looked at, some waited for. */
static void *run_client(void *context)
{
    client *c = context;
    samp_prng prng = {c->seed};
    for (int round = 0; round < EACH / 4; round++) {
        uint64_t ids[4];
        memset(c->records, 0, sizeof c->records);
        for (uint32_t i = 0; i < 4; i++) {
            samp_request request = long_request();
            request.n_prompt = 1 + (uint32_t)samp_prng_below(&prng, PROMPT);
            request.max_tokens = (uint32_t)samp_prng_below(&prng, 30);
            request.priority = (int64_t)samp_prng_below(&prng, 3);
            ids[i] = submit(c->engine, request, &c->records[i]);
        }
        if (samp_prng_below(&prng, 2)) pause_briefly();
        for (uint32_t i = 0; i < 4; i++)
            if (samp_prng_below(&prng, 3) == 0) samp_engine_cancel(c->engine, ids[i]);
        assert_true(stats_of(c->engine).kv_used <= 16);
        for (uint32_t i = 0; i < 4; i++) {
            await(&c->records[i]);
            assert_int_equal(c->records[i].n_ends, 1);
            c->n_tokens += c->records[i].n_tokens;
        }
    }
    return NULL;
}

static void test_from_many_threads(void **state)
{
    (void)state;
    static client clients[THREADS];
    samp_engine *engine =
        engine_on(folder, (samp_engine_options){.session = {.context = 16 * 64, .max_batch = 64}});
    uint64_t n_tokens = 0, n_ended = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        clients[i] = (client){.engine = engine, .seed = i + 1};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(clients[i].thread, NULL);
        n_tokens += clients[i].n_tokens;
    }
    samp_engine_stats stats = finish_engine(engine);
    for (int i = 0; i < SAMP_FINISH_COUNT; i++) n_ended += stats.ended[i];
    assert_int_equal(n_ended, THREADS * EACH);
    assert_int_equal(stats.ended[SAMP_FINISH_ERROR], 0);
    assert_int_equal(stats.generated_tokens, n_tokens);
}

static void test_close(void **state)
{
    (void)state;
    memset(records, 0, sizeof records);
    samp_engine *engine =
        engine_on(folder, (samp_engine_options){.session = {.context = 1024}, .max_running = 4});
    for (uint32_t i = 0; i < 10; i++) submit(engine, long_request(), &records[i]);
    while (atomic_load(&records[0].n_given) < 2) pause_briefly();
    samp_engine_close(engine);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(records[i].n_ends, 1);
        assert_int_equal(records[i].end.finish, SAMP_FINISH_ABORT);
    }
}

static int setup(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    folder = tiny_folder();
    tiny_write(folder, &config, 2);
    random_tokens(prompt, PROMPT, VOCAB, 5);
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
        cmocka_unit_test(test_a_thousand),    cmocka_unit_test(test_blocks_are_free),
        cmocka_unit_test(test_from_the_sink), cmocka_unit_test(test_from_many_threads),
        cmocka_unit_test(test_close),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* Sessions: the same bits however work is cut and batched, all-or-nothing steps, and every refusal.
 * The numbers themselves are tests/run/test_forward.c's and test_backends.c's business. */
#include "run/kv_pool.h"
#include "support/tiny_session.h"

static char *folder; /* int8 model of odd shapes */
static size_t vocab;

static void expect_same(const float *a, const float *b, size_t rows)
{
    for (size_t i = 0; i < rows * vocab; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("row %zu, logit %zu: %.9g and %.9g", i / vocab, i % vocab, (double)a[i],
                     (double)b[i]);
}

/* ---- the same bits ---- */

enum { TEXT = 150 };

/* One text as a whole, in chunks of many sizes, token by token. */
static void test_chunks(void **state)
{
    (void)state;
    static const uint32_t batches[] = {1, 5, 64, 149};
    int32_t tokens[TEXT];
    random_tokens(tokens, TEXT, (uint32_t)vocab, 1);
    samp_session *session = session_on(folder, (samp_session_options){0});
    float *whole = logits_of(session, tokens, TEXT);
    samp_session_close(session);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        session = session_on(folder, (samp_session_options){.max_batch = batches[i]});
        float *cut = logits_of(session, tokens, TEXT);
        expect_same(cut, whole, TEXT);
        samp_free(cut);
        samp_session_close(session);
    }
    samp_free(whole);
}

static void test_threads(void **state)
{
    (void)state;
    int32_t tokens[TEXT];
    random_tokens(tokens, TEXT, (uint32_t)vocab, 2);
    float *logits[3];
    for (unsigned n = 1; n <= 3; n++) {
        samp_session *session =
            session_on(folder, (samp_session_options){.n_threads = n, .kv_type = SAMP_KV_INT8});
        assert_int_equal(samp_session_threads(session), n);
        logits[n - 1] = logits_of(session, tokens, TEXT);
        samp_session_close(session);
    }
    expect_same(logits[1], logits[0], TEXT);
    expect_same(logits[2], logits[0], TEXT);
    for (int i = 0; i < 3; i++) samp_free(logits[i]);
}

enum { MANY = 16, STEPS = 6, LONGEST = 80 };

/* Sixteen sequences of unequal length, a step at a time together, against each alone: a prompt,
 * then tokens one by one, as a server does. Only last tokens' logits are asked for. */
static void test_batch_of_16(void **state)
{
    (void)state;
    static int32_t tokens[MANY][LONGEST + STEPS];
    samp_session *session =
        session_on(folder, (samp_session_options){.max_batch = 2048, .context = 32 * 64});
    float *together = samp_alloc(STEPS * MANY * vocab, sizeof *together),
          *alone = samp_alloc(vocab, sizeof *alone);
    samp_feed feeds[MANY];
    for (uint32_t s = 0; s < MANY; s++) {
        random_tokens(tokens[s], LONGEST + STEPS, (uint32_t)vocab, s);
        feeds[s] = (samp_feed){
            .sequence = sequence_on(session), .tokens = tokens[s], .n_tokens = 1 + s * 5};
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        for (uint32_t s = 0; s < MANY; s++) feeds[s].logits = together + (step * MANY + s) * vocab;
        OK(samp_session_step(session, feeds, MANY, e));
        for (uint32_t s = 0; s < MANY; s++) {
            feeds[s].tokens += feeds[s].n_tokens;
            feeds[s].n_tokens = 1;
        }
    }
    for (uint32_t s = 0; s < MANY; s++) {
        assert_int_equal(samp_sequence_length(feeds[s].sequence), 1 + s * 5 + STEPS - 1);
        samp_sequence_truncate(session, feeds[s].sequence, 0);
        for (uint32_t step = 0; step < STEPS; step++) {
            uint32_t start = samp_sequence_length(feeds[s].sequence);
            samp_feed feed = {feeds[s].sequence, tokens[s] + start, step ? 1 : 1 + s * 5, false,
                              alone};
            OK(samp_session_step(session, &feed, 1, e));
            expect_same(alone, together + (step * MANY + s) * vocab, 1);
        }
        samp_sequence_release(session, feeds[s].sequence);
    }
    samp_free(alone);
    samp_free(together);
    samp_session_close(session);
}

/* Forgetting positions and feeding them again changes nothing, at block borders and inside. */
static void test_truncate(void **state)
{
    (void)state;
    static const uint32_t keeps[] = {0, 1, 63, 64, 65, 128, 149};
    int32_t tokens[TEXT], other[TEXT];
    random_tokens(tokens, TEXT, (uint32_t)vocab, 3);
    random_tokens(other, TEXT, (uint32_t)vocab, 4);
    samp_session *session = session_on(folder, (samp_session_options){.context = 256});
    float *whole = logits_of(session, tokens, TEXT),
          *again = samp_alloc(TEXT * vocab, sizeof *again);
    for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
        uint32_t keep = keeps[i];
        samp_sequence *sequence = sequence_on(session);
        if (keep) OK(samp_session_prefill(session, sequence, tokens, keep, false, NULL, e));
        OK(samp_session_prefill(session, sequence, other, TEXT - keep, false, NULL, e));
        samp_sequence_truncate(session, sequence, keep);
        assert_int_equal(samp_sequence_length(sequence), keep);
        assert_int_equal(samp_session_kv_free(session), 4 - (keep + 63) / 64);
        OK(samp_session_prefill(session, sequence, tokens + keep, TEXT - keep, true, again, e));
        expect_same(again, whole + keep * vocab, TEXT - keep);
        samp_sequence_release(session, sequence);
        assert_int_equal(samp_session_kv_free(session), 4);
    }
    samp_free(again);
    samp_free(whole);
    samp_session_close(session);
}

/* ---- refusals ---- */

static void expect_refused(samp_status status, samp_status wanted, const samp_error *error,
                           const char *message)
{
    assert_int_equal(status, wanted);
    if (!strstr(error->message, message)) fail_msg("'%s' is not in: %s", message, error->message);
}

/* Two sequences in a store of three blocks: the step that does not fit changes nothing, and what
 * fits goes on. */
static void test_kv_exhaustion(void **state)
{
    (void)state;
    int32_t tokens[TEXT];
    samp_error error;
    random_tokens(tokens, TEXT, (uint32_t)vocab, 5);
    samp_session *session =
        session_on(folder, (samp_session_options){.context = 129}); /* rounded up to 192 */
    assert_int_equal(samp_session_context(session), 192);
    assert_int_equal(samp_session_max_positions(session), 192);
    float *whole = logits_of(session, tokens, TEXT), *row = samp_alloc(vocab, sizeof *row);
    samp_sequence *a = sequence_on(session), *b = sequence_on(session);
    OK(samp_session_prefill(session, a, tokens, 100, false, NULL, e));
    OK(samp_session_prefill(session, b, tokens, 64, false, NULL, e));
    assert_int_equal(samp_session_kv_free(session), 0);
    assert_int_equal(samp_sequence_kv_needed(a, 28), 0);
    assert_int_equal(samp_sequence_kv_needed(a, 29), 1);

    samp_feed both[] = {{a, tokens + 100, 1, false, row}, {b, tokens + 64, 1, false, NULL}};
    expect_refused(samp_session_step(session, both, 2, &error), SAMP_LIMIT, &error,
                   "1 blocks of 64 positions are needed, 0 of 3");
    assert_int_equal(samp_sequence_length(a), 100);
    assert_int_equal(samp_sequence_length(b), 64);
    expect_refused(samp_session_prefill(session, b, tokens + 64, 1, false, row, &error), SAMP_LIMIT,
                   &error, "KV store");

    OK(samp_session_step(session, both, 1, e)); /* a alone fits */
    expect_same(row, whole + 100 * vocab, 1);
    samp_sequence_truncate(session, a, 0); /* makes room for b */
    OK(samp_session_prefill(session, b, tokens + 64, TEXT - 64, false, row, e));
    expect_same(row, whole + (TEXT - 1) * vocab, 1);
    samp_sequence_release(session, a);
    samp_sequence_release(session, b);
    samp_free(row);
    samp_free(whole);
    samp_session_close(session);
}

static void test_refused_steps(void **state)
{
    (void)state;
    samp_error error;
    int32_t tokens[64] = {0}, negative = -1, large = (int32_t)vocab;
    samp_session *session =
        session_on(folder, (samp_session_options){.context = 64, .max_batch = 40});
    samp_sequence *a = sequence_on(session), *b = sequence_on(session);
    samp_feed feeds[2] = {{.sequence = a, .tokens = tokens, .n_tokens = 30},
                          {.sequence = b, .tokens = tokens, .n_tokens = 11}};
    expect_refused(samp_session_step(session, feeds, 0, &error), SAMP_INVALID, &error,
                   "no sequences");
    expect_refused(samp_session_step(session, feeds, 2, &error), SAMP_LIMIT, &error,
                   "given 41 tokens, expected at most 40");
    feeds[1] = feeds[0];
    feeds[0].n_tokens = feeds[1].n_tokens = 1;
    expect_refused(samp_session_step(session, feeds, 2, &error), SAMP_INVALID, &error,
                   "same sequence twice");
    feeds[0].n_tokens = 0;
    expect_refused(samp_session_step(session, feeds, 1, &error), SAMP_INVALID, &error, "no tokens");
    feeds[0].n_tokens = 65;
    expect_refused(samp_session_step(session, feeds, 1, &error), SAMP_LIMIT, &error,
                   "65 more tokens after 0 do not fit the 64");
    feeds[0] = (samp_feed){.sequence = a, .tokens = &negative, .n_tokens = 1};
    expect_refused(samp_session_step(session, feeds, 1, &error), SAMP_INVALID, &error,
                   "position 0: token -1, expected 0 to 202");
    feeds[0].tokens = &large;
    expect_refused(samp_session_step(session, feeds, 1, &error), SAMP_INVALID, &error, "token 203");
    expect_refused(samp_session_prefill(session, a, tokens, 0, false, NULL, &error), SAMP_INVALID,
                   &error, "no tokens");
    tokens[50] = -5; /* in the second chunk of a prefill: the first is taken back */
    expect_refused(samp_session_prefill(session, a, tokens, 60, false, NULL, &error), SAMP_INVALID,
                   &error, "position 50: token -5");
    assert_int_equal(samp_sequence_length(a), 0);
    assert_int_equal(samp_session_kv_free(session), 1);
    samp_sequence_release(session, a);
    samp_sequence_release(session, b);
    samp_session_close(session);
}

static void test_refused_options(void **state)
{
    (void)state;
    samp_error error;
    samp_model *model;
    samp_session *session;
    OK(samp_model_open(&model, folder, e));
    samp_session_options options = {.max_batch = 70000};
    expect_refused(samp_session_open(&session, model, &options, &error), SAMP_INVALID, &error,
                   "batch of 70000");
    options = (samp_session_options){.context = UINT32_MAX};
    expect_refused(samp_session_open(&session, model, &options, &error), SAMP_INVALID, &error,
                   "context of 4294967295");
    options = (samp_session_options){.backend = "absent"};
    expect_refused(samp_session_open(&session, model, &options, &error), SAMP_NOT_FOUND, &error,
                   "backend 'absent'");
    assert_null(session);
    samp_model_close(model);
}

/* A weight that overflows (the head is the embedding): the step says at which position, and the sequence
 * stays as it was. */
static void test_not_finite(void **state)
{
    (void)state;
    samp_error error;
    samp_config config = tiny_config();
    samp_prng prng = {1};
    tiny_file file = {0};
    char *broken = tiny_folder();
    for (int role = 0; role < SAMP_ROLE_HEAD; role++) {
        if (!samp_role_present((samp_role)role, &config)) continue;
        for (uint32_t layer = 0; layer < (samp_role_is_per_layer((samp_role)role) ? 2u : 1u);
             layer++)
            tiny_weight(&file, &config, (samp_role)role, layer, &prng);
    }
    ((float *)file.tensors[0].bytes)[7 * 96] = 3e38f; /* row 7 of the embedding */
    ((float *)file.tensors[0].bytes)[7 * 96 + 1] = -3e38f;
    tiny_commit(&file, broken);
    tiny_write_json(broken, samp_config_json(&config, "float32"));

    int32_t tokens[] = {1, 2, 3, 7, 4};
    float *logits = samp_alloc(5 * vocab, sizeof *logits);
    samp_session *session = session_on(broken, (samp_session_options){0});
    samp_sequence *sequence = sequence_on(session);
    OK(samp_session_prefill(session, sequence, tokens, 2, false, NULL, e));
    expect_refused(samp_session_prefill(session, sequence, tokens + 2, 3, true, logits, &error),
                   SAMP_NUMERIC, &error, "not finite");
    assert_int_equal(samp_sequence_length(sequence), 2);
    samp_sequence *fresh = sequence_on(session); /* the block that its step took is given back */
    uint32_t n_free = samp_session_kv_free(session);
    samp_feed feed = {.sequence = fresh, .tokens = tokens, .n_tokens = 3, .logits = logits};
    expect_refused(samp_session_step(session, &feed, 1, &error), SAMP_NUMERIC, &error,
                   "position 2 (token 3)");
    assert_int_equal(samp_sequence_length(fresh), 0);
    assert_int_equal(samp_session_kv_free(session), n_free);
    samp_sequence_release(session, fresh);
    samp_sequence_release(session, sequence);
    samp_session_close(session);
    samp_free(logits);
    tiny_remove(broken);
}

/* ---- loading ---- */

typedef struct load_progress {
    uint64_t calls, done, total, stop_at;
} load_progress;

static bool on_load(void *context, const char *what, uint64_t done, uint64_t total)
{
    load_progress *p = context;
    assert_string_equal(what, "load");
    assert_true(done > p->done && done <= total);
    p->calls++;
    p->done = done;
    p->total = total;
    return p->calls != p->stop_at;
}

static void test_progress(void **state)
{
    (void)state;
    load_progress p = {0};
    samp_session *session = session_on(folder, (samp_session_options){.progress = {on_load, &p}});
    assert_int_equal(p.calls, 2 + 9 * 2); /* embedding, two layers of nine, final norm */
    assert_int_equal(p.done, p.total);
    samp_session_close(session);

    samp_error error;
    samp_model *model;
    OK(samp_model_open(&model, folder, e));
    p = (load_progress){.stop_at = 5};
    samp_session_options options = {.progress = {on_load, &p}};
    expect_refused(samp_session_open(&session, model, &options, &error), SAMP_CANCELLED, &error,
                   "loading was cancelled");
    assert_int_equal(p.calls, 5);
    samp_model_close(model);
}

/* What is reported is what the formulas say, for a model whose head is the embedding and one where
 * it is not. */
static void test_accounting(void **state)
{
    (void)state;
    samp_config config = tiny_config_even();
    char *plain = tiny_folder();
    tiny_write(plain, &config, 9);
    samp_session *session =
        session_on(plain, (samp_session_options){.backend = "reference", .context = 100});
    uint64_t layer = 128 * 128 * 2 + 64 * 128 * 2 + 192 * 128 * 3; /* q, o; k, v; gate, up, down */
    assert_int_equal(samp_session_weight_bytes(session), 4 * (2 * layer + 203 * 128));
    assert_int_equal(samp_session_kv_bytes(session), 2 * 2 * 128 * 2 * 32 * 2);
    assert_int_equal(samp_session_max_batch(session), 512);
    assert_int_equal(samp_session_config(session)->hidden_dim, 192);
    assert_non_null(strstr(samp_session_describe(session), "reference"));
    samp_session_close(session);

    config = tiny_config(); /* the tied embedding is the head, and counts */
    tiny_write(plain, &config, 9);
    session = session_on(plain, (samp_session_options){.backend = "reference"});
    layer = 96 * 96 * 2 + 32 * 96 * 2 + 172 * 96 * 3;
    assert_int_equal(samp_session_weight_bytes(session), 4 * (2 * layer + 203 * 96));
    assert_int_equal(samp_session_max_positions(session), 512); /* the model's, less than 4096 */
    samp_session_close(session);
    tiny_remove(plain);
}

typedef struct tapped {
    uint32_t calls, rows;
    float x[4 * 96];
} tapped;

static void on_input(void *context, const samp_backend *backend, samp_device *device,
                     samp_role role, uint32_t layer, const samp_input *input, uint32_t n_rows)
{
    static const samp_role order[] = {SAMP_ROLE_Q, SAMP_ROLE_O, SAMP_ROLE_GATE, SAMP_ROLE_DOWN};
    tapped *t = context;
    assert_int_equal(role, t->calls == 8 ? SAMP_ROLE_HEAD : order[t->calls % 4]);
    assert_int_equal(layer, t->calls == 8 ? 0 : t->calls / 4);
    if (t->calls++ == 0) {
        t->rows = n_rows;
        backend->read(device, input->x, 0, n_rows * 96, t->x);
    }
}

/* The tap sees every group of layers once a step, in order, and what it reads is the input: here
 * the embedding. */
static void test_tap(void **state)
{
    (void)state;
    static const int32_t tokens[] = {9, 8, 9};
    tapped t = {0};
    samp_session *session = session_on(folder, (samp_session_options){.tap = {on_input, &t}});
    samp_sequence *sequence = sequence_on(session);
    float *row = samp_alloc(vocab, sizeof *row);
    OK(samp_session_prefill(session, sequence, tokens, 3, false, row, e));
    assert_int_equal(t.calls, 9);
    assert_int_equal(t.rows, 3);
    assert_memory_equal(t.x, t.x + 2 * 96, 96 * sizeof(float));
    assert_memory_not_equal(t.x, t.x + 96, 96 * sizeof(float));

    samp_model *model;
    void *scales[SAMP_PARTS_MAX] = {0};
    float *embedding = samp_alloc(203 * 96, sizeof *embedding);
    OK(samp_model_open(&model, folder, e));
    OK(samp_model_read_rows(model, samp_model_at(model, 0), 0, 203, scales, embedding, e));
    assert_memory_equal(t.x, embedding + 9 * 96, 96 * sizeof(float));
    samp_model_free_parts(scales);
    samp_model_close(model);
    samp_free(embedding);
    samp_free(row);
    samp_sequence_release(session, sequence);
    samp_session_close(session);
}

/* Every allocation of opening a session and running a step fails in turn: a clean SAMP_NOMEM,
 * nothing leaked (the address sanitizer looks), and the next attempt works. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const int32_t tokens[] = {5, 6, 7};
    samp_model *model;
    OK(samp_model_open(&model, folder, e));
    float *logits = samp_alloc(3 * vocab, sizeof *logits);
    samp_status status = SAMP_NOMEM;
    uint64_t n = 0;
    while (status != SAMP_OK && n < 5000) {
        samp_error error = {0};
        samp_session *session = NULL;
        samp_sequence *sequence = NULL;
        samp_session_options options = {.n_threads = 1, .context = 64, .max_batch = 8};
        samp_alloc_fail_at(++n);
        status = samp_session_open(&session, model, &options, &error);
        if (status == SAMP_OK) status = samp_sequence_create(session, &sequence, &error);
        if (status == SAMP_OK)
            status = samp_session_prefill(session, sequence, tokens, 3, true, logits, &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK && status != SAMP_NOMEM)
            fail_msg("allocation %d: %s", (int)n, error.message);
        if (status == SAMP_NOMEM && sequence) {
            assert_int_equal(samp_sequence_length(sequence), 0);
            OK(samp_session_prefill(session, sequence, tokens, 3, true, logits, e));
        }
        if (session) samp_sequence_release(session, sequence);
        samp_session_close(session);
    }
    assert_int_equal(status, SAMP_OK);
    assert_true(n > 50);
    samp_free(logits);
    samp_model_close(model);
}

/* A decode step allocates nothing. */
static void test_steps_do_not_allocate(void **state)
{
    (void)state;
    int32_t token = 3;
    samp_session *session = session_on(folder, (samp_session_options){0});
    samp_sequence *sequence = sequence_on(session);
    float *row = samp_alloc(vocab, sizeof *row);
    samp_feed feed = {.sequence = sequence, .tokens = &token, .n_tokens = 1, .logits = row};
    OK(samp_session_step(session, &feed, 1, e));
    uint64_t before = samp_alloc_count();
    for (int i = 0; i < 200; i++)
        OK(samp_session_step(session, &feed, 1, e)); /* over four KV blocks */
    assert_int_equal(samp_alloc_count(), before);
    samp_free(row);
    samp_sequence_release(session, sequence);
    samp_session_close(session);
}

/* ---- the pool ---- */

static void test_kv_pool(void **state)
{
    (void)state;
    samp_kv_pool pool;
    OK(samp_kv_pool_init(&pool, 3, e));
    uint32_t a = samp_kv_pool_take(&pool), b = samp_kv_pool_take(&pool);
    assert_true(a != b && pool.n_free == 1);
    samp_kv_pool_share(&pool, a);
    samp_kv_pool_drop(&pool, a);
    assert_int_equal(pool.n_free, 1); /* still held once */
    samp_kv_pool_drop(&pool, a);
    assert_int_equal(pool.n_free, 2);
    assert_int_equal(samp_kv_pool_take(&pool), a); /* the last one given back */
    uint32_t c = samp_kv_pool_take(&pool);
    assert_true(c != a && c != b && pool.n_free == 0);
    samp_kv_pool_release(&pool);
}

static int make_model(void **state)
{
    (void)state;
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD, 1);
    samp_config config = tiny_config();
    char *plain = tiny_folder();
    folder = tiny_folder();
    tiny_write(plain, &config, 1);
    tiny_quantize(plain, folder, SAMP_FORMAT_INT8, 16);
    tiny_remove(plain);
    vocab = config.vocab_size;
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    tiny_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_batch_of_16),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_kv_exhaustion),
        cmocka_unit_test(test_refused_steps),
        cmocka_unit_test(test_refused_options),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_accounting),
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_steps_do_not_allocate),
        cmocka_unit_test(test_kv_pool),
    };
    return cmocka_run_group_tests_name("run/session", tests, make_model, remove_model);
}

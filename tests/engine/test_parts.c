/* The engine's parts alone: the prefix cache's keys and its order of eviction, guesses from the
 * text and when they stop, the fitted cost of a step. */
#include "engine/draft.h"
#include "engine/pace.h"
#include "engine/prefix_cache.h"
#include "support/tiny_session.h"

enum { BLOCKS = 8, BLOCK = SAMP_KV_BLOCK };

static char *folder;

/* ---- prefix cache ---- */

typedef struct store {
    samp_session *session;
    samp_sequence *sequence; /* holds all blocks */
    samp__prefix_cache cache;
    int32_t tokens[BLOCKS][BLOCK];
} store;

static void store_open(store *s)
{
    *s = (store){.session = session_on(folder, (samp_session_options){.context = BLOCKS * BLOCK})};
    s->sequence = sequence_on(s->session);
    random_tokens(&s->tokens[0][0], BLOCKS * BLOCK, 203, 1);
    OK(samp_session_prefill(s->session, s->sequence, &s->tokens[0][0], BLOCKS * BLOCK, false, NULL,
                            e));
    OK(samp__prefix_init(&s->cache, s->session, e));
}

static void store_close(store *s)
{
    samp_sequence_release(s->session, s->sequence);
    samp__prefix_release(&s->cache);
    assert_int_equal(samp_session_kv_free(s->session), BLOCKS);
    samp_session_close(s->session);
}

/* Block i of the sequence with tokens[i], after `parent`; returns what stands before the next. */
static uint64_t insert(store *s, uint32_t i, uint64_t parent)
{
    uint32_t block = samp_sequence_block(s->sequence, i);
    samp__prefix_insert(&s->cache, block, parent, s->tokens[i]);
    return samp__prefix_after(&s->cache, block);
}

static void unuse(store *s, uint32_t i)
{
    samp__prefix_unuse(&s->cache, samp_sequence_block(s->sequence, i));
}

/* A block is found after the same text and salt only, though hashes meet in eight buckets. */
static void test_keys(void **state)
{
    (void)state;
    store s;
    store_open(&s);
    uint64_t parents[BLOCKS] = {samp__prefix_root(0)};
    memcpy(s.tokens[5], s.tokens[1], sizeof s.tokens[1]); /* the same tokens after another text */
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint64_t after = insert(&s, i, parents[i]);
        if (i + 1 < BLOCKS) parents[i + 1] = after;
    }
    for (uint32_t i = 0; i < BLOCKS; i++)
        for (uint32_t j = 0; j < BLOCKS; j++) {
            uint32_t found = samp__prefix_find(&s.cache, parents[j], s.tokens[i]);
            bool here = i == j || (i == 5 && j == 1) || (i == 1 && j == 5);
            assert_int_equal(found, here ? samp_sequence_block(s.sequence, j) : SAMP__NO_BLOCK);
        }
    assert_int_equal(samp__prefix_find(&s.cache, samp__prefix_root(1), s.tokens[0]),
                     SAMP__NO_BLOCK);
    for (int t = 0; t < BLOCK; t++) { /* one token off */
        s.tokens[0][t]++;
        assert_int_equal(samp__prefix_find(&s.cache, parents[0], s.tokens[0]), SAMP__NO_BLOCK);
        s.tokens[0][t]--;
    }
    for (uint32_t i = BLOCKS; i-- > 0;) unuse(&s, i);
    store_close(&s);
}

/* What was let go first goes first; what was used again in between does not; a block in use
 * never. */
static void test_eviction(void **state)
{
    (void)state;
    store s;
    store_open(&s);
    uint64_t root = samp__prefix_root(0);
    for (uint32_t i = 0; i < BLOCKS; i++) insert(&s, i, root);
    uint32_t blocks[BLOCKS];
    for (uint32_t i = 0; i < BLOCKS; i++) blocks[i] = samp_sequence_block(s.sequence, i);
    for (uint32_t i = 0; i < 6; i++) unuse(&s, i); /* 6 and 7 stay in use */
    samp_sequence_truncate(s.session, s.sequence, 0);
    assert_int_equal(samp_session_kv_free(s.session), 0);
    assert_int_equal(s.cache.n_idle, 6);
    samp__prefix_use(&s.cache, blocks[0]); /* again, and again idle: now the newest */
    assert_int_equal(s.cache.n_idle, 5);
    samp__prefix_unuse(&s.cache, blocks[0]);
    static const uint32_t order[] = {1, 2, 3, 4, 5, 0};
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(samp__prefix_find(&s.cache, root, s.tokens[order[i]]), blocks[order[i]]);
        assert_true(samp__prefix_evict(&s.cache));
        assert_int_equal(samp__prefix_find(&s.cache, root, s.tokens[order[i]]), SAMP__NO_BLOCK);
        assert_int_equal(samp_session_kv_free(s.session), i + 1);
    }
    assert_false(samp__prefix_evict(&s.cache));
    assert_int_equal(samp__prefix_find(&s.cache, root, s.tokens[6]), blocks[6]);
    samp__prefix_unuse(&s.cache, blocks[6]);
    samp__prefix_unuse(&s.cache, blocks[7]);
    store_close(&s);
}

/* ---- guesses ---- */

static void expect_guess(const int32_t *tokens, uint32_t n, uint32_t n_max, const int32_t *wanted,
                         uint32_t n_wanted)
{
    int32_t draft[SAMP__DRAFT_MAX];
    assert_int_equal(samp__draft_lookup(tokens, n, n_max, draft), n_wanted);
    assert_memory_equal(draft, wanted, n_wanted * sizeof *draft);
}

static void test_lookup(void **state)
{
    (void)state;
    expect_guess((int32_t[]){7}, 1, 8, NULL, 0);
    expect_guess((int32_t[]){1, 2, 3, 4, 9, 1, 2}, 7, 8, NULL, 0); /* two tokens are no evidence */
    expect_guess((int32_t[]){1, 2, 3, 4, 9, 1, 2, 3}, 8, 3, (int32_t[]){4, 9, 1}, 3);
    expect_guess((int32_t[]){1, 2, 3, 4, 9, 1, 2, 3}, 8, 8, (int32_t[]){4, 9, 1, 2, 3}, 5);
    /* Of two places the one that agrees for longer, although it is further away. */
    expect_guess((int32_t[]){8, 1, 2, 3, 4, 7, 1, 2, 3, 5, 8, 1, 2, 3}, 14, 2, (int32_t[]){4, 7},
                 2);
    /* Of equal ones the last. */
    expect_guess((int32_t[]){1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3}, 11, 1, (int32_t[]){5}, 1);
    expect_guess((int32_t[]){6, 6, 6, 6}, 4, 8, (int32_t[]){6}, 1);
}

/* Wrong guesses end the guessing, with ever longer pauses between tries; right ones bring it back,
 * and a guess that costs a whole token is not made. */
static void test_when_to_guess(void **state)
{
    (void)state;
    samp__draft_record r;
    samp__draft_record_init(&r);
    assert_true(samp__draft_length(&r, .1) >= 4);
    uint32_t tries = 0, tokens = 0;
    while (samp__draft_length(&r, .25) > 0) {
        samp__draft_learn(&r, 0, 1);
        assert_true(++tries < 20);
    }
    for (tries = 0; tokens < 4000; tokens++)
        if (samp__draft_length(&r, .25) > 0) {
            samp__draft_learn(&r, 0, 1);
            tries++;
        }
    assert_in_range(tries, 3, 8);
    while (samp__draft_length(&r, .25) == 0) {}
    for (int i = 0; i < 20; i++) samp__draft_learn(&r, 1, 0);
    assert_int_equal(samp__draft_length(&r, .25), SAMP__DRAFT_MAX);
    assert_int_equal(samp__draft_length(&r, 1), 0);
}

/* ---- pace ---- */

static void test_pace(void **state)
{
    (void)state;
    samp__pace pace = {0};
    double base, each;
    assert_true(samp__pace_room(&pace, 1, .1) == UINT32_MAX);
    for (uint32_t i = 0; i < 50; i++)
        samp__pace_add(&pace, 1 + i % 5 * 30, .02 + .003 * (1 + i % 5 * 30));
    samp__pace_fit(&pace, &base, &each);
    assert_true(fabs(base - .02) < 1e-6 && fabs(each - .003) < 1e-8);
    assert_in_range(samp__pace_room(&pace, 10, .25), 66, 67); /* (.25 - .02 - .03) / .003 */
    assert_int_equal(samp__pace_room(&pace, 10, .04), 0);
    assert_true(fabs(samp__pace_guess_cost(&pace, 1) - .003 / .023) < 1e-6);
    assert_true(samp__pace_guess_cost(&pace, 64) > .9);
    for (uint32_t i = 0; i < 500; i++) samp__pace_add(&pace, 1, .04); /* steps of one size only */
    samp__pace_fit(&pace, &base, &each);
    assert_true(base >= 0 && each >= 0 && fabs(base + each - .04) < 1e-3);
    pace = (samp__pace){0}; /* a stall in the small step: still a limit */
    samp__pace_add(&pace, 1, .5);
    samp__pace_add(&pace, 100, .1);
    assert_in_range(samp__pace_room(&pace, 1, .4), 1, 100);
    assert_int_equal(samp__pace_room(&pace, 1, .1), 0);
}

static int setup(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    folder = tiny_folder();
    tiny_write(folder, &config, 1);
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
        cmocka_unit_test(test_keys),   cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_lookup), cmocka_unit_test(test_when_to_guess),
        cmocka_unit_test(test_pace),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* The pool and its barrier, with more threads than processors too: a lost wake-up would hang (the
 * test has a time limit), a barrier that lets one through early would be seen. */
#include "base/thread.h"
#include "support/cmocka_all.h"

#include <stdatomic.h>

enum { ROUNDS = 300, THREADS_MAX = 9 };

typedef struct job {
    samp_pool *pool;
    _Atomic int arrived[ROUNDS];
    _Atomic int early;
} job;

static void meet(void *context, unsigned thread, unsigned n_threads)
{
    (void)thread;
    job *j = context;
    for (int round = 0; round < ROUNDS; round++) {
        atomic_fetch_add(&j->arrived[round], 1);
        samp_pool_barrier(j->pool);
        if (atomic_load(&j->arrived[round]) != (int)n_threads) atomic_fetch_add(&j->early, 1);
    }
}

static void nobody_passes_a_barrier_early(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= THREADS_MAX; n += 2) {
        job j = {0};
        samp_error error;
        assert_int_equal(samp_pool_create(&j.pool, n, &error), SAMP_OK);
        assert_int_equal(samp_pool_threads(j.pool), n);
        for (int again = 0; again < 3; again++) {
            for (int r = 0; r < ROUNDS; r++) j.arrived[r] = 0;
            samp_pool_run(j.pool, meet, &j);
            assert_int_equal(j.early, 0);
        }
        samp_pool_release(j.pool);
    }
}

static void split_covers_everything_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < 200; n += 7)
        for (size_t unit = 1; unit <= 16; unit += 5)
            for (unsigned threads = 1; threads <= 9; threads++) {
                size_t expected = 0, most = 0, least = SIZE_MAX;
                for (unsigned t = 0; t < threads; t++) {
                    size_t begin, end;
                    samp_split(n, unit, t, threads, &begin, &end);
                    assert_int_equal(begin, expected);
                    assert_true(begin % unit == 0 || begin == n);
                    expected = end;
                    size_t units = (end - begin + unit - 1) / unit;
                    most = units > most ? units : most;
                    least = units < least ? units : least;
                }
                assert_int_equal(expected, n);
                assert_true(most - least <= 1);
            }
}

static void pool_size_is_limited(void **state)
{
    (void)state;
    samp_pool *pool;
    samp_error error;
    assert_int_equal(samp_pool_create(&pool, 100000, &error), SAMP_LIMIT);
    assert_null(pool);
    assert_true(samp_threads_available() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_passes_a_barrier_early),
                                       cmocka_unit_test(split_covers_everything_once),
                                       cmocka_unit_test(pool_size_is_limited)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

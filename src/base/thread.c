/* Worker threads: a pool woken by a generation counter, and a sense-reversing barrier.
 * Both wait the same way: spin a little, then sleep on a futex until the counter moves. */
#include "base/thread.h"

#include "base/cgroup.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPINS = 4000, MAX_THREADS = 256 };

/* A counter threads wait on. Sleepers are counted so that the waker skips the system call when it
 * can. */
typedef struct signal_word {
    _Alignas(64) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
} signal_word;

struct samp_pool {
    unsigned n_threads;
    samp_work *work;
    void *context;
    signal_word start; /* generation of work; moved by samp_pool_run */
    signal_word phase; /* generation of the barrier */
    _Alignas(64) _Atomic uint32_t arrived;
    _Atomic bool stopping;
    pthread_t threads[MAX_THREADS];
};

typedef struct worker_start {
    samp_pool *pool;
    unsigned thread;
} worker_start;

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void signal_wait(signal_word *word, uint32_t old)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&word->value, memory_order_acquire) != old) return;
        pause_cpu();
    }
    atomic_fetch_add(&word->sleepers, 1);
    while (atomic_load(&word->value) == old)
        syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&word->sleepers, 1);
}

static void signal_advance(signal_word *word)
{
    atomic_fetch_add(&word->value, 1);
    if (atomic_load(&word->sleepers))
        syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void samp_pool_barrier(samp_pool *pool)
{
    if (pool->n_threads == 1) return;
    uint32_t phase = atomic_load_explicit(&pool->phase.value, memory_order_relaxed);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 == pool->n_threads) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        signal_advance(&pool->phase);
    } else {
        signal_wait(&pool->phase, phase);
    }
}

static void *worker_main(void *argument)
{
    worker_start start = *(worker_start *)argument;
    samp_free(argument);
    samp_pool *pool = start.pool;
    for (uint32_t generation = 0;; generation++) {
        signal_wait(&pool->start, generation);
        if (atomic_load(&pool->stopping)) return NULL;
        pool->work(pool->context, start.thread, pool->n_threads);
        samp_pool_barrier(pool);
    }
}

samp_status samp_pool_create(samp_pool **out, unsigned n_threads, samp_error *error)
{
    *out = NULL;
    if (n_threads == 0) n_threads = samp_threads_available();
    if (n_threads > MAX_THREADS)
        return samp_fail(error, SAMP_LIMIT, "%u threads were asked for, at most %d are possible",
                         n_threads, MAX_THREADS);
    samp_pool *pool = samp_alloc(1, sizeof *pool);
    if (!pool) return samp_fail(error, SAMP_NOMEM, "out of memory for a thread pool");
    pool->n_threads = 1; /* grows with each thread that really started, so that release is right */
    for (unsigned i = 1; i < n_threads; i++) {
        worker_start *start = samp_alloc(1, sizeof *start);
        if (start) *start = (worker_start){pool, i};
        int failed = start ? pthread_create(&pool->threads[i], NULL, worker_main, start) : ENOMEM;
        if (failed) {
            samp_free(start);
            samp_pool_release(pool);
            errno = failed;
            return samp_fail_errno(error, "starting thread %u of %u failed", i + 1, n_threads);
        }
        pool->n_threads = i + 1;
    }
    *out = pool;
    return SAMP_OK;
}

void samp_pool_release(samp_pool *pool)
{
    if (!pool) return;
    atomic_store(&pool->stopping, true);
    signal_advance(&pool->start);
    for (unsigned i = 1; i < pool->n_threads; i++) pthread_join(pool->threads[i], NULL);
    samp_free(pool);
}

unsigned samp_pool_threads(const samp_pool *pool) { return pool->n_threads; }

void samp_pool_run(samp_pool *pool, samp_work *work, void *context)
{
    pool->work = work;
    pool->context = context;
    if (pool->n_threads > 1) signal_advance(&pool->start);
    work(context, 0, pool->n_threads);
    samp_pool_barrier(pool);
}

void samp_split(size_t n, size_t unit, unsigned thread, unsigned n_threads, size_t *begin,
                size_t *end)
{
    size_t units = n / unit + (n % unit != 0);
    size_t share = units / n_threads, rest = units % n_threads;
    size_t first = thread * share + (thread < rest ? thread : rest);
    size_t last = first + share + (thread < rest);
    *begin = first * unit < n ? first * unit : n;
    *end = last * unit < n ? last * unit : n;
}

unsigned samp_threads_available(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    if (n < 1) n = 1;
    if (n > MAX_THREADS) n = MAX_THREADS;
    samp_cgroup group;
    samp_cgroup_read("", &group);
    if (group.cpus > 0 && group.cpus < (double)n) n = group.cpus < 1 ? 1 : (long)group.cpus;
    return (unsigned)n;
}

/* Worker threads that run one function together, and a barrier among them.
 *
 * A pool of n threads counts the caller as thread 0. Work is split by thread number, statically:
 * results never depend on timing. Idle workers spin briefly, then sleep on a futex; so do waiters
 * at a barrier (pure spinning collapses when a container has fewer cores than threads: ollama
 * #17916). */
#ifndef SAMP_BASE_THREAD_H
#define SAMP_BASE_THREAD_H

#include "base/error.h"

/* Threads this process may use: affinity mask, capped by the cgroup's cpu quota (v1 and v2), at
 * least 1. */
unsigned samp_threads_available(void);

typedef struct samp_pool samp_pool;
typedef void samp_work(void *context, unsigned thread, unsigned n_threads);

/* n_threads 1..256; 0 means samp_threads_available(). */
samp_status samp_pool_create(samp_pool **out, unsigned n_threads, samp_error *error);
void samp_pool_release(samp_pool *pool); /* NULL allowed */
unsigned samp_pool_threads(const samp_pool *pool);
/* Runs work on all threads, the caller being thread 0; returns when all are done. */
void samp_pool_run(samp_pool *pool, samp_work *work, void *context);
/* To be called by every thread inside samp_pool_run: returns when all have arrived. */
void samp_pool_barrier(samp_pool *pool);

/* The part [*begin, *end) of n items that thread `thread` of n_threads takes, in units of `unit`
 * items (the last may be short). */
void samp_split(size_t n, size_t unit, unsigned thread, unsigned n_threads, size_t *begin,
                size_t *end);

#endif

/* Attention on the CPU: rotates, appends keys and values to the paged store, attends causally.
 *
 * One call of the backend's `attention` is a job that all threads work on together, in one of two
 * ways:
 *
 *     if (samp__attention_fusible(job, n_threads))       // the same answer on every thread
 *         samp__attention_fused(job, thread, n_threads); // each thread appends what it alone will
 * read else { samp__attention_append(job, thread, n_threads); samp_pool_barrier(pool);
 *         samp__attention_run(job, thread, n_threads);
 *     }
 *
 * Results have the same bits whatever the number of threads, the batch, or the instruction set: the
 * order of operations for one query and head is fixed by backend/numerics.h, and a query and head
 * is always worked on by one thread. q and k are only read (rotated copies live in the scratch). */
#ifndef SAMP_CPU_ATTENTION_H
#define SAMP_CPU_ATTENTION_H

#include "backend/cpu/kv.h"
#include "base/cpu.h"

typedef struct samp__attention_scratch samp__attention_scratch; /* working memory of all threads */

typedef struct samp__attention_job {
    samp_kv *kv;
    const samp_batch *batch;
    uint32_t layer, n_heads, n_kv_heads, head_dim;
    uint32_t window; /* positions a query sees, its own the last; 0 = all up to its own */
    float scale, eps;
    const float *rope;    /* [max_positions][head_dim/2][2]: cos, sin; NULL = nothing is rotated */
    const float *bias[3]; /* of q, k, v; or NULL */
    const float *gain[2]; /* [head_dim], of q, k; or NULL */
    const float *q;       /* [n_tokens][n_heads*head_dim] */
    const float *k, *v;   /* [n_tokens][n_kv_heads*head_dim] */
    float *out;           /* [n_tokens][n_heads*head_dim] */
    samp__attention_scratch *scratch;
} samp__attention_job;

/* Once for a device: for up to n_threads threads, kernels of `level`, any head_dim. About 250 KB a
 * thread. */
samp_status samp__attention_scratch_create(unsigned n_threads, samp_cpu_level level,
                                           samp__attention_scratch **out, samp_error *error);
void samp__attention_scratch_release(samp__attention_scratch *scratch); /* NULL allowed */

/* Whether giving whole kv heads of whole sequences to threads loses less than a barrier costs. */
bool samp__attention_fusible(const samp__attention_job *job, unsigned n_threads);
void samp__attention_fused(const samp__attention_job *job, unsigned thread, unsigned n_threads);
void samp__attention_append(const samp__attention_job *job, unsigned thread, unsigned n_threads);
void samp__attention_run(const samp__attention_job *job, unsigned thread, unsigned n_threads);

#endif

/* Read bandwidth by a loop the compiler vectorises, and stolen time from /proc/stat. */
#include "bench/machine.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

typedef struct read_job {
    const uint64_t *data;
    size_t n_words;
    uint64_t sums[256]; /* a result a thread, so that the reads cannot be optimised away */
} read_job;

/* OR of eight streams: bound by loads, not by a chain of dependent operations. */
static uint64_t read_words(const uint64_t *data, size_t n)
{
    uint64_t lane[32] = {0}, all = 0;
    for (size_t i = 0; i + 32 <= n; i += 32)
        for (int l = 0; l < 32; l++) lane[l] |= data[i + l];
    for (int l = 0; l < 32; l++) all |= lane[l];
    return all;
}

static void read_part(void *context, unsigned thread, unsigned n_threads)
{
    read_job *job = context;
    size_t begin, end;
    samp_split(job->n_words, 512, thread, n_threads, &begin, &end);
    job->sums[thread] |= read_words(job->data + begin, end - begin);
}

samp_status samp_measure_bandwidth(samp_pool *pool, uint64_t bytes, double seconds,
                                   samp_bandwidth *out, samp_error *error)
{
    bytes = samp_round_up(bytes ? bytes : 1, UINT64_C(4096) * samp_pool_threads(pool));
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return samp_fail(error, SAMP_NOMEM,
                         "out of memory for a buffer of %llu bytes to measure bandwidth with",
                         (unsigned long long)bytes);
    madvise(data, bytes, MADV_HUGEPAGE); /* a wish: without it the figure is a little lower */
    memset(data, 1, bytes);
    read_job job = {.data = data, .n_words = bytes / sizeof(uint64_t)};
    double begin = samp_clock(), best = 1e30;
    for (int pass = 0; pass < 3 || samp_clock() - begin < seconds; pass++) {
        double start = samp_clock();
        samp_pool_run(pool, read_part, &job);
        double took = samp_clock() - start;
        if (pass && took < best) best = took; /* the first pass warms caches and page tables */
    }
    munmap(data, bytes);
    *out = (samp_bandwidth){bytes, samp_pool_threads(pool), (double)bytes / best};
    return SAMP_OK;
}

samp_cpu_ticks samp_read_cpu_ticks(void)
{
    samp_cpu_ticks ticks = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (!file) return ticks;
    unsigned long long v[8] = {0};
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4,
               v + 5, v + 6, v + 7) == 8) {
        for (int i = 0; i < 8; i++) ticks.total += v[i];
        ticks.steal = v[7];
    }
    fclose(file);
    return ticks;
}

double samp_steal_share(samp_cpu_ticks before, samp_cpu_ticks after)
{
    uint64_t total = after.total - before.total;
    return total ? (double)(after.steal - before.steal) / (double)total : 0;
}

/* What this machine can do, measured in the run that makes a claim. */
#ifndef SAMP_BENCH_MACHINE_H
#define SAMP_BENCH_MACHINE_H

#include "base/thread.h"

#include <stdint.h>

typedef struct samp_bandwidth {
    uint64_t bytes; /* size of the buffer that was read */
    unsigned n_threads;
    double bytes_per_second; /* best of the passes: the ceiling, not the habit */
} samp_bandwidth;

/* Reads a buffer of `bytes` (rounded up to 4 KiB a thread) again and again for about `seconds`, all
 * threads of the pool together, each its own part. Errors: SAMP_NOMEM. */
samp_status samp_measure_bandwidth(samp_pool *pool, uint64_t bytes, double seconds,
                                   samp_bandwidth *out, samp_error *error);

/* Share of the processor time the hypervisor took from this machine since boot (field "steal" of
 * /proc/stat) as ticks; take it before and after a run. 0 where it is not known. */
typedef struct samp_cpu_ticks {
    uint64_t steal, total;
} samp_cpu_ticks;
samp_cpu_ticks samp_read_cpu_ticks(void);
/* Share between two readings, 0 … 1. */
double samp_steal_share(samp_cpu_ticks before, samp_cpu_ticks after);

#endif

/* Measures this machine as a profile of hardware (plan/hardware.h): memory bandwidth, and what
 * matrix products take in every number format, with inputs of 8 and of 16 bits, through the same
 * seam and kernels that run a model. Takes under a minute on two cores. */
#ifndef SAMP_BENCH_PROFILE_H
#define SAMP_BENCH_PROFILE_H

#include "base/clock.h"
#include "plan/hardware.h"

typedef struct samp_profile_options {
    const char *name;    /* of the profile */
    const char *backend; /* NULL or "cpu": built in; else samp-backend-NAME.so */
    unsigned n_threads;  /* 0 = what affinity and cgroup allow */
    /* Bytes of weights a pass goes through, as of the model that is planned for: one that fits a
     * cache is faster. 0 = twice the last-level cache, 64 to 128 MiB. */
    size_t working_set;
    double pass_seconds;    /* least time each product is repeated for; 0 = 0.05 */
    int passes;             /* and how often at least; 0 = 3 */
    samp_progress progress; /* "profile", products measured */
} samp_profile_options;

/* Released with samp_hardware_release. Errors: those of the backend, SAMP_NOMEM, SAMP_CANCELLED. */
samp_status samp_profile_measure(samp_hardware *out, const samp_profile_options *options,
                                 samp_error *error);

#endif

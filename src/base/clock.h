/* Time, and the callback through which long work reports progress. */
#ifndef SAMP_BASE_CLOCK_H
#define SAMP_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

/* Monotonic seconds. */
static inline double samp_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Seconds of processor time, user and system, that this process took so far. */
static inline double samp_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Long work calls report(context, what, done, total) now and then (bytes or items, as `what` says:
 * "quantize", …); a false answer means stop: the work returns SAMP_CANCELLED. A NULL report is
 * silent. */
typedef struct samp_progress {
    bool (*report)(void *context, const char *what, uint64_t done, uint64_t total);
    void *context;
} samp_progress;

static inline bool samp_progress_report(const samp_progress *progress, const char *what,
                                        uint64_t done, uint64_t total)
{
    return !progress || !progress->report || progress->report(progress->context, what, done, total);
}

#endif

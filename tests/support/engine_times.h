/* How long an engine takes for requests, by the clock and by the processor: for programs that
 * compare two ways of running one. Errors end the program. */
#ifndef SAMP_TESTS_SUPPORT_ENGINE_TIMES_H
#define SAMP_TESTS_SUPPORT_ENGINE_TIMES_H

#include "base/clock.h"
#include "engine/engine.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS_MAX = 101 };

typedef struct times {
    double wall, cpu;
} times;

static inline times now(void) { return (times){samp_clock(), samp_cpu_seconds()}; }

static inline times since(times start)
{
    times end = now();
    return (times){end.wall - start.wall, end.cpu - start.cpu};
}

static inline void check(samp_status status, const samp_error *error)
{
    if (status == SAMP_OK) return;
    fprintf(stderr, "%s\n", error->message);
    exit(2);
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double median(const double *values, size_t n)
{
    double sorted[RUNS_MAX];
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_doubles);
    return sorted[n / 2];
}

typedef struct waiter {
    atomic_uint n_ended;
    double first; /* seconds to the first token of the last that ended */
} waiter;

static inline bool take_token(void *context, const samp_token_event *event)
{
    (void)context, (void)event;
    return true;
}

static inline void take_end(void *context, const samp_end *end)
{
    waiter *w = context;
    w->first = end->first_token - end->arrived;
    atomic_fetch_add(&w->n_ended, 1);
}

/* n requests at once, until the last has ended; *first: seconds to the first token of that one. */
static inline times by_engine(samp_engine *engine, const int32_t *prompts, uint32_t n_prompt,
                              uint32_t n_answer, uint32_t n, uint64_t salt, double *first)
{
    waiter w = {0};
    times start = now();
    for (uint32_t i = 0; i < n; i++) {
        samp_error error;
        samp_ticket ticket;
        samp_request request = samp_request_defaults();
        request.prompt = prompts + (size_t)i * n_prompt;
        request.n_prompt = n_prompt;
        request.max_tokens = n_answer;
        request.ignore_eos = true;
        request.cache_salt = salt;
        request.sink = (samp_sink){take_token, NULL, take_end, &w};
        check(samp_engine_submit(engine, &request, &ticket, &error), &error);
    }
    while (atomic_load(&w.n_ended) < n) nanosleep(&(struct timespec){.tv_nsec = 2000 * 1000}, NULL);
    if (first) *first = w.first;
    return since(start);
}

static inline samp_engine *open_engine(const char *folder, samp_engine_options options)
{
    samp_model *model;
    samp_engine *engine;
    samp_error error;
    check(samp_model_open(&model, folder, &error), &error);
    check(samp_engine_open(&engine, model, &options, &error), &error);
    samp_model_close(model);
    return engine;
}

#endif

/* What the files of a profile share. Private to bench/profile*.c. */
#ifndef SAMP_BENCH_PROFILE_INTERNAL_H
#define SAMP_BENCH_PROFILE_INTERNAL_H

#include "backend/backend.h"
#include "bench/profile.h"

enum { COPIES_MAX = 1024 };

typedef struct samp__profiler {
    const samp_backend *backend;
    samp_device *device;
    samp_hardware *out;
    const char *source; /* of every figure */
    size_t working_set;
    double pass_seconds;
    int passes;
    float *values;                   /* random; weights and inputs are made of it */
    samp_tensor *in, *result, *gain; /* room for the largest product */
    samp_weight *copies[COPIES_MAX];
    size_t n_copies;
    struct samp__attention_room *attention; /* NULL until attention is measured */
    struct samp__made_up_model *model;      /* likewise for whole steps */
} samp__profiler;

/* Random values in a kernel's format, for weight_create; samp_model_free_parts releases parts. */
typedef struct samp__profile_matrix {
    samp_layout layout;
    void *parts[SAMP_PARTS_MAX];
    samp_weight_source source; /* of the two above */
} samp__profile_matrix;
samp_status samp__profile_encode(const samp__profiler *p, const samp_kernel *kernel,
                                 const uint64_t shape[2], samp__profile_matrix *out,
                                 samp_error *error);

/* Enqueues the i-th of the things that a pass times. */
typedef void samp__profile_enqueue(samp__profiler *p, const samp_batch *batch, size_t i);

/* Passes over n things, at least p->passes and for p->pass_seconds, after one that warms; *seconds is
 * the median pass's time of one thing. */
samp_status samp__profile_passes(samp__profiler *p, const samp_batch *batch, size_t n,
                                 samp__profile_enqueue *enqueue, double *seconds,
                                 samp_error *error);

/* profile_step.c: fills out->step_ratio; the kernels' laws are fitted. */
samp_status samp__profile_step(samp__profiler *p, samp_error *error);

/* profile_attention.c: fills out->attention. */
samp_status samp__profile_attention(samp__profiler *p, samp_error *error);

#endif

/* How long a matrix product takes: one law for every kernel, fitted to measured times.
 *
 *     seconds = fixed + input * cols*batch + ((weight * w)^p + (multiply * w*batch)^p)^(1/p)
 *
 * with w = rows*cols weights. fixed is what starting a product costs (a launch, a barrier); input
 * is preparing an input; weight is reading and decoding a weight, once whatever the batch; multiply
 * is a multiply-add. p says how far reading and multiplying overlap: 1 is one after the other, a
 * large p the longer of the two. All are at least 0.
 *
 * The fit minimises the relative error: for each p and each ratio multiply / weight of a fine grid
 * the law is linear in the rest, and least squares with no negative term decides. Deterministic. */
#ifndef SAMP_PLAN_KERNEL_LAW_H
#define SAMP_PLAN_KERNEL_LAW_H

#include "base/error.h"

#include <stdint.h>

/* One measurement: a product of a rows x cols matrix with `batch` inputs took `seconds`. */
typedef struct samp_kernel_time {
    uint64_t rows, cols;
    uint32_t batch;
    double seconds;
} samp_kernel_time;

typedef struct samp_kernel_law {
    double fixed, input, weight, multiply; /* seconds: each product, input, weight, multiply-add */
    double overlap;                        /* p */
    double error_mean, error_max;          /* relative, over the times it was fitted to */
} samp_kernel_law;

/* Fits n >= 1 times; all shapes, batches and seconds are positive and finite. Times of a single
 * batch say nothing of multiplying: multiply is 0 then. */
void samp_kernel_law_fit(const samp_kernel_time *times, size_t n, samp_kernel_law *out);

double samp_kernel_law_seconds(const samp_kernel_law *law, double rows, double cols, double batch);

#endif

/* A matrix of floats encoded in memory: weights for measurements and self-tests. */
#ifndef SAMP_BENCH_ENCODED_H
#define SAMP_BENCH_ENCODED_H

#include "format/format.h"

/* Encodes values [rows][cols] (of *layout, which the caller got from the format); parts [n_parts]
 * are allocated and released with samp_model_free_parts, also after a failure. */
samp_status samp_matrix_encode(const samp_format *format, const samp_layout *layout,
                               const float *values, void *parts[SAMP_PARTS_MAX], samp_error *error);

#endif

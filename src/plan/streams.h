/* Activations on their way through the layers: many arrays of floats, too large for memory, in two generations so that
 * a killed run can go on from the last complete layer.
 *
 * They lie in one file of our own, mapped: the kernel keeps in memory what fits and writes the rest to disk. The
 * room is reserved when the file is made, so a full disk is an error then and not a signal later. */
#ifndef SAMP_PLAN_STREAMS_H
#define SAMP_PLAN_STREAMS_H

#include "base/error.h"

#include <stdint.h>

typedef struct samp_streams {
    int fd;
    float *values; /* [2][n_values] */
    uint64_t n_values;
    int generation; /* 0 or 1: the one that is complete */
} samp_streams;

/* Opens or makes `path` for n_values floats a generation. *fresh: the file is new, or was of another size. */
samp_status samp_streams_open(samp_streams *streams, const char *path, uint64_t n_values,
                              bool *fresh, samp_error *error);
void samp_streams_close(samp_streams *streams);
/* The complete generation, and the one being written. */
float *samp_streams_now(const samp_streams *streams);
float *samp_streams_next(const samp_streams *streams);

#endif

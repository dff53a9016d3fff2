/* One weight's way from the bytes of its file to what a kernel multiplies, station by station: what
 * the numbers are there, what they take, and how far they are from where they came from.
 *
 *     file      its tensors as they lie in the checkpoint, one station each
 *     decoded   the floats they stand for: what exact mode multiplies
 *     integers  scale * t, the form in which products are integers (formats that have it)
 *     packed    the layout of the CPU's kernels
 *     kernel    what the kernels make of the packed bytes: their products with unit vectors
 *
 * Norms and biases end where they are decoded. */
#ifndef SAMP_RUN_FOLLOW_H
#define SAMP_RUN_FOLLOW_H

#include "backend/backend.h"
#include "model/model.h"

enum { SAMP_STATIONS_MAX = SAMP_PARTS_MAX + 4, SAMP_STATION_TEXT = 160 };

typedef struct samp_station {
    const char *name;
    char what[SAMP_STATION_TEXT];  /* type, shape and place, or a sentence */
    char first[SAMP_STATION_TEXT]; /* the first numbers, as they are there */
    uint64_t bytes;                /* 0: takes none of its own */
    double from_file;   /* relative error against the decoded floats; NAN: there is none to tell */
    double from_source; /* … against the same weight of the other model */
} samp_station;

typedef struct samp_stations {
    samp_station items[SAMP_STATIONS_MAX];
    size_t n;
    uint64_t rows, cols;
} samp_stations;

/* source: the model it was made from, or NULL. n_threads as samp_device_options. Errors:
 * SAMP_MISMATCH when source has no such weight of this shape. */
samp_status samp_follow(samp_model *model, const samp_weight_ref *weight, samp_model *source,
                        unsigned n_threads, samp_stations *out, samp_error *error);

#endif

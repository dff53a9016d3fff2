/* Streams weights from a source, through an encoder, into an artifact: what quantize and import
 * share. */
#ifndef SAMP_QUANTIZE_WRITER_H
#define SAMP_QUANTIZE_WRITER_H

#include "base/clock.h"
#include "quantize/artifact.h"

/* Some rows of a weight, as a source gives them. */
typedef struct samp_row_panel {
    void *values;     /* [n_rows][cols], room for floats */
    samp_dtype dtype; /* set by the source: F32, F16 or BF16 */
} samp_row_panel;

/* Where weights come from. rows() may be called from several threads at once, for different rows.
 */
typedef struct samp_row_source {
    /* Rows row0 … row0+n_rows-1 of weight `weight` (an index into the artifact's weights). row0 is a
     * multiple of SAMP_PANEL_ROWS. */
    samp_status (*rows)(void *context, size_t weight, uint64_t row0, uint64_t n_rows,
                        samp_row_panel *out, samp_error *error);
    /* Options of weight `weight`'s encode, asked for when its turn comes; they hold until the next is asked for. NULL =
     * plain rounding everywhere. */
    samp_status (*options)(void *context, size_t weight, samp_encode_options *out,
                           samp_error *error);
    void *context;
} samp_row_source;

/* Encodes and writes every weight the artifact does not have yet, in order. Memory: for each thread
 * one panel of floats and one of codes, and the scale parts of one weight; whatever the model's
 * size. The bytes do not depend on the number of threads. Progress counts weights' elements times
 * `unit_bytes`, as `what`. Errors: SAMP_NUMERIC for a weight that is not finite or does not fit the
 * format, SAMP_CANCELLED. */
samp_status samp_write_weights(samp_artifact *artifact, const samp_artifact_weight *weights,
                               size_t n, const samp_row_source *source, samp_pool *pool,
                               const char *what, unsigned unit_bytes, const samp_progress *progress,
                               samp_error *error);

#endif

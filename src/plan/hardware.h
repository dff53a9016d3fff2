/* What hardware multiplies well: memory bandwidth and multiply rate by number format, each figure with its source. */
#ifndef SAMP_PLAN_HARDWARE_H
#define SAMP_PLAN_HARDWARE_H

#include "format/format.h"

/* How a format is multiplied on a machine. */
typedef enum samp_multiply {
    SAMP_MULTIPLY_FLOAT16, /* expanded to 16-bit floats */
    SAMP_MULTIPLY_INT8,    /* as 8-bit integers */
    SAMP_MULTIPLY_FP8
} samp_multiply;

typedef struct samp_hardware {
    const char *name, *title;
    double memory_bytes; /* of the device, 0 = the machine's own */
    double bandwidth;    /* bytes a second that a plain read reaches */
    double float16_ops, int8_ops,
        fp8_ops;        /* multiply-adds count as two; 0 = the hardware has no such unit */
    const char *source; /* where each figure is from */
} samp_hardware;

/* By name ("h100"); NULL when unknown. */
const samp_hardware *samp_hardware_find(const char *name);

/* How the hardware multiplies a format; false when it should not be planned there: FP8 weights where no unit takes them
 * cost the bytes of INT8 and are ten times less accurate. */
bool samp_hardware_multiplies(const samp_hardware *hardware, const samp_format *format,
                              samp_multiply *how);
/* Seconds to multiply `batch` inputs by a matrix stored in `bytes` with n weights: reading or multiplying, whichever is
 * longer. */
double samp_hardware_seconds(const samp_hardware *hardware, const samp_format *format,
                             uint64_t bytes, double n_weights, double batch);

#endif

/* quantization_scale_drift: how far the inputs of the live traffic have moved from the calibration
 * text that the artifact was made with: calibration skew, seen while it happens. */
#ifndef SAMP_SERVE_DRIFT_H
#define SAMP_SERVE_DRIFT_H

#include "run/session.h"
#include "serve/metrics.h"

typedef struct samp_drift samp_drift;

#endif

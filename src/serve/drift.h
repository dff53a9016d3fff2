/* quantization_scale_drift: how far the inputs of the live traffic have moved from those of the
 * calibration text the artifact was made with (quantize/input_fingerprint.h): calibration skew,
 * seen while it happens.
 *
 * Now and then a step's inputs are copied by a tap, a few tokens of them, and their mean squares go
 * into running means; a group's drift is the mean over its sixteen runs of channels of
 * |ln(live / calibrated)|: 0 = as calibrated, 0.7 = half or twice as large. How often is decided by
 * what it costs: half a percent of the time of all steps. Metrics follow once a second of steps.
 * All on the engine's thread. */
#ifndef SAMP_SERVE_DRIFT_H
#define SAMP_SERVE_DRIFT_H

#include "base/json.h"
#include "run/session.h"
#include "serve/metrics.h"

typedef struct samp_drift samp_drift;

/* *out = NULL when the artifact has no fingerprint. The model is read during the call only. */
samp_status samp_drift_create(samp_drift **out, samp_model *model, const json_t *manifest,
                              samp_metrics *metrics, samp_error *error);
void samp_drift_release(samp_drift *drift); /* NULL allowed */
/* For the session's options; {0} for NULL. */
samp_tap samp_drift_tap(samp_drift *drift);
/* After each step, with the time it took. NULL allowed. */
void samp_drift_step(samp_drift *drift, double seconds);
/* Group i: its name and drift, NAN while too little was seen; false past the last. Any thread. */
bool samp_drift_read(samp_drift *drift, size_t i, const char **group, double *value);

#endif

/* Steps that are commands of their own and parts of `samp quantize --budget`: measuring a text,
 * saving a plan, quantizing by one, validating. Each shows its progress on standard error and
 * prints nothing else. */
#ifndef SAMP_COMMAND_STEPS_H
#define SAMP_COMMAND_STEPS_H

#include "plan/calibration.h"
#include "plan/measure.h"
#include "plan/plan.h"
#include "quantize/quantize.h"
#include "quantize/validate.h"

enum { SAMP_STEP_PATH_MAX = 4096 };

typedef struct samp_measure_step {
    const char *calibration; /* file: JSON lines of samp sample, or plain text */
    const char *out;         /* sensitivity to write; moments go beside it */
    samp_calibration_part part;
    size_t max_tokens;
    uint32_t window, probe_windows, score_every; /* as samp_measure_options */
    unsigned n_threads;
    samp_measure_speed *speed; /* as samp_measure_options */
} samp_measure_step;

/* path.safetensors: where the moments of a sensitivity file lie. out [SAMP_STEP_PATH_MAX] */
samp_status samp_step_moments_path(const char *path, char *out, samp_error *error);
/* path.samp-partial: where a measurement keeps its state. out [SAMP_STEP_PATH_MAX] */
samp_status samp_step_partial_path(const char *path, char *out, samp_error *error);
/* Measures the model in `folder` and writes what it found; *out is released by the caller. */
samp_status samp_step_measure(const samp_measure_step *how, const char *folder,
                              samp_sensitivity *out, samp_error *error);

/* The plan as a new document that names the moments beside the sensitivity file, where they lie. */
samp_status samp_step_plan_json(const samp_plan *plan, const samp_sensitivity *sensitivity,
                                const samp_plan_options *options, const char *sensitivity_path,
                                json_t **out, samp_error *error);
/* An indented document into a file, whole or not at all. */
samp_status samp_step_save_json(const json_t *value, const char *path, samp_error *error);

/* Quantizes with the plan's formats and its moments (`moments` instead, when not NULL). `where`
 * names the plan in messages. options->weights and ->provenance are filled here; `run`, when not
 * NULL, goes into samp.json as "run". SAMP_MISMATCH for a plan of another model. */
samp_status samp_step_quantize(const char *folder, const char *out, const json_t *plan,
                               const char *where, const char *moments, const char *run,
                               const samp_quantize_options *options, samp_error *error);

samp_status samp_step_validate(const char *folder, const samp_validate_options *options,
                               samp_findings *findings, samp_error *error);

#endif

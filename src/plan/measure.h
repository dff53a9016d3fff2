/* samp measure: what each number format costs each group of weights, on this text.
 *
 * One pass over the layers, with one layer's weights in memory at a time. Three kinds of activation streams go through:
 *   the reference     all calibration windows through the model as it is; gives the moments of every input
 *   probes            a few windows each, with one group in the base format (4 bits) and all else as it is: from
 *                     its layer on a probe's activations differ from the reference's, and at the end its KL
 *                     divergence says what that group's error is worth (alpha = KL / error)
 *   the whole         the same windows with every group in the base format: how much more the groups cost
 *                     together than one by one (bias)
 * Error times alpha then predicts the KL divergence of every format that was not run. A killed run goes on after the
 * last complete layer. */
#ifndef SAMP_PLAN_MEASURE_H
#define SAMP_PLAN_MEASURE_H

#include "base/clock.h"
#include "plan/sensitivity.h"

enum { SAMP_MEASURE_FIRST_IDS = 2048 };

/* What a run did: tokens count once they have passed every layer, and a resumed run counts its layers' share. */
typedef struct samp_measure_speed {
    double pass_tokens, pass_s;   /* the reference, with its inputs measured */
    double probe_tokens, probe_s; /* probes and the whole, their weights encoded */
} samp_measure_speed;

typedef struct samp_measure_options {
    const char *work_folder; /* activations and state while it runs; removed when it is done */
    /* safetensors to write: "<group>.moment" F32 [cols] and "<group>.feedback" F16, the factor of
     * format/feedback.h; NULL = none */
    const char *moments_path;
    const int32_t *tokens; /* calibration, cut into windows; a last short one is left out */
    size_t n_tokens;
    uint32_t window;        /* tokens; 0 = 512 */
    uint32_t probe_windows; /* 0 = 2 */
    uint32_t score_every;   /* every n-th position of a probe's windows is scored; 0 = 2 */
    /* of a head: a group of their own, if the vocabulary is 8 times as large; 0 = 2,048 */
    uint32_t first_ids;
    unsigned n_threads;
    samp_progress progress;    /* "measure", tokens through the whole model */
    samp_measure_speed *speed; /* filled; NULL = not wanted */
} samp_measure_options;

/* Fills everything of *out but the texts model, calibration and strata, which the caller knows. May cut the model's head
 * (samp_model_cut_head), and leaves it so. */
samp_status samp_measure(samp_model *model, const samp_measure_options *options,
                         samp_sensitivity *out, samp_error *error);

/* Formats measured, in the order of the JSON: up to `max` into formats and roundings. */
size_t samp_measure_candidates(samp_format_id *formats, samp_rounding *roundings, size_t max);

#endif

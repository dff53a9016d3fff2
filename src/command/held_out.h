/* Evaluation on the part of a calibration sample that was not measured on, stratum by stratum. */
#ifndef SAMP_COMMAND_HELD_OUT_H
#define SAMP_COMMAND_HELD_OUT_H

#include "eval/eval.h"
#include "plan/sample_logs.h"

enum { SAMP_HELD_OUT_WINDOW = 256 }; /* tokens; strata are small, and an interval counts windows */

typedef struct samp_held_out_stratum {
    char name[SAMP_STRATUM_NAME];
    size_t n_tokens; /* held out, of which whole windows are scored */
    samp_eval_result result;
} samp_held_out_stratum;

typedef struct samp_held_out {
    samp_held_out_stratum strata[SAMP_STRATA_MAX];
    size_t n_strata;
    samp_eval_result all; /* pooled */
} samp_held_out;

typedef struct samp_held_out_options {
    const char *model, *baseline; /* folders */
    const char *sample;           /* the calibration file; its held-out part is read */
    size_t max_tokens;            /* shared out to strata by their sizes */
    unsigned n_threads;
} samp_held_out_options;

/* Strata with less than a window of text are evaluated on what there is, as one window; those with
 * fewer than 16 tokens are left out. */
samp_status samp_held_out_evaluate(const samp_held_out_options *options, samp_held_out *out,
                                   samp_error *error);

/* The document of `samp eval --json` with one text a stratum, and "all". NULL: out of memory. */
json_t *samp_held_out_json(const samp_held_out_options *options, const samp_held_out *held_out);
samp_status samp_held_out_parse(const json_t *document, samp_held_out *out, const char *where,
                                samp_error *error);

#endif

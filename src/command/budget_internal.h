/* What the steps of `samp quantize --budget` know of each other. */
#ifndef SAMP_COMMAND_BUDGET_INTERNAL_H
#define SAMP_COMMAND_BUDGET_INTERNAL_H

#include "command/budget.h"
#include "command/held_out.h"
#include "command/steps.h"

typedef char budget_path[SAMP_STEP_PATH_MAX];

typedef struct budget_run {
    const samp_budget_options *o;
    budget_path out;    /* without a slash at its end */
    budget_path folder; /* OUT.samp; the rest lies in it */
    budget_path state, sensitivity, moments, plan_path, evaluation, report;
    char measure_key[SAMP_SHA256_HEX];
    char artifact_key[SAMP_SHA256_HEX]; /* of the plan, the moments and how they are written */
    samp_sensitivity s;
    samp_plan plan;
    samp_held_out held_out;
    samp_findings findings;
    uint64_t source_bytes, weight_bytes, file_bytes; /* file_bytes: all of OUT */
    double n_weights;
} budget_run;

/* The table at the end. */
void samp__budget_print(const budget_run *run, double seconds);

#endif

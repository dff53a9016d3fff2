/* `samp quantize MODEL --budget B --calib C --out OUT`: measure, plan, quantize, evaluate,
 * validate.
 *
 * What comes before and after the artifact lies beside it in OUT.samp: the sensitivity and its
 * moments, the plan, the evaluation, the report. Every step is kept as soon as it is done, under a
 * key of all it depends on; the same command goes on where a killed run stopped, and a run with
 * another budget measures nothing again. */
#ifndef SAMP_COMMAND_BUDGET_H
#define SAMP_COMMAND_BUDGET_H

#include "quantize/quantize.h"

typedef struct samp_budget_options {
    const char *model, *out, *calibration;
    const char *hardware; /* name or profile, as samp plan takes it; NULL = any */
    uint64_t max_bytes;   /* of the weight files */
    size_t measure_tokens, evaluate_tokens;
    uint64_t shard_bytes;
    unsigned n_threads;
    bool force, start_over;
    samp_quantize_sizes *dry_run; /* not NULL: only what would be written, from a measurement that
                                     is there already */
} samp_budget_options;

/* Prints what it does and, at the end, what came out; returns an exit code. */
int samp_quantize_to_budget(const samp_budget_options *options, samp_error *error);

#endif

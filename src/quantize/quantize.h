/* samp quantize: a 16- or 32-bit model and a recipe or plan -> an artifact, in bounded memory. */
#ifndef SAMP_QUANTIZE_QUANTIZE_H
#define SAMP_QUANTIZE_QUANTIZE_H

#include "base/clock.h"
#include "quantize/artifact.h"
#include "quantize/recipe.h"

/* What a run would write, known from the layout alone. */
typedef struct samp_quantize_sizes {
    samp_artifact_sizes files; /* of weights: all that grows with the model */
    struct {
        uint64_t weights, bytes; /* headers excluded */
    } formats[SAMP_FORMAT_COUNT];
    uint64_t source_bytes;    /* of the source's weights */
    uint64_t companion_bytes; /* of the tokenizer and what else is copied */
} samp_quantize_sizes;

typedef struct samp_quantize_options {
    /* What to do: exactly one of these three. */
    const char *recipe;              /* a name of SAMP_RECIPE_LIST */
    const json_t *plan;              /* as samp_plan_parse takes */
    const samp_weight_plan *weights; /* [samp_model_count], in model order */
    uint64_t first_rows; /* with weights: how the model's head was cut for them; 0 = not */
    const char
        *quant_type;       /* word for people in config.json; NULL = the recipe's name, or "plan" */
    unsigned n_threads;    /* 0 = what this process may use */
    uint64_t shard_bytes;  /* 0 = 5 GB */
    uint64_t commit_bytes; /* how much work a kill may cost; 0 = 64 MB */
    const json_t
        *provenance; /* object whose members go into samp.json (where a plan came from); NULL */
    bool force;      /* replace an existing folder */
    bool start_over; /* do not continue a killed run */
    /* Not NULL: nothing is written; this gets the sizes, and its files are released by the caller.
     * The folder may then be NULL. */
    samp_quantize_sizes *dry_run;
} samp_quantize_options;

/* Writes folder; a killed run is continued by the next one with the same source and options, and
 * the result is the same bytes. Errors: SAMP_NUMERIC names the weight that is NaN, infinite or out
 * of a float format's range; SAMP_UNSUPPORTED when the model is quantized already. Progress:
 * "quantize", bytes of the source. */
samp_status samp_quantize(const char *model_folder, const char *folder,
                          const samp_quantize_options *options, const samp_progress *progress,
                          samp_error *error);

#endif

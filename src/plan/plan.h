/* A plan: one number format, rounding and input precision for every group of weights, chosen so that the predicted KL
 * divergence is least within a budget of bytes (and of time a token on named hardware).
 *
 * The plan file is a small JSON a person can read, edit and commit; `modules` is what `samp quantize --plan` reads. */
#ifndef SAMP_PLAN_PLAN_H
#define SAMP_PLAN_PLAN_H

#include "plan/hardware.h"
#include "plan/sensitivity.h"
#include "plan/solver.h"

enum { SAMP_PLAN_PINS_MAX = 64 };

/* "head=int8", "layers.0.*=fp16": groups whose name fits the pattern (* stands for anything) get this format; "head" fits
 * both parts of a head cut in two. */
typedef struct samp_plan_pin {
    const char *pattern;
    size_t pattern_length;
    const samp_format *format;
} samp_plan_pin;

typedef struct samp_plan_options {
    uint64_t max_bytes;            /* of all files of weights; 0 = no limit */
    double max_seconds;            /* a step, on `hardware`; 0 = no limit */
    const samp_hardware *hardware; /* NULL = any: bytes alone count */
    uint32_t batch;                /* sequences that get a token in a step; 0 = 1 */
    uint32_t positions;            /* each has in the KV cache: attention takes its time */
    bool a16_only; /* else a limit of time may give groups inputs of one INT8 part (a8) */
    samp_plan_pin pins[SAMP_PLAN_PINS_MAX];
    size_t n_pins;
} samp_plan_options;

typedef struct samp_plan_entry {
    const samp_sensitivity_group *group;
    const samp_sensitivity_choice *choice;
    int activation_bits;
    double kl;              /* predicted for the group, bias applied */
    samp_product_time time; /* a step; zeros without hardware */
} samp_plan_entry;

typedef struct samp_plan {
    samp_plan_entry *entries; /* [n_entries], in the order of the sensitivity's groups */
    size_t n_entries;
    uint64_t fixed_bytes;   /* norms and headers, an upper bound to the byte of a few per mille */
    uint64_t weight_bytes;  /* of all groups */
    samp_product_time time; /* sums over the groups; measured when all of them are */
    double attention;       /* seconds of a step, all layers */
    samp_solution solution; /* cost = predicted KL */
} samp_plan;

/* Parses "PATTERN=FORMAT"; SAMP_INVALID names what is wrong. */
samp_status samp_plan_pin_parse(const char *text, samp_plan_pin *out, samp_error *error);
/* The sensitivity must outlive the plan. Errors: SAMP_LIMIT when the budget cannot be met, with the least that can;
 * SAMP_INVALID for a pin that fits no group or excludes all its formats. */
samp_status samp_plan_make(samp_plan *out, const samp_sensitivity *sensitivity,
                           const samp_plan_options *options, samp_error *error);
void samp_plan_release(samp_plan *plan);

/* The Pareto front: plans at n budgets between the smallest and the largest there is, pins, hardware
 * and the limit of time as in options (its max_bytes is ignored). points [n] by bytes, no two alike;
 * *n_points gets how many there are. */
typedef struct samp_plan_point {
    uint64_t bytes;     /* with norms and headers */
    double kl, seconds; /* attention included */
} samp_plan_point;
samp_status samp_plan_front(const samp_sensitivity *sensitivity, const samp_plan_options *options,
                            size_t n, samp_plan_point *points, size_t *n_points, samp_error *error);

json_t *samp_plan_json(const samp_plan *plan, const samp_sensitivity *sensitivity,
                       const samp_plan_options *options);

#endif

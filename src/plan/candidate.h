/* A group of weights in a format it does not have on disk: encoded in memory for a probe, or panel by panel for its
 * error. */
#ifndef SAMP_PLAN_CANDIDATE_H
#define SAMP_PLAN_CANDIDATE_H

#include "base/thread.h"
#include "format/feedback.h"
#include "plan/sensitivity.h"
#include "run/layered.h"

/* All weights of a group in one format, whole in memory. */
typedef struct samp_encoded_group {
    const samp_group *group;
    const samp_format *format;
    int activation_bits;
    samp_layout layouts[SAMP_GROUP_WEIGHTS_MAX];
    void *parts[SAMP_GROUP_WEIGHTS_MAX][SAMP_PARTS_MAX];
} samp_encoded_group;

/* Scales are searched. moment [cols] of the group's input, NULL = all alike; feedback, NULL = none, for formats that
 * take it. */
samp_status samp_encode_group(samp_encoded_group *out, samp_model *model, const samp_group *group,
                              const samp_format *format, const float *moment,
                              const samp_feedback *feedback, samp_pool *pool, samp_error *error);
void samp_encoded_group_release(samp_encoded_group *encoded);
/* Gives a list of encoded groups to samp_layered_*: weights in none of them stay the model's. */
typedef struct samp_encoded_list {
    const samp_encoded_group *const *items;
    size_t count;
} samp_encoded_list;
samp_replace samp_encoded_replace(const samp_encoded_list *list);

/* One candidate of samp_group_errors. */
typedef struct samp_candidate {
    const samp_format *format;
    samp_rounding rounding;
    bool plain; /* the search takes all input channels alike; the error is weighted all the same */
    double error; /* out: squared error of the outputs over their square */
} samp_candidate;

/* What the inputs of a group are like. */
typedef struct samp_input_shape {
    const float *moment; /* [cols] mean of x^2, NULL = all alike */
    const samp_feedback
        *feedback; /* how they go together, with d; NULL = channels taken as independent */
} samp_input_shape;

/* Fills the errors of n candidates in one pass over the group's weights, 64 rows at a time on all threads (formats whose
 * scales span a whole tensor are judged on those rows alone: NF4's offset, a difference of no weight here). Of a weight
 * with more than 512 rows every so many panels stand for all.
 * column_square [cols] gets the sum of W^2 a column over the sum of the outputs' squares, for the error of a rounded
 * input; NULL = not wanted. */
samp_status samp_group_errors(samp_model *model, const samp_group *group,
                              const samp_input_shape *input, samp_candidate *candidates, size_t n,
                              double *column_square, samp_pool *pool, samp_error *error);

#endif

/* A group of weights in a format it does not have on disk: encoded in memory for a probe, or panel by panel for its
 * error. */
#ifndef SAMP_PLAN_CANDIDATE_H
#define SAMP_PLAN_CANDIDATE_H

#include "base/thread.h"
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

/* moment [cols] of the group's input, NULL = all alike; search as samp_encode_options. */
samp_status samp_encode_group(samp_encoded_group *out, samp_model *model, const samp_group *group,
                              const samp_format *format, const float *moment, bool search,
                              samp_pool *pool, samp_error *error);
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
    samp_rounding rounding; /* ABSMAX or SEARCH */
    bool plain; /* the search takes all input channels alike; the error is weighted all the same */
    double error; /* out: sum moment*dW^2 over sum moment*W^2 */
} samp_candidate;

/* Fills the errors of n candidates in one pass over the group's weights, 64 rows at a time on all threads (formats whose
 * scales span a whole tensor are judged on those rows alone: NF4's offset, a difference of no weight here).
 * column_square [cols] gets the sum of W^2 a column, for the error of a rounded input; NULL = not wanted. */
samp_status samp_group_errors(samp_model *model, const samp_group *group, const float *moment,
                              samp_candidate *candidates, size_t n, double *column_square,
                              samp_pool *pool, samp_error *error);

#endif

/* Multiple choice: a model's answers to a task, how many are right, and what another model changes.
 *
 * As in lm-evaluation-harness the answer is the choice with the highest log-likelihood (acc), or
 * with the highest one a character (acc_norm); the first of equals. */
#ifndef SAMP_EVAL_CHOICES_H
#define SAMP_EVAL_CHOICES_H

#include "base/clock.h"
#include "eval/likelihood.h"
#include "eval/statistics.h"
#include "eval/task.h"

enum { SAMP_SUBJECTS_MAX = 1024 };

typedef struct samp_answer {
    double *log_likelihoods; /* [n_choices] nats */
    uint32_t picked, picked_norm;
    bool cut; /* the prompt was too long, tokens were dropped from its left */
} samp_answer;

typedef struct samp_answers {
    samp_answer *items; /* [n], n as the task has questions */
    size_t n;
    uint64_t n_fed; /* tokens */
    samp_arena arena;
} samp_answers;

/* Answers every question after `shots` examples of dev (NULL when 0). Progress: "answer",
 * questions. On failure nothing is kept. */
samp_status samp_answer_task(samp_scorer *scorer, const samp_task *task, const samp_task *dev,
                             uint32_t shots, const samp_progress *progress, samp_answers *out,
                             samp_error *error);
void samp_answers_release(samp_answers *answers);

typedef struct samp_tally {
    const char *subject; /* points into the task; NULL for all together */
    size_t n, right, right_norm, n_cut;
    bool compared; /* the rest is filled */
    size_t baseline_right, baseline_right_norm;
    size_t lost, gained; /* right with the baseline only, with the candidate only */
    size_t changed;      /* another choice was picked, right or wrong */
} samp_tally;

typedef struct samp_tallies {
    samp_tally all;
    samp_tally *subjects; /* [n_subjects], in order of appearance */
    size_t n_subjects;
    bool by_length; /* some choices differ in length: acc_norm says something of its own */
} samp_tallies;

/* baseline may be NULL. SAMP_LIMIT for more than SAMP_SUBJECTS_MAX subjects. */
samp_status samp_tally_answers(const samp_task *task, const samp_answers *candidate,
                               const samp_answers *baseline, samp_tallies *out, samp_error *error);
void samp_tallies_release(samp_tallies *tallies);

#endif

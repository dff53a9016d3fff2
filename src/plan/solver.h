/* The allocation problem: for each group of tensors pick one number format so that the sum of
 * predicted costs is least and bytes (and seconds, when limited) stay within the budget. A
 * multiple-choice knapsack with one or two constraints.
 *
 * Method: the Lagrangian dual gives multipliers and a lower bound; its picks, repaired and
 * improved, an upper bound; choices whose reduced cost lifts the bound over it are struck out; a
 * dynamic program over Pareto-optimal partial sums decides among what is left, pruned by the same
 * bound. Exact unless a level would hold more than SAMP_SOLVE_LABELS sums; then the best by bound
 * are kept, and cost - bound says how much could be lost. */
#ifndef SAMP_PLAN_SOLVER_H
#define SAMP_PLAN_SOLVER_H

#include "base/error.h"

#include <stdint.h>

enum { SAMP_SOLVE_LABELS = 1 << 16, SAMP_SOLVE_CHOICES_MAX = 64, SAMP_SOLVE_GROUPS_MAX = 1 << 16 };

typedef struct samp_choice {
    uint64_t bytes;
    double cost;    /* finite; nats of KL divergence in a plan */
    double seconds; /* finite, at least 0; time a token on the named hardware */
} samp_choice;

typedef struct samp_choice_group {
    const samp_choice *choices;
    uint32_t n_choices; /* 1 … SAMP_SOLVE_CHOICES_MAX */
} samp_choice_group;

typedef struct samp_solution {
    double cost, bound; /* bound <= best possible cost <= cost */
    uint64_t bytes;
    double seconds;
    bool exact;           /* cost is the best possible */
    double price_of_byte; /* Lagrange multiplier: cost one more byte would save, about */
    double price_of_second;
} samp_solution;

/* max_seconds 0 = no limit. picks [n_groups] gets the chosen indices. Errors: SAMP_LIMIT when the
 * budget cannot be met, with the least bytes (and seconds) that can; SAMP_INVALID for a bad
 * instance; SAMP_NOMEM. */
samp_status samp_solve(const samp_choice_group *groups, size_t n_groups, uint64_t max_bytes,
                       double max_seconds, uint32_t *picks, samp_solution *out, samp_error *error);

#endif

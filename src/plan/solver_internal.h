/* What the two halves of the solver share. */
#ifndef SAMP_PLAN_SOLVER_INTERNAL_H
#define SAMP_PLAN_SOLVER_INTERNAL_H

#include "plan/solver.h"

typedef struct totals {
    uint64_t bytes;
    double cost, seconds;
} totals;

typedef struct solver {
    const samp_choice_group *groups;
    size_t n_groups;
    uint64_t max_bytes;
    double max_seconds;            /* 0 = no limit */
    double lambda_scale, mu_scale; /* where the search for multipliers starts */
    double bound, lambda, mu;      /* best Lagrangian bound and its multipliers */
    uint32_t *trial;               /* [n_groups] scratch */
    uint32_t *picks; /* [n_groups] best feasible picks; best.cost is INFINITY before any */
    totals best;
    bool exact;
} solver;

totals solver__totals(const solver *s, const uint32_t *picks);
/* Proves or betters s->picks; sets s->exact. */
samp_status solver__search(solver *s, samp_error *error);

#endif

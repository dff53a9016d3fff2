/* What serving costs: dollars a token, a month and a year, from measured throughput and the prices
 * a user gives. Pure arithmetic; nothing here is measured or assumed about a machine. */
#ifndef SAMP_PLAN_COST_H
#define SAMP_PLAN_COST_H

#include "base/error.h"

typedef struct samp_cost_input {
    double price_per_hour;    /* dollars an hour for all machines of this deployment */
    double tokens_per_second; /* measured, of the whole deployment, at full load */
    double utilization;       /* share of the time it really works at that rate, 0 < u <= 1 */
    double hours_per_month;   /* the article's month is 720 = 30 days */
} samp_cost_input;

typedef struct samp_cost {
    double per_token, per_million_tokens; /* dollars; zero tokens_per_second is refused */
    double per_month;                     /* dollars */
    double tokens_per_month;
} samp_cost;

/* SAMP_INVALID names the number that is out of range. tokens_per_second may be 0: then the
 * per-token figures are 0 and only the bill is computed. */
samp_status samp_cost_compute(const samp_cost_input *input, samp_cost *out, samp_error *error);

typedef struct samp_savings {
    double per_month, per_year; /* dollars; negative when the candidate costs more */
    double share;               /* of the baseline's bill, 0.75 = three quarters saved */
    double payback_months;      /* one_time_cost / per_month; -1 when it never pays back */
} samp_savings;

samp_savings samp_cost_compare(const samp_cost *baseline, const samp_cost *candidate,
                               double one_time_cost);

#endif

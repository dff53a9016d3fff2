/* What serving costs: plain arithmetic with the ranges checked. */
#include "plan/cost.h"

#include <math.h>

static samp_status check(double value, double min, double max, const char *what, samp_error *error)
{
    if (isfinite(value) && value >= min && value <= max) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID, "%s is %g, expected %g to %g", what, value, min, max);
}

samp_status samp_cost_compute(const samp_cost_input *input, samp_cost *out, samp_error *error)
{
    SAMP_TRY(check(input->price_per_hour, 0, 1e9, "the price per hour", error));
    SAMP_TRY(
        check(input->tokens_per_second, 0, 1e12, "the throughput in tokens per second", error));
    SAMP_TRY(check(input->utilization, 1e-6, 1, "the utilization", error));
    SAMP_TRY(check(input->hours_per_month, 1, 744, "the hours per month", error));
    double tokens_per_hour = input->tokens_per_second * input->utilization * 3600;
    *out = (samp_cost){.per_month = input->price_per_hour * input->hours_per_month,
                       .tokens_per_month = tokens_per_hour * input->hours_per_month};
    if (tokens_per_hour > 0) {
        out->per_token = input->price_per_hour / tokens_per_hour;
        out->per_million_tokens = out->per_token * 1e6;
    }
    return SAMP_OK;
}

samp_savings samp_cost_compare(const samp_cost *baseline, const samp_cost *candidate,
                               double one_time_cost)
{
    samp_savings savings = {.per_month = baseline->per_month - candidate->per_month};
    savings.per_year = savings.per_month * 12;
    savings.share = baseline->per_month > 0 ? savings.per_month / baseline->per_month : 0;
    savings.payback_months = savings.per_month > 0 ? one_time_cost / savings.per_month : -1;
    return savings;
}

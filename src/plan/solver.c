/* Multiple-choice knapsack: Lagrangian bound and a first solution here, the exact search in
 * solver_search.c. */
#include "plan/solver_internal.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Totals of the picks that minimise cost + lambda*bytes + mu*seconds; ties take fewer bytes, then
 * fewer seconds. */
static void lagrangian(const solver *s, double lambda, double mu, uint32_t *picks, totals *sum,
                       double *value)
{
    *sum = (totals){0};
    double dual = 0;
    for (size_t g = 0; g < s->n_groups; g++) {
        const samp_choice *c = s->groups[g].choices;
        uint32_t best = 0;
        double least = INFINITY;
        for (uint32_t i = 0; i < s->groups[g].n_choices; i++) {
            double score = c[i].cost + lambda * (double)c[i].bytes + mu * c[i].seconds;
            bool tie =
                score == least && (c[i].bytes < c[best].bytes ||
                                   (c[i].bytes == c[best].bytes && c[i].seconds < c[best].seconds));
            if (score < least || tie) least = score, best = i;
        }
        picks[g] = best;
        dual += least;
        sum->bytes += c[best].bytes;
        sum->cost += c[best].cost;
        sum->seconds += c[best].seconds;
    }
    *value = dual - lambda * (double)s->max_bytes - (s->max_seconds > 0 ? mu * s->max_seconds : 0);
}

static bool fits(const solver *s, const totals *sum)
{
    return sum->bytes <= s->max_bytes && (s->max_seconds <= 0 || sum->seconds <= s->max_seconds);
}

/* Evaluates one pair of multipliers, keeping the best bound and the cheapest feasible picks seen.
 */
static totals try_multipliers(solver *s, double lambda, double mu)
{
    totals sum;
    double value;
    lagrangian(s, lambda, mu, s->trial, &sum, &value);
    if (value > s->bound) s->bound = value, s->lambda = lambda, s->mu = mu;
    if (fits(s, &sum) && sum.cost < s->best.cost) {
        s->best = sum;
        memcpy(s->picks, s->trial, s->n_groups * sizeof *s->picks);
    }
    return sum;
}

/* For a fixed mu: the least lambda whose picks stay within the bytes, by doubling and bisection.
 * Returns their totals. */
static totals search_lambda(solver *s, double mu)
{
    totals sum = try_multipliers(s, 0, mu);
    if (sum.bytes <= s->max_bytes) return sum;
    double low = 0, high = s->lambda_scale;
    for (int i = 0; i < 200 && (sum = try_multipliers(s, high, mu)).bytes > s->max_bytes; i++)
        low = high, high *= 4;
    for (int i = 0; i < 60 && high - low > 1e-12 * high; i++) {
        double middle = (low + high) / 2;
        totals at = try_multipliers(s, middle, mu);
        if (at.bytes > s->max_bytes)
            low = middle;
        else
            high = middle, sum = at;
    }
    return sum;
}

/* Both multipliers: seconds used fall as mu rises; every pair tried gives a valid bound. */
static void search_multipliers(solver *s)
{
    totals sum = search_lambda(s, 0);
    if (s->max_seconds <= 0 || sum.seconds <= s->max_seconds) return;
    double low = 0, high = s->mu_scale;
    for (int i = 0; i < 200 && search_lambda(s, high).seconds > s->max_seconds; i++)
        low = high, high *= 4;
    for (int i = 0; i < 40 && high - low > 1e-9 * high; i++) {
        double middle = (low + high) / 2;
        if (search_lambda(s, middle).seconds > s->max_seconds)
            low = middle;
        else
            high = middle;
    }
}

/* Spends what is left: the change of one group that lowers the cost most and still fits, until
 * there is none. */
static void improve(solver *s)
{
    for (bool changed = s->best.cost < INFINITY; changed;) {
        changed = false;
        double gain = 0;
        size_t group = 0;
        uint32_t pick = 0;
        for (size_t g = 0; g < s->n_groups; g++) {
            const samp_choice *c = s->groups[g].choices, *old = &c[s->picks[g]];
            for (uint32_t i = 0; i < s->groups[g].n_choices; i++) {
                totals sum = {s->best.bytes - old->bytes + c[i].bytes,
                              s->best.cost - old->cost + c[i].cost,
                              s->best.seconds - old->seconds + c[i].seconds};
                if (old->cost - c[i].cost > gain && fits(s, &sum))
                    gain = old->cost - c[i].cost, group = g, pick = i;
            }
        }
        if (gain > 0) {
            s->picks[group] = pick;
            s->best = solver__totals(s, s->picks);
            changed = true;
        }
    }
}

totals solver__totals(const solver *s, const uint32_t *picks)
{
    totals sum = {0};
    for (size_t g = 0; g < s->n_groups; g++) {
        const samp_choice *c = &s->groups[g].choices[picks[g]];
        sum.bytes += c->bytes;
        sum.cost += c->cost;
        sum.seconds += c->seconds;
    }
    return sum;
}

static samp_status check_instance(solver *s, samp_error *error)
{
    if (s->n_groups == 0 || s->n_groups > SAMP_SOLVE_GROUPS_MAX)
        return samp_fail(error, SAMP_INVALID, "a plan has %zu groups, expected 1 to %d",
                         s->n_groups, SAMP_SOLVE_GROUPS_MAX);
    double cost_range = 0, least_seconds = 0;
    uint64_t least_bytes = 0;
    for (size_t g = 0; g < s->n_groups; g++) {
        const samp_choice_group *group = &s->groups[g];
        if (group->n_choices == 0 || group->n_choices > SAMP_SOLVE_CHOICES_MAX)
            return samp_fail(error, SAMP_INVALID, "group %zu has %u choices, expected 1 to %d", g,
                             group->n_choices, SAMP_SOLVE_CHOICES_MAX);
        double low = INFINITY, high = -INFINITY, seconds = INFINITY;
        uint64_t bytes = UINT64_MAX;
        for (uint32_t i = 0; i < group->n_choices; i++) {
            const samp_choice *c = &group->choices[i];
            if (!isfinite(c->cost) || !isfinite(c->seconds) || c->seconds < 0 ||
                c->bytes > UINT64_MAX / SAMP_SOLVE_GROUPS_MAX)
                return samp_fail(
                    error, SAMP_INVALID,
                    "choice %u of group %zu has cost %g, %g seconds, %llu bytes: not usable", i, g,
                    c->cost, c->seconds, (unsigned long long)c->bytes);
            low = fmin(low, c->cost), high = fmax(high, c->cost),
            seconds = fmin(seconds, c->seconds);
            if (c->bytes < bytes) bytes = c->bytes;
        }
        cost_range += high - low;
        least_bytes += bytes;
        least_seconds += seconds;
    }
    if (least_bytes > s->max_bytes)
        return samp_fail(
            error, SAMP_LIMIT,
            "a budget of %llu bytes cannot be met: the smallest formats allowed need %llu bytes",
            (unsigned long long)s->max_bytes, (unsigned long long)least_bytes);
    if (s->max_seconds > 0 && least_seconds > s->max_seconds)
        return samp_fail(
            error, SAMP_LIMIT,
            "a limit of %g seconds a token cannot be met: the fastest formats allowed need %g",
            s->max_seconds, least_seconds);
    s->lambda_scale = (cost_range > 0 ? cost_range : 1) / ((double)s->max_bytes + 1) * 1e-3;
    s->mu_scale =
        s->max_seconds > 0 ? (cost_range > 0 ? cost_range : 1) / s->max_seconds * 1e-3 : 0;
    return SAMP_OK;
}

samp_status samp_solve(const samp_choice_group *groups, size_t n_groups, uint64_t max_bytes,
                       double max_seconds, uint32_t *picks, samp_solution *out, samp_error *error)
{
    solver s = {.groups = groups,
                .n_groups = n_groups,
                .max_bytes = max_bytes,
                .max_seconds = max_seconds,
                .picks = picks,
                .bound = -INFINITY,
                .best = {0, INFINITY, 0}};
    SAMP_TRY(check_instance(&s, error));
    s.trial = samp_alloc(n_groups, sizeof *s.trial);
    if (!s.trial)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a plan of %zu groups", n_groups);
    search_multipliers(&s);
    improve(&s);
    samp_status status = solver__search(&s, error);
    samp_free(s.trial);
    if (status != SAMP_OK) return status;
    if (s.best.cost == INFINITY) /* each limit alone is possible: check_instance saw to that */
        return samp_fail(
            error, SAMP_LIMIT,
            "%llu bytes and %g seconds a token cannot be met together; raise one of them",
            (unsigned long long)max_bytes, max_seconds);
    *out = (samp_solution){.cost = s.best.cost,
                           .bound = s.exact ? s.best.cost : fmin(s.bound, s.best.cost),
                           .bytes = s.best.bytes,
                           .seconds = s.best.seconds,
                           .exact = s.exact,
                           .price_of_byte = s.lambda,
                           .price_of_second = s.mu};
    return SAMP_OK;
}

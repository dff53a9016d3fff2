/* The exact half of the solver: a dynamic program over partial sums ("labels"), group by group.
 *
 * Reduced cost of a choice = its Lagrangian score minus its group's least. For any set of picks,
 * cost >= bound + sum of their reduced costs, so a label whose bound + reduced sum is not below the
 * best known cost can go; so can one that another label beats in bytes, seconds and cost. */
#include "plan/solver_internal.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct label {
    uint64_t bytes;
    double cost, seconds, reduced;
    uint32_t parent; /* label of the level before */
    uint32_t pick;
} label;

/* What is kept of a level to walk back from the best label. */
typedef struct step {
    uint32_t parent, pick;
} step;

typedef struct search {
    solver *s;
    double *reduced;       /* choices of all groups, one after another */
    size_t *first;         /* [n_groups] where a group's choices start in reduced */
    size_t *order;         /* [n_groups] groups with most to decide first */
    uint64_t *least_bytes; /* [n_groups+1] least bytes of order[i…] */
    double *least_seconds;
    step **steps; /* [n_groups] */
    label *labels, *next;
    size_t n_labels, n_next, capacity, next_capacity;
    bool cut; /* labels were dropped for room */
} search;

/* A relative hair, so that rounding in sums never cuts off an equal or better solution. */
static double slack(const solver *s) { return 1e-12 * (fabs(s->bound) + fabs(s->best.cost)); }

static int by_bytes(const void *a, const void *b)
{
    const label *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static int by_reduced(const void *a, const void *b)
{
    const label *x = a, *y = b;
    return (x->reduced > y->reduced) - (x->reduced < y->reduced);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Labels sorted by bytes; keeps those that no earlier one beats in cost with no more seconds. */
static samp_status drop_dominated(search *d, samp_error *error)
{
    size_t n = d->n_next, kept = 0, n_ranks = 0;
    if (n == 0) return SAMP_OK; /* and there may be no array to sort */
    double *ranks = samp_realloc(NULL, n, sizeof *ranks),
           *tree = samp_realloc(NULL, n + 1, sizeof *tree);
    if (!ranks || !tree) {
        samp_free(ranks);
        samp_free(tree);
        return samp_fail(error, SAMP_NOMEM, "out of memory for %zu partial plans", n);
    }
    qsort(d->next, n, sizeof *d->next, by_bytes);
    for (size_t i = 0; i < n; i++) ranks[i] = d->next[i].seconds, tree[i + 1] = INFINITY;
    qsort(ranks, n, sizeof *ranks, compare_doubles);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || ranks[i] != ranks[n_ranks - 1]) ranks[n_ranks++] = ranks[i];
    for (size_t i = 0; i < n; i++) {
        const label *l = &d->next[i];
        size_t low = 0, high = n_ranks;
        while (high - low > 1) {
            size_t middle = (low + high) / 2;
            if (ranks[middle] <= l->seconds)
                low = middle;
            else
                high = middle;
        }
        double least = INFINITY;
        for (size_t at = low + 1; at; at -= at & -at) least = fmin(least, tree[at]);
        if (least <= l->cost) continue;
        for (size_t at = low + 1; at <= n_ranks; at += at & -at) tree[at] = fmin(tree[at], l->cost);
        d->next[kept++] = *l;
    }
    d->n_next = kept;
    samp_free(ranks);
    samp_free(tree);
    return SAMP_OK;
}

static samp_status push_next(search *d, label l, samp_error *error)
{
    if (d->n_next == d->next_capacity) {
        size_t capacity = d->next_capacity ? d->next_capacity * 2 : 1024;
        label *grown = samp_realloc(d->next, capacity, sizeof *grown);
        if (!grown)
            return samp_fail(error, SAMP_NOMEM, "out of memory for %zu partial plans", capacity);
        d->next = grown;
        d->next_capacity = capacity;
    }
    d->next[d->n_next++] = l;
    return SAMP_OK;
}

/* All labels of level i extended by each choice of its group that can still lead to something
 * better. */
static samp_status expand(search *d, size_t i, samp_error *error)
{
    const solver *s = d->s;
    size_t g = d->order[i];
    double limit = s->best.cost - s->bound + slack(s);
    d->n_next = 0;
    for (size_t l = 0; l < d->n_labels; l++)
        for (uint32_t c = 0; c < s->groups[g].n_choices; c++) {
            const label *from = &d->labels[l];
            const samp_choice *choice = &s->groups[g].choices[c];
            label to = {from->bytes + choice->bytes,
                        from->cost + choice->cost,
                        from->seconds + choice->seconds,
                        from->reduced + d->reduced[d->first[g] + c],
                        (uint32_t)l,
                        c};
            if (to.reduced > limit || to.bytes + d->least_bytes[i + 1] > s->max_bytes ||
                (s->max_seconds > 0 &&
                 to.seconds + d->least_seconds[i + 1] > s->max_seconds * (1 + 1e-12)))
                continue;
            SAMP_TRY(push_next(d, to, error));
        }
    return SAMP_OK;
}

static samp_status advance(search *d, size_t i, samp_error *error)
{
    SAMP_TRY(expand(d, i, error));
    SAMP_TRY(drop_dominated(d, error));
    if (d->n_next > SAMP_SOLVE_LABELS) {
        qsort(d->next, d->n_next, sizeof *d->next, by_reduced);
        d->n_next = SAMP_SOLVE_LABELS;
        d->cut = true;
    }
    d->steps[i] = samp_realloc(NULL, d->n_next, sizeof *d->steps[i]);
    if (!d->steps[i])
        return samp_fail(error, SAMP_NOMEM, "out of memory for %zu partial plans", d->n_next);
    for (size_t l = 0; l < d->n_next; l++)
        d->steps[i][l] = (step){d->next[l].parent, d->next[l].pick};
    label *labels = d->labels;
    size_t capacity = d->capacity;
    d->labels = d->next, d->capacity = d->next_capacity, d->n_labels = d->n_next;
    d->next = labels, d->next_capacity = capacity;
    return SAMP_OK;
}

/* The best complete label replaces the picks when it is better. */
static void take_best(search *d)
{
    solver *s = d->s;
    size_t best = SIZE_MAX;
    for (size_t l = 0; l < d->n_labels; l++)
        if (best == SIZE_MAX || d->labels[l].cost < d->labels[best].cost) best = l;
    if (best == SIZE_MAX || d->labels[best].cost >= s->best.cost) return;
    for (size_t i = s->n_groups; i--;) {
        s->picks[d->order[i]] = d->steps[i][best].pick;
        best = d->steps[i][best].parent;
    }
    s->best = solver__totals(s, s->picks);
}

/* Groups sorted by how many choices survive the bound, most first: labels stay few while the sums
 * are small. */
static void sort_groups(search *d)
{
    const solver *s = d->s;
    double limit = s->best.cost - s->bound + slack(s);
    size_t at = 0;
    for (uint32_t wanted = SAMP_SOLVE_CHOICES_MAX + 1; wanted--;)
        for (size_t g = 0; g < s->n_groups; g++) {
            uint32_t alive = 0;
            for (uint32_t c = 0; c < s->groups[g].n_choices; c++)
                alive += d->reduced[d->first[g] + c] <= limit;
            if (alive == wanted) d->order[at++] = g;
        }
}

static void fill_suffixes(search *d)
{
    const solver *s = d->s;
    d->least_bytes[s->n_groups] = 0;
    d->least_seconds[s->n_groups] = 0;
    for (size_t i = s->n_groups; i--;) {
        const samp_choice_group *group = &s->groups[d->order[i]];
        uint64_t bytes = UINT64_MAX;
        double seconds = INFINITY;
        for (uint32_t c = 0; c < group->n_choices; c++) {
            if (group->choices[c].bytes < bytes) bytes = group->choices[c].bytes;
            seconds = fmin(seconds, group->choices[c].seconds);
        }
        d->least_bytes[i] = d->least_bytes[i + 1] + bytes;
        d->least_seconds[i] = d->least_seconds[i + 1] + seconds;
    }
}

static samp_status prepare(search *d, samp_error *error)
{
    const solver *s = d->s;
    size_t n_choices = 0;
    for (size_t g = 0; g < s->n_groups; g++) n_choices += s->groups[g].n_choices;
    d->reduced = samp_alloc(n_choices, sizeof *d->reduced);
    d->first = samp_alloc(s->n_groups, sizeof *d->first);
    d->order = samp_alloc(s->n_groups, sizeof *d->order);
    d->least_bytes = samp_alloc(s->n_groups + 1, sizeof *d->least_bytes);
    d->least_seconds = samp_alloc(s->n_groups + 1, sizeof *d->least_seconds);
    d->steps = samp_alloc(s->n_groups, sizeof *d->steps);
    d->labels = samp_alloc(1, sizeof *d->labels);
    if (!d->reduced || !d->first || !d->order || !d->least_bytes || !d->least_seconds ||
        !d->steps || !d->labels)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a plan of %zu groups", s->n_groups);
    size_t at = 0;
    for (size_t g = 0; g < s->n_groups; g++) {
        double least = INFINITY;
        d->first[g] = at;
        for (uint32_t c = 0; c < s->groups[g].n_choices; c++, at++) {
            const samp_choice *choice = &s->groups[g].choices[c];
            d->reduced[at] =
                choice->cost + s->lambda * (double)choice->bytes + s->mu * choice->seconds;
            least = fmin(least, d->reduced[at]);
        }
        for (size_t i = d->first[g]; i < at; i++) d->reduced[i] -= least;
    }
    sort_groups(d);
    fill_suffixes(d);
    d->n_labels = d->capacity = 1; /* the empty sum, zeroed */
    return SAMP_OK;
}

samp_status solver__search(solver *s, samp_error *error)
{
    search d = {.s = s};
    samp_status status = prepare(&d, error);
    for (size_t i = 0; i < s->n_groups && status == SAMP_OK; i++) status = advance(&d, i, error);
    if (status == SAMP_OK) {
        take_best(&d);
        s->exact = !d.cut;
    }
    for (size_t i = 0; d.steps && i < s->n_groups; i++) samp_free(d.steps[i]);
    samp_free(d.steps);
    samp_free(d.reduced);
    samp_free(d.first);
    samp_free(d.order);
    samp_free(d.least_bytes);
    samp_free(d.least_seconds);
    samp_free(d.labels);
    samp_free(d.next);
    return status;
}

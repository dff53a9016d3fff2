/* Groups, formats, predictions and strata of the report, from the artifact and its sensitivity. */
#include "command/html_gather.h"

#include "base/hash.h"

#include <math.h>
#include <string.h>

/* What the plan would be judged by: the base format is the 4-bit one every group was probed in. */
static const samp_format *base_format(void) { return samp_format_get(SAMP_FORMAT_NF4A); }

/* Of the ways to round to a format the best, as the plan would take it. */
static double best_kl(const samp_sensitivity_group *group, const samp_format *format)
{
    double best = NAN;
    for (uint32_t c = 0; c < group->n_choices; c++)
        if (group->choices[c].format == format && !(group->choices[c].kl >= best))
            best = group->choices[c].kl;
    return best;
}

/* A head that is stored as one weight may have been measured as two groups. */
static double predicted_kl(const samp_sensitivity *s, const char *name, const samp_format *format)
{
    bool head = strcmp(name, samp_group_kind_name(SAMP_GROUP_HEAD)) == 0, any = false;
    double sum = 0;
    for (size_t g = 0; g < s->n_groups; g++) {
        const samp_sensitivity_group *group = &s->groups[g];
        if (strcmp(group->name, name) != 0 && !(head && group->kind == SAMP_GROUP_HEAD)) continue;
        sum += best_kl(group, format);
        any = true;
    }
    return any ? sum * s->bias : NAN;
}

static samp_status list_groups(html_gather *g, samp_error *error)
{
    samp_group *groups;
    size_t n;
    SAMP_TRY(samp_groups_of(g->model, &groups, &n, error));
    g->groups = samp_arena_alloc(&g->arena, n, sizeof *g->groups);
    for (size_t i = 0; i < n && g->groups; i++) {
        samp_report_group *out = &g->groups[i];
        const samp_weight_ref *first = groups[i].weights[0];
        memcpy(out->name, groups[i].name, sizeof out->name);
        out->kind = groups[i].kind;
        out->layer = groups[i].layer;
        out->format = first->format;
        out->activation_bits = first->activation_bits ? first->activation_bits : 16;
        for (uint32_t w = 0; w < groups[i].n_weights; w++) {
            const samp_layout *layout = &groups[i].weights[w]->layout;
            out->bytes += (double)layout->bytes;
            out->weights += (double)layout->rows * (double)layout->cols;
        }
        out->base_kl = predicted_kl(&g->s, out->name, base_format());
        out->kl = predicted_kl(&g->s, out->name, out->format);
    }
    samp_free(groups);
    if (!g->groups) return samp_fail(error, SAMP_NOMEM, "out of memory for the report");
    g->report.groups = g->groups;
    g->report.n_groups = n;
    return SAMP_OK;
}

static samp_status draw_front(html_gather *g, samp_error *error)
{
    samp_plan_options any = {0};
    samp_plan_point points[HTML_FRONT];
    size_t n = 0;
    SAMP_TRY(samp_plan_front(&g->s, &any, HTML_FRONT, points, &n, error));
    for (size_t i = 0; i < n; i++) {
        g->front_bytes[i] = (double)points[i].bytes;
        g->front_kl[i] = points[i].kl;
    }
    g->report.front_bytes = g->front_bytes;
    g->report.front_kl = g->front_kl;
    g->report.n_front = n;
    return SAMP_OK;
}

static samp_report_share *share_of(html_gather *g, const char *name)
{
    for (size_t i = 0; i < g->report.n_shares; i++)
        if (strcmp(g->shares[i].name, name) == 0) return &g->shares[i];
    if (g->report.n_shares == HTML_SHARES_MAX) return NULL;
    samp_report_share *share = &g->shares[g->report.n_shares++];
    *share = (samp_report_share){samp__html_text(g, "%s", name), 0, 0};
    return share;
}

/* By tokens: what was measured on, and what was evaluated. */
static void set_shares(html_gather *g)
{
    json_t *strata = json_object_get(g->s.strata, "strata"), *row;
    const char *name;
    double total = 0, scored = 0;
    json_object_foreach(strata, name, row) total +=
        json_number_value(json_object_get(row, "tokens"));
    json_object_foreach(strata, name, row)
    {
        samp_report_share *share = share_of(g, name);
        if (share && total > 0)
            share->calibration = json_number_value(json_object_get(row, "tokens")) / total;
    }
    for (size_t i = 0; i < g->report.n_texts; i++) scored += (double)g->texts[i].result.n_scored;
    for (size_t i = 0; i < g->report.n_texts; i++) {
        samp_report_share *share = share_of(g, g->texts[i].name);
        if (share) share->evaluation += (double)g->texts[i].result.n_scored / scored;
    }
    for (size_t i = 0; i < g->report.n_shares; i++) {
        if (total == 0) g->shares[i].calibration = NAN;
        if (scored == 0) g->shares[i].evaluation = NAN;
    }
}

samp_status samp__html_plan(html_gather *g, samp_error *error)
{
    char digest[SAMP_SHA256_HEX];
    g->report.base_format = base_format()->name;
    if (g->in->sensitivity) {
        SAMP_TRY(samp_sensitivity_load(&g->s, g->in->sensitivity, error));
        SAMP_TRY(samp_model_digest(g->model, digest, error));
        if (strcmp(digest, g->s.model_digest) != 0)
            return samp_fail(error, SAMP_MISMATCH,
                             "%s was measured on another model than %s (shapes or config.json "
                             "differ)",
                             g->in->sensitivity, g->in->artifact);
        SAMP_TRY(draw_front(g, error));
        set_shares(g);
    }
    return list_groups(g, error);
}

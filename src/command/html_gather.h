/* What the parts of samp_html_report_write share. */
#ifndef SAMP_COMMAND_HTML_GATHER_H
#define SAMP_COMMAND_HTML_GATHER_H

#include "base/memory.h"
#include "quantize/about.h"
#include "command/html_report.h"
#include "plan/plan.h"

enum { HTML_POINTS_MAX = 256, HTML_FACTS_MAX = 48, HTML_SHARES_MAX = 32, HTML_FRONT = 40 };

typedef struct html_gather {
    const samp_html_inputs *in;
    samp_arena arena; /* names and texts */
    samp_report report;
    samp_model *model;
    samp_about about[2]; /* original, this */
    samp_sensitivity s;  /* zeroed when not given */
    samp_report_group *groups;
    samp_report_text texts[SAMP_REPORT_STRATA_MAX];
    const char *strata[SAMP_REPORT_STRATA_MAX];
    samp_report_point points[HTML_POINTS_MAX];
    samp_report_share shares[HTML_SHARES_MAX];
    samp_report_fact facts[HTML_FACTS_MAX];
    double front_bytes[HTML_FRONT], front_kl[HTML_FRONT];
} html_gather;

/* A copy in the arena, formatted; "" when out of memory. */
const char *samp__html_text(html_gather *g, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Index of a stratum by name, added when it is new; -1 when there are too many. */
int samp__html_stratum(html_gather *g, const char *name);

/* Points: this artifact, the evaluations and the peers. */
samp_status samp__html_points(html_gather *g, samp_error *error);
/* The same as a table for a terminal. */
void samp__html_print_points(const html_gather *g, FILE *out);
/* Groups of the artifact with their formats, predictions, the front, shares of strata. */
samp_status samp__html_plan(html_gather *g, samp_error *error);
/* Where everything is from. */
samp_status samp__html_facts(html_gather *g, samp_error *error);

#endif

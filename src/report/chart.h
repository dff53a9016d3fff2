/* The charts of the report, each a function of its data. */
#ifndef SAMP_REPORT_CHART_H
#define SAMP_REPORT_CHART_H

#include "report/draw.h"
#include "report/report.h"

/* Layers from left to right, groups from top to bottom. */
void samp__chart_sensitivity(samp_markup *m, const samp_report *report);
void samp__chart_plan(samp_markup *m, const samp_report *report);
/* Bytes a format takes of the whole, as one bar. */
void samp__chart_bytes(samp_markup *m, const samp_report *report);

/* Whether there is anything to draw. */
bool samp__front_wanted(const samp_report *report);
/* One panel over all texts, or one for each stratum that peers were measured on. */
void samp__chart_front(samp_markup *m, const samp_report *report);
bool samp__predicted_wanted(const samp_report *report);
void samp__chart_predicted(samp_markup *m, const samp_report *report);

/* A line with a dot: an interval of KL divergence on a common scale, for a cell of a table. */
void samp__chart_interval(samp_markup *m, samp_estimate kl, const samp_range *range);
void samp__chart_strata(samp_markup *m, const samp_report *report);

#endif

/* The report as one self-contained HTML file: text, tables, SVG, no script, nothing from the
 * network, light and dark by what the reader's system prefers, and fit to be printed.
 *
 * The caller gathers figures and keeps what they point to; this room only draws. A number that is
 * not known is NAN and leaves a gap, never a zero. A section without data is left out. */
#ifndef SAMP_REPORT_REPORT_H
#define SAMP_REPORT_REPORT_H

#include "base/buffer.h"
#include "eval/eval.h"
#include "plan/group.h"

enum { SAMP_REPORT_STRATA_MAX = 16 };

/* One group of weights, in the order layer by layer, then embedding and head. */
typedef struct samp_report_group {
    char name[40];
    samp_group_kind kind;
    uint32_t layer;
    const samp_format *format; /* it has in the artifact */
    int activation_bits;
    double weights, bytes;
    double base_kl; /* predicted for the base format, alone; NAN = not measured */
    double kl;      /* predicted for its format; NAN = not measured */
} samp_report_group;

/* A model on the chart of bytes against KL divergence. */
typedef enum samp_report_kind {
    SAMP_REPORT_THIS,   /* the artifact the report is about */
    SAMP_REPORT_PLAN,   /* other artifacts with a plan */
    SAMP_REPORT_RECIPE, /* artifacts of a fixed recipe */
    SAMP_REPORT_PEER    /* other programs' files */
} samp_report_kind;

typedef struct samp_report_point {
    const char *name;
    samp_report_kind kind;
    double bytes;        /* of weights */
    double predicted_kl; /* NAN = none */
    samp_estimate all;   /* measured over all texts; value NAN = not measured */
    samp_estimate kl[SAMP_REPORT_STRATA_MAX]; /* by stratum of the report; value NAN = none */
} samp_report_point;

/* A row of the table of sizes and speed. */
typedef struct samp_report_row {
    char name[48], before[32], after[32], change[32];
} samp_report_row;

typedef struct samp_report_text {
    const char *name;
    samp_eval_result result; /* compared */
} samp_report_text;

/* A stratum's shares, 0 … 1; NAN = unknown. */
typedef struct samp_report_share {
    const char *name;
    double calibration, evaluation;
} samp_report_share;

typedef struct samp_report_fact {
    const char *name, *value;
} samp_report_fact;

typedef struct samp_report {
    const char *model, *baseline;               /* names for people */
    const char *base_format;                    /* of base_kl */
    const char *when_and_where;                 /* "2026-11-24, samp 0.1.0, AMD EPYC …" */
    double weight_bytes[2], bits[2], decode[2]; /* original, this; decode in tokens a second */
    double predicted_kl;
    samp_eval_result all; /* pooled; n_scored 0 = not evaluated */
    const char *notes;    /* paragraph for what the reader must know; NULL = none */

    const samp_report_row *rows;
    size_t n_rows;
    const samp_report_text *texts;
    size_t n_texts;
    const samp_report_group *groups;
    size_t n_groups;
    const double *front_bytes, *front_kl; /* [n_front], by bytes */
    size_t n_front;
    const char *const *strata; /* [n_strata] that points were measured on */
    size_t n_strata;
    const samp_report_point *points;
    size_t n_points;
    const samp_report_share *shares;
    size_t n_shares;
    const samp_report_fact *facts;
    size_t n_facts;
} samp_report;

/* Appends the whole document. Errors: SAMP_NOMEM. */
samp_status samp_report_html(const samp_report *report, samp_buffer *out, samp_error *error);

#endif

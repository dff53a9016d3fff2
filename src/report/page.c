/* The document: a headline, the figures it rests on, charts, and where every number is from. */
#include "report/report.h"

#include "base/show.h"
#include "report/chart.h"
#include "report/style.h"

#include <math.h>
#include <stdio.h>

static void begin_section(samp_markup *m, const char *title, const char *note)
{
    samp_markup_open(m, "section");
    samp_markup_element(m, "h2", NULL, title);
    if (note) samp_markup_element(m, "p", "note", note);
}

static bool known(const double pair[2])
{
    return isfinite(pair[0]) && isfinite(pair[1]) && pair[0] > 0 && pair[1] > 0;
}

/* ---- the head -------------------------------------------------------------------------------- */

/* What was gained, at which cost. */
static void write_headline(samp_markup *m, const samp_report *r)
{
    char before[32], after[32], text[64];
    samp_markup_open(m, "p");
    samp_markup_attribute(m, "class", "headline");
    if (known(r->weight_bytes))
        samp_markup_textf(m, "%s of weights instead of %s: %.1f %% less",
                          samp_show_bytes(after, r->weight_bytes[1]),
                          samp_show_bytes(before, r->weight_bytes[0]),
                          100 - 100 * r->weight_bytes[1] / r->weight_bytes[0]);
    else
        samp_markup_text(m, "A quantized model beside its original");
    if (known(r->decode))
        samp_markup_textf(m, ", decoding %.2f times as fast", r->decode[1] / r->decode[0]);
    if (r->all.compared && isfinite(r->all.kl_mean.value) && isfinite(r->all.top1.value)) {
        samp_markup_textf(m, ", for a KL divergence of %s nats a token from the original",
                          samp__show_estimate(text, r->all.kl_mean, 1, ""));
        samp_markup_textf(m, " (the same next token %.1f %% of the time).",
                          100 * r->all.top1.value);
    } else {
        samp_markup_text(m, ".");
    }
    samp_markup_close(m);
    samp_markup_open(m, "p");
    samp_markup_attribute(m, "class", "soft");
    samp_markup_textf(m, "Original: %s. Measured %s", r->baseline, r->when_and_where);
    samp_markup_close(m);
}

static void write_tile(samp_markup *m, const char *value, const char *what)
{
    samp_markup_open(m, "li");
    samp_markup_element(m, "b", NULL, value);
    samp_markup_element(m, "span", NULL, what);
    samp_markup_close(m);
}

static void write_tiles(samp_markup *m, const samp_report *r)
{
    char text[64];
    samp_markup_open(m, "ul");
    samp_markup_attribute(m, "class", "tiles");
    if (known(r->weight_bytes))
        write_tile(m, samp_show_bytes(text, r->weight_bytes[1]), "of weights");
    if (known(r->bits)) {
        snprintf(text, sizeof text, "%.2f", r->bits[1]);
        write_tile(m, text, "bits a weight, scales included");
    }
    if (isfinite(r->predicted_kl))
        write_tile(m, samp__show_kl(text, r->predicted_kl), "KL predicted, nats a token");
    if (r->all.compared) {
        write_tile(m, samp__show_kl(text, r->all.kl_mean.value), "KL measured, nats a token");
        snprintf(text, sizeof text, "%.1f %%", 100 * r->all.top1.value);
        write_tile(m, text, "same most likely token");
        snprintf(text, sizeof text, "%.3f", r->all.perplexity_ratio.value);
        write_tile(m, text, "perplexity over the original's");
    }
    samp_markup_close(m);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void begin_table(samp_markup *m, const char *const *headers, size_t n)
{
    samp_markup_open(m, "div");
    samp_markup_attribute(m, "class", "scroll");
    samp_markup_open(m, "table");
    samp_markup_open(m, "tr");
    for (size_t i = 0; i < n; i++) samp_markup_element(m, "th", NULL, headers[i]);
    samp_markup_close(m);
}

static void end_table(samp_markup *m)
{
    samp_markup_close(m);
    samp_markup_close(m);
}

static void write_rows(samp_markup *m, const samp_report *r)
{
    static const char *const headers[] = {"", "original", "this", "change"};
    if (r->n_rows == 0) return;
    bool timed = known(r->decode);
    begin_section(m, timed ? "Size, speed and cost" : "Size",
                  timed ? "Medians of interleaved repetitions on this machine." : NULL);
    begin_table(m, headers, 4);
    for (size_t i = 0; i < r->n_rows; i++) {
        samp_markup_open(m, "tr");
        const char *cells[] = {r->rows[i].name, r->rows[i].before, r->rows[i].after,
                               r->rows[i].change};
        for (size_t c = 0; c < 4; c++) samp_markup_element(m, "td", NULL, cells[c]);
        samp_markup_close(m);
    }
    end_table(m);
    samp_markup_close(m);
}

static void write_accuracy_row(samp_markup *m, const char *name, const samp_eval_result *e,
                               const samp_range *range, bool all)
{
    char cell[8][64];
    samp_markup_open(m, "tr");
    if (all) samp_markup_attribute(m, "class", "all");
    snprintf(cell[0], 64, "%zu", e->n_windows);
    samp_show_count(cell[1], e->n_scored);
    const char *cells[] = {name,
                           cell[0],
                           cell[1],
                           samp__show_estimate(cell[2], e->kl_mean, 1, ""),
                           NULL,
                           all ? "" : samp__show_kl(cell[4], e->kl_p99.value),
                           samp__show_estimate(cell[5], e->top1, 100, ""),
                           samp__show_estimate(cell[6], e->perplexity_ratio, 1, ""),
                           samp__show_estimate(cell[7], e->delta_p, 100, "")};
    for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
        samp_markup_open(m, "td");
        if (cells[c])
            samp_markup_text(m, cells[c]);
        else
            samp__chart_interval(m, e->kl_mean, range);
        samp_markup_close(m);
    }
    samp_markup_close(m);
}

static void write_accuracy(samp_markup *m, const samp_report *r)
{
    static const char *const headers[] = {
        "stratum", "windows",       "tokens",           "KL, nats a token", "",
        "KL p99",  "same top-1, %", "perplexity ratio", "Δp, points"};
    if (r->n_texts == 0) return;
    samp_range range = {0};
    for (size_t i = 0; i < r->n_texts; i++)
        samp_range_add(
            &range, fmax(r->texts[i].result.kl_mean.high, r->texts[i].result.kl_mean.value), false);
    begin_section(m, "Accuracy against the original",
                  "± is half of a 95 % interval that counts windows of text, not tokens; Δp is the "
                  "mean change of the true token's probability.");
    begin_table(m, headers, sizeof headers / sizeof *headers);
    for (size_t i = 0; i < r->n_texts; i++)
        write_accuracy_row(m, r->texts[i].name, &r->texts[i].result, &range, false);
    if (r->n_texts > 1) write_accuracy_row(m, "all", &r->all, &range, true);
    end_table(m);
    samp_markup_close(m);
}

/* The charts' points as numbers. */
static void write_points(samp_markup *m, const samp_report *r)
{
    if (r->n_points < 2) return;
    samp_markup_open(m, "div");
    samp_markup_attribute(m, "class", "scroll");
    samp_markup_open(m, "table");
    samp_markup_open(m, "tr");
    static const char *const first[] = {"", "weights", "predicted KL", "measured KL"};
    for (size_t i = 0; i < 4; i++) samp_markup_element(m, "th", NULL, first[i]);
    for (size_t s = 0; s < r->n_strata; s++) samp_markup_element(m, "th", NULL, r->strata[s]);
    samp_markup_close(m);
    for (size_t i = 0; i < r->n_points; i++) {
        const samp_report_point *p = &r->points[i];
        char text[64];
        samp_markup_open(m, "tr");
        if (p->kind == SAMP_REPORT_THIS) samp_markup_attribute(m, "class", "all");
        samp_markup_element(m, "td", NULL, p->name);
        samp_markup_element(m, "td", NULL, samp__show_size(text, p->bytes));
        samp_markup_element(m, "td", NULL, samp__show_kl(text, p->predicted_kl));
        samp_markup_element(m, "td", NULL, samp__show_estimate(text, p->all, 1, ""));
        for (size_t s = 0; s < r->n_strata; s++)
            samp_markup_element(m, "td", NULL, samp__show_estimate(text, p->kl[s], 1, ""));
        samp_markup_close(m);
    }
    end_table(m);
}

/* ---- charts ---------------------------------------------------------------------------------- */

static void write_front(samp_markup *m, const samp_report *r)
{
    if (!samp__front_wanted(r)) return;
    begin_section(m, "Bytes against KL divergence",
                  "Lower and further left is better. Whiskers are 95 % intervals of measurements.");
    samp__chart_front(m, r);
    write_points(m, r);
    samp_markup_close(m);
}

static void write_predicted(samp_markup *m, const samp_report *r)
{
    if (!samp__predicted_wanted(r)) return;
    begin_section(m, "Predicted against measured",
                  "On the line the prediction is right; the band is a tenth to either side. "
                  "Predictions are of the calibration mix, measurements of the evaluation texts.");
    samp__chart_predicted(m, r);
    samp_markup_close(m);
}

static void write_maps(samp_markup *m, const samp_report *r)
{
    bool measured = false;
    for (size_t g = 0; g < r->n_groups; g++) measured |= isfinite(r->groups[g].base_kl);
    if (measured) {
        begin_section(m, "Sensitivity map", NULL);
        samp_markup_open(m, "p");
        samp_markup_attribute(m, "class", "note");
        samp_markup_textf(m,
                          "What each group of weights alone would cost in %s, on the calibration "
                          "text. Rest the pointer on a cell for numbers.",
                          r->base_format);
        samp_markup_close(m);
        samp_markup_open(m, "div");
        samp_markup_attribute(m, "class", "scroll");
        samp__chart_sensitivity(m, r);
        samp_markup_close(m);
        samp_markup_close(m);
    }
    if (r->n_groups == 0) return;
    begin_section(m, "Formats", "The number format every group of weights has in the artifact.");
    samp_markup_open(m, "div");
    samp_markup_attribute(m, "class", "scroll");
    samp__chart_plan(m, r);
    samp__chart_bytes(m, r);
    samp_markup_close(m);
    samp_markup_close(m);
}

static void write_strata(samp_markup *m, const samp_report *r)
{
    if (r->n_shares == 0) return;
    begin_section(m, "Strata",
                  "Shares of tokens in calibration and evaluation: a model calibrated on one mix "
                  "and served another loses where it was not measured.");
    samp_markup_open(m, "ul");
    samp_markup_attribute(m, "class", "keys");
    static const char *const keys[] = {"calibration", "evaluation"};
    for (size_t i = 0; i < 2; i++) {
        char class_[32];
        snprintf(class_, sizeof class_, "swatch %s", keys[i]);
        samp_markup_open(m, "li");
        samp_markup_element(m, "span", class_, "");
        samp_markup_text(m, keys[i]);
        samp_markup_close(m);
    }
    samp_markup_close(m);
    samp__chart_strata(m, r);
    samp_markup_close(m);
}

static void write_facts(samp_markup *m, const samp_report *r)
{
    if (r->n_facts == 0) return;
    begin_section(m, "Where it is from", NULL);
    samp_markup_open(m, "dl");
    for (size_t i = 0; i < r->n_facts; i++) {
        samp_markup_element(m, "dt", NULL, r->facts[i].name);
        samp_markup_open(m, "dd");
        samp_markup_element(m, "code", NULL, r->facts[i].value);
        samp_markup_close(m);
    }
    samp_markup_close(m);
    samp_markup_close(m);
}

static void write_head(samp_markup *m, const samp_report *r)
{
    samp_markup_open(m, "head");
    samp_markup_open(m, "meta");
    samp_markup_attribute(m, "charset", "utf-8");
    samp_markup_close(m);
    samp_markup_open(m, "meta");
    samp_markup_attribute(m, "name", "viewport");
    samp_markup_attribute(m, "content", "width=device-width, initial-scale=1");
    samp_markup_close(m);
    samp_markup_element(m, "title", NULL, r->model);
    samp_markup_style(m, samp__report_css);
    samp_markup_close(m);
}

samp_status samp_report_html(const samp_report *r, samp_buffer *out, samp_error *error)
{
    samp_markup m = {.out = out};
    samp_buffer_text(out, "<!DOCTYPE html>\n");
    samp_markup_open(&m, "html");
    samp_markup_attribute(&m, "lang", "en");
    write_head(&m, r);
    samp_markup_open(&m, "body");
    samp_markup_open(&m, "main");
    samp_markup_element(&m, "h1", NULL, r->model);
    write_headline(&m, r);
    write_tiles(&m, r);
    write_rows(&m, r);
    write_accuracy(&m, r);
    write_front(&m, r);
    write_maps(&m, r);
    samp_markup_open(&m, "div");
    samp_markup_attribute(&m, "class", "pair");
    write_predicted(&m, r);
    write_strata(&m, r);
    samp_markup_close(&m);
    if (r->notes) {
        begin_section(&m, "To know when reading this", NULL);
        samp_markup_element(&m, "p", NULL, r->notes);
        samp_markup_close(&m);
    }
    write_facts(&m, r);
    while (m.depth) samp_markup_close(&m);
    return samp_buffer_ok(out, error);
}

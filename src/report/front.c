/* Bytes against KL divergence: what plans are predicted to give, and where measured models lie. One
 * panel over all texts, or, with peers, one for each stratum they were measured on. */
#include "report/chart.h"
#include "report/labels.h"

#include <math.h>
#include <stdio.h>

enum { PANEL_WIDTH = 530, PANEL_HEIGHT = 350, WIDE = 1080, WIDE_HEIGHT = 430, PANELS_MAX = 8 };

typedef struct panel {
    const samp_report *report;
    int stratum; /* -1 = all texts */
    samp_plot plot;
    samp_labels labels;
} panel;

static samp_estimate kl_of(const panel *p, const samp_report_point *point)
{
    return p->stratum < 0 ? point->all : point->kl[p->stratum];
}

static const char *class_of(samp_report_kind kind)
{
    static const char *const classes[] = {"this", "plan", "recipe", "peer"};
    return classes[kind];
}

/* Only models with a place: a size, and a KL that is measured here or predicted. */
static bool is_drawn(const panel *p, const samp_report_point *point)
{
    return point->bytes > 0 && isfinite(point->bytes) && kl_of(p, point).value > 0;
}

static void set_axes(panel *p, double width, double height)
{
    const samp_report *r = p->report;
    samp_range x = {0}, y = {0};
    for (size_t i = 0; i < r->n_points; i++) {
        if (!is_drawn(p, &r->points[i])) continue;
        samp_range_add(&x, r->points[i].bytes, false);
        samp_range_add(&y, kl_of(p, &r->points[i]).value, true);
        samp_range_add(&y, kl_of(p, &r->points[i]).low, true);
        samp_range_add(&y, kl_of(p, &r->points[i]).high, true);
    }
    for (size_t i = 0; i < r->n_front && !x.any; i++) {
        samp_range_add(&x, r->front_bytes[i], false);
        samp_range_add(&y, r->front_kl[i], true);
    }
    /* One point alone has no range: a third on either side of it. */
    if (x.any && x.high < 1.3 * x.low) {
        samp_range_add(&x, x.low / 1.3, false);
        samp_range_add(&x, x.high * 1.3, false);
    }
    for (size_t i = 0; i < r->n_front; i++)
        if (r->front_bytes[i] >= x.low && r->front_bytes[i] <= x.high)
            samp_range_add(&y, r->front_kl[i], true);
    samp_plot *plot = &p->plot;
    *plot = (samp_plot){.left = 58, .right = width - 14, .top = 34, .bottom = height - 44};
    plot->x = samp_axis_make(&x, false, plot->left, plot->right);
    plot->y = samp_axis_make(&y, true, plot->bottom, plot->top);
    plot->x_unit = plot->x.high >= 2e9 ? 1e9 : plot->x.high >= 2e6 ? 1e6 : 1e3;
    plot->x_title = plot->x_unit == 1e9   ? "weights, GB"
                    : plot->x_unit == 1e6 ? "weights, MB"
                                          : "weights, kB";
    plot->y_title = "KL divergence from the original, nats a token";
}

/* The predicted front, cut where it leaves the plot. */
static void draw_front(samp_markup *m, panel *p)
{
    const samp_report *r = p->report;
    char path[8192] = "";
    size_t at = 0, n = 0;
    double before[2] = {0};
    for (size_t i = 0; i < r->n_front && at < sizeof path - 64; i++) {
        if (!samp_axis_has(&p->plot.x, r->front_bytes[i]) ||
            !samp_axis_has(&p->plot.y, r->front_kl[i]))
            continue;
        double x = samp_axis_at(&p->plot.x, r->front_bytes[i]),
               y = samp_axis_at(&p->plot.y, r->front_kl[i]);
        at += (size_t)snprintf(path + at, sizeof path - at, "%s%.1f,%.1f", n ? " " : "", x, y);
        if (n++) samp__labels_take_line(&p->labels, before[0], before[1], x, y);
        before[0] = x, before[1] = y;
    }
    if (n < 2) return;
    samp_markup_open(m, "polyline");
    samp_markup_attribute(m, "class", "front");
    samp_markup_attribute(m, "points", path);
    samp_markup_close(m);
}

static void draw_mark(samp_markup *m, samp_report_kind kind, double x, double y)
{
    if (kind == SAMP_REPORT_PEER) {
        samp_markup_open(m, "path");
        samp_markup_attribute(m, "class", "mark peer");
        samp_markup_attributef(m, "d", "M%.1f %.1fl5 5l-5 5l-5 -5z", x, y - 5);
        samp_markup_close(m);
    } else if (kind == SAMP_REPORT_RECIPE) {
        samp__draw_rect(m, "mark recipe", x - 4.5, y - 4.5, 9, 9);
    } else {
        samp__draw_circle(m, kind == SAMP_REPORT_THIS ? "mark this" : "mark plan", x, y,
                          kind == SAMP_REPORT_THIS ? 6 : 4.5);
    }
}

static void draw_point(samp_markup *m, panel *p, const samp_report_point *point)
{
    samp_estimate kl = kl_of(p, point);
    char title[256], measured[64], predicted[32], bytes[32];
    double x = samp_axis_at(&p->plot.x, point->bytes), y = samp_axis_at(&p->plot.y, kl.value);
    snprintf(title, sizeof title, "%.100s: %s, KL %s nats a token, predicted %s", point->name,
             samp__show_size(bytes, point->bytes), samp__show_estimate(measured, kl, 1, ""),
             samp__show_kl(predicted, point->predicted_kl));
    samp__draw_group(m, title);
    if (kl.high > kl.low)
        samp__draw_line(m, point->kind == SAMP_REPORT_PEER ? "whisker peer" : "whisker", x,
                        samp_axis_at(&p->plot.y, kl.low), x, samp_axis_at(&p->plot.y, kl.high));
    draw_mark(m, point->kind, x, y);
    samp_markup_close(m);
    samp__labels_take(&p->labels, x, y, 6);
}

/* Marks first, the artifact's own on top; then names, its own first. */
static void draw_points(samp_markup *m, panel *p)
{
    const samp_report *r = p->report;
    for (int kind = SAMP_REPORT_PEER; kind >= 0; kind--)
        for (size_t i = 0; i < r->n_points; i++)
            if ((int)r->points[i].kind == kind && is_drawn(p, &r->points[i]))
                draw_point(m, p, &r->points[i]);
    for (int kind = 0; kind <= SAMP_REPORT_PEER; kind++)
        for (size_t i = 0; i < r->n_points; i++) {
            const samp_report_point *point = &r->points[i];
            char class_[24];
            if ((int)point->kind != kind || !is_drawn(p, point)) continue;
            snprintf(class_, sizeof class_, "name %s", class_of(point->kind));
            samp__labels_draw(m, &p->labels, samp_axis_at(&p->plot.x, point->bytes),
                              samp_axis_at(&p->plot.y, kl_of(p, point).value), class_, point->name);
        }
}

static void draw_panel(samp_markup *m, const samp_report *report, int stratum, bool wide)
{
    panel p = {.report = report, .stratum = stratum};
    double width = wide ? WIDE : PANEL_WIDTH, height = wide ? WIDE_HEIGHT : PANEL_HEIGHT;
    set_axes(&p, width, height);
    p.labels = samp__labels_in(&p.plot);
    samp_markup_open(m, "figure");
    if (stratum >= 0) samp_markup_element(m, "figcaption", NULL, report->strata[stratum]);
    samp__draw_begin(m, "plot", width, height, "bytes against KL divergence");
    samp__draw_plot(m, &p.plot);
    draw_front(m, &p);
    draw_points(m, &p);
    samp_markup_close(m);
    samp_markup_close(m);
}

/* What the marks mean: only the kinds that are there. */
static void draw_keys(samp_markup *m, const samp_report *r)
{
    static const struct {
        samp_report_kind kind;
        const char *text;
    } keys[] = {{SAMP_REPORT_THIS, "this artifact"},
                {SAMP_REPORT_PLAN, "other plans"},
                {SAMP_REPORT_RECIPE, "fixed recipe"},
                {SAMP_REPORT_PEER, "peers"}};
    samp_markup_open(m, "ul");
    samp_markup_attribute(m, "class", "keys");
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        bool any = false;
        for (size_t i = 0; i < r->n_points; i++) any |= r->points[i].kind == keys[k].kind;
        if (!any) continue;
        samp_markup_open(m, "li");
        samp__draw_begin(m, "key", 16, 16, keys[k].text);
        draw_mark(m, keys[k].kind, 8, 8);
        samp_markup_close(m);
        samp_markup_text(m, keys[k].text);
        samp_markup_close(m);
    }
    if (r->n_front > 1) {
        samp_markup_open(m, "li");
        samp__draw_begin(m, "key", 28, 16, "line");
        samp__draw_line(m, "front", 1, 8, 27, 8);
        samp_markup_close(m);
        samp_markup_text(m, "the best plan at each size, predicted on the calibration mix");
        samp_markup_close(m);
    }
    samp_markup_close(m);
}

bool samp__front_wanted(const samp_report *r)
{
    bool any = r->n_front > 1;
    for (size_t i = 0; i < r->n_points; i++) any |= r->points[i].bytes > 0;
    return any;
}

void samp__chart_front(samp_markup *m, const samp_report *r)
{
    bool shown[SAMP_REPORT_STRATA_MAX] = {false};
    size_t n = 0;
    for (size_t s = 0; s < r->n_strata && s < SAMP_REPORT_STRATA_MAX; s++) {
        for (size_t i = 0; i < r->n_points; i++)
            shown[s] |= r->points[i].kind == SAMP_REPORT_PEER && r->points[i].kl[s].value > 0;
        if (n == PANELS_MAX) shown[s] = false;
        n += shown[s];
    }
    draw_keys(m, r);
    samp_markup_open(m, "div");
    samp_markup_attribute(m, "class", n > 1 ? "panels" : "scroll");
    for (size_t s = 0; s < r->n_strata && s < SAMP_REPORT_STRATA_MAX; s++)
        if (shown[s]) draw_panel(m, r, (int)s, n == 1);
    if (n == 0) draw_panel(m, r, -1, true);
    samp_markup_close(m);
}

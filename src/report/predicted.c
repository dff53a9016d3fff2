/* Predicted against measured KL divergence, intervals, and the strata of calibration and
 * evaluation. */
#include "report/chart.h"
#include "report/labels.h"

#include <math.h>
#include <stdio.h>

static bool is_drawn(const samp_report_point *point)
{
    return point->predicted_kl > 0 && isfinite(point->predicted_kl) && point->all.value > 0 &&
           isfinite(point->all.value);
}

bool samp__predicted_wanted(const samp_report *r)
{
    for (size_t i = 0; i < r->n_points; i++)
        if (is_drawn(&r->points[i])) return true;
    return false;
}

/* Where the prediction is right: the diagonal, and a tenth to either side of it. */
static void draw_diagonal(samp_markup *m, const samp_plot *plot)
{
    double low = fmax(plot->x.low, plot->y.low), high = fmin(plot->x.high, plot->y.high);
    if (!(low < high)) return;
    double band[4][2] = {
        {low, low * 1.1}, {high / 1.1, high}, {high, high / 1.1}, {low * 1.1, low}};
    char points[160] = "";
    int at = 0;
    for (int i = 0; i < 4; i++)
        at += snprintf(points + at, sizeof points - (size_t)at, "%s%.1f,%.1f", i ? " " : "",
                       samp_axis_at(&plot->x, band[i][0]), samp_axis_at(&plot->y, band[i][1]));
    samp_markup_open(m, "polygon");
    samp_markup_attribute(m, "class", "band");
    samp_markup_attribute(m, "points", points);
    samp_markup_close(m);
    samp__draw_line(m, "diagonal", samp_axis_at(&plot->x, low), samp_axis_at(&plot->y, low),
                    samp_axis_at(&plot->x, high), samp_axis_at(&plot->y, high));
}

static void draw_predictions(samp_markup *m, const samp_report *r, const samp_plot *plot)
{
    samp_labels labels = samp__labels_in(plot);
    samp__labels_take_line(&labels, plot->left, plot->bottom, plot->right, plot->top);
    for (int names = 0; names < 2; names++)
        for (size_t i = 0; i < r->n_points; i++) {
            const samp_report_point *p = &r->points[i];
            if (!is_drawn(p)) continue;
            bool own = p->kind == SAMP_REPORT_THIS;
            double x = samp_axis_at(&plot->x, p->predicted_kl),
                   y = samp_axis_at(&plot->y, p->all.value);
            if (names) {
                samp__labels_draw(m, &labels, x, y, own ? "name this" : "name plan", p->name);
                continue;
            }
            char title[256], measured[64], predicted[32];
            snprintf(title, sizeof title, "%.100s: predicted %s, measured %s", p->name,
                     samp__show_kl(predicted, p->predicted_kl),
                     samp__show_estimate(measured, p->all, 1, ""));
            samp__draw_group(m, title);
            samp__draw_line(m, "whisker", x, samp_axis_at(&plot->y, p->all.low), x,
                            samp_axis_at(&plot->y, p->all.high));
            samp__draw_circle(m, own ? "mark this" : "mark plan", x, y, own ? 6 : 4.5);
            samp_markup_close(m);
            samp__labels_take(&labels, x, y, 6);
        }
}

void samp__chart_predicted(samp_markup *m, const samp_report *r)
{
    enum { WIDTH = 530, HEIGHT = 380 };
    samp_range range = {0};
    for (size_t i = 0; i < r->n_points; i++) {
        const samp_report_point *p = &r->points[i];
        if (!is_drawn(p)) continue;
        samp_range_add(&range, p->predicted_kl, true);
        samp_range_add(&range, p->all.low, true);
        samp_range_add(&range, p->all.high, true);
    }
    samp_plot plot = {.left = 58,
                      .right = WIDTH - 14,
                      .top = 34,
                      .bottom = HEIGHT - 44,
                      .x_unit = 1,
                      .x_title = "predicted, nats a token",
                      .y_title = "measured, nats a token"};
    plot.x = samp_axis_make(&range, true, plot.left, plot.right);
    plot.y = samp_axis_make(&range, true, plot.bottom, plot.top);
    samp__draw_begin(m, "plot", WIDTH, HEIGHT, "predicted against measured KL divergence");
    samp__draw_plot(m, &plot);
    draw_diagonal(m, &plot);
    draw_predictions(m, r, &plot);
    samp_markup_close(m);
}

void samp__chart_interval(samp_markup *m, samp_estimate kl, const samp_range *range)
{
    enum { WIDTH = 180, HEIGHT = 16 };
    samp_axis axis = samp_axis_make(range, false, 2, WIDTH - 2);
    axis.low = 0; /* lengths compare only from zero */
    samp__draw_begin(m, "interval", WIDTH, HEIGHT, "interval");
    samp__draw_line(m, "grid", 2, HEIGHT / 2.0, WIDTH - 2, HEIGHT / 2.0);
    if (isfinite(kl.value)) {
        samp__draw_line(m, "whisker", samp_axis_at(&axis, kl.low), HEIGHT / 2.0,
                        samp_axis_at(&axis, kl.high), HEIGHT / 2.0);
        samp__draw_circle(m, "mark this", samp_axis_at(&axis, kl.value), HEIGHT / 2.0, 4);
    }
    samp_markup_close(m);
}

void samp__chart_strata(samp_markup *m, const samp_report *r)
{
    enum { WIDTH = 530, ROW = 40, BAR = 13, LEFT = 110, RIGHT = 60 };
    double most = 0;
    for (size_t i = 0; i < r->n_shares; i++) {
        const double shares[2] = {r->shares[i].calibration, r->shares[i].evaluation};
        for (int s = 0; s < 2; s++)
            if (shares[s] > most) most = shares[s];
    }
    if (!(most > 0)) most = 1;
    samp__draw_begin(m, "plot", WIDTH, (double)ROW * (double)r->n_shares + 4,
                     "shares of strata in calibration and evaluation");
    for (size_t i = 0; i < r->n_shares; i++) {
        const double shares[2] = {r->shares[i].calibration, r->shares[i].evaluation};
        double y = (double)ROW * (double)i + 6;
        char name[24];
        snprintf(name, sizeof name, "%.20s", r->shares[i].name);
        samp__draw_text(m, "label end", LEFT - 10, y + BAR + 4, name);
        for (int s = 0; s < 2; s++) {
            double width = (WIDTH - LEFT - RIGHT) * shares[s] / most;
            char text[32] = "–";
            if (isfinite(shares[s])) snprintf(text, sizeof text, "%.1f %%", 100 * shares[s]);
            if (!isfinite(width)) width = 0;
            samp__draw_rect(m, s ? "evaluation" : "calibration", LEFT, y + s * BAR, width, BAR - 1);
            samp__draw_text(m, "tick start", LEFT + width + 6, y + s * BAR + 10, text);
        }
    }
    samp_markup_close(m);
}

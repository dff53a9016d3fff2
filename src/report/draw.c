/* SVG shapes and axes. */
#include "report/draw.h"

#include "base/show.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void samp__draw_begin(samp_markup *m, const char *class_, double width, double height,
                      const char *label)
{
    samp_markup_open(m, "svg");
    samp_markup_attribute(m, "xmlns", "http://www.w3.org/2000/svg");
    samp_markup_attribute(m, "class", class_);
    samp_markup_attributef(m, "viewBox", "0 0 %.0f %.0f", width, height);
    samp_markup_attribute(m, "role", "img");
    samp_markup_attribute(m, "aria-label", label);
}

static void begin_shape(samp_markup *m, const char *element, const char *class_)
{
    samp_markup_open(m, element);
    samp_markup_attribute(m, "class", class_);
}

void samp__draw_rect(samp_markup *m, const char *class_, double x, double y, double width,
                     double height)
{
    begin_shape(m, "rect", class_);
    samp_markup_number(m, "x", x);
    samp_markup_number(m, "y", y);
    samp_markup_number(m, "width", fmax(width, 0));
    samp_markup_number(m, "height", fmax(height, 0));
    samp_markup_close(m);
}

void samp__draw_line(samp_markup *m, const char *class_, double x1, double y1, double x2, double y2)
{
    begin_shape(m, "line", class_);
    samp_markup_number(m, "x1", x1);
    samp_markup_number(m, "y1", y1);
    samp_markup_number(m, "x2", x2);
    samp_markup_number(m, "y2", y2);
    samp_markup_close(m);
}

void samp__draw_text(samp_markup *m, const char *class_, double x, double y, const char *text)
{
    begin_shape(m, "text", class_);
    samp_markup_number(m, "x", x);
    samp_markup_number(m, "y", y);
    samp_markup_text(m, text);
    samp_markup_close(m);
}

void samp__draw_circle(samp_markup *m, const char *class_, double x, double y, double radius)
{
    begin_shape(m, "circle", class_);
    samp_markup_number(m, "cx", x);
    samp_markup_number(m, "cy", y);
    samp_markup_number(m, "r", radius);
    samp_markup_close(m);
}

void samp__draw_group(samp_markup *m, const char *title)
{
    samp_markup_open(m, "g");
    samp_markup_element(m, "title", NULL, title);
}

void samp__draw_plot(samp_markup *m, const samp_plot *p)
{
    double ticks[SAMP_AXIS_TICKS_MAX];
    char label[32];
    size_t n = samp_axis_ticks(&p->y, ticks);
    for (size_t i = 0; i < n; i++) {
        double y = samp_axis_at(&p->y, ticks[i]);
        samp__draw_line(m, "grid", p->left, y, p->right, y);
        snprintf(label, sizeof label, "%g", ticks[i]);
        samp__draw_text(m, "tick end", p->left - 7, y + 4, label);
    }
    n = samp_axis_ticks(&p->x, ticks);
    for (size_t i = 0; i < n; i++) {
        double x = samp_axis_at(&p->x, ticks[i]);
        samp__draw_line(m, "grid", x, p->top, x, p->bottom);
        snprintf(label, sizeof label, "%g", ticks[i] / p->x_unit);
        samp__draw_text(m, "tick middle", x, p->bottom + 17, label);
    }
    samp__draw_line(m, "axis", p->left, p->bottom, p->right, p->bottom);
    samp__draw_line(m, "axis", p->left, p->top, p->left, p->bottom);
    samp__draw_text(m, "label end", p->right, p->bottom + 35, p->x_title);
    samp__draw_text(m, "label start", p->left - 7, p->top - 10, p->y_title);
}

const char *samp__show_size(char out[32], double bytes)
{
    if (bytes >= 0 && isfinite(bytes)) return samp_show_bytes(out, bytes);
    snprintf(out, 32, "–");
    return out;
}

const char *samp__show_kl(char out[32], double kl)
{
    if (!isfinite(kl))
        snprintf(out, 32, "–");
    else if (kl == 0)
        snprintf(out, 32, "0");
    else if (fabs(kl) < 1e-4)
        snprintf(out, 32, "%.1e", kl);
    else
        snprintf(out, 32, "%.*f", fabs(kl) >= 0.1 ? 3 : fabs(kl) >= 0.01 ? 4 : 5, kl);
    return out;
}

const char *samp__show_estimate(char out[64], samp_estimate e, double factor, const char *unit)
{
    double value = e.value * factor, half = (e.high - e.low) / 2 * factor;
    int digits = 4;
    if (!isfinite(value)) {
        snprintf(out, 64, "–");
        return out;
    }
    /* Two digits of the interval, and the value to the same place. */
    if (half > 0 && isfinite(half)) digits = (int)fmin(6, fmax(0, 1 - floor(log10(half))));
    if (half > 0 && isfinite(half))
        snprintf(out, 64, "%.*f ± %.*f%s", digits, value, digits, half, unit);
    else
        snprintf(out, 64, "%.*f%s", digits, value, unit);
    return out;
}

unsigned samp__format_rank(const samp_format *format)
{
    enum { ROWS = 4096, COLS = 4096 };
    double bits = samp_format_bits(format, ROWS, COLS);
    unsigned rank = 0;
    for (int id = 0; id < SAMP_FORMAT_COUNT; id++) {
        double other = samp_format_bits(samp_format_get((samp_format_id)id), ROWS, COLS);
        rank += other < bits || (other == bits && id < (int)format->id);
    }
    return rank < SAMP_REPORT_FORMAT_COLOURS ? rank : SAMP_REPORT_FORMAT_COLOURS - 1;
}

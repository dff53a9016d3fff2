/* Shapes of SVG, in pixels of the drawing, and the few words charts share. */
#ifndef SAMP_REPORT_DRAW_H
#define SAMP_REPORT_DRAW_H

#include "eval/statistics.h"
#include "format/format.h"
#include "report/axis.h"
#include "report/markup.h"

/* <svg> with a viewBox; label is what a screen reader says. Close with samp_markup_close. */
void samp__draw_begin(samp_markup *m, const char *class_, double width, double height,
                      const char *label);
void samp__draw_rect(samp_markup *m, const char *class_, double x, double y, double width,
                     double height);
void samp__draw_line(samp_markup *m, const char *class_, double x1, double y1, double x2,
                     double y2);
/* class_: "start", "middle" or "end" and more, as the style sheet has them. */
void samp__draw_text(samp_markup *m, const char *class_, double x, double y, const char *text);
void samp__draw_circle(samp_markup *m, const char *class_, double x, double y, double radius);
/* <g> whose title shows when the pointer rests on what is drawn in it; close it. */
void samp__draw_group(samp_markup *m, const char *title);

/* A plot's area with axes, grid, tick labels and titles; x in bytes or KL, y in KL. */
typedef struct samp_plot {
    samp_axis x, y;
    double left, right, top, bottom;
    const char *x_title, *y_title;
    double x_unit; /* tick labels are value / x_unit */
} samp_plot;
void samp__draw_plot(samp_markup *m, const samp_plot *plot);

/* "84.1 MB", or "–" for what is no size. */
const char *samp__show_size(char out[32], double bytes);
/* "0.0312", "1.2e-05" or "–" for what is not known. */
const char *samp__show_kl(char out[32], double kl);
/* "0.0312 ± 0.0020"; no ± where there is no interval. */
const char *samp__show_estimate(char out[64], samp_estimate e, double factor, const char *unit);

/* Formats by bits a weight, 0 = the fewest; what colours go by. */
enum { SAMP_REPORT_FORMAT_COLOURS = 16 };
unsigned samp__format_rank(const samp_format *format);

#endif

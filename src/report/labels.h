/* Names beside points: each goes to the first place around its point where it covers no other name,
 * no mark and no line; where there is none it is left out (the mark still has its title). */
#ifndef SAMP_REPORT_LABELS_H
#define SAMP_REPORT_LABELS_H

#include "report/draw.h"

enum { SAMP_LABELS_BOXES = 256 };

typedef struct samp_box {
    double left, top, right, bottom;
} samp_box;

typedef struct samp_labels {
    samp_box area; /* names stay within */
    samp_box taken[SAMP_LABELS_BOXES];
    size_t n_taken;
} samp_labels;

samp_labels samp__labels_in(const samp_plot *plot);
/* Nothing is written within `radius` of a point. Boxes past the limit are forgotten. */
void samp__labels_take(samp_labels *labels, double x, double y, double radius);
/* Nor along a line. */
void samp__labels_take_line(samp_labels *labels, double x1, double y1, double x2, double y2);
/* class_ is of the text; "start", "middle" or "end" is added. */
void samp__labels_draw(samp_markup *m, samp_labels *labels, double x, double y, const char *class_,
                       const char *name);

#endif

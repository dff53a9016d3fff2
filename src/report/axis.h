/* Axes: from values to pixels, linear or logarithmic, with round ticks. */
#ifndef SAMP_REPORT_AXIS_H
#define SAMP_REPORT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct samp_axis {
    double low, high; /* values at the ends; low < high, both positive when logarithmic */
    double from, to;  /* pixels at the ends; from > to for an axis that points up */
    bool logarithmic;
} samp_axis;

enum { SAMP_AXIS_TICKS_MAX = 24 };

/* The range of values seen so far; zeroed = none. Values that are not finite, and for a logarithmic
 * axis those not above 0, do not count. */
typedef struct samp_range {
    double low, high;
    bool any;
} samp_range;

void samp_range_add(samp_range *range, double value, bool logarithmic);
/* An axis over the range with room at both ends; any range will do, also an empty one. */
samp_axis samp_axis_make(const samp_range *range, bool logarithmic, double from, double to);
/* Pixels of a value, kept within the ends; a value that is not finite lies at the low end. */
double samp_axis_at(const samp_axis *axis, double value);
bool samp_axis_has(const samp_axis *axis, double value);
/* Round values within the ends: 1, 2, 5 times powers of ten. Returns how many. */
size_t samp_axis_ticks(const samp_axis *axis, double ticks[SAMP_AXIS_TICKS_MAX]);

#endif

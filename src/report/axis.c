/* Ranges, scales and ticks. */
#include "report/axis.h"

#include <math.h>

void samp_range_add(samp_range *range, double value, bool logarithmic)
{
    if (!isfinite(value) || (logarithmic && value < 1e-300)) return;
    if (!range->any || value < range->low) range->low = value;
    if (!range->any || value > range->high) range->high = value;
    range->any = true;
}

samp_axis samp_axis_make(const samp_range *range, bool logarithmic, double from, double to)
{
    double low = range->any ? range->low : 1, high = range->any ? range->high : 10;
    if (logarithmic) {
        double a = log10(low), b = log10(high), room = fmax(0.06 * (b - a), 0.08);
        low = pow(10, a - room), high = pow(10, b + room);
    } else {
        double room = high > low ? 0.05 * (high - low) : fmax(0.1 * fabs(high), 1e-6);
        low -= room, high += room;
    }
    if (!isfinite(low) || !isfinite(high) || !(low < high)) low = 1, high = 10;
    return (samp_axis){low, high, from, to, logarithmic};
}

double samp_axis_at(const samp_axis *axis, double value)
{
    double share = axis->logarithmic ? log(value / axis->low) / log(axis->high / axis->low)
                                     : (value - axis->low) / (axis->high - axis->low);
    if (!(share >= 0)) share = 0; /* NaN too */
    if (share > 1) share = 1;
    return axis->from + share * (axis->to - axis->from);
}

bool samp_axis_has(const samp_axis *axis, double value)
{
    return value >= axis->low && value <= axis->high;
}

static size_t add_tick(const samp_axis *axis, double *ticks, size_t n, double value)
{
    if (n == SAMP_AXIS_TICKS_MAX || !samp_axis_has(axis, value)) return n;
    ticks[n] = value;
    return n + 1;
}

static size_t log_ticks(const samp_axis *axis, double *ticks)
{
    double first = floor(log10(axis->low)), last = ceil(log10(axis->high));
    double decades = log10(axis->high / axis->low);
    int every = (int)ceil(decades / 12);
    size_t n = 0;
    for (int i = 0; first + i <= last && i < 700; i++) {
        double power = pow(10, first + i);
        if (i % every == 0) n = add_tick(axis, ticks, n, power);
        if (decades < 1.5) n = add_tick(axis, ticks, n, 2 * power);
        if (decades < 3) n = add_tick(axis, ticks, n, (decades < 1.5 ? 5 : 3) * power);
    }
    return n;
}

size_t samp_axis_ticks(const samp_axis *axis, double ticks[SAMP_AXIS_TICKS_MAX])
{
    /* Less than half a decade has too few powers and their fives: steps of one size then. */
    if (axis->logarithmic && axis->high > 3 * axis->low) return log_ticks(axis, ticks);
    double rough = (axis->high - axis->low) / 5, power = pow(10, floor(log10(rough)));
    double step = rough / power < 1.5 ? power : rough / power < 3.5 ? 2 * power : 5 * power;
    if (rough / power >= 7.5) step = 10 * power;
    size_t n = 0;
    double at = ceil(axis->low / step);
    for (int i = 0; i < SAMP_AXIS_TICKS_MAX; i++) n = add_tick(axis, ticks, n, (at + i) * step);
    return n;
}

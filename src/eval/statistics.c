/* Estimates with intervals. */
#include "eval/statistics.h"

#include <math.h>
#include <stdlib.h>

static const double z95 = 1.959963984540054;

samp_estimate samp_estimate_mean(const float *values, const size_t *starts, size_t n_clusters)
{
    size_t n = starts[n_clusters] - starts[0];
    double sum = 0;
    for (size_t i = starts[0]; i < starts[n_clusters]; i++) sum += values[i];
    double mean = sum / (double)n, squares = 0;
    if (n_clusters < 2) return (samp_estimate){mean, mean, mean};
    for (size_t c = 0; c < n_clusters; c++) {
        double residual = 0;
        for (size_t i = starts[c]; i < starts[c + 1]; i++) residual += values[i] - mean;
        squares += residual * residual;
    }
    double k = (double)n_clusters, error = sqrt(squares * k / (k - 1)) / (double)n;
    return (samp_estimate){mean, mean - z95 * error, mean + z95 * error};
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double sorted_at(const float *values, size_t n, double position)
{
    if (position <= 0) return values[0];
    if (position >= (double)(n - 1)) return values[n - 1];
    size_t below = (size_t)position;
    double part = position - (double)below;
    return values[below] * (1 - part) + values[below + 1] * part;
}

samp_estimate samp_estimate_quantile(float *values, size_t n, double q)
{
    qsort(values, n, sizeof *values, compare_floats);
    double at = q * (double)(n - 1), spread = z95 * sqrt((double)n * q * (1 - q));
    return (samp_estimate){sorted_at(values, n, at), sorted_at(values, n, at - spread),
                           sorted_at(values, n, at + spread)};
}

samp_estimate samp_estimate_share(size_t successes, size_t n)
{
    double p = (double)successes / (double)n, zz = z95 * z95 / (double)n;
    double centre = (p + zz / 2) / (1 + zz);
    double half = z95 * sqrt(p * (1 - p) / (double)n + zz / (4 * (double)n)) / (1 + zz);
    return (samp_estimate){p, centre - half, centre + half};
}

samp_estimate samp_estimate_exp(samp_estimate e)
{
    return (samp_estimate){exp(e.value), exp(e.low), exp(e.high)};
}

samp_estimate samp_estimate_paired(size_t lost, size_t gained, size_t n)
{
    double total = (double)n + 2;
    double down = ((double)lost + 1) / total, up = ((double)gained + 1) / total;
    double half = z95 * sqrt((down + up - (up - down) * (up - down)) / total);
    double low = up - down - half, high = up - down + half;
    return (samp_estimate){((double)gained - (double)lost) / (double)n, low < -1 ? -1 : low,
                           high > 1 ? 1 : high};
}

double samp_mcnemar_exact(size_t lost, size_t gained)
{
    size_t n = lost + gained, fewer = lost < gained ? lost : gained;
    double log_half = -log(2.0), sum = 0;
    for (size_t k = 0; k <= fewer; k++) {
        double ways = lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
        sum += exp(ways + (double)n * log_half);
    }
    return 2 * sum < 1 ? 2 * sum : 1;
}

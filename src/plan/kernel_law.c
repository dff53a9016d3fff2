/* The fit of kernel_law.h: a grid over what is not linear, least squares for what is. */
#include "plan/kernel_law.h"

#include <math.h>

enum {
    TERMS = 3,           /* fixed, input, and the two that overlap, whose ratio is given */
    RATIOS_A_DECADE = 40 /* a step of 6 %: within 2 % of the best once `weight` is fitted */
};
static const double least_ratio = 1e-6, largest_ratio = 1e2; /* multiply / weight */

double samp_kernel_law_seconds(const samp_kernel_law *law, double rows, double cols, double batch)
{
    double read = law->weight * rows * cols, multiply = law->multiply * rows * cols * batch;
    double longer = fmax(read, multiply), shorter = fmin(read, multiply);
    double both =
        longer > 0 ? longer * pow(1 + pow(shorter / longer, law->overlap), 1 / law->overlap) : 0;
    return law->fixed + law->input * cols * batch + both;
}

/* Solves the normal equations of the terms in `used`; false when they are singular or a coefficient
 * would be negative. x of unused terms is 0. */
static bool solve(double a[TERMS][TERMS], const double b[TERMS], const int *used, int n,
                  double x[TERMS])
{
    double m[TERMS][TERMS + 1] = {{0}}; /* GCC cannot see that all n rows are filled */
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) m[i][j] = a[used[i]][used[j]];
        m[i][n] = b[used[i]];
    }
    for (int i = 0; i < n; i++) { /* positive definite: no pivoting */
        if (!(m[i][i] > 1e-12)) return false;
        for (int k = i + 1; k < n; k++) {
            double factor = m[k][i] / m[i][i];
            for (int j = i; j <= n; j++) m[k][j] -= factor * m[i][j];
        }
    }
    for (int t = 0; t < TERMS; t++) x[t] = 0;
    for (int i = n; i--;) {
        double sum = m[i][n];
        for (int j = i + 1; j < n; j++) sum -= m[i][j] * x[used[j]];
        x[used[i]] = sum / m[i][i];
        if (!(x[used[i]] >= 0)) return false;
    }
    return true;
}

static void judge(samp_kernel_law *law, const samp_kernel_time *times, size_t n)
{
    double sum = 0, max = 0;
    for (size_t i = 0; i < n; i++) {
        double seconds = samp_kernel_law_seconds(law, (double)times[i].rows, (double)times[i].cols,
                                                 times[i].batch);
        double error = fabs(seconds / times[i].seconds - 1);
        sum += error;
        max = fmax(max, error);
    }
    law->error_mean = sum / (double)n;
    law->error_max = max;
}

/* The best law with these two fixed, kept in *best when it is better by more than a rounding. */
static void try_shape(const samp_kernel_time *times, size_t n, double overlap, double ratio,
                      samp_kernel_law *best)
{
    samp_kernel_law unit = {.weight = 1, .multiply = ratio, .overlap = overlap};
    double scale[TERMS] = {0}, a[TERMS][TERMS] = {{0}}, b[TERMS] = {0};
    for (int pass = 0; pass < 2; pass++) /* columns are scaled first: they differ by 10^9 */
        for (size_t i = 0; i < n; i++) {
            double rows = (double)times[i].rows, cols = (double)times[i].cols;
            double term[TERMS] = {1, cols * times[i].batch,
                                  samp_kernel_law_seconds(&unit, rows, cols, times[i].batch)};
            for (int t = 0; t < TERMS; t++) {
                term[t] /= times[i].seconds;
                if (!pass) scale[t] = fmax(scale[t], term[t]);
            }
            for (int t = 0; pass && t < TERMS; t++) {
                b[t] += term[t] / scale[t];
                for (int u = 0; u < TERMS; u++) a[t][u] += term[t] / scale[t] * term[u] / scale[u];
            }
        }
    static const int subsets[][TERMS] = {{2}, {2, 0}, {2, 1}, {2, 0, 1}};
    static const int sizes[] = {1, 2, 2, 3};
    for (int s = 0; s < 4; s++) {
        double x[TERMS];
        if ((size_t)sizes[s] > n || !solve(a, b, subsets[s], sizes[s], x)) continue;
        samp_kernel_law law = {.fixed = x[0] / scale[0],
                               .input = x[1] / scale[1],
                               .weight = x[2] / scale[2],
                               .multiply = ratio * x[2] / scale[2],
                               .overlap = overlap};
        judge(&law, times, n);
        if (law.error_mean < 0.999 * best->error_mean) *best = law;
    }
}

void samp_kernel_law_fit(const samp_kernel_time *times, size_t n, samp_kernel_law *out)
{
    *out = (samp_kernel_law){.overlap = 1, .error_mean = INFINITY};
    bool batches = false;
    for (size_t i = 1; i < n; i++) batches |= times[i].batch != times[0].batch;
    if (!batches) {
        try_shape(times, n, 1, 0, out);
        return;
    }
    double step = pow(10, 1.0 / RATIOS_A_DECADE);
    static const double overlaps[] = {1, 2, 4, 8};
    for (int p = 0; p < 4; p++)
        for (double ratio = least_ratio; ratio < largest_ratio; ratio *= step)
            try_shape(times, n, overlaps[p], ratio, out);
}

/* Error feedback, panel by panel (feedback.h). */
#include "format/feedback.h"

#include "base/clones.h"
#include "base/half.h"
#include "base/matrix.h"
#include "format/kernels.h"

#include <string.h>

enum { ROWS = SAMP_PANEL_ROWS, COLUMNS = 64 };

/* target, a, u, at[2] for the columns; e, g, h for the open ones. */
uint64_t samp_feedback_room(uint64_t cols)
{
    return (2 * ROWS + 3 * COLUMNS) * cols + (2 * ROWS + COLUMNS) * COLUMNS;
}

float samp_feedback_damping(const float *moment, uint64_t cols)
{
    const double share = 0.1; /* measured: plan/measure_feedback.c */
    double mean = 0;
    for (uint64_t i = 0; i < cols; i++) mean += (double)moment[i] / (double)cols;
    return (float)(share * mean);
}

void samp_feedback_pivots(const uint16_t *factor, const float *moment, uint64_t cols, float *d)
{
    float damping = samp_feedback_damping(moment, cols);
    for (uint64_t j = 0; j < cols; j++) {
        const uint16_t *row = factor + (j ? samp_feedback_values(j) : 0);
        double pivot = (double)moment[j] + (double)damping;
        for (uint64_t k = 0; k < j; k++) {
            double a = (double)samp_fp16_to_float(row[k]);
            pivot -= a * a * (double)d[k];
        }
        /* never less than the damping but for the factor's rounding */
        d[j] = pivot > (double)damping ? (float)pivot : damping;
    }
}

void samp__walk_begin(samp__walk *walk, const samp_feedback *feedback, const float *w,
                      uint64_t n_rows, float *room)
{
    uint64_t cols = feedback->cols;
    *walk = (samp__walk){.feedback = feedback,
                         .w = w,
                         .n_rows = n_rows,
                         .target = room,
                         .a = room + ROWS * cols,
                         .u = room + (ROWS + COLUMNS) * cols};
    walk->at[0] = walk->u + ROWS * cols;
    walk->at[1] = walk->at[0] + COLUMNS * cols;
    walk->e = walk->at[1] + COLUMNS * cols;
    walk->g = walk->e + COLUMNS * ROWS;
    walk->h = walk->g + COLUMNS * ROWS;
    memcpy(walk->target, w, n_rows * cols * sizeof *w);
}

void samp__walk_open(samp__walk *walk, uint64_t first, uint64_t n)
{
    const samp__kernels *kernels = samp__kernels_get();
    walk->first = first;
    walk->n = n;
    for (uint64_t i = 0, k = first; i < n; i++, k++)
        if (k) /* row 0 has nothing below the diagonal */
            kernels->fp16_to_float(walk->feedback->factor + samp_feedback_values(k), k,
                                   walk->a + i * walk->feedback->cols);
}

/* x += e * a */
SAMP_CLONES static void add_scaled(float *x, const float *a, float e, uint64_t n)
{
    for (uint64_t k = 0; k < n; k++) x[k] += e * a[k];
}

/* Column j of the open ones becomes q: its error is what the columns before it hear of. */
static void settle(samp__walk *walk, uint64_t row, uint64_t j, float q)
{
    const samp_feedback *f = walk->feedback;
    float *target = walk->target + row * f->cols + walk->first;
    float e = walk->w[row * f->cols + walk->first + j] - q, rest = target[j] - q;
    if (f->d)
        walk->error += (double)(f->d[walk->first + j] * rest * rest) - (double)(f->damping * e * e);
    target[j] = q;
    walk->u[(walk->first + j) * ROWS + row] = rest;
    walk->e[j * ROWS + row] = e;
    add_scaled(target, walk->a + j * f->cols + walk->first, e, j);
}

void samp__walk_row(samp__walk *walk, uint64_t row, const samp__lut *lut, float scale)
{
    const float *target = walk->target + row * walk->feedback->cols + walk->first;
    float inv = scale != 0 ? 1 / scale : 0;
    for (uint64_t j = walk->n; j-- > 0;)
        settle(walk, row, j, scale != 0 ? scale * samp__lut_nearest(lut, target[j] * inv) : 0);
}

void samp__walk_close(samp__walk *walk)
{
    samp_outer_add(walk->target, walk->feedback->cols, walk->e, ROWS, walk->a, walk->feedback->cols,
                   walk->n, walk->n_rows, walk->first);
}

double samp_feedback_error(const samp_feedback *feedback, const float *w, const float *q,
                           uint64_t n_rows, float *room)
{
    samp__walk walk;
    samp__walk_begin(&walk, feedback, w, n_rows, room);
    for (uint64_t end = feedback->cols, first; end > 0; end = first) {
        first = end > COLUMNS ? end - COLUMNS : 0;
        samp__walk_open(&walk, first, end - first);
        for (uint64_t r = 0; r < n_rows; r++)
            for (uint64_t j = end - first; j-- > 0;)
                settle(&walk, r, j, q ? q[r * feedback->cols + first + j] : 0);
        samp__walk_close(&walk);
    }
    return walk.error;
}

/* ---- sweeps ---- */

/* A's open rows, with their diagonal, transposed; and g and H of the open columns. */
void samp__sweep_open(samp__walk *walk, uint64_t first, uint64_t n)
{
    const samp_feedback *f = walk->feedback;
    uint64_t width = first + n;
    samp__walk_open(walk, first, n);
    for (uint64_t i = 0; i < n; i++) {
        float *row = walk->a + i * f->cols;
        row[first + i] = 1;
        memset(row + first + i + 1, 0, (n - i - 1) * sizeof *row);
        for (uint64_t k = 0; k < width; k++) {
            walk->at[0][k * n + i] = row[k];
            walk->at[1][k * n + i] = row[k] * f->d[k];
        }
    }
    memset(walk->g, 0, n * ROWS * sizeof *walk->g);
    memset(walk->h, 0, n * n * sizeof *walk->h);
    memset(walk->e, 0, n * ROWS * sizeof *walk->e);
    samp_outer_add(walk->g, ROWS, walk->at[1], n, walk->u, ROWS, width, n, walk->n_rows);
    samp_outer_add(walk->h, n, walk->at[1], n, walk->at[0], n, width, n, n);
}

void samp__sweep_row(samp__walk *walk, uint64_t row, const samp__lut *lut, float scale)
{
    const samp_feedback *f = walk->feedback;
    uint64_t at = row * f->cols + walk->first, n = walk->n;
    float inv = scale != 0 ? 1 / scale : 0;
    for (uint64_t j = n; j-- > 0 && scale != 0;) {
        float g = walk->g[j * ROWS + row], h = walk->h[j * n + j], old = walk->target[at + j];
        float q = scale * samp__lut_nearest(lut, (old + g / h) * inv), x = old - q;
        if (x == 0) continue;
        float e = walk->w[at + j] - old;
        walk->error += (double)(x * (2 * g + x * h)) - (double)(f->damping * x * (2 * e + x));
        walk->target[at + j] = q;
        walk->e[j * ROWS + row] += x;
        for (uint64_t i = 0; i < n; i++) walk->g[i * ROWS + row] += x * walk->h[j * n + i];
    }
}

void samp__sweep_close(samp__walk *walk)
{
    samp_outer_add(walk->u, ROWS, walk->a, walk->feedback->cols, walk->e, ROWS, walk->n,
                   walk->first + walk->n, walk->n_rows);
}

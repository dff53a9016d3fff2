/* Error feedback, panel by panel (feedback.h). */
#include "format/feedback.h"

#include "base/clones.h"
#include "base/matrix.h"
#include "format/kernels.h"

#include <string.h>

enum { ROWS = SAMP_PANEL_ROWS, COLUMNS = 64 };

uint64_t samp_feedback_room(uint64_t cols) { return (ROWS + COLUMNS) * cols + COLUMNS * ROWS; }

void samp__walk_begin(samp__walk *walk, const samp_feedback *feedback, const float *w,
                      uint64_t n_rows, float *room)
{
    uint64_t cols = feedback->cols;
    *walk = (samp__walk){.feedback = feedback,
                         .w = w,
                         .n_rows = n_rows,
                         .target = room,
                         .a = room + ROWS * cols,
                         .e = room + (ROWS + COLUMNS) * cols};
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

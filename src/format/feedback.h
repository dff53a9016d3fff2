/* Error feedback (LDLQ, the same as GPTQ): a weight is rounded not to the value nearest to itself
 * but to the one nearest to itself plus what the errors made so far in its row are worth in its
 * place, given how the inputs go together.
 *
 * With H = E[x x^T] + damping*I the second moments of a weight's inputs and H = A D A^T its factor
 * (base/matrix.h), the squared error of a row's outputs is
 *
 *     e H e^T = sum over j of D_j * (e_j + sum over k > j of e_k A_kj)^2,    e = w - rounded w
 *
 * so that, column by column from the last, rounding the target T_j = w_j + sum over k > j of
 * e_k A_kj is the best that can be done, and leaves D_j * (T_j - rounded)^2.
 *
 * The columns rounded last had no say in the first ones. A sweep of coordinate descent rounds each
 * column once more, with what all the others have become: with u = A^T e (the sums above) the error
 * changes by 2 x g + x^2 H_ii when e_i changes by x, g_i = sum over j <= i of D_j A_ij u_j, and is
 * least near x = -g_i / H_ii. Scales stay. Two sweeps cost about what the walk itself does. */
#ifndef SAMP_FORMAT_FEEDBACK_H
#define SAMP_FORMAT_FEEDBACK_H

#include "format/format.h"
#include "format/lut.h"

typedef struct samp_feedback {
    uint64_t cols;
    const uint16_t *factor; /* fp16, A below its diagonal: row k's k values start at k*(k-1)/2 */
    const float *d;         /* [cols] D, for errors and sweeps; NULL: neither is wanted */
    float damping;
} samp_feedback;

static inline uint64_t samp_feedback_values(uint64_t cols) { return cols * (cols - 1) / 2; }
/* D again, which is not stored, from the factor and the moments of the inputs: H's diagonal is
 * moment + damping, and damping a share of the mean moment. */
void samp_feedback_pivots(const uint16_t *factor, const float *moment, uint64_t cols, float *d);
float samp_feedback_damping(const float *moment, uint64_t cols);
/* Floats of working memory a thread needs for panels of SAMP_PANEL_ROWS rows. */
uint64_t samp_feedback_room(uint64_t cols);
/* Sum over rows of e H e^T, without the damping, for weights w that became q, [n_rows][cols];
 * n_rows <= SAMP_PANEL_ROWS. q NULL: all zero. */
double samp_feedback_error(const samp_feedback *feedback, const float *w, const float *q,
                           uint64_t n_rows, float *room);

/* ---- for the encoders of this room ---- */

/* A panel of rows on its way from the last column to the first, some columns at a time. */
typedef struct samp__walk {
    const samp_feedback *feedback;
    const float *w; /* [n_rows][cols] */
    uint64_t n_rows, first, n;
    float *target; /* [n_rows][cols]: T, then the rounded value */
    float *a;      /* [n][cols]: rows first … of A */
    float *e;      /* [n][SAMP_PANEL_ROWS]: errors of the open columns, or their changes */
    float *u;      /* [cols][SAMP_PANEL_ROWS]: A^T e */
    float *at[2];  /* [cols][n]: A^T of the open columns, and D times it */
    float *g, *h;  /* [n][SAMP_PANEL_ROWS]; [n][n], H of the open columns */
    double error;
} samp__walk;

void samp__walk_begin(samp__walk *walk, const samp_feedback *feedback, const float *w,
                      uint64_t n_rows, float *room);
/* Columns first … first+n-1 (n <= 64), next to those closed before. */
void samp__walk_open(samp__walk *walk, uint64_t first, uint64_t n);
/* Rounds the open columns of a row to scale * (the lut's level nearest to T/scale). */
void samp__walk_row(samp__walk *walk, uint64_t row, const samp__lut *lut, float scale);
void samp__walk_close(samp__walk *walk);
/* A sweep over what a whole walk has rounded, in the same steps; feedback->d is there. */
void samp__sweep_open(samp__walk *walk, uint64_t first, uint64_t n);
void samp__sweep_row(samp__walk *walk, uint64_t row, const samp__lut *lut, float scale);
void samp__sweep_close(samp__walk *walk);

#endif

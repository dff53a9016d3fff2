/* The little linear algebra that error feedback needs: sums of outer products and the triangular
 * factor of a symmetric matrix. Row-major float; every element's sum runs in one order, so that
 * results depend on neither threads nor vector width. */
#ifndef SAMP_BASE_MATRIX_H
#define SAMP_BASE_MATRIX_H

#include "base/error.h"
#include "base/thread.h"

/* c[i][k] += sum over t of p[t][i] * q[t][k], for i < m, k < n, t < n_terms (rows of c, p and q are
 * ldc, ldp and ldq floats apart). */
void samp_outer_add(float *c, size_t ldc, const float *p, size_t ldp, const float *q, size_t ldq,
                    size_t n_terms, size_t m, size_t n);

/* The lower triangle of h [n][n] += x^T x, x [n_rows][n]; on all threads. What lies above the
 * diagonal is left undefined. Errors: SAMP_NOMEM. */
samp_status samp_gram_add(samp_pool *pool, float *h, const float *x, size_t n_rows, size_t n,
                          samp_error *error);

/* h [n][n], symmetric and positive definite, of which the lower triangle is given, becomes
 * h = A D A^T: A, unit lower triangular, replaces the triangle below the diagonal (the diagonal
 * itself is 1 and not stored), d [n] gets D. Errors: SAMP_NUMERIC when a pivot is not positive;
 * SAMP_NOMEM. */
samp_status samp_factor(samp_pool *pool, float *h, size_t n, float *d, samp_error *error);

#endif

/* Sums of outer products in tiles of registers, and on them a blocked Cholesky factorization.
 *
 * What tiles read is gathered first: columns of x [n_rows][n] a power of two apart meet in one set of
 * a cache. Zen 1, one core, AVX2, 512 rows, G multiply-adds a second (the core's limit is 23.8):
 * n = 576 19.5, 1536 17.7, 4096 16.5, 8192 15.4; neither gathered nor fused 15.5, 12.6, 2.7, 2.4. */
#include "base/matrix.h"

#include "base/cpu.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { TILE_ROWS = 4, TILE_COLS = 16, BLOCK = 64, TERMS = 256 };

/* c [4][16], rows ldc apart, += p^T q; p [n_terms][4], q [n_terms][16]. Each product is fused with its
 * addition, so that both tiles give the same bits. */
typedef void tile_function(float *c, size_t ldc, const float *p, const float *q, size_t n_terms);

static void tile_plain(float *c, size_t ldc, const float *p, const float *q, size_t n_terms)
{
    float sum[TILE_ROWS][TILE_COLS] = {{0}};
    for (size_t t = 0; t < n_terms; t++, p += TILE_ROWS, q += TILE_COLS)
        for (int i = 0; i < TILE_ROWS; i++)
            for (int k = 0; k < TILE_COLS; k++) sum[i][k] = fmaf(q[k], p[i], sum[i][k]);
    for (size_t i = 0; i < TILE_ROWS; i++)
        for (size_t k = 0; k < TILE_COLS; k++) c[i * ldc + k] += sum[i][k];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void tile_avx2(float *c, size_t ldc, const float *p,
                                                          const float *q, size_t n_terms)
{
    __m256 sum[TILE_ROWS][2] = {{_mm256_setzero_ps()}};
    for (size_t t = 0; t < n_terms; t++, p += TILE_ROWS, q += TILE_COLS) {
        __m256 low = _mm256_loadu_ps(q), high = _mm256_loadu_ps(q + 8);
#pragma GCC unroll 4
        for (int i = 0; i < TILE_ROWS; i++) {
            __m256 value = _mm256_broadcast_ss(p + i);
            sum[i][0] = _mm256_fmadd_ps(low, value, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(high, value, sum[i][1]);
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < TILE_ROWS; i++) {
        float *to = c + i * ldc;
        _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), sum[i][0]));
        _mm256_storeu_ps(to + 8, _mm256_add_ps(_mm256_loadu_ps(to + 8), sum[i][1]));
    }
}
#endif

static tile_function *tile_of_host(void)
{
#if defined(__x86_64__)
    samp_cpu_level level;
    if (samp_cpu_choose(&level, NULL) != SAMP_OK) level = samp_cpu_host();
    if (level >= SAMP_CPU_AVX2) return tile_avx2;
#endif
    return tile_plain;
}

static void edge(float *c, size_t ldc, const float *p, size_t ldp, const float *q, size_t ldq,
                 size_t n_terms, size_t m, size_t n)
{
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k < n; k++) {
            float sum = 0;
            for (size_t t = 0; t < n_terms; t++) sum += q[t * ldq + k] * p[t * ldp + i];
            c[i * ldc + k] += sum;
        }
}

/* `width` neighbouring columns of x [n_terms][ld], close together. */
static inline __attribute__((always_inline)) void gather(float *to, const float *x, size_t ld,
                                                         size_t n_terms, size_t width)
{
    for (size_t t = 0; t < n_terms; t++, to += width, x += ld) memcpy(to, x, width * sizeof *x);
}

/* At most TERMS terms and BLOCK rows. */
static void add_block(tile_function *tile, float *c, size_t ldc, const float *p, size_t ldp,
                      const float *q, size_t ldq, size_t n_terms, size_t m, size_t n)
{
    _Alignas(64) float rows[BLOCK / TILE_ROWS][TERMS * TILE_ROWS], cols[TERMS * TILE_COLS];
    for (size_t i = 0; i < m; i += TILE_ROWS)
        gather(rows[i / TILE_ROWS], p + i, ldp, n_terms, TILE_ROWS);
    for (size_t k = 0; k < n; k += TILE_COLS) {
        gather(cols, q + k, ldq, n_terms, TILE_COLS);
        for (size_t i = 0; i < m; i += TILE_ROWS)
            tile(c + i * ldc + k, ldc, rows[i / TILE_ROWS], cols, n_terms);
    }
}

void samp_outer_add(float *c, size_t ldc, const float *p, size_t ldp, const float *q, size_t ldq,
                    size_t n_terms, size_t m, size_t n)
{
    tile_function *tile = tile_of_host();
    size_t rows = m - m % TILE_ROWS, cols = n - n % TILE_COLS;
    for (size_t t = 0; t < n_terms; t += TERMS)
        for (size_t i = 0; i < rows; i += BLOCK)
            add_block(tile, c + i * ldc, ldc, p + t * ldp + i, ldp, q + t * ldq, ldq,
                      n_terms - t < TERMS ? n_terms - t : TERMS,
                      rows - i < BLOCK ? rows - i : BLOCK, cols);
    edge(c + cols, ldc, p, ldp, q + cols, ldq, n_terms, rows, n - cols);
    edge(c + rows * ldc, ldc, p + rows, ldp, q, ldq, n_terms, m - rows, n);
}

/* Blocks of rows of a triangle, dealt out in turn so that every thread gets long and short rows. */
typedef struct triangle_job {
    float *h;
    const float *p, *q;           /* [n_terms][ld] */
    size_t ld, n_terms, n, first; /* rows and columns first … n */
} triangle_job;

static void add_triangle(void *context, unsigned thread, unsigned n_threads)
{
    const triangle_job *job = context;
    for (size_t b = thread, i; (i = job->first + b * BLOCK) < job->n; b += n_threads) {
        size_t m = job->n - i < BLOCK ? job->n - i : BLOCK, at = i - job->first;
        samp_outer_add(job->h + i * job->n + job->first, job->n, job->p + at, job->ld, job->q,
                       job->ld, job->n_terms, m, at + m);
    }
}

void samp_gram_add(samp_pool *pool, float *h, const float *x, size_t n_rows, size_t n)
{
    triangle_job job = {.h = h, .p = x, .q = x, .ld = n, .n_terms = n_rows, .n = n};
    samp_pool_run(pool, add_triangle, &job);
}

/* Cholesky of a diagonal block in place: L below and on the diagonal. */
static bool factor_block(float *h, size_t ld, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        double pivot = h[j * ld + j];
        for (size_t k = 0; k < j; k++) pivot -= (double)h[j * ld + k] * h[j * ld + k];
        if (!(pivot > 0 && isfinite(pivot))) return false;
        h[j * ld + j] = (float)sqrt(pivot);
        for (size_t i = j + 1; i < n; i++) {
            double sum = h[i * ld + j];
            for (size_t k = 0; k < j; k++) sum -= (double)h[i * ld + k] * h[j * ld + k];
            h[i * ld + j] = (float)(sum / h[j * ld + j]);
        }
    }
    return true;
}

/* The rows below a factored block: x L^T = h, and their transposed copies for the update. */
typedef struct panel_job {
    float *h;
    size_t n, at, width; /* the block: rows and columns at … at+width */
    float *plus, *minus; /* [width][n - at - width] */
} panel_job;

static void solve_panel(void *context, unsigned thread, unsigned n_threads)
{
    const panel_job *job = context;
    size_t first = job->at + job->width, rest = job->n - first, begin, end;
    samp_split(rest, 1, thread, n_threads, &begin, &end);
    const float *block = job->h + job->at * job->n + job->at;
    for (size_t r = begin; r < end; r++) {
        float *row = job->h + (first + r) * job->n + job->at;
        for (size_t j = 0; j < job->width; j++) {
            float sum = row[j];
            for (size_t k = 0; k < j; k++) sum -= row[k] * block[j * job->n + k];
            row[j] = sum / block[j * job->n + j];
            job->plus[j * rest + r] = row[j];
            job->minus[j * rest + r] = -row[j];
        }
    }
}

static void scale_columns(void *context, unsigned thread, unsigned n_threads)
{
    const panel_job *job = context;
    const float *d = job->plus; /* [n]: L's diagonal */
    for (size_t i = thread; i < job->n; i += n_threads)
        for (size_t k = 0; k < i; k++) job->h[i * job->n + k] /= d[k];
}

samp_status samp_factor(samp_pool *pool, float *h, size_t n, float *d, samp_error *error)
{
    float *plus = samp_alloc(BLOCK, n * sizeof *plus),
          *minus = samp_alloc(BLOCK, n * sizeof *minus);
    samp_status status = SAMP_OK;
    if (!plus || !minus)
        status = samp_fail(error, SAMP_NOMEM, "out of memory for the factor of a %zu x %zu matrix",
                           n, n);
    for (size_t at = 0; at < n && status == SAMP_OK; at += BLOCK) {
        size_t width = n - at < BLOCK ? n - at : BLOCK, first = at + width;
        if (!factor_block(h + at * n + at, n, width)) {
            status = samp_fail(error, SAMP_NUMERIC,
                               "the second moments of %zu inputs are not positive definite", n);
            break;
        }
        panel_job panel = {h, n, at, width, plus, minus};
        samp_pool_run(pool, solve_panel, &panel);
        triangle_job job = {.h = h,
                            .p = minus,
                            .q = plus,
                            .ld = n - first,
                            .n_terms = width,
                            .n = n,
                            .first = first};
        samp_pool_run(pool, add_triangle, &job);
    }
    for (size_t j = 0; j < n && status == SAMP_OK; j++) d[j] = h[j * n + j];
    panel_job all = {.h = h, .n = n, .plus = d};
    if (status == SAMP_OK) samp_pool_run(pool, scale_columns, &all);
    for (size_t j = 0; j < n && status == SAMP_OK; j++) d[j] *= d[j];
    samp_free(plus);
    samp_free(minus);
    return status;
}

/* Sums of outer products in tiles of registers, and on them a blocked Cholesky factorization.
 *
 * What tiles read is gathered first: columns of x [n_rows][n] a power of two apart meet in one set of
 * a cache. Of a Gram matrix, whose every column meets all others, it is gathered once. */
#include "base/matrix.h"

#include "base/cpu.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { TILE_ROWS = 4, TILE_COLS = 16, BLOCK = 64, TERMS = 256 };

/* c [4][16], rows ldc apart, += p^T q; p [n_terms][4], rows ldp apart, q [n_terms][16]. Each product is fused with its
 * addition, so that both tiles give the same bits. */
typedef void tile_function(float *c, size_t ldc, const float *p, size_t ldp, const float *q,
                           size_t n_terms);

static void tile_plain(float *c, size_t ldc, const float *p, size_t ldp, const float *q,
                       size_t n_terms)
{
    float sum[TILE_ROWS][TILE_COLS] = {{0}};
    for (size_t t = 0; t < n_terms; t++, p += ldp, q += TILE_COLS)
        for (int i = 0; i < TILE_ROWS; i++)
            for (int k = 0; k < TILE_COLS; k++) sum[i][k] = fmaf(q[k], p[i], sum[i][k]);
    for (size_t i = 0; i < TILE_ROWS; i++)
        for (size_t k = 0; k < TILE_COLS; k++) c[i * ldc + k] += sum[i][k];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void
tile_avx2(float *c, size_t ldc, const float *p, size_t ldp, const float *q, size_t n_terms)
{
    __m256 sum[TILE_ROWS][2] = {{_mm256_setzero_ps()}};
    for (size_t t = 0; t < n_terms; t++, p += ldp, q += TILE_COLS) {
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
            tile(c + i * ldc + k, ldc, rows[i / TILE_ROWS], TILE_ROWS, cols, n_terms);
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

/* Both factors of a product that fills a triangle, in panels of 16 columns [n_panels][n_terms][16], what the last has
 * beyond n columns being of no account: h [n][n], rows ld apart, += p^T q. */
typedef struct triangle_job {
    float *h;
    const float *p, *q;
    size_t ld, n, n_terms;
    tile_function *tile;
} triangle_job;

static size_t panel_floats(size_t n, size_t n_terms)
{
    return (n + TILE_COLS - 1) / TILE_COLS * TILE_COLS * n_terms;
}

/* The tile at row i and column k of h; one at the rim is added elsewhere first. */
static void add_tile(const triangle_job *job, size_t i, size_t k)
{
    const float *p = job->p + i / TILE_COLS * TILE_COLS * job->n_terms + i % TILE_COLS;
    const float *q = job->q + k * job->n_terms;
    float *to = job->h + i * job->ld + k;
    if (i + TILE_ROWS <= job->n && k + TILE_COLS <= job->n) {
        job->tile(to, job->ld, p, TILE_COLS, q, job->n_terms);
        return;
    }
    float rim[TILE_ROWS * TILE_COLS] = {0};
    size_t m = job->n - i < TILE_ROWS ? job->n - i : TILE_ROWS;
    size_t width = job->n - k < TILE_COLS ? job->n - k : TILE_COLS;
    for (size_t r = 0; r < m; r++)
        memcpy(rim + r * TILE_COLS, to + r * job->ld, width * sizeof *rim);
    job->tile(rim, TILE_COLS, p, TILE_COLS, q, job->n_terms);
    for (size_t r = 0; r < m; r++)
        memcpy(to + r * job->ld, rim + r * TILE_COLS, width * sizeof *rim);
}

/* Squares of the triangle, dealt out in turn. */
static void add_triangle(void *context, unsigned thread, unsigned n_threads)
{
    const triangle_job *job = context;
    size_t n_squares = (job->n + BLOCK - 1) / BLOCK, turn = 0;
    for (size_t r = 0; r < n_squares; r++)
        for (size_t c = 0; c <= r; c++) {
            if (turn++ % n_threads != thread) continue;
            size_t row_end = (r + 1) * BLOCK < job->n ? (r + 1) * BLOCK : job->n;
            size_t col_end = (c + 1) * BLOCK < job->n ? (c + 1) * BLOCK : job->n;
            for (size_t k = c * BLOCK; k < col_end; k += TILE_COLS)
                for (size_t i = r * BLOCK; i < row_end; i += TILE_ROWS)
                    if (i + TILE_ROWS > k) add_tile(job, i, k); /* else above the diagonal */
        }
}

typedef struct gather_job {
    const float *x; /* [n_terms][n] */
    float *panels;
    size_t n, n_terms;
} gather_job;

static void gather_panels(void *context, unsigned thread, unsigned n_threads)
{
    const gather_job *job = context;
    size_t begin, end;
    samp_split(job->n, TILE_COLS, thread, n_threads, &begin, &end);
    for (size_t k = begin; k < end; k += TILE_COLS) {
        float *to = job->panels + k * job->n_terms;
        if (k + TILE_COLS <= job->n)
            gather(to, job->x + k, job->n, job->n_terms, TILE_COLS);
        else
            for (size_t t = 0; t < job->n_terms; t++)
                memcpy(to + t * TILE_COLS, job->x + t * job->n + k, (job->n - k) * sizeof *to);
    }
}

samp_status samp_gram_add(samp_pool *pool, float *h, const float *x, size_t n_rows, size_t n,
                          samp_error *error)
{
    float *panels = samp_alloc(panel_floats(n, n_rows < TERMS ? n_rows : TERMS), sizeof *panels);
    if (!panels)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the products of %zu channels", n);
    for (size_t t = 0; t < n_rows; t += TERMS) {
        gather_job rows = {x + t * n, panels, n, n_rows - t < TERMS ? n_rows - t : TERMS};
        triangle_job sums = {h, panels, panels, n, n, rows.n_terms, tile_of_host()};
        samp_pool_run(pool, gather_panels, &rows);
        samp_pool_run(pool, add_triangle, &sums);
    }
    samp_free(panels);
    return SAMP_OK;
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
    float *plus, *minus; /* panels of width terms, n - at - width columns */
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
            size_t to = (r / TILE_COLS * job->width + j) * TILE_COLS + r % TILE_COLS;
            job->plus[to] = row[j];
            job->minus[to] = -row[j];
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
    float *plus = samp_alloc(panel_floats(n, BLOCK), sizeof *plus),
          *minus = samp_alloc(panel_floats(n, BLOCK), sizeof *minus);
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
        triangle_job job = {.h = h + first * n + first,
                            .p = minus,
                            .q = plus,
                            .ld = n,
                            .n = n - first,
                            .n_terms = width,
                            .tile = tile_of_host()};
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

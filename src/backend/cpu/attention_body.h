/* The inner kernels of attention, once, over the lanes of vector_lanes.h; included by
 * attention_scalar.c, attention_avx2.c, attention_avx512.c and attention_neon.c.
 *
 *     scores  s[row][key] = samp_dot(q[row], k[key]) * scale     16 keys are the lanes of a vector
 *     softmax M, l, c and p = exp(s - M) of each row             64 keys of a block at a time
 *     values  o[row][d] = fmaf(p[row][key], v[key][d], o[row][d]*c)   16 dimensions are the lanes
 *
 * Definition and order of operations: backend/numerics.h; the plain twin is in
 * tests/cpu/test_attention.c. Both products read a panel of kv.h front to back: a row of it is
 * loaded and converted to float once, then multiplied by one number of each of up to TILE_ROWS
 * queries, with all sums in registers. A sum of samp_dot is 16 partial sums (not a vector's lanes
 * here, but one vector of keys each), added pairwise as soon as two of them are ready: at most five
 * vectors a query are alive. Tiles of more queries than fit in registers convert the block to float
 * once, in scratch, for all of them.
 *
 * A block of 64 keys costs a row 2*64*head_dim multiply-adds and 64 exponentials, and reads
 * 2*64*head_dim values for all rows. Measured on one core of an AMD EPYC (Zen 1, AVX2, 2026-11),
 * head_dim 64, as a share of the multiply-add peak of the same run (18 to 24 G/s): from float, scores
 * 81 % with two rows (70 % with four), values 93 %; from fp16 and three rows (decode), 45 and 49 %:
 * Zen 1 takes 3 cycles to convert 8 halves. Whole: tests/cpu/test_attention_speed.c. */
#ifndef SAMP_CPU_ATTENTION_BODY_H
#define SAMP_CPU_ATTENTION_BODY_H

#include "backend/cpu/levels.h"
#include "backend/cpu/kernel.h"
#include "backend/cpu/vector_lanes.h"

/* Queries and panels of one register tile: AVX2 has 8 of its 16 registers in sums, AVX-512 8 of 32
 * and NEON (unmeasured) 16 of 32, as many as hide the latency of two multiply-adds a cycle. Scores of keys that are float already need
 * no wide tile to pay for a conversion, and AVX2 keeps the partial sums of two rows without spilling
 * (see the measurements above). SHAPES lists all tiles up to that. */
// clang-format off
#if defined(SAMP__SANITIZED) && !defined(SAMP__LANES_SCALAR)
enum { TILE_ROWS = 2, TILE_PANELS = 1, FLOAT_SCORE_ROWS = 2 };
#define SHAPES(X, stored) X(stored, 1, 1) X(stored, 2, 1)
#elif defined(SAMP__LANES_AVX512)
enum { TILE_ROWS = 4, TILE_PANELS = 2, FLOAT_SCORE_ROWS = 4 };
#define SHAPES(X, stored)                                                                          \
    X(stored, 1, 1) X(stored, 2, 1) X(stored, 3, 1) X(stored, 4, 1)                                \
    X(stored, 1, 2) X(stored, 2, 2) X(stored, 3, 2) X(stored, 4, 2)
#elif defined(SAMP__LANES_AVX2) || defined(SAMP__LANES_NEON)
enum { TILE_ROWS = 4, TILE_PANELS = 1, FLOAT_SCORE_ROWS = 2 };
#define SHAPES(X, stored) X(stored, 1, 1) X(stored, 2, 1) X(stored, 3, 1) X(stored, 4, 1)
#else
enum { TILE_ROWS = 1, TILE_PANELS = 1, FLOAT_SCORE_ROWS = 1 };
#define SHAPES(X, stored) X(stored, 1, 1)
#endif

#define foreach(i, n) UNROLL for (int i = 0; i < (n); i++)
// clang-format on

/* How the values of a panel are stored: as samp_kv_type says, or as float in scratch. */
enum {
    STORED_FP16 = SAMP_KV_FP16,
    STORED_INT8 = SAMP_KV_INT8,
    STORED_FLOAT = SAMP_KV_FP32,
    STORED_COUNT
};

typedef struct panels {
    int stored;
    const uint8_t *data;
    size_t bytes; /* from one panel to the next */
} panels;

SAMP__INLINE size_t stored_bytes(int stored)
{
    return stored == STORED_FLOAT ? sizeof(float) : stored == STORED_FP16 ? sizeof(uint16_t) : 1;
}

SAMP__INLINE lanes load_row(int stored, const uint8_t *panel, size_t row)
{
    const uint8_t *p = panel + row * SAMP__KV_PANEL * stored_bytes(stored);
    if (stored == STORED_FP16) return lanes_load_fp16((const uint16_t *)p);
    if (stored == STORED_INT8) return lanes_load_int8((const int8_t *)p);
    return lanes_load((const float *)p);
}

typedef struct tile_sums {
    lanes v[TILE_ROWS][TILE_PANELS];
} tile_sums;

/* ---- scores ---- */

typedef struct score_work {
    const uint8_t *keys; /* first panel */
    size_t panel_bytes;
    const float *q; /* [rows][head_dim] */
    size_t head_dim;
    float *scores; /* [rows][SAMP_KV_BLOCK] */
} score_work;

/* One of the 16 partial sums: the elements lane, lane+16, … of q; *row is the next row of the
 * panel. */
SAMP__INLINE void partial_sum(const score_work *work, int stored, int rows, int n_panels,
                              size_t lane, size_t *row, tile_sums *sums)
{
    foreach (r, rows)
        foreach (p, n_panels) sums->v[r][p] = lanes_set(0);
    for (size_t i = lane; i < work->head_dim; i += SAMP_LANES, ++*row) {
        lanes key[TILE_PANELS];
        foreach (p, n_panels)
            key[p] = load_row(stored, work->keys + (size_t)p * work->panel_bytes, *row);
        foreach (r, rows) {
            lanes q = lanes_set(work->q[(size_t)r * work->head_dim + i]);
            foreach (p, n_panels) sums->v[r][p] = lanes_fma(q, key[p], sums->v[r][p]);
        }
    }
}

/* halves_N adds N partial sums as samp_lane_sum does: its two halves are `step` lanes apart. */
#define HALVES(n, half, step)                                                                      \
    SAMP__INLINE void halves_##n(const score_work *work, int stored, int rows, int n_panels,       \
                                 size_t lane, size_t *row, tile_sums *sums)                        \
    {                                                                                              \
        tile_sums other;                                                                           \
        half(work, stored, rows, n_panels, lane, row, sums);                                       \
        half(work, stored, rows, n_panels, lane + (step), row, &other);                            \
        foreach (r, rows)                                                                          \
            foreach (p, n_panels) sums->v[r][p] = lanes_add(sums->v[r][p], other.v[r][p]);         \
    }
HALVES(2, partial_sum, 8)
HALVES(4, halves_2, 4)
HALVES(8, halves_4, 2)
HALVES(16, halves_8, 1)
#undef HALVES

SAMP__INLINE void score_tile(const score_work *work, int stored, int rows, int n_panels)
{
    tile_sums sums;
    size_t row = 0;
    halves_16(work, stored, rows, n_panels, 0, &row, &sums);
    foreach (r, rows)
        foreach (p, n_panels)
            lanes_store(work->scores + r * SAMP_KV_BLOCK + p * SAMP__KV_PANEL, sums.v[r][p]);
}

/* ---- values ---- */

typedef struct value_work {
    const uint8_t *values; /* first panel */
    size_t panel_bytes;
    const float *p;            /* [rows][SAMP_KV_BLOCK] */
    const float *rescale;      /* [rows] */
    float *o;                  /* [rows][stride] */
    size_t stride, begin, end; /* keys */
} value_work;

SAMP__INLINE void value_tile(const value_work *work, int stored, int rows, int n_panels)
{
    tile_sums sums;
    float *o = work->o;
    foreach (r, rows)
        foreach (p, n_panels)
            sums.v[r][p] = lanes_mul(lanes_load(o + (size_t)r * work->stride + p * SAMP__KV_PANEL),
                                     lanes_set(work->rescale[r]));
    for (size_t key = work->begin; key < work->end; key++) {
        lanes value[TILE_PANELS];
        foreach (p, n_panels)
            value[p] = load_row(stored, work->values + (size_t)p * work->panel_bytes, key);
        foreach (r, rows) {
            lanes weight = lanes_set(work->p[(size_t)r * SAMP_KV_BLOCK + key]);
            foreach (p, n_panels) sums.v[r][p] = lanes_fma(weight, value[p], sums.v[r][p]);
        }
    }
    foreach (r, rows)
        foreach (p, n_panels)
            lanes_store(o + (size_t)r * work->stride + p * SAMP__KV_PANEL, sums.v[r][p]);
}

/* ---- one function for each shape of a tile ---- */

typedef void score_function(const score_work *work);
typedef void value_function(const value_work *work);

#define FUNCTIONS(stored, rows, n_panels)                                                          \
    static void score_##stored##_##rows##_##n_panels(const score_work *work)                       \
    {                                                                                              \
        score_tile(work, STORED_##stored, rows, n_panels);                                         \
    }                                                                                              \
    static void value_##stored##_##rows##_##n_panels(const value_work *work)                       \
    {                                                                                              \
        value_tile(work, STORED_##stored, rows, n_panels);                                         \
    }
SHAPES(FUNCTIONS, FP16)
SHAPES(FUNCTIONS, INT8)
SHAPES(FUNCTIONS, FLOAT)
#undef FUNCTIONS

#define ENTRY(stored, rows, n_panels)                                                              \
    [STORED_##stored][rows - 1][n_panels - 1] = score_##stored##_##rows##_##n_panels,
static score_function *const score_functions[STORED_COUNT][TILE_ROWS][TILE_PANELS] = {
    SHAPES(ENTRY, FP16) SHAPES(ENTRY, INT8) SHAPES(ENTRY, FLOAT)};
#undef ENTRY
#define ENTRY(stored, rows, n_panels)                                                              \
    [STORED_##stored][rows - 1][n_panels - 1] = value_##stored##_##rows##_##n_panels,
static value_function *const value_functions[STORED_COUNT][TILE_ROWS][TILE_PANELS] = {
    SHAPES(ENTRY, FP16) SHAPES(ENTRY, INT8) SHAPES(ENTRY, FLOAT)};
#undef ENTRY

/* ---- a block ---- */

SAMP__INLINE int smaller(int a, int b) { return a < b ? a : b; }

static panels cell_keys(const samp_kv *kv, const uint8_t *cell)
{
    size_t bytes = SAMP__KV_PANEL * kv->value_bytes * kv->shape.head_dim;
    return (panels){(int)kv->shape.type, cell, bytes};
}

static panels cell_values(const samp_kv *kv, const uint8_t *cell)
{
    size_t bytes = SAMP__KV_PANEL * kv->value_bytes * SAMP_KV_BLOCK;
    return (panels){(int)kv->shape.type, cell + kv->v_offset, bytes};
}

/* The first n_rows rows of each of n_panels panels as float, in tile->values: the same, wider. */
static panels panels_to_float(panels from, int n_panels, size_t n_rows, samp__tile *tile)
{
    if (from.stored == STORED_FLOAT) return from;
    size_t panel_rows = from.bytes / (SAMP__KV_PANEL * stored_bytes(from.stored));
    for (int p = 0; p < n_panels; p++) {
        const uint8_t *panel = from.data + (size_t)p * from.bytes;
        float *wide = tile->values + (size_t)p * panel_rows * SAMP__KV_PANEL;
        if (from.stored == STORED_FP16)
            for (size_t row = 0; row < n_rows; row++)
                lanes_store(wide + row * SAMP__KV_PANEL, load_row(STORED_FP16, panel, row));
        else
            for (size_t row = 0; row < n_rows; row++)
                lanes_store(wide + row * SAMP__KV_PANEL, load_row(STORED_INT8, panel, row));
    }
    return (panels){STORED_FLOAT, (const uint8_t *)tile->values,
                    panel_rows * SAMP__KV_PANEL * sizeof(float)};
}

static void attention_scores(const samp_kv *kv, const uint8_t *cell, samp__tile *tile, int first,
                             int panel, int n_panels, float *scores)
{
    size_t dim = kv->shape.head_dim;
    panels keys = cell_keys(kv, cell);
    keys.data += (size_t)panel * keys.bytes;
    if (tile->n_rows - first > TILE_ROWS) keys = panels_to_float(keys, n_panels, dim, tile);
    int step = keys.stored == STORED_FLOAT ? FLOAT_SCORE_ROWS : TILE_ROWS;
    scores += first * SAMP_KV_BLOCK + panel * SAMP__KV_PANEL;
    for (int p = 0; p < n_panels; p += TILE_PANELS) {
        int width = smaller(TILE_PANELS, n_panels - p);
        score_work work = {.keys = keys.data + (size_t)p * keys.bytes,
                           .panel_bytes = keys.bytes,
                           .q = tile->q + (size_t)first * dim,
                           .head_dim = dim,
                           .scores = scores + p * SAMP__KV_PANEL};
        for (int r = first; r < tile->n_rows; r += step) {
            int rows = smaller(step, tile->n_rows - r);
            score_functions[keys.stored][rows - 1][width - 1](&work);
            work.q += (size_t)step * dim;
            work.scores += step * SAMP_KV_BLOCK;
        }
    }
}

/* Scales the scores of one row, hides what it does not see, and returns the new maximum. A row that
 * sees nothing of the block, because its window begins later, is left as it was: M stays -inf, and
 * exp(-inf - -inf) is 0, so that l and o stay 0. */
static float scale_scores(samp__tile *tile, int row, const float *k_scales)
{
    float *s = tile->scores + row * SAMP_KV_BLOCK;
    int n = tile->n_visible[row], hidden = tile->n_hidden[row];
    lanes top = lanes_set(tile->max[row]);
    for (int i = 0; i < n; i += SAMP_LANES) {
        lanes factor = lanes_set(tile->scale);
        if (k_scales) factor = lanes_mul(lanes_load(k_scales + i), factor);
        lanes score = lanes_mul(lanes_load(s + i), factor);
        if (n - i < SAMP_LANES) score = lanes_first(score, lanes_set(-INFINITY), n - i);
        if (hidden > i)
            score = lanes_first(lanes_set(-INFINITY), score, smaller(hidden - i, SAMP_LANES));
        top = lanes_max(score, top); /* a NaN score is passed over */
        lanes_store(s + i, score);
    }
    return lanes_largest(top);
}

/* Scores of one row to p, times V's scale when there is one; adds them to l. */
static void scores_to_p(samp__tile *tile, int row, const float *v_scales)
{
    float *s = tile->scores + row * SAMP_KV_BLOCK;
    int n_vectors = (tile->n_visible[row] + SAMP_LANES - 1) / SAMP_LANES;
    lanes max = lanes_set(tile->max[row]), sum = lanes_set(0);
    for (int i = 0; i < n_vectors; i += SAMP__EXP_CHAINS) {
        lanes p[SAMP__EXP_CHAINS];
        for (int c = 0; c < SAMP__EXP_CHAINS; c++)
            p[c] = lanes_sub(lanes_load(s + (i + c) * SAMP_LANES), max);
        lanes_exp_each(p, SAMP__EXP_CHAINS);
        for (int c = 0; c < SAMP__EXP_CHAINS && i + c < n_vectors; c++) {
            sum = lanes_add(sum, p[c]);
            if (v_scales) p[c] = lanes_mul(p[c], lanes_load(v_scales + (i + c) * SAMP_LANES));
            lanes_store(s + (i + c) * SAMP_LANES, p[c]);
        }
    }
    tile->sum[row] = tile->sum[row] * tile->rescale[row] + lanes_sum(sum);
}

/* The online softmax of rows first …: new M, c for o, p, l. Each phase runs over all rows, so that
 * the latency of one row's reductions hides behind the next row's. */
static void block_softmax(samp__tile *tile, int first, const float *k_scales, const float *v_scales)
{
    for (int row = first; row < tile->n_rows; row += SAMP_LANES) {
        int n = smaller(SAMP_LANES, tile->n_rows - row);
        float top[SAMP_LANES];
        for (int i = 0; i < n; i++) top[i] = scale_scores(tile, row + i, k_scales);
        lanes max = lanes_load_n(top, n);
        lanes c = lanes_exp(lanes_sub(lanes_load_n(tile->max + row, n), max));
        lanes_store_n(tile->rescale + row, c, n);
        lanes_store_n(tile->max + row, max, n);
    }
    for (int row = first; row < tile->n_rows; row++) scores_to_p(tile, row, v_scales);
}

/* Keys that only the later rows of a register tile see (in the block of the diagonal), row by row. */
static void diagonal_values(value_work work, value_function *one_row, const int *n_visible,
                            int rows)
{
    const float one = 1; /* o is rescaled already */
    work.begin = work.end;
    work.rescale = &one;
    for (int i = 1; i < rows; i++) {
        work.p += SAMP_KV_BLOCK;
        work.o += work.stride;
        work.end = (size_t)n_visible[i];
        if (work.end > work.begin) one_row(&work);
    }
}

/* o of rows first …: the keys that all rows of a register tile see together, then the diagonal. */
static void add_values(panels values, samp__tile *tile, int first, float *o, size_t stride,
                       int n_panels)
{
    value_function *const(*functions)[TILE_PANELS] = value_functions[values.stored];
    for (int p = 0; p < n_panels; p += TILE_PANELS) {
        int width = smaller(TILE_PANELS, n_panels - p);
        value_work work = {.values = values.data + (size_t)p * values.bytes,
                           .panel_bytes = values.bytes,
                           .p = tile->scores + first * SAMP_KV_BLOCK,
                           .rescale = tile->rescale + first,
                           .o = o + (size_t)first * stride + p * SAMP__KV_PANEL,
                           .stride = stride};
        for (int r = first; r < tile->n_rows; r += TILE_ROWS) {
            int rows = smaller(TILE_ROWS, tile->n_rows - r);
            work.begin = (size_t)tile->n_hidden[r];
            work.end = (size_t)tile->n_visible[r];
            functions[rows - 1][width - 1](&work);
            if (tile->n_visible[r + rows - 1] > tile->n_visible[r])
                diagonal_values(work, functions[0][width - 1], tile->n_visible + r, rows);
            work.p += TILE_ROWS * SAMP_KV_BLOCK;
            work.rescale += TILE_ROWS;
            work.o += TILE_ROWS * stride;
        }
    }
}

static void attention_values(const samp_kv *kv, const uint8_t *cell, samp__tile *tile, int first,
                             int panel, int n_panels)
{
    bool scaled = kv->shape.type == SAMP_KV_INT8;
    const float *k_scales = scaled ? (const float *)(cell + kv->k_scales) : NULL;
    const float *v_scales = scaled ? (const float *)(cell + kv->v_scales) : NULL;
    block_softmax(tile, first, k_scales, v_scales);
    panels values = cell_values(kv, cell);
    values.data += (size_t)panel * values.bytes;
    size_t n_keys = (size_t)tile->n_visible[tile->n_rows - 1];
    if (tile->n_rows - first > TILE_ROWS) values = panels_to_float(values, n_panels, n_keys, tile);
    add_values(values, tile, first, tile->o + panel * SAMP__KV_PANEL, kv->padded_dim, n_panels);
}

static void attention_finish(const samp_kv *kv, const samp__tile *tile, int row, int panel,
                             int n_panels, float *out)
{
    const float *o = tile->o + (size_t)row * kv->padded_dim;
    lanes l = lanes_set(tile->sum[row]);
    for (int p = panel; p < panel + n_panels; p++) {
        int d = p * SAMP__KV_PANEL, n = smaller(SAMP__KV_PANEL, (int)kv->shape.head_dim - d);
        lanes_store_n(out + d, lanes_div(lanes_load(o + d), l), n);
    }
}

#define SAMP__ATTENTION_TABLE                                                                      \
    {                                                                                              \
        .scores = attention_scores, .values = attention_values, .finish = attention_finish         \
    }

#endif

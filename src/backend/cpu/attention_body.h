/* The inner kernels of attention, once, over the lanes of vector_lanes.h; included by
 * attention_scalar.c, attention_avx2.c and attention_avx512.c.
 *
 *     scores  s[row][key] = samp_dot(q[row], k[key]) * scale     16 keys are the lanes of a vector
 *     softmax M, l, c and p = exp(s - M) of each row             64 keys of a block at a time
 *     values  o[row][d] = fmaf(p[row][key], v[key][d], o[row][d]*c)   16 dimensions are the lanes
 *
 * Definition and order of operations: backend/numerics.h; the plain twin is in
 * tests/cpu/test_attention.c. Both products read a panel of kv.h front to back: a row of it is
 * loaded and converted to float once, then multiplied by one number of each of up to SAMP__ROWS
 * queries, with all sums in registers. A sum of samp_dot is 16 partial sums (not a vector's lanes
 * here, but one vector of keys each), added pairwise as soon as two of them are ready: at most five
 * vectors a query are alive. Tiles of more queries than fit in registers convert the block to float
 * once, in scratch, for all of them.
 *
 * A block of 64 keys costs 2*64*head_dim multiply-adds a row, reads 2*64*head_dim values; 64
 * exponentials. */
#ifndef SAMP_CPU_ATTENTION_BODY_H
#define SAMP_CPU_ATTENTION_BODY_H

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/vector_lanes.h"

/* Queries and panels of one register tile: AVX2 has 8 of its 16 registers in sums, AVX-512 8 of 32,
 * as many as hide the latency of two multiply-adds a cycle. SHAPES lists all tiles up to that. */
#if defined(SAMP__LANES_AVX512)
enum { TILE_ROWS = 4, TILE_PANELS = 2 };
#define SHAPES(X, stored)                                                                          \
    X(stored, 1, 1)                                                                                \
    X(stored, 2, 1) X(stored, 3, 1) X(stored, 4, 1) X(stored, 1, 2) X(stored, 2, 2)                \
        X(stored, 3, 2) X(stored, 4, 2)
#elif defined(SAMP__LANES_AVX2)
enum { TILE_ROWS = 4, TILE_PANELS = 1 };
#define SHAPES(X, stored) X(stored, 1, 1) X(stored, 2, 1) X(stored, 3, 1) X(stored, 4, 1)
#else
enum { TILE_ROWS = 1, TILE_PANELS = 1 };
#define SHAPES(X, stored) X(stored, 1, 1)
#endif

/* How the values of a panel are stored: samp_kv_type, or float in scratch. */
enum { STORED_FP16 = SAMP_KV_FP16, STORED_INT8 = SAMP_KV_INT8, STORED_FLOAT, STORED_COUNT };

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
    panels keys;
    const float *q; /* [rows][head_dim] */
    float *scores;  /* [rows][SAMP_KV_BLOCK] */
    size_t head_dim;
} score_work;

/* One of the 16 partial sums: the elements lane, lane+16, … of q; *row is the next row of the
 * panel. */
SAMP__INLINE tile_sums partial_sum(const score_work *work, int stored, int rows, int n_panels,
                                   size_t lane, size_t *row)
{
    tile_sums sums;
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < n_panels; p++) sums.v[r][p] = lanes_set(0);
    for (size_t i = lane; i < work->head_dim; i += SAMP_LANES, ++*row) {
        lanes key[TILE_PANELS];
        for (int p = 0; p < n_panels; p++)
            key[p] = load_row(stored, work->keys.data + (size_t)p * work->keys.bytes, *row);
        for (int r = 0; r < rows; r++) {
            lanes q = lanes_set(work->q[(size_t)r * work->head_dim + i]);
            for (int p = 0; p < n_panels; p++) sums.v[r][p] = lanes_fma(q, key[p], sums.v[r][p]);
        }
    }
    return sums;
}

SAMP__INLINE tile_sums add_sums(tile_sums a, tile_sums b, int rows, int n_panels)
{
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < n_panels; p++) a.v[r][p] = lanes_add(a.v[r][p], b.v[r][p]);
    return a;
}

/* halves_N adds N partial sums as samp_lane_sum does: its two halves are `step` lanes apart. */
#define HALVES(n, half, step)                                                                      \
    SAMP__INLINE tile_sums halves_##n(const score_work *work, int stored, int rows, int n_panels,  \
                                      size_t lane, size_t *row)                                    \
    {                                                                                              \
        tile_sums a = half(work, stored, rows, n_panels, lane, row);                               \
        return add_sums(a, half(work, stored, rows, n_panels, lane + (step), row), rows,           \
                        n_panels);                                                                 \
    }
HALVES(2, partial_sum, 8)
HALVES(4, halves_2, 4)
HALVES(8, halves_4, 2)
HALVES(16, halves_8, 1)
#undef HALVES

SAMP__INLINE void score_tile(const score_work *work, int stored, int rows, int n_panels)
{
    size_t row = 0;
    tile_sums sums = halves_16(work, stored, rows, n_panels, 0, &row);
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < n_panels; p++)
            lanes_store(work->scores + r * SAMP_KV_BLOCK + p * SAMP__KV_PANEL, sums.v[r][p]);
}

/* ---- values ---- */

typedef struct value_work {
    panels values;
    const float *p;            /* [rows][SAMP_KV_BLOCK] */
    const float *rescale;      /* [rows] */
    float *o;                  /* [rows][stride] */
    size_t stride, begin, end; /* keys */
} value_work;

SAMP__INLINE void value_tile(const value_work *work, int stored, int rows, int n_panels)
{
    tile_sums sums;
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < n_panels; p++)
            sums.v[r][p] =
                lanes_mul(lanes_load(work->o + (size_t)r * work->stride + p * SAMP__KV_PANEL),
                          lanes_set(work->rescale[r]));
    for (size_t key = work->begin; key < work->end; key++) {
        lanes value[TILE_PANELS];
        for (int p = 0; p < n_panels; p++)
            value[p] = load_row(stored, work->values.data + (size_t)p * work->values.bytes, key);
        for (int r = 0; r < rows; r++) {
            lanes weight = lanes_set(work->p[(size_t)r * SAMP_KV_BLOCK + key]);
            for (int p = 0; p < n_panels; p++)
                sums.v[r][p] = lanes_fma(weight, value[p], sums.v[r][p]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < n_panels; p++)
            lanes_store(work->o + (size_t)r * work->stride + p * SAMP__KV_PANEL, sums.v[r][p]);
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

/* The first n_rows rows of each of n_panels panels as float, in tile->values: the same panels,
 * wider. */
static panels panels_to_float(panels from, int n_panels, size_t n_rows, samp__tile *tile)
{
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

/* Dot products of rows first … with the block's first n_keys keys (rounded up to whole panels). */
static void block_scores(const samp_kv *kv, panels keys, samp__tile *tile, int first, int n_keys)
{
    size_t dim = kv->shape.head_dim;
    int n_panels = (n_keys + SAMP__KV_PANEL - 1) / SAMP__KV_PANEL;
    if (tile->n_rows - first > TILE_ROWS) keys = panels_to_float(keys, n_panels, dim, tile);
    for (int p = 0; p < n_panels; p += TILE_PANELS) {
        int width = smaller(TILE_PANELS, n_panels - p);
        for (int r = first; r < tile->n_rows; r += TILE_ROWS) {
            int rows = smaller(TILE_ROWS, tile->n_rows - r);
            score_work work = {.keys = keys,
                               .q = tile->q + (size_t)r * dim,
                               .head_dim = dim,
                               .scores = tile->scores + r * SAMP_KV_BLOCK + p * SAMP__KV_PANEL};
            work.keys.data += (size_t)p * keys.bytes;
            score_functions[keys.stored][rows - 1][width - 1](&work);
        }
    }
}

/* Scores of one row to p (times V's scale when there is one); new M and l, and the factor c for o.
 */
static void softmax_row(samp__tile *tile, int row, const float *k_scales, const float *v_scales)
{
    float *s = tile->scores + row * SAMP_KV_BLOCK;
    int n = tile->n_visible[row], n_vectors = (n + SAMP_LANES - 1) / SAMP_LANES;
    lanes score[SAMP_KV_BLOCK / SAMP_LANES], top = lanes_set(tile->max[row]);
    for (int i = 0; i < n_vectors; i++) {
        lanes factor = lanes_set(tile->scale);
        if (k_scales) factor = lanes_mul(lanes_load(k_scales + i * SAMP_LANES), factor);
        score[i] = lanes_mul(lanes_load(s + i * SAMP_LANES), factor);
        if (n - i * SAMP_LANES < SAMP_LANES)
            score[i] = lanes_first(score[i], lanes_set(-INFINITY), n - i * SAMP_LANES);
        top = lanes_max(score[i], top); /* a NaN score is passed over */
    }
    float max = lanes_largest(top), old = tile->max[row];
    lanes sum = lanes_set(0);
    for (int i = 0; i < n_vectors; i++) {
        lanes p = lanes_exp(lanes_sub(score[i], lanes_set(max)));
        sum = lanes_add(sum, p);
        if (v_scales) p = lanes_mul(p, lanes_load(v_scales + i * SAMP_LANES));
        lanes_store(s + i * SAMP_LANES, p);
    }
    tile->max[row] = max;
    tile->rescale[row] = samp_exp(old - max);
    tile->sum[row] = tile->sum[row] * tile->rescale[row] + lanes_sum(sum);
}

/* o of rows first …: keys that all rows of a register tile see together, then the few that only its
 * later rows see (in the block of the diagonal) row by row. */
static void block_values(const samp_kv *kv, panels values, samp__tile *tile, int first, int n_keys)
{
    size_t dim = kv->padded_dim;
    int n_panels = (int)(dim / SAMP__KV_PANEL);
    const float one = 1;
    if (tile->n_rows - first > TILE_ROWS)
        values = panels_to_float(values, n_panels, (size_t)n_keys, tile);
    for (int p = 0; p < n_panels; p += TILE_PANELS) {
        int width = smaller(TILE_PANELS, n_panels - p);
        for (int r = first; r < tile->n_rows; r += TILE_ROWS) {
            int rows = smaller(TILE_ROWS, tile->n_rows - r);
            size_t shared = (size_t)tile->n_visible[r];
            value_work work = {.values = values,
                               .p = tile->scores + r * SAMP_KV_BLOCK,
                               .rescale = tile->rescale + r,
                               .end = shared,
                               .stride = dim,
                               .o = tile->o + (size_t)r * dim + p * SAMP__KV_PANEL};
            work.values.data += (size_t)p * values.bytes;
            value_functions[values.stored][rows - 1][width - 1](&work);
            for (int i = 1; i < rows; i++) {
                value_work rest = work;
                rest.p += i * SAMP_KV_BLOCK;
                rest.rescale = &one;
                rest.o += (size_t)i * dim;
                rest.begin = shared;
                rest.end = (size_t)tile->n_visible[r + i];
                if (rest.end > shared) value_functions[values.stored][0][width - 1](&rest);
            }
        }
    }
}

static void attention_block(const samp_kv *kv, const uint8_t *cell, samp__tile *tile, int first)
{
    int n_keys = tile->n_visible[tile->n_rows - 1];
    bool scaled = kv->shape.type == SAMP_KV_INT8;
    const float *k_scales = scaled ? (const float *)(cell + kv->k_scales) : NULL;
    const float *v_scales = scaled ? (const float *)(cell + kv->v_scales) : NULL;
    panels keys = {(int)kv->shape.type, cell,
                   SAMP__KV_PANEL * kv->value_bytes * kv->shape.head_dim};
    panels values = {(int)kv->shape.type, cell + kv->v_offset,
                     SAMP__KV_PANEL * kv->value_bytes * SAMP_KV_BLOCK};
    block_scores(kv, keys, tile, first, n_keys);
    for (int row = first; row < tile->n_rows; row++) softmax_row(tile, row, k_scales, v_scales);
    block_values(kv, values, tile, first, n_keys);
}

static void attention_finish(const samp_kv *kv, const samp__tile *tile, int row, float *out)
{
    const float *o = tile->o + (size_t)row * kv->padded_dim;
    lanes l = lanes_set(tile->sum[row]);
    size_t dim = kv->shape.head_dim, d = 0;
    for (; d + SAMP_LANES <= dim; d += SAMP_LANES)
        lanes_store(out + d, lanes_div(lanes_load(o + d), l));
    int rest = (int)(dim - d);
    if (rest) lanes_store_n(out + d, lanes_div(lanes_load(o + d), l), rest);
}

#define SAMP__ATTENTION_TABLE                                                                      \
    {                                                                                              \
        .block = attention_block, .finish = attention_finish                                       \
    }

#endif

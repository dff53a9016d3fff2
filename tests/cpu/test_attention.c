/* Attention against a plain evaluation of backend/numerics.h, bit for bit.
 *
 * A world is a few sequences with random queries, keys and values of every position. It is run
 * through the CPU's attention in steps of many kinds (all at once, token by token, chunks, mixed
 * batches), at every level of this host, with 1 to 3 threads, and each output must equal the plain
 * one's bits. The store is filled with 0xff (NaN) first: nothing of a position not yet written may
 * be seen. Where the processor is emulated (SAMP_TEST_EMULATED, tools/check_arm64.sh), which makes
 * it ten times as slow, the worlds are fewer and threads take turns. */
#include "support/cmocka_all.h"

#include "backend/cpu/levels.h"
#include "base/memory.h"
#include "base/prng.h"
#include "base/thread.h"

#include <stdlib.h>

enum {
    N_SEQS = 3,
    MAX_LENGTH = 150,
    MAX_BLOCKS = (MAX_LENGTH + SAMP_KV_BLOCK - 1) / SAMP_KV_BLOCK
};

#define EPS 1e-6f

static const uint32_t lengths[N_SEQS] = {MAX_LENGTH, 65, 20};

typedef struct world {
    samp_kv_shape shape;
    uint32_t n_heads, window;
    float scale;
    float *rope;                                                 /* NULL: nothing is rotated */
    float *bias[3], *gain[2];                                    /* of q, k, v; of q, k; or NULL */
    float *q[N_SEQS], *k[N_SEQS], *v[N_SEQS], *expected[N_SEQS]; /* [length][heads*head_dim] */
} world;

static size_t q_width(const world *w) { return (size_t)w->n_heads * w->shape.head_dim; }
static size_t kv_width(const world *w) { return (size_t)w->shape.n_kv_heads * w->shape.head_dim; }

/* ---- the plain evaluation ---- */

/* A value as the cache gives it back, without the scale of its position and head. */
static void stored(const world *w, const float *x, float *values, float *scale)
{
    uint32_t dim = w->shape.head_dim;
    int8_t q[SAMP__HEAD_DIM_MAX];
    *scale = 1;
    if (w->shape.type == SAMP_KV_INT8) *scale = samp_kv_quantize(x, dim, q);
    for (uint32_t d = 0; d < dim; d++)
        values[d] = w->shape.type == SAMP_KV_INT8   ? (float)q[d]
                    : w->shape.type == SAMP_KV_FP16 ? samp_fp16_to_float(samp_float_to_fp16(x[d]))
                                                    : x[d];
}

static void rotate(const world *w, uint32_t position, float *head)
{
    if (!w->rope) return;
    uint32_t half = w->shape.head_dim / 2;
    for (uint32_t i = 0; i < half; i++) {
        const float *cs = w->rope + ((size_t)position * half + i) * 2;
        samp_rope_pair(head + i, head + i + half, cs[0], cs[1]);
    }
}

/* Head `at` of q (which = 0) or k (1) as attention uses it: bias, norm, rope. */
static void make_head(const world *w, int which, const float *x, uint32_t at, uint32_t position,
                      float *head)
{
    uint32_t dim = w->shape.head_dim;
    for (uint32_t d = 0; d < dim; d++)
        head[d] = w->bias[which] ? x[d] + w->bias[which][at * dim + d] : x[d];
    if (w->gain[which]) samp_rmsnorm(head, w->gain[which], dim, EPS, head);
    rotate(w, position, head);
}

/* Positions from … n-1 of a block of the online softmax; keys and values as stored() gives them. */
static void plain_block(const world *w, const float *q, int from, int n,
                        float (*k)[SAMP__HEAD_DIM_MAX], const float *k_scale,
                        float (*v)[SAMP__HEAD_DIM_MAX], const float *v_scale, float *m, float *l,
                        float *o)
{
    uint32_t dim = w->shape.head_dim;
    bool int8 = w->shape.type == SAMP_KV_INT8;
    float s[SAMP_KV_BLOCK], lane[SAMP_LANES] = {0}, max = *m;
    for (int j = from; j < n; j++) {
        s[j] = samp_dot(q, k[j], dim) * (int8 ? k_scale[j] * w->scale : w->scale);
        max = fmaxf(max, s[j]);
    }
    float c = samp_exp(*m - max);
    for (uint32_t d = 0; d < dim; d++) o[d] = o[d] * c;
    for (int j = from; j < n; j++) {
        float p = samp_exp(s[j] - max);
        lane[j % SAMP_LANES] += p;
        for (uint32_t d = 0; d < dim; d++) o[d] = fmaf(int8 ? p * v_scale[j] : p, v[j][d], o[d]);
    }
    *l = *l * c + samp_lane_sum(lane);
    *m = max;
}

static void plain_attention(world *w, int s, uint32_t position, uint32_t head)
{
    static float k[SAMP_KV_BLOCK][SAMP__HEAD_DIM_MAX], v[SAMP_KV_BLOCK][SAMP__HEAD_DIM_MAX];
    float k_scale[SAMP_KV_BLOCK], v_scale[SAMP_KV_BLOCK], q[SAMP__HEAD_DIM_MAX],
        o[SAMP__HEAD_DIM_MAX] = {0};
    uint32_t dim = w->shape.head_dim, kv_head = head / (w->n_heads / w->shape.n_kv_heads);
    make_head(w, 0, w->q[s] + position * q_width(w) + head * dim, head, position, q);
    float m = -INFINITY, l = 0;
    for (uint32_t base = 0; base <= position; base += SAMP_KV_BLOCK) {
        int from = SAMP_KV_BLOCK, n = 0;
        for (uint32_t at = base; at <= position && n < SAMP_KV_BLOCK; at++, n++) {
            float key[SAMP__HEAD_DIM_MAX], value[SAMP__HEAD_DIM_MAX];
            const float *x = w->v[s] + at * kv_width(w) + kv_head * dim;
            if (w->window && position - at >= w->window) continue;
            if (from > n) from = n;
            make_head(w, 1, w->k[s] + at * kv_width(w) + kv_head * dim, kv_head, at, key);
            for (uint32_t d = 0; d < dim; d++)
                value[d] = w->bias[2] ? x[d] + w->bias[2][kv_head * dim + d] : x[d];
            stored(w, key, k[n], &k_scale[n]);
            stored(w, value, v[n], &v_scale[n]);
        }
        if (from < n) plain_block(w, q, from, n, k, k_scale, v, v_scale, &m, &l, o);
    }
    for (uint32_t d = 0; d < dim; d++)
        w->expected[s][position * q_width(w) + head * dim + d] = o[d] / l;
}

/* ---- worlds ---- */

static float *floats(size_t n)
{
    float *p = samp_alloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

/* Mostly normal; some rows zero, huge or tiny, so that exponentials underflow and scales vanish. */
static void fill(samp_prng *prng, float *x, size_t rows, size_t dim)
{
    for (size_t r = 0; r < rows; r++) {
        uint64_t kind = samp_prng_below(prng, 12);
        double size = kind == 0 ? 0 : kind == 1 ? 60 : kind == 2 ? 1e-6 : kind == 3 ? 1e-33 : 1;
        for (size_t d = 0; d < dim; d++) x[r * dim + d] = (float)(size * samp_prng_normal(prng));
    }
}

/* What a family adds to plain attention. */
typedef struct traits {
    uint32_t window;
    bool bias, norm, no_rope;
} traits;

static void add_traits(world *w, const traits *t, samp_prng *prng)
{
    w->window = t->window;
    for (int i = 0; t->bias && i < 3; i++) {
        uint32_t heads = i ? w->shape.n_kv_heads : w->n_heads;
        fill(prng, w->bias[i] = floats((size_t)heads * w->shape.head_dim), heads,
             w->shape.head_dim);
    }
    for (int i = 0; t->norm && i < 2; i++)
        fill(prng, w->gain[i] = floats(w->shape.head_dim), 1, w->shape.head_dim);
}

static void world_init(world *w, samp_kv_type type, uint32_t head_dim, uint32_t n_kv_heads,
                       uint32_t ratio, const traits *t)
{
    samp_prng prng = {head_dim * 1000 + ratio * 10 + type};
    *w = (world){.shape = {2, N_SEQS * MAX_BLOCKS + 2, n_kv_heads, head_dim, type},
                 .n_heads = n_kv_heads * ratio,
                 .scale = 1.0f / sqrtf((float)head_dim)};
    if (t) add_traits(w, t, &prng);
    if (!t || !t->no_rope) w->rope = floats((size_t)MAX_LENGTH * head_dim);
    for (uint32_t p = 0; w->rope && p < MAX_LENGTH; p++)
        for (uint32_t i = 0; i < head_dim / 2; i++) {
            double angle = p * pow(10000, -2.0 * i / head_dim);
            w->rope[(p * (head_dim / 2) + i) * 2] = (float)cos(angle);
            w->rope[(p * (head_dim / 2) + i) * 2 + 1] = (float)sin(angle);
        }
    for (int s = 0; s < N_SEQS; s++) {
        size_t n = lengths[s];
        w->q[s] = floats(n * q_width(w));
        w->k[s] = floats(n * kv_width(w));
        w->v[s] = floats(n * kv_width(w));
        w->expected[s] = floats(n * q_width(w));
        fill(&prng, w->q[s], n * w->n_heads, head_dim);
        fill(&prng, w->k[s], n * n_kv_heads, head_dim);
        fill(&prng, w->v[s], n * n_kv_heads, head_dim);
        for (uint32_t p = 0; p < n; p++)
            for (uint32_t h = 0; h < w->n_heads; h++) plain_attention(w, s, p, h);
    }
}

static void world_release(world *w)
{
    samp_free(w->rope);
    for (int i = 0; i < 3; i++) samp_free(w->bias[i]);
    for (int i = 0; i < 2; i++) samp_free(w->gain[i]);
    for (int s = 0; s < N_SEQS; s++) {
        samp_free(w->q[s]);
        samp_free(w->k[s]);
        samp_free(w->v[s]);
        samp_free(w->expected[s]);
    }
}

/* ---- running a world ---- */

typedef enum way { WAY_SPLIT, WAY_FUSED, WAY_POOL } way;

typedef struct pool_run {
    samp_pool *pool;
    const samp__attention_job *job;
} pool_run;

static void run_in_pool(void *context, unsigned thread, unsigned n_threads)
{
    const pool_run *run = context;
    if (samp__attention_fusible(run->job, n_threads)) {
        samp__attention_fused(run->job, thread, n_threads);
        return;
    }
    samp__attention_append(run->job, thread, n_threads);
    samp_pool_barrier(run->pool);
    samp__attention_run(run->job, thread, n_threads);
}

static void run_job(const samp__attention_job *job, way how, unsigned n_threads)
{
    if (how == WAY_POOL) {
        samp_error error;
        pool_run run = {NULL, job};
        assert_int_equal(samp_pool_create(&run.pool, n_threads, &error), SAMP_OK);
        samp_pool_run(run.pool, run_in_pool, &run);
        samp_pool_release(run.pool);
        return;
    }
    for (unsigned t = n_threads; how == WAY_FUSED && t-- > 0;)
        samp__attention_fused(job, t, n_threads);
    for (unsigned t = n_threads; how == WAY_SPLIT && t-- > 0;)
        samp__attention_append(job, t, n_threads);
    for (unsigned t = n_threads; how == WAY_SPLIT && t-- > 0;)
        samp__attention_run(job, t, n_threads);
}

/* One step: count[s] more tokens of each sequence. */
static void run_step(const world *w, samp_kv *kv, samp__attention_scratch *scratch,
                     uint32_t blocks[][MAX_BLOCKS], const uint32_t *done, const uint32_t *count,
                     way how, unsigned n_threads)
{
    samp_batch_seq seqs[N_SEQS];
    samp_batch batch = {.seqs = seqs};
    for (int s = 0; s < N_SEQS; s++) {
        if (!count[s]) continue;
        seqs[batch.n_seqs++] = (samp_batch_seq){batch.n_tokens, count[s], done[s], blocks[s]};
        batch.n_tokens += count[s];
    }
    float *q = floats(batch.n_tokens * q_width(w)), *out = floats(batch.n_tokens * q_width(w));
    float *k = floats(batch.n_tokens * kv_width(w)), *v = floats(batch.n_tokens * kv_width(w));
    for (int s = 0, i = 0; s < N_SEQS; s++) {
        if (!count[s]) continue;
        size_t first = seqs[i++].first;
        memcpy(q + first * q_width(w), w->q[s] + done[s] * q_width(w),
               count[s] * q_width(w) * sizeof *q);
        memcpy(k + first * kv_width(w), w->k[s] + done[s] * kv_width(w),
               count[s] * kv_width(w) * sizeof *k);
        memcpy(v + first * kv_width(w), w->v[s] + done[s] * kv_width(w),
               count[s] * kv_width(w) * sizeof *v);
    }
    samp__attention_job job = {.kv = kv,
                               .batch = &batch,
                               .layer = 1,
                               .n_heads = w->n_heads,
                               .n_kv_heads = w->shape.n_kv_heads,
                               .head_dim = w->shape.head_dim,
                               .window = w->window,
                               .scale = w->scale,
                               .eps = EPS,
                               .rope = w->rope,
                               .bias = {w->bias[0], w->bias[1], w->bias[2]},
                               .gain = {w->gain[0], w->gain[1]},
                               .q = q,
                               .k = k,
                               .v = v,
                               .out = out,
                               .scratch = scratch};
    run_job(&job, how, n_threads);
    for (int s = 0, i = 0; s < N_SEQS; s++) {
        if (!count[s]) continue;
        assert_memory_equal(out + seqs[i++].first * q_width(w),
                            w->expected[s] + done[s] * q_width(w),
                            count[s] * q_width(w) * sizeof *out);
    }
    samp_free(q);
    samp_free(k);
    samp_free(v);
    samp_free(out);
}

/* Runs all sequences to their ends, `chunk` tokens a step; sequence s waits s*stagger steps. */
static void run_world(const world *w, samp_cpu_level level, uint32_t chunk, uint32_t stagger,
                      way how, unsigned n_threads)
{
    samp_error error;
    samp_kv *kv;
    samp__attention_scratch *scratch;
    assert_int_equal(samp__kv_create(&w->shape, &kv, &error), SAMP_OK);
    assert_int_equal(samp__attention_scratch_create(n_threads, level, &scratch, &error), SAMP_OK);
    memset(kv->cells, 0xff, kv->bytes);
    uint32_t blocks[N_SEQS][MAX_BLOCKS], next = 0, done[N_SEQS] = {0};
    for (uint32_t i = 0; i < MAX_BLOCKS; i++) /* interleaved, from the end */
        for (int s = 0; s < N_SEQS; s++) blocks[s][i] = w->shape.n_blocks - 1 - next++;
    for (uint32_t step = 0;; step++) {
        uint32_t count[N_SEQS], all = 0, left = 0;
        for (uint32_t s = 0; s < N_SEQS; s++) {
            uint32_t rest = lengths[s] - done[s];
            left += rest;
            count[s] = step < s * stagger ? 0 : rest < chunk ? rest : chunk;
            all += count[s];
        }
        if (!left) break;
        if (all) run_step(w, kv, scratch, blocks, done, count, how, n_threads);
        for (int s = 0; s < N_SEQS; s++) done[s] += count[s];
    }
    samp__attention_scratch_release(scratch);
    samp__kv_release(kv);
}

static bool emulated(void) { return getenv("SAMP_TEST_EMULATED") != NULL; }
static way concurrent(void) { return emulated() ? WAY_SPLIT : WAY_POOL; }

/* Whether a level has the attention of the one below it. */
static bool same_as_below(int level)
{
    return level > 0 && samp__levels[level].attention == samp__levels[level - 1].attention;
}

static void run_ways(const world *w)
{
    for (int level = 0; level <= (int)samp_cpu_host(); level++) {
        if (same_as_below(level)) continue;
        run_world(w, (samp_cpu_level)level, MAX_LENGTH, 0, WAY_SPLIT, 1);
        run_world(w, (samp_cpu_level)level, MAX_LENGTH, 0, WAY_SPLIT, 3);
        run_world(w, (samp_cpu_level)level, 7, 2, WAY_FUSED, 2);
        run_world(w, (samp_cpu_level)level, 1, 20, WAY_SPLIT, 2);
        run_world(w, (samp_cpu_level)level, 1, 0, WAY_SPLIT, 5);
        run_world(w, (samp_cpu_level)level, 33, 1, concurrent(), 3);
    }
}

static void test_shapes(void **state)
{
    (void)state;
    static const uint32_t dims[] = {2, 8, 64, 80, 128}, ratios[] = {1, 3, 4};
    for (int type = SAMP_KV_FP16; type <= SAMP_KV_FP32; type++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
            for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++) {
                if (emulated() && (d + r) % 3) continue; /* each size, each ratio */
                world w;
                world_init(&w, (samp_kv_type)type, dims[d], ratios[r] == 3 ? 3 : 1, ratios[r],
                           NULL);
                run_ways(&w);
                world_release(&w);
            }
}

/* Windows that end inside a block, at its border, within one panel, past several blocks; with each
 * of biases, norms and missing rope. */
static void test_traits(void **state)
{
    (void)state;
    static const traits all[] = {
        {.window = 1},
        {.window = 16, .bias = true},
        {.window = 63, .norm = true},
        {.window = 64, .no_rope = true},
        {.window = 100, .bias = true, .norm = true},
        {.window = MAX_LENGTH, .bias = true, .norm = true, .no_rope = true},
        {.bias = true, .norm = true}};
    static const uint32_t dims[] = {8, 80};
    for (int type = SAMP_KV_FP16; type <= SAMP_KV_FP32; type++)
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            if ((type + (int)i) % (emulated() ? 3 : 2)) continue;
            world w;
            world_init(&w, (samp_kv_type)type, dims[i % 2], 1 + i % 3 % 2, 1 + (uint32_t)i % 4,
                       &all[i]);
            run_ways(&w);
            world_release(&w);
        }
}

/* Also one token at a time on more threads than pairs, truly concurrent: no fused step. */
static void test_largest_head(void **state)
{
    (void)state;
    samp_cpu_level level = samp_cpu_host();
    int last = emulated() ? SAMP_KV_FP16 : SAMP_KV_FP32;
    for (int type = SAMP_KV_FP16; type <= last; type++) {
        world w;
        world_init(&w, (samp_kv_type)type, SAMP__HEAD_DIM_MAX, 2, 5, NULL);
        run_world(&w, level, 20, 1, concurrent(), 2);
        run_world(&w, level, 1, 0, concurrent(), 5);
        world_release(&w);
    }
}

/* A NaN anywhere in what a query sees makes its output NaN (here: in v, in q). */
static void test_not_finite(void **state)
{
    (void)state;
    for (int type = SAMP_KV_FP16; type <= SAMP_KV_FP32; type++)
        for (int level = 0; level <= (int)samp_cpu_host(); level++) {
            samp_error error;
            samp_kv *kv;
            samp__attention_scratch *scratch;
            samp_kv_shape shape = {1, 1, 1, 16, (samp_kv_type)type};
            assert_int_equal(samp__kv_create(&shape, &kv, &error), SAMP_OK);
            assert_int_equal(
                samp__attention_scratch_create(1, (samp_cpu_level)level, &scratch, &error),
                SAMP_OK);
            float q[32], k[32], v[32], out[32], rope[32];
            for (int i = 0; i < 32; i++) q[i] = k[i] = v[i] = 0.5f, rope[i] = i % 2 ? 0 : 1;
            v[3] = NAN;
            q[16] = NAN;
            uint32_t block = 0;
            samp_batch_seq seq = {0, 2, 0, &block};
            samp_batch batch = {.n_tokens = 2, .n_seqs = 1, .seqs = &seq};
            samp__attention_job job = {.kv = kv,
                                       .batch = &batch,
                                       .n_heads = 1,
                                       .n_kv_heads = 1,
                                       .head_dim = 16,
                                       .scale = 0.25f,
                                       .rope = rope,
                                       .q = q,
                                       .k = k,
                                       .v = v,
                                       .out = out,
                                       .scratch = scratch};
            samp__attention_fused(&job, 0, 1);
            assert_true(isnan(out[3]));
            for (int d = 16; d < 32; d++) assert_true(isnan(out[d]));
            samp__attention_scratch_release(scratch);
            samp__kv_release(kv);
        }
}

static void test_kv_refusals(void **state)
{
    (void)state;
    samp_error error;
    samp_kv *kv;
    samp_kv_shape good = {2, 3, 4, 64, SAMP_KV_FP16}, bad;
    assert_int_equal(samp__kv_create(&good, &kv, &error), SAMP_OK);
    assert_int_equal(samp__kv_bytes(kv), 2 * 3 * 4 * 64 * 64 * 2 * 2);
    assert_int_equal((uintptr_t)kv->cells % 64, 0);
    samp__kv_release(kv);
    const uint32_t dims[] = {0, 7, 258};
    for (int i = 0; i < 3; i++) {
        bad = good;
        bad.head_dim = dims[i];
        assert_int_equal(samp__kv_create(&bad, &kv, &error), SAMP_UNSUPPORTED);
        assert_non_null(strstr(error.message, "head_dim"));
    }
    bad = good;
    bad.n_blocks = 0;
    assert_int_equal(samp__kv_create(&bad, &kv, &error), SAMP_INVALID);
    bad = (samp_kv_shape){UINT32_MAX, UINT32_MAX, UINT32_MAX, 256, SAMP_KV_INT8};
    assert_int_equal(samp__kv_create(&bad, &kv, &error), SAMP_NOMEM);
    assert_null(kv);
    for (uint64_t n = 1; n <= 2; n++) { /* each allocation in turn */
        samp_alloc_fail_at(n);
        assert_int_equal(samp__kv_create(&good, &kv, &error), SAMP_NOMEM);
        samp_alloc_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_traits),
                                       cmocka_unit_test(test_largest_head),
                                       cmocka_unit_test(test_not_finite),
                                       cmocka_unit_test(test_kv_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

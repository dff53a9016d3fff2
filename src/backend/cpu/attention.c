/* Drives attention: splits the work among threads, appends keys and values, walks blocks of the
 * store.
 *
 * Work is a list of pairs (sequence, kv head), each a list of rows: the queries of all tokens and
 * of the heads that share the kv head, by position. A row costs the keys it sees. Threads take
 * equal shares of the total cost, cut between any two rows: a causal prefill and one token of three
 * heads both balance, and the cut depends on nothing but the batch. A thread's rows of a pair are
 * worked on in tiles. */
#include "backend/cpu/attention.h"

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/vector.h"
#include "base/memory.h"
#include "base/thread.h"

#include <assert.h>

struct samp__attention_scratch {
    const samp__vector *vector;
    const samp__attention_kernels *kernels;
    unsigned n_threads;
    samp__tile *tiles; /* [n_threads] */
};

static const samp__attention_kernels *attention_kernels(samp_cpu_level level)
{
#if defined(__x86_64__)
    if (level >= SAMP_CPU_AVX512) return &samp__attention_avx512;
    if (level == SAMP_CPU_AVX2) return &samp__attention_avx2;
#endif
    (void)level;
    return &samp__attention_scalar;
}

samp_status samp__attention_scratch_create(unsigned n_threads, samp_cpu_level level,
                                           samp__attention_scratch **out, samp_error *error)
{
    *out = NULL;
    samp__attention_scratch *scratch = samp_alloc(1, sizeof *scratch);
    samp__tile *tiles = samp_alloc(n_threads, sizeof *tiles);
    if (!scratch || !tiles) {
        samp_free(scratch);
        samp_free(tiles);
        return samp_fail(error, SAMP_NOMEM, "out of memory for the attention scratch of %u threads",
                         n_threads);
    }
    *scratch = (samp__attention_scratch){.vector = samp__vector_table(level),
                                         .kernels = attention_kernels(level),
                                         .n_threads = n_threads,
                                         .tiles = tiles};
    *out = scratch;
    return SAMP_OK;
}

void samp__attention_scratch_release(samp__attention_scratch *scratch)
{
    if (!scratch) return;
    samp_free(scratch->tiles);
    samp_free(scratch);
}

/* ---- appending ---- */

static const float *rope_row(const samp__attention_job *job, uint32_t position)
{
    return job->rope + (size_t)position * job->head_dim;
}

/* Puts 16-bit or 8-bit values of one position into its slot of K's panels and of V's. */
#define SCATTER(name, type)                                                                        \
    static void name(const samp_kv *kv, uint8_t *cell, uint32_t slot, const type *k,               \
                     const type *v)                                                                \
    {                                                                                              \
        type *keys =                                                                               \
            (type *)cell + (size_t)(slot / SAMP__KV_PANEL) * SAMP__KV_PANEL * kv->shape.head_dim;  \
        type *values = (type *)(cell + kv->v_offset) + (size_t)slot * SAMP__KV_PANEL;              \
        keys += slot % SAMP__KV_PANEL;                                                             \
        for (uint32_t i = 0; i < kv->shape.head_dim; i++)                                          \
            keys[i * SAMP__KV_PANEL] = k[kv->order[i]];                                            \
        for (uint32_t d = 0; d < kv->padded_dim;                                                   \
             d += SAMP__KV_PANEL, values += SAMP_KV_BLOCK * SAMP__KV_PANEL)                        \
            memcpy(values, v + d, SAMP__KV_PANEL * sizeof *v);                                     \
    }
SCATTER(scatter_fp16, uint16_t)
SCATTER(scatter_int8, int8_t)
#undef SCATTER

/* Rotates the key of one token and head and stores it and the value. */
static void append_token(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t head,
                         uint32_t token)
{
    const samp_kv *kv = job->kv;
    const samp__vector *vector = job->scratch->vector;
    size_t dim = job->head_dim, at = ((size_t)(seq->first + token) * job->n_kv_heads + head) * dim;
    uint32_t position = seq->start + token, slot = position % SAMP_KV_BLOCK;
    uint8_t *cell = samp__kv_cell(kv, job->layer, seq->blocks[position / SAMP_KV_BLOCK], head);
    float key[SAMP__HEAD_DIM_MAX];
    memcpy(key, job->k + at, dim * sizeof *key);
    vector->rope(key, dim, rope_row(job, position));
    if (kv->shape.type == SAMP_KV_FP16) {
        uint16_t k[SAMP__HEAD_DIM_MAX], v[SAMP__HEAD_DIM_MAX];
        vector->to_fp16(key, dim, k);
        vector->to_fp16(job->v + at, dim, v);
        memset(v + dim, 0, (kv->padded_dim - dim) * sizeof *v);
        scatter_fp16(kv, cell, slot, k, v);
    } else {
        int8_t k[SAMP__HEAD_DIM_MAX], v[SAMP__HEAD_DIM_MAX];
        ((float *)(cell + kv->k_scales))[slot] = vector->kv_quantize(key, dim, k);
        ((float *)(cell + kv->v_scales))[slot] = vector->kv_quantize(job->v + at, dim, v);
        memset(v + dim, 0, kv->padded_dim - dim);
        scatter_int8(kv, cell, slot, k, v);
    }
}

void samp__attention_append(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    const samp_batch *batch = job->batch;
    size_t begin, end, before = 0; /* of all (sequence, head, token), in this order */
    samp_split((size_t)batch->n_tokens * job->n_kv_heads, 1, thread, n_threads, &begin, &end);
    for (uint32_t s = 0; s < batch->n_seqs && before < end; s++) {
        const samp_batch_seq *seq = &batch->seqs[s];
        size_t n = (size_t)seq->count * job->n_kv_heads;
        for (size_t i = begin > before ? begin - before : 0; i < n && before + i < end; i++)
            append_token(job, seq, (uint32_t)(i / seq->count), (uint32_t)(i % seq->count));
        before += n;
    }
}

/* ---- attending ---- */

/* Copies and rotates the queries of rows row0 … of a pair into the tile, and clears its sums. */
static void tile_begin(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                       size_t row0, int n_rows, samp__tile *tile)
{
    uint32_t group = job->n_heads / job->n_kv_heads;
    size_t dim = job->head_dim;
    for (int r = 0; r < n_rows; r++) {
        uint32_t token = (uint32_t)((row0 + (size_t)r) / group);
        uint32_t head = kv_head * group + (uint32_t)((row0 + (size_t)r) % group);
        float *q = tile->q + (size_t)r * dim;
        memcpy(q, job->q + ((size_t)(seq->first + token) * job->n_heads + head) * dim,
               dim * sizeof *q);
        job->scratch->vector->rope(q, dim, rope_row(job, seq->start + token));
        tile->max[r] = -INFINITY;
        tile->sum[r] = 0;
    }
    memset(tile->o, 0, (size_t)n_rows * job->kv->padded_dim * sizeof *tile->o);
    tile->n_rows = n_rows;
    tile->scale = job->scale;
}

/* Rows row0 … row0+n_rows-1 (at most a tile) of one pair, from queries to outputs. */
static void attend_tile(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                        size_t row0, int n_rows, samp__tile *tile)
{
    const samp__attention_kernels *kernels = job->scratch->kernels;
    uint32_t group = job->n_heads / job->n_kv_heads;
    uint32_t last = seq->start + (uint32_t)((row0 + (size_t)n_rows - 1) / group); /* position */
    tile_begin(job, seq, kv_head, row0, n_rows, tile);
    int first = 0; /* rows before it see nothing of the block */
    for (uint32_t base = 0; base <= last; base += SAMP_KV_BLOCK) {
        for (int r = first; r < n_rows; r++) {
            uint32_t position = seq->start + (uint32_t)((row0 + (size_t)r) / group);
            if (position < base) first = r + 1;
            uint32_t visible = position - base + 1;
            tile->n_visible[r] = visible < SAMP_KV_BLOCK ? (int)visible : SAMP_KV_BLOCK;
        }
        kernels->block(
            job->kv, samp__kv_cell(job->kv, job->layer, seq->blocks[base / SAMP_KV_BLOCK], kv_head),
            tile, first);
    }
    for (int r = 0; r < n_rows; r++) {
        size_t row = row0 + (size_t)r, token = seq->first + row / group,
               head = kv_head * group + row % group;
        kernels->finish(job->kv, tile, r, job->out + (token * job->n_heads + head) * job->head_dim);
    }
}

static void attend_rows(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                        size_t begin, size_t end, samp__tile *tile)
{
    for (size_t row = begin; row < end; row += SAMP__TILE_ROWS) {
        size_t n = end - row < SAMP__TILE_ROWS ? end - row : SAMP__TILE_ROWS;
        attend_tile(job, seq, kv_head, row, (int)n, tile);
    }
}

/* ---- splitting ---- */

/* Costs are in keys seen by a row; ROW_COST is what a row costs besides (rotation, sums, output).
 */
enum { ROW_COST = 16, BARRIER_COST = 256 };

/* Cost of the first n rows of a sequence and kv head. */
static uint64_t rows_cost(const samp_batch_seq *seq, uint32_t group, size_t n)
{
    uint64_t tokens = n / group, heads = n % group, first = (uint64_t)seq->start + 1 + ROW_COST;
    return group * (tokens * first + (tokens ? tokens * (tokens - 1) / 2 : 0)) +
           heads * (first + tokens);
}

static uint64_t pair_cost(const samp__attention_job *job, const samp_batch_seq *seq)
{
    uint32_t group = job->n_heads / job->n_kv_heads;
    return rows_cost(seq, group, (size_t)seq->count * group);
}

static uint64_t total_cost(const samp__attention_job *job)
{
    uint64_t total = 0;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++)
        total += job->n_kv_heads * pair_cost(job, &job->batch->seqs[s]);
    return total;
}

/* Where thread `thread`'s share of the total begins. */
static uint64_t share_begin(uint64_t total, unsigned thread, unsigned n_threads)
{
    return (uint64_t)((unsigned __int128)total * thread / n_threads);
}

/* The first row of a pair whose rows before it cost at least `cost`. */
static size_t first_row_at(const samp_batch_seq *seq, uint32_t group, uint64_t cost)
{
    size_t low = 0, high = (size_t)seq->count * group;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows_cost(seq, group, middle) >= cost)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void samp__attention_run(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    assert(thread < job->scratch->n_threads);
    uint64_t total = total_cost(job), before = 0; /* cost of the pairs before this one */
    uint64_t begin = share_begin(total, thread, n_threads),
             end = share_begin(total, thread + 1, n_threads);
    uint32_t group = job->n_heads / job->n_kv_heads;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &job->batch->seqs[s];
        uint64_t cost = pair_cost(job, seq);
        for (uint32_t head = 0; head < job->n_kv_heads; head++, before += cost) {
            if (before >= end || before + cost <= begin) continue;
            size_t from = begin > before ? first_row_at(seq, group, begin - before) : 0;
            size_t to = first_row_at(seq, group, end - before);
            attend_rows(job, seq, head, from, to, &job->scratch->tiles[thread]);
        }
    }
}

/* A whole pair goes to the thread in whose share its middle lies. */
static unsigned pair_thread(uint64_t total, uint64_t before, uint64_t cost, unsigned n_threads)
{
    return (unsigned)((unsigned __int128)(2 * before + cost) * n_threads /
                      (2 * (unsigned __int128)total));
}

bool samp__attention_fusible(const samp__attention_job *job, unsigned n_threads)
{
    if (n_threads == 1) return true;
    uint64_t total = total_cost(job), before = 0, load = 0, most = 0, row = 0;
    unsigned owner = 0;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &job->batch->seqs[s];
        uint64_t cost = pair_cost(job, seq), last_row = seq->start + seq->count + ROW_COST;
        row = last_row > row ? last_row : row;
        for (uint32_t head = 0; head < job->n_kv_heads; head++, before += cost) {
            unsigned thread = pair_thread(total, before, cost, n_threads);
            load = thread == owner ? load + cost : cost;
            owner = thread;
            most = load > most ? load : most;
        }
    }
    uint64_t split =
        total / n_threads > row ? total / n_threads : row; /* the best that cutting pairs gives */
    return most <= split + BARRIER_COST * 64 / job->head_dim;
}

void samp__attention_fused(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    assert(thread < job->scratch->n_threads);
    uint64_t total = total_cost(job), before = 0;
    uint32_t group = job->n_heads / job->n_kv_heads;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &job->batch->seqs[s];
        uint64_t cost = pair_cost(job, seq);
        for (uint32_t head = 0; head < job->n_kv_heads; head++, before += cost) {
            if (pair_thread(total, before, cost, n_threads) != thread) continue;
            for (uint32_t token = 0; token < seq->count; token++)
                append_token(job, seq, head, token);
            attend_rows(job, seq, head, 0, (size_t)seq->count * group,
                        &job->scratch->tiles[thread]);
        }
    }
}

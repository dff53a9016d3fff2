/* Shares the work of attention out to threads. It is a list of pairs (a sequence and a kv head), in three
 * shapes; which one is decided from the batch and the number of threads alone, and all give the same bits:
 *
 *   fused    whole pairs to threads, appending included, no barrier: many pairs, or little work.
 *   decode   every sequence has one token, and fewer pairs than would balance. Before the barrier the
 *            threads share out the panels of keys of all pairs and leave the scores in shared memory
 *            (the thread of a pair's last panel first appends the token); after it they share out the
 *            panels of values: softmax of all scores of the pair, then a part of its dimensions. Keys and
 *            values are read once; a pair's exponentials are computed by each thread that shares it.
 *   prefill  appending is shared out by tokens, then rows of pairs by cost: a row costs the keys it sees. */
#include "backend/cpu/attention.h"

#include "backend/cpu/levels.h"
#include "base/memory.h"
#include "base/thread.h"

#include <assert.h>

samp_status samp__attention_scratch_create(unsigned n_threads, samp_cpu_level level,
                                           samp__attention_scratch **out, samp_error *error)
{
    *out = NULL;
    samp__attention_scratch *scratch = samp_alloc(1, sizeof *scratch);
    if (scratch) {
        scratch->tiles = samp_alloc(n_threads, sizeof *scratch->tiles);
        if (scratch->tiles &&
            samp__huge_alloc(&scratch->scores, SAMP__SHARED_SCORES, sizeof(float))) {
            scratch->vector = samp__levels[level].vector;
            scratch->kernels = samp__levels[level].attention;
            scratch->n_threads = n_threads;
            *out = scratch;
            return SAMP_OK;
        }
    }
    samp__attention_scratch_release(scratch);
    return samp_fail(error, SAMP_NOMEM, "out of memory for the attention scratch of %u threads",
                     n_threads);
}

void samp__attention_scratch_release(samp__attention_scratch *scratch)
{
    if (!scratch) return;
    samp__huge_release(&scratch->scores);
    samp_free(scratch->tiles);
    samp_free(scratch);
}

/* ---- costs ---- */

/* Costs are in keys seen by a row; ROW_COST is what a row costs besides (rotation, sums, output). */
enum { ROW_COST = 16, BARRIER_COST = 128 };

/* Keys seen by the first n tokens of a sequence: each sees one more, until the window is full. */
static uint64_t keys_seen(const samp__attention_job *job, const samp_batch_seq *seq, uint64_t n)
{
    uint64_t first = (uint64_t)seq->start + 1, rising = n;
    if (job->window && first + n > job->window)
        rising = first < job->window ? job->window - first : 0;
    return rising * first + rising * (rising - 1) / 2 + (n - rising) * job->window;
}

/* Cost of the first n rows of a sequence and kv head. */
static uint64_t rows_cost(const samp__attention_job *job, const samp_batch_seq *seq, size_t n)
{
    uint64_t group = samp__group(job), tokens = n / group, heads = n % group;
    uint64_t keys = keys_seen(job, seq, tokens), next = keys_seen(job, seq, tokens + 1) - keys;
    return group * keys + heads * next + n * ROW_COST;
}

static uint64_t pair_cost(const samp__attention_job *job, const samp_batch_seq *seq)
{
    return rows_cost(job, seq, (size_t)seq->count * samp__group(job));
}

static uint64_t total_cost(const samp__attention_job *job)
{
    uint64_t total = 0;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++)
        total += job->n_kv_heads * pair_cost(job, &job->batch->seqs[s]);
    return total;
}

/* What is not cut goes to the thread in whose equal share of the total its middle lies. */
static unsigned owner(uint64_t total, uint64_t before, uint64_t cost, unsigned n_threads)
{
    unsigned __int128 middle = 2 * (unsigned __int128)before + cost;
    return (unsigned)(middle * n_threads / (2 * (unsigned __int128)total));
}

/* ---- fused ---- */

bool samp__attention_fusible(const samp__attention_job *job, unsigned n_threads)
{
    if (n_threads == 1) return true;
    uint64_t total = total_cost(job), before = 0, load = 0, most = 0;
    unsigned last = 0;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        uint64_t cost = pair_cost(job, &job->batch->seqs[s]);
        for (uint32_t head = 0; head < job->n_kv_heads; head++, before += cost) {
            unsigned thread = owner(total, before, cost, n_threads);
            load = thread == last ? load + cost : cost;
            last = thread;
            most = load > most ? load : most;
        }
    }
    uint64_t shared = total / n_threads; /* and what sharing a pair repeats: about a tenth */
    return most <= shared + shared / 10 + BARRIER_COST * 64 / job->head_dim;
}

void samp__attention_fused(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    assert(thread < job->scratch->n_threads);
    uint64_t total = total_cost(job), before = 0;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &job->batch->seqs[s];
        uint64_t cost = pair_cost(job, seq);
        size_t rows = (size_t)seq->count * samp__group(job);
        for (uint32_t head = 0; head < job->n_kv_heads; head++, before += cost) {
            if (owner(total, before, cost, n_threads) != thread) continue;
            for (uint32_t token = 0; token < seq->count; token++)
                samp__pair_append(job, seq, head, token);
            samp__pair_attend(job, seq, head, 0, rows, &job->scratch->tiles[thread]);
        }
    }
}

/* ---- decode ---- */

enum { BLOCK_PANELS = SAMP_KV_BLOCK / SAMP__KV_PANEL };

/* Blocks that hold what the token sees: from … to-1. */
typedef struct block_range {
    uint32_t from, to;
} block_range;

static block_range seen_blocks(const samp__attention_job *job, const samp_batch_seq *seq)
{
    return (block_range){samp__first_seen(job, seq->start) / SAMP_KV_BLOCK,
                         seq->start / SAMP_KV_BLOCK + 1};
}

/* Panels of keys of these blocks, up to the token's own. */
static size_t n_key_panels(const samp__attention_job *job, const samp_batch_seq *seq)
{
    return seq->start / SAMP__KV_PANEL + 1 - (size_t)seen_blocks(job, seq).from * BLOCK_PANELS;
}

/* Floats of a pair's scores: [block][row][SAMP_KV_BLOCK]. */
static size_t pair_scores(const samp__attention_job *job, const samp_batch_seq *seq)
{
    block_range blocks = seen_blocks(job, seq);
    return (size_t)(blocks.to - blocks.from) * samp__group(job) * SAMP_KV_BLOCK;
}

static bool is_decode(const samp__attention_job *job)
{
    if (samp__group(job) > SAMP__TILE_ROWS) return false;
    size_t scores = 0;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        if (job->batch->seqs[s].count != 1) return false;
        scores += job->n_kv_heads * pair_scores(job, &job->batch->seqs[s]);
    }
    return scores <= SAMP__SHARED_SCORES;
}

/* Scores of panels begin … end-1 of what a pair sees. */
static void decode_keys(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t head,
                        size_t begin, size_t end, float *scores, samp__tile *tile)
{
    uint32_t group = samp__group(job), from = seen_blocks(job, seq).from;
    if (end == n_key_panels(job, seq)) samp__pair_append(job, seq, head, 0);
    samp__pair_queries(job, seq, head, 0, (int)group, tile);
    for (size_t panel = begin, next; panel < end; panel = next) {
        size_t block = panel / BLOCK_PANELS;
        next = (block + 1) * BLOCK_PANELS < end ? (block + 1) * BLOCK_PANELS : end;
        const uint8_t *cell = samp__pair_cell(job, seq, head, from + (uint32_t)block);
        job->scratch->kernels->scores(job->kv, cell, tile, 0, (int)(panel % BLOCK_PANELS),
                                      (int)(next - panel), scores + block * group * SAMP_KV_BLOCK);
    }
}

static void decode_scores(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    float *scores = job->scratch->scores.data;
    size_t total = 0, before = 0, begin, end;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++)
        total += job->n_kv_heads * n_key_panels(job, &job->batch->seqs[s]);
    samp_split(total, 1, thread, n_threads, &begin, &end);
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &job->batch->seqs[s];
        size_t n = n_key_panels(job, seq);
        for (uint32_t head = 0; head < job->n_kv_heads; head++, before += n) {
            size_t from = begin > before ? begin - before : 0, to = end > before ? end - before : 0;
            if (to > n) to = n;
            if (from < to)
                decode_keys(job, seq, head, from, to, scores, &job->scratch->tiles[thread]);
            scores += pair_scores(job, seq);
        }
    }
}

/* Softmax of a pair, and n panels of its values. */
static void decode_values(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t head,
                          int panel, int n, const float *scores, samp__tile *tile)
{
    const samp__attention_kernels *kernels = job->scratch->kernels;
    int group = (int)samp__group(job);
    size_t floats = (size_t)group * SAMP_KV_BLOCK;
    samp__pair_queries(job, seq, head, 0, group, tile);
    block_range blocks = seen_blocks(job, seq);
    for (uint32_t block = blocks.from; block < blocks.to; block++, scores += floats) {
        for (int r = 0; r < group; r++)
            samp__row_sees(job, tile, r, seq->start, block * SAMP_KV_BLOCK);
        memcpy(tile->scores, scores, floats * sizeof *scores); /* others read them too */
        kernels->values(job->kv, samp__pair_cell(job, seq, head, block), tile, 0, panel, n);
    }
    for (int r = 0; r < group; r++)
        kernels->finish(job->kv, tile, r, panel, n, samp__pair_out(job, seq, head, (size_t)r));
}

static void decode_outputs(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    const float *scores = job->scratch->scores.data;
    int n_panels = (int)(job->kv->padded_dim / SAMP__KV_PANEL);
    uint64_t total = (uint64_t)n_panels * total_cost(job), before = 0;
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &job->batch->seqs[s];
        uint64_t cost = pair_cost(job, seq); /* of each panel */
        for (uint32_t head = 0; head < job->n_kv_heads; head++) {
            int first = 0, n = 0;
            for (int panel = 0; panel < n_panels; panel++, before += cost)
                if (owner(total, before, cost, n_threads) == thread && n++ == 0) first = panel;
            if (n) decode_values(job, seq, head, first, n, scores, &job->scratch->tiles[thread]);
            scores += pair_scores(job, seq);
        }
    }
}

/* ---- prefill ---- */

static void append_tokens(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    const samp_batch *batch = job->batch;
    size_t begin, end, before = 0; /* of all (sequence, head, token), in this order */
    samp_split((size_t)batch->n_tokens * job->n_kv_heads, 1, thread, n_threads, &begin, &end);
    for (uint32_t s = 0; s < batch->n_seqs && before < end; s++) {
        const samp_batch_seq *seq = &batch->seqs[s];
        size_t n = (size_t)seq->count * job->n_kv_heads;
        for (size_t i = begin > before ? begin - before : 0; i < n && before + i < end; i++)
            samp__pair_append(job, seq, (uint32_t)(i / seq->count), (uint32_t)(i % seq->count));
        before += n;
    }
}

/* The first row of a pair whose rows before it cost at least `cost`. */
static size_t first_row_at(const samp__attention_job *job, const samp_batch_seq *seq, uint64_t cost)
{
    size_t low = 0, high = (size_t)seq->count * samp__group(job);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows_cost(job, seq, middle) >= cost)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void attend_rows(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    uint64_t total = total_cost(job), before = 0; /* cost of the pairs before this one */
    uint64_t begin = (uint64_t)((unsigned __int128)total * thread / n_threads);
    uint64_t end = (uint64_t)((unsigned __int128)total * (thread + 1) / n_threads);
    for (uint32_t s = 0; s < job->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &job->batch->seqs[s];
        uint64_t cost = pair_cost(job, seq);
        for (uint32_t head = 0; head < job->n_kv_heads; head++, before += cost) {
            if (before >= end || before + cost <= begin) continue;
            size_t from = begin > before ? first_row_at(job, seq, begin - before) : 0;
            size_t to = first_row_at(job, seq, end - before);
            samp__pair_attend(job, seq, head, from, to, &job->scratch->tiles[thread]);
        }
    }
}

void samp__attention_append(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    assert(thread < job->scratch->n_threads);
    if (is_decode(job))
        decode_scores(job, thread, n_threads);
    else
        append_tokens(job, thread, n_threads);
}

void samp__attention_run(const samp__attention_job *job, unsigned thread, unsigned n_threads)
{
    assert(thread < job->scratch->n_threads);
    if (is_decode(job))
        decode_outputs(job, thread, n_threads);
    else
        attend_rows(job, thread, n_threads);
}

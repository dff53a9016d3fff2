/* Inside the attention of this folder: the inner kernels, a table for each instruction set
 * (attention_body.h), the working memory of a thread, and the work on one pair (attention_pair.c) that
 * attention.c shares out. */
#ifndef SAMP_CPU_ATTENTION_KERNELS_H
#define SAMP_CPU_ATTENTION_KERNELS_H

#include "backend/cpu/attention.h"
#include "backend/cpu/vector.h"

enum { SAMP__TILE_ROWS = 64 }; /* a row is one query of one head; a tile shares one kv head */

/* Working memory of one thread. Strides: q head_dim, o padded_dim, scores SAMP_KV_BLOCK. */
typedef struct samp__tile {
    float q[SAMP__TILE_ROWS * SAMP__HEAD_DIM_MAX];    /* rotated queries */
    float o[SAMP__TILE_ROWS * SAMP__HEAD_DIM_MAX];    /* sums of p*v so far */
    float scores[SAMP__TILE_ROWS * SAMP_KV_BLOCK];    /* of one block; then p */
    float values[SAMP_KV_BLOCK * SAMP__HEAD_DIM_MAX]; /* one block of K or V as float */
    float max[SAMP__TILE_ROWS], sum[SAMP__TILE_ROWS], rescale[SAMP__TILE_ROWS]; /* M, l, c */
    int n_visible[SAMP__TILE_ROWS]; /* positions of the block up to a row's own, 0…64, rising */
    int n_hidden
        [SAMP__TILE_ROWS]; /* of these, the first ones that a row's window excludes, rising */
    int n_rows;
    float scale;
} samp__tile;

typedef struct samp__attention_kernels {
    /* Dot products of rows first … of the tile with n_panels panels of the block's keys, from `panel`:
     * scores [rows of the tile][SAMP_KV_BLOCK]. */
    void (*scores)(const samp_kv *kv, const uint8_t *cell, samp__tile *tile, int first, int panel,
                   int n_panels, float *scores);
    /* tile->scores to M, l, c, and p*v added to o, for rows first … and n_panels panels of the block's
     * values, from `panel`. */
    void (*values)(const samp_kv *kv, const uint8_t *cell, samp__tile *tile, int first, int panel,
                   int n_panels);
    /* out[d] = o[d] / l of one row and those panels; out is the whole head's. */
    void (*finish)(const samp_kv *kv, const samp__tile *tile, int row, int panel, int n_panels,
                   float *out);
} samp__attention_kernels;

struct samp__attention_scratch {
    const samp__vector *vector;
    const samp__attention_kernels *kernels;
    unsigned n_threads;
    samp__tile *tiles; /* [n_threads] */
    samp__huge scores; /* [SAMP__SHARED_SCORES] floats: see attention.c, «decode» */
};

enum { SAMP__SHARED_SCORES = 4 << 20 };

/* The first position that the query of `position` sees. */
static inline uint32_t samp__first_seen(const samp__attention_job *job, uint32_t position)
{
    return job->window && position >= job->window ? position - job->window + 1 : 0;
}

/* Makes the key and the value of one token and head (bias, norm, rope), and stores them. */
void samp__pair_append(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                       uint32_t token);
/* Makes the queries of rows row0 … of a pair in the tile, and clears its sums. */
void samp__pair_queries(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                        size_t row0, int n_rows, samp__tile *tile);
/* Rows begin … end-1 of a pair, from queries to outputs. */
void samp__pair_attend(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                       size_t begin, size_t end, samp__tile *tile);

static inline uint32_t samp__group(const samp__attention_job *job) /* query heads of a kv head */
{
    return job->n_heads / job->n_kv_heads;
}

/* What row `row`, the query of `position`, sees of the block that begins at position `base`. */
static inline void samp__row_sees(const samp__attention_job *job, samp__tile *tile, int row,
                                  uint32_t position, uint32_t base)
{
    uint32_t visible = position - base + 1, seen = samp__first_seen(job, position);
    uint32_t hidden = seen > base ? seen - base : 0;
    tile->n_visible[row] = visible < SAMP_KV_BLOCK ? (int)visible : SAMP_KV_BLOCK;
    tile->n_hidden[row] = hidden < SAMP_KV_BLOCK ? (int)hidden : SAMP_KV_BLOCK;
}

static inline const uint8_t *samp__pair_cell(const samp__attention_job *job,
                                             const samp_batch_seq *seq, uint32_t kv_head,
                                             uint32_t block)
{
    return samp__kv_cell(job->kv, job->layer, seq->blocks[block], kv_head);
}

/* Where the output of row `row` of a pair goes. */
static inline float *samp__pair_out(const samp__attention_job *job, const samp_batch_seq *seq,
                                    uint32_t kv_head, size_t row)
{
    size_t group = samp__group(job), token = seq->first + row / group;
    return job->out + (token * job->n_heads + kv_head * group + row % group) * job->head_dim;
}

#endif

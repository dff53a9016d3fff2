/* The work of attention on one pair: a sequence and a kv head. Appends its keys and values to the store;
 * takes its rows (the queries of all tokens and of the heads that share the kv head, by position) through
 * the blocks of the store, a tile of rows at a time. Which thread does which part is attention.c's. */
#include "backend/cpu/attention_kernels.h"

static const float *rope_row(const samp__attention_job *job, uint32_t position)
{
    return job->rope + (size_t)position * job->head_dim;
}

/* One head of q or k as attention uses it: bias and gain are NULL or the head's own. */
static void make_head(const samp__attention_job *job, const float *x, const float *bias,
                      const float *gain, uint32_t position, float *out)
{
    const samp__vector *vector = job->scratch->vector;
    if (bias)
        vector->add(x, bias, job->head_dim, out);
    else
        memcpy(out, x, job->head_dim * sizeof *out);
    if (gain) vector->rmsnorm(out, gain, job->head_dim, job->eps, out);
    if (job->rope) vector->rope(out, job->head_dim, rope_row(job, position));
}

static const float *bias_of(const samp__attention_job *job, int which, size_t head)
{
    return job->bias[which] ? job->bias[which] + head * job->head_dim : NULL;
}

/* Puts the stored values of one position into its slot of K's panels and of V's. */
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
SCATTER(scatter_fp32, float)
SCATTER(scatter_fp16, uint16_t)
SCATTER(scatter_int8, int8_t)
#undef SCATTER

void samp__pair_append(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                       uint32_t token)
{
    const samp_kv *kv = job->kv;
    const samp__vector *vector = job->scratch->vector;
    size_t dim = job->head_dim,
           at = ((size_t)(seq->first + token) * job->n_kv_heads + kv_head) * dim;
    uint32_t position = seq->start + token, slot = position % SAMP_KV_BLOCK;
    uint8_t *cell = samp__kv_cell(kv, job->layer, seq->blocks[position / SAMP_KV_BLOCK], kv_head);
    float key[SAMP__HEAD_DIM_MAX], value[SAMP__HEAD_DIM_MAX];
    make_head(job, job->k + at, bias_of(job, 1, kv_head), job->gain[1], position, key);
    if (job->bias[2])
        vector->add(job->v + at, bias_of(job, 2, kv_head), dim, value);
    else
        memcpy(value, job->v + at, dim * sizeof *value);
    if (kv->shape.type == SAMP_KV_FP32) {
        memset(value + dim, 0, (kv->padded_dim - dim) * sizeof *value);
        scatter_fp32(kv, cell, slot, key, value);
    } else if (kv->shape.type == SAMP_KV_FP16) {
        uint16_t k[SAMP__HEAD_DIM_MAX], v[SAMP__HEAD_DIM_MAX];
        vector->to_fp16(key, dim, k);
        vector->to_fp16(value, dim, v);
        memset(v + dim, 0, (kv->padded_dim - dim) * sizeof *v);
        scatter_fp16(kv, cell, slot, k, v);
    } else {
        int8_t k[SAMP__HEAD_DIM_MAX], v[SAMP__HEAD_DIM_MAX];
        ((float *)(cell + kv->k_scales))[slot] = vector->kv_quantize(key, dim, k);
        ((float *)(cell + kv->v_scales))[slot] = vector->kv_quantize(value, dim, v);
        memset(v + dim, 0, kv->padded_dim - dim);
        scatter_int8(kv, cell, slot, k, v);
    }
}

void samp__pair_queries(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                        size_t row0, int n_rows, samp__tile *tile)
{
    uint32_t group = samp__group(job);
    size_t dim = job->head_dim;
    for (int r = 0; r < n_rows; r++) {
        uint32_t token = (uint32_t)((row0 + (size_t)r) / group);
        uint32_t head = kv_head * group + (uint32_t)((row0 + (size_t)r) % group);
        const float *q = job->q + ((size_t)(seq->first + token) * job->n_heads + head) * dim;
        make_head(job, q, bias_of(job, 0, head), job->gain[0], seq->start + token,
                  tile->q + (size_t)r * dim);
        tile->max[r] = -INFINITY;
        tile->sum[r] = 0;
    }
    memset(tile->o, 0, (size_t)n_rows * job->kv->padded_dim * sizeof *tile->o);
    tile->n_rows = n_rows;
    tile->scale = job->scale;
}

/* Rows row0 … row0+n_rows-1 (at most a tile). */
static void attend_tile(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                        size_t row0, int n_rows, samp__tile *tile)
{
    const samp__attention_kernels *kernels = job->scratch->kernels;
    uint32_t group = samp__group(job);
    uint32_t last = seq->start + (uint32_t)((row0 + (size_t)n_rows - 1) / group); /* position */
    int n_panels = (int)(job->kv->padded_dim / SAMP__KV_PANEL);
    samp__pair_queries(job, seq, kv_head, row0, n_rows, tile);
    int first = 0; /* rows before it see nothing of the block */
    uint32_t seen = samp__first_seen(job, seq->start + (uint32_t)(row0 / group));
    for (uint32_t base = seen / SAMP_KV_BLOCK * SAMP_KV_BLOCK; base <= last;
         base += SAMP_KV_BLOCK) {
        for (int r = first; r < n_rows; r++) {
            uint32_t position = seq->start + (uint32_t)((row0 + (size_t)r) / group);
            if (position < base) first = r + 1;
            samp__row_sees(job, tile, r, position, base);
        }
        const uint8_t *cell = samp__pair_cell(job, seq, kv_head, base / SAMP_KV_BLOCK);
        int keys = (tile->n_visible[n_rows - 1] + SAMP__KV_PANEL - 1) / SAMP__KV_PANEL;
        kernels->scores(job->kv, cell, tile, first, 0, keys, tile->scores);
        kernels->values(job->kv, cell, tile, first, 0, n_panels);
    }
    for (int r = 0; r < n_rows; r++)
        kernels->finish(job->kv, tile, r, 0, n_panels,
                        samp__pair_out(job, seq, kv_head, row0 + (size_t)r));
}

void samp__pair_attend(const samp__attention_job *job, const samp_batch_seq *seq, uint32_t kv_head,
                       size_t begin, size_t end, samp__tile *tile)
{
    for (size_t row = begin; row < end; row += SAMP__TILE_ROWS) {
        size_t n = end - row < SAMP__TILE_ROWS ? end - row : SAMP__TILE_ROWS;
        attend_tile(job, seq, kv_head, row, (int)n, tile);
    }
}

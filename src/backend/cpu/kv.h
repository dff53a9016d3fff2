/* The CPU's paged key and value store.
 *
 * A cell holds SAMP_KV_BLOCK positions of one layer, block and kv head; cells lie in the order
 * [layer][block][kv_head]. Inside a cell everything is made of panels: rows of 16 neighbouring
 * values.
 *
 *     K  [64/16 groups of 16 positions][head_dim][16 positions]     one panel: 16 keys, all
 * dimensions V  [padded_dim/16 chunks][64 positions][16 dimensions]        one panel: 16
 * dimensions, all keys int8 only: K scales [64] float, V scales [64] float
 *
 * Both products of attention then read a panel once, front to back, a vector load for each row,
 * whatever the width of the vectors. The dimensions of K are in the order in which the lane sums of
 * samp_dot are added up (kv->order): lane 0, 8, 4, 12, 2, …, each lane's elements together.
 * padded_dim is head_dim rounded up to 16; a position's padding is written as zeros with it.
 * Positions never written hold anything: readers mask them.
 *
 * The store belongs to whoever created it; its memory is taken once (huge.h) and becomes real pages
 * only where positions are written. */
#ifndef SAMP_CPU_KV_H
#define SAMP_CPU_KV_H

#include "backend/backend.h"
#include "backend/cpu/huge.h"

enum { SAMP__KV_PANEL = 16, SAMP__HEAD_DIM_MAX = 256 };

struct samp_kv {
    samp_kv_shape shape;
    uint32_t padded_dim;
    size_t value_bytes;                  /* 4 (fp32), 2 (fp16) or 1 (int8) */
    size_t v_offset, k_scales, v_scales; /* byte offsets inside a cell */
    size_t cell_bytes, bytes;            /* bytes: all cells */
    uint8_t *cells;
    samp__huge memory;
    uint16_t order[SAMP__HEAD_DIM_MAX]; /* order[i] = dimension of row i of a K panel */
};

/* Refuses head_dim that is odd, 0 or above 256, a shape with a zero, and sizes that overflow. */
samp_status samp__kv_create(const samp_kv_shape *shape, samp_kv **out, samp_error *error);
void samp__kv_release(samp_kv *kv); /* NULL allowed */
size_t samp__kv_bytes(const samp_kv *kv);

static inline uint8_t *samp__kv_cell(const samp_kv *kv, uint32_t layer, uint32_t block,
                                     uint32_t head)
{
    size_t index = ((size_t)layer * kv->shape.n_blocks + block) * kv->shape.n_kv_heads + head;
    return kv->cells + index * kv->cell_bytes;
}

#endif

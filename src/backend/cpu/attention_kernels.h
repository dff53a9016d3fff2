/* The two inner kernels of attention, as a table for each instruction set; attention.c drives them.
 * Bodies: attention_body.h. */
#ifndef SAMP_CPU_ATTENTION_KERNELS_H
#define SAMP_CPU_ATTENTION_KERNELS_H

#include "backend/cpu/kv.h"

enum { SAMP__TILE_ROWS = 64 }; /* a row is one query of one head; a tile shares one kv head */

/* Working memory of one thread. Strides: q head_dim, o padded_dim, scores SAMP_KV_BLOCK. */
typedef struct samp__tile {
    float q[SAMP__TILE_ROWS * SAMP__HEAD_DIM_MAX];    /* rotated queries */
    float o[SAMP__TILE_ROWS * SAMP__HEAD_DIM_MAX];    /* sums of p*v so far */
    float scores[SAMP__TILE_ROWS * SAMP_KV_BLOCK];    /* of one block; then p */
    float values[SAMP_KV_BLOCK * SAMP__HEAD_DIM_MAX]; /* one block of K or V as float */
    float max[SAMP__TILE_ROWS], sum[SAMP__TILE_ROWS], rescale[SAMP__TILE_ROWS]; /* M, l, c */
    int n_visible[SAMP__TILE_ROWS]; /* positions of the block that the row attends to, 0…64, rising
                                     */
    int n_rows;
    float scale;
} samp__tile;

typedef struct samp__attention_kernels {
    /* One block of keys for the rows first … n_rows-1 of the tile: scores, online softmax, o. */
    void (*block)(const samp_kv *kv, const uint8_t *cell, samp__tile *tile, int first);
    /* out[d] = o[d] / l of one row. */
    void (*finish)(const samp_kv *kv, const samp__tile *tile, int row, float *out);
} samp__attention_kernels;

extern const samp__attention_kernels samp__attention_scalar, samp__attention_avx2,
    samp__attention_avx512;

#endif

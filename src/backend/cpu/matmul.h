/* Matrix products of the CPU backend: out [n_tokens][rows] = x [n_tokens][cols] . weight^T.
 *
 * A level (levels.h) is a table of functions over the same packed weights (weight.h). Inputs of integer weights are quantized first into the level's own order; the
 * arithmetic is backend/numerics.h's, so all levels give the same bits. matmul.c prepares inputs
 * and splits the work. */
#ifndef SAMP_CPU_MATMUL_H
#define SAMP_CPU_MATMUL_H

#include "backend/cpu/vector.h"
#include "backend/cpu/weight.h"

/* Quantized inputs of a product. Tokens lie in tiles of `width` (the last may be part empty), and
 * block by block in a tile, so that a kernel reads a tile front to back: q
 * [n_tiles][n_blocks][width][q_bytes]   64 columns, in the level's order scale
 * [n_tiles][n_blocks][width]            x_scale start [n_tiles][n_blocks][3][width]         -128 *
 * sum of q: of the block, of its columns 0…31, 32…63 */
typedef struct samp__quantized {
    uint8_t *q;
    float *scale;
    int32_t *start;
    /* [n_tokens] bits of the m of all blocks of a token; NULL: each has its own */
    uint32_t *magnitude;
    size_t n_blocks, width, q_bytes;
    int bits; /* 8 or 16 */
} samp__quantized;

/* What one thread computes of one product: some groups of rows, some tokens. */
typedef struct samp__product {
    const samp_weight *weight;
    const samp__quantized *input; /* integer kinds */
    const float *x;               /* float kinds: [n_tokens][cols] */
    float *out;                   /* [n_tokens][rows] */
    bool add;
    size_t group_begin, group_end;
    size_t token_begin, token_end; /* token_begin is a multiple of input->width */
} samp__product;

typedef struct samp__matmul_level {
    const uint8_t *widths;      /* of its tiles of tokens, ascending, 0 at the end */
    size_t q_bytes8, q_bytes16; /* bytes of 64 quantized inputs */
    /* Quantizes x [cols] as token `token` of `to`. */
    void (*quantize)(const samp__quantized *to, size_t token, const float *x, size_t cols);
    void (*integers)(const samp__product *product);
    void (*floats)(const samp__product *product);
} samp__matmul_level;

/* The width of tiles for n tokens: the smallest that holds them all, else the largest. */
static inline size_t samp__tile_width(const samp__matmul_level *level, size_t n)
{
    const uint8_t *width = level->widths;
    while (width[0] < n && width[1]) width++;
    return *width;
}

/* Where token `token` lies in a quantized input, block 0; the next block is width*q_bytes further.
 */
static inline size_t samp__tile_slot(const samp__quantized *input, size_t token)
{
    return token / input->width * input->width * input->n_blocks + token % input->width;
}

/* y [n <= 16] -> out, stored or added. */
static inline void samp__store_rows(float *out, const float *y, size_t n, bool add)
{
    if (add)
        for (size_t i = 0; i < n; i++) out[i] += y[i];
    else
        for (size_t i = 0; i < n; i++) out[i] = y[i];
}

#endif

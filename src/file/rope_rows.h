/* The order of q and k rows. Rotary embedding turns pairs of values of a head. Hugging Face pairs
 * value i with value i + head_dim/2 ("half split"); Meta's original code, llama2.c and GGUF files
 * of the Llama family pair 2i with 2i+1 ("interleaved"), and store the rows of q_proj and k_proj in
 * that order.
 *
 * This is the one place that knows the permutation: row `row` of a half-split matrix
 * (n_heads*head_dim rows; for k_proj n_heads is the number of key-value heads) is this row of the
 * interleaved one. */
#ifndef SAMP_FILE_ROPE_ROWS_H
#define SAMP_FILE_ROPE_ROWS_H

#include <assert.h>
#include <stdint.h>

static inline uint64_t samp_unpermute_row(uint32_t n_heads, uint32_t head_dim, uint64_t row)
{
    assert(head_dim > 0 && head_dim % 2 == 0 && row < (uint64_t)n_heads * head_dim);
    uint64_t head = row / head_dim, within = row % head_dim, half = head_dim / 2;
    (void)n_heads;
    return head * head_dim + within % half * 2 + within / half;
}

#endif

/* Outliers in plain C for every level: a few columns of thousands. Cost of a product beside the
 * level's: a look at its inputs, and one multiplication a row for each outlier. */
#include "backend/cpu/outliers.h"

uint32_t samp__outliers_split(const float *x, size_t cols, float threshold, float *inliers)
{
    for (size_t k = 0; k < cols; k++) inliers[k] = samp_is_outlier(x[k], threshold) ? 0 : x[k];
    return samp_max_bits(inliers, cols);
}

/* out [16 or fewer rows of a group] += column k of the weight times x. */
static void add_column(const samp_weight *weight, size_t group, size_t k, float x, float *out)
{
    const uint8_t *at = weight->data + group * weight->group_bytes;
    size_t block = k / SAMP__BLOCK, row = group * SAMP__ROWS;
    size_t n = weight->rows - row < SAMP__ROWS ? weight->rows - row : SAMP__ROWS;
    const uint8_t *lines = at + weight->lines_at + block * weight->block_bytes;
    int zero = 1 << samp__kinds[weight->kind].zero;
    for (size_t r = 0; r < n; r++) {
        int t = (int)samp__packed_code(weight->kind, lines, r, k % SAMP__BLOCK) - zero;
        out[row + r] = fmaf(samp__scale(weight, at, block, 0, r) * (float)t, x, out[row + r]);
    }
}

void samp__outliers_add(const samp__product *product, float threshold)
{
    const samp_weight *weight = product->weight;
    for (size_t token = product->token_begin; token < product->token_end; token++) {
        const float *x = product->x + token * weight->cols;
        float *out = product->out + token * weight->rows;
        for (size_t k = 0; k < weight->cols; k++) {
            if (!samp_is_outlier(x[k], threshold)) continue;
            for (size_t group = product->group_begin; group < product->group_end; group++)
                add_column(weight, group, k, x[k], out);
        }
    }
}

/* The plain C level: any machine runs it, and tests hold it and numerics.h together with memcmp.
 * Inputs are int16 in column order for both widths; a tile is one token. */
#include "backend/cpu/levels.h"

#include <string.h>

static void quantize(const samp__quantized *to, size_t token, const float *x, size_t cols)
{
    size_t slot = samp__tile_slot(to, token);
    for (size_t b = 0; b < to->n_blocks; b++, slot += to->width) {
        size_t n = cols - b * SAMP__BLOCK < SAMP__BLOCK ? cols - b * SAMP__BLOCK : SAMP__BLOCK;
        int16_t q[SAMP__BLOCK] = {0};
        int32_t sum, low = 0;
        const float *from = x + b * SAMP__BLOCK;
        uint32_t bits = to->magnitude ? to->magnitude[token] : samp_max_bits(from, n);
        to->scale[slot] = samp_input_quantize_to(
            from, n, bits, to->bits == 8 ? SAMP_A8_MAX : SAMP_A16_MAX, q, &sum);
        for (size_t i = 0; i < SAMP__BLOCK / 2; i++) low += q[i];
        int32_t *start = to->start + (slot - slot % to->width) * 3 + slot % to->width;
        start[0] = -128 * sum;
        start[to->width] = -128 * low;
        start[2 * to->width] = -128 * (sum - low);
        memcpy(to->q + slot * to->q_bytes, q, sizeof q);
    }
}

static int32_t half_sum(const samp_weight *weight, const uint8_t *lines, size_t row, size_t half,
                        const int16_t *q)
{
    bool coded = samp__kinds[weight->kind].coded;
    int32_t sum = 0;
    for (size_t k = half * 32; k < half * 32 + 32; k++) {
        unsigned code = samp__packed_code(weight->kind, lines, row, k);
        sum += (int)(coded ? weight->codebook[code] : code) * q[k];
    }
    return sum;
}

static void integer_group(const samp__product *product, size_t group, size_t token, float *y)
{
    const samp_weight *weight = product->weight;
    const samp__quantized *input = product->input;
    const samp__kind_facts *facts = &samp__kinds[weight->kind];
    const uint8_t *at = weight->data + group * weight->group_bytes;
    const uint8_t *lines = at + weight->lines_at;
    size_t slot = samp__tile_slot(input, token);
    for (size_t b = 0; b < input->n_blocks; b++) {
        const int16_t *q = (const int16_t *)(input->q + slot * input->q_bytes);
        const int32_t *start = input->start + 3 * slot - 2 * (slot % input->width);
        for (size_t r = 0; r < SAMP__ROWS; r++) {
            int32_t low = half_sum(weight, lines, r, 0, q), high = half_sum(weight, lines, r, 1, q);
            int shift = 7 - facts->zero;
            if (facts->scales == 1) {
                int32_t sum = low + high + (start[0] >> shift);
                y[r] =
                    fmaf((float)sum, samp__scale(weight, at, b, 0, r) * input->scale[slot], y[r]);
                continue;
            }
            low += start[input->width] >> shift;
            high += start[2 * input->width] >> shift;
            y[r] = fmaf((float)low, samp__scale(weight, at, b, 0, r) * input->scale[slot], y[r]);
            y[r] = fmaf((float)high, samp__scale(weight, at, b, 1, r) * input->scale[slot], y[r]);
        }
        slot += input->width;
        lines += weight->block_bytes;
    }
}

static float value(samp__kind kind, const uint8_t *line, size_t row)
{
    if (kind == SAMP__FP16) return samp_fp16_to_float(((const uint16_t *)line)[row]);
    if (kind == SAMP__BF16) return samp_bf16_to_float(((const uint16_t *)line)[row]);
    if (kind == SAMP__FP8) return samp__fp8_value(line[row]);
    return ((const float *)line)[row];
}

static void float_group(const samp__product *product, size_t group, size_t token, float *y)
{
    const samp_weight *weight = product->weight;
    const uint8_t *at = weight->data + group * weight->group_bytes, *line = at;
    const float *x = product->x + token * weight->cols;
    size_t line_bytes = SAMP__ROWS * samp__kinds[weight->kind].lines;
    for (size_t k = 0; k < weight->cols; k++, line += line_bytes)
        for (size_t r = 0; r < SAMP__ROWS; r++)
            y[r] = fmaf(value(weight->kind, line, r), x[k], y[r]);
    if (weight->kind == SAMP__FP8)
        for (size_t r = 0; r < SAMP__ROWS; r++) y[r] *= samp__row_scales(weight, at)[r];
}

static void each_group(const samp__product *product,
                       void (*work)(const samp__product *, size_t group, size_t token, float *y))
{
    size_t rows = product->weight->rows;
    for (size_t group = product->group_begin; group < product->group_end; group++) {
        size_t row = group * SAMP__ROWS, n = rows - row < SAMP__ROWS ? rows - row : SAMP__ROWS;
        for (size_t token = product->token_begin; token < product->token_end; token++) {
            float y[SAMP__ROWS] = {0};
            work(product, group, token, y);
            samp__store_rows(product->out + token * rows + row, y, n, product->add);
        }
    }
}

static void integers(const samp__product *product) { each_group(product, integer_group); }
static void floats(const samp__product *product) { each_group(product, float_group); }

static const uint8_t widths[] = {1, 0};

const samp__matmul_level samp__matmul_scalar = {.widths = widths,
                                                .q_bytes8 = 2 * SAMP__BLOCK,
                                                .q_bytes16 = 2 * SAMP__BLOCK,
                                                .quantize = quantize,
                                                .integers = integers,
                                                .floats = floats};

/* Exact rows of a packed weight, for embed: from the packed values where these say it all, else
 * by the format's own decode from the parts kept for it. A tied embedding and head thus exist
 * once. */
#include "backend/cpu/weight.h"

#include "base/memory.h"

#include <string.h>

samp_status samp__weight_keep(samp_weight *weight, const samp_weight_source *source, bool part0,
                              unsigned n_threads, samp_error *error)
{
    bool fine = true;
    for (int i = 0; i < source->layout->n_parts; i++) {
        if (i == 0 && !part0) continue;
        size_t bytes = source->layout->parts[i].bytes;
        weight->parts[i] = samp_realloc(NULL, bytes, 1);
        if (weight->parts[i])
            memcpy(weight->parts[i], source->parts[i], bytes);
        else
            fine = false;
    }
    if (!part0) weight->row_codes = samp_alloc(n_threads, weight->cols / 2);
    if (!fine || (!part0 && !weight->row_codes))
        return samp_fail(error, SAMP_NOMEM, "out of memory for the exact rows of '%s'",
                         source->name);
    weight->format = source->format;
    weight->layout = *source->layout;
    return SAMP_OK;
}

static float float_value(samp__kind kind, const uint8_t *at)
{
    uint32_t bits = 0;
    memcpy(&bits, at, samp__kinds[kind].lines); /* little-endian: the low bytes */
    if (kind == SAMP__FP16) return samp_fp16_to_float((uint16_t)bits);
    if (kind == SAMP__FP8) return samp__fp8_value((uint8_t)bits);
    if (kind == SAMP__BF16) return samp_bf16_to_float((uint16_t)bits);
    return samp_bits_float(bits);
}

static void float_row(const samp_weight *weight, const uint8_t *group, size_t r, float *out)
{
    size_t bytes = samp__kinds[weight->kind].lines;
    for (size_t k = 0; k < weight->cols; k++)
        out[k] = float_value(weight->kind, group + (k * SAMP__ROWS + r) * bytes);
    if (weight->kind == SAMP__FP8)
        for (size_t k = 0; k < weight->cols; k++) out[k] *= samp__row_scales(weight, group)[r];
}

/* scale*t, where that is the exact value. */
static void integer_row(const samp_weight *weight, const uint8_t *group, size_t r, float *out)
{
    const samp__kind_facts *facts = &samp__kinds[weight->kind];
    for (size_t k = 0; k < weight->cols; k++) {
        size_t b = k / SAMP__BLOCK, column = k % SAMP__BLOCK;
        const uint8_t *lines = group + weight->lines_at + b * weight->block_bytes;
        int u = (int)samp__packed_code(weight->kind, lines, r, column);
        if (facts->coded) u = weight->codebook[u];
        out[k] = samp__scale(weight, group, b, column / (SAMP__BLOCK / facts->scales), r) *
                 (float)(u - (1 << facts->zero));
    }
}

/* By the format's decode, of which any single row is whole bytes of 8-bit codes or of 4-bit
 * codes whose columns are a multiple of 64. */
static void decoded_row(const samp_weight *weight, const uint8_t *group, size_t row,
                        unsigned thread, float *out)
{
    const void *parts[SAMP_PARTS_MAX];
    for (int i = 0; i < weight->layout.n_parts; i++) parts[i] = weight->parts[i];
    if (weight->row_codes) {
        uint8_t *codes = weight->row_codes + thread * (weight->cols / 2);
        size_t r = row % SAMP__ROWS;
        for (size_t k = 0; k < weight->cols; k += 2) {
            const uint8_t *at = group + weight->lines_at + k / SAMP__BLOCK * weight->block_bytes;
            codes[k / 2] =
                samp__code_pair(samp__packed_code(weight->kind, at, r, k % SAMP__BLOCK),
                                samp__packed_code(weight->kind, at, r, k % SAMP__BLOCK + 1));
        }
        parts[0] = codes;
    } else {
        size_t bits = row * weight->cols * (size_t)weight->format->code_bits;
        parts[0] = (const uint8_t *)parts[0] + bits / 8;
    }
    weight->format->decode(&weight->layout, parts, row, 1, out);
}

void samp__weight_row(const samp_weight *weight, size_t row, unsigned thread, float *out)
{
    const uint8_t *group = weight->data + row / SAMP__ROWS * weight->group_bytes;
    if (weight->format)
        decoded_row(weight, group, row, thread, out);
    else if (samp__is_float(weight))
        float_row(weight, group, row % SAMP__ROWS, out);
    else
        integer_row(weight, group, row % SAMP__ROWS, out);
}

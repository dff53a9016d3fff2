/* Weights in kernel layout: which kind a format becomes, sizes, life. Packing is in
 * weight_pack.c, exact rows for embed in weight_row.c; no format is named here but those whose
 * kind cannot be told from the integer form (format.h). */
#include "backend/cpu/weight.h"

#include "base/memory.h"

#include <string.h>

static samp__kind kind_of(const samp_weight_source *source, bool exact)
{
    samp_format_id id = source->format->id;
    int group = samp_integer_group(source->layout, id);
    if (!exact && group) {
        int n_codes;
        samp_integer_codebook(id, &n_codes);
        if (n_codes == 16) return group == 32 ? SAMP__NIBBLE32 : SAMP__NIBBLE;
        if (n_codes) return n_codes == 32 ? SAMP__CODE5 : SAMP__CODE6;
        if (id == SAMP_FORMAT_INT5) return SAMP__INT5;
        if (id == SAMP_FORMAT_INT6) return SAMP__INT6;
        return SAMP__BYTE;
    }
    if (!exact && id == SAMP_FORMAT_BF16) return SAMP__BF16;
    if (!exact && id == SAMP_FORMAT_FP16) return SAMP__FP16;
    if (!exact && id == SAMP_FORMAT_FP8) return SAMP__FP8;
    return SAMP__FP32;
}

static samp_status no_memory(const char *name, samp_error *error)
{
    return samp_fail(error, SAMP_NOMEM, "out of memory for weight '%s' in the CPU's layout", name);
}

/* Whether the scales are 8-bit codes times a scale of the row (format/group_scale.h). */
static bool has_coded_scales(const samp_layout *layout)
{
    return layout->n_parts == 3 && strcmp(layout->parts[1].suffix, ".scale_code") == 0 &&
           strcmp(layout->parts[2].suffix, ".row_scale") == 0;
}

/* Shapes, kind and memory; rows*cols is at most 2^44 (format.h), so that only the sizes below can
 * overflow. */
static samp_status weight_shape(samp_weight *weight, const samp_weight_source *source, bool exact,
                                samp_error *error)
{
    weight->kind = kind_of(source, exact);
    weight->rows = source->layout->rows;
    weight->cols = source->layout->cols;
    weight->embed = source->embed;
    weight->n_groups = samp_ceil_div(weight->rows, SAMP__ROWS);
    weight->n_blocks = samp_ceil_div(weight->cols, SAMP__BLOCK);
    if (samp__is_float(weight)) {
        weight->activation_bits = 32;
        weight->group_bytes = weight->cols * SAMP__ROWS * samp__kinds[weight->kind].lines;
        if (weight->kind == SAMP__FP8) weight->group_bytes += SAMP__ROWS * sizeof(float);
    } else {
        if (source->activation_bits != 8 && source->activation_bits != 16)
            return samp_fail(error, SAMP_INVALID,
                             "weight '%s' wants %d-bit activations; the CPU has 8 and 16",
                             source->name, source->activation_bits);
        weight->activation_bits = source->activation_bits;
        weight->outliers = source->format->outliers && source->activation_bits == 8;
        size_t n_scales = weight->n_blocks * samp__kinds[weight->kind].scales;
        weight->coded_scales = has_coded_scales(source->layout);
        weight->block_bytes = samp__kinds[weight->kind].lines * SAMP__LINE;
        weight->lines_at = weight->coded_scales
                               ? SAMP__LINE + samp_round_up(n_scales * SAMP__ROWS, SAMP__LINE)
                               : n_scales * SAMP__LINE;
        weight->group_bytes = weight->lines_at + weight->n_blocks * weight->block_bytes;
    }
    if (!samp__huge_alloc(&weight->memory, weight->n_groups, weight->group_bytes))
        return no_memory(source->name, error);
    weight->data = weight->memory.data;
    return SAMP_OK;
}

samp_status samp__weight_create(samp_pool *pool, const samp_weight_source *source, bool exact,
                                samp_weight **out, samp_error *error)
{
    *out = NULL;
    samp_weight *weight = samp_alloc(1, sizeof *weight);
    if (!weight) return no_memory(source->name, error);
    samp_status status = weight_shape(weight, source, exact, error);
    if (status == SAMP_OK) {
        switch (samp__weight_pack(pool, weight, source)) {
        case SAMP__PACKED: break;
        case SAMP__PACK_FAILED: status = no_memory(source->name, error); break;
        case SAMP__PACK_NEEDS_SCALES:
            status = samp__weight_keep(weight, source, false, samp_pool_threads(pool), error);
            break;
        case SAMP__PACK_NEEDS_ALL:
            status = samp__weight_keep(weight, source, true, samp_pool_threads(pool), error);
            break;
        }
    }
    if (status != SAMP_OK) {
        samp__weight_release(weight);
        return status;
    }
    *out = weight;
    return SAMP_OK;
}

void samp__weight_release(samp_weight *weight)
{
    if (!weight) return;
    for (int i = 0; i < SAMP_PARTS_MAX; i++) samp_free(weight->parts[i]);
    samp_free(weight->row_codes);
    samp__huge_release(&weight->memory);
    samp_free(weight);
}

/* Creates the paged key and value store; attention.c writes it, attention_body.h reads it. */
#include "backend/cpu/kv.h"

#include "base/memory.h"

static samp_status check_shape(const samp_kv_shape *shape, samp_error *error)
{
    uint32_t dim = shape->head_dim;
    if (!dim || dim % 2 || dim > SAMP__HEAD_DIM_MAX)
        return samp_fail(
            error, SAMP_UNSUPPORTED,
            "head_dim is %u, expected an even number from 2 to %d: the CPU backend cannot "
            "run this model's attention",
            dim, SAMP__HEAD_DIM_MAX);
    if (!shape->n_layers || !shape->n_blocks || !shape->n_kv_heads)
        return samp_fail(error, SAMP_INVALID,
                         "a key-value cache of %u layers, %u blocks and %u heads was asked for, "
                         "expected at least one of each",
                         shape->n_layers, shape->n_blocks, shape->n_kv_heads);
    if ((unsigned)shape->type > SAMP_KV_FP32)
        return samp_fail(error, SAMP_INVALID, "key-value type %d is not FP16, INT8 or FP32",
                         (int)shape->type);
    return SAMP_OK;
}

/* Lanes in the order in which samp_lane_sum's halves meet when it is evaluated depth first: the
 * bits of the place, reversed. attention_body.h walks the same order. */
static void lane_order(uint32_t head_dim, uint16_t *order)
{
    size_t n = 0;
    for (unsigned place = 0; place < SAMP_LANES; place++) {
        unsigned lane = (place & 1) << 3 | (place & 2) << 1 | (place & 4) >> 1 | place >> 3;
        for (unsigned dim = lane; dim < head_dim; dim += SAMP_LANES) order[n++] = (uint16_t)dim;
    }
}

samp_status samp__kv_create(const samp_kv_shape *shape, samp_kv **out, samp_error *error)
{
    *out = NULL;
    SAMP_TRY(check_shape(shape, error));
    samp_kv *kv = samp_alloc(1, sizeof *kv);
    if (!kv) return samp_fail(error, SAMP_NOMEM, "out of memory for a key-value cache");
    kv->shape = *shape;
    kv->padded_dim = (uint32_t)samp_round_up(shape->head_dim, SAMP__KV_PANEL);
    kv->value_bytes = shape->type == SAMP_KV_FP32   ? sizeof(float)
                      : shape->type == SAMP_KV_FP16 ? sizeof(uint16_t)
                                                    : sizeof(int8_t);
    kv->v_offset = SAMP_KV_BLOCK * kv->value_bytes * shape->head_dim;
    kv->k_scales = kv->v_offset + SAMP_KV_BLOCK * kv->value_bytes * kv->padded_dim;
    kv->v_scales = kv->k_scales + SAMP_KV_BLOCK * sizeof(float);
    kv->cell_bytes = kv->k_scales;
    if (shape->type == SAMP_KV_INT8) kv->cell_bytes += 2 * SAMP_KV_BLOCK * sizeof(float);
    lane_order(shape->head_dim, kv->order);
    uint64_t cells, bytes;
    if (!samp_mul(shape->n_layers, shape->n_blocks, &cells) ||
        !samp_mul(cells, shape->n_kv_heads, &cells) || !samp_mul(cells, kv->cell_bytes, &bytes) ||
        bytes > SIZE_MAX / 2 || !samp__huge_alloc(&kv->memory, 1, bytes)) {
        samp_free(kv);
        return samp_fail(
            error, SAMP_NOMEM,
            "out of memory for a key-value cache of %u layers, %u blocks of %d positions, "
            "%u heads of %u: use fewer blocks (a shorter context, fewer sequences)",
            shape->n_layers, shape->n_blocks, SAMP_KV_BLOCK, shape->n_kv_heads, shape->head_dim);
    }
    kv->cells = kv->memory.data;
    kv->bytes = bytes;
    *out = kv;
    return SAMP_OK;
}

void samp__kv_release(samp_kv *kv)
{
    if (!kv) return;
    samp__huge_release(&kv->memory);
    samp_free(kv);
}

size_t samp__kv_bytes(const samp_kv *kv) { return kv->bytes; }

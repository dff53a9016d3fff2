/* What the reference backend keeps on its "device": tensors, weights, the KV store. Each create
 * owns what it returns until the matching release; a failed create leaves nothing behind. */
#include "backend/reference/reference.h"

#include "base/memory.h"

#include <inttypes.h>
#include <string.h>

samp_status samp__reference_tensor_create(samp_device *device, size_t n_floats, samp_tensor **out,
                                          samp_error *error)
{
    (void)device;
    samp_tensor *tensor = samp_alloc(1, sizeof *tensor);
    if (tensor) tensor->values = samp_alloc(n_floats, sizeof(float));
    if (!tensor || !tensor->values) {
        samp_free(tensor);
        return samp_fail(error, SAMP_NOMEM, "out of memory for a tensor of %zu floats", n_floats);
    }
    tensor->n = n_floats;
    *out = tensor;
    return SAMP_OK;
}

void samp__reference_tensor_release(samp_device *device, samp_tensor *tensor)
{
    (void)device;
    if (!tensor) return;
    samp_free(tensor->values);
    samp_free(tensor);
}

samp_status samp__reference_tensor_set(samp_device *device, samp_tensor *tensor,
                                       const float *values, size_t n, samp_error *error)
{
    (void)device;
    if (n > tensor->n)
        return samp_fail(error, SAMP_INVALID, "%zu floats do not fit a tensor of %zu", n,
                         tensor->n);
    memcpy(tensor->values, values, n * sizeof(float));
    return SAMP_OK;
}

static uint64_t padded(uint64_t cols) { return samp_round_up(cols, SAMP_INPUT_GROUP); }

static bool make_integers(samp_weight *weight, const samp_weight_source *source)
{
    uint64_t rows = weight->layout.rows, cols = padded(weight->layout.cols), n;
    if (!samp_mul(rows, cols, &n)) return false;
    weight->t = samp_alloc(n, 1);
    weight->scale = samp_alloc(n / (uint64_t)weight->group, sizeof(float));
    if (!weight->t || !weight->scale) return false;
    samp_integer_rows integers = {weight->t, weight->scale};
    samp_integer_form(source->format->id, &weight->layout, source->parts, 0, rows, &integers);
    return true;
}

static bool make_floats(samp_weight *weight, const samp_weight_source *source)
{
    uint64_t rows = weight->layout.rows, n;
    if (!samp_mul(rows, weight->layout.cols, &n)) return false;
    weight->floats = samp_alloc(n, sizeof(float));
    if (!weight->floats) return false;
    samp_format_id id = source->format->id;
    if (!weight->exact && samp_row_form(id, &weight->layout, source->parts, 0, rows, NULL, NULL)) {
        if (!(weight->row_scale = samp_alloc(rows, sizeof(float)))) return false;
        return samp_row_form(id, &weight->layout, source->parts, 0, rows, weight->floats,
                             weight->row_scale);
    }
    source->format->decode(&weight->layout, source->parts, 0, rows, weight->floats);
    return true;
}

samp_status samp__reference_weight_create(samp_device *device, const samp_weight_source *source,
                                          samp_weight **out, samp_error *error)
{
    samp_weight *weight = samp_alloc(1, sizeof *weight);
    if (!weight) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", source->name);
    weight->layout = *source->layout;
    weight->group = device->exact ? 0 : samp_integer_group(source->layout, source->format->id);
    weight->exact = device->exact;
    weight->n_max = source->activation_bits == 8 ? SAMP_A8_MAX : SAMP_A16_MAX;
    weight->outliers = weight->group && source->format->outliers && source->activation_bits == 8;
    bool integers = weight->group != 0, floats = !integers || source->embed;
    if ((integers && !make_integers(weight, source)) || (floats && !make_floats(weight, source))) {
        samp__reference_weight_release(device, weight);
        return samp_fail(error, SAMP_NOMEM,
                         "%s: out of memory for %" PRIu64 " x %" PRIu64 " weights", source->name,
                         source->layout->rows, source->layout->cols);
    }
    *out = weight;
    return SAMP_OK;
}

void samp__reference_weight_release(samp_device *device, samp_weight *weight)
{
    (void)device;
    if (!weight) return;
    samp_free(weight->t);
    samp_free(weight->scale);
    samp_free(weight->floats);
    samp_free(weight->row_scale);
    samp_free(weight);
}

size_t samp__reference_weight_bytes(const samp_weight *weight)
{
    uint64_t rows = weight->layout.rows, cols = weight->layout.cols;
    if (!weight->group) return rows * cols * sizeof(float);
    return rows * padded(cols) + rows * padded(cols) / (uint64_t)weight->group * sizeof(float);
}

samp_status samp__reference_kv_create(samp_device *device, const samp_kv_shape *shape,
                                      samp_kv **out, samp_error *error)
{
    uint64_t rows, n;
    bool fits = samp_mul((uint64_t)shape->n_layers * SAMP_KV_BLOCK, shape->n_blocks, &rows) &&
                samp_mul(rows, shape->n_kv_heads, &rows) && samp_mul(rows, shape->head_dim, &n);
    samp_kv *kv = fits ? samp_alloc(1, sizeof *kv) : NULL;
    for (int i = 0; kv && i < 2; i++) {
        kv->shape = *shape;
        if (shape->type == SAMP_KV_FP32) {
            kv->full[i] = samp_alloc(n, sizeof(float));
            fits = fits && kv->full[i];
        } else if (shape->type == SAMP_KV_FP16) {
            kv->half[i] = samp_alloc(n, sizeof(uint16_t));
            fits = fits && kv->half[i];
        } else {
            kv->code[i] = samp_alloc(n, 1);
            kv->scale[i] = samp_alloc(rows, sizeof(float));
            fits = fits && kv->code[i] && kv->scale[i];
        }
    }
    if (!kv || !fits) {
        samp__reference_kv_release(device, kv);
        return samp_fail(error, SAMP_NOMEM,
                         "out of memory for a KV store of %u layers x %u blocks of %d positions",
                         shape->n_layers, shape->n_blocks, SAMP_KV_BLOCK);
    }
    *out = kv;
    return SAMP_OK;
}

void samp__reference_kv_release(samp_device *device, samp_kv *kv)
{
    (void)device;
    if (!kv) return;
    for (int i = 0; i < 2; i++) {
        samp_free(kv->full[i]);
        samp_free(kv->half[i]);
        samp_free(kv->code[i]);
        samp_free(kv->scale[i]);
    }
    samp_free(kv);
}

size_t samp__reference_kv_bytes(const samp_kv *kv)
{
    size_t rows =
        (size_t)kv->shape.n_layers * kv->shape.n_blocks * SAMP_KV_BLOCK * kv->shape.n_kv_heads;
    size_t dim = kv->shape.head_dim, row = dim * sizeof(float);
    if (kv->shape.type == SAMP_KV_FP16) row = dim * sizeof(uint16_t);
    if (kv->shape.type == SAMP_KV_INT8) row = dim + sizeof(float);
    return 2 * rows * row;
}

size_t samp__reference_kv_row(const samp_kv *kv, uint32_t layer, uint32_t block, uint32_t in_block,
                              uint32_t head)
{
    size_t position = ((size_t)layer * kv->shape.n_blocks + block) * SAMP_KV_BLOCK + in_block;
    return position * kv->shape.n_kv_heads + head;
}

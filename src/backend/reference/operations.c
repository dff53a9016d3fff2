/* What each operation of the reference backend computes: backend/numerics.h, line by line, one
 * token and one output at a time, with nothing packed, blocked, fused or threaded. Every other
 * backend is measured against this file, so it is kept slow and obvious.
 *
 * All memory belongs to the device or to the operation's tensors. Shapes are as in backend.h. */
#include "backend/reference/reference.h"

#include "base/memory.h"

#include <string.h>

/* ---- rows that go into a matmul ---- */

static bool reserve_row(samp_device *device, size_t cols)
{
    if (device->row_capacity >= cols) return true;
    samp_free(device->row);
    samp_free(device->row_q);
    samp_free(device->row_scale);
    size_t n = samp_round_up(cols, SAMP_INPUT_GROUP);
    device->row = samp_alloc(n, sizeof *device->row);
    device->row_q = samp_alloc(n, sizeof *device->row_q);
    device->row_scale = samp_alloc(n / SAMP_INPUT_GROUP, sizeof *device->row_scale);
    bool ok = device->row && device->row_q && device->row_scale;
    device->row_capacity = ok ? n : 0;
    return ok;
}

/* Row i of the input, [cols], made where it has to be made. */
static const float *input_row(samp_device *device, const samp_input *input, size_t i, size_t cols)
{
    const float *x = input->x->values + i * cols;
    if (input->kind == SAMP_INPUT_PLAIN) return x;
    if (input->kind == SAMP_INPUT_NORM) {
        samp_rmsnorm(x, input->gain->values, cols, input->eps, device->row);
    } else {
        const float *y = input->y->values + i * cols;
        for (size_t c = 0; c < cols; c++) device->row[c] = samp_silu(x[c], y[c]);
    }
    return device->row;
}

/* ---- matmul ---- */

/* Integers and scales of a row, in groups of 64; the last group is filled up with zeros. With
 * outliers all groups have one m, and the outliers are 0. */
static void quantize_row(samp_device *device, const float *row, size_t cols,
                         const samp_weight *weight, float threshold)
{
    uint32_t bits = 0;
    for (size_t k = 0; k < cols; k++)
        if (!samp_is_outlier(row[k], threshold)) {
            uint32_t magnitude = samp_max_bits(row + k, 1);
            bits = magnitude > bits ? magnitude : bits;
        }
    for (size_t c = 0; c < cols; c += SAMP_INPUT_GROUP) {
        size_t n = cols - c < SAMP_INPUT_GROUP ? cols - c : SAMP_INPUT_GROUP;
        float x[SAMP_INPUT_GROUP] = {0};
        int32_t sum;
        for (size_t i = 0; i < n; i++)
            x[i] = weight->outliers && samp_is_outlier(row[c + i], threshold) ? 0 : row[c + i];
        if (!weight->outliers) bits = samp_max_bits(x, n);
        device->row_scale[c / SAMP_INPUT_GROUP] = samp_input_quantize_to(
            x, SAMP_INPUT_GROUP, bits, weight->n_max, device->row_q + c, &sum);
    }
}

/* The outliers of a row, added to output r. */
static float add_outliers(const samp_weight *weight, const float *row, float threshold, size_t r,
                          float y)
{
    size_t cols = weight->layout.cols, padded = samp_round_up(cols, SAMP_INPUT_GROUP),
           group = (size_t)weight->group;
    for (size_t k = 0; k < cols; k++)
        if (samp_is_outlier(row[k], threshold))
            y = fmaf(weight->scale[r * (padded / group) + k / group] *
                         (float)weight->t[r * padded + k],
                     row[k], y);
    return y;
}

static float integer_product(const samp_weight *weight, const samp_device *device, size_t r)
{
    size_t cols = samp_round_up(weight->layout.cols, SAMP_INPUT_GROUP),
           group = (size_t)weight->group;
    const int8_t *t = weight->t + r * cols;
    const float *scale = weight->scale + r * (cols / group);
    float y = 0;
    for (size_t c = 0; c < cols; c += group) {
        int32_t sum = 0;
        for (size_t i = c; i < c + group; i++) sum += t[i] * device->row_q[i];
        y = fmaf((float)sum, scale[c / group] * device->row_scale[c / SAMP_INPUT_GROUP], y);
    }
    return y;
}

static float float_product(const float *w, const float *x, size_t cols)
{
    float y = 0;
    for (size_t k = 0; k < cols; k++) y = fmaf(w[k], x[k], y);
    return y;
}

static samp_status run_matmul(samp_device *device, const samp__op *op, samp_error *error)
{
    size_t cols = op->weights[0]->layout.cols;
    if (!reserve_row(device, cols))
        return samp_fail(error, SAMP_NOMEM, "out of memory for a row of %zu inputs", cols);
    for (size_t i = 0; i < op->n; i++) {
        const float *row = input_row(device, &op->input, i, cols);
        for (int m = 0; m < op->n_weights; m++) {
            const samp_weight *weight = op->weights[m];
            size_t rows = weight->layout.rows;
            float *out = op->outs[m]->values + i * rows;
            float threshold = op->input.outlier_threshold;
            if (weight->group) quantize_row(device, row, cols, weight, threshold);
            for (size_t r = 0; r < rows; r++) {
                float y = weight->group ? integer_product(weight, device, r)
                                        : float_product(weight->floats + r * cols, row, cols);
                if (weight->row_scale) y *= weight->row_scale[r];
                out[r] = op->add ? out[r] + y : y;
                if (weight->outliers) out[r] = add_outliers(weight, row, threshold, r, out[r]);
            }
        }
    }
    return SAMP_OK;
}

/* ---- attention ---- */

/* Stores one row of keys (which = 0) or values (which = 1). */
static void kv_store(samp_kv *kv, int which, size_t row, const float *x)
{
    size_t dim = kv->shape.head_dim;
    if (kv->shape.type == SAMP_KV_FP32)
        memcpy(kv->full[which] + row * dim, x, dim * sizeof *x);
    else if (kv->shape.type == SAMP_KV_FP16)
        for (size_t d = 0; d < dim; d++) kv->half[which][row * dim + d] = samp_float_to_fp16(x[d]);
    else
        kv->scale[which][row] = samp_kv_quantize(x, dim, kv->code[which] + row * dim);
}

/* Loads a stored row as floats; its value is out * the returned scale. */
static float kv_load(const samp_kv *kv, int which, size_t row, float *out)
{
    size_t dim = kv->shape.head_dim;
    if (kv->shape.type == SAMP_KV_INT8) {
        for (size_t d = 0; d < dim; d++) out[d] = (float)kv->code[which][row * dim + d];
        return kv->scale[which][row];
    }
    if (kv->shape.type == SAMP_KV_FP32)
        memcpy(out, kv->full[which] + row * dim, dim * sizeof *out);
    else
        for (size_t d = 0; d < dim; d++)
            out[d] = samp_fp16_to_float(kv->half[which][row * dim + d]);
    return 1; /* multiplying by it changes nothing */
}

static void rotate(float *heads, uint32_t n_heads, uint32_t head_dim, const float *table,
                   uint32_t position)
{
    uint32_t half = head_dim / 2;
    const float *angle = table + (size_t)position * half * 2;
    for (uint32_t h = 0; h < n_heads; h++)
        for (uint32_t i = 0; i < half; i++)
            samp_rope_pair(&heads[h * head_dim + i], &heads[h * head_dim + i + half], angle[2 * i],
                           angle[2 * i + 1]);
}

/* Heads of q (which = 0), k (1) or v (2) of one token, as attention uses them. */
static void make_heads(const samp_attention *a, int which, float *heads, uint32_t position)
{
    uint32_t n_heads = which == 0 ? a->n_heads : a->n_kv_heads;
    if (a->bias[which])
        for (uint32_t i = 0; i < n_heads * a->head_dim; i++) heads[i] += a->bias[which]->values[i];
    if (which == 2) return;
    for (uint32_t h = 0; a->gain[which] && h < n_heads; h++)
        samp_rmsnorm(heads + h * a->head_dim, a->gain[which]->values, a->head_dim, a->eps,
                     heads + h * a->head_dim);
    if (a->rope) rotate(heads, n_heads, a->head_dim, a->rope->values, position);
}

/* One query of one head over the positions it sees; row and out are [head_dim]. */
static void attend(const samp__op *op, const samp_batch_seq *seq, uint32_t position, uint32_t head,
                   const float *q, float *row, float *out)
{
    const samp_attention *a = &op->attention;
    uint32_t kv_head = head / (a->n_heads / a->n_kv_heads);
    uint32_t seen = a->window && position >= a->window ? position - a->window + 1 : 0;
    float max = -INFINITY, sum = 0;
    for (uint32_t d = 0; d < a->head_dim; d++) out[d] = 0;
    uint32_t start = seen / SAMP_KV_BLOCK * SAMP_KV_BLOCK;
    for (uint32_t first = start; first <= position; first += SAMP_KV_BLOCK) {
        uint32_t block = seq->blocks[first / SAMP_KV_BLOCK];
        uint32_t from = seen > first ? seen - first : 0;
        uint32_t n = position - first < SAMP_KV_BLOCK ? position - first + 1 : SAMP_KV_BLOCK;
        float p[SAMP_KV_BLOCK], lane[SAMP_LANES] = {0}, block_max = max;
        for (uint32_t j = from; j < n; j++) {
            float k_scale = kv_load(
                op->kv, 0, samp__reference_kv_row(op->kv, a->layer, block, j, kv_head), row);
            p[j] = samp_dot(q, row, a->head_dim) * (k_scale * a->scale);
            block_max = fmaxf(block_max, p[j]);
        }
        float correction = samp_exp(max - block_max);
        for (uint32_t d = 0; d < a->head_dim; d++) out[d] *= correction;
        for (uint32_t j = from; j < n; j++) {
            p[j] = samp_exp(p[j] - block_max);
            lane[j % SAMP_LANES] += p[j];
            float v_scale = kv_load(
                op->kv, 1, samp__reference_kv_row(op->kv, a->layer, block, j, kv_head), row);
            for (uint32_t d = 0; d < a->head_dim; d++)
                out[d] = fmaf(p[j] * v_scale, row[d], out[d]);
        }
        sum = sum * correction + samp_lane_sum(lane);
        max = block_max;
    }
    for (uint32_t d = 0; d < a->head_dim; d++) out[d] /= sum;
}

/* Positions of the step are all stored before any query looks: its tokens see each other. */
static void append(const samp__op *op, const samp_batch_seq *seq)
{
    const samp_attention *a = &op->attention;
    for (uint32_t i = 0; i < seq->count; i++) {
        size_t token = seq->first + i;
        uint32_t position = seq->start + i, block = seq->blocks[position / SAMP_KV_BLOCK];
        float *q = a->q->values + token * a->n_heads * a->head_dim;
        float *k = a->k->values + token * a->n_kv_heads * a->head_dim;
        float *v = a->v->values + token * a->n_kv_heads * a->head_dim;
        make_heads(a, 0, q, position);
        make_heads(a, 1, k, position);
        make_heads(a, 2, v, position);
        for (uint32_t h = 0; h < a->n_kv_heads; h++) {
            size_t row =
                samp__reference_kv_row(op->kv, a->layer, block, position % SAMP_KV_BLOCK, h);
            kv_store(op->kv, 0, row, k + h * a->head_dim);
            kv_store(op->kv, 1, row, v + h * a->head_dim);
        }
    }
}

static samp_status run_attention(samp_device *device, const samp__op *op, samp_error *error)
{
    const samp_attention *a = &op->attention;
    if (!reserve_row(device, a->head_dim))
        return samp_fail(error, SAMP_NOMEM, "out of memory for a head of %u values", a->head_dim);
    for (uint32_t s = 0; s < op->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &op->batch->seqs[s];
        append(op, seq);
        for (uint32_t i = 0; i < seq->count; i++)
            for (uint32_t h = 0; h < a->n_heads; h++) {
                size_t at = ((size_t)(seq->first + i) * a->n_heads + h) * a->head_dim;
                attend(op, seq, seq->start + i, h, a->q->values + at, device->row,
                       a->out->values + at);
            }
    }
    return SAMP_OK;
}

/* ---- the rest ---- */

static void run_embed(const samp__op *op)
{
    size_t cols = op->weights[0]->layout.cols;
    for (uint32_t i = 0; i < op->batch->n_tokens; i++) {
        size_t row = (size_t)op->batch->tokens[i];
        int part = 0;
        while (row >= op->weights[part]->layout.rows) row -= op->weights[part++]->layout.rows;
        const samp_weight *weight = op->weights[part];
        float *out = op->outs[0]->values + i * cols;
        memcpy(out, weight->floats + row * cols, cols * sizeof(float));
        for (size_t c = 0; weight->row_scale && c < cols; c++) out[c] *= weight->row_scale[row];
    }
}

samp_status samp__reference_run(samp_device *device, const samp__op *op, samp_error *error)
{
    switch (op->kind) {
    case SAMP__EMBED: run_embed(op); return SAMP_OK;
    case SAMP__MATMUL: return run_matmul(device, op, error);
    case SAMP__ATTENTION: return run_attention(device, op, error);
    case SAMP__GATHER:
        for (size_t i = 0; i < op->n; i++)
            memcpy(op->outs[0]->values + i * op->width,
                   op->in->values + (size_t)op->rows[i] * op->width, op->width * sizeof(float));
        return SAMP_OK;
    case SAMP__READ:
        memcpy(op->host, op->in->values + op->first, op->n_floats * sizeof(float));
        return SAMP_OK;
    }
    return samp_fail(error, SAMP_INVALID, "reference backend: operation %d does not exist",
                     (int)op->kind);
}

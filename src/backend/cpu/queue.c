/* Recording of a step's operations, and their execution by all threads at sync (queue.h). */
#include "backend/cpu/queue.h"

#include "base/memory.h"

#include <string.h>

static void fail(samp_device *device, samp_status status, const char *what)
{
    if (device->failure.status == SAMP_OK) samp_fail(&device->failure, status, "%s", what);
}

/* Room for one more operation; NULL after a failure. */
static samp__op *record(samp_device *device, samp__op_kind kind)
{
    if (device->failure.status != SAMP_OK) return NULL;
    if (device->n_ops == device->op_capacity) {
        size_t capacity = device->op_capacity ? 2 * device->op_capacity : 256;
        samp__op *ops = samp_realloc(device->ops, capacity, sizeof *ops);
        if (!ops) {
            fail(device, SAMP_NOMEM, "out of memory for the CPU's list of operations");
            return NULL;
        }
        device->ops = ops;
        device->op_capacity = capacity;
    }
    samp__op *op = &device->ops[device->n_ops++];
    op->kind = kind;
    return op;
}

void samp__queue_begin(samp_device *device, const samp_batch *batch)
{
    device->batch = batch;
    device->n_ops = 0;
    device->failure.status = SAMP_OK;
}

void samp__queue_embed(samp_device *device, int n_weights, const samp_weight *const weights[],
                       samp_tensor *out)
{
    for (int i = 0; i < n_weights; i++)
        if (!weights[i]->embed && !samp__is_float(weights[i])) {
            fail(device, SAMP_INVALID,
                 "embed reads a weight that was created without source.embed");
            return;
        }
    samp__op *op = record(device, SAMP__OP_EMBED);
    if (!op) return;
    for (int i = 0; i < n_weights; i++) op->embed.weights[i] = weights[i];
    op->embed.out = out->data;
}

void samp__queue_matmul(samp_device *device, uint32_t n, const samp_input *input, int n_weights,
                        const samp_weight *const weights[], samp_tensor *const outs[], bool add)
{
    samp__op *op = n ? record(device, SAMP__OP_MATMUL) : NULL;
    if (!op) return;
    samp__matmul *matmul = &op->matmul;
    *matmul = (samp__matmul){.n = n,
                             .input = input->kind,
                             .x = input->x->data,
                             .y = input->kind == SAMP_INPUT_SILU ? input->y->data : NULL,
                             .gain = input->kind == SAMP_INPUT_NORM ? input->gain->data : NULL,
                             .eps = input->eps,
                             .outlier_threshold = input->outlier_threshold,
                             .n_weights = n_weights,
                             .add = add};
    for (int i = 0; i < n_weights; i++) {
        matmul->weights[i] = weights[i];
        matmul->outs[i] = outs[i]->data;
    }
    size_t bytes;
    if (!samp__matmul_scratch(device, matmul, &bytes) ||
        !samp__huge_reserve(&device->scratch, bytes, 1))
        fail(device, SAMP_NOMEM, "out of memory for the inputs of a matrix product");
}

static const float *data_of(const samp_tensor *tensor) { return tensor ? tensor->data : NULL; }

void samp__queue_attention(samp_device *device, samp_kv *kv, const samp_attention *attention)
{
    samp__op *op = record(device, SAMP__OP_ATTENTION);
    if (!op) return;
    op->attention = (samp__attention_job){.kv = kv,
                                          .batch = device->batch,
                                          .layer = attention->layer,
                                          .n_heads = attention->n_heads,
                                          .n_kv_heads = attention->n_kv_heads,
                                          .head_dim = attention->head_dim,
                                          .window = attention->window,
                                          .scale = attention->scale,
                                          .eps = attention->eps,
                                          .rope = data_of(attention->rope),
                                          .q = attention->q->data,
                                          .k = attention->k->data,
                                          .v = attention->v->data,
                                          .out = attention->out->data,
                                          .scratch = device->attention};
    for (int i = 0; i < 3; i++) op->attention.bias[i] = data_of(attention->bias[i]);
    for (int i = 0; i < 2; i++) op->attention.gain[i] = data_of(attention->gain[i]);
}

void samp__queue_gather(samp_device *device, const samp_tensor *in, const uint32_t *rows,
                        uint32_t n_rows, uint32_t width, samp_tensor *out)
{
    samp__op *op = record(device, SAMP__OP_GATHER);
    if (!op) return;
    op->gather.in = in->data;
    op->gather.rows = rows;
    op->gather.n_rows = n_rows;
    op->gather.width = width;
    op->gather.out = out->data;
}

void samp__queue_read(samp_device *device, const samp_tensor *tensor, size_t first, size_t n,
                      float *host)
{
    samp__op *op = record(device, SAMP__OP_READ);
    if (!op) return;
    op->read.from = tensor->data + first;
    op->read.n = n;
    op->read.host = host;
}

/* ---- execution ---- */

static void run_embed(const samp_device *device, const samp__op *op, unsigned thread,
                      unsigned n_threads)
{
    size_t begin, end, cols = op->embed.weights[0]->cols;
    samp_split(device->batch->n_tokens, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const samp_weight *const *weight = op->embed.weights;
        size_t row = (size_t)device->batch->tokens[i];
        for (; row >= (*weight)->rows; weight++) row -= (*weight)->rows;
        samp__weight_row(*weight, row, thread, op->embed.out + i * cols);
    }
}

static void run_gather(const samp__op *op, unsigned thread, unsigned n_threads)
{
    size_t begin, end, width = op->gather.width;
    samp_split(op->gather.n_rows, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        memcpy(op->gather.out + i * width, op->gather.in + op->gather.rows[i] * width,
               width * sizeof(float));
}

static void run_attention(const samp_device *device, const samp__op *op, unsigned thread,
                          unsigned n_threads)
{
    if (samp__attention_fusible(&op->attention, n_threads)) {
        samp__attention_fused(&op->attention, thread, n_threads);
        return;
    }
    samp__attention_append(&op->attention, thread, n_threads);
    samp_pool_barrier(device->pool);
    samp__attention_run(&op->attention, thread, n_threads);
}

static void run_read(const samp__op *op, unsigned thread, unsigned n_threads)
{
    size_t begin, end;
    samp_split(op->read.n, SAMP__LINE, thread, n_threads, &begin, &end);
    if (begin < end)
        memcpy(op->read.host + begin, op->read.from + begin, (end - begin) * sizeof(float));
}

static bool is_input(const samp__op *read, const samp__matmul *matmul)
{
    return read->read.from == matmul->x || read->read.from == matmul->y;
}

/* Every operation may need all of what the one before wrote. But reads only follow one another, and
 * a product does not write its inputs: it may begin while other threads still copy them. */
static bool needs_barrier(const samp__op *ops, size_t i)
{
    if (ops[i - 1].kind != SAMP__OP_READ) return true;
    if (ops[i].kind == SAMP__OP_READ) return false;
    if (ops[i].kind != SAMP__OP_MATMUL) return true;
    for (size_t k = i; k > 0 && ops[k - 1].kind == SAMP__OP_READ; k--)
        if (!is_input(&ops[k - 1], &ops[i].matmul)) return true;
    return false;
}

static void run_ops(void *context, unsigned thread, unsigned n_threads)
{
    const samp_device *device = context;
    for (size_t i = 0; i < device->n_ops; i++) {
        const samp__op *op = &device->ops[i];
        if (i && needs_barrier(device->ops, i)) samp_pool_barrier(device->pool);
        switch (op->kind) {
        case SAMP__OP_EMBED: run_embed(device, op, thread, n_threads); break;
        case SAMP__OP_MATMUL: samp__matmul_run(device, &op->matmul, thread, n_threads); break;
        case SAMP__OP_ATTENTION: run_attention(device, op, thread, n_threads); break;
        case SAMP__OP_GATHER: run_gather(op, thread, n_threads); break;
        case SAMP__OP_READ: run_read(op, thread, n_threads); break;
        }
    }
}

samp_status samp__queue_sync(samp_device *device, samp_error *error)
{
    samp_status status = device->failure.status;
    if (status == SAMP_OK)
        samp_pool_run(device->pool, run_ops, device);
    else if (error)
        *error = device->failure;
    device->n_ops = 0;
    device->failure.status = SAMP_OK;
    return status;
}

/* The reference backend: what backend/numerics.h says, in plain scalar C on one thread.
 *
 * It is a shared object, samp-backend-reference.so, loaded through the same seam as a GPU's
 * backend, for two reasons: it proves that seam (opaque tensors, work that runs only at sync), and
 * it is the judge of every other backend: the CPU backend must give exactly its bits. It never
 * holds host pointers of a caller past sync, and it refuses operations that would leave their
 * tensors, which a fast backend does not check.
 *
 * Memory: the device owns the queue and scratch rows; tensors, weights and the KV store belong to
 * the caller and are given back by their release. */
#include "backend/reference/reference.h"

#include "base/memory.h"

static samp_status device_open(samp_device **out, const samp_device_options *options,
                               samp_error *error)
{
    samp_device *device = samp_alloc(1, sizeof *device);
    if (!device) return samp_fail(error, SAMP_NOMEM, "reference backend: out of memory");
    device->exact = options->exact;
    *out = device;
    return SAMP_OK;
}

static void device_close(samp_device *device)
{
    if (!device) return;
    samp_free(device->queue);
    samp_free(device->row);
    samp_free(device->row_q);
    samp_free(device->row_scale);
    samp_free(device);
}

static const char *device_describe(const samp_device *device)
{
    return device->exact ? "reference (plain C, 1 thread, exact)" : "reference (plain C, 1 thread)";
}

/* ---- the queue ---- */

static void fail_queue(samp_device *device, samp_status status, const char *what)
{
    if (device->failed == SAMP_OK)
        device->failed = samp_fail(&device->error, status, "reference backend: %s", what);
}

/* A place for one more operation, NULL when this step has failed already or memory runs out. */
static samp__op *enqueue(samp_device *device, samp__op_kind kind)
{
    if (device->failed != SAMP_OK) return NULL;
    if (device->n_queued == device->queue_capacity) {
        size_t capacity = device->queue_capacity ? 2 * device->queue_capacity : 64;
        samp__op *queue = samp_realloc(device->queue, capacity, sizeof *queue);
        if (!queue) {
            fail_queue(device, SAMP_NOMEM, "out of memory for the queue");
            return NULL;
        }
        device->queue = queue;
        device->queue_capacity = capacity;
    }
    samp__op *op = &device->queue[device->n_queued++];
    *op = (samp__op){.kind = kind, .batch = device->batch};
    return op;
}

/* A tensor must hold n rows of width floats; the step fails otherwise. */
static void expect(samp_device *device, const samp_tensor *tensor, uint64_t n, uint64_t width,
                   const char *what)
{
    uint64_t floats;
    if (!samp_mul(n, width, &floats) || floats > tensor->n) fail_queue(device, SAMP_INVALID, what);
}

static void step_begin(samp_device *device, const samp_batch *batch)
{
    device->batch = batch;
    device->n_queued = 0;
}

static void step_embed(samp_device *device, int n_weights, const samp_weight *const weights[],
                       samp_tensor *out)
{
    expect(device, out, device->batch->n_tokens, weights[0]->layout.cols,
           "embed writes past its tensor");
    samp__op *op = enqueue(device, SAMP__EMBED);
    for (int i = 0; op && i < n_weights; i++) {
        if (!weights[i]->floats)
            fail_queue(device, SAMP_INVALID, "embed by a weight not created for it");
        op->weights[i] = weights[i];
    }
    if (op) op->outs[0] = out;
}

static void step_matmul(samp_device *device, uint32_t n, const samp_input *input, int n_weights,
                        const samp_weight *const weights[], samp_tensor *const outs[], bool add)
{
    if (n_weights < 1 || n_weights > SAMP_MATMUL_MAX) {
        fail_queue(device, SAMP_INVALID, "matmul takes 1 to 3 weights");
        return;
    }
    uint64_t cols = weights[0]->layout.cols;
    expect(device, input->x, n, cols, "matmul reads past its input");
    if (input->kind == SAMP_INPUT_SILU)
        expect(device, input->y, n, cols, "matmul reads past its second input");
    if (input->kind == SAMP_INPUT_NORM)
        expect(device, input->gain, 1, cols, "matmul reads past its norm's gain");
    for (int m = 0; m < n_weights; m++) {
        expect(device, outs[m], n, weights[m]->layout.rows, "matmul writes past its output");
        if (weights[m]->layout.cols != cols)
            fail_queue(device, SAMP_INVALID, "matmul by weights of unequal columns");
    }
    samp__op *op = enqueue(device, SAMP__MATMUL);
    if (!op) return;
    op->n = n;
    op->input = *input;
    op->n_weights = n_weights;
    op->add = add;
    for (int m = 0; m < n_weights; m++) {
        op->weights[m] = weights[m];
        op->outs[m] = outs[m];
    }
}

static void step_attention(samp_device *device, samp_kv *kv, const samp_attention *attention)
{
    uint64_t n = device->batch->n_tokens, dim = attention->head_dim;
    expect(device, attention->q, n, attention->n_heads * dim, "attention reads past its queries");
    expect(device, attention->k, n, attention->n_kv_heads * dim, "attention reads past its keys");
    expect(device, attention->v, n, attention->n_kv_heads * dim, "attention reads past its values");
    expect(device, attention->out, n, attention->n_heads * dim, "attention writes past its output");
    for (int i = 0; i < 3; i++)
        if (attention->bias[i])
            expect(device, attention->bias[i], i ? attention->n_kv_heads : attention->n_heads, dim,
                   "attention reads past a bias");
    for (int i = 0; i < 2; i++)
        if (attention->gain[i])
            expect(device, attention->gain[i], 1, dim, "attention reads past a norm's gain");
    for (uint32_t s = 0; s < device->batch->n_seqs; s++) {
        const samp_batch_seq *seq = &device->batch->seqs[s];
        uint64_t end = (uint64_t)seq->start + seq->count;
        if (attention->rope)
            expect(device, attention->rope, end, dim, "attention reads past its rope table");
        for (uint64_t i = 0; i * SAMP_KV_BLOCK < end; i++)
            if (seq->blocks[i] >= kv->shape.n_blocks)
                fail_queue(device, SAMP_INVALID, "a KV block does not exist");
    }
    if (dim != kv->shape.head_dim || attention->n_kv_heads != kv->shape.n_kv_heads ||
        attention->layer >= kv->shape.n_layers || attention->n_heads % attention->n_kv_heads)
        fail_queue(device, SAMP_INVALID, "attention and its KV store have different shapes");
    samp__op *op = enqueue(device, SAMP__ATTENTION);
    if (!op) return;
    op->kv = kv;
    op->attention = *attention;
}

static void step_gather(samp_device *device, const samp_tensor *in, const uint32_t *rows,
                        uint32_t n_rows, uint32_t width, samp_tensor *out)
{
    expect(device, out, n_rows, width, "gather writes past its output");
    for (uint32_t i = 0; i < n_rows; i++)
        expect(device, in, (uint64_t)rows[i] + 1, width, "gather reads past its input");
    samp__op *op = enqueue(device, SAMP__GATHER);
    if (!op) return;
    op->in = in;
    op->rows = rows;
    op->n = n_rows;
    op->width = width;
    op->outs[0] = out;
}

static void step_read(samp_device *device, const samp_tensor *tensor, size_t first, size_t n,
                      float *host)
{
    if (first > tensor->n || n > tensor->n - first)
        fail_queue(device, SAMP_INVALID, "read past the end of a tensor");
    samp__op *op = enqueue(device, SAMP__READ);
    if (!op) return;
    op->in = tensor;
    op->first = first;
    op->n_floats = n;
    op->host = host;
}

static samp_status step_sync(samp_device *device, samp_error *error)
{
    samp_status status = device->failed;
    if (status != SAMP_OK && error) *error = device->error;
    for (size_t i = 0; status == SAMP_OK && i < device->n_queued; i++)
        status = samp__reference_run(device, &device->queue[i], error);
    device->n_queued = 0;
    device->failed = SAMP_OK;
    return status;
}

static const samp_backend reference_backend = {
    .abi = SAMP_BACKEND_ABI,
    .name = "reference",
    .open = device_open,
    .close = device_close,
    .describe = device_describe,
    .tensor_create = samp__reference_tensor_create,
    .tensor_release = samp__reference_tensor_release,
    .tensor_set = samp__reference_tensor_set,
    .weight_create = samp__reference_weight_create,
    .weight_release = samp__reference_weight_release,
    .weight_bytes = samp__reference_weight_bytes,
    .kv_create = samp__reference_kv_create,
    .kv_release = samp__reference_kv_release,
    .kv_bytes = samp__reference_kv_bytes,
    .begin = step_begin,
    .embed = step_embed,
    .matmul = step_matmul,
    .attention = step_attention,
    .gather = step_gather,
    .read = step_read,
    .sync = step_sync,
};

/* The one symbol this object exports. */
__attribute__((visibility("default"))) samp_backend_entry_function samp_backend_entry;
const samp_backend *samp_backend_entry(void) { return &reference_backend; }

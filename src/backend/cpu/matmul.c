/* A matrix product of the backend: prepares its inputs, splits its rows over the threads, and hands
 * each thread's part to the kernels of the level.
 *
 * Preparing is norm or silu, then quantization, of one row for each token. For a few tokens every
 * thread prepares all of them into memory of its own (microseconds, less than a barrier); for many,
 * threads share the tokens and meet at a barrier. The bits are the same. */
#include "backend/cpu/outliers.h"
#include "backend/cpu/queue.h"

#include "base/memory.h"

enum {
    REDUNDANT_VALUES = 4096,  /* up to this many inputs, each thread prepares them all itself */
    CHUNK_BYTES = 192 * 1024, /* inputs a pass over the weights works on: a part of the L2 cache */
    FLOAT_CHUNK = 64,         /* tokens, at least, where weights are floats: they share panels */
    GROUPS_ENOUGH = 8         /* groups of rows a thread should have before tokens are split too */
};

/* The prepared inputs of one matmul in scratch memory. All sizes are multiples of 64 bytes. */
typedef struct prepared {
    bool redundant;          /* a copy for each thread */
    samp__quantized a8, a16; /* q NULL when no weight wants it */
    samp__quantized inliers; /* likewise, of weights with outliers */
    float *rows; /* [n][cols] for float weights and outliers, NULL when none or when x will do */
    float *row;  /* [cols] of one thread otherwise */
    float *inlier_row; /* [cols] of one thread */
} prepared;

/* A bump allocator over scratch: it only counts when base is NULL. */
typedef struct bump {
    uint8_t *base;
    uint64_t used;
    bool overflow;
} bump;

static void *take(bump *from, uint64_t count, uint64_t size)
{
    uint64_t bytes, used;
    if (!samp_mul(count, size, &bytes) || !samp_add(bytes, 63, &bytes) ||
        !samp_add(from->used, bytes & ~(uint64_t)63, &used) || used > SIZE_MAX) {
        from->overflow = true;
        return NULL;
    }
    void *at = from->base ? from->base + from->used : NULL;
    from->used = used;
    return at;
}

static samp__quantized take_quantized(bump *from, const samp_device *device,
                                      const samp__matmul *matmul, int bits)
{
    const samp__matmul_level *level = device->matmul;
    samp__quantized q = {.n_blocks = matmul->weights[0]->n_blocks,
                         .width = samp__tile_width(level, matmul->n),
                         .q_bytes = bits == 8 ? level->q_bytes8 : level->q_bytes16,
                         .bits = bits};
    uint64_t slots = samp_round_up(matmul->n, q.width) * q.n_blocks; /* < 2^32 * 2^26 */
    q.q = take(from, slots, q.q_bytes);
    q.scale = take(from, slots, sizeof *q.scale);
    q.start = take(from, slots, 3 * sizeof *q.start);
    return q;
}

static bool wants(const samp__matmul *matmul, int bits)
{
    for (int i = 0; i < matmul->n_weights; i++)
        if (matmul->weights[i]->activation_bits == bits && !matmul->weights[i]->outliers)
            return true;
    return false;
}

static bool wants_outliers(const samp__matmul *matmul)
{
    for (int i = 0; i < matmul->n_weights; i++)
        if (matmul->weights[i]->outliers) return true;
    return false;
}

/* Whether each thread prepares all tokens itself. A single token cannot be shared anyway. */
static bool is_redundant(const samp__matmul *matmul, unsigned n_threads)
{
    uint64_t cost = matmul->input == SAMP_INPUT_SILU ? 3 : 1; /* exp is most of it */
    return n_threads == 1 || matmul->n == 1 ||
           matmul->n * cost <= REDUNDANT_VALUES / matmul->weights[0]->cols;
}

/* Lays out the scratch for one thread; with a NULL base only bytes are counted. */
static prepared lay_out(bump *scratch, const samp_device *device, const samp__matmul *matmul,
                        unsigned thread, unsigned n_threads)
{
    prepared inputs = {.redundant = is_redundant(matmul, n_threads)};
    size_t cols = matmul->weights[0]->cols;
    bool outliers = wants_outliers(matmul);
    bool keep_rows = (wants(matmul, 32) || outliers) && matmul->input != SAMP_INPUT_PLAIN;
    unsigned n_copies = inputs.redundant ? n_threads : 1;
    for (unsigned copy = 0; copy < n_copies; copy++) {
        prepared discard, *at = !inputs.redundant || copy == thread ? &inputs : &discard;
        if (wants(matmul, 8)) at->a8 = take_quantized(scratch, device, matmul, 8);
        if (wants(matmul, 16)) at->a16 = take_quantized(scratch, device, matmul, 16);
        if (outliers) {
            at->inliers = take_quantized(scratch, device, matmul, 8);
            at->inliers.magnitude = take(scratch, matmul->n, sizeof *at->inliers.magnitude);
        }
        if (keep_rows) at->rows = take(scratch, (uint64_t)matmul->n * cols, sizeof(float));
    }
    for (unsigned copy = 0; copy < n_threads; copy++) {
        float *row = keep_rows ? NULL : take(scratch, cols, sizeof(float));
        float *inlier_row = outliers ? take(scratch, cols, sizeof(float)) : NULL;
        if (copy == thread) inputs.row = row, inputs.inlier_row = inlier_row;
    }
    return inputs;
}

bool samp__matmul_scratch(const samp_device *device, const samp__matmul *matmul, size_t *bytes)
{
    bump scratch = {0};
    lay_out(&scratch, device, matmul, 0, samp_pool_threads(device->pool));
    *bytes = scratch.used;
    return !scratch.overflow;
}

static void prepare_tokens(const samp_device *device, const samp__matmul *matmul,
                           const prepared *inputs, size_t begin, size_t end)
{
    size_t cols = matmul->weights[0]->cols;
    for (size_t token = begin; token < end; token++) {
        const float *x = matmul->x + token * cols;
        float *row = inputs->rows ? inputs->rows + token * cols : inputs->row;
        if (matmul->input == SAMP_INPUT_NORM)
            device->vector->rmsnorm(x, matmul->gain, cols, matmul->eps, row);
        if (matmul->input == SAMP_INPUT_SILU)
            device->vector->silu(x, matmul->y + token * cols, cols, row);
        if (matmul->input != SAMP_INPUT_PLAIN) x = row;
        if (inputs->a8.q) device->matmul->quantize(&inputs->a8, token, x, cols);
        if (inputs->a16.q) device->matmul->quantize(&inputs->a16, token, x, cols);
        if (!inputs->inliers.q) continue;
        inputs->inliers.magnitude[token] =
            samp__outliers_split(x, cols, matmul->outlier_threshold, inputs->inlier_row);
        device->matmul->quantize(&inputs->inliers, token, inputs->inlier_row, cols);
    }
}

/* Into how many parts the tokens are split: more than one when there are too few groups of rows. */
static unsigned token_parts(const samp__matmul *matmul, size_t n_groups, size_t tile,
                            unsigned n_threads)
{
    for (unsigned parts = 1; parts < n_threads; parts++) {
        if (n_threads % parts) continue;
        if (matmul->n / parts < 4 * tile) break;
        if (n_groups >= (size_t)GROUPS_ENOUGH * (n_threads / parts)) return parts;
    }
    return 1;
}

/* Groups begin…end of the concatenated outputs, tokens of one chunk. */
static void multiply(const samp_device *device, const samp__matmul *matmul, const prepared *inputs,
                     size_t begin, size_t end, size_t token_begin, size_t token_end)
{
    for (int i = 0; i < matmul->n_weights; i++) {
        const samp_weight *weight = matmul->weights[i];
        samp__product product = {.weight = weight,
                                 .input = weight->outliers               ? &inputs->inliers
                                          : weight->activation_bits == 8 ? &inputs->a8
                                                                         : &inputs->a16,
                                 .x = inputs->rows ? inputs->rows : matmul->x,
                                 .out = matmul->outs[i],
                                 .add = matmul->add,
                                 .group_begin = begin < weight->n_groups ? begin : weight->n_groups,
                                 .group_end = end < weight->n_groups ? end : weight->n_groups,
                                 .token_begin = token_begin,
                                 .token_end = token_end};
        if (product.group_begin < product.group_end) {
            if (samp__is_float(weight))
                device->matmul->floats(&product);
            else
                device->matmul->integers(&product);
            if (weight->outliers && matmul->outlier_threshold > 0)
                samp__outliers_add(&product, matmul->outlier_threshold);
        }
        begin = begin > weight->n_groups ? begin - weight->n_groups : 0;
        end = end > weight->n_groups ? end - weight->n_groups : 0;
    }
}

void samp__matmul_run(const samp_device *device, const samp__matmul *matmul, unsigned thread,
                      unsigned n_threads)
{
    bump scratch = {.base = device->scratch.data};
    prepared inputs = lay_out(&scratch, device, matmul, thread, n_threads);
    size_t begin = 0, end = matmul->n;
    if (!inputs.redundant) samp_split(matmul->n, 1, thread, n_threads, &begin, &end);
    prepare_tokens(device, matmul, &inputs, begin, end);
    if (!inputs.redundant) samp_pool_barrier(device->pool);

    size_t n_groups = 0, tile = samp__tile_width(device->matmul, matmul->n);
    for (int i = 0; i < matmul->n_weights; i++) n_groups += matmul->weights[i]->n_groups;
    unsigned parts = token_parts(matmul, n_groups, tile, n_threads);
    size_t token_begin, token_end;
    samp_split(n_groups, 1, thread / parts, n_threads / parts, &begin, &end);
    samp_split(matmul->n, tile, thread % parts, parts, &token_begin, &token_end);
    size_t chunk = CHUNK_BYTES / (matmul->weights[0]->cols * (wants(matmul, 32) ? 4 : 2));
    if (wants(matmul, 32) && chunk < FLOAT_CHUNK) chunk = FLOAT_CHUNK;
    chunk = chunk > tile ? chunk / tile * tile : tile;
    for (size_t token = token_begin; token < token_end; token += chunk)
        multiply(device, matmul, &inputs, begin, end, token,
                 token_end - token < chunk ? token_end : token + chunk);
}

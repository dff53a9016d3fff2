/* The products of a whole model beside the sum of their single times.
 *
 * Products that follow one another disturb each other: another matrix's inputs, another stream of
 * weights, other pages. A made-up model (layers as SmolLM2-135M's, as many as fill the working set,
 * and a small head) is run in the widest and in the narrowest format whose products are integers;
 * the mean ratio corrects the laws. */
#include "base/memory.h"
#include "bench/profile_internal.h"
#include "model/model.h"

enum {
    LAYERS_MIN = 8,
    LAYERS_MAX = 128,
    DIM = 576,
    KV = 192,
    HIDDEN = 1536,
    VOCABULARY = 7168,
    WEIGHTS = 8
};

/* q, k, v, o, gate, up, down; the head is the last. */
static const uint64_t sides[WEIGHTS][2] = {{DIM, DIM},    {KV, DIM},        {KV, DIM},
                                           {DIM, DIM},    {HIDDEN, DIM},    {HIDDEN, DIM},
                                           {DIM, HIDDEN}, {VOCABULARY, DIM}};

struct samp__made_up_model {
    samp_weight *layers[LAYERS_MAX][WEIGHTS - 1], *head;
    int n_layers;
    samp_tensor *x, *qkv[3], *gate_up[2], *logits;
};

static samp_status make_weight(samp__profiler *p, const samp_kernel *kernel, int which,
                               samp_weight **out, samp_error *error)
{
    samp__profile_matrix matrix;
    samp_status status = samp__profile_encode(p, kernel, sides[which], &matrix, error);
    if (status == SAMP_OK)
        status = p->backend->weight_create(p->device, &matrix.source, out, error);
    samp_model_free_parts(matrix.parts);
    return status;
}

static samp_status make_model(samp__profiler *p, const samp_kernel *kernel, samp_error *error)
{
    struct samp__made_up_model *m = p->model;
    samp_tensor **tensors[] = {&m->x,          &m->qkv[0],     &m->qkv[1], &m->qkv[2],
                               &m->gate_up[0], &m->gate_up[1], &m->logits};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        SAMP_TRY(p->backend->tensor_create(p->device, VOCABULARY, tensors[i], error));
        SAMP_TRY(p->backend->tensor_set(p->device, *tensors[i], p->values, VOCABULARY, error));
    }
    size_t bytes = 0;
    for (m->n_layers = 0; m->n_layers < LAYERS_MAX; m->n_layers++) {
        if (m->n_layers >= LAYERS_MIN && bytes >= p->working_set) break;
        for (int w = 0; w < WEIGHTS - 1; w++) {
            samp_weight **weight = &m->layers[m->n_layers][w];
            SAMP_TRY(make_weight(p, kernel, w, weight, error));
            bytes += p->backend->weight_bytes(*weight);
        }
    }
    return make_weight(p, kernel, WEIGHTS - 1, &m->head, error);
}

static void release_model(samp__profiler *p)
{
    struct samp__made_up_model *m = p->model;
    samp_tensor *tensors[] = {m->x,          m->qkv[0],     m->qkv[1], m->qkv[2],
                              m->gate_up[0], m->gate_up[1], m->logits};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (tensors[i]) p->backend->tensor_release(p->device, tensors[i]);
    for (int l = 0; l < LAYERS_MAX; l++)
        for (int w = 0; w < WEIGHTS - 1; w++)
            if (m->layers[l][w]) p->backend->weight_release(p->device, m->layers[l][w]);
    if (m->head) p->backend->weight_release(p->device, m->head);
    *m = (struct samp__made_up_model){0};
}

static void enqueue_model(samp__profiler *p, const samp_batch *batch, size_t i)
{
    (void)i;
    struct samp__made_up_model *m = p->model;
    uint32_t n = batch->n_tokens;
    samp_input norm = {.kind = SAMP_INPUT_NORM, .x = m->x, .gain = p->gain, .eps = 1e-5f};
    samp_input plain = {.kind = SAMP_INPUT_PLAIN, .x = m->qkv[0]};
    samp_input gated = {.kind = SAMP_INPUT_SILU, .x = m->gate_up[0], .y = m->gate_up[1]};
    for (int l = 0; l < m->n_layers; l++) {
        const samp_weight *const *w = (const samp_weight *const *)m->layers[l];
        p->backend->matmul(p->device, n, &norm, 3, w, m->qkv, false);
        p->backend->matmul(p->device, n, &plain, 1, w + 3, &m->x, false);
        p->backend->matmul(p->device, n, &norm, 2, w + 4, m->gate_up, false);
        p->backend->matmul(p->device, n, &gated, 1, w + 6, &m->x, false);
    }
    p->backend->matmul(p->device, n, &norm, 1, (const samp_weight *const[]){m->head}, &m->logits,
                       false);
}

/* What the laws say: products that share an input are one. */
static double sum_of_parts(const samp_kernel_law *law, int n_layers)
{
    return n_layers * (samp_kernel_law_seconds(law, DIM + 2 * KV, DIM, 1) +
                       samp_kernel_law_seconds(law, DIM, DIM, 1) +
                       samp_kernel_law_seconds(law, 2 * HIDDEN, DIM, 1) +
                       samp_kernel_law_seconds(law, DIM, HIDDEN, 1)) +
           samp_kernel_law_seconds(law, VOCABULARY, DIM, 1);
}

static samp_status measure(samp__profiler *p, const samp_kernel *kernel, double *ratio,
                           samp_error *error)
{
    samp_batch batch = {.n_tokens = 1};
    double seconds = 0;
    samp_status status = make_model(p, kernel, error);
    if (status == SAMP_OK)
        status = samp__profile_passes(p, &batch, 1, enqueue_model, &seconds, error);
    *ratio = seconds / sum_of_parts(&kernel->law, p->model->n_layers);
    release_model(p);
    return status;
}

samp_status samp__profile_step(samp__profiler *p, samp_error *error)
{
    const samp_kernel *wide = NULL, *narrow = NULL;
    for (size_t k = 0; k < p->out->n_kernels; k++) {
        const samp_kernel *kernel = &p->out->kernels[k];
        if (kernel->activation_bits != 16 || !(kernel->format->native & SAMP_NATIVE_CPU_INT8))
            continue;
        if (!wide || kernel->format->code_bits > wide->format->code_bits) wide = kernel;
        if (!narrow || kernel->format->code_bits < narrow->format->code_bits) narrow = kernel;
    }
    if (!wide) return SAMP_OK;
    double first = 0, second = 0;
    p->model = samp_alloc(1, sizeof *p->model);
    if (!p->model) return samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
    samp_status status = measure(p, wide, &first, error);
    if (status == SAMP_OK) status = measure(p, narrow, &second, error);
    samp_free(p->model);
    p->model = NULL;
    if (status == SAMP_OK) p->out->step_ratio = (samp_figure){(first + second) / 2, p->source};
    return status;
}

/* Times of products by format, shape and batch, and of attention.
 *
 * For one token, copies of a weight are multiplied one after the other, together more than any
 * cache holds, as a model's layers are; many tokens need one, because multiplying takes the time.
 * The median of the passes counts: what a model will meet, other programs included. */
#include "base/prng.h"
#include "bench/encoded.h"
#include "bench/machine.h"
#include "bench/profile_internal.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N_SHAPES = 3, N_BATCHES = 3, KERNELS_MAX = 2 * SAMP_FORMAT_COUNT, PASSES_MAX = 256 };
static const uint64_t shapes[N_SHAPES][2] = {{576, 576}, {576, 1536}, {2048, 2048}};
static const uint32_t batches[N_BATCHES] = {1, 16, 256};
static const size_t least_set = (size_t)64 << 20, largest_set = (size_t)128 << 20;

static uint64_t widest(int side)
{
    uint64_t most = 0;
    for (int s = 0; s < N_SHAPES; s++) most = shapes[s][side] > most ? shapes[s][side] : most;
    return most;
}

static samp_status make_inputs(samp__profiler *p, samp_error *error)
{
    size_t rows = widest(0), cols = widest(1), batch = batches[N_BATCHES - 1];
    size_t n = (rows > batch ? rows : batch) * cols;
    p->values = samp_alloc(n, sizeof *p->values);
    if (!p->values) return samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
    samp_prng prng = {1};
    for (size_t i = 0; i < n; i++) p->values[i] = (float)samp_prng_normal(&prng);
    const samp_backend *run = p->backend;
    SAMP_TRY(run->tensor_create(p->device, batch * cols, &p->in, error));
    SAMP_TRY(run->tensor_create(p->device, batch * rows, &p->result, error));
    SAMP_TRY(run->tensor_create(p->device, cols, &p->gain, error));
    SAMP_TRY(run->tensor_set(p->device, p->in, p->values, batch * cols, error));
    return run->tensor_set(p->device, p->gain, p->values, cols, error);
}

static void release_copies(samp__profiler *p)
{
    while (p->n_copies) p->backend->weight_release(p->device, p->copies[--p->n_copies]);
}

static void release(samp__profiler *p)
{
    if (!p->device) return;
    release_copies(p);
    if (p->in) p->backend->tensor_release(p->device, p->in);
    if (p->result) p->backend->tensor_release(p->device, p->result);
    if (p->gain) p->backend->tensor_release(p->device, p->gain);
    p->backend->close(p->device);
    samp_free(p->values);
}

samp_status samp__profile_encode(const samp__profiler *p, const samp_kernel *kernel,
                                 const uint64_t shape[2], samp__profile_matrix *out,
                                 samp_error *error)
{
    *out = (samp__profile_matrix){.source = {.name = "profile",
                                             .format = kernel->format,
                                             .layout = &out->layout,
                                             .parts = (const void *const *)out->parts,
                                             .activation_bits = kernel->activation_bits}};
    SAMP_TRY(kernel->format->layout(shape[0], shape[1], &out->layout, error));
    return samp_matrix_encode(kernel->format, &out->layout, p->values, out->parts, error);
}

static samp_status make_copies(samp__profiler *p, const samp_weight_source *source,
                               samp_error *error)
{
    size_t n = 1;
    for (; p->n_copies < n; p->n_copies++) {
        SAMP_TRY(p->backend->weight_create(p->device, source, &p->copies[p->n_copies], error));
        size_t bytes = p->backend->weight_bytes(p->copies[p->n_copies]);
        n = p->working_set / (bytes ? bytes : 1) + 1;
        n = n < COPIES_MAX ? n : COPIES_MAX;
    }
    return SAMP_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

samp_status samp__profile_passes(samp__profiler *p, const samp_batch *batch, size_t n,
                                 samp__profile_enqueue *enqueue, double *seconds, samp_error *error)
{
    double took[PASSES_MAX], begin = samp_clock();
    int passes = 0;
    for (int pass = -1; pass < p->passes || samp_clock() - begin < p->pass_seconds; pass++) {
        p->backend->begin(p->device, batch);
        for (size_t i = 0; i < n; i++) enqueue(p, batch, i);
        double start = samp_clock();
        SAMP_TRY(p->backend->sync(p->device, error));
        if (pass < 0) continue; /* it warms page tables and scratch */
        took[passes++] = (samp_clock() - start) / (double)n;
        if (passes == PASSES_MAX) break;
    }
    qsort(took, (size_t)passes, sizeof *took, compare);
    *seconds = took[passes / 2];
    return SAMP_OK;
}

static void enqueue_product(samp__profiler *p, const samp_batch *batch, size_t i)
{
    samp_input input = {.kind = SAMP_INPUT_NORM, .x = p->in, .gain = p->gain, .eps = 1e-5f};
    p->backend->matmul(p->device, batch->n_tokens, &input, 1,
                       (const samp_weight *const[]){p->copies[i]},
                       (samp_tensor *const[]){p->result}, false);
}

static samp_status measure_shape(samp__profiler *p, samp_kernel *kernel, const uint64_t shape[2],
                                 samp_error *error)
{
    samp__profile_matrix matrix;
    samp_status status = samp__profile_encode(p, kernel, shape, &matrix, error);
    if (status == SAMP_OK) status = make_copies(p, &matrix.source, error);
    samp_model_free_parts(matrix.parts);
    for (int b = 0; b < N_BATCHES && status == SAMP_OK; b++) {
        samp_kernel_time *time = &kernel->times[kernel->n_times];
        *time = (samp_kernel_time){shape[0], shape[1], batches[b], 0};
        samp_batch batch = {.n_tokens = batches[b]};
        size_t n = batches[b] < 64 ? p->n_copies : 1;
        status = samp__profile_passes(p, &batch, n, enqueue_product, &time->seconds, error);
        kernel->n_times += status == SAMP_OK;
    }
    release_copies(p);
    return status;
}

static bool has_integer_products(const samp_format *format)
{
    samp_layout layout;
    return format->layout(shapes[0][0], shapes[0][1], &layout, NULL) == SAMP_OK &&
           samp_integer_group(&layout, format->id) > 0;
}

/* The kernels there are: a format with integer products has one for each precision of its input.
 * fp32 is left out: nothing is planned in it. */
static samp_status list_kernels(samp_hardware *out, const char *source, samp_error *error)
{
    out->kernels = samp_arena_alloc(&out->arena, KERNELS_MAX, sizeof *out->kernels);
    for (int f = 0; f < SAMP_FORMAT_COUNT && out->kernels; f++) {
        const samp_format *format = samp_format_get((samp_format_id)f);
        if (format->id == SAMP_FORMAT_FP32) continue;
        for (int bits = has_integer_products(format) ? 8 : 16; bits <= 16; bits += 8) {
            samp_kernel *kernel = &out->kernels[out->n_kernels];
            *kernel = (samp_kernel){.format = format, .activation_bits = bits, .source = source};
            kernel->times =
                samp_arena_alloc(&out->arena, N_SHAPES * N_BATCHES, sizeof *kernel->times);
            if (!kernel->times) return samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
            out->n_kernels++;
        }
    }
    return out->kernels ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
}

/* The best rate any product reached, by how it multiplies. */
static void find_rates(samp_hardware *out, const char *source)
{
    for (size_t k = 0; k < out->n_kernels; k++) {
        const samp_kernel *kernel = &out->kernels[k];
        bool integers = has_integer_products(kernel->format);
        samp_figure *rate = &out->rates[integers ? SAMP_MULTIPLY_INT8 : SAMP_MULTIPLY_FLOAT16];
        for (size_t i = 0; i < kernel->n_times; i++) {
            const samp_kernel_time *t = &kernel->times[i];
            double reached = 2.0 * (double)t->rows * (double)t->cols * t->batch / t->seconds;
            if (reached > rate->value) *rate = (samp_figure){reached, source};
        }
    }
}

static samp_status measure_kernels(samp__profiler *p, const samp_progress *progress,
                                   samp_error *error)
{
    samp_hardware *out = p->out;
    size_t done = 0, total = out->n_kernels * N_SHAPES;
    for (size_t k = 0; k < out->n_kernels; k++) {
        samp_kernel *kernel = &out->kernels[k];
        for (int s = 0; s < N_SHAPES; s++, done++) {
            if (!samp_progress_report(progress, "profile", done, total))
                return samp_fail(error, SAMP_CANCELLED, "the profile was cancelled");
            SAMP_TRY(measure_shape(p, kernel, shapes[s], error));
        }
        samp_kernel_law_fit(kernel->times, kernel->n_times, &kernel->law);
    }
    SAMP_TRY(samp__profile_attention(p, error));
    SAMP_TRY(samp__profile_step(p, error));
    find_rates(out, p->source);
    return SAMP_OK;
}

static samp_status measure_memory(samp__profiler *p, unsigned n_threads, samp_error *error)
{
    samp_pool *pool;
    samp_bandwidth bandwidth;
    SAMP_TRY(samp_pool_create(&pool, n_threads, error));
    samp_status status = samp_measure_bandwidth(pool, p->working_set, 0.5, &bandwidth, error);
    samp_pool_release(pool);
    if (status != SAMP_OK) return status;
    p->out->bandwidth = (samp_figure){bandwidth.bytes_per_second, p->source};
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (memory > 0) p->out->memory_bytes = (samp_figure){memory, p->source};
    return SAMP_OK;
}

/* "measured 2026-11-24 on AMD EPYC, avx2, 2 threads, over 64 MiB of weights" */
static samp_status name_source(samp__profiler *p, const char *name, samp_error *error)
{
    char date[16] = "", text[512];
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(date, sizeof date, "%Y-%m-%d", &utc);
    const char *machine = p->backend->describe(p->device);
    int n = snprintf(text, sizeof text, "measured %s on %.300s, over %zu MiB of weights", date,
                     machine, p->working_set >> 20);
    samp_arena *arena = &p->out->arena;
    p->out->name = samp_arena_strndup(arena, name, strlen(name));
    p->out->title = samp_arena_strndup(arena, machine, strlen(machine));
    p->source = samp_arena_strndup(arena, text, (size_t)n);
    return p->out->name && p->out->title && p->source
               ? SAMP_OK
               : samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
}

static size_t choose_working_set(size_t given)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t twice = cache > 0 ? 2 * (size_t)cache : 0;
    if (given) return given;
    return twice < least_set ? least_set : twice > largest_set ? largest_set : twice;
}

samp_status samp_profile_measure(samp_hardware *out, const samp_profile_options *o,
                                 samp_error *error)
{
    *out = (samp_hardware){0};
    samp__profiler *p = samp_alloc(1, sizeof *p);
    if (!p) return samp_fail(error, SAMP_NOMEM, "out of memory for a profile");
    p->out = out;
    p->working_set = choose_working_set(o->working_set);
    p->pass_seconds = o->pass_seconds > 0 ? o->pass_seconds : 0.05;
    p->passes = o->passes > 0 ? o->passes : 3;
    p->backend = samp_cpu_backend();
    samp_status status = SAMP_OK;
    if (o->backend && strcmp(o->backend, "cpu") != 0)
        status = samp_backend_load(o->backend, &p->backend, error);
    samp_device_options device = {.n_threads = o->n_threads};
    if (status == SAMP_OK) status = p->backend->open(&p->device, &device, error);
    if (status == SAMP_OK) status = name_source(p, o->name, error);
    if (status == SAMP_OK) status = measure_memory(p, o->n_threads, error);
    if (status == SAMP_OK) status = make_inputs(p, error);
    if (status == SAMP_OK) status = list_kernels(out, p->source, error);
    if (status == SAMP_OK) status = measure_kernels(p, &o->progress, error);
    release(p);
    samp_free(p);
    if (status != SAMP_OK) samp_hardware_release(out);
    return status;
}

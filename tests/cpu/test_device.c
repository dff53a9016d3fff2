/* The CPU device as a whole: prepared inputs (norm, silu), added outputs, several weights in one
 * call, embedding rows, gather and read, steps that allocate nothing, failures that leave
 * nothing behind. */
#include "cpu/oracle.h"

#include <stdio.h>

static const samp_backend *cpu;

/* The definition of a prepared input row. */
static void prepare(samp_input_kind kind, const float *x, const float *y, const float *gain,
                    size_t cols, float *row)
{
    if (kind == SAMP_INPUT_NORM)
        samp_rmsnorm(x, gain, cols, 1e-5f, row);
    else
        for (size_t i = 0; i < cols; i++)
            row[i] = kind == SAMP_INPUT_SILU ? samp_silu(x[i], y[i]) : x[i];
}

typedef struct product_case {
    size_t cols;
    int n_weights;
    struct {
        samp_format_id id;
        size_t rows;
        int bits;
    } weights[SAMP_MATMUL_MAX];
} product_case;

static const product_case cases[] = {
    {128, 3, {{SAMP_FORMAT_NF4, 96, 16}, {SAMP_FORMAT_NF4A, 32, 8}, {SAMP_FORMAT_NF4, 33, 8}}},
    {172, 2, {{SAMP_FORMAT_INT8, 40, 16}, {SAMP_FORMAT_FP16, 50, 16}, {0}}},
    {576, 3, {{SAMP_FORMAT_INT6, 16, 16}, {SAMP_FORMAT_INT5, 16, 16}, {SAMP_FORMAT_BF16, 17, 16}}},
    {320, 3, {{SAMP_FORMAT_NF6A, 40, 16}, {SAMP_FORMAT_NF5A, 17, 8}, {SAMP_FORMAT_NF6A, 16, 8}}},
    {64, 1, {{SAMP_FORMAT_NF4A_G32, 640, 16}, {0}, {0}}},
};

typedef struct product_data {
    encoded e[SAMP_MATMUL_MAX];
    float *x, *y, *gain, *wanted[SAMP_MATMUL_MAX];
} product_data;

static product_data make_data(const product_case *c, size_t n)
{
    product_data d = {.x = samp_alloc(n * c->cols, sizeof(float)),
                      .y = samp_alloc(n * c->cols, sizeof(float)),
                      .gain = samp_alloc(c->cols, sizeof(float))};
    fill(d.x, n * c->cols, OUTLIERS, 1);
    fill(d.y, n * c->cols, GAUSS, 2);
    fill(d.gain, c->cols, GAUSS, 3);
    for (int i = 0; i < c->n_weights; i++) {
        size_t rows = c->weights[i].rows;
        float *w = samp_alloc(rows * c->cols, sizeof *w);
        fill(w, rows * c->cols, GAUSS, 10 + (uint64_t)i);
        d.e[i] = encode(c->weights[i].id, rows, c->cols, w, c->weights[i].bits);
        d.wanted[i] = samp_alloc(n * rows, sizeof(float));
        samp_free(w);
    }
    return d;
}

static void free_data(product_data *d)
{
    for (int i = 0; i < SAMP_MATMUL_MAX; i++) {
        encoded_release(&d->e[i]);
        samp_free(d->wanted[i]);
    }
    samp_free(d->gain);
    samp_free(d->y);
    samp_free(d->x);
}

/* One call on one device against d->wanted; outputs start at `old` and are added to when add. */
static void check_product(samp_device *device, const product_case *c, const product_data *d,
                          size_t n, samp_input_kind kind, bool add, float old)
{
    samp_input input = {.kind = kind,
                        .x = device_tensor(device, d->x, n * c->cols),
                        .y = device_tensor(device, d->y, n * c->cols),
                        .gain = device_tensor(device, d->gain, c->cols),
                        .eps = 1e-5f};
    const samp_weight *weights[SAMP_MATMUL_MAX];
    samp_tensor *outs[SAMP_MATMUL_MAX];
    float *got[SAMP_MATMUL_MAX];
    samp_batch batch = {.n_tokens = (uint32_t)n};
    for (int i = 0; i < c->n_weights; i++) {
        size_t size = n * c->weights[i].rows;
        got[i] = samp_alloc(size, sizeof(float));
        for (size_t j = 0; j < size; j++) got[i][j] = old;
        weights[i] = device_weight(device, &d->e[i], false);
        outs[i] = device_tensor(device, got[i], size);
    }
    cpu->begin(device, &batch);
    cpu->matmul(device, (uint32_t)n, &input, c->n_weights, weights, outs, add);
    for (int i = 0; i < c->n_weights; i++)
        cpu->read(device, outs[i], 0, n * c->weights[i].rows, got[i]);
    assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
    for (int i = 0; i < c->n_weights; i++) {
        for (size_t j = 0; j < n * c->weights[i].rows; j++) {
            float wanted = add ? old + d->wanted[i][j] : d->wanted[i][j];
            if (samp_float_bits(wanted) != samp_float_bits(got[i][j]))
                fail_msg("%s: input %d, %zu tokens, weight %d (%s), value %zu: %a, expected %a",
                         cpu->describe(device), (int)kind, n, i, d->e[i].format->name, j, got[i][j],
                         wanted);
        }
        samp_free(got[i]);
        cpu->tensor_release(device, outs[i]);
        cpu->weight_release(device, (samp_weight *)weights[i]);
    }
    cpu->tensor_release(device, (samp_tensor *)input.x);
    cpu->tensor_release(device, (samp_tensor *)input.y);
    cpu->tensor_release(device, (samp_tensor *)input.gain);
}

static void prepared_inputs(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 4, 5, 40};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const product_case *c = &cases[i];
        product_data d = make_data(c, 40);
        float *rows = samp_alloc(40 * c->cols, sizeof *rows);
        for (samp_input_kind kind = SAMP_INPUT_PLAIN; kind <= SAMP_INPUT_SILU; kind++) {
            for (size_t t = 0; t < 40; t++)
                prepare(kind, d.x + t * c->cols, d.y + t * c->cols, d.gain, c->cols,
                        rows + t * c->cols);
            for (int w = 0; w < c->n_weights; w++)
                oracle_product(&d.e[w], rows, 40, false, d.wanted[w]);
            for (samp_cpu_level level = 0; level <= samp_cpu_host(); level++)
                for (unsigned n_threads = 1; n_threads <= 5; n_threads += 2) {
                    samp_device *device = device_open(level, n_threads, false);
                    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
                        check_product(device, c, &d, counts[n], kind, n % 2, 0.375f);
                    cpu->close(device);
                }
        }
        samp_free(rows);
        free_data(&d);
    }
}

/* A token that is not finite makes its own outputs not finite, and no other token's. */
static void not_finite(void **state)
{
    (void)state;
    enum { ROWS = 48, COLS = 128, N = 6, BAD = 3 };
    float w[ROWS * COLS], x[N * COLS], wanted[N * ROWS], got[N * ROWS];
    fill(w, ROWS * COLS, GAUSS, 1);
    fill(x, N * COLS, GAUSS, 2);
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    encoded e = encode(SAMP_FORMAT_NF4, ROWS, COLS, w, 16);
    oracle_product(&e, x, N, false, wanted);
    for (samp_cpu_level level = 0; level <= samp_cpu_host(); level++)
        for (size_t i = 0; i < 3; i++) {
            samp_device *device = device_open(level, 1, false);
            x[BAD * COLS + 70] = bad[i];
            samp_tensor *in = device_tensor(device, x, N * COLS),
                        *out = device_tensor(device, NULL, N * ROWS);
            samp_weight *weight = device_weight(device, &e, false);
            samp_batch batch = {.n_tokens = N};
            samp_input input = {.x = in};
            cpu->begin(device, &batch);
            cpu->matmul(device, N, &input, 1, (const samp_weight *const[]){weight},
                        (samp_tensor *const[]){out}, false);
            cpu->read(device, out, 0, N * ROWS, got);
            assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
            for (size_t t = 0; t < N; t++)
                for (size_t r = 0; r < ROWS; r++)
                    if (t == BAD)
                        assert_false(isfinite(got[t * ROWS + r]));
                    else
                        assert_int_equal(samp_float_bits(got[t * ROWS + r]),
                                         samp_float_bits(wanted[t * ROWS + r]));
            cpu->weight_release(device, weight);
            cpu->tensor_release(device, out);
            cpu->tensor_release(device, in);
            cpu->close(device);
        }
    encoded_release(&e);
}

/* Rows of an embedding equal decode's, in every format; the same weight still multiplies. */
static void embed_rows(void **state)
{
    (void)state;
    enum { ROWS = 150, N = 5 };
    static const int32_t tokens[N] = {0, 149, 15, 16, 64};
    static const size_t widths[] = {128, 172};
    for (samp_format_id id = 0; id < SAMP_FORMAT_COUNT; id++)
        for (int i = 0; i < 4; i++) {
            size_t cols = widths[i % 2];
            bool exact = i / 2;
            float *w = samp_alloc(ROWS * cols, sizeof *w), *got = samp_alloc(N * cols, sizeof *got);
            fill(w, ROWS * cols, OUTLIERS, 4);
            encoded e = encode(id, ROWS, cols, w, 16);
            float *wanted = decoded(&e);
            samp_device *device = device_open(samp_cpu_host(), 2, exact);
            samp_weight *weight = device_weight(device, &e, true);
            samp_tensor *out = device_tensor(device, NULL, N * cols);
            samp_batch batch = {.n_tokens = N, .tokens = tokens};
            cpu->begin(device, &batch);
            cpu->embed(device, 1, (const samp_weight *const[]){weight}, out);
            cpu->read(device, out, 0, N * cols, got);
            assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
            for (size_t t = 0; t < N; t++)
                if (memcmp(got + t * cols, wanted + (size_t)tokens[t] * cols, cols * sizeof *got) !=
                    0)
                    fail_msg("%s, %zu columns, token %zu", e.format->name, cols, t);
            cpu->tensor_release(device, out);
            cpu->weight_release(device, weight);
            cpu->close(device);
            encoded_release(&e);
            samp_free(wanted);
            samp_free(got);
            samp_free(w);
        }
}

/* gather, a read between two writes of one tensor, and a read of a part. */
static void gather_and_read(void **state)
{
    (void)state;
    enum { N = 7, WIDTH = 20 };
    float x[N * WIDTH], first[2 * WIDTH], second[2 * WIDTH], part[3];
    fill(x, N * WIDTH, GAUSS, 1);
    static const uint32_t rows[2][2] = {{6, 0}, {3, 3}};
    for (unsigned n_threads = 1; n_threads <= 3; n_threads++) {
        samp_device *device = device_open(samp_cpu_host(), n_threads, false);
        samp_tensor *in = device_tensor(device, x, N * WIDTH),
                    *out = device_tensor(device, NULL, 2 * WIDTH);
        samp_batch batch = {.n_tokens = N};
        cpu->begin(device, &batch);
        cpu->gather(device, in, rows[0], 2, WIDTH, out);
        cpu->read(device, out, 0, 2 * WIDTH, first);
        cpu->gather(device, in, rows[1], 2, WIDTH, out);
        cpu->read(device, out, 0, 2 * WIDTH, second);
        cpu->read(device, in, 2 * WIDTH + 5, 3, part);
        cpu->gather(device, in, NULL, 0, WIDTH, out);
        assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
        for (size_t i = 0; i < 2; i++) {
            assert_memory_equal(first + i * WIDTH, x + rows[0][i] * WIDTH, WIDTH * sizeof *x);
            assert_memory_equal(second + i * WIDTH, x + rows[1][i] * WIDTH, WIDTH * sizeof *x);
        }
        assert_memory_equal(part, x + 2 * WIDTH + 5, sizeof part);
        cpu->tensor_release(device, out);
        cpu->tensor_release(device, in);
        cpu->close(device);
    }
}

/* Calls a device must refuse, and that it goes on afterwards. */
static void refusals(void **state)
{
    (void)state;
    float w[16 * 64], x[64] = {1};
    fill(w, 16 * 64, GAUSS, 1);
    samp_device *device = device_open(samp_cpu_host(), 1, false);
    samp_error error = {0};
    encoded e = encode(SAMP_FORMAT_NF4, 16, 64, w, 12);
    samp_weight_source source = {.name = "a.weight",
                                 .format = e.format,
                                 .layout = &e.layout,
                                 .parts = (const void *const *)e.parts,
                                 .activation_bits = 12};
    samp_weight *weight;
    assert_int_equal(cpu->weight_create(device, &source, &weight, &error), SAMP_INVALID);
    assert_null(weight);
    assert_non_null(strstr(error.message, "a.weight"));
    e.activation_bits = 8;
    weight = device_weight(device, &e, false);
    samp_tensor *out = device_tensor(device, x, 64);
    samp_batch batch = {.n_tokens = 1, .tokens = (const int32_t[]){0}};
    cpu->begin(device, &batch);
    cpu->embed(device, 1, (const samp_weight *const[]){weight}, out);
    assert_int_equal(cpu->sync(device, &error), SAMP_INVALID);
    float back = 0;
    cpu->begin(device, &batch);
    cpu->read(device, out, 0, 1, &back);
    assert_int_equal(cpu->sync(device, &error), SAMP_OK);
    assert_true(back == 1);
    assert_int_equal(cpu->tensor_set(device, out, x, 65, &error), SAMP_INVALID);
    setenv("SAMP_CPU", "quantum", 1);
    samp_device *other;
    assert_int_equal(cpu->open(&other, &(samp_device_options){0}, &error), SAMP_INVALID);
    assert_null(other);
    cpu->tensor_release(device, out);
    cpu->weight_release(device, weight);
    encoded_release(&e);
    cpu->close(device);
}

/* Opens, loads, runs one step; false when memory ran out on the way. All is released either way. */
static bool small_life(const encoded *e)
{
    samp_device *device = NULL;
    samp_weight *weight = NULL;
    samp_tensor *in = NULL, *out = NULL;
    samp_error error = {0};
    samp_device_options options = {.n_threads = 2};
    samp_weight_source source = {.name = "a.weight",
                                 .format = e->format,
                                 .layout = &e->layout,
                                 .parts = (const void *const *)e->parts,
                                 .activation_bits = 16,
                                 .embed = true};
    bool fine = cpu->open(&device, &options, &error) == SAMP_OK &&
                cpu->weight_create(device, &source, &weight, &error) == SAMP_OK &&
                cpu->tensor_create(device, 256, &in, &error) == SAMP_OK &&
                cpu->tensor_create(device, 256, &out, &error) == SAMP_OK;
    if (fine) {
        samp_batch batch = {.n_tokens = 1, .tokens = (const int32_t[]){3}};
        samp_input input = {.x = in};
        cpu->begin(device, &batch);
        cpu->embed(device, 1, (const samp_weight *const[]){weight}, in);
        cpu->matmul(device, 1, &input, 1, (const samp_weight *const[]){weight},
                    (samp_tensor *const[]){out}, false);
        fine = cpu->sync(device, &error) == SAMP_OK;
    }
    if (!fine) assert_int_equal(error.status, SAMP_NOMEM);
    if (device) {
        cpu->tensor_release(device, out);
        cpu->tensor_release(device, in);
        cpu->weight_release(device, weight);
        cpu->close(device);
    }
    return fine;
}

static void every_allocation_fails_cleanly(void **state)
{
    (void)state;
    float w[70 * 64];
    fill(w, 70 * 64, GAUSS, 1);
    encoded e = encode(SAMP_FORMAT_NF4, 70, 64, w, 16);
    setenv("SAMP_CPU", samp_cpu_name(samp_cpu_host()), 1);
    uint64_t n = 1;
    for (bool fine = false; !fine; n++) {
        samp_alloc_fail_at(n);
        fine = small_life(&e);
        samp_alloc_fail_at(0);
    }
    assert_in_range(n, 10, 200);
    encoded_release(&e);
}

/* The second step of a size allocates nothing. */
static void steps_do_not_allocate(void **state)
{
    (void)state;
    enum { ROWS = 64, COLS = 128, N = 40 };
    float w[ROWS * COLS], x[N * COLS];
    fill(w, ROWS * COLS, GAUSS, 1);
    fill(x, N * COLS, GAUSS, 2);
    encoded e = encode(SAMP_FORMAT_NF4, ROWS, COLS, w, 16);
    samp_device *device = device_open(samp_cpu_host(), 2, false);
    samp_weight *weight = device_weight(device, &e, false);
    samp_tensor *in = device_tensor(device, x, N * COLS),
                *out = device_tensor(device, NULL, N * ROWS);
    uint64_t before = 0;
    for (int step = 0; step < 3; step++) {
        samp_batch batch = {.n_tokens = N};
        samp_input input = {.x = in};
        if (step == 1) before = samp_alloc_count();
        cpu->begin(device, &batch);
        for (int i = 0; i < 300; i++)
            cpu->matmul(device, i % 3 ? 1 : N, &input, 1, (const samp_weight *const[]){weight},
                        (samp_tensor *const[]){out}, false);
        assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
    }
    assert_int_equal(samp_alloc_count(), before);
    cpu->tensor_release(device, out);
    cpu->tensor_release(device, in);
    cpu->weight_release(device, weight);
    cpu->close(device);
    encoded_release(&e);
}

int main(void)
{
    cpu = samp_cpu_backend();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepared_inputs),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(embed_rows),
        cmocka_unit_test(gather_and_read),
        cmocka_unit_test(refusals),
        cmocka_unit_test(every_allocation_fails_cleanly),
        cmocka_unit_test(steps_do_not_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every product of the CPU backend, at every level this host has, equals its definition bit for
 * bit: all formats, one to 33 tokens, rows and columns that fill no group, 1 and 2 threads. */
#include "cpu/oracle.h"

#include <stdio.h>

typedef struct shape {
    size_t rows, cols;
} shape;

static const size_t batches[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 33};
enum { N_BATCHES = sizeof batches / sizeof *batches, MOST = 33 };

/* Inputs of every pattern, [MOST][cols], and what the definition makes of them: [MOST][rows]. */
typedef struct expectation {
    float *x[PATTERNS], *wanted[PATTERNS];
} expectation;

static expectation expect(const encoded *e, bool exact)
{
    size_t rows = e->layout.rows, cols = e->layout.cols;
    expectation all;
    for (pattern kind = GAUSS; kind < PATTERNS; kind++) {
        all.x[kind] = samp_alloc(MOST * cols, sizeof(float));
        all.wanted[kind] = samp_alloc(MOST * rows, sizeof(float));
        fill(all.x[kind], MOST * cols, kind, 7 + kind);
        oracle_product(e, all.x[kind], MOST, exact, all.wanted[kind]);
    }
    return all;
}

static void expectation_release(expectation *all)
{
    for (pattern kind = GAUSS; kind < PATTERNS; kind++) {
        samp_free(all->x[kind]);
        samp_free(all->wanted[kind]);
    }
}

/* One weight against inputs of every pattern, for every batch, on an open device. */
static void check_weight(samp_device *device, const encoded *e, const expectation *all)
{
    const samp_backend *cpu = samp_cpu_backend();
    size_t rows = e->layout.rows, cols = e->layout.cols;
    float *y = samp_alloc(MOST * rows, sizeof *y);
    samp_weight *weight = device_weight(device, e, false);
    samp_tensor *out = device_tensor(device, NULL, MOST * rows);
    for (pattern kind = GAUSS; kind < PATTERNS; kind++) {
        samp_tensor *in = device_tensor(device, all->x[kind], MOST * cols);
        for (size_t i = 0; i < N_BATCHES; i++) {
            uint32_t n = (uint32_t)batches[i];
            samp_batch batch = {.n_tokens = n};
            samp_input input = {
                .kind = SAMP_INPUT_PLAIN, .x = in, .outlier_threshold = e->threshold};
            memset(y, 0xff, MOST * rows * sizeof *y);
            cpu->begin(device, &batch);
            cpu->matmul(device, n, &input, 1, (const samp_weight *const[]){weight},
                        (samp_tensor *const[]){out}, false);
            cpu->read(device, out, 0, n * rows, y);
            assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
            if (memcmp(y, all->wanted[kind], n * rows * sizeof *y) != 0)
                fail_msg("%s: %s, %zu x %zu, %u tokens, inputs %d, %d bits", cpu->describe(device),
                         e->format->name, rows, cols, n, (int)kind, e->activation_bits);
        }
        cpu->tensor_release(device, in);
    }
    cpu->tensor_release(device, out);
    cpu->weight_release(device, weight);
    samp_free(y);
}

/* The same at every level, with 1 to max_threads threads; an emulated processor (SAMP_TEST_EMULATED,
 * tools/check_arm64.sh), ten times as slow, has to do with max_threads. */
static void check_levels(const encoded *e, unsigned max_threads, bool exact)
{
    expectation all = expect(e, exact);
    unsigned min_threads = getenv("SAMP_TEST_EMULATED") ? max_threads : 1;
    for (samp_cpu_level level = 0; level <= samp_cpu_host(); level++)
        for (unsigned n_threads = min_threads; n_threads <= max_threads; n_threads++) {
            samp_device *device = device_open(level, n_threads, exact);
            check_weight(device, e, &all);
            samp_cpu_backend()->close(device);
        }
    expectation_release(&all);
}

/* All shapes, levels and thread counts for one format and activation width. */
static void check_format(samp_format_id id, int bits, bool exact)
{
    static const shape shapes[] = {{48, 128}, {70, 192}, {33, 172}, {5, 64}, {150, 20}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t rows = shapes[s].rows, cols = shapes[s].cols;
        float *w = samp_alloc(rows * cols, sizeof *w);
        for (size_t r = 0; r < rows; r++)
            fill(w + r * cols, cols, r % 11 == 10 ? (pattern)(r / 11 % PATTERNS) : GAUSS, 100 + r);
        encoded e = encode(id, rows, cols, w, bits);
        check_levels(&e, 2, exact);
        encoded_release(&e);
        samp_free(w);
    }
}

static void all_formats_a16(void **state)
{
    (void)state;
    for (samp_format_id id = 0; id < SAMP_FORMAT_COUNT; id++) check_format(id, 16, false);
}

static void all_formats_a8(void **state)
{
    (void)state;
    for (samp_format_id id = SAMP_FORMAT_FP8; id < SAMP_FORMAT_COUNT; id++)
        check_format(id, 8, false);
}

/* LLM.int8 with thresholds that find few columns, most of them, and none. */
static void outliers(void **state)
{
    (void)state;
    static const float thresholds[] = {2.5f, 0.25f, 1e30f};
    static const shape shapes[] = {{48, 128}, {33, 172}, {5, 20}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t rows = shapes[i].rows, cols = shapes[i].cols;
        float *w = samp_alloc(rows * cols, sizeof *w);
        fill(w, rows * cols, GAUSS, 40 + i);
        encoded e = encode(SAMP_FORMAT_LLM_INT8, rows, cols, w, 8);
        e.threshold = thresholds[i];
        check_levels(&e, 2, false);
        encoded_release(&e);
        samp_free(w);
    }
}

/* Float weights of more columns than a panel takes, and tokens for more than one. */
static void float_panels(void **state)
{
    (void)state;
    enum { ROWS = 18, COLS = 300, TOKENS = 130 };
    float *w = samp_alloc(ROWS * COLS, sizeof *w), *x = samp_alloc(TOKENS * COLS, sizeof *x),
          *wanted = samp_alloc(TOKENS * ROWS, sizeof *wanted),
          *y = samp_alloc(TOKENS * ROWS, sizeof *y);
    fill(w, ROWS * COLS, GAUSS, 51), fill(x, TOKENS * COLS, GAUSS, 52);
    static const samp_format_id ids[] = {SAMP_FORMAT_FP32, SAMP_FORMAT_BF16, SAMP_FORMAT_FP16,
                                         SAMP_FORMAT_FP8};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        encoded e = encode(ids[i], ROWS, COLS, w, 16);
        oracle_product(&e, x, TOKENS, false, wanted);
        for (samp_cpu_level level = 0; level <= samp_cpu_host(); level++) {
            samp_device *device = device_open(level, 1, false);
            const samp_backend *cpu = samp_cpu_backend();
            samp_weight *weight = device_weight(device, &e, false);
            samp_tensor *in = device_tensor(device, x, TOKENS * COLS),
                        *out = device_tensor(device, NULL, TOKENS * ROWS);
            samp_input input = {.kind = SAMP_INPUT_PLAIN, .x = in};
            samp_batch batch = {.n_tokens = TOKENS};
            cpu->begin(device, &batch);
            cpu->matmul(device, TOKENS, &input, 1, (const samp_weight *const[]){weight},
                        (samp_tensor *const[]){out}, false);
            cpu->read(device, out, 0, TOKENS * ROWS, y);
            assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
            assert_memory_equal(y, wanted, TOKENS * ROWS * sizeof *y);
            cpu->tensor_release(device, in), cpu->tensor_release(device, out);
            cpu->weight_release(device, weight);
            cpu->close(device);
        }
        encoded_release(&e);
    }
    samp_free(w), samp_free(x), samp_free(wanted), samp_free(y);
}

static void exact_mode(void **state)
{
    (void)state;
    check_format(SAMP_FORMAT_NF4, 16, true);
    check_format(SAMP_FORMAT_INT6, 16, true);
    check_format(SAMP_FORMAT_FP16, 16, true);
}

/* The largest sums there are: every weight and every input at the end of its range. */
static void largest_sums(void **state)
{
    (void)state;
    enum { ROWS = 32, COLS = 256 };
    float w[ROWS * COLS];
    for (size_t i = 0; i < ROWS * COLS; i++) w[i] = i / COLS % 2 ? 1.0f : -1.0f;
    for (samp_format_id id = SAMP_FORMAT_FP8; id < SAMP_FORMAT_COUNT; id++) {
        encoded e = encode(id, ROWS, COLS, w, 16);
        check_levels(&e, 1, false);
        encoded_release(&e);
    }
}

/* Error of the default path against double precision, as the exactness goal asks. */
static void nf4_error(void **state)
{
    (void)state;
    enum { ROWS = 96, COLS = 1536, N = 8 };
    float *w = samp_alloc(ROWS * COLS, sizeof *w), *x = samp_alloc(N * COLS, sizeof *x);
    float *y = samp_alloc(N * ROWS, sizeof *y);
    fill(w, ROWS * COLS, GAUSS, 1);
    fill(x, N * COLS, GAUSS, 2);
    for (int bits = 8; bits <= 16; bits += 8) {
        encoded e = encode(SAMP_FORMAT_NF4, ROWS, COLS, w, bits);
        float *exact = decoded(&e);
        oracle_product(&e, x, N, false, y);
        double error = 0, power = 0;
        for (size_t t = 0; t < N; t++)
            for (size_t r = 0; r < ROWS; r++) {
                double sum = 0;
                for (size_t k = 0; k < COLS; k++)
                    sum += (double)exact[r * COLS + k] * x[t * COLS + k];
                error += (y[t * ROWS + r] - sum) * (y[t * ROWS + r] - sum);
                power += sum * sum;
            }
        printf("nf4, %d-bit activations: NMSE %.2e against double precision\n", bits,
               error / power);
        assert_true(error / power < 2e-4);
        samp_free(exact);
        encoded_release(&e);
    }
    samp_free(y);
    samp_free(x);
    samp_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_formats_a16), cmocka_unit_test(all_formats_a8),
        cmocka_unit_test(exact_mode),      cmocka_unit_test(largest_sums),
        cmocka_unit_test(nf4_error),       cmocka_unit_test(outliers),
        cmocka_unit_test(float_panels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

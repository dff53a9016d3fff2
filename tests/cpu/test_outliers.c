/* LLM.int8 products against bitsandbytes' Linear8bitLt, token by token
 * (tests/golden/nf4/llm_int8_product.bin, made by tools/golden_bnb.py), and what the threshold does:
 * 3.0 multiplies more columns in 16 bits, is no less accurate than 6.0, and gives no NaN. */
#include "cpu/oracle.h"
#include "support/golden.h"

#include <stdio.h>

typedef struct product_case {
    golden_file file;
    uint32_t rows, cols, tokens;
    float *x;
    encoded e;
} product_case;

static product_case c;

static int open_case(void **state)
{
    (void)state;
    c.file = golden_open("nf4/llm_int8_product");
    golden_array shape = golden_get(&c.file, "shape"), input = golden_get(&c.file, "input");
    golden_array codes = golden_get(&c.file, "CB"), scales = golden_get(&c.file, "SCB");
    uint32_t size[3];
    memcpy(size, shape.data, sizeof size);
    c.rows = size[0], c.cols = size[1], c.tokens = size[2];
    c.x = golden_floats(&input);
    c.e = (encoded){.format = samp_format_get(SAMP_FORMAT_LLM_INT8), .activation_bits = 8};
    assert_int_equal(c.e.format->layout(c.rows, c.cols, &c.e.layout, NULL), SAMP_OK);
    for (int i = 0; i < c.e.layout.n_parts; i++)
        c.e.parts[i] = samp_alloc(1, c.e.layout.parts[i].bytes);
    memcpy(c.e.parts[0], codes.data, codes.n_bytes);
    memcpy(c.e.parts[1], scales.data, scales.n_bytes);
    return 0;
}

static int close_case(void **state)
{
    (void)state;
    encoded_release(&c.e);
    free(c.x);
    free(c.file.bytes);
    return 0;
}

/* y [tokens][rows] of the CPU backend at this host's best level, all tokens in one product. */
static float *product(float threshold)
{
    const samp_backend *cpu = samp_cpu_backend();
    samp_device *device = device_open(samp_cpu_host(), 2, false);
    samp_weight *weight = device_weight(device, &c.e, false);
    samp_tensor *in = device_tensor(device, c.x, (size_t)c.tokens * c.cols);
    samp_tensor *out = device_tensor(device, NULL, (size_t)c.tokens * c.rows);
    float *y = samp_alloc((size_t)c.tokens * c.rows, sizeof *y);
    samp_batch batch = {.n_tokens = c.tokens};
    samp_input input = {.kind = SAMP_INPUT_PLAIN, .x = in, .outlier_threshold = threshold};
    cpu->begin(device, &batch);
    cpu->matmul(device, c.tokens, &input, 1, (const samp_weight *const[]){weight},
                (samp_tensor *const[]){out}, false);
    cpu->read(device, out, 0, (size_t)c.tokens * c.rows, y);
    assert_int_equal(cpu->sync(device, NULL), SAMP_OK);
    cpu->tensor_release(device, out);
    cpu->tensor_release(device, in);
    cpu->weight_release(device, weight);
    cpu->close(device);
    return y;
}

static golden_array entry(const char *what, float threshold)
{
    char name[32];
    snprintf(name, sizeof name, "%s_%g", what, (double)threshold);
    return golden_get(&c.file, name);
}

/* The inputs' integers are bitsandbytes' own, and so are their scales. */
static void inputs_equal_bitsandbytes(void **state)
{
    (void)state;
    for (float threshold = 0; threshold <= 6; threshold += 3) {
        golden_array codes = entry("codes", threshold), scales = entry("scales", threshold);
        size_t padded = samp_round_up(c.cols, 64);
        int16_t *q = samp_alloc(padded, sizeof *q);
        float *scale = samp_alloc(padded / 64, sizeof *scale), absmax;
        c.e.threshold = threshold;
        for (uint32_t t = 0; t < c.tokens; t++) {
            quantized_input(&c.e, c.x + (size_t)t * c.cols, q, scale);
            memcpy(&absmax, scales.data + 4 * t, 4);
            assert_true(scale[0] == absmax / 127 && scale[padded / 64 - 1] == scale[0]);
            for (uint32_t k = 0; k < c.cols; k++)
                assert_int_equal(q[k], ((const int8_t *)codes.data)[t * c.cols + k]);
        }
        samp_free(scale);
        samp_free(q);
    }
}

/* bitsandbytes rounds its sums to FP16 once or twice, and the weights of outliers too: ours are its
 * results within those roundings, which are all there is between them. */
static void products_equal_bitsandbytes(void **state)
{
    (void)state;
    float *w = decoded(&c.e);
    for (float threshold = 0; threshold <= 6; threshold += 3) {
        golden_array out = entry("out", threshold);
        float *wanted = golden_floats(&out), *y = product(threshold);
        for (size_t i = 0; i < (size_t)c.tokens * c.rows; i++) {
            const float *x = c.x + i / c.rows * c.cols, *row = w + i % c.rows * c.cols;
            float large = 0; /* what outliers add, without signs */
            for (size_t k = 0; k < c.cols; k++)
                if (samp_is_outlier(x[k], threshold)) large += fabsf(row[k] * x[k]);
            float bound = (fabsf(wanted[i]) + 2 * large) * 0x1p-11f + 1e-5f;
            if (!(fabsf(y[i] - wanted[i]) <= bound))
                fail_msg("threshold %g, token %zu, row %zu: %g, expected %g", (double)threshold,
                         i / c.rows, i % c.rows, (double)y[i], (double)wanted[i]);
        }
        samp_free(y);
        free(wanted);
    }
    samp_free(w);
}

/* Relative squared error against the same weights in double precision, and columns a token. */
static double error_at(float threshold, double *columns)
{
    float *w = decoded(&c.e), *y = product(threshold);
    double error = 0, power = 0, n = 0;
    for (size_t t = 0; t < c.tokens; t++) {
        const float *x = c.x + t * c.cols;
        for (size_t k = 0; k < c.cols; k++) n += samp_is_outlier(x[k], threshold);
        for (size_t r = 0; r < c.rows; r++) {
            double sum = 0, got = (double)y[t * c.rows + r];
            for (size_t k = 0; k < c.cols; k++) sum += (double)w[r * c.cols + k] * (double)x[k];
            assert_true(isfinite(got));
            error += (got - sum) * (got - sum), power += sum * sum;
        }
    }
    *columns = n / c.tokens;
    samp_free(y);
    samp_free(w);
    return error / power;
}

static void what_the_threshold_does(void **state)
{
    (void)state;
    double columns[3];
    double none = error_at(0, &columns[0]), six = error_at(6, &columns[1]),
           three = error_at(3, &columns[2]);
    printf("columns in 16 bits of %u: %.2f at 6.0, %.2f at 3.0; relative error %.1e without, %.1e "
           "at 6.0, %.1e at 3.0\n",
           c.cols, columns[1], columns[2], none, six, three);
    assert_true(columns[0] == 0 && columns[1] > 0 && columns[2] > columns[1]);
    assert_true(none > 10 * six); /* a few columns of 30 or 60 would spoil the scale of all */
    assert_true(three <= six);
    assert_true(six < 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inputs_equal_bitsandbytes),
                                       cmocka_unit_test(products_equal_bitsandbytes),
                                       cmocka_unit_test(what_the_threshold_does)};
    return cmocka_run_group_tests(tests, open_case, close_case);
}

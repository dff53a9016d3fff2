/* The reference backend through the seam, operation by operation, against plain double-precision
 * arithmetic written here from the formulas. */
#include "support/encoded.h"

#include <stdlib.h>

static const samp_backend *backend;
static samp_error error;

#define OK(expression)                                                                             \
    do {                                                                                           \
        if ((expression) != SAMP_OK) fail_msg("%s", error.message);                                \
    } while (0)

static samp_device *open_device(bool exact)
{
    samp_device *device;
    OK(backend->open(&device, &(samp_device_options){.exact = exact}, &error));
    return device;
}

static samp_tensor *tensor_of(samp_device *device, const float *values, size_t n)
{
    samp_tensor *tensor;
    OK(backend->tensor_create(device, n, &tensor, &error));
    OK(backend->tensor_set(device, tensor, values, n, &error));
    return tensor;
}

static samp_tensor *tensor_filled(samp_device *device, size_t n, float value)
{
    float *values = samp_alloc(n, sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = value;
    samp_tensor *tensor = tensor_of(device, values, n);
    samp_free(values);
    return tensor;
}

static const samp_batch no_tokens = {0};

/* Largest |a-b| over the largest |b|. (With fmax in this loop GCC 12 for ARM ends in an internal error.) */
static double distance(const float *a, const double *b, size_t n)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        double size = fabs(b[i]), error_size = fabs((double)a[i] - b[i]);
        if (size > largest) largest = size;
        if (error_size > worst) worst = error_size;
    }
    return worst / largest;
}

/* ---- matmul ---- */

enum { N = 3, ROWS = 70, EVEN = 192, ODD = 172 }; /* columns: whole groups of 64, and not */

/* The input rows a matmul makes, in double. */
static void input_rows(const samp_input *input, const float *x, const float *y, const float *gain,
                       size_t cols, double *out)
{
    for (size_t i = 0; i < N; i++) {
        double squares = 0;
        for (size_t c = 0; c < cols; c++)
            squares += (double)x[i * cols + c] * (double)x[i * cols + c];
        double r = 1 / sqrt(squares / (double)cols + (double)input->eps);
        for (size_t c = 0; c < cols; c++) {
            double v = (double)x[i * cols + c];
            if (input->kind == SAMP_INPUT_NORM) v = v * r * (double)gain[c];
            if (input->kind == SAMP_INPUT_SILU) v = v / (1 + exp(-v)) * (double)y[i * cols + c];
            out[i * cols + c] = v;
        }
    }
}

/* Runs one matmul and returns its distance to the double result over the decoded weights. */
static double matmul_distance(bool exact, samp_format_id id, int activation_bits,
                              samp_input_kind kind, bool add, size_t cols)
{
    samp_prng prng = {(uint64_t)id * 100 + (uint64_t)activation_bits + kind};
    samp_device *device = open_device(exact);
    encoded w = encode_random(&prng, id, ROWS, cols);
    samp_weight_source source = encoded_source(&w, activation_bits, false);
    samp_weight *weight;
    OK(backend->weight_create(device, &source, &weight, &error));

    float x[N * EVEN], y[N * EVEN], gain[EVEN], got[N * ROWS];
    double in[N * EVEN], want[N * ROWS];
    random_floats(&prng, x, N * cols);
    random_floats(&prng, y, N * cols);
    random_floats(&prng, gain, cols);
    samp_tensor *tx = tensor_of(device, x, N * cols), *ty = tensor_of(device, y, N * cols);
    samp_tensor *tgain = tensor_of(device, gain, cols), *out = tensor_filled(device, N * ROWS, 5);
    samp_input input = {.kind = kind, .x = tx, .y = ty, .gain = tgain, .eps = 1e-5f};
    input_rows(&input, x, y, gain, cols, in);
    for (size_t i = 0; i < N; i++)
        for (size_t r = 0; r < ROWS; r++) {
            double sum = add ? 5 : 0;
            for (size_t c = 0; c < cols; c++)
                sum += in[i * cols + c] * (double)w.decoded[r * cols + c];
            want[i * ROWS + r] = sum;
        }

    const samp_weight *weights[] = {weight};
    backend->begin(device, &no_tokens);
    backend->matmul(device, N, &input, 1, weights, &out, add);
    backend->read(device, out, 0, N * ROWS, got);
    OK(backend->sync(device, &error));

    samp_tensor *tensors[] = {tx, ty, tgain, out};
    for (int i = 0; i < 4; i++) backend->tensor_release(device, tensors[i]);
    backend->weight_release(device, weight);
    backend->close(device);
    encoded_release(&w);
    return distance(got, want, N * ROWS);
}

static void test_matmul_float(void **state)
{
    (void)state;
    for (int kind = SAMP_INPUT_PLAIN; kind <= SAMP_INPUT_SILU; kind++)
        for (int add = 0; add < 2; add++)
            for (int id = SAMP_FORMAT_FP32; id <= SAMP_FORMAT_FP8; id++)
                assert_true(matmul_distance(false, (samp_format_id)id, 16, (samp_input_kind)kind,
                                            add, ODD) < 2e-6);
}

/* Exact mode multiplies the decoded weights of every format in float. */
static void test_matmul_exact(void **state)
{
    (void)state;
    for (int id = 0; id < SAMP_FORMAT_COUNT; id++)
        assert_true(matmul_distance(true, (samp_format_id)id, 8, SAMP_INPUT_NORM, false, ODD) <
                    2e-6);
}

/* Integer products: what is lost is the rounding of the input (and, for fp8_e4m3_g64 and nf4, of the
 * integer form). */
static void test_matmul_integer(void **state)
{
    (void)state;
    static const size_t widths[] = {EVEN, ODD};
    for (int i = 0; i < 2 * SAMP_FORMAT_COUNT; i++) {
        samp_format_id id = (samp_format_id)(i / 2);
        if (id <= SAMP_FORMAT_FP8) continue; /* floats */
        bool exact_form =
            id != SAMP_FORMAT_FP8_G64 && id != SAMP_FORMAT_NF4 && id != SAMP_FORMAT_NF4_PLAIN;
        double a8 = matmul_distance(false, id, 8, SAMP_INPUT_PLAIN, true, widths[i % 2]);
        double a16 = matmul_distance(false, id, 16, SAMP_INPUT_PLAIN, true, widths[i % 2]);
        assert_true(a8 < 4e-2);
        assert_true(a16 < (exact_form ? 2e-4 : 2e-2));
        assert_true(a16 <= a8 || a8 < 2e-6); /* floats where there is no integer form */
    }
}

/* A value worked out by hand: two groups of 64, so that grouping, scales and their order are pinned
 * down. */
static void test_matmul_by_hand(void **state)
{
    (void)state;
    enum { WIDTH = 65 };
    samp_device *device = open_device(false);
    samp_layout layout;
    const samp_format *format = samp_format_get(SAMP_FORMAT_FP32);
    OK(format->layout(1, WIDTH, &layout, &error));
    float w[WIDTH] = {0}, x[WIDTH] = {0}, got;
    w[0] = 1;
    x[0] = 16777216; /* 2^24: adding 1 to it is lost in float, unless the sum starts from the other
                        end */
    w[1] = w[64] = 1;
    x[1] = 1;
    x[64] = -16777216;
    const void *parts[] = {w};
    samp_weight_source source = {"w", format, &layout, parts, 8, false};
    samp_weight *weight;
    OK(backend->weight_create(device, &source, &weight, &error));
    samp_tensor *in = tensor_of(device, x, WIDTH), *out = tensor_filled(device, 1, 0);
    samp_input input = {SAMP_INPUT_PLAIN, .x = in};
    const samp_weight *weights[] = {weight};
    backend->begin(device, &no_tokens);
    backend->matmul(device, 1, &input, 1, weights, &out, false);
    backend->read(device, out, 0, 1, &got);
    OK(backend->sync(device, &error));
    assert_true(got == 0); /* ((2^24 + 1) rounds to 2^24) - 2^24 */
    assert_int_equal(backend->weight_bytes(weight), WIDTH * sizeof(float));
    backend->tensor_release(device, in);
    backend->tensor_release(device, out);
    backend->weight_release(device, weight);
    backend->close(device);
}

/* ---- attention ---- */

enum { HEADS = 6, KV_HEADS = 2, DIM = 10, LENGTH = 150, BLOCKS = 7, LAYERS = 2 };

static const uint32_t scattered[] = {5, 0, 3}; /* the sequence's blocks, in no order */

typedef struct attention_case {
    float q[LENGTH * HEADS * DIM], k[LENGTH * KV_HEADS * DIM], v[LENGTH * KV_HEADS * DIM];
    float rope[LENGTH * DIM], out[LENGTH * HEADS * DIM];
} attention_case;

static void rotate(double *x, const float *rope, int position)
{
    for (int i = 0; i < DIM / 2; i++) {
        double c = (double)rope[position * DIM + 2 * i],
               s = (double)rope[position * DIM + 2 * i + 1];
        double a = x[i], b = x[i + DIM / 2];
        x[i] = a * c - b * s;
        x[i + DIM / 2] = b * c + a * s;
    }
}

static void load(double *out, const float *in)
{
    for (int d = 0; d < DIM; d++) out[d] = (double)in[d];
}

/* Softmax attention in double: all scores at once, no blocks. */
static void attention_in_double(const attention_case *a, double *out)
{
    for (int t = 0; t < LENGTH; t++)
        for (int h = 0; h < HEADS; h++) {
            double q[DIM], k[DIM], p[LENGTH], sum = 0, *o = out + (t * HEADS + h) * DIM;
            int kv_head = h / (HEADS / KV_HEADS);
            load(q, a->q + (t * HEADS + h) * DIM);
            rotate(q, a->rope, t);
            for (int j = 0; j <= t; j++) {
                load(k, a->k + (j * KV_HEADS + kv_head) * DIM);
                rotate(k, a->rope, j);
                p[j] = 0;
                for (int d = 0; d < DIM; d++) p[j] += q[d] * k[d];
                p[j] = exp(p[j] / sqrt(DIM));
                sum += p[j];
            }
            for (int d = 0; d < DIM; d++) o[d] = 0;
            for (int j = 0; j <= t; j++)
                for (int d = 0; d < DIM; d++)
                    o[d] += p[j] / sum * (double)a->v[(j * KV_HEADS + kv_head) * DIM + d];
        }
}

/* Feeds the case's positions in steps of at most `chunk`; out gets all of them. */
static void run_attention(attention_case *a, samp_kv_type type, uint32_t chunk)
{
    samp_device *device = open_device(false);
    samp_kv *kv;
    samp_kv_shape shape = {LAYERS, BLOCKS, KV_HEADS, DIM, type};
    OK(backend->kv_create(device, &shape, &kv, &error));
    size_t row = type == SAMP_KV_FP32 ? DIM * 4 : type == SAMP_KV_FP16 ? DIM * 2 : DIM + 4;
    assert_int_equal(backend->kv_bytes(kv), 2 * LAYERS * BLOCKS * SAMP_KV_BLOCK * KV_HEADS * row);
    samp_tensor *rope = tensor_of(device, a->rope, LENGTH * DIM);
    for (uint32_t start = 0; start < LENGTH; start += chunk) {
        uint32_t n = LENGTH - start < chunk ? LENGTH - start : chunk;
        samp_batch_seq seq = {0, n, start, scattered};
        samp_batch batch = {.n_tokens = n, .n_seqs = 1, .seqs = &seq};
        samp_tensor *q = tensor_of(device, a->q + start * HEADS * DIM, n * HEADS * DIM);
        samp_tensor *k = tensor_of(device, a->k + start * KV_HEADS * DIM, n * KV_HEADS * DIM);
        samp_tensor *v = tensor_of(device, a->v + start * KV_HEADS * DIM, n * KV_HEADS * DIM);
        samp_tensor *out = tensor_filled(device, n * HEADS * DIM, NAN);
        samp_attention attention = {.layer = 1,
                                    .n_heads = HEADS,
                                    .n_kv_heads = KV_HEADS,
                                    .head_dim = DIM,
                                    .scale = 1 / sqrtf(DIM),
                                    .rope = rope,
                                    .q = q,
                                    .k = k,
                                    .v = v,
                                    .out = out};
        backend->begin(device, &batch);
        backend->attention(device, kv, &attention);
        backend->read(device, out, 0, n * HEADS * DIM, a->out + start * HEADS * DIM);
        OK(backend->sync(device, &error));
        samp_tensor *tensors[] = {q, k, v, out};
        for (int i = 0; i < 4; i++) backend->tensor_release(device, tensors[i]);
    }
    backend->tensor_release(device, rope);
    backend->kv_release(device, kv);
    backend->close(device);
}

static attention_case *random_case(void)
{
    samp_prng prng = {11};
    attention_case *a = samp_alloc(1, sizeof *a);
    random_floats(&prng, a->q, LENGTH * HEADS * DIM);
    random_floats(&prng, a->k, LENGTH * KV_HEADS * DIM);
    random_floats(&prng, a->v, LENGTH * KV_HEADS * DIM);
    for (int t = 0; t < LENGTH; t++)
        for (int i = 0; i < DIM / 2; i++) {
            a->rope[t * DIM + 2 * i] = (float)cos(t * pow(10000, -2.0 * i / DIM));
            a->rope[t * DIM + 2 * i + 1] = (float)sin(t * pow(10000, -2.0 * i / DIM));
        }
    return a;
}

static void test_attention(void **state)
{
    (void)state;
    attention_case *a = random_case();
    double *want = samp_alloc(LENGTH * HEADS * DIM, sizeof *want);
    attention_in_double(a, want);
    run_attention(a, SAMP_KV_FP32, LENGTH);
    assert_true(distance(a->out, want, LENGTH * HEADS * DIM) < 5e-6);
    run_attention(a, SAMP_KV_FP16, LENGTH);
    assert_true(distance(a->out, want, LENGTH * HEADS * DIM) < 2e-3); /* keys rounded to 11 bits */
    run_attention(a, SAMP_KV_INT8, LENGTH);
    assert_true(distance(a->out, want, LENGTH * HEADS * DIM) < 5e-2);
    samp_free(want);
    samp_free(a);
}

/* However a sequence is cut into steps, its positions come out the same, bit for bit. */
static void test_attention_chunks(void **state)
{
    (void)state;
    static const uint32_t chunks[] = {1, 7, 64, 100};
    attention_case *a = random_case();
    float *whole = samp_alloc(1, sizeof a->out);
    for (int type = SAMP_KV_FP16; type <= SAMP_KV_FP32; type++) {
        run_attention(a, (samp_kv_type)type, LENGTH);
        memcpy(whole, a->out, sizeof a->out);
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
            memset(a->out, 0, sizeof a->out);
            run_attention(a, (samp_kv_type)type, chunks[i]);
            assert_memory_equal(a->out, whole, sizeof a->out);
        }
    }
    samp_free(whole);
    samp_free(a);
}

/* ---- embed, gather, read, and the seam ---- */

static void test_embed_gather_read(void **state)
{
    (void)state;
    enum { VOCAB = 67, WIDTH = 96 };
    static const int32_t tokens[] = {66, 0, 31, 66};
    static const uint32_t rows[] = {3, 1};
    for (int id = 0; id < SAMP_FORMAT_COUNT; id++) {
        samp_prng prng = {(uint64_t)id};
        samp_device *device = open_device(false);
        encoded w = encode_random(&prng, (samp_format_id)id, VOCAB, WIDTH);
        samp_weight_source source = encoded_source(&w, 16, true);
        samp_weight *weight;
        OK(backend->weight_create(device, &source, &weight, &error));
        samp_tensor *x = tensor_filled(device, 4 * WIDTH, 0),
                    *two = tensor_filled(device, 2 * WIDTH, 0);
        samp_batch batch = {.n_tokens = 4, .tokens = tokens};
        float got[4 * WIDTH], gathered[2 * WIDTH], part[10];
        backend->begin(device, &batch);
        backend->embed(device, 1, (const samp_weight *const[]){weight}, x);
        backend->gather(device, x, rows, 2, WIDTH, two);
        backend->read(device, x, 0, 4 * WIDTH, got);
        backend->read(device, two, 0, 2 * WIDTH, gathered);
        backend->read(device, two, WIDTH + 5, 10, part);
        OK(backend->sync(device, &error));
        for (int i = 0; i < 4; i++)
            assert_memory_equal(got + i * WIDTH, w.decoded + tokens[i] * WIDTH,
                                WIDTH * sizeof(float));
        assert_memory_equal(gathered, w.decoded + 66 * WIDTH, WIDTH * sizeof(float));
        assert_memory_equal(gathered + WIDTH, w.decoded, WIDTH * sizeof(float));
        assert_memory_equal(part, w.decoded + 5, sizeof part);
        backend->tensor_release(device, x);
        backend->tensor_release(device, two);
        backend->weight_release(device, weight);
        backend->close(device);
        encoded_release(&w);
    }
}

/* Nothing happens before sync, and a read gives the values of its place in the queue. */
static void test_runs_at_sync(void **state)
{
    (void)state;
    static const uint32_t first[] = {0};
    const float values[] = {1, 2};
    samp_device *device = open_device(false);
    samp_tensor *in = tensor_of(device, values, 2), *out = tensor_filled(device, 1, 7);
    float before = -1, after = -1;
    backend->begin(device, &no_tokens);
    backend->read(device, out, 0, 1, &before);
    backend->gather(device, in, first, 1, 1, out);
    backend->read(device, out, 0, 1, &after);
    assert_true(before == -1 && after == -1);
    OK(backend->sync(device, &error));
    assert_true(before == 7 && after == 1);
    before = -1;
    OK(backend->sync(device, &error)); /* an empty queue */
    assert_true(before == -1);
    backend->tensor_release(device, in);
    backend->tensor_release(device, out);
    backend->close(device);
}

/* Operations that leave their tensors fail the step, and only that step. */
static void test_refuses_misuse(void **state)
{
    (void)state;
    static const uint32_t past[] = {2}, good[] = {1};
    const float values[] = {1, 2};
    samp_device *device = open_device(false);
    samp_tensor *in = tensor_of(device, values, 2), *out = tensor_filled(device, 1, 0);
    float host = -1;
    backend->begin(device, &no_tokens);
    backend->gather(device, in, past, 1, 1, out);
    backend->read(device, out, 0, 1, &host);
    assert_int_equal(backend->sync(device, &error), SAMP_INVALID);
    assert_non_null(strstr(error.message, "gather reads past its input"));
    assert_true(host == -1);
    backend->begin(device, &no_tokens);
    backend->read(device, out, 1, 1, &host);
    assert_int_equal(backend->sync(device, &error), SAMP_INVALID);
    assert_int_equal(backend->tensor_set(device, out, values, 2, &error), SAMP_INVALID);
    backend->begin(device, &no_tokens);
    backend->gather(device, in, good, 1, 1, out);
    backend->read(device, out, 0, 1, &host);
    OK(backend->sync(device, &error));
    assert_true(host == 2);
    backend->tensor_release(device, in);
    backend->tensor_release(device, out);
    backend->close(device);
}

static int load_backend(void **state)
{
    (void)state;
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD, 1);
    if (samp_backend_load("reference", &backend, &error) == SAMP_OK) return 0;
    print_error("%s\n", error.message);
    return -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul_float),      cmocka_unit_test(test_matmul_exact),
        cmocka_unit_test(test_matmul_integer),    cmocka_unit_test(test_matmul_by_hand),
        cmocka_unit_test(test_attention),         cmocka_unit_test(test_attention_chunks),
        cmocka_unit_test(test_embed_gather_read), cmocka_unit_test(test_runs_at_sync),
        cmocka_unit_test(test_refuses_misuse),
    };
    return cmocka_run_group_tests_name("backend/reference", tests, load_backend, NULL);
}

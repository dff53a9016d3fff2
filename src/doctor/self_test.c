/* Numeric self-test: every instruction set this processor has must give the bits of the plain C
 * kernels (backend/numerics.h), and those must be near a product in double precision. Finds broken
 * processors, miscompiled kernels and virtual machines that lie about features.
 *
 * Small matrices in every format, inputs of both precisions, norm and gated inputs, attention over
 * two blocks of keys and values; a level is chosen by SAMP_CPU, as a user would. */
#include "backend/backend.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "base/prng.h"
#include "bench/encoded.h"
#include "doctor/check.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS = 72, /* no multiple of 16 */
    COLS = 192,
    TOKENS = 5,
    OUT = ROWS * TOKENS,
    HEADS = 4,
    KV_HEADS = 2,
    HEAD_DIM = 64,
    POSITIONS = 70,
    ATTENDED = POSITIONS * HEADS * HEAD_DIM,
    CASES_MAX = 4 * SAMP_FORMAT_COUNT + 2,
    KV_TYPES = 2
};

/* What one level computed: results of each case, one after the other. */
typedef struct results {
    float *values;
    size_t n;
    char names[CASES_MAX][40];
    size_t ends[CASES_MAX];
    size_t n_cases;
} results;

typedef struct tester {
    const samp_backend *cpu;
    samp_device *device;
    float *random; /* [ATTENDED] and more */
    samp_tensor *x, *y, *gain, *out, *rope, *q, *k, *v, *attended;
    results *to;
} tester;

static void end_case(results *to, size_t n, const char *name, const char *detail)
{
    to->n += n;
    to->ends[to->n_cases] = to->n;
    snprintf(to->names[to->n_cases], sizeof to->names[0], "%s %s", name, detail);
    to->n_cases++;
}

static samp_status multiply(tester *t, const samp_format *format, int bits, bool gated,
                            samp_error *error)
{
    samp_layout layout;
    void *parts[SAMP_PARTS_MAX] = {0};
    samp_weight *weight = NULL;
    SAMP_TRY(format->layout(ROWS, COLS, &layout, error));
    samp_weight_source source = {.name = "self-test",
                                 .format = format,
                                 .layout = &layout,
                                 .parts = (const void *const *)parts,
                                 .activation_bits = bits};
    samp_status status = samp_matrix_encode(format, &layout, t->random, parts, error);
    if (status == SAMP_OK) status = t->cpu->weight_create(t->device, &source, &weight, error);
    if (status == SAMP_OK) {
        samp_batch batch = {.n_tokens = TOKENS};
        samp_input input = {.kind = gated ? SAMP_INPUT_SILU : SAMP_INPUT_NORM,
                            .x = t->x,
                            .y = t->y,
                            .gain = t->gain,
                            .eps = 1e-5f};
        t->cpu->begin(t->device, &batch);
        t->cpu->matmul(t->device, TOKENS, &input, 1, (const samp_weight *const[]){weight},
                       (samp_tensor *const[]){t->out}, false);
        t->cpu->read(t->device, t->out, 0, OUT, t->to->values + t->to->n);
        status = t->cpu->sync(t->device, error);
        t->cpu->weight_release(t->device, weight);
    }
    samp_model_free_parts(parts);
    if (status == SAMP_OK) end_case(t->to, OUT, format->name, bits == 8 ? "a8" : "a16");
    return status;
}

static samp_status attend(tester *t, samp_kv_type type, samp_error *error)
{
    static const uint32_t blocks[2] = {1, 0};
    samp_kv_shape shape = {1, 2, KV_HEADS, HEAD_DIM, type};
    samp_kv *kv;
    SAMP_TRY(t->cpu->kv_create(t->device, &shape, &kv, error));
    samp_batch_seq seq = {.count = POSITIONS, .blocks = blocks};
    samp_batch batch = {.n_tokens = POSITIONS, .n_seqs = 1, .seqs = &seq};
    samp_attention attention = {.n_heads = HEADS,
                                .n_kv_heads = KV_HEADS,
                                .head_dim = HEAD_DIM,
                                .scale = 0.125f,
                                .rope = t->rope,
                                .q = t->q,
                                .k = t->k,
                                .v = t->v,
                                .out = t->attended};
    samp_status status = t->cpu->tensor_set(t->device, t->q, t->random, ATTENDED, error);
    if (status == SAMP_OK)
        status = t->cpu->tensor_set(t->device, t->k, t->random + 7, ATTENDED / 2, error);
    t->cpu->begin(t->device, &batch);
    t->cpu->attention(t->device, kv, &attention);
    t->cpu->read(t->device, t->attended, 0, ATTENDED, t->to->values + t->to->n);
    if (status == SAMP_OK) status = t->cpu->sync(t->device, error);
    t->cpu->kv_release(t->device, kv);
    if (status == SAMP_OK)
        end_case(t->to, ATTENDED, "attention", type == SAMP_KV_INT8 ? "int8" : "fp16");
    return status;
}

static samp_status run_cases(tester *t, samp_error *error)
{
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) {
        const samp_format *format = samp_format_get((samp_format_id)f);
        samp_layout layout;
        SAMP_TRY(format->layout(ROWS, COLS, &layout, error));
        int least = samp_integer_group(&layout, format->id) ? 8 : 16;
        for (int bits = least; bits <= 16; bits += 8)
            for (int gated = 0; gated < 2; gated++)
                SAMP_TRY(multiply(t, format, bits, gated, error));
    }
    SAMP_TRY(attend(t, SAMP_KV_FP16, error));
    return attend(t, SAMP_KV_INT8, error);
}

/* All tensors start with the random values. */
static samp_status make_tensors(tester *t, samp_error *error)
{
    const struct {
        samp_tensor **tensor;
        size_t n, from;
    } tensors[] = {{&t->x, TOKENS * COLS, 1},
                   {&t->y, TOKENS * COLS, 2},
                   {&t->gain, COLS, 3},
                   {&t->out, OUT, 4},
                   {&t->rope, POSITIONS * HEAD_DIM, 5},
                   {&t->q, ATTENDED, 0},
                   {&t->k, ATTENDED / 2, 7},
                   {&t->v, ATTENDED / 2, 11},
                   {&t->attended, ATTENDED, 0}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        SAMP_TRY(t->cpu->tensor_create(t->device, tensors[i].n, tensors[i].tensor, error));
        SAMP_TRY(t->cpu->tensor_set(t->device, *tensors[i].tensor, t->random + tensors[i].from,
                                    tensors[i].n, error));
    }
    return SAMP_OK;
}

static samp_status run_level(samp_cpu_level level, float *random, results *to, samp_error *error)
{
    tester t = {.cpu = samp_cpu_backend(), .random = random, .to = to};
    samp_device_options options = {.n_threads = 1};
    to->n = to->n_cases = 0;
    setenv("SAMP_CPU", samp_cpu_name(level), 1);
    samp_status status = t.cpu->open(&t.device, &options, error);
    if (status != SAMP_OK) return status;
    status = make_tensors(&t, error);
    if (status == SAMP_OK) status = run_cases(&t, error);
    samp_tensor *tensors[] = {t.x, t.y, t.gain, t.out, t.rope, t.q, t.k, t.v, t.attended};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (tensors[i]) t.cpu->tensor_release(t.device, tensors[i]);
    t.cpu->close(t.device);
    return status;
}

/* Error of the first case (fp32 weights, norm input) against double precision, relative. */
static double error_of_plain(const float *random, const float *got)
{
    double sum = 0, square = 0;
    const float *gain = random + 3;
    for (int token = 0; token < TOKENS; token++) {
        const float *x = random + 1 + token * COLS;
        double norm = 0;
        for (int c = 0; c < COLS; c++) norm += (double)x[c] * x[c];
        double r = 1 / sqrt(norm / COLS + 1e-5);
        for (int row = 0; row < ROWS; row++) {
            double y = 0;
            for (int c = 0; c < COLS; c++) y += x[c] * r * gain[c] * random[row * COLS + c];
            double d = got[token * ROWS + row] - y;
            sum += d * d, square += y * y;
        }
    }
    return sqrt(sum / square);
}

static void judge(samp_doctor *doctor, samp_cpu_level level, const results *want,
                  const results *got)
{
    size_t wrong = 0, first = 0;
    for (size_t c = 0, at = 0; c < want->n_cases; at = want->ends[c++])
        if (memcmp(want->values + at, got->values + at,
                   (want->ends[c] - at) * sizeof *want->values) != 0 &&
            wrong++ == 0)
            first = c;
    if (wrong)
        samp__check_bad(doctor, SAMP_DOCTOR_SELF_TEST, SAMP_VERDICT_BROKEN,
                        "export SAMP_CPU=scalar",
                        "%s: %zu of %zu kernels differ from plain C, first %s",
                        samp_cpu_name(level), wrong, want->n_cases, want->names[first]);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_SELF_TEST,
                       "%s: %zu products and attentions, the bits of plain C", samp_cpu_name(level),
                       want->n_cases);
}

static samp_status test_levels(samp_doctor *doctor, float *random, results *plain, results *fast,
                               samp_error *error)
{
    SAMP_TRY(run_level(SAMP_CPU_SCALAR, random, plain, error));
    double off = error_of_plain(random, plain->values);
    if (!(off < 1e-5))
        samp__check_bad(doctor, SAMP_DOCTOR_SELF_TEST, SAMP_VERDICT_BROKEN,
                        "ctest --test-dir build/release -R cpu",
                        "scalar: a product is off by %.1e of its size", off);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_SELF_TEST,
                       "scalar: within %.0e of a product in double precision", off);
    for (int level = SAMP_CPU_SCALAR + 1; level <= (int)samp_cpu_host(); level++) {
        SAMP_TRY(run_level((samp_cpu_level)level, random, fast, error));
        judge(doctor, (samp_cpu_level)level, plain, fast);
    }
    return SAMP_OK;
}

samp_status samp__check_kernels(samp_doctor *doctor, samp_error *error)
{
    size_t n = ATTENDED + 64;
    const char *given = getenv("SAMP_CPU");
    char *old = given ? samp_strdup(given) : NULL;
    float *random = samp_alloc(n, sizeof *random);
    results *both = samp_alloc(2, sizeof *both);
    size_t room = (size_t)CASES_MAX * OUT + (size_t)KV_TYPES * ATTENDED;
    for (int i = 0; both && i < 2; i++) both[i].values = samp_alloc(room, sizeof(float));
    samp_status status = SAMP_OK;
    if (!random || !both || !both[0].values || !both[1].values || (given && !old))
        status = samp_fail(error, SAMP_NOMEM, "out of memory for the self-test");
    if (status == SAMP_OK) {
        samp_prng prng = {3};
        for (size_t i = 0; i < n; i++) random[i] = (float)samp_prng_normal(&prng);
        status = test_levels(doctor, random, &both[0], &both[1], error);
        if (old)
            setenv("SAMP_CPU", old, 1);
        else
            unsetenv("SAMP_CPU");
    }
    for (int i = 0; both && i < 2; i++) samp_free(both[i].values);
    samp_free(both);
    samp_free(random);
    samp_free(old);
    return status;
}

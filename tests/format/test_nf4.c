/* NF4 against bitsandbytes' own bytes (tests/golden/nf4, made by tools/golden_bnb.py): codes,
 * scales, double quantization, offset, quant_state text and decoded values, through the flat
 * functions and the table. */
#include "support/golden.h"

#include "base/prng.h"
#include "format/convert.h"
#include "format/format.h"
#include "format/nf4.h"
#include "format/nf4_block.h"

#include <math.h>

static const char *const cases[] = {
    "gauss_f32",       "gauss_bf16",       "student_f16",  "student_bf16", "adversarial_f32",
    "adversarial_f16", "adversarial_bf16", "extreme_f32",  "extreme_f16",  "extreme_bf16",
    "one_f32",         "two_f32",          "n63_f32",      "n64_f32",      "n65_f16",
    "n96_bf16",        "zero_f32",         "zero_tail_f32"};
enum { N_CASES = sizeof cases / sizeof *cases };

static void equal_bytes(const golden_array *want, const void *have, const char *name,
                        const char *what)
{
    const uint8_t *bytes = have;
    for (uint64_t i = 0; i < want->n_bytes; i++)
        if (bytes[i] != want->data[i])
            fail_msg("%s: %s differs at byte %llu of %llu: %d, expected %d", name, what,
                     (unsigned long long)i, (unsigned long long)want->n_bytes, bytes[i],
                     want->data[i]);
}

/* Decoded floats against bitsandbytes' decode in the input's type. */
static void equal_decoded(const golden_array *want, const float *have, const char *name)
{
    for (uint64_t i = 0; i < want->n; i++) {
        uint32_t bits = 0, expected = 0;
        unsigned size = want->dtype == 4 ? 4 : 2;
        memcpy(&expected, want->data + size * i, size);
        bits = want->dtype == 4   ? samp_float_bits(have[i])
               : want->dtype == 2 ? samp_float_to_fp16(have[i])
                                  : samp_float_to_bf16(have[i]);
        if (bits != expected)
            fail_msg("%s: decoded value %llu is %08x, expected %08x", name, (unsigned long long)i,
                     bits, expected);
    }
}

static void flat_case(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "nf4/%s", name);
    golden_file file = golden_open(path);
    golden_array input = golden_get(&file, "input"), want;
    float *w = golden_floats(&input);
    uint64_t n = input.n, blocks = (n + 63) / 64, nested_blocks = (blocks + 255) / 256;
    uint8_t *codes = malloc((n + 1) / 2), *nested = malloc(blocks);
    float *absmax = malloc(blocks * 4), *nested_absmax = malloc(nested_blocks * 4), offset;
    float *decoded = malloc(n * 4);

    samp_nf4_encode(w, n, codes, absmax);
    want = golden_get(&file, "weight");
    assert_int_equal(want.n_bytes, (n + 1) / 2);
    equal_bytes(&want, codes, name, "weight");
    want = golden_get(&file, "plain.absmax");
    equal_bytes(&want, absmax, name, "absmax");
    samp_nf4_decode(codes, absmax, n, decoded);
    want = golden_get(&file, "plain.dequantized");
    equal_decoded(&want, decoded, name);

    samp_nf4_nest(absmax, blocks, nested, nested_absmax, &offset);
    want = golden_get(&file, "dq.absmax");
    equal_bytes(&want, nested, name, "nested codes");
    want = golden_get(&file, "dq.nested_absmax");
    equal_bytes(&want, nested_absmax, name, "nested absmax");
    samp_nf4_unnest(nested, nested_absmax, offset, blocks, absmax);
    samp_nf4_decode(codes, absmax, n, decoded);
    want = golden_get(&file, "dq.dequantized");
    equal_decoded(&want, decoded, name);

    free(w), free(codes), free(nested), free(absmax), free(nested_absmax), free(decoded);
    free(file.bytes);
}

/* At every level of this host. */
static void test_flat(void **unused)
{
    (void)unused;
    for (int level = SAMP_CPU_SCALAR; level <= (int)samp_cpu_host(); level++) {
        setenv("SAMP_CPU", samp_cpu_name((samp_cpu_level)level), 1);
        for (int i = 0; i < N_CASES; i++) flat_case(cases[i]);
    }
    unsetenv("SAMP_CPU");
}

/* The text of the golden, then only spaces. */
static void equal_state(const golden_array *want, const samp_nf4_state *state, const char *name)
{
    uint64_t bytes = samp_nf4_state_bytes(state);
    char *text = malloc(bytes);
    samp_nf4_state_write(state, text);
    assert_true(bytes >= want->n_bytes);
    equal_bytes(want, text, name, "quant_state");
    for (uint64_t i = want->n_bytes; i < bytes; i++) assert_int_equal(text[i], ' ');
    samp_nf4_state read;
    samp_error error;
    if (samp_nf4_state_read(text, bytes, name, &read, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    assert_int_equal(read.rows, state->rows);
    assert_int_equal(read.cols, state->cols);
    assert_int_equal(read.dtype, state->dtype);
    assert_int_equal(read.nested, state->nested);
    assert_memory_equal(&read.offset, &state->offset, 4);
    assert_true(samp__nf4_state_offset(text, bytes) == state->offset);
    free(text);
}

static void table_case(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "nf4/%s", name);
    golden_file file = golden_open(path);
    golden_array input = golden_get(&file, "input"), shape = golden_get(&file, "shape");
    float *w = golden_floats(&input);
    int32_t sides[2];
    memcpy(sides, shape.data, 8);
    static const struct {
        samp_format_id id;
        const char *prefix;
        int n_parts;
    } formats[] = {{SAMP_FORMAT_NF4, "dq", 6}, {SAMP_FORMAT_NF4_PLAIN, "plain", 4}};
    for (int f = 0; f < 2; f++) {
        const samp_format *format = samp_format_get(formats[f].id);
        samp_layout layout;
        samp_error error;
        assert_int_equal(format->layout((uint64_t)sides[0], (uint64_t)sides[1], &layout, &error),
                         0);
        assert_int_equal(layout.n_parts, formats[f].n_parts);
        void *parts[SAMP_PARTS_MAX];
        for (int p = 0; p < layout.n_parts; p++) parts[p] = malloc(layout.parts[p].bytes);
        float *work = calloc(layout.work_floats + 1, sizeof *work);
        samp_encode_options options = {0};
        format->encode(&layout, w, 0, layout.rows, &options, parts, work);
        assert_int_equal(format->finish(&layout, parts, work, &error), SAMP_OK);
        for (int p = 0; p < layout.n_parts; p++) {
            const char *suffix = layout.parts[p].suffix;
            golden_file maps = golden_open("nf4/maps");
            char entry[64];
            bool is_map = strstr(suffix, "quant_map") != NULL;
            bool is_state = strstr(suffix, "quant_state") != NULL;
            snprintf(entry, sizeof entry, "%s%s", is_map || p == 0 ? "" : formats[f].prefix,
                     p == 0   ? "weight"
                     : is_map ? suffix + 1
                              : suffix);
            golden_array want = golden_get(is_map ? &maps : &file, entry);
            if (!is_state) {
                assert_int_equal(layout.parts[p].bytes, want.n_bytes);
                equal_bytes(&want, parts[p], name, suffix);
            } else {
                samp_nf4_state state;
                assert_int_equal(
                    samp_nf4_state_read(parts[p], layout.parts[p].bytes, name, &state, &error), 0);
                assert_int_equal(state.dtype, SAMP_BF16);
                state.dtype = input.dtype == 4 ? SAMP_F32 : input.dtype == 2 ? SAMP_F16 : SAMP_BF16;
                equal_state(&want, &state, name);
            }
            free(maps.bytes);
        }
        if (format->check(&layout, (const void *const *)parts, name, &error) != SAMP_OK)
            fail_msg("%s", error.message);
        float *decoded = malloc(input.n * sizeof *decoded);
        format->decode(&layout, (const void *const *)parts, 0, layout.rows, decoded);
        golden_array want = golden_get(&file, f ? "plain.dequantized" : "dq.dequantized");
        equal_decoded(&want, decoded, name);
        for (int p = 0; p < layout.n_parts; p++) free(parts[p]);
        free(work), free(decoded);
    }
    free(w), free(file.bytes);
}

static void test_table(void **unused)
{
    (void)unused;
    for (int i = 0; i < N_CASES; i++) table_case(cases[i]);
}

/* The blockwise 8-bit step alone, over every map value and midpoint with its neighbours. */
static void test_dynamic8(void **unused)
{
    (void)unused;
    golden_file file = golden_open("nf4/dynamic8");
    golden_array input = golden_get(&file, "input"), want = golden_get(&file, "codes");
    float *x = golden_floats(&input), absmax[256], back;
    uint8_t *codes = malloc(input.n);
    assert_true(input.n <= sizeof absmax / sizeof *absmax * 256);
    samp__dynamic8_encode(x, input.n, 0, codes, absmax);
    equal_bytes(&want, codes, "dynamic8", "codes");
    want = golden_get(&file, "absmax");
    equal_bytes(&want, absmax, "dynamic8", "absmax");
    want = golden_get(&file, "dequantized");
    for (uint64_t i = 0; i < input.n; i++) {
        samp_nf4_unnest(codes + i, absmax + i / 256, 0, 1, &back);
        float expected;
        memcpy(&expected, want.data + 4 * i, 4);
        assert_true(back == expected);
    }
    free(x), free(codes), free(file.bytes);
}

/* The golden's generator: 0.5 … 1.5 in steps of 2^-24. */
static float golden_uniform(uint64_t seed, uint64_t i)
{
    uint64_t x = (i + 1 + (seed << 32)) * 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return (float)(x >> 40) / 16777216.0f + 0.5f;
}

static void test_mean(void **unused)
{
    (void)unused;
    golden_file file = golden_open("nf4/mean");
    golden_array lengths = golden_get(&file, "length"), means = golden_get(&file, "mean");
    for (uint64_t k = 0; k < lengths.n; k++) {
        int32_t n;
        float want, offset;
        memcpy(&n, lengths.data + 4 * k, 4);
        memcpy(&want, means.data + 4 * k, 4);
        uint64_t length = (uint64_t)n;
        float *x = malloc(length * 4), *nested = malloc((length / 256 + 1) * 4);
        uint8_t *codes = malloc(length);
        for (uint64_t i = 0; i < length; i++) x[i] = golden_uniform(length, i);
        samp_nf4_nest(x, length, codes, nested, &offset);
        if (offset != want) fail_msg("mean of %d numbers is %.9g, expected %.9g", n, offset, want);
        free(x), free(nested), free(codes);
    }
    free(file.bytes);
}

/* Texts of Python's repr, for exponents and digits the goldens do not have. */
static void test_offset_text(void **unused)
{
    (void)unused;
    static const struct {
        float offset;
        const char *text;
    } texts[] = {{0.0f, "0.0"},
                 {-0.0f, "-0.0"},
                 {1.0f, "1.0"},
                 {100.0f, "100.0"},
                 {-2.5f, "-2.5"},
                 {0.1f, "0.10000000149011612"},
                 {1e-4f, "9.999999747378752e-05"},
                 {0x1p-13f, "0.0001220703125"},
                 {0x1p-14f, "6.103515625e-05"},
                 {0x1p-149f, "1.401298464324817e-45"},
                 {1e16f, "1.0000000272564224e+16"},
                 {0x1p53f, "9007199254740992.0"},
                 {3.4028234663852886e38f, "3.4028234663852886e+38"},
                 {-1.17549435e-38f, "-1.1754943508222875e-38"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        samp_nf4_state state = {
            .rows = 4, .cols = 64, .dtype = SAMP_BF16, .nested = true, .offset = texts[i].offset};
        char want[300];
        int n = snprintf(want, sizeof want,
                         "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", "
                         "\"shape\": [4, 64], \"nested_blocksize\": 256, \"nested_dtype\": "
                         "\"float32\", \"nested_offset\": %s}",
                         texts[i].text);
        golden_array array = {.n_bytes = (uint64_t)n, .data = (const uint8_t *)want};
        equal_state(&array, &state, texts[i].text);
    }
}

/* Every way a quant_state can be wrong is an error with a sentence. */
static void test_bad_state(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"quant_type\": \"fp4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [4, 64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 128, \"dtype\": \"bfloat16\", \"shape\": [4, "
        "64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"int8\", \"shape\": [4, 64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [4, "
        "-64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": []}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\"}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [4, "
        "9223372036854775807, 9223372036854775807]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [4, 64], "
        "\"nested_blocksize\": 256, \"nested_dtype\": \"float32\", \"nested_offset\": 1e300}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [4, 64], "
        "\"nested_blocksize\": 256, \"nested_dtype\": \"float32\"}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [4, 64], "
        "\"x\": {\"nested_offset\": 2.0}, \"nested_blocksize\": 256, \"nested_dtype\": "
        "\"float32\", "
        "\"nested_offset\": 1.0}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        samp_nf4_state state;
        samp_error error = {0};
        if (samp_nf4_state_read(texts[i], strlen(texts[i]), "w", &state, &error) == SAMP_OK)
            fail_msg("accepted: %s", texts[i]);
        assert_true(strncmp(error.message, "w: ", 3) == 0);
    }
}

/* Rows of 16 bits, or floats, as a file has them: the same parts as from their floats, and the largest
 * magnitude; NaN and infinity in any block are seen. */
static void test_stored(void **unused)
{
    (void)unused;
    enum { ROWS = 5, COLS = 451, N = ROWS * COLS }; /* two runs, and a short block at the end */
    static float w[N];
    static uint16_t halves[N];
    for (int f = 0; f < 6; f++) {
        const samp_format *format =
            samp_format_get(f % 2 ? SAMP_FORMAT_NF4 : SAMP_FORMAT_NF4_PLAIN);
        samp_dtype dtype = (samp_dtype[]){SAMP_F32, SAMP_F16, SAMP_BF16}[f / 2];
        samp_layout layout;
        samp_error error;
        assert_int_equal(format->layout(ROWS, COLS, &layout, &error), SAMP_OK);
        samp_prng prng = {9};
        for (int i = 0; i < N; i++) w[i] = (float)samp_prng_normal(&prng);
        if (dtype == SAMP_F16)
            samp_fp16_from_floats(w, N, halves), samp_fp16_to_floats(halves, N, w);
        if (dtype == SAMP_BF16)
            samp_bf16_from_floats(w, N, halves), samp_bf16_to_floats(halves, N, w);
        uint8_t codes[2][N] = {{0}}, absmax[2][4 * N] = {{0}};
        float work[2][N] = {{0}};
        void *const want[] = {codes[0], absmax[0]}, *const got[] = {codes[1], absmax[1]};
        const void *stored = dtype == SAMP_F32 ? (const void *)w : halves;
        format->encode(&layout, w, 0, ROWS, &(samp_encode_options){0}, want, work[0]);
        uint32_t magnitude = format->encode_stored(&layout, dtype, stored, 0, ROWS, got, work[1]);
        assert_int_equal(magnitude, samp_magnitude_bits(SAMP_F32, w, N));
        assert_memory_equal(codes[0], codes[1], sizeof codes[0]);
        assert_memory_equal(absmax[0], absmax[1], sizeof absmax[0]);
        assert_memory_equal(work[0], work[1], sizeof work[0]);
        static const int places[] = {0, 1500, N - 1};
        for (int i = 0; i < 6; i++) {
            int at = places[i / 2];
            uint16_t half = halves[at], bad = dtype == SAMP_F16 ? 0x7c00 : 0x7f80;
            float value = w[at];
            halves[at] = (uint16_t)(bad | i % 2); /* infinity; a NaN */
            w[at] = i % 2 ? -NAN : INFINITY;
            magnitude = format->encode_stored(&layout, dtype, stored, 0, ROWS, got, work[1]);
            assert_true(magnitude >= 0x7f800000);
            halves[at] = half, w[at] = value;
        }
    }
}

/* Weights whose scales cannot be averaged in a float are refused, not written as Infinity. */
static void test_overflow(void **unused)
{
    (void)unused;
    const samp_format *format = samp_format_get(SAMP_FORMAT_NF4);
    samp_layout layout;
    samp_error error;
    enum { ROWS = 4, COLS = 64 };
    float w[ROWS * COLS], work[ROWS] = {0};
    for (int i = 0; i < ROWS * COLS; i++) w[i] = 3e38f;
    assert_int_equal(format->layout(ROWS, COLS, &layout, &error), SAMP_OK);
    void *parts[SAMP_PARTS_MAX];
    for (int p = 0; p < layout.n_parts; p++) parts[p] = malloc(layout.parts[p].bytes);
    samp_encode_options options = {0};
    format->encode(&layout, w, 0, ROWS, &options, parts, work);
    assert_int_equal(format->finish(&layout, parts, work, &error), SAMP_NUMERIC);
    for (int p = 0; p < layout.n_parts; p++) free(parts[p]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat),        cmocka_unit_test(test_table),
        cmocka_unit_test(test_dynamic8),    cmocka_unit_test(test_mean),
        cmocka_unit_test(test_offset_text), cmocka_unit_test(test_bad_state),
        cmocka_unit_test(test_stored),      cmocka_unit_test(test_overflow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

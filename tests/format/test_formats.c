/* What holds for every format of the table: sizes, names, panels, hostile input, integer forms,
 * checks. How accurate the formats are: test_accuracy.c. */
#include "encoded.h"

#include "base/half.h"
#include "format/bits.h"
#include "format/nf4.h"

#include <float.h>

static const uint64_t shapes[][2] = {{1, 1},   {1, 64},    {3, 172},  {5, 63},   {7, 65},
                                     {64, 64}, {130, 172}, {66, 320}, {2, 1536}, {129, 33}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* Blocks run over rows. */
static bool is_flat(samp_format_id id)
{
    return id == SAMP_FORMAT_NF4 || id == SAMP_FORMAT_NF4_PLAIN;
}

static uint64_t ceil_div(uint64_t n, uint64_t d) { return (n + d - 1) / d; }

/* Bytes by formulas written here a second time. */
static uint64_t expected_bytes(samp_format_id id, uint64_t rows, uint64_t cols)
{
    uint64_t n = rows * cols, groups = ceil_div(cols, 64), blocks = ceil_div(n, 64);
    samp_nf4_state state = {.rows = rows, .cols = cols, .dtype = SAMP_BF16};
    uint64_t plain_text = samp_nf4_state_bytes(&state);
    state.nested = true;
    uint64_t nested_text = samp_nf4_state_bytes(&state);
    switch (id) {
    case SAMP_FORMAT_FP32: return 4 * n;
    case SAMP_FORMAT_BF16:
    case SAMP_FORMAT_FP16: return 2 * n;
    case SAMP_FORMAT_FP8: return n + 4 * rows;
    case SAMP_FORMAT_FP8_G64: return n + 4 * rows * groups;
    case SAMP_FORMAT_INT8: return n + rows * groups + 4 * rows;
    case SAMP_FORMAT_LLM_INT8: return n + 4 * rows + 1;
    case SAMP_FORMAT_INT6:
    case SAMP_FORMAT_NF6A: return rows * groups * 49 + 4 * rows;
    case SAMP_FORMAT_INT5:
    case SAMP_FORMAT_NF5A: return rows * groups * 41 + 4 * rows;
    case SAMP_FORMAT_NF4:
        return ceil_div(n, 2) + blocks + 64 + 4 * ceil_div(blocks, 256) + 1024 + nested_text;
    case SAMP_FORMAT_NF4_PLAIN: return ceil_div(n, 2) + 4 * blocks + 64 + plain_text;
    case SAMP_FORMAT_NF4A: return rows * ceil_div(cols, 2) + rows * groups + 4 * rows;
    case SAMP_FORMAT_NF4A_G32:
        return rows * ceil_div(cols, 2) + rows * ceil_div(cols, 32) + 4 * rows;
    default: return 0;
    }
}

static void test_layout(void **unused)
{
    (void)unused;
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) {
        const samp_format *format = samp_format_get((samp_format_id)f);
        assert_int_equal(format->id, f);
        for (int s = 0; s < N_SHAPES; s++) {
            samp_layout layout;
            assert_int_equal(format->layout(shapes[s][0], shapes[s][1], &layout, NULL), SAMP_OK);
            uint64_t sum = 0;
            for (int p = 0; p < layout.n_parts; p++) {
                const samp_part *part = &layout.parts[p];
                uint64_t n = part->rank ? part->shape[0] : 1;
                if (part->rank == 2) n *= part->shape[1];
                assert_int_equal(part->bytes, n * samp_dtype_bits(part->dtype) / 8);
                assert_true(p > 0 || part->suffix[0] == '\0');
                sum += part->bytes;
            }
            assert_int_equal(layout.bytes, sum);
            assert_int_equal(layout.bytes, expected_bytes(format->id, shapes[s][0], shapes[s][1]));
        }
        samp_error error;
        samp_layout layout;
        assert_int_equal(format->layout(0, 64, &layout, &error), SAMP_INVALID);
        assert_int_equal(format->layout(64, 0, &layout, &error), SAMP_INVALID);
        assert_int_equal(format->layout(UINT64_MAX, 2, &layout, &error), SAMP_LIMIT);
        assert_int_equal(format->layout((uint64_t)1 << 32, (uint64_t)1 << 32, &layout, &error),
                         SAMP_LIMIT);
    }
    /* A plan's bits for a Llama-3-70B MLP matrix (research/quant.md: 4.127 for NF4 with nested
     * scales). */
    assert_true(fabs(samp_format_bits(samp_format_find("nf4"), 28672, 8192) - 4.12695) < 1e-4);
    assert_true(fabs(samp_format_bits(samp_format_find("int5"), 28672, 8192) - 5.1289) < 1e-3);
}

static void test_names(void **unused)
{
    (void)unused;
    assert_string_equal(
        samp_format_names(),
        "fp32, bf16, fp16, fp8_e4m3, fp8_e4m3_g64, int8, llm_int8, int6, int5, nf6a, nf5a, nf4, "
        "nf4_plain, nf4a, nf4a_g32");
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) {
        const samp_format *format = samp_format_get((samp_format_id)f);
        assert_ptr_equal(samp_format_find(format->name), format);
    }
    assert_null(samp_format_find("nf"));
    assert_null(samp_format_find(""));
    samp_dtype dtype;
    for (int d = 0; d < SAMP_DTYPE_COUNT; d++) {
        const char *name = samp_dtype_name((samp_dtype)d);
        assert_true(samp_dtype_parse(name, strlen(name), &dtype));
        assert_int_equal(dtype, d);
        assert_false(samp_dtype_parse(name, strlen(name) - 1, &dtype) && dtype == (samp_dtype)d);
    }
    assert_false(samp_dtype_parse("f32", 3, &dtype));
}

static void test_part_names(void **unused)
{
    (void)unused;
    char out[32];
    samp_error error;
    samp_part scale = {.suffix = "_scale"}, scb = {.suffix = "!.SCB"};
    assert_int_equal(samp_part_name(out, sizeof out, "a.weight", &scale, &error), SAMP_OK);
    assert_string_equal(out, "a.weight_scale");
    assert_int_equal(samp_part_name(out, sizeof out, "a.weight", &scb, &error), SAMP_OK);
    assert_string_equal(out, "a.SCB");
    assert_int_equal(samp_part_name(out, sizeof out, "a.bias", &scb, &error), SAMP_INVALID);
    assert_int_equal(samp_part_name(out, sizeof out, "weight", &scb, &error), SAMP_INVALID);
    assert_int_equal(samp_part_name(out, 14, "a.weight", &scale, &error), SAMP_LIMIT);
    assert_int_equal(samp_part_name(out, 15, "a.weight", &scale, &error), SAMP_OK);
    assert_int_equal(samp_part_name(out, 3, "a.weight", &scale, &error), SAMP_LIMIT);
}

/* The parts of the panel that starts at a row. */
static void panel_parts(const encoded *e, uint64_t row, const void *parts[SAMP_PARTS_MAX])
{
    uint64_t row_bytes = e->layout.parts[0].bytes / e->layout.rows;
    memcpy(parts, e->parts, sizeof e->parts);
    parts[0] = (const uint8_t *)e->parts[0] +
               (is_flat(e->format->id) ? row * e->layout.cols / 2 : row * row_bytes);
}

/* Decodes by panels, from parts that start at odd addresses as in a mapped file. */
static void check_decode(const encoded *e)
{
    uint64_t rows = e->layout.rows, cols = e->layout.cols;
    float *all = decode_matrix(e), *part = malloc(rows * cols * sizeof *part);
    encoded odd = *e;
    for (int p = 0; p < e->layout.n_parts; p++) {
        uint8_t *copy = malloc(e->layout.parts[p].bytes + 1);
        memcpy(copy + 1, e->parts[p], e->layout.parts[p].bytes);
        odd.parts[p] = copy + 1;
    }
    for (uint64_t row = 0; row < rows; row += SAMP_PANEL_ROWS) {
        uint64_t n = rows - row < SAMP_PANEL_ROWS ? rows - row : SAMP_PANEL_ROWS;
        const void *parts[SAMP_PARTS_MAX];
        panel_parts(&odd, row, parts);
        e->format->decode(&e->layout, parts, row, n, part + row * cols);
    }
    assert_memory_equal(all, part, rows * cols * sizeof *all);
    if (!is_flat(e->format->id) || cols % 64 == 0) { /* the last row alone */
        const void *parts[SAMP_PARTS_MAX];
        panel_parts(&odd, rows - 1, parts);
        e->format->decode(&e->layout, parts, rows - 1, 1, part);
        assert_memory_equal(all + (rows - 1) * cols, part, cols * sizeof *all);
    }
    for (int p = 0; p < e->layout.n_parts; p++) free((uint8_t *)odd.parts[p] - 1);
    free(all), free(part);
}

static void check_panels(samp_format_id id, uint64_t rows, uint64_t cols,
                         const samp_encode_options *options)
{
    float *w = gaussian_matrix(rows, cols, 0.02, 7);
    encoded whole = encode_matrix(id, w, rows, cols, options, 0);
    encoded panels = encode_matrix(id, w, rows, cols, options, SAMP_PANEL_ROWS);
    for (int p = 0; p < whole.layout.n_parts; p++)
        assert_memory_equal(whole.parts[p], panels.parts[p], whole.layout.parts[p].bytes);
    check_decode(&whole);
    encoded_release(&whole), encoded_release(&panels);
    free(w);
}

static void test_panels(void **unused)
{
    (void)unused;
    float moment[1536];
    for (int i = 0; i < 1536; i++) moment[i] = (float)(1 + i % 7);
    const samp_encode_options plain = {0}, search = {.search = true, .input_moment = moment};
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++)
        for (int s = 0; s < N_SHAPES; s++) {
            check_panels((samp_format_id)f, shapes[s][0], shapes[s][1], &plain);
            check_panels((samp_format_id)f, shapes[s][0], shapes[s][1], &search);
        }
}

/* Rows that break quantizers: each must come back finite, within its format's reach. */
static void fill_adversarial(float *w, uint64_t rows, uint64_t cols)
{
    samp_prng prng = {5};
    for (uint64_t i = 0; i < rows * cols; i++) {
        uint64_t row = i / cols, col = i % cols;
        float normal = (float)samp_prng_normal(&prng);
        float *x = &w[i];
        switch (row % 10) {
        case 0: *x = 0; break;
        case 1: *x = -0.0f; break;
        case 2: *x = col == 17 % cols ? -50 : 1e-3f * normal; break;
        case 3: *x = col % 64 == 63 ? 3 : 0; break;
        case 4: *x = 1e-42f * normal; break; /* subnormal */
        case 5: *x = FLT_MIN * normal; break;
        case 6: *x = 1e35f * normal; break; /* huge */
        case 7: *x = col % 2 ? -0.3f : 0.3f; break;
        case 8: *x = col < 64 ? 1e-12f * normal : normal; break; /* groups far apart */
        default: *x = col < 64 ? 1e6f * normal : 1e-6f * normal; break;
        }
    }
}

static void test_adversarial(void **unused)
{
    (void)unused;
    static const uint64_t widths[] = {1, 33, 64, 172, 320};
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++)
        for (size_t k = 0; k < sizeof widths / sizeof *widths; k++)
            for (int search = 0; search < 2; search++) {
                uint64_t rows = 20, cols = widths[k];
                if (f == SAMP_FORMAT_FP16)
                    continue; /* 1e35 is out of its range: the caller checks */
                float *w = malloc(rows * cols * sizeof *w);
                fill_adversarial(w, rows, cols);
                samp_encode_options options = {.search = search};
                encoded e = encode_matrix((samp_format_id)f, w, rows, cols, &options, 0);
                samp_error error;
                if (e.format->check && e.format->check(&e.layout, (const void *const *)e.parts, "w",
                                                       &error) != SAMP_OK)
                    fail_msg("%s", error.message);
                float *back = decode_matrix(&e);
                for (uint64_t i = 0; i < rows * cols; i++) {
                    assert_true(isfinite(back[i]));
                    uint64_t row = i / cols;
                    if (row % 10 < 2 && !is_flat((samp_format_id)f)) assert_true(back[i] == 0);
                    if (row % 10 == 7 && !is_flat((samp_format_id)f))
                        assert_true(fabsf(back[i] - w[i]) < 0.04f);
                    if (row % 10 == 2 && !is_flat((samp_format_id)f) && !search &&
                        i % cols == 17 % cols)
                        assert_true(fabsf(back[i] - w[i]) < 5);
                }
                free(w), free(back), encoded_release(&e);
            }
}

/* The same rows one panel at a time. */
static void check_integer_panels(const encoded *e, const samp_integer_rows *whole)
{
    uint64_t rows = e->layout.rows, cols = e->layout.cols, padded = ceil_div(cols, 64) * 64;
    samp_format_id id = e->format->id;
    uint64_t groups = padded / (uint64_t)samp_integer_group(&e->layout, id);
    for (uint64_t row = 0; row < rows; row += SAMP_PANEL_ROWS) {
        uint64_t n = rows - row < SAMP_PANEL_ROWS ? rows - row : SAMP_PANEL_ROWS;
        samp_integer_rows form = {.t = malloc(n * padded),
                                  .scale = malloc(n * groups * sizeof(float))};
        const void *parts[SAMP_PARTS_MAX];
        panel_parts(e, row, parts);
        samp_integer_form(id, &e->layout, parts, row, n, &form);
        assert_memory_equal(form.t, whole->t + row * padded, n * padded);
        assert_memory_equal(form.scale, whole->scale + row * groups, n * groups * sizeof(float));
        free(form.t), free(form.scale);
    }
}

static void check_integer_form(samp_format_id id, uint64_t rows, uint64_t cols)
{
    float *w = gaussian_matrix(rows, cols, 0.02, 17);
    encoded e = encode_matrix(id, w, rows, cols, NULL, 0);
    int group = samp_integer_group(&e.layout, id);
    bool has_form = id > SAMP_FORMAT_FP8, flat = is_flat(id);
    if (flat && cols % 64 != 0) has_form = false;
    assert_int_equal(group, !has_form ? 0 : id == SAMP_FORMAT_NF4A_G32 ? 32 : 64);
    if (group) {
        uint64_t padded = ceil_div(cols, 64) * 64, groups = padded / (uint64_t)group;
        samp_integer_rows form = {.t = malloc(rows * padded),
                                  .scale = malloc(rows * groups * sizeof(float))};
        memset(form.t, 77, rows * padded);
        samp_integer_form(id, &e.layout, (const void *const *)e.parts, 0, rows, &form);
        float *back = decode_matrix(&e);
        for (uint64_t row = 0; row < rows; row++)
            for (uint64_t col = 0; col < padded; col++) {
                int8_t t = form.t[row * padded + col];
                float scale = form.scale[row * groups + col / (uint64_t)group];
                if (col >= cols) {
                    assert_int_equal(t, 0);
                    continue;
                }
                float exact = back[row * cols + col], value = scale * (float)t;
                if (flat)
                    assert_true(fabsf(value - exact) <= 0.5f * fabsf(scale) * 1.0001f);
                else if (id == SAMP_FORMAT_FP8_G64)
                    assert_true(fabsf(value - exact) <= 0.5f * scale * 1.0001f);
                else if (id == SAMP_FORMAT_LLM_INT8) /* its scale is rounded first */
                    assert_true(fabsf(value - exact) <= fabsf(exact) * 0x1p-23f);
                else
                    assert_true(value == exact);
            }
        check_integer_panels(&e, &form);
        free(form.t), free(form.scale), free(back);
    }
    free(w), encoded_release(&e);
}

static const int8_t nf4a_table[16] = {-96, -72, -56, -44, -32, -22, -12, -2,
                                      7,   16,  26,  36,  48,  60,  80,  104};

/* nf5a and nf6a: the second half of the codes are the complements of the first, which are the
 * magnitudes; zero is nearest to code 0, the positive one of the two that are nearest. */
static void check_magnitudes(samp_format_id id)
{
    static const uint8_t magnitude5[16] = {2,  7,  12, 17, 23, 29, 35,  42,
                                           48, 56, 64, 72, 82, 92, 105, 126};
    static const uint8_t magnitude6[32] = {1,  3,  6,  9,  11, 14, 17,  20,  22,  25, 28,
                                           31, 34, 38, 41, 44, 48, 52,  55,  59,  63, 68,
                                           72, 77, 81, 86, 92, 97, 103, 109, 116, 126};
    int n;
    const int8_t *codebook = samp_integer_codebook(id, &n);
    const uint8_t *magnitude = id == SAMP_FORMAT_NF5A ? magnitude5 : magnitude6;
    assert_int_equal(n, id == SAMP_FORMAT_NF5A ? 32 : 64);
    for (int i = 0; i < n / 2; i++) {
        assert_int_equal(codebook[i], magnitude[i]);
        assert_int_equal(codebook[n / 2 + i], -1 - magnitude[i]);
    }
}

static void test_codebooks(void **unused)
{
    (void)unused;
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) {
        int n;
        const samp_format *format = samp_format_get((samp_format_id)f);
        const int8_t *codebook = samp_integer_codebook((samp_format_id)f, &n);
        bool wanted = strncmp(format->name, "nf", 2) == 0;
        assert_int_equal(n, wanted ? 1 << (int)format->code_bits : 0);
        assert_int_equal(codebook != NULL, wanted);
        if (n > 16) check_magnitudes((samp_format_id)f);
        for (int c = 0; n == 16 && c < n; c++) {
            if (f == SAMP_FORMAT_NF4 || f == SAMP_FORMAT_NF4_PLAIN) {
                assert_int_equal(codebook[c], lrint(124.1 * (double)samp_nf4_code[c]));
                continue;
            }
            /* nf4a: DESIGN.md's table; every value is exact in FP8 E4M3 too */
            assert_int_equal(codebook[c], nf4a_table[c]);
            assert_true(samp_e4m3_to_float(samp_float_to_e4m3(codebook[c])) == codebook[c]);
        }
    }
}

static void test_integer_form(void **unused)
{
    (void)unused;
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++)
        for (int s = 0; s < N_SHAPES; s++)
            check_integer_form((samp_format_id)f, shapes[s][0], shapes[s][1]);
}

/* Every weight gets the value of the table that is nearest to it, a tie the lower. */
static void test_nearest_value(void **unused)
{
    (void)unused;
    static const samp_format_id ids[] = {SAMP_FORMAT_NF5A, SAMP_FORMAT_NF6A};
    for (int k = 0; k < 2; k++) {
        int n;
        const int8_t *codebook = samp_integer_codebook(ids[k], &n);
        float w[64] = {-127}; /* so that the scale is 1 */
        for (int round = 0; round < 8; round++) {
            for (int i = 1; i < 64; i++) w[i] = (float)(round * 63 + i - 253) / 2;
            encoded e = encode_matrix(ids[k], w, 1, 64, NULL, 0);
            float *back = decode_matrix(&e);
            for (int i = 0; i < 64; i++) {
                float best = -127;
                for (int c = 0; c < n; c++) {
                    float old = fabsf(best - w[i]), new = fabsf((float)codebook[c] - w[i]);
                    if (new < old || (new == old && (float)codebook[c] < best))
                        best = (float)codebook[c];
                }
                assert_true(back[i] == best);
            }
            free(back), encoded_release(&e);
        }
    }
}

static void test_bit_planes(void **unused)
{
    (void)unused;
    samp_prng prng = {21};
    uint8_t u[64], back[64], nibbles[32], high[16];
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 64; i++) u[i] = (uint8_t)samp_prng_below(&prng, 64);
        samp_int6_pack(u, nibbles, high);
        samp_int6_unpack(nibbles, high, back);
        assert_memory_equal(u, back, 64);
        assert_int_equal(high[3] >> 4 & 3, u[35] >> 4);
        for (int i = 0; i < 64; i++) u[i] &= 31;
        samp_int5_pack(u, nibbles, high);
        samp_int5_unpack(nibbles, high, back);
        assert_memory_equal(u, back, 64);
        assert_int_equal(nibbles[7], (u[7] & 15) | (u[39] & 15) << 4);
        assert_int_equal(high[5] >> 2 & 1, u[42] >> 4);
    }
}

/* Damaged scales are found, and the message names the tensor. */
static void test_check(void **unused)
{
    (void)unused;
    enum { ROWS = 2, COLS = 128 };
    float *w = gaussian_matrix(ROWS, COLS, 0.02, 19), nan = NAN, negative = -2, huge = 1e38f;
    samp_error error;
    for (int f = SAMP_FORMAT_FP8; f < SAMP_FORMAT_COUNT; f++) {
        encoded e = encode_matrix((samp_format_id)f, w, ROWS, COLS, NULL, 0);
        const void *const *parts = (const void *const *)e.parts;
        assert_int_equal(e.format->check(&e.layout, parts, "w", &error), SAMP_OK);
        for (int p = 1; p < e.layout.n_parts; p++) {
            if (e.layout.parts[p].dtype == SAMP_U8 && strstr(e.layout.parts[p].suffix, "absmax"))
                continue; /* every code is valid */
            uint8_t *bytes = e.parts[p], saved[4];
            size_t n = e.layout.parts[p].bytes < 4 ? e.layout.parts[p].bytes : 4;
            memcpy(saved, bytes, n);
            if (e.layout.parts[p].dtype == SAMP_F32) {
                memcpy(bytes, &nan, 4);
                assert_int_not_equal(e.format->check(&e.layout, parts, "w", &error), SAMP_OK);
                assert_true(error.message[0] == 'w');
                memcpy(bytes, &negative, 4);
                assert_int_equal(e.format->check(&e.layout, parts, "w", &error), SAMP_CORRUPT);
                if (f == SAMP_FORMAT_FP8 || f == SAMP_FORMAT_INT8 || f == SAMP_FORMAT_LLM_INT8) {
                    memcpy(bytes, &huge, 4);
                    assert_int_equal(e.format->check(&e.layout, parts, "w", &error), SAMP_CORRUPT);
                }
            } else {
                bytes[0] = 0x80; /* scale code -128, or the first byte of a text */
                assert_int_equal(e.format->check(&e.layout, parts, "w", &error), SAMP_CORRUPT);
            }
            memcpy(bytes, saved, n);
        }
        encoded_release(&e);
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_part_names),  cmocka_unit_test(test_panels),
        cmocka_unit_test(test_adversarial), cmocka_unit_test(test_integer_form),
        cmocka_unit_test(test_codebooks),   cmocka_unit_test(test_nearest_value),
        cmocka_unit_test(test_bit_planes),  cmocka_unit_test(test_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

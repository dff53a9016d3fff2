/* LLM.int8 rows against bitsandbytes' own bytes (tests/golden/nf4/llm_int8.bin, made by
 * tools/golden_bnb.py), and what that file does not hold: zeros, and numbers FP16 has not. */
#include "support/golden.h"

#include "format/encoded.h"

#include <math.h>

static void rows_equal_bitsandbytes(void **state)
{
    (void)state;
    golden_file file = golden_open("nf4/llm_int8");
    golden_array input = golden_get(&file, "input"), shape = golden_get(&file, "shape");
    golden_array codes = golden_get(&file, "CB"), scales = golden_get(&file, "SCB");
    golden_array values = golden_get(&file, "dequantized");
    uint32_t size[2];
    memcpy(size, shape.data, sizeof size);
    float *w = golden_floats(&input);
    for (uint64_t panel = 0; panel <= 5; panel += 5) { /* whole, and in panels */
        encoded e = encode_matrix(SAMP_FORMAT_LLM_INT8, w, size[0], size[1], NULL, panel);
        assert_int_equal(codes.n_bytes, e.layout.parts[0].bytes);
        assert_memory_equal(e.parts[0], codes.data, codes.n_bytes);
        assert_int_equal(scales.n_bytes, e.layout.parts[1].bytes);
        assert_memory_equal(e.parts[1], scales.data, scales.n_bytes);
        assert_int_equal(*(uint8_t *)e.parts[2], 0);
        float *back = decode_matrix(&e);
        assert_memory_equal(back, values.data, values.n_bytes);
        free(back);
        encoded_release(&e);
    }
    free(w);
    free(file.bytes);
}

static void names_and_sizes(void **state)
{
    (void)state;
    samp_layout layout;
    samp_error error;
    char name[128];
    const samp_format *format = samp_format_find("llm_int8");
    assert_int_equal(format->layout(3, 70, &layout, &error), SAMP_OK);
    assert_int_equal(layout.bytes, 3 * 70 + 3 * 4 + 1);
    assert_int_equal(samp_part_name(name, sizeof name, "a.q_proj.weight", &layout.parts[1], &error),
                     SAMP_OK);
    assert_string_equal(name, "a.q_proj.SCB");
    assert_int_equal(samp_part_name(name, sizeof name, "a.q_proj.weight", &layout.parts[2], &error),
                     SAMP_OK);
    assert_string_equal(name, "a.q_proj.weight_format");
    assert_int_equal(layout.parts[2].rank, 0);
    assert_int_equal(layout.parts[2].bytes, 1);
}

static void beyond_half_precision(void **state)
{
    (void)state;
    enum { COLS = 300 };
    float w[3 * COLS] = {0}; /* the first row stays zero */
    w[COLS] = 1e6f, w[COLS + 299] = -70000, w[COLS + 1] = 65504 / 2.0f;
    w[2 * COLS + 7] = 1e-9f; /* zero in FP16 */
    encoded e = encode_matrix(SAMP_FORMAT_LLM_INT8, w, 3, COLS, NULL, 0);
    const float *scale = e.parts[1];
    const int8_t *codes = e.parts[0];
    assert_true(scale[0] == 0 && scale[1] == 65504 && scale[2] == 0);
    assert_int_equal(codes[COLS], 127);
    assert_int_equal(codes[COLS + 1], 64);
    assert_int_equal(codes[COLS + 299], -127);
    assert_int_equal(codes[2 * COLS + 7], 0);
    const void *const *parts = (const void *const *)e.parts;
    samp_error error;
    assert_int_equal(e.format->check(&e.layout, parts, "w", &error), SAMP_OK);
    *(uint8_t *)e.parts[2] = 2; /* an order of bytes of older bitsandbytes */
    assert_int_equal(e.format->check(&e.layout, parts, "w", &error), SAMP_UNSUPPORTED);
    assert_non_null(strstr(error.message, "weight_format is 2"));
    encoded_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_equal_bitsandbytes),
                                       cmocka_unit_test(names_and_sizes),
                                       cmocka_unit_test(beyond_half_precision)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How accurate each format is: the largest error of a weight, the relative RMS error on Gaussian
 * weights with and without the scale search, small groups beside large ones, importance-weighted
 * search. */
#include "encoded.h"

/* Largest error of one weight as a share of its group's (row's, block's) largest weight. */
static double error_bound(samp_format_id id)
{
    switch (id) {
    case SAMP_FORMAT_FP32: return 0;
    case SAMP_FORMAT_BF16: return 0x1p-8;
    case SAMP_FORMAT_FP16: return 0x1p-11 + 1e-6;
    case SAMP_FORMAT_FP8:
    case SAMP_FORMAT_FP8_G64: return 16.0 / 448 * 1.0001;
    /* half a step, and a step made larger by the rounding of the scale (up to 1 in code) */
    case SAMP_FORMAT_INT8: return 0.5 / 127 * 1.05;
    case SAMP_FORMAT_LLM_INT8:
        return 0.5 / 127 + 0x1p-11; /* of FP16 */
    /* clipping: the other end reaches one step less; the scale's own rounding half of 1/code */
    case SAMP_FORMAT_INT6: return 1.0 / 32 + 0.02;
    case SAMP_FORMAT_INT5: return 1.0 / 16 + 0.02;
    /* half the widest gap and -127 beyond 126; the scale's own rounding half of 1/code */
    case SAMP_FORMAT_NF6A: return 5.5 / 127 + 0.005;
    case SAMP_FORMAT_NF5A: return 11.0 / 127 + 0.005;
    case SAMP_FORMAT_NF4: return 0.152 + 0.01;
    case SAMP_FORMAT_NF4_PLAIN: return 0.152;
    case SAMP_FORMAT_NF4A:
    case SAMP_FORMAT_NF4A_G32: return 12.0 / 104 + 0.02; /* -104 clips to -96, gaps are 24 */
    default: return 0;
    }
}

/* Relative RMS error on Gaussian weights: research/quant.md «Errors», «Codebooks»; nf4a, int5 and
 * int6 are below its figures, because the extreme weight is put on the far end of the range. */
static const struct {
    samp_format_id id;
    double absmax, search; /* search 0: does not apply */
} rms[] = {{SAMP_FORMAT_FP32, 0, 0},
           {SAMP_FORMAT_BF16, .00166, 0},
           {SAMP_FORMAT_FP16, .000207, 0},
           {SAMP_FORMAT_FP8, .0263, 0},
           {SAMP_FORMAT_FP8_G64, .0251, 0},
           {SAMP_FORMAT_INT8, .00597, .00593},
           {SAMP_FORMAT_LLM_INT8, .0075, 0},
           {SAMP_FORMAT_INT6, .0235, .0227},
           {SAMP_FORMAT_INT5, .0471, .0451},
           {SAMP_FORMAT_NF6A, .0217, .0204},
           {SAMP_FORMAT_NF5A, .0441, .0405},
           {SAMP_FORMAT_NF4, .0920, .0828},
           {SAMP_FORMAT_NF4_PLAIN, .0920, .0852},
           {SAMP_FORMAT_NF4A, .0876, .0809},
           {SAMP_FORMAT_NF4A_G32, .0814, .0732}};

static void test_errors(void **unused)
{
    (void)unused;
    enum { ROWS = 192, COLS = 576 };
    float *w = gaussian_matrix(ROWS, COLS, 0.02, 11);
    _Static_assert(sizeof rms / sizeof *rms == SAMP_FORMAT_COUNT, "one line a format");
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) {
        samp_format_id id = (samp_format_id)f;
        assert_int_equal(rms[f].id, f);
        encoded e = encode_matrix(id, w, ROWS, COLS, NULL, 0);
        float *back = decode_matrix(&e);
        uint64_t span = e.format->group > 0 ? (uint64_t)e.format->group : COLS;
        for (uint64_t at = 0; at < ROWS * COLS; at += span) {
            double largest = 0;
            for (uint64_t i = 0; i < span; i++) largest = fmax(largest, fabs((double)w[at + i]));
            for (uint64_t i = 0; i < span; i++)
                assert_true(fabs((double)back[at + i] - (double)w[at + i]) <=
                            error_bound(id) * largest);
        }
        double plain = relative_error(back, w, ROWS, COLS, NULL);
        free(back), encoded_release(&e);
        samp_encode_options options = {.search = true};
        e = encode_matrix(id, w, ROWS, COLS, &options, 0);
        back = decode_matrix(&e);
        double searched = relative_error(back, w, ROWS, COLS, NULL);
        free(back), encoded_release(&e);
        printf("%-14s relative RMS error %.5f, with search %.5f\n", samp_format_get(id)->name,
               plain, searched);
        assert_true(fabs(plain - rms[f].absmax) <= 0.02 * rms[f].absmax);
        if (rms[f].search == 0)
            assert_true(searched == plain);
        else
            assert_true(fabs(searched - rms[f].search) <= 0.02 * rms[f].search);
    }
    free(w);
}

/* Relative error of a group `factor` times smaller than the row's other group. */
static double small_group_error(samp_format_id id, float factor)
{
    enum { COLS = 128 };
    float *w = gaussian_matrix(1, COLS, 1, 3);
    for (int i = 64; i < COLS; i++) w[i] /= factor;
    encoded e = encode_matrix(id, w, 1, COLS, NULL, 0);
    float *back = decode_matrix(&e);
    double error = relative_error(back + 64, w + 64, 1, 64, NULL);
    free(w), free(back), encoded_release(&e);
    return error;
}

/* Small groups get scale code 1, not 0: 200 times smaller they keep nearly all their precision, 400
 * times some. int8, whose codes are rounded up, does not clip. */
static void test_small_groups(void **unused)
{
    (void)unused;
    static const samp_format_id ids[] = {SAMP_FORMAT_INT8, SAMP_FORMAT_INT6, SAMP_FORMAT_INT5,
                                         SAMP_FORMAT_NF6A, SAMP_FORMAT_NF5A, SAMP_FORMAT_NF4A};
    static const double near[] = {0.012, 0.04, 0.08, 0.04, 0.08, 0.12};
    static const double far[] = {0.02, 0.07, 0.17, 0.07, 0.17, 0.3};
    for (int k = 0; k < 6; k++) {
        double error = small_group_error(ids[k], 200);
        if (error > near[k]) fail_msg("%s, 200: %g", samp_format_get(ids[k])->name, error);
        error = small_group_error(ids[k], 400);
        if (error > far[k]) fail_msg("%s, 400: %g", samp_format_get(ids[k])->name, error);
    }
}

/* With importance of the inputs, the search never has a larger weighted error than absmax. */
static void test_search(void **unused)
{
    (void)unused;
    enum { ROWS = 64, COLS = 332 };
    samp_prng prng = {9};
    float moment[COLS];
    for (int i = 0; i < COLS; i++) moment[i] = (float)exp(2 * samp_prng_normal(&prng));
    moment[5] = 0;
    float *w = gaussian_matrix(ROWS, COLS, 0.02, 13);
    for (int i = 0; i < ROWS * COLS; i += 37) w[i] *= 4; /* heavier tails */
    for (int f = SAMP_FORMAT_FP8; f < SAMP_FORMAT_COUNT; f++) {
        bool flat = f == SAMP_FORMAT_NF4 || f == SAMP_FORMAT_NF4_PLAIN; /* blocks run over rows */
        encoded plain = encode_matrix((samp_format_id)f, w, ROWS, COLS, NULL, 0);
        samp_encode_options options = {.search = true, .input_moment = moment};
        encoded search = encode_matrix((samp_format_id)f, w, ROWS, COLS, &options, 0);
        float *a = decode_matrix(&plain), *b = decode_matrix(&search);
        for (uint64_t row = 0; row < ROWS && !flat; row++) {
            double before = relative_error(a + row * COLS, w + row * COLS, 1, COLS, moment);
            double after = relative_error(b + row * COLS, w + row * COLS, 1, COLS, moment);
            assert_true(after <= before * 1.0001);
        }
        double before = relative_error(a, w, ROWS, COLS, moment);
        double after = relative_error(b, w, ROWS, COLS, moment);
        printf("%-14s weighted error %.5f, with search %.5f\n", plain.format->name, before, after);
        assert_true(after <= before);
        if (plain.format->code_bits < 6) assert_true(after < 0.95 * before);
        free(a), free(b), encoded_release(&plain), encoded_release(&search);
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_small_groups),
                                       cmocka_unit_test(test_search)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Error feedback: the error it reports is that of what it wrote, and it is smaller than the scale
 * search's alone where inputs go together. */
#include "base/half.h"
#include "base/matrix.h"
#include "base/memory.h"
#include "encoded.h"
#include "format/feedback.h"

#include <math.h>

enum { ROWS = 100, COLS = 200, TOKENS = 600 };

static const samp_format_id formats[] = {SAMP_FORMAT_NF4A, SAMP_FORMAT_NF4A_G32, SAMP_FORMAT_NF6A,
                                         SAMP_FORMAT_NF5A, SAMP_FORMAT_INT6,     SAMP_FORMAT_INT5,
                                         SAMP_FORMAT_INT8};

typedef struct inputs {
    float *h; /* [COLS][COLS] without damping, both triangles */
    float moment[COLS], d[COLS], damping;
    uint16_t *factor;
} inputs;

/* Inputs that share a few directions, as activations do. */
static inputs make_inputs(void)
{
    enum { SHARED = 20 };
    samp_prng prng = {7};
    inputs in = {.h = samp_alloc(COLS * COLS, sizeof(float)),
                 .factor = samp_alloc(samp_feedback_values(COLS), sizeof(uint16_t))};
    float *x = samp_alloc(TOKENS * COLS, sizeof *x), *mix = samp_alloc(SHARED * COLS, sizeof *mix);
    float *factor = samp_alloc(COLS * COLS, sizeof *factor);
    for (int i = 0; i < SHARED * COLS; i++) mix[i] = (float)samp_prng_normal(&prng);
    for (int t = 0; t < TOKENS; t++)
        for (int s = 0; s < SHARED; s++) {
            float z = (float)samp_prng_normal(&prng);
            for (int k = 0; k < COLS; k++)
                x[t * COLS + k] += z * mix[s * COLS + k] + .5f * (float)samp_prng_normal(&prng);
        }
    samp_pool *pool;
    assert_int_equal(samp_pool_create(&pool, 1, NULL), SAMP_OK);
    assert_int_equal(samp_gram_add(pool, in.h, x, TOKENS, COLS, NULL), SAMP_OK);
    for (int i = 0; i < COLS; i++)
        for (int k = 0; k <= i; k++) in.h[k * COLS + i] = in.h[i * COLS + k] /= TOKENS;
    memcpy(factor, in.h, COLS * COLS * sizeof *factor);
    for (int k = 0; k < COLS; k++) in.damping += .1f / COLS * in.h[k * COLS + k];
    for (int k = 0; k < COLS; k++) {
        in.moment[k] = in.h[k * COLS + k];
        factor[k * COLS + k] += in.damping;
    }
    assert_int_equal(samp_factor(pool, factor, COLS, in.d, NULL), SAMP_OK);
    for (uint64_t k = 1; k < COLS; k++)
        for (uint64_t i = 0; i < k; i++)
            in.factor[samp_feedback_values(k) + i] = samp_float_to_fp16(factor[k * COLS + i]);
    samp_pool_release(pool);
    samp_free(x), samp_free(mix), samp_free(factor);
    return in;
}

static double error_of(const inputs *in, const float *w, const float *q)
{
    double sum = 0;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < COLS; i++)
            for (int k = 0; k < COLS; k++)
                sum += (double)(w[r * COLS + i] - q[r * COLS + i]) * in->h[i * COLS + k] *
                       (w[r * COLS + k] - q[r * COLS + k]);
    return sum;
}

static void feedback_lowers_the_error_it_reports(void **state)
{
    (void)state;
    inputs in = make_inputs();
    samp_feedback feedback = {.cols = COLS, .factor = in.factor, .d = in.d, .damping = in.damping};
    float *room = samp_alloc(samp_feedback_room(COLS), sizeof *room);
    float *w = gaussian_matrix(ROWS, COLS, 1, 5);
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        double reported = 0, fixed = 0, swept = 0;
        samp_encode_options search = {.input_moment = in.moment, .search = true}, both = search;
        both.feedback = &feedback;
        both.room = room;
        both.error = &reported;
        encoded a = encode_matrix(formats[f], w, ROWS, COLS, &search, 64);
        encoded b = encode_matrix(formats[f], w, ROWS, COLS, &both, 64);
        both.sweep = true;
        both.error = &swept;
        encoded c = encode_matrix(formats[f], w, ROWS, COLS, &both, 64);
        float *qa = decode_matrix(&a), *qb = decode_matrix(&b), *qc = decode_matrix(&c);
        double ea = error_of(&in, w, qa), eb = error_of(&in, w, qb), ec = error_of(&in, w, qc);
        print_message("%s: search %.3g, feedback %.3f of it, sweeps %.3f of that\n",
                      samp_format_get(formats[f])->name, ea, eb / ea, ec / eb);
        assert_true(eb < .8 * ea && ec < .97 * eb);
        assert_true(fabs(reported / eb - 1) < .02); /* the factor has 11 bits */
        assert_true(fabs(swept / ec - 1) < .02);
        for (int r = 0; r < ROWS; r += 64)
            fixed += samp_feedback_error(&feedback, w + r * COLS, qa + r * COLS,
                                         ROWS - r < 64 ? ROWS - r : 64, room);
        assert_true(fabs(fixed / ea - 1) < .02);
        free(qa), free(qb), free(qc);
        encoded_release(&a), encoded_release(&b), encoded_release(&c);
    }
    free(w);
    samp_free(room), samp_free(in.h), samp_free(in.factor);
}

/* D is found again from what is stored. */
static void pivots_are_not_stored(void **state)
{
    (void)state;
    inputs in = make_inputs();
    float d[COLS];
    samp_feedback_pivots(in.factor, in.moment, COLS, d);
    assert_true(fabsf(samp_feedback_damping(in.moment, COLS) / in.damping - 1) < 1e-5f);
    for (int k = 0; k < COLS; k++) assert_true(fabsf(d[k] / in.d[k] - 1) < .02f);
    samp_free(in.h), samp_free(in.factor);
}

static void zero_rows_stay_zero(void **state)
{
    (void)state;
    inputs in = make_inputs();
    samp_feedback feedback = {.cols = COLS, .factor = in.factor, .d = in.d};
    float *room = samp_alloc(samp_feedback_room(COLS), sizeof *room);
    float *w = calloc(ROWS * COLS, sizeof *w);
    w[COLS + 3] = 2;
    samp_encode_options options = {
        .input_moment = in.moment, .search = true, .feedback = &feedback, .room = room};
    options.sweep = true;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        encoded e = encode_matrix(formats[f], w, ROWS, COLS, &options, 64);
        float *q = decode_matrix(&e);
        for (int i = 0; i < ROWS * COLS; i++) {
            assert_true(isfinite(q[i]));
            if (i / COLS != 1) assert_true(q[i] == 0);
        }
        free(q);
        encoded_release(&e);
    }
    free(w);
    samp_free(room), samp_free(in.h), samp_free(in.factor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(feedback_lowers_the_error_it_reports),
                                       cmocka_unit_test(pivots_are_not_stored),
                                       cmocka_unit_test(zero_rows_stay_zero)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

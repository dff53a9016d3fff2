/* A weight's way from file to kernel: stations, sizes and errors add up, for every format. */
#include "run/follow.h"
#include "support/tiny_session.h"

#include <math.h>

static char *plain, *folder;

static int make(void **state)
{
    (void)state;
    samp_config config = tiny_config_even();
    plain = tiny_folder();
    tiny_write(plain, &config, 3);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    tiny_remove(plain);
    return 0;
}

static const samp_station *find(const samp_stations *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->items[i].name, name) == 0) return &s->items[i];
    return NULL;
}

static void every_format(void **state)
{
    (void)state;
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) {
        const samp_format *format = samp_format_get((samp_format_id)f);
        samp_model *model, *source;
        samp_stations s;
        folder = tiny_folder();
        tiny_quantize(plain, folder, (samp_format_id)f, 16);
        OK(samp_model_open(&model, folder, e));
        OK(samp_model_open(&source, plain, e));
        const samp_weight_ref *weight = samp_model_weight(model, SAMP_ROLE_DOWN, 1);
        OK(samp_follow(model, weight, source, 1, &s, e));
        uint64_t in_file = 0, n_files = 0;
        for (size_t i = 0; i < s.n; i++)
            if (strcmp(s.items[i].name, "file") == 0) in_file += s.items[i].bytes, n_files++;
        assert_int_equal(n_files, weight->layout.n_parts);
        assert_int_equal(in_file, weight->layout.bytes);
        const samp_station *decoded = find(&s, "decoded"), *integers = find(&s, "integers");
        const samp_station *packed = find(&s, "packed"), *kernel = find(&s, "kernel");
        assert_true(decoded && packed && kernel);
        assert_int_equal(decoded->bytes, 4 * weight->layout.rows * weight->layout.cols);
        assert_int_equal(integers != NULL, samp_integer_group(&weight->layout, format->id) != 0);
        assert_true(packed->bytes > 0 && packed->bytes <= decoded->bytes);
        /* The kernels lose nothing more than the integer form did. */
        double form = integers ? integers->from_file : 0;
        assert_true(form < 0.03);
        assert_true(kernel->from_file <= form * 1.5 + 1e-4);
        assert_true(decoded->from_source < 0.12 && decoded->from_source >= 0);
        assert_true(fabs(kernel->from_source - decoded->from_source) < 0.03);
        assert_true(*decoded->first && *kernel->first && *s.items[0].first);
        samp_model_close(source);
        samp_model_close(model);
        tiny_remove(folder);
    }
}

static void norms_and_no_source(void **state)
{
    (void)state;
    samp_model *model;
    samp_stations s;
    OK(samp_model_open(&model, plain, e));
    OK(samp_follow(model, samp_model_weight(model, SAMP_ROLE_ATTN_NORM, 0), NULL, 1, &s, e));
    assert_int_equal(s.n, 2);
    assert_true(isnan(s.items[1].from_source));
    OK(samp_follow(model, samp_model_weight(model, SAMP_ROLE_Q, 0), NULL, 1, &s, e));
    assert_true(isnan(find(&s, "kernel")->from_source));
    assert_true(find(&s, "kernel")->from_file < 1e-6);
    samp_model_close(model);
}

static void another_model_is_refused(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    samp_model *model, *other;
    samp_stations s;
    samp_error error;
    folder = tiny_folder();
    tiny_write(folder, &config, 4);
    OK(samp_model_open(&model, plain, e));
    OK(samp_model_open(&other, folder, e));
    assert_int_equal(
        samp_follow(model, samp_model_weight(model, SAMP_ROLE_Q, 0), other, 1, &s, &error),
        SAMP_MISMATCH);
    assert_non_null(strstr(error.message, "q_proj.weight of 128 x 128"));
    samp_model_close(other);
    samp_model_close(model);
    tiny_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_format),
                                       cmocka_unit_test(norms_and_no_source),
                                       cmocka_unit_test(another_model_is_refused)};
    return cmocka_run_group_tests(tests, make, drop);
}

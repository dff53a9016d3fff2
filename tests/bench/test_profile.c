/* A profile measured here, quickly: every kernel has its times, the JSON can be read again, and a
 * progress that says stop is obeyed. Speeds are not judged: the machine may be busy. */
#include "bench/profile.h"
#include "support/cmocka_all.h"

#include <math.h>
#include <string.h>

static samp_error error;

static void every_kernel_is_measured(void **state)
{
    (void)state;
    samp_profile_options options = {
        .name = "here", .n_threads = 1, .working_set = 1 << 20, .pass_seconds = 1e-4, .passes = 1};
    samp_hardware h, again;
    assert_int_equal(samp_profile_measure(&h, &options, &error), SAMP_OK);
    assert_string_equal(h.name, "here");
    assert_memory_equal(h.bandwidth.source, "measured 20", 11);
    assert_true(h.bandwidth.value > 1e8 && h.memory_bytes.value > 1e8);
    assert_true(h.rates[SAMP_MULTIPLY_INT8].value > 0 && h.rates[SAMP_MULTIPLY_FLOAT16].value > 0);
    assert_true(h.rates[SAMP_MULTIPLY_FP8].value == 0); /* no such unit in a processor */
    bool seen[SAMP_FORMAT_COUNT][2] = {{false}};
    for (size_t k = 0; k < h.n_kernels; k++) {
        const samp_kernel *kernel = &h.kernels[k];
        seen[kernel->format->id][kernel->activation_bits == 8] = true;
        assert_int_equal(kernel->n_times, 9);
        for (size_t i = 0; i < 9; i++)
            assert_true(isfinite(kernel->times[i].seconds) && kernel->times[i].seconds > 0);
        assert_true(kernel->law.weight > 0 && isfinite(kernel->law.error_mean));
    }
    for (int f = 0; f < SAMP_FORMAT_COUNT; f++) assert_true(f == SAMP_FORMAT_FP32 || seen[f][0]);
    assert_true(seen[SAMP_FORMAT_INT8][1] && !seen[SAMP_FORMAT_FP16][1]);
    assert_int_equal(h.attention.n_times, 8);
    for (size_t i = 0; i < 8; i++) assert_true(h.attention.times[i].seconds > 0);
    assert_true(samp_hardware_attention(&h, 576, 192, 1000, 1) >
                samp_hardware_attention(&h, 576, 192, 10, 1));
    assert_true(h.step_ratio.value > 0.1 && h.step_ratio.value < 100);
    json_t *json = samp_hardware_json(&h);
    assert_non_null(json);
    assert_int_equal(samp_hardware_parse(&again, json, "here", &error), SAMP_OK);
    assert_int_equal(again.n_kernels, h.n_kernels);
    assert_int_equal(again.attention.n_times, 8);
    assert_float_equal(again.kernels[3].law.weight, h.kernels[3].law.weight, 1e-15);
    json_decref(json);
    samp_hardware_release(&h);
    samp_hardware_release(&again);
}

static bool stop(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)what, (void)total;
    ++*(int *)context;
    return done < 1;
}

static void a_cancelled_profile_leaves_nothing(void **state)
{
    (void)state;
    int calls = 0;
    samp_profile_options options = {.name = "here",
                                    .n_threads = 1,
                                    .working_set = 1 << 20,
                                    .pass_seconds = 1e-4,
                                    .progress = {stop, &calls}};
    samp_hardware h;
    assert_int_equal(samp_profile_measure(&h, &options, &error), SAMP_CANCELLED);
    assert_int_equal(calls, 2);
    assert_null(h.kernels);
    options.backend = "no-such";
    assert_int_not_equal(samp_profile_measure(&h, &options, &error), SAMP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kernel_is_measured),
                                       cmocka_unit_test(a_cancelled_profile_leaves_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

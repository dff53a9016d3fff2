/* Profiles of hardware: the built-in ones, what is refused, and the law of product times. */
#include "base/prng.h"
#include "plan/hardware.h"
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static samp_error error;

static void every_builtin_profile_names_its_sources(void **state)
{
    (void)state;
    assert_int_equal(samp_hardware_n_builtins, 6);
    for (size_t i = 0; i < samp_hardware_n_builtins; i++) {
        samp_hardware h;
        assert_int_equal(samp_hardware_load(&h, samp_hardware_builtins[i].name, &error), SAMP_OK);
        assert_string_equal(h.name, samp_hardware_builtins[i].name);
        const samp_figure *figures[] = {&h.bandwidth, &h.rates[SAMP_MULTIPLY_FLOAT16],
                                        &h.rates[SAMP_MULTIPLY_INT8]};
        for (size_t f = 0; f < 3; f++) {
            assert_true(figures[f]->value > 0);
            assert_true(strncmp(figures[f]->source, "measured 20", 11) == 0 ||
                        strncmp(figures[f]->source, "published: ", 11) == 0);
        }
        for (size_t k = 0; k < h.n_kernels; k++) {
            assert_memory_equal(h.kernels[k].source, "measured 20", 11);
            assert_true(h.kernels[k].law.error_max < 0.25);
        }
        samp_hardware_release(&h);
    }
    samp_hardware none;
    assert_int_equal(samp_hardware_load(&none, "abacus", &error), SAMP_NOT_FOUND);
    assert_non_null(strstr(error.message, "rtx4090"));
    assert_int_equal(samp_hardware_load(&none, "no/such.json", &error), SAMP_NOT_FOUND);
}

/* The law comes back from times it made, with 2 % of noise, at shapes that were not measured. */
static void law_is_found_again(void **state)
{
    (void)state;
    static const samp_kernel_law truths[] = {
        {.fixed = 3e-6, .input = 2e-10, .weight = 6e-11, .multiply = 1.5e-11, .overlap = 1},
        {.fixed = 4e-6, .weight = 4.4e-13, .multiply = 2.6e-15, .overlap = 8},
        {.weight = 1e-10, .multiply = 1e-12, .overlap = 2}};
    static const double sides[][2] = {{576, 576}, {576, 1536}, {2048, 2048}, {4096, 4096}};
    static const uint32_t batches[] = {1, 16, 256};
    samp_prng prng = {7};
    for (size_t l = 0; l < 3; l++) {
        samp_kernel_time times[12];
        for (size_t i = 0; i < 12; i++) {
            const double *side = sides[i / 3];
            double noise = 1 + 0.02 * (2 * (double)samp_prng_below(&prng, 1000) / 999 - 1);
            times[i] = (samp_kernel_time){
                (uint64_t)side[0], (uint64_t)side[1], batches[i % 3],
                noise * samp_kernel_law_seconds(&truths[l], side[0], side[1], batches[i % 3])};
        }
        samp_kernel_law law;
        samp_kernel_law_fit(times, 12, &law);
        assert_true(law.error_max < 0.05);
        static const double probes[][3] = {
            {3072, 576, 1}, {3072, 576, 4}, {8192, 3072, 64}, {49152, 576, 256}};
        for (size_t i = 0; i < 4; i++) {
            const double *p = probes[i];
            double want = samp_kernel_law_seconds(&truths[l], p[0], p[1], p[2]);
            double got = samp_kernel_law_seconds(&law, p[0], p[1], p[2]);
            assert_true(fabs(got / want - 1) < 0.15);
        }
    }
}

/* One measurement, or one batch, must not invent a rate. */
static void few_times_give_a_plain_law(void **state)
{
    (void)state;
    samp_kernel_time times[2] = {{1000, 1000, 1, 1e-3}, {2000, 1000, 1, 2e-3}};
    samp_kernel_law law;
    samp_kernel_law_fit(times, 1, &law);
    assert_float_equal(law.weight, 1e-9, 1e-15);
    assert_true(law.multiply == 0 && law.fixed == 0 && law.input == 0);
    samp_kernel_law_fit(times, 2, &law);
    assert_true(law.multiply == 0 && law.error_max < 1e-6);
}

static json_t *profile(void)
{
    return json_pack("{s:i,s:s,s:s,s:{s:f,s:s},s:{s:{s:f,s:s}},s:[{s:s,s:i,s:s,s:[[i,i,i,f]]}]}",
                     "schema_version", 1, "name", "x", "title", "X", "bandwidth", "value", 1e10,
                     "source", "measured 2026", "rates", "float16", "value", 1e12, "source", "m",
                     "kernels", "format", "int8", "activation_bits", 16, "source", "m", "times",
                     1000, 1000, 1, 1e-3);
}

static void wrong_profiles_are_named(void **state)
{
    (void)state;
    samp_hardware h;
    json_t *good = profile();
    assert_int_equal(samp_hardware_parse(&h, good, "x.json", &error), SAMP_OK);
    json_t *again = samp_hardware_json(&h);
    assert_true(json_equal(again, good)); /* what is read can be written */
    json_decref(again);
    char path[] = "/tmp/samp-hardware-XXXXXX.json";
    int file = mkstemps(path, 5);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(samp_hardware_save(&h, path, &error), SAMP_OK);
    samp_hardware_release(&h);
    assert_int_equal(samp_hardware_load(&h, path, &error), SAMP_OK); /* and read from a file */
    again = samp_hardware_json(&h);
    assert_true(json_equal(again, good));
    json_decref(again);
    assert_int_equal(unlink(path), 0);
    assert_int_not_equal(samp_hardware_save(&h, "/no/such/folder/x.json", &error), SAMP_OK);
    samp_hardware_release(&h);
    static const struct {
        const char *member, *json, *word;
    } wrong[] = {
        {"schema_version", "2", "version 2"},
        {"name", "\"\"", "\"name\""},
        {"name", "7", "\"name\""},
        {"bandwidth", "3e12", "source"},
        {"bandwidth", "{\"value\": 3e12}", "source"},
        {"bandwidth", "{\"value\": -1, \"source\": \"m\"}", "more than 0"},
        {"bandwidth", "{\"value\": 1e300, \"source\": \"m\"}", "at most"},
        {"rates", "{}", "float16"},
        {"kernels", "{}", "list"},
        {"kernels", "[7]", "format"},
        {"kernels", "[{\"format\": \"q4\"}]", "not a format"},
        {"kernels", "[{\"format\": \"int8\", \"activation_bits\": 9, \"source\": \"m\"}]",
         "8 or 16"},
        {"kernels", "[{\"format\": \"int8\", \"source\": \"m\", \"times\": []}]", "0 entries"},
        {"kernels", "[{\"format\": \"int8\", \"source\": \"m\", \"times\": [[1,1,1]]}]", "time 0"},
        {"kernels", "[{\"format\": \"int8\", \"source\": \"m\", \"times\": [[0,1,1,1]]}]",
         "time 0"},
        {"kernels", "[{\"format\": \"int8\", \"source\": \"m\", \"times\": [[1,1.5,1,1]]}]",
         "time 0"},
        {"kernels", "[{\"format\": \"int8\", \"source\": \"m\", \"times\": [[1,1,1e9,1]]}]",
         "time 0"},
        {"kernels", "[{\"format\": \"int8\", \"source\": \"m\", \"times\": [[1,1,1,0]]}]",
         "time 0"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *root = json_deep_copy(good);
        json_object_set_new(root, wrong[i].member,
                            json_loads(wrong[i].json, JSON_DECODE_ANY, NULL));
        assert_int_not_equal(samp_hardware_parse(&h, root, "x.json", &error), SAMP_OK);
        assert_non_null(strstr(error.message, "x.json"));
        if (!strstr(error.message, wrong[i].word)) print_message("%s\n", error.message);
        assert_non_null(strstr(error.message, wrong[i].word));
        json_decref(root);
    }
    json_decref(good);
}

/* Measured where measured, else the longer of reading and multiplying; never above the rate. */
static void times_follow_measurement_then_limits(void **state)
{
    (void)state;
    samp_hardware h;
    json_t *root = profile();
    assert_int_equal(samp_hardware_parse(&h, root, "x.json", &error), SAMP_OK);
    samp_product product = {.format = samp_format_get(SAMP_FORMAT_INT8),
                            .activation_bits = 16,
                            .rows = 2000,
                            .cols = 2000,
                            .bytes = 4000000,
                            .batch = 1};
    samp_product_time t = samp_hardware_time(&h, &product);
    assert_true(t.measured);
    assert_float_equal(t.seconds, 4e-3, 1e-9);
    product.batch = 1024; /* 8.2e9 operations at 1e12 a second */
    assert_float_equal(samp_hardware_time(&h, &product).seconds, 8.192e-3, 1e-9);
    product.activation_bits = 8;
    product.batch = 1;
    t = samp_hardware_time(&h, &product);
    assert_false(t.measured);
    assert_float_equal(t.seconds, 4e-4, 1e-12);
    assert_float_equal(t.multiplying, 8e-6, 1e-12);
    samp_hardware_release(&h);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_builtin_profile_names_its_sources),
                                       cmocka_unit_test(law_is_found_again),
                                       cmocka_unit_test(few_times_give_a_plain_law),
                                       cmocka_unit_test(wrong_profiles_are_named),
                                       cmocka_unit_test(times_follow_measurement_then_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Levels of the processor: which the host has, and what SAMP_CPU may say. SAMP_TEST_HOST names the level
 * the host must have (tools/check_arm64.sh: an emulated processor that lacks one would leave the kernels
 * of that level untested). */
#include "support/cmocka_all.h"

#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>

static void test_host(void **state)
{
    (void)state;
    const char *expected = getenv("SAMP_TEST_HOST");
    print_message("this processor has %s\n", samp_cpu_name(samp_cpu_host()));
    assert_true(samp_cpu_host() < SAMP_CPU_COUNT);
    if (expected) assert_string_equal(samp_cpu_name(samp_cpu_host()), expected);
}

static void test_forced(void **state)
{
    (void)state;
    samp_cpu_level level;
    samp_error error = {0};
    for (int l = 0; l < SAMP_CPU_COUNT; l++) {
        setenv("SAMP_CPU", samp_cpu_name((samp_cpu_level)l), 1);
        if (l <= (int)samp_cpu_host()) {
            assert_int_equal(samp_cpu_choose(&level, &error), SAMP_OK);
            assert_int_equal(level, l);
        } else {
            assert_int_equal(samp_cpu_choose(&level, &error), SAMP_UNSUPPORTED);
            assert_non_null(strstr(error.message, samp_cpu_name(samp_cpu_host())));
        }
    }
    setenv("SAMP_CPU", "", 1);
    assert_int_equal(samp_cpu_choose(&level, &error), SAMP_OK);
    assert_int_equal(level, samp_cpu_host());
    unsetenv("SAMP_CPU");
}

static void test_unknown(void **state)
{
    (void)state;
    samp_cpu_level level;
    samp_error error = {0};
    setenv("SAMP_CPU", "fastest", 1);
    assert_int_equal(samp_cpu_choose(&level, &error), SAMP_INVALID);
    for (int l = 0; l < SAMP_CPU_COUNT; l++)
        assert_non_null(strstr(error.message, samp_cpu_name((samp_cpu_level)l)));
    unsetenv("SAMP_CPU");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Finding and refusing backends: each way a shared object can be wrong gives its own sentence. The
 * wrong ones are built from refused_*.c beside this file. */
#include "backend/backend.h"
#include "base/memory.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void refuses(const char *name, samp_status status, const char *message)
{
    samp_error error = {0};
    const samp_backend *backend = (const samp_backend *)&error; /* must be set to NULL */
    assert_int_equal(samp_backend_load(name, &backend, &error), status);
    assert_null(backend);
    if (!strstr(error.message, message)) fail_msg("'%s' is not in: %s", message, error.message);
}

static void test_bad_names(void **state)
{
    (void)state;
    refuses("", SAMP_INVALID, "backend name ''");
    refuses("../evil", SAMP_INVALID, "expected 1 to 32 lower-case letters");
    refuses("CUDA", SAMP_INVALID, "'CUDA'");
    refuses("a-name-that-is-longer-than-32-bytes", SAMP_INVALID, "expected 1 to 32");
}

static void test_missing(void **state)
{
    (void)state;
    setenv("SAMP_BACKEND_PATH", "/nonexistent::/tmp", 1);
    refuses("nowhere", SAMP_NOT_FOUND,
            "no file samp-backend-nowhere.so in SAMP_BACKEND_PATH (/nonexistent::/tmp)");
    unsetenv("SAMP_BACKEND_PATH");
    refuses("nowhere", SAMP_NOT_FOUND, "(not set)");
}

static void test_wrong_objects(void **state)
{
    (void)state;
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD "/test-backends", 1);
    refuses("no_symbol", SAMP_MISMATCH, "has no symbol samp_backend_entry");
    char versions[80];
    snprintf(versions, sizeof versions, "made for backend ABI 999, this program has %d",
             SAMP_BACKEND_ABI);
    refuses("old_abi", SAMP_MISMATCH, versions);
    refuses("no_table", SAMP_MISMATCH, "gave no table");
}

/* A file that is no shared object, in front of the right one: an error, not passed over. */
static void test_damaged_object_in_front(void **state)
{
    (void)state;
    char folder[] = "/tmp/samp-load-XXXXXX", path[256], search[1024];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/samp-backend-reference.so", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("not an ELF file\n", file);
    fclose(file);
    snprintf(search, sizeof search, "%s:%s", folder, SAMP_BUILD);
    setenv("SAMP_BACKEND_PATH", search, 1);
    refuses("reference", SAMP_UNSUPPORTED, path);
    unlink(path);
    rmdir(folder);
}

static void test_loads(void **state)
{
    (void)state;
    setenv("SAMP_BACKEND_PATH", "/nonexistent:" SAMP_BUILD, 1);
    samp_error error;
    const samp_backend *backend, *again;
    if (samp_backend_load("reference", &backend, &error) != SAMP_OK) fail_msg("%s", error.message);
    assert_string_equal(backend->name, "reference");
    assert_int_equal(backend->abi, SAMP_BACKEND_ABI);
    assert_int_equal(samp_backend_load("reference", &again, &error), SAMP_OK);
    assert_ptr_equal(again, backend);
}

/* Without SAMP_BACKEND_PATH: beside the program, and in ../lib/samp from it. This program stands in
 * the build folder, as the reference backend does. */
static void test_beside_the_program(void **state)
{
    (void)state;
    unsetenv("SAMP_BACKEND_PATH");
    samp_error error;
    const samp_backend *backend;
    if (samp_backend_load("reference", &backend, &error) != SAMP_OK) fail_msg("%s", error.message);
    assert_string_equal(backend->name, "reference");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_names),     cmocka_unit_test(test_missing),
        cmocka_unit_test(test_wrong_objects), cmocka_unit_test(test_damaged_object_in_front),
        cmocka_unit_test(test_loads),         cmocka_unit_test(test_beside_the_program),
    };
    return cmocka_run_group_tests_name("backend/load", tests, NULL, NULL);
}

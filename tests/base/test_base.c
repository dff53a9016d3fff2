/* Errors, memory, buffers, hashing, JSON members, diagnostics. */
#include "base/buffer.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "support/cmocka_all.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void error_hides_control_bytes(void **state)
{
    (void)state;
    samp_error error;
    assert_int_equal(samp_fail(&error, SAMP_CORRUPT, "tensor %s", "a\033[2J\nb"), SAMP_CORRUPT);
    assert_string_equal(error.message, "tensor a?[2J?b");
    errno = ENOSPC;
    assert_int_equal(samp_fail_errno(&error, "writing %s", "x"), SAMP_IO);
    assert_string_equal(error.message, "writing x: No space left on device");
    samp_error_prefix(&error, "shard %d", 3);
    assert_string_equal(error.message, "shard 3: writing x: No space left on device");
    assert_int_equal(samp_fail(NULL, SAMP_LIMIT, "nobody listens"), SAMP_LIMIT);
}

static void long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    samp_error error;
    samp_fail(&error, SAMP_CORRUPT, "%s", text);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    samp_error_prefix(&error, "%s", text);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void allocation_checks_overflow_and_can_be_made_to_fail(void **state)
{
    (void)state;
    assert_null(samp_alloc(SIZE_MAX / 2, 4));
    assert_null(samp_realloc(NULL, SIZE_MAX / 2, 4));
    char *p = samp_alloc(100, 1);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    samp_free(p);
    samp_alloc_fail_at(2);
    p = samp_alloc(1, 1);
    assert_non_null(p);
    assert_null(samp_alloc(1, 1));
    assert_null(samp_strdup("x"));
    samp_alloc_fail_at(0);
    samp_free(p);
    p = samp_strdup("x");
    assert_string_equal(p, "x");
    samp_free(p);
}

static void arena_gives_zeroed_separate_memory(void **state)
{
    (void)state;
    samp_arena arena = {0};
    char *small[1000];
    for (int i = 0; i < 1000; i++) {
        small[i] = samp_arena_alloc(&arena, 100, 1);
        assert_non_null(small[i]);
        for (int b = 0; b < 100; b++) assert_int_equal(small[i][b], 0);
        memset(small[i], i, 100);
    }
    char *large = samp_arena_alloc(&arena, 1 << 20, 1);
    assert_non_null(large);
    memset(large, 7, 1 << 20);
    for (int i = 0; i < 1000; i++)
        for (int b = 0; b < 100; b++) assert_int_equal((unsigned char)small[i][b], i & 255);
    assert_null(samp_arena_alloc(&arena, SIZE_MAX, 2));
    assert_string_equal(samp_arena_strndup(&arena, "hello", 4), "hell");
    samp_arena_release(&arena);
    assert_null(arena.head);
}

static void buffer_grows_and_reports_failure_once(void **state)
{
    (void)state;
    samp_buffer buffer = {0};
    samp_error error;
    for (int i = 0; i < 500; i++) samp_buffer_printf(&buffer, "%d,", i);
    assert_int_equal(samp_buffer_ok(&buffer, &error), SAMP_OK);
    assert_int_equal(buffer.length, 10 * 2 + 90 * 3 + 400 * 4);
    assert_int_equal(strlen(buffer.data), buffer.length);
    samp_alloc_fail_at(1);
    char big[8192] = {0};
    samp_buffer_append(&buffer, big, sizeof big);
    samp_alloc_fail_at(0);
    assert_int_equal(samp_buffer_ok(&buffer, &error), SAMP_NOMEM);
    samp_buffer_clear(&buffer);
    assert_int_equal(samp_buffer_ok(&buffer, &error), SAMP_OK);
    samp_buffer_release(&buffer);
}

/* FIPS 180-2, appendix B.1 and B.2. */
static void sha256_of_known_texts(void **state)
{
    (void)state;
    char hex[SAMP_SHA256_HEX];
    samp_error error;
    assert_int_equal(samp_sha256_bytes("abc", 3, hex, &error), SAMP_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    samp_sha256 *hash;
    assert_int_equal(samp_sha256_begin(&hash, &error), SAMP_OK);
    for (const char *c = text; *c; c++) samp_sha256_update(hash, c, 1);
    samp_sha256_end(hash, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void json_members_are_checked(void **state)
{
    (void)state;
    samp_error error;
    json_t *root;
    const char *text = "{\"n\": 5, \"x\": 1e400, \"s\": \"t\", \"b\": true, \"z\": null}";
    assert_int_equal(samp_json_parse(&root, text, strlen(text), "f.json", &error),
                     SAMP_CORRUPT); /* 1e400 */
    text = "{\"n\": 5, \"x\": 1.5, \"s\": \"t\", \"b\": true, \"z\": null}";
    assert_int_equal(samp_json_parse(&root, text, strlen(text), "f.json", &error), SAMP_OK);
    int64_t n = 0;
    double x = 0;
    bool b = false;
    const char *s = NULL;
    assert_int_equal(samp_json_integer(root, "n", true, 1, 9, &n, "f.json", &error), SAMP_OK);
    assert_int_equal(n, 5);
    assert_int_equal(samp_json_integer(root, "n", true, 6, 9, &n, "f.json", &error), SAMP_CORRUPT);
    assert_string_equal(error.message, "f.json: \"n\" is 5, expected 6 to 9");
    assert_int_equal(samp_json_integer(root, "x", true, 1, 9, &n, "f.json", &error), SAMP_CORRUPT);
    assert_int_equal(samp_json_number(root, "x", true, &x, "f.json", &error), SAMP_OK);
    assert_true(x == 1.5);
    assert_int_equal(samp_json_bool(root, "b", true, &b, "f.json", &error), SAMP_OK);
    assert_true(b);
    assert_int_equal(samp_json_string(root, "s", true, &s, "f.json", &error), SAMP_OK);
    assert_string_equal(s, "t");
    n = 77;
    assert_int_equal(samp_json_integer(root, "z", false, 1, 9, &n, "f.json", &error), SAMP_OK);
    assert_int_equal(n, 77); /* null counts as missing */
    assert_int_equal(samp_json_integer(root, "q", true, 1, 9, &n, "f.json", &error), SAMP_CORRUPT);
    assert_string_equal(error.message, "f.json: \"q\" is missing");
    json_decref(root);
    text = "{\"a\": 1, \"a\": 2}";
    assert_int_equal(samp_json_parse(&root, text, strlen(text), "f.json", &error), SAMP_CORRUPT);
    assert_non_null(strstr(error.message, "duplicate"));
}

/* Python writes integers of any length; beyond 64 bits they are read as floating-point numbers. */
static void json_reads_long_integers(void **state)
{
    (void)state;
    static const char text[] =
        "{\"9223372036854775808\": \"9223372036854775808\\\"9223372036854775808\","
        " \"max\": 1000000000000000019884624838656, \"low\":"
        "-9223372036854775809, \"int64\": 9223372036854775807,"
        " \"pi\": 3.14159265358979323846, \"big\": 12345678901234567890e3}";
    samp_error error;
    json_t *root;
    double value = 0;
    assert_int_equal(samp_json_parse(&root, text, strlen(text), "f.json", &error), SAMP_OK);
    assert_int_equal(samp_json_number(root, "max", true, &value, "f.json", &error), SAMP_OK);
    assert_true(value == 1e30);
    assert_int_equal(samp_json_number(root, "low", true, &value, "f.json", &error), SAMP_OK);
    assert_true(value == -9223372036854775808.0);
    assert_true(json_number_value(json_object_get(root, "pi")) == 3.14159265358979323846);
    assert_true(json_number_value(json_object_get(root, "big")) == 12345678901234567890e3);
    assert_string_equal(json_string_value(json_object_get(root, "9223372036854775808")),
                        "9223372036854775808\"9223372036854775808");
    json_decref(root);
    static const char *const wrong[] = {"[99999999999999999999", "[99999999999999999999.]",
                                        "[1e999]", "[99999999999999999999, \"a",
                                        "[0099999999999999999999]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(samp_json_parse(&root, wrong[i], strlen(wrong[i]), "f.json", &error),
                         SAMP_CORRUPT);
}

/* Standard error is a pipe that nobody reads: what has no room is lost, whole lines of it. */
static void diagnostics_do_not_wait(void **state)
{
    enum { LINES = 1000 };
    static char text[1 << 20];
    int ends[2], standard_error = dup(STDERR_FILENO);
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(standard_error >= 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    for (int i = 0; i < LINES; i++) samp_log(SAMP_LOG_ERROR, "%0300d\n", i);
    dup2(standard_error, STDERR_FILENO);
    close(ends[1]);
    size_t n = 0, n_lines = 0;
    for (ssize_t got; (got = read(ends[0], text + n, sizeof text - n)) > 0;) n += (size_t)got;
    for (size_t i = 0; i < n; i++) n_lines += text[i] == '\n';
    assert_true(n_lines > 10 && n_lines < LINES && text[n - 1] == '\n');
    assert_int_equal(n % n_lines, 0); /* all of one length */
    close(ends[0]);
    close(standard_error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_hides_control_bytes),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(allocation_checks_overflow_and_can_be_made_to_fail),
        cmocka_unit_test(arena_gives_zeroed_separate_memory),
        cmocka_unit_test(buffer_grows_and_reports_failure_once),
        cmocka_unit_test(sha256_of_known_texts),
        cmocka_unit_test(json_members_are_checked),
        cmocka_unit_test(json_reads_long_integers),
        cmocka_unit_test(diagnostics_do_not_wait)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A baseline's logits kept in a file: what was written comes back, and only a complete file stays. */
#include "base/memory.h"
#include "eval/kept_logits.h"
#include "file/file.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 5, POSITIONS = 4 };
static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static char folder[] = "/tmp/samp-kept-XXXXXX", path[128];

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/%s.logits", folder, digest);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return samp_remove_folder(folder, NULL) == SAMP_OK ? 0 : 1;
}

static void incomplete_ones_do_not_stay(void **state)
{
    (void)state;
    samp_kept_logits *kept;
    float rows[POSITIONS * VOCAB] = {1};
    assert_int_equal(samp_kept_logits_open(&kept, folder, digest, POSITIONS, VOCAB, NULL), SAMP_OK);
    assert_false(samp_kept_logits_known(kept));
    assert_int_equal(samp_kept_logits_rows(kept, rows, POSITIONS - 1, NULL), SAMP_OK);
    assert_int_equal(samp_kept_logits_close(kept, NULL), SAMP_OK);
    assert_false(samp_is_file(path));
}

static void rows_come_back(void **state)
{
    (void)state;
    samp_kept_logits *kept;
    float rows[POSITIONS * VOCAB], again[POSITIONS * VOCAB];
    for (int i = 0; i < POSITIONS * VOCAB; i++) rows[i] = (float)i / 3;
    for (int pass = 0; pass < 2; pass++) {
        float *at = pass ? again : rows;
        assert_int_equal(samp_kept_logits_open(&kept, folder, digest, POSITIONS, VOCAB, NULL),
                         SAMP_OK);
        assert_int_equal(samp_kept_logits_known(kept), pass);
        assert_int_equal(samp_kept_logits_rows(kept, at, 1, NULL), SAMP_OK);
        assert_int_equal(samp_kept_logits_rows(kept, at + VOCAB, POSITIONS - 1, NULL), SAMP_OK);
        assert_int_equal(samp_kept_logits_close(kept, NULL), SAMP_OK);
    }
    assert_memory_equal(rows, again, sizeof rows);
}

static void another_size_is_refused(void **state)
{
    (void)state;
    samp_kept_logits *kept;
    samp_error error;
    assert_int_equal(samp_kept_logits_open(&kept, folder, digest, POSITIONS + 1, VOCAB, &error),
                     SAMP_CORRUPT);
    assert_null(kept);
    assert_non_null(strstr(error.message, "remove it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(incomplete_ones_do_not_stay),
                                       cmocka_unit_test(rows_come_back),
                                       cmocka_unit_test(another_size_is_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

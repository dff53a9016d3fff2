/* What the tests of this room share: a scratch folder, files in it, and a check of a failure's
 * status and sentence. */
#ifndef SAMP_TESTS_FILE_SCRATCH_H
#define SAMP_TESTS_FILE_SCRATCH_H

#include "support/cmocka_all.h"

#include "base/memory.h"
#include "file/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[256];

static inline int scratch_make(void **state)
{
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(scratch, sizeof scratch, "%s/samp-file-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
    samp_error error = {0};
    (void)state;
    if (samp_remove_folder(scratch, &error) == SAMP_OK) return 0;
    print_error("%s\n", error.message);
    return -1;
}

/* Path of a name in the scratch folder; the last four stay valid. */
static inline const char *scratch_path(const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    int length = snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    assert_true(length > 0 && (size_t)length < sizeof paths[0]);
    return path;
}

static inline void put_file(const char *name, const void *bytes, size_t n)
{
    FILE *file = fopen(scratch_path(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Entries of the scratch folder whose names contain part. */
static inline int count_files(const char *part)
{
    DIR *folder = opendir(scratch);
    const struct dirent *entry;
    int n = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) n += strstr(entry->d_name, part) != NULL;
    closedir(folder);
    return n;
}

static inline void assert_ok(samp_status status, const samp_error *error)
{
    if (status != SAMP_OK) fail_msg("failed: %s", error->message);
}

/* The status, and a sentence that contains `says`. */
static inline void assert_fails(samp_status status, const samp_error *error, samp_status expected,
                                const char *says)
{
    if (status == SAMP_OK) fail_msg("succeeded, expected \"%s\"", says);
    if (status != expected || error->status != expected || !strstr(error->message, says))
        fail_msg("status %d, \"%s\"; expected status %d, \"…%s…\"", (int)status, error->message,
                 (int)expected, says);
}

#endif

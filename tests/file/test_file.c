/* Files and folders under fire: what is not a file, what shrinks, a disk that fills up, a target
 * that cannot be replaced, links in a tree that is removed. */
#include "file/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void test_read(void **state)
{
    samp_error error = {0};
    samp_file *file;
    char bytes[8] = "";
    (void)state;
    put_file("ten", "0123456789", 10);
    assert_ok(samp_file_open(&file, scratch_path("ten"), &error), &error);
    assert_int_equal(samp_file_size(file), 10);
    assert_ok(samp_file_read(file, 7, bytes, 3, &error), &error);
    assert_memory_equal(bytes, "789", 3);
    assert_ok(samp_file_read(file, 10, bytes, 0, &error), &error);
    assert_fails(samp_file_read(file, 8, bytes, 3, &error), &error, SAMP_CORRUPT,
                 "3 bytes at byte 8 lie past its end (10 bytes)");
    assert_fails(samp_file_read(file, UINT64_MAX, bytes, 3, &error), &error, SAMP_CORRUPT,
                 "lie past its end");
    samp_file_forget(file, 0, 10);
    samp_file_forget(file, UINT64_MAX, UINT64_MAX);
    samp_file_close(file);
    samp_file_close(NULL);
}

/* 33, without a format around it */
static void test_read_shrinking(void **state)
{
    samp_error error = {0};
    samp_file *file;
    char bytes[10];
    (void)state;
    put_file("shrinks", "0123456789", 10);
    assert_ok(samp_file_open(&file, scratch_path("shrinks"), &error), &error);
    assert_int_equal(truncate(scratch_path("shrinks"), 4), 0);
    assert_fails(samp_file_read(file, 0, bytes, 10, &error), &error, SAMP_IO,
                 "ended at byte 4, it was 10 bytes when opened");
    samp_file_close(file);
}

/* 34: what cannot be opened as a file; none of it may hang. */
static void test_not_a_file(void **state)
{
    samp_error error = {0};
    samp_file *file;
    (void)state;
    assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
    assert_int_equal(mkdir(scratch_path("folder"), 0700), 0);
    assert_int_equal(symlink("loop", scratch_path("loop")), 0);
    assert_fails(samp_file_open(&file, scratch_path("fifo"), &error), &error, SAMP_INVALID,
                 "is a pipe, expected a regular file");
    assert_null(file);
    assert_fails(samp_file_open(&file, scratch_path("folder"), &error), &error, SAMP_INVALID,
                 "is a folder");
    assert_fails(samp_file_open(&file, "/dev/zero", &error), &error, SAMP_INVALID, "is a device");
    assert_fails(samp_file_open(&file, scratch_path("loop"), &error), &error, SAMP_IO,
                 "symbolic links");
    assert_fails(samp_file_open(&file, scratch_path("absent"), &error), &error, SAMP_NOT_FOUND,
                 "cannot be opened");
    assert_false(samp_is_file(scratch_path("fifo")));
    assert_true(samp_is_folder(scratch_path("folder")));
}

static void test_slurp(void **state)
{
    samp_error error = {0};
    samp_buffer text = {0};
    (void)state;
    put_file("small", "abc", 3);
    assert_ok(samp_file_slurp(scratch_path("small"), 3, &text, &error), &error);
    assert_int_equal(text.length, 3);
    assert_string_equal(text.data, "abc");
    assert_fails(samp_file_slurp(scratch_path("small"), 2, &text, &error), &error, SAMP_LIMIT,
                 "is 3 bytes, at most 2 are accepted");
    samp_buffer_release(&text);
}

static void read_back(const char *name, const char *expected)
{
    samp_error error = {0};
    samp_buffer text = {0};
    assert_ok(samp_file_slurp(scratch_path(name), 1 << 20, &text, &error), &error);
    assert_string_equal(text.data, expected);
    samp_buffer_release(&text);
}

static void test_output(void **state)
{
    samp_error error = {0};
    samp_output *output;
    (void)state;
    put_file("target", "old", 3);
    assert_ok(samp_output_create(&output, scratch_path("target"), &error), &error);
    assert_ok(samp_output_write(output, "abc", 3, &error), &error);
    assert_ok(samp_output_write_at(output, 5, "fg", 2, &error), &error);
    assert_ok(samp_output_write(output, "h", 1, &error), &error); /* after the furthest byte */
    assert_ok(samp_output_write_at(output, 3, "de", 2, &error), &error);
    read_back("target", "old"); /* nothing is visible yet */
    assert_ok(samp_output_commit(output, &error), &error);
    read_back("target", "abcdefgh");
    assert_ok(samp_output_create(&output, scratch_path("target"), &error), &error);
    assert_ok(samp_output_write(output, "x", 1, &error), &error);
    assert_fails(samp_output_write_at(output, UINT64_MAX, "x", 1, &error), &error, SAMP_INVALID,
                 "past the largest file");
    samp_output_abandon(output);
    samp_output_abandon(NULL);
    read_back("target", "abcdefgh");
    assert_int_equal(count_files(".tmp-"), 0);
    assert_ok(samp_file_copy(scratch_path("target"), scratch_path("copy"), &error), &error);
    read_back("copy", "abcdefgh");
}

static void test_bad_targets(void **state)
{
    samp_error error = {0};
    samp_output *output;
    (void)state;
    assert_int_equal(mkdir(scratch_path("a_folder"), 0700), 0);
    assert_int_equal(mkfifo(scratch_path("a_pipe"), 0600), 0);
    assert_fails(samp_output_create(&output, scratch_path("a_folder"), &error), &error,
                 SAMP_INVALID, "is a folder");
    assert_null(output);
    assert_fails(samp_output_create(&output, scratch_path("a_folder/"), &error), &error,
                 SAMP_INVALID, "is not the name of a file");
    assert_fails(samp_output_create(&output, "", &error), &error, SAMP_INVALID,
                 "is not the name of a file");
    assert_fails(samp_output_create(&output, scratch_path("a_pipe"), &error), &error, SAMP_INVALID,
                 "device, pipe or socket");
    assert_fails(samp_output_create(&output, "/dev/null", &error), &error, SAMP_INVALID,
                 "device, pipe or socket");
    assert_fails(samp_output_create(&output, scratch_path("absent/x"), &error), &error,
                 SAMP_NOT_FOUND, "cannot be created");
    /* A folder takes the name between create and commit: an error, and no temporary file is left.
     */
    assert_ok(samp_output_create(&output, scratch_path("taken"), &error), &error);
    assert_int_equal(mkdir(scratch_path("taken"), 0700), 0);
    assert_fails(samp_output_commit(output, &error), &error, SAMP_IO, "cannot be renamed");
    assert_int_equal(count_files(".tmp-"), 0);
}

static void test_link_as_target(void **state)
{
    samp_error error = {0};
    struct stat info;
    (void)state;
    put_file("behind", "old", 3);
    assert_int_equal(symlink("behind", scratch_path("front")), 0);
    assert_ok(samp_file_write(scratch_path("front"), "new", 3, &error), &error);
    read_back("behind", "old");
    read_back("front", "new");
    assert_int_equal(lstat(scratch_path("front"), &info), 0);
    assert_true(S_ISREG(info.st_mode));
}

/* A link with the temporary file's name is not followed, a left-over file is replaced. */
static void test_temporary_name_taken(void **state)
{
    samp_error error = {0};
    char temporary[600];
    (void)state;
    snprintf(temporary, sizeof temporary, "%s.tmp-%ld", scratch_path("named"), (long)getpid());
    put_file("victim", "safe", 4);
    assert_int_equal(symlink(scratch_path("victim"), temporary), 0);
    assert_ok(samp_file_write(scratch_path("named"), "new", 3, &error), &error);
    read_back("victim", "safe");
    read_back("named", "new");
}

/* Writes 8 MiB to a file on a file system of 1 MiB: the old file stays, the temporary goes. */
static void check_full_disk(const char *path, const char *says)
{
    samp_error error = {0};
    samp_output *output;
    samp_buffer text = {0};
    enum { PIECE = 1 << 16, PIECES = 128 };
    static char piece[PIECE];
    samp_status status = SAMP_OK;
    assert_ok(samp_file_write(path, "old", 3, &error), &error);
    assert_ok(samp_output_create(&output, path, &error), &error);
    for (int i = 0; status == SAMP_OK && i < PIECES; i++)
        status = samp_output_write(output, piece, PIECE, &error);
    assert_fails(status, &error, SAMP_IO, says);
    assert_non_null(strstr(error.message, "the old file, if any, is unchanged"));
    samp_output_abandon(output);
    assert_ok(samp_file_slurp(path, 10, &text, &error), &error);
    assert_string_equal(text.data, "old");
    samp_buffer_release(&text);
}

static void test_full_disk(void **state)
{
    samp_error error = {0};
    char folder[600], path[700];
    (void)state;
    snprintf(folder, sizeof folder, "%s", scratch_path("disk"));
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    if (mount("samp-test", folder, "tmpfs", 0, "size=1m") != 0) {
        print_message("mounting a tmpfs is not permitted (%s): full disk is skipped\n",
                      strerror(errno));
        skip();
    }
    put_file("victim", "safe", 4);
    check_full_disk(path, "No space left on device");
    samp_error refused = {0};
    samp_status status =
        samp_remove_folder(scratch, &refused); /* a mount point inside stops a removal */
    assert_int_equal(umount(folder), 0);
    assert_fails(status, &refused, SAMP_INVALID, "mount point");
    assert_ok(samp_make_folder(scratch, &error), &error);
}

/* The limit on file sizes needs no privilege; it is a process's own, so a child takes it. */
static void test_file_size_limit(void **state)
{
    char path[600];
    int result;
    (void)state;
    snprintf(path, sizeof path, "%s", scratch_path("limited"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, 1 << 20});
        samp_error error = {0};
        samp_output *output;
        static char piece[1 << 21];
        if (samp_file_write(path, "old", 3, &error) != SAMP_OK) _exit(1);
        if (samp_output_create(&output, path, &error) != SAMP_OK) _exit(2);
        if (samp_output_write(output, piece, sizeof piece, &error) != SAMP_IO) _exit(3);
        if (!strstr(error.message, "failed at byte 1048576"))
            _exit(4); /* the partial write was counted */
        samp_output_abandon(output);
        if (samp_file_write(path, piece, sizeof piece, &error) != SAMP_IO) _exit(5);
        _exit(0);
    }
    assert_true(waitpid(child, &result, 0) == child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
    read_back("limited", "old");
    assert_int_equal(count_files(".tmp-"), 0);
}

/* Every allocation of a copy fails in turn: the target appears whole or not at all. */
static void test_out_of_memory(void **state)
{
    samp_error error = {0};
    samp_status status = SAMP_NOMEM;
    int n = 0;
    (void)state;
    put_file("source", "content", 7);
    for (; status != SAMP_OK && n < 100; n++) {
        samp_alloc_fail_at((uint64_t)n + 1);
        status = samp_file_copy(scratch_path("source"), scratch_path("copied"), &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK) assert_fails(status, &error, SAMP_NOMEM, "out of memory");
        assert_true(samp_is_file(scratch_path("copied")) == (status == SAMP_OK));
        assert_int_equal(count_files(".tmp-"), 0);
    }
    assert_ok(status, &error);
    assert_true(n > 4);
    read_back("copied", "content");
}

static void test_paths(void **state)
{
    char path[16];
    samp_error error = {0};
    (void)state;
    assert_ok(samp_path_join(path, sizeof path, "a", "b", &error), &error);
    assert_string_equal(path, "a/b");
    assert_ok(samp_path_join(path, sizeof path, "a/", "b", &error), &error);
    assert_string_equal(path, "a/b");
    assert_ok(samp_path_join(path, sizeof path, "", "b", &error), &error);
    assert_string_equal(path, "b");
    assert_fails(samp_path_join(path, sizeof path, "0123456789", "12345", &error), &error,
                 SAMP_LIMIT, "longer than 16 bytes");
}

static void test_make_folder(void **state)
{
    samp_error error = {0};
    (void)state;
    assert_ok(samp_make_folder(scratch_path("made"), &error), &error);
    assert_ok(samp_make_folder(scratch_path("made"), &error), &error);
    assert_ok(samp_sync_folder(scratch_path("made"), &error), &error);
    put_file("not_a_folder", "", 0);
    assert_fails(samp_make_folder(scratch_path("not_a_folder"), &error), &error, SAMP_INVALID,
                 "is not a folder");
    assert_fails(samp_make_folder(scratch_path("no/parent"), &error), &error, SAMP_NOT_FOUND,
                 "cannot be made");
    assert_fails(samp_sync_folder(scratch_path("absent"), &error), &error, SAMP_NOT_FOUND,
                 "cannot be opened");
}

static void test_remove_folder(void **state)
{
    samp_error error = {0};
    (void)state;
    assert_int_equal(mkdir(scratch_path("keep"), 0700), 0);
    put_file("keep/file", "kept", 4);
    assert_int_equal(mkdir(scratch_path("tree"), 0700), 0);
    assert_int_equal(mkdir(scratch_path("tree/a"), 0700), 0);
    put_file("tree/a/file", "gone", 4);
    assert_int_equal(mkfifo(scratch_path("tree/fifo"), 0600), 0);
    assert_int_equal(symlink(scratch_path("keep"), scratch_path("tree/link")), 0);
    assert_int_equal(symlink("../../keep/file", scratch_path("tree/a/link")), 0);
    assert_ok(samp_remove_folder(scratch_path("tree"), &error), &error);
    assert_false(samp_is_folder(scratch_path("tree")));
    read_back("keep/file", "kept");
    /* A link in place of the folder itself is not followed. */
    assert_int_equal(symlink("keep", scratch_path("alias")), 0);
    assert_fails(samp_remove_folder(scratch_path("alias"), &error), &error, SAMP_IO,
                 "cannot be opened for removal");
    read_back("keep/file", "kept");
    assert_fails(samp_remove_folder(scratch_path("keep/file"), &error), &error, SAMP_IO,
                 "cannot be opened for removal");
    assert_fails(samp_remove_folder(scratch_path("absent"), &error), &error, SAMP_NOT_FOUND,
                 "cannot be opened for removal");
}

static void test_remove_deep_folder(void **state)
{
    samp_error error = {0};
    char path[1024];
    int length = snprintf(path, sizeof path, "%s", scratch_path("deep"));
    (void)state;
    for (int i = 0; i < 70; i++, length += 2) {
        assert_int_equal(mkdir(path, 0700), 0);
        strcat(path, "/d");
    }
    assert_fails(samp_remove_folder(scratch_path("deep"), &error), &error, SAMP_LIMIT,
                 "deeper than 64 folders");
    path[strlen(path) - 2 * 20] =
        '\0'; /* taking the lower part away first is what the error asks for */
    assert_ok(samp_remove_folder(path, &error), &error);
    assert_ok(samp_remove_folder(scratch_path("deep"), &error), &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_shrinking),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_slurp),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_bad_targets),
        cmocka_unit_test(test_link_as_target),
        cmocka_unit_test(test_temporary_name_taken),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_make_folder),
        cmocka_unit_test(test_remove_folder),
        cmocka_unit_test(test_remove_deep_folder),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

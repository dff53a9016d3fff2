/* System calls that fail or do half of what was asked: this program's own pread, pwrite, fsync,
 * close and rename stand in front of the C library's and fail on demand. Nothing but the library
 * under test calls them while a fault is set. */
#include "file/scratch.h"

#include "file/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

typedef enum call {
    CALL_NONE,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC_FILE,
    CALL_SYNC_FOLDER,
    CALL_CLOSE,
    CALL_RENAME
} call;

static struct {
    call fails;       /* this call … */
    int at;           /* … the at-th time from now (1 = next) and ever after … */
    int error;        /* … gives this errno */
    size_t at_most;   /* bytes a read or write moves at most; 0 = all */
    bool interrupted; /* every other read and write is interrupted */
    int calls; /* of the call named by fails, and of reads and writes when that is CALL_NONE */
} fault;

static bool fault_hits(call which)
{
    if (fault.fails != which) return false;
    if (++fault.calls < fault.at) return false;
    errno = fault.error;
    return true;
}

static size_t fault_bytes(size_t n)
{
    if (fault.fails == CALL_NONE) fault.calls++;
    return fault.at_most && n > fault.at_most ? fault.at_most : n;
}

static bool fault_interrupts(void)
{
    static unsigned turn;
    if (!fault.interrupted || ++turn % 2) return false;
    errno = EINTR;
    return true;
}

ssize_t pread(int fd, void *out, size_t n, off_t offset)
{
    if (fault_interrupts() || fault_hits(CALL_READ)) return -1;
    return syscall(SYS_pread64, fd, out, fault_bytes(n), offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    if (fault_interrupts() || fault_hits(CALL_WRITE)) return -1;
    return syscall(SYS_pwrite64, fd, bytes, fault_bytes(n), offset);
}

int fsync(int fd)
{
    struct stat info;
    bool folder = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
    if (fault_hits(folder ? CALL_SYNC_FOLDER : CALL_SYNC_FILE)) return -1;
    return (int)syscall(SYS_fsync, fd);
}

int close(int fd)
{
    int result = (int)syscall(SYS_close, fd);
    return fault_hits(CALL_CLOSE) ? -1 : result;
}

int rename(const char *from, const char *to)
{
    if (fault_hits(CALL_RENAME)) return -1;
    return (int)syscall(SYS_rename, from, to);
}

static void clear_fault(void) { memset(&fault, 0, sizeof fault); }

static void set_fault(call fails, int at, int error)
{
    clear_fault(); /* the count of calls, too */
    fault.fails = fails;
    fault.at = at;
    fault.error = error;
}

static void set_short(size_t at_most)
{
    clear_fault();
    fault.at_most = at_most;
    fault.interrupted = true;
}

enum { N = 100000 };

static char *make_bytes(void)
{
    char *bytes = malloc(N);
    assert_non_null(bytes);
    for (int i = 0; i < N; i++) bytes[i] = (char)(i * 31 + i / 256);
    return bytes;
}

static void test_short_reads(void **state)
{
    samp_error error = {0};
    samp_file *file;
    char *bytes = make_bytes(), *copy = malloc(N);
    (void)state;
    assert_non_null(copy);
    put_file("long", bytes, N);
    assert_ok(samp_file_open(&file, scratch_path("long"), &error), &error);
    set_short(7);
    samp_status status = samp_file_read(file, 0, copy, N, &error);
    int calls = fault.calls;
    clear_fault();
    assert_ok(status, &error);
    assert_int_equal(calls, (N + 6) / 7);
    assert_memory_equal(copy, bytes, N);
    samp_file_close(file);
    free(bytes);
    free(copy);
}

static void test_failing_read(void **state)
{
    samp_error error = {0};
    samp_file *file;
    char bytes[100];
    (void)state;
    put_file("hundred", (char[100]){0}, 100);
    assert_ok(samp_file_open(&file, scratch_path("hundred"), &error), &error);
    set_fault(CALL_READ, 4, EIO); /* after 30 bytes came */
    fault.at_most = 10;
    samp_status status = samp_file_read(file, 0, bytes, 100, &error);
    clear_fault();
    assert_fails(status, &error, SAMP_IO, "reading 100 bytes at byte 0 failed: Input/output error");
    samp_file_close(file);
}

static void test_short_writes(void **state)
{
    samp_error error = {0};
    samp_buffer text = {0};
    char *bytes = make_bytes();
    (void)state;
    set_short(13);
    samp_status status = samp_file_write(scratch_path("written"), bytes, N, &error);
    clear_fault();
    assert_ok(status, &error);
    assert_ok(samp_file_slurp(scratch_path("written"), N, &text, &error), &error);
    assert_int_equal(text.length, N);
    assert_memory_equal(text.data, bytes, N);
    samp_buffer_release(&text);
    free(bytes);
}

/* Replacing a file fails at one of its steps: an error that says so, the old file whole, nothing
 * left over. */
static void test_failing_replacement(void **state)
{
    static const struct {
        call fails;
        int at, error;
        const char *says;
    } cases[] = {
        {CALL_WRITE, 1, ENOSPC,
         "failed at byte 0 (the old file, if any, is unchanged): No space left on device"},
        {CALL_WRITE, 3, ENOSPC,
         "failed at byte 80000 (the old file, if any, is unchanged): No space left on device"},
        {CALL_WRITE, 2, EIO,
         "failed at byte 40000 (the old file, if any, is unchanged): Input/output error"},
        {CALL_WRITE, 2, EDQUOT,
         "failed at byte 40000 (the old file, if any, is unchanged): Disk quota exceeded"},
        {CALL_SYNC_FILE, 1, EIO, "durable failed: Input/output error"},
        {CALL_CLOSE, 1, EIO, "failed: Input/output error"},
        {CALL_RENAME, 1, EACCES, "cannot be renamed to"},
    };
    char *bytes = make_bytes();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_error error = {0};
        samp_buffer text = {0};
        put_file("kept", "old", 3);
        set_fault(cases[i].fails, cases[i].at, cases[i].error);
        fault.at_most = 40000;
        samp_status status = samp_file_write(scratch_path("kept"), bytes, N, &error);
        clear_fault();
        assert_fails(status, &error, SAMP_IO, cases[i].says);
        assert_ok(samp_file_slurp(scratch_path("kept"), N, &text, &error), &error);
        assert_string_equal(text.data, "old");
        assert_int_equal(count_files(".tmp-"), 0);
        samp_buffer_release(&text);
    }
    free(bytes);
}

/* The folder is synced last: EINVAL means that its file system has no such thing, others are told.
 */
static void test_failing_folder_sync(void **state)
{
    samp_error error = {0};
    (void)state;
    set_fault(CALL_SYNC_FOLDER, 1, EINVAL);
    samp_status status = samp_file_write(scratch_path("synced"), "x", 1, &error);
    assert_int_equal(fault.calls, 1);
    fault.error = EIO;
    samp_status failed = samp_file_write(scratch_path("synced"), "x", 1, &error);
    clear_fault();
    assert_ok(status, &error);
    assert_fails(failed, &error, SAMP_IO, "making the folder");
}

static void test_failing_header_read(void **state)
{
    static const char file_bytes[] = "\2\0\0\0\0\0\0\0{}";
    samp_error error = {0};
    samp_safetensors *file;
    (void)state;
    put_file("a.safetensors", file_bytes, 10);
    for (int at = 1; at <= 2; at++) {
        set_fault(CALL_READ, at, EIO);
        samp_status status = samp_safetensors_open(&file, scratch_path("a.safetensors"), &error);
        clear_fault();
        assert_fails(status, &error, SAMP_IO, "Input/output error");
        assert_null(file);
    }
    assert_ok(samp_safetensors_open(&file, scratch_path("a.safetensors"), &error), &error);
    samp_safetensors_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_reads),         cmocka_unit_test(test_failing_read),
        cmocka_unit_test(test_short_writes),        cmocka_unit_test(test_failing_replacement),
        cmocka_unit_test(test_failing_folder_sync), cmocka_unit_test(test_failing_header_read),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* Files that are read: opened regular files and exact positioned reads. Writing is in output.c,
 * folders in folder.c. A samp_file owns its descriptor and a copy of its path. */
#include "file/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct samp_file {
    int fd;
    uint64_t size; /* when it was opened */
    char *path;
};

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)                    ? "a folder"
           : S_ISFIFO(mode)                 ? "a pipe"
           : S_ISSOCK(mode)                 ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                            : "not a file";
}

samp_status samp_file_open(samp_file **out, const char *path, samp_error *error)
{
    *out = NULL;
    /* O_NONBLOCK: opening a pipe without a writer must not hang; it changes nothing for regular
     * files. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return samp_fail_errno(error, "%s cannot be opened", path);
    struct stat info;
    samp_status status = SAMP_OK;
    if (fstat(fd, &info) != 0)
        status = samp_fail_errno(error, "%s cannot be examined", path);
    else if (!S_ISREG(info.st_mode))
        status = samp_fail(error, SAMP_INVALID, "%s is %s, expected a regular file", path,
                           kind_of(info.st_mode));
    samp_file *file = status == SAMP_OK ? samp_alloc(1, sizeof *file) : NULL;
    char *copy = file ? samp_strdup(path) : NULL;
    if (status == SAMP_OK && !copy)
        status = samp_fail(error, SAMP_NOMEM, "out of memory while opening %s", path);
    if (status != SAMP_OK) {
        samp_free(file);
        close(fd);
        return status;
    }
    *file = (samp_file){fd, (uint64_t)info.st_size, copy};
    *out = file;
    return SAMP_OK;
}

void samp_file_close(samp_file *file)
{
    if (!file) return;
    close(file->fd);
    samp_free(file->path);
    samp_free(file);
}

uint64_t samp_file_size(const samp_file *file) { return file->size; }

const char *samp_file_path(const samp_file *file) { return file->path; }

enum { CHUNK = 1 << 30 }; /* one read(2) or write(2) does at most 2 GiB */

uint64_t samp_pread(int fd, void *out, uint64_t n, uint64_t offset)
{
    uint64_t done = 0;
    while (done < n) {
        size_t wanted = n - done < CHUNK ? (size_t)(n - done) : CHUNK;
        ssize_t got = pread(fd, (char *)out + done, wanted, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = 0;
        if (got <= 0) break;
        done += (uint64_t)got;
    }
    return done;
}

uint64_t samp_pwrite(int fd, const void *bytes, uint64_t n, uint64_t offset)
{
    uint64_t done = 0;
    while (done < n) {
        size_t wanted = n - done < CHUNK ? (size_t)(n - done) : CHUNK;
        ssize_t put = pwrite(fd, (const char *)bytes + done, wanted, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put == 0) errno = EIO;
        if (put <= 0) break;
        done += (uint64_t)put;
    }
    return done;
}

samp_status samp_file_read(samp_file *file, uint64_t offset, void *out, uint64_t n,
                           samp_error *error)
{
    uint64_t end;
    if (!samp_add(offset, n, &end) || end > file->size)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: %" PRIu64 " bytes at byte %" PRIu64 " lie past its end (%" PRIu64
                         " bytes); it is truncated or was replaced",
                         file->path, n, offset, file->size);
    uint64_t done = samp_pread(file->fd, out, n, offset);
    if (done < n && errno != 0)
        return samp_fail_errno(error, "%s: reading %" PRIu64 " bytes at byte %" PRIu64 " failed",
                               file->path, n, offset);
    if (done < n)
        return samp_fail(error, SAMP_IO,
                         "%s ended at byte %" PRIu64 ", it was %" PRIu64
                         " bytes when opened: something shortened it while it was read",
                         file->path, offset + done, file->size);
    return SAMP_OK;
}

void samp_file_forget(samp_file *file, uint64_t offset, uint64_t n)
{
    if (offset > INT64_MAX || n > INT64_MAX) return;
    /* Advice: a failure costs page cache, nothing else. */
    (void)posix_fadvise(file->fd, (off_t)offset, (off_t)n, POSIX_FADV_DONTNEED);
}

samp_status samp_file_slurp(const char *path, uint64_t max_bytes, samp_buffer *out,
                            samp_error *error)
{
    samp_file *file;
    SAMP_TRY(samp_file_open(&file, path, error));
    samp_status status = SAMP_OK;
    samp_buffer_clear(out);
    if (file->size > max_bytes) {
        status = samp_fail(error, SAMP_LIMIT,
                           "%s is %" PRIu64 " bytes, at most %" PRIu64 " are accepted", path,
                           file->size, max_bytes);
    } else {
        char *at = samp_buffer_reserve(out, (size_t)file->size);
        status = at ? samp_file_read(file, 0, at, file->size, error)
                    : samp_fail(error, SAMP_NOMEM, "out of memory for %s (%" PRIu64 " bytes)", path,
                                file->size);
        if (status == SAMP_OK) {
            out->length = (size_t)file->size;
            out->data[out->length] = '\0';
        }
    }
    samp_file_close(file);
    return status;
}

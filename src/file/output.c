/* Files that are written: bytes go to a temporary name beside the target; commit makes them durable
 * and renames, so a reader sees the old file or the whole new one. A samp_output owns its
 * descriptor, and the temporary file until commit. */
#include "file/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct samp_output {
    int fd;
    uint64_t end; /* where the next append goes */
    char *path, *temporary;
};

static void release(samp_output *output)
{
    if (output->fd >= 0) close(output->fd);
    samp_free(output->path);
    samp_free(output->temporary);
    samp_free(output);
}

/* What is at path now, if anything, may be replaced. */
static samp_status check_target(const char *path, samp_error *error)
{
    struct stat info;
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/')
        return samp_fail(error, SAMP_INVALID, "\"%s\" is not the name of a file to write", path);
    if (stat(path, &info) != 0) return SAMP_OK; /* new, or create will say what is wrong */
    if (S_ISDIR(info.st_mode))
        return samp_fail(error, SAMP_INVALID,
                         "%s is a folder, expected the name of a file to write", path);
    if (!S_ISREG(info.st_mode))
        return samp_fail(error, SAMP_INVALID,
                         "%s is a device, pipe or socket, only regular files are replaced", path);
    return SAMP_OK;
}

samp_status samp_output_create(samp_output **out, const char *path, samp_error *error)
{
    *out = NULL;
    SAMP_TRY(check_target(path, error));
    size_t room = strlen(path) + 32;
    samp_output *output = samp_alloc(1, sizeof *output);
    if (output) {
        output->fd = -1;
        output->path = samp_strdup(path);
        output->temporary = samp_alloc(room, 1);
    }
    if (!output || !output->path || !output->temporary) {
        if (output) release(output);
        return samp_fail(error, SAMP_NOMEM, "out of memory while creating %s", path);
    }
    snprintf(output->temporary, room, "%s.tmp-%ld", path, (long)getpid());
    /* O_EXCL never follows a link put there by someone else. A left-over of a killed process that
     * had our number is removed first. */
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    output->fd = open(output->temporary, flags, 0666);
    if (output->fd < 0 && errno == EEXIST && unlink(output->temporary) == 0)
        output->fd = open(output->temporary, flags, 0666);
    if (output->fd < 0) {
        samp_status status = samp_fail_errno(error, "%s cannot be created", output->temporary);
        release(output);
        return status;
    }
    *out = output;
    return SAMP_OK;
}

samp_status samp_output_write_at(samp_output *output, uint64_t offset, const void *bytes,
                                 uint64_t n, samp_error *error)
{
    uint64_t end;
    if (!samp_add(offset, n, &end) || end > INT64_MAX)
        return samp_fail(error, SAMP_INVALID,
                         "%s: %" PRIu64 " bytes at byte %" PRIu64 " is past the largest file",
                         output->path, n, offset);
    uint64_t done = samp_pwrite(output->fd, bytes, n, offset);
    if (done < n)
        return samp_fail_errno(
            error, "writing %s failed at byte %" PRIu64 " (the old file, if any, is unchanged)",
            output->path, offset + done);
    if (end > output->end) output->end = end;
    return SAMP_OK;
}

samp_status samp_output_write(samp_output *output, const void *bytes, uint64_t n, samp_error *error)
{
    return samp_output_write_at(output, output->end, bytes, n, error);
}

samp_status samp_output_commit(samp_output *output, samp_error *error)
{
    char folder[4096];
    samp_status status = samp_path_folder(folder, sizeof folder, output->path, error);
    if (status == SAMP_OK && fsync(output->fd) != 0)
        status = samp_fail_errno(error, "making %s durable failed", output->temporary);
    if (status == SAMP_OK) {
        int fd = output->fd;
        output->fd = -1;
        /* NFS reports a full disk or quota only here. */
        if (close(fd) != 0 && errno != EINTR)
            status = samp_fail_errno(error, "closing %s failed", output->temporary);
    }
    if (status == SAMP_OK && rename(output->temporary, output->path) != 0)
        status =
            samp_fail_errno(error, "%s cannot be renamed to %s", output->temporary, output->path);
    if (status != SAMP_OK) {
        samp_output_abandon(output);
        return status;
    }
    release(output);
    return samp_sync_folder(folder, error);
}

void samp_output_abandon(samp_output *output)
{
    if (!output) return;
    unlink(output->temporary);
    release(output);
}

samp_status samp_file_write(const char *path, const void *bytes, uint64_t n, samp_error *error)
{
    samp_output *output;
    SAMP_TRY(samp_output_create(&output, path, error));
    samp_status status = samp_output_write(output, bytes, n, error);
    if (status == SAMP_OK) return samp_output_commit(output, error);
    samp_output_abandon(output);
    return status;
}

/* The bytes of an open file, appended in pieces. */
static samp_status append_file(samp_output *output, samp_file *from, samp_error *error)
{
    enum { CHUNK = 1 << 20 };
    char *piece = samp_realloc(NULL, CHUNK, 1);
    if (!piece)
        return samp_fail(error, SAMP_NOMEM, "out of memory while copying %s", samp_file_path(from));
    uint64_t size = samp_file_size(from);
    samp_status status = SAMP_OK;
    for (uint64_t at = 0; status == SAMP_OK && at < size; at += CHUNK) {
        uint64_t n = size - at < CHUNK ? size - at : CHUNK;
        status = samp_file_read(from, at, piece, n, error);
        if (status == SAMP_OK) status = samp_output_write(output, piece, n, error);
    }
    samp_free(piece);
    return status;
}

samp_status samp_file_copy(const char *from, const char *to, samp_error *error)
{
    samp_file *source;
    samp_output *output;
    SAMP_TRY(samp_file_open(&source, from, error));
    samp_status status = samp_output_create(&output, to, error);
    if (status == SAMP_OK) {
        status = append_file(output, source, error);
        if (status == SAMP_OK)
            status = samp_output_commit(output, error);
        else
            samp_output_abandon(output);
    }
    samp_file_close(source);
    return status;
}

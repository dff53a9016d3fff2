/* Two generations of activations in one mapped file. */
#include "plan/streams.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

samp_status samp_streams_open(samp_streams *s, const char *path, uint64_t n_values, bool *fresh,
                              samp_error *error)
{
    *s = (samp_streams){.fd = -1, .n_values = n_values};
    uint64_t bytes;
    if (!samp_mul(n_values, 2 * sizeof(float), &bytes) || bytes == 0 || bytes > INT64_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: %llu activations are too many", path,
                         (unsigned long long)n_values);
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat info;
    if (s->fd < 0 || fstat(s->fd, &info) != 0) {
        samp_fail_errno(error, "%s cannot be opened for activations", path);
        samp_streams_close(s);
        return SAMP_IO;
    }
    *fresh = (uint64_t)info.st_size != bytes;
    int failed = *fresh && ftruncate(s->fd, 0) != 0 ? errno : 0;
    if (*fresh && !failed) failed = posix_fallocate(s->fd, 0, (off_t)bytes);
    if (failed) {
        errno = failed;
        samp_status status = samp_fail_errno(
            error,
            "%s: no room for %.1f GB of activations; free disk space, or measure fewer tokens",
            path, (double)bytes / 1e9);
        samp_streams_close(s);
        unlink(path);
        return status;
    }
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (mapped == MAP_FAILED) {
        samp_status status = samp_fail_errno(error, "%s cannot be mapped", path);
        samp_streams_close(s);
        return status;
    }
    s->values = mapped;
    return SAMP_OK;
}

void samp_streams_close(samp_streams *s)
{
    if (s->values) munmap(s->values, s->n_values * 2 * sizeof(float));
    if (s->fd >= 0) close(s->fd);
    *s = (samp_streams){.fd = -1};
}

float *samp_streams_now(const samp_streams *s)
{
    return s->values + (s->generation ? s->n_values : 0);
}

float *samp_streams_next(const samp_streams *s)
{
    return s->values + (s->generation ? 0 : s->n_values);
}

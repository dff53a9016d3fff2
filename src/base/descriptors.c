/* How many there may be, and a second way to a pipe. */
#include "base/descriptors.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

uint64_t samp_descriptors_raise(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return UINT64_MAX;
    rlim_t old = limit.rlim_cur, most = limit.rlim_max;
    limit.rlim_cur = most == RLIM_INFINITY || wanted < most ? (rlim_t)wanted : most;
    if (old == RLIM_INFINITY || old >= limit.rlim_cur || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = old;
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

int samp_descriptor_reopen_pipe(int fd)
{
    char path[32];
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISFIFO(about.st_mode)) return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
}

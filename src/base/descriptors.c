/* The limit on file descriptors. */
#include "base/descriptors.h"

#include <sys/resource.h>

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

/* Which table of inner loops this process uses. */
#include "format/kernels.h"

const samp__kernels *samp__kernels_at(samp_cpu_level level) { return samp__kernels_of[level]; }

const samp__kernels *samp__kernels_get(void)
{
    samp_cpu_level level;
    if (samp_cpu_choose(&level, NULL) != SAMP_OK) level = samp_cpu_host();
    return samp__kernels_at(level);
}

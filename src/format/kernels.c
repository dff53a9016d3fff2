/* Which table of inner loops this process uses. */
#include "format/kernels_avx2.h"

const samp__kernels *samp__kernels_at(samp_cpu_level level)
{
#if defined(__x86_64__)
    if (level >= SAMP_CPU_AVX512) return &samp__kernels_avx512;
    if (level >= SAMP_CPU_AVX2) return &samp__kernels_avx2;
#endif
    (void)level;
    return &samp__kernels_scalar;
}

const samp__kernels *samp__kernels_get(void)
{
    samp_cpu_level level;
    if (samp_cpu_choose(&level, NULL) != SAMP_OK) level = samp_cpu_host();
    return samp__kernels_at(level);
}

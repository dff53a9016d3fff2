/* Levels of 64-bit ARM, from what the kernel tells every process about its processor. */
#include "base/cpu.h"

#include <asm/hwcap.h>
#include <sys/auxv.h>

samp_cpu_level samp_cpu_host(void)
{
    if (!(getauxval(AT_HWCAP) & HWCAP_ASIMDDP)) return SAMP_CPU_NEON;
    return getauxval(AT_HWCAP2) & HWCAP2_I8MM ? SAMP_CPU_I8MM : SAMP_CPU_DOTPROD;
}

/* Levels of x86-64, by the compiler's cpuid helpers (they check the saved register state too). */
#include "base/cpu.h"

#include <cpuid.h>

/* clang 14's __builtin_cpu_supports does not know this one. The answer is kept, because a virtual
 * machine traps on cpuid, which takes microseconds, and small conversions ask for the level each
 * time. */
static bool has_f16c(void)
{
    static _Atomic int known; /* 0 not asked, 1 no, 2 yes */
    if (known == 0) {
        unsigned eax, ebx, ecx, edx;
        known = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_F16C ? 2 : 1;
    }
    return known == 2;
}

samp_cpu_level samp_cpu_host(void)
{
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    if (!avx2) return SAMP_CPU_SCALAR;
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vnni");
    if (!avx512) return SAMP_CPU_AVX2;
    return __builtin_cpu_supports("avx512vbmi") ? SAMP_CPU_AVX512VBMI : SAMP_CPU_AVX512;
}

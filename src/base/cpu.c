/* CPU features by the compiler's cpuid helpers (they check the saved register state too). */
#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
#define X(id, name, text) name,
    SAMP_CPU_LIST(X)
#undef X
};

#if defined(__x86_64__)
/* clang 14's __builtin_cpu_supports does not know this one. The answer is kept, because a virtual machine
 * traps on cpuid, which takes microseconds, and small conversions ask for the level each time. */
static bool has_f16c(void)
{
    static _Atomic int known; /* 0 not asked, 1 no, 2 yes */
    if (known == 0) {
        unsigned eax, ebx, ecx, edx;
        known = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_F16C ? 2 : 1;
    }
    return known == 2;
}
#endif

samp_cpu_level samp_cpu_host(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    if (!avx2) return SAMP_CPU_SCALAR;
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vnni");
    if (!avx512) return SAMP_CPU_AVX2;
    return __builtin_cpu_supports("avx512vbmi") ? SAMP_CPU_AVX512VBMI : SAMP_CPU_AVX512;
#else
    return SAMP_CPU_SCALAR;
#endif
}

const char *samp_cpu_name(samp_cpu_level level) { return names[level]; }

samp_status samp_cpu_choose(samp_cpu_level *out, samp_error *error)
{
    samp_cpu_level host = samp_cpu_host();
    *out = host;
    const char *wanted = getenv("SAMP_CPU");
    if (!wanted || !*wanted) return SAMP_OK;
    for (int level = 0; level < SAMP_CPU_COUNT; level++) {
        if (strcmp(wanted, names[level]) != 0) continue;
        if ((samp_cpu_level)level > host)
            return samp_fail(error, SAMP_UNSUPPORTED, "SAMP_CPU=%s, but this processor only has %s",
                             wanted, names[host]);
        *out = (samp_cpu_level)level;
        return SAMP_OK;
    }
    return samp_fail(error, SAMP_INVALID,
                     "SAMP_CPU=%s is not a level; use scalar, avx2, avx512 or avx512vbmi", wanted);
}

void samp_cpu_model(char *out, size_t n)
{
    snprintf(out, n, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, n, "%s", colon + 2);
        break;
    }
    fclose(file);
}

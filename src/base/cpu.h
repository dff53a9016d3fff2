/* CPU features, as levels: each level has every feature of the ones before it, and an architecture
 * has its own list. SAMP_CPU=NAME forces a level at or below the host's. What a level means to a
 * room is in its table for the architecture (backend/cpu/levels_*.c, format/kernels_*.c). */
#ifndef SAMP_BASE_CPU_H
#define SAMP_BASE_CPU_H

#include "base/error.h"

#if defined(__x86_64__)
#define SAMP_CPU_LIST(X)                                                                           \
    X(SCALAR, "scalar", "plain C")                                                                 \
    X(AVX2, "avx2", "AVX2, FMA, F16C")                                                             \
    X(AVX512, "avx512", "AVX-512 F/BW/VL/DQ and VNNI")                                             \
    X(AVX512VBMI, "avx512vbmi", "the same and VBMI")
#elif defined(__aarch64__)
#define SAMP_CPU_LIST(X)                                                                           \
    X(SCALAR, "scalar", "plain C")                                                                 \
    X(NEON, "neon", "Advanced SIMD, which every 64-bit ARM processor has")                         \
    X(DOTPROD, "dotprod", "the same and dot products of 8-bit integers")                           \
    X(I8MM, "i8mm", "the same and their matrix products")
#else
#define SAMP_CPU_LIST(X) X(SCALAR, "scalar", "plain C")
#endif

typedef enum samp_cpu_level {
#define X(id, name, text) SAMP_CPU_##id,
    SAMP_CPU_LIST(X)
#undef X
        SAMP_CPU_COUNT
} samp_cpu_level;

/* The highest level this host has (cpu_ARCHITECTURE.c). */
samp_cpu_level samp_cpu_host(void);
/* The level to use: the host's, or what SAMP_CPU names. An unknown or too high name is an error. */
samp_status samp_cpu_choose(samp_cpu_level *out, samp_error *error);
const char *samp_cpu_name(samp_cpu_level level);
/* "scalar, avx2, …": all levels of this architecture, for messages. */
const char *samp_cpu_names(void);
/* "AMD EPYC 7B13" or "ARM 0x41 0xd0b" (implementer and part) from /proc/cpuinfo, "unknown"
 * elsewhere; n bytes at most. */
void samp_cpu_model(char *out, size_t n);

#endif

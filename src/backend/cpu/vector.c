/* Chooses the table of vector functions for an instruction set level. */
#include "backend/cpu/vector.h"

#include <assert.h>

const samp__vector *samp__vector_table(samp_cpu_level level)
{
    assert(level < SAMP_CPU_COUNT);
#if defined(__x86_64__)
    if (level >= SAMP_CPU_AVX512) return &samp__vector_avx512;
    if (level == SAMP_CPU_AVX2) return &samp__vector_avx2;
#endif
    return &samp__vector_scalar;
}

/* What each level of base/cpu.h runs: its three tables of functions. One file for each
 * architecture, of which a build has one (cmake/rooms.cmake): levels_x86.c, levels_arm64.c,
 * levels_other.c. */
#ifndef SAMP_CPU_LEVELS_H
#define SAMP_CPU_LEVELS_H

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/matmul.h"
#include "backend/cpu/vector.h"

typedef struct samp__level {
    const samp__matmul_level *matmul;
    const samp__vector *vector;
    const samp__attention_kernels *attention;
} samp__level;

extern const samp__level samp__levels[SAMP_CPU_COUNT];

extern const samp__matmul_level samp__matmul_scalar, samp__matmul_avx2, samp__matmul_avx512,
    samp__matmul_avx512vbmi, samp__matmul_neon, samp__matmul_dotprod, samp__matmul_i8mm;
extern const samp__vector samp__vector_scalar, samp__vector_avx2, samp__vector_avx512,
    samp__vector_neon;
extern const samp__attention_kernels samp__attention_scalar, samp__attention_avx2,
    samp__attention_avx512, samp__attention_neon;

#endif

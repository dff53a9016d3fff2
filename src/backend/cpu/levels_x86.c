/* The levels of x86-64: VBMI only changes how products expand 4-bit codes. */
#include "backend/cpu/levels.h"

const samp__level samp__levels[SAMP_CPU_COUNT] = {
    [SAMP_CPU_SCALAR] = {&samp__matmul_scalar, &samp__vector_scalar, &samp__attention_scalar},
    [SAMP_CPU_AVX2] = {&samp__matmul_avx2, &samp__vector_avx2, &samp__attention_avx2},
    [SAMP_CPU_AVX512] = {&samp__matmul_avx512, &samp__vector_avx512, &samp__attention_avx512},
    [SAMP_CPU_AVX512VBMI] = {&samp__matmul_avx512vbmi, &samp__vector_avx512,
                             &samp__attention_avx512},
};

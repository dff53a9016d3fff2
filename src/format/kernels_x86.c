/* The tables of inner loops of x86-64's levels. */
#include "format/kernels.h"

const samp__kernels *const samp__kernels_of[SAMP_CPU_COUNT] = {
    [SAMP_CPU_SCALAR] = &samp__kernels_scalar,
    [SAMP_CPU_AVX2] = &samp__kernels_avx2,
    [SAMP_CPU_AVX512] = &samp__kernels_avx512,
    [SAMP_CPU_AVX512VBMI] = &samp__kernels_avx512,
};

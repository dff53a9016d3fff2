/* The tables of inner loops of 64-bit ARM's levels. */
#include "format/kernels.h"

const samp__kernels *const samp__kernels_of[SAMP_CPU_COUNT] = {
    [SAMP_CPU_SCALAR] = &samp__kernels_scalar,
    [SAMP_CPU_NEON] = &samp__kernels_neon,
    [SAMP_CPU_DOTPROD] = &samp__kernels_neon,
    [SAMP_CPU_I8MM] = &samp__kernels_neon,
};

/* The one level of an architecture without kernels of its own. */
#include "backend/cpu/levels.h"

const samp__level samp__levels[SAMP_CPU_COUNT] = {
    {&samp__matmul_scalar, &samp__vector_scalar, &samp__attention_scalar},
};

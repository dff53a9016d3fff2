/* The levels of 64-bit ARM: they differ in products of integers only. */
#include "backend/cpu/levels.h"

const samp__level samp__levels[SAMP_CPU_COUNT] = {
    [SAMP_CPU_SCALAR] = {&samp__matmul_scalar, &samp__vector_scalar, &samp__attention_scalar},
    [SAMP_CPU_NEON] = {&samp__matmul_neon, &samp__vector_neon, &samp__attention_neon},
    [SAMP_CPU_DOTPROD] = {&samp__matmul_dotprod, &samp__vector_neon, &samp__attention_neon},
    [SAMP_CPU_I8MM] = {&samp__matmul_i8mm, &samp__vector_neon, &samp__attention_neon},
};

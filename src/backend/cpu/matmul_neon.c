/* The NEON level without dot products (Cortex-A72): matmul_neon_body.h. */
#define SAMP__DOTPROD 0
#define SAMP__I8MM    0
#define SAMP__TABLE   samp__matmul_neon
#include "backend/cpu/matmul_neon_body.h"

/* The NEON level with dot products (Cortex-A76, Neoverse N1): matmul_neon_body.h. */
#define SAMP__DOTPROD 1
#define SAMP__I8MM    0
#define SAMP__TABLE   samp__matmul_dotprod
#include "backend/cpu/matmul_neon_body.h"

/* The NEON level with dot and matrix products (Neoverse V1, N2): matmul_neon_body.h. */
#define SAMP__DOTPROD 1
#define SAMP__I8MM    1
#define SAMP__TABLE   samp__matmul_i8mm
#include "backend/cpu/matmul_neon_body.h"

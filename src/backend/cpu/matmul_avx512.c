/* The AVX-512 level with VNNI but without VBMI (Cascade Lake): matmul_avx512_body.h. */
#define SAMP__VBMI  0
#define SAMP__TABLE samp__matmul_avx512
#include "backend/cpu/matmul_avx512_body.h"

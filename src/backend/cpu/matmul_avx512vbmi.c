/* The AVX-512 level with VNNI and VBMI (Ice Lake, Zen 4 and later): matmul_avx512_body.h. */
#define SAMP__VBMI  1
#define SAMP__TABLE samp__matmul_avx512vbmi
#include "backend/cpu/matmul_avx512_body.h"

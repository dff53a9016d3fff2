/* The vector functions compiled for AVX-512. */
#define SAMP__LANES_AVX512
#include "backend/cpu/vector_body.h"

const samp__vector samp__vector_avx512 = SAMP__VECTOR_TABLE;

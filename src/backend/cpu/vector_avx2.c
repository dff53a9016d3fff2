/* The vector functions compiled for AVX2, FMA and F16C. */
#define SAMP__LANES_AVX2
#include "backend/cpu/vector_body.h"

const samp__vector samp__vector_avx2 = SAMP__VECTOR_TABLE;

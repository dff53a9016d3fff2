/* The attention kernels compiled for AVX2, FMA and F16C. */
#define SAMP__LANES_AVX2
#include "backend/cpu/attention_body.h"

const samp__attention_kernels samp__attention_avx2 = SAMP__ATTENTION_TABLE;

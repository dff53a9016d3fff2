/* The attention kernels compiled for AVX-512. */
#define SAMP__LANES_AVX512
#include "backend/cpu/attention_body.h"

const samp__attention_kernels samp__attention_avx512 = SAMP__ATTENTION_TABLE;

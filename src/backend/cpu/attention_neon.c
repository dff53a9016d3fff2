/* The attention kernels compiled for NEON. */
#define SAMP__LANES_NEON
#include "backend/cpu/attention_body.h"

const samp__attention_kernels samp__attention_neon = SAMP__ATTENTION_TABLE;

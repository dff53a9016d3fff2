/* The attention kernels compiled for plain C. */
#define SAMP__LANES_SCALAR
#include "backend/cpu/attention_body.h"

const samp__attention_kernels samp__attention_scalar = SAMP__ATTENTION_TABLE;

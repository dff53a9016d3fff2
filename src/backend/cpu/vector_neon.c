/* The vector functions compiled for NEON. */
#define SAMP__LANES_NEON
#include "backend/cpu/vector_body.h"

const samp__vector samp__vector_neon = SAMP__VECTOR_TABLE;

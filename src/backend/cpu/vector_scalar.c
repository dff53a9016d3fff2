/* The vector functions compiled for plain C. */
#define SAMP__LANES_SCALAR
#include "backend/cpu/vector_body.h"

const samp__vector samp__vector_scalar = SAMP__VECTOR_TABLE;

/* The one table of inner loops of an architecture without its own. */
#include "format/kernels.h"

const samp__kernels *const samp__kernels_of[SAMP_CPU_COUNT] = {&samp__kernels_scalar};

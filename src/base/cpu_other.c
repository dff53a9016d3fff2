/* An architecture that no room has kernels for: plain C. */
#include "base/cpu.h"

samp_cpu_level samp_cpu_host(void) { return SAMP_CPU_SCALAR; }

/* File descriptors this process may have. */
#ifndef SAMP_BASE_DESCRIPTORS_H
#define SAMP_BASE_DESCRIPTORS_H

#include <stdint.h>

/* Raises the soft RLIMIT_NOFILE, often 1,024 in a shell, to `wanted` or as far as the hard one
 * allows; never lowers it. The limit there is then, UINT64_MAX for none. */
uint64_t samp_descriptors_raise(uint64_t wanted);

#endif

/* File descriptors this process may have. */
#ifndef SAMP_BASE_DESCRIPTORS_H
#define SAMP_BASE_DESCRIPTORS_H

#include <stdint.h>

/* Raises the soft RLIMIT_NOFILE, often 1,024 in a shell, to `wanted` or as far as the hard one
 * allows; never lowers it. The limit there is then, UINT64_MAX for none. */
uint64_t samp_descriptors_raise(uint64_t wanted);
/* A new descriptor to write to the pipe behind fd, with an O_NONBLOCK that is nobody else's; the
 * caller closes it. -1: fd is no pipe, or opening it once more is forbidden. */
int samp_descriptor_reopen_pipe(int fd);

#endif

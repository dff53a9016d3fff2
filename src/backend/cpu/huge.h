/* Large blocks for weights and scratch: 2 MiB aligned and offered to the kernel as huge pages, so
 * that a stream over a weight does not walk a page table every 4 KiB. Not zeroed: a first touch by
 * the thread that will read a page also places it near that thread. */
#ifndef SAMP_CPU_HUGE_H
#define SAMP_CPU_HUGE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct samp__huge {
    void *data;  /* 2 MiB aligned; 64-byte aligned when the block is small; NULL when empty */
    size_t size; /* bytes at data */
    void *base;  /* what the allocator returned */
} samp__huge;

/* Room for count*size bytes; false when out of memory (*out is empty then). */
bool samp__huge_alloc(samp__huge *out, size_t count, size_t size);
/* As alloc, when *block is smaller; the old content is lost. False: *block stays as it was. */
bool samp__huge_reserve(samp__huge *block, size_t count, size_t size);
void samp__huge_release(samp__huge *block);

#endif

/* The scale search: which scale a group of weights should have, given what its codes can stand for.
 */
#ifndef SAMP_FORMAT_SEARCH_H
#define SAMP_FORMAT_SEARCH_H

#include "format/kernels.h"

#include <stdbool.h>

enum { SAMP__GROUP_MAX = 64 };

/* A group copied for the search: padded to whole vectors with weights of no importance. */
typedef struct samp__group {
    float w[SAMP__GROUP_MAX];
    float h[SAMP__GROUP_MAX]; /* importance: second moment of the weight's input */
    size_t n;                 /* a multiple of 16 */
} samp__group;

/* n weights whose inputs are columns first (below cols), first+1, … of `cols`, wrapping around to
 * the next row; moment [cols] or NULL (all 1). */
void samp__group_load(samp__group *group, const float *w, size_t n, const float *moment,
                      uint64_t first, uint64_t cols);

/* The scale, of either sign if `either`, with the least weighted error found. `absmax_scale` is
 * where absmax rounding puts it (not zero); 17 factors of it, 0.62 to 1.10, are tried, each
 * followed by the least-squares scale for its codes. */
float samp__search_scale(const samp__kernels *kernels, const samp__levels *levels,
                         const samp__group *group, float absmax_scale, bool either);

#endif

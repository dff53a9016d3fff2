/* Scale search over factors of absmax, then least squares (search.h).
 *
 * For given codes t the best scale is s = sum(h w t) / sum(h t t), and it lowers the error to
 * sum(h w w) - sum(h w t)^2 / sum(h t t): so the candidate with the largest sum(hwt)^2 / sum(htt)
 * wins, whatever scale its codes were found with. Weights are divided by the absmax scale first, so
 * that no square over- or underflows. */
#include "format/search.h"

#include <math.h>
#include <string.h>

void samp__group_load(samp__group *group, const float *w, size_t n, const float *moment,
                      uint64_t first, uint64_t cols)
{
    memset(group, 0, sizeof *group);
    memcpy(group->w, w, n * sizeof *w);
    group->n = (n + 15) / 16 * 16;
    for (size_t i = 0; i < n; i++) {
        group->h[i] = moment ? moment[first] : 1.0f;
        if (++first == cols) first = 0;
    }
}

typedef struct candidate {
    float factor, gain;
    float scale; /* least-squares scale of its codes */
} candidate;

static void try_factor(const samp__kernels *kernels, const samp__levels *levels,
                       const float *scaled, const samp__group *group, float factor, candidate *best)
{
    samp__fit fit = kernels->fit(levels, scaled, group->h, group->n, factor);
    float gain = fit.wt * fit.wt / fit.tt;
    if (gain > best->gain) /* not when tt is 0 */
        *best = (candidate){factor, gain, fit.wt / fit.tt};
}

float samp__search_scale(const samp__kernels *kernels, const samp__levels *levels,
                         const samp__group *group, float absmax_scale, bool either)
{
    static const float lowest = 0.62f, step = 0.03f; /* factors 0.62 … 1.10 */
    enum { FACTORS = 17 };
    float scaled[SAMP__GROUP_MAX], inv = 1.0f / absmax_scale;
    candidate best = {.scale = 1.0f};
    for (size_t i = 0; i < group->n; i++) scaled[i] = group->w[i] * inv;
    for (int k = 0; k < FACTORS; k += 2) {
        float factor = lowest + step * (float)k;
        try_factor(kernels, levels, scaled, group, factor, &best);
        if (either) try_factor(kernels, levels, scaled, group, -factor, &best);
    }
    float middle = best.factor;
    if (middle != 0) {
        try_factor(kernels, levels, scaled, group, middle - step, &best);
        try_factor(kernels, levels, scaled, group, middle + step, &best);
    }
    return best.scale * absmax_scale;
}

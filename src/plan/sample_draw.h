/* Which candidates make the sample: shares of the strata by largest remainder, and within a stratum
 * the traffic's mix of lengths. Pure arithmetic on what the reservoir holds. */
#ifndef SAMP_PLAN_SAMPLE_DRAW_H
#define SAMP_PLAN_SAMPLE_DRAW_H

#include "plan/sample_reservoir.h"

/* out[i] with sum n: n*counts[i]/sum(counts) rounded down or up, the largest remainders up; then
 * every part with a count has at least `least` (as far as n reaches), paid for by the others in
 * proportion. counts below 2^48, n below 2^16. */
void samp_share_out(const uint64_t *counts, size_t n_parts, uint64_t n, uint64_t least,
                    uint64_t *out);

/* Sorts every stratum's candidates by preference: low priorities first, near duplicates of a
 * preferred text last. They are a heap no more: nothing may be offered after this. */
samp_status samp_sample_prefer(samp_reservoir *reservoir, samp_error *error);
/* Sets `drawn` of n records' candidates, fewer where a stratum has not enough different texts.
 * Returns their bytes of text, and their number in *n_drawn. */
uint64_t samp_sample_choose(samp_reservoir *reservoir, const samp_traffic *traffic, uint64_t n,
                            uint64_t least, uint64_t *n_drawn);

#endif

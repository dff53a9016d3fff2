/* What the inputs of each group were like on the calibration text, small enough to follow the
 * artifact in samp.json: the mean of ln(x²) of sixteen runs of channels a group. A server compares
 * live inputs with it (quantization_scale_drift). */
#ifndef SAMP_QUANTIZE_INPUT_FINGERPRINT_H
#define SAMP_QUANTIZE_INPUT_FINGERPRINT_H

#include "quantize/recipe.h"

enum { SAMP_FINGERPRINT_BLOCKS = 16 };

/* The channels of block `block` of n: [*begin, *end). */
void samp_fingerprint_block(uint64_t n, unsigned block, uint64_t *begin, uint64_t *end);

/* {"layers.0.qkv": [16 numbers], …} of the groups whose moments plan [samp_model_count(model)]
 * has; an empty object when it has none; NULL when out of memory. */
json_t *samp_input_fingerprint(const samp_model *model, const samp_weight_plan *plan);
/* ln of each block's mean square, from the member "calibration_inputs" of samp.json; false when the
 * group is not there. */
bool samp_input_fingerprint_read(const json_t *manifest, const char *group,
                                 double log_mean[SAMP_FINGERPRINT_BLOCKS]);

#endif

/* Second moments of the inputs, as samp measure wrote them, given to the weights they belong to. */
#ifndef SAMP_QUANTIZE_INPUT_MOMENTS_H
#define SAMP_QUANTIZE_INPUT_MOMENTS_H

#include "base/memory.h"
#include "quantize/recipe.h"

/* Sets input_moment of every weight of plan [samp_model_count(model)] whose group has a moment in
 * the safetensors file ("layers.0.qkv.moment", F32 [cols]); they live in arena. Errors:
 * SAMP_MISMATCH when a moment has another size than the group's input, SAMP_NUMERIC when a value is
 * negative or not finite. */
samp_status samp_input_moments_apply(const char *path, const samp_model *model,
                                     samp_weight_plan *plan, samp_arena *arena, samp_error *error);

#endif

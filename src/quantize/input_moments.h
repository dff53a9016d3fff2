/* What the inputs of weights are like, as samp measure wrote it: second moments, and the factors that feed rounding
 * errors back (format/feedback.h), which are large and stay on disk until their weight's turn. */
#ifndef SAMP_QUANTIZE_INPUT_MOMENTS_H
#define SAMP_QUANTIZE_INPUT_MOMENTS_H

#include "file/safetensors.h"
#include "quantize/recipe.h"

/* One group's factor in the file. */
typedef struct samp_feedback_tensor {
    samp_safetensors *file;
    const samp_tensor_info *info;
    const char *path;
    uint64_t cols;
} samp_feedback_tensor;

typedef struct samp_input_moments samp_input_moments;

/* Sets input_moment and feedback of every weight of plan [samp_model_count(model)] whose group has them in the
 * safetensors file ("layers.0.qkv.moment", F32 [cols]; "layers.0.qkv.feedback", F16 [cols*(cols-1)/2]). They live until
 * the close; path must live as long. Errors: SAMP_MISMATCH when a tensor has another size than the group's input,
 * SAMP_NUMERIC when a moment is negative or not finite. */
samp_status samp_input_moments_open(samp_input_moments **out, const char *path,
                                    const samp_model *model, samp_weight_plan *plan,
                                    samp_error *error);
void samp_input_moments_close(samp_input_moments *moments); /* NULL allowed */

/* *factor, samp_realloc'ed, gets the values. Errors: SAMP_NUMERIC when one is not finite. */
samp_status samp_feedback_read(const samp_feedback_tensor *tensor, uint16_t **factor,
                               samp_error *error);

#endif

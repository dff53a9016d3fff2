/* What becomes of each weight of a model: from a recipe's name or from a plan in JSON. */
#ifndef SAMP_QUANTIZE_RECIPE_H
#define SAMP_QUANTIZE_RECIPE_H

#include "model/model.h"
#include "plan/sensitivity.h"

/* One table row a recipe: name, formats of mlp, attention, embedding and head matrices, what it is.
 * Norms always stay as they are. With tied embeddings the one matrix gets the head's format. */
#define SAMP_RECIPE_LIST(X)                                                                        \
    X("samp", NF4, FP8, FP16, FP16, "MLP 4 bits (NF4), attention FP8, embedding and head 16 bits") \
    X("nf4", NF4, NF4, FP16, FP16,                                                                 \
      "as bitsandbytes: linear layers NF4, embedding and head 16 bits")                            \
    X("nf4a", NF4A, NF4A, INT8, INT8, "linear layers nf4a, embedding and head int8")               \
    X("fp8", FP8, FP8, FP16, FP16, "linear layers FP8 E4M3 with a scale a row, the rest 16 bits")  \
    X("int8", INT8, INT8, INT8, INT8, "everything int8 in groups of 64")                           \
    X("llm_int8", LLM_INT8, LLM_INT8, FP16, FP16,                                                  \
      "as bitsandbytes: linear layers LLM.int8, embedding and head 16 bits")                       \
    X("fp16", FP16, FP16, FP16, FP16, "a plain 16-bit model")

/* What becomes of one weight. Zeroed = it stays in the float type it has. */
typedef struct samp_weight_plan {
    const samp_format *format; /* NULL = as it is */
    int activation_bits;       /* 8 or 16; of no meaning when format is NULL */
    samp_rounding rounding;
    /* What its inputs are like (input_moments.h), not owned; NULL = not known. Rounding by gptq needs the second. */
    const float *input_moment;
    const struct samp_feedback_tensor *feedback;
} samp_weight_plan;

/* "samp, nf4, …" for messages. */
const char *samp_recipe_names(void);
/* The one-line description of a recipe, NULL when the name is unknown. */
const char *samp_recipe_summary(const char *name);
/* Fills plan [samp_model_count(model)] in model order. */
samp_status samp_recipe_plan(const char *name, const samp_model *model, samp_weight_plan *plan,
                             samp_error *error);
/* Cuts the model's head as the plan's "first_rows" says, which it may lack; before samp_plan_parse. */
samp_status samp_plan_cut_head(const json_t *json, const char *where, samp_model *model,
                               samp_error *error);
/* The same from {"modules": {"model.layers.0.mlp.down_proj": {"format": "nf4a",
 * "activation_bits": 16, "rounding": "gptq"}, …}}. Weights not named stay as they are; names the model does not have are
 * errors. */
samp_status samp_plan_parse(const json_t *json, const char *where, const samp_model *model,
                            samp_weight_plan *plan, samp_error *error);

#endif

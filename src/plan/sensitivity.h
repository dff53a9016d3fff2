/* What `samp measure` found: for every group of weights, what each candidate format costs in bytes
 * and in predicted KL divergence on the calibration text. One JSON a person can read; moments of
 * the inputs lie beside it in a safetensors file (tensor "<group>.moment", F32 [cols]: mean of x^2
 * of each input channel).
 *
 * kl of a choice = alpha * error: error is the expected squared change of the group's outputs over
 * their expected square (sum_k moment_k * dW_k^2 / sum_k moment_k * W_k^2), alpha is measured: the
 * KL divergence of probes inside the quantized model, over their error. activation_kl is what one
 * INT8 part of the input (a8) adds. */
#ifndef SAMP_PLAN_SENSITIVITY_H
#define SAMP_PLAN_SENSITIVITY_H

#include "base/memory.h"
#include "plan/group.h"

/* How codes and scales are chosen; the names are those of the JSON. */
#define SAMP_ROUNDING_LIST(X)                                                                      \
    X(ABSMAX, "absmax") /* largest magnitude, nearest code */                                      \
    X(SEARCH, "search") /* scale search weighted by the input's moments */                         \
    X(GPTQ, "gptq")     /* the same, then error feedback through the input's Hessian */

typedef enum samp_rounding {
#define X(id, name) SAMP_ROUNDING_##id,
    SAMP_ROUNDING_LIST(X)
#undef X
        SAMP_ROUNDING_COUNT
} samp_rounding;

const char *samp_rounding_name(samp_rounding rounding);
bool samp_rounding_parse(const char *name, samp_rounding *out);

typedef struct samp_sensitivity_choice {
    const samp_format *format;
    samp_rounding rounding;
    uint64_t bytes;
    double error, kl;
} samp_sensitivity_choice;

typedef struct samp_sensitivity_group {
    char name[40];
    samp_group_kind kind;
    uint32_t layer;
    uint64_t rows, cols;
    char (*weights)[96]; /* [n_weights] names with ".weight" */
    uint32_t n_weights;
    samp_sensitivity_choice *choices; /* [n_choices], by bytes */
    uint32_t n_choices;
    double alpha;
    double activation_kl;
} samp_sensitivity_group;

typedef struct samp_sensitivity {
    samp_arena arena;
    char model[256];       /* folder name, for people */
    char model_digest[65]; /* SHA-256 over names, shapes and config: a plan for another model is
                              refused */
    char calibration[256]; /* file name */
    char calibration_digest[65];
    uint64_t n_tokens; /* of calibration */
    uint64_t n_probe_tokens;
    double
        bias; /* measured KL of a whole plan over the sum of its groups' (calibrated; 1 = none) */
    /* Norms and biases, which stay as they are: tensors, and their bytes in the model. 0: a file of an
     * older version, whose model is a Llama. */
    uint64_t n_vectors, vector_bytes;
    json_t *strata; /* fingerprint of the sample, as `samp sample` wrote it; NULL = none */
    samp_sensitivity_group *groups;
    size_t n_groups;
} samp_sensitivity;

samp_status samp_sensitivity_load(samp_sensitivity *out, const char *path, samp_error *error);
samp_status samp_sensitivity_save(const samp_sensitivity *sensitivity, const char *path,
                                  samp_error *error);
void samp_sensitivity_release(samp_sensitivity *sensitivity);
/* Digest of what a plan depends on: names, shapes and the config's numbers. hex [65]. */
samp_status samp_model_digest(const samp_model *model, char *hex, samp_error *error);

#endif

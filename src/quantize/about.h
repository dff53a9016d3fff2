/* What a model folder says of itself: size, and what samp.json knows of how it was made. */
#ifndef SAMP_QUANTIZE_ABOUT_H
#define SAMP_QUANTIZE_ABOUT_H

#include "base/json.h"
#include "model/model.h"

typedef struct samp_about {
    uint64_t weight_bytes;
    double n_weights;
    double predicted_kl; /* of its plan; NAN = made without one */
    char quant_type[32]; /* "plan", a recipe's name, "" = not quantized by samp */
    json_t *manifest;    /* samp.json, NULL = none */
} samp_about;

/* model: open on the folder; samp.json that cannot be read counts as none. */
void samp_about_model(const samp_model *model, samp_about *out);
void samp_about_release(samp_about *about);
/* The last part of a path, slashes at its end left out; out [n]. */
void samp_folder_name(const char *path, char *out, size_t n);

#endif

/* The `quantization_config` object of config.json: which format each module is stored in. */
#ifndef SAMP_MODEL_QUANTIZATION_H
#define SAMP_MODEL_QUANTIZATION_H

#include "base/json.h"
#include "format/format.h"

/* One module's entry; format NULL = the module has none (it is stored as plain floats). */
typedef struct samp_quantization_entry {
    const samp_format *format;
    int activation_bits; /* 8 or 16 */
} samp_quantization_entry;

/* Checks the object as a whole (quant_method must be "samp", every module entry well formed). root
 * is the whole config.json; *modules gets the "modules" object inside it, NULL when the model is
 * not quantized. */
samp_status samp_quantization_open(const json_t *root, const json_t **modules, const char *where,
                                   samp_error *error);
/* The entry of the module that holds weight `name` (ends in ".weight"); modules may be NULL. */
samp_status samp_quantization_entry_of(const json_t *modules, const char *name,
                                       samp_quantization_entry *out, const char *where,
                                       samp_error *error);

#endif

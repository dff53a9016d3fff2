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
/* "first_rows": the head's `rows` rows are stored as two weights, and the first has so many of them
 * (1 … rows-1); 0 = they are one. root is the whole config.json. */
samp_status samp_quantization_first_rows(const json_t *root, uint64_t rows, uint64_t *out,
                                         const char *where, samp_error *error);
/* "llm_int8_threshold", 6.0 where it is absent: from which magnitude on inputs of formats with
 * outliers multiply as they are (backend/numerics.h); 0 = none does. */
samp_status samp_quantization_threshold(const json_t *root, float *out, const char *where,
                                        samp_error *error);
/* Whether the object's other members say something else than its modules; *why gets a sentence
 * part. */
typedef enum samp_quantization_doubt {
    SAMP_QUANTIZATION_FINE,
    SAMP_QUANTIZATION_TYPE,  /* quant_type is missing, or names a format no module has */
    SAMP_QUANTIZATION_DETAIL /* block_size or double_quant */
} samp_quantization_doubt;
samp_quantization_doubt samp_quantization_doubts(const json_t *root, char *why, size_t n);

#endif

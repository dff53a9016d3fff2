/* quantization_config as other programs write it: what a check of their tensors needs to know of
 * bitsandbytes (transformers) and compressed-tensors (vLLM). Others are known by name only. */
#ifndef SAMP_QUANTIZE_FOREIGN_H
#define SAMP_QUANTIZE_FOREIGN_H

#include "quantize/findings.h"

#include <jansson.h>

typedef enum samp_foreign_method {
    SAMP_FOREIGN_NONE, /* not quantized, or by samp */
    SAMP_FOREIGN_BITSANDBYTES,
    SAMP_FOREIGN_COMPRESSED_TENSORS,
    SAMP_FOREIGN_UNCHECKED /* sound or not: nobody here can tell */
} samp_foreign_method;

/* What shares a scale of compressed-tensors. */
typedef enum samp_foreign_strategy {
    SAMP_FOREIGN_TENSOR,
    SAMP_FOREIGN_CHANNEL, /* a row */
    SAMP_FOREIGN_GROUP,   /* group_size columns of a row */
    SAMP_FOREIGN_BLOCK    /* block[0] rows of block[1] columns */
} samp_foreign_strategy;

/* One of config_groups. Which modules it is for is not asked (its targets may be regular
 * expressions, which we do not run): a weight must fit one of the groups. */
typedef struct samp_foreign_group {
    samp_foreign_strategy strategy;
    uint64_t bits, group_size, block[2];
} samp_foreign_group;

enum { SAMP_FOREIGN_GROUPS_MAX = 16 };

typedef struct samp_foreign {
    samp_foreign_method method;
    bool double_quant; /* bitsandbytes: as the config says */
    bool four_bits;    /* bitsandbytes: 4 or 8 */
    samp_foreign_group groups[SAMP_FOREIGN_GROUPS_MAX];
    size_t n_groups;
} samp_foreign;

/* The object itself; NULL when config.json has none. Old compressed-tensors call it
 * compression_config. */
const json_t *samp_foreign_object(const json_t *root);
/* Reads an object whose quant_method is not "samp", or missing, and appends findings about it.
 * false: it cannot be used, and no tensor should be looked at. */
bool samp_foreign_read(samp_foreign *out, const json_t *object, samp_findings *findings);
/* LLM.int8's threshold in any quantization_config: a finding when it is below 6.0. */
void samp_foreign_check_threshold(const json_t *object, samp_findings *findings);

#endif

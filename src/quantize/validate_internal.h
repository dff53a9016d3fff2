/* What the files validate_*.c share: the state of one validation. */
#ifndef SAMP_QUANTIZE_VALIDATE_INTERNAL_H
#define SAMP_QUANTIZE_VALIDATE_INTERNAL_H

#include "base/thread.h"
#include "file/names.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "quantize/foreign.h"
#include "quantize/validate.h"

#include <limits.h>

typedef struct validate_shard {
    char name[NAME_MAX + 1];
    samp_safetensors *file; /* NULL when it cannot be used */
    bool indexed;           /* the index names it */
} validate_shard;

typedef struct samp_validation {
    const char *folder;
    const samp_validate_options *options;
    const samp_progress *progress;
    samp_findings *findings;
    samp_pool *pool;

    json_t *root; /* config.json, NULL when unreadable */
    samp_config config;
    bool has_config; /* config and quantization_config can be used */
    const json_t *modules;
    samp_foreign foreign; /* quantized by another program */
    bool said_nested;     /* that program's config contradicts its tensors: said once */
    uint64_t first_rows;  /* of a head that is stored as two weights; 0 = it is one */

    validate_shard *shards;
    size_t n_shards;
    bool shards_complete; /* nothing is known to be missing: absent tensors are worth a finding */
    samp_tensor_info *tensors; /* of all usable shards; .shard = index into shards */
    size_t n_tensors;
    samp_names by_name;
    bool *used; /* [n_tensors] part of some weight */

    unsigned legacy, legacy_total; /* files of weights that are pickles; how many their names say */
    char gguf[NAME_MAX + 1];       /* a GGUF file in the folder, "" none */

    uint64_t bytes_done, bytes_total; /* for progress */
} samp_validation;

/* Each looks at one side of the folder and appends findings; a failure means that it could not go
 * on. */
samp_status samp__validate_listing(samp_validation *v, samp_error *error);   /* validate_files.c */
samp_status samp__validate_config(samp_validation *v, samp_error *error);    /* validate_files.c */
samp_status samp__validate_tokenizer(samp_validation *v, samp_error *error); /* validate_files.c */
samp_status samp__validate_manifest(samp_validation *v, samp_error *error);  /* validate_files.c */
samp_status samp__validate_shards(samp_validation *v, samp_error *error);    /* validate_shards.c */
samp_status samp__validate_tensors(samp_validation *v, samp_error *error); /* validate_tensors.c */
/* A tensor by name, marked as part of some weight; NULL when no usable shard has it. */
const samp_tensor_info *samp__validate_find(samp_validation *v, const char *name);
/* One weight of another program's artifact. *done: nothing is left to look at; else it is stored in
 * weight->format when that is set, or in plain floats, or missing (validate_foreign.c). */
samp_status samp__validate_foreign_weight(samp_validation *v, samp_weight_ref *weight,
                                          uint64_t rows, uint64_t cols, bool *done,
                                          samp_error *error);
/* A GGUF file instead of a folder (validate_gguf.c). */
samp_status samp__validate_gguf(samp_validation *v, samp_error *error);
/* Vocabulary and special tokens against the config (validate_files.c). */
void samp__validate_vocabulary(samp_validation *v, const samp_tokenizer *tokenizer,
                               const char *file);
/* Whether a file is text that stands for one that Git LFS holds. */
bool samp__is_pointer(int folder, const char *name);
/* Every value of a weight whose scale parts are already read and checked (validate_values.c). */
samp_status samp__validate_values(samp_validation *v, const samp_weight_ref *weight,
                                  void *const parts[SAMP_PARTS_MAX], samp_error *error);

/* Reads part of a tensor, counting bytes. */
samp_status samp__validate_read(samp_validation *v, const samp_tensor_info *tensor, uint64_t at,
                                void *out, uint64_t n, samp_error *error);
/* SAMP_CANCELLED when the user stops. */
samp_status samp__validate_progress(samp_validation *v, uint64_t bytes, samp_error *error);

#endif

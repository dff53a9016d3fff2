/* Turns a model in another program's file into a Hugging Face folder: config.json,
 * generation_config.json, tokenizer.json, tokenizer_config.json, safetensors in one float type,
 * samp.json. */
#ifndef SAMP_QUANTIZE_IMPORT_H
#define SAMP_QUANTIZE_IMPORT_H

#include "base/clock.h"
#include "base/error.h"

typedef struct samp_import_options {
    const char *dtype; /* "fp16", "bf16" or "fp32"; NULL = "fp16" */
    const char
        *tokenizer; /* llama2.c only: its tokenizer file; NULL = tokenizer.bin beside the model */
    unsigned n_threads; /* 0 = what this process may use */
    bool force;         /* replace an existing folder */
} samp_import_options;

/* path: a GGUF file of an architecture of model/family.h (of one in parts, the first), or a llama2.c
 * checkpoint (*.bin). A killed run is
 * continued by the next. Errors: SAMP_UNSUPPORTED names what the file has and what is read;
 * SAMP_NUMERIC for a weight that the float type cannot hold. Progress: "import", bytes of the
 * output. */
samp_status samp_import(const char *path, const char *folder, const samp_import_options *options,
                        const samp_progress *progress, samp_error *error);

#endif

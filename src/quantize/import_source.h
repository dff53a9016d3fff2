/* A model file that can be imported: what import.c needs from each kind (import_gguf.c,
 * import_llama2c.c). */
#ifndef SAMP_QUANTIZE_IMPORT_SOURCE_H
#define SAMP_QUANTIZE_IMPORT_SOURCE_H

#include "model/model.h"
#include "model/tokenizer.h"

typedef struct samp_import_source {
    const char *kind; /* "GGUF" */
    const char *path;
    uint32_t n_files; /* that its digest is of: one, or all of a GGUF in parts */
    const char *const *files;
    samp_config config;
    /* Rows of a weight as Hugging Face stores it, out [n_rows][cols]; from any thread. */
    samp_status (*rows)(const struct samp_import_source *source, samp_role role, uint32_t layer,
                        uint64_t row0, uint64_t n_rows, float *out, samp_error *error);
    samp_status (*tokenizer)(const struct samp_import_source *source, const char *tokenizer_path,
                             samp_tokenizer **out, samp_error *error);
    void (*close)(struct samp_import_source *source);
    void *state; /* the reader's own */
} samp_import_source;

/* The config goes through config.json's own reader, so that its ranges hold for every source. */
samp_status samp__import_check(const samp_import_source *source, samp_error *error);

samp_status samp__import_gguf(samp_import_source *out, const char *path, samp_error *error);
samp_status samp__import_llama2c(samp_import_source *out, const char *path, samp_error *error);

#endif

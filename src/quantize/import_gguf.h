/* What the two halves of the GGUF import share: import_gguf.c (tensors), import_gguf_config.c
 * (metadata). */
#ifndef SAMP_QUANTIZE_IMPORT_GGUF_H
#define SAMP_QUANTIZE_IMPORT_GGUF_H

#include "file/gguf_set.h"
#include "model/family.h"
#include "quantize/import_source.h"

/* Frequencies of rope divided, for Llama 3.1 and later. */
extern const char samp__gguf_rope_divisors[];

/* Fills source->config from the metadata; *family gets the architecture's row. source->path is
 * set. */
samp_status samp__import_gguf_config(samp_import_source *source, const samp_gguf_set *set,
                                     const samp_family **family, samp_error *error);

#endif

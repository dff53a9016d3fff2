/* A model in GGUF, in one file or in several, as llama.cpp's gguf-split writes them
 * ("model-00001-of-00003.gguf", …): the first has the metadata, each has some of the tensors. */
#ifndef SAMP_FILE_GGUF_SET_H
#define SAMP_FILE_GGUF_SET_H

#include "file/gguf.h"

typedef struct samp_gguf_set {
    uint32_t n;        /* files */
    samp_gguf **files; /* [n]; metadata is the first one's */
    char **paths;      /* [n] */
} samp_gguf_set;

/* path is that of the only file or of the first; the others are found beside it. At most 1,024.
 * SAMP_INVALID for the path of another part, SAMP_MISMATCH for files that do not belong together.
 * Nothing to close after a failure. */
samp_status samp_gguf_set_open(samp_gguf_set *out, const char *path, samp_error *error);
void samp_gguf_set_close(samp_gguf_set *set); /* zeroed afterwards */
/* *file gets the file that has the tensor. */
const samp_gguf_tensor *samp_gguf_set_find(const samp_gguf_set *set, const char *name,
                                           samp_gguf **file);
/* Tensors of all files. */
size_t samp_gguf_set_count(const samp_gguf_set *set);

#endif

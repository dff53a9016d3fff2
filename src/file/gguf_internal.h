/* What the parts of the GGUF reader share: gguf.c (file and tensors), gguf_metadata.c (keys and
 * values), gguf_reader.c (bytes). */
#ifndef SAMP_FILE_GGUF_INTERNAL_H
#define SAMP_FILE_GGUF_INTERNAL_H

#include "base/memory.h"
#include "file/gguf.h"
#include "file/gguf_reader.h"
#include "file/names.h"

struct samp_gguf_value; /* gguf_metadata.c */

struct samp_gguf {
    samp_file *file; /* NULL when parsed from memory */
    char *where;
    samp_arena arena; /* keys, values, names, tensors */
    struct samp_gguf_value *values;
    samp_names keys; /* item = index into values */
    samp_gguf_tensor *tensors;
    size_t n_tensors;
    samp_names names; /* item = index into tensors */
};

/* Reads n keys with their values. On failure the reader's cursor holds the status. */
bool samp__gguf_read_metadata(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t n);
/* A key or tensor name: 1 to max bytes, none of them a control byte; NULL on failure. */
const char *samp__gguf_read_name(samp_gguf *gguf, samp_gguf_reader *reader, uint64_t max,
                                 const char *what);
/* general.alignment, 32 when it is not given, 0 after a failure. */
uint64_t samp__gguf_alignment(const samp_gguf *gguf, samp_cursor *cursor);

#endif

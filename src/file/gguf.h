/* GGUF reader (versions 2 and 3, little-endian): metadata, tensor list, and decoding of tensors to
 * float. Types read: F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K IQ4_NL; others are named
 * in the error. Limits: 65,536 keys, 1,000,000 tensors, rank 4, strings 64 MiB, arrays 16 M
 * elements, alignment a power of two up to 1 MiB, no nested arrays. Duplicate keys and overlapping
 * tensors are refused. */
#ifndef SAMP_FILE_GGUF_H
#define SAMP_FILE_GGUF_H

#include "file/file.h"

typedef struct samp_gguf samp_gguf;

typedef struct samp_gguf_string {
    const char *data; /* not NUL-terminated, may hold any bytes */
    uint64_t length;
} samp_gguf_string;

typedef struct samp_gguf_tensor {
    const char *name;
    uint32_t type;         /* ggml type number */
    const char *type_name; /* "Q4_1" */
    int rank;
    uint64_t shape[4]; /* shape[0] is the contiguous dimension (columns), as in the file */
    uint64_t offset;   /* bytes from the start of the file */
    uint64_t bytes;
} samp_gguf_tensor;

samp_status samp_gguf_open(samp_gguf **out, const char *path, samp_error *error);
/* Parses bytes in memory (metadata and tensor list), for fuzzing; file_size bounds the tensors. */
samp_status samp_gguf_parse(samp_gguf **out, const void *bytes, uint64_t n, uint64_t file_size,
                            const char *where, samp_error *error);
void samp_gguf_close(samp_gguf *gguf);

/* Metadata; a missing key gives false and leaves *out. Numbers of any integer (float) type are
 * widened. */
bool samp_gguf_integer(const samp_gguf *gguf, const char *key, int64_t *out);
bool samp_gguf_number(const samp_gguf *gguf, const char *key, double *out);
bool samp_gguf_bool(const samp_gguf *gguf, const char *key, bool *out);
bool samp_gguf_text(const samp_gguf *gguf, const char *key, samp_gguf_string *out);
/* Arrays: length 0 when the key is missing or of another type. */
uint64_t samp_gguf_strings(const samp_gguf *gguf, const char *key, const samp_gguf_string **out);
uint64_t samp_gguf_integers(const samp_gguf *gguf, const char *key, const int32_t **out);
uint64_t samp_gguf_floats(const samp_gguf *gguf, const char *key, const float **out);

size_t samp_gguf_count(const samp_gguf *gguf);
const samp_gguf_tensor *samp_gguf_at(const samp_gguf *gguf, size_t index);
const samp_gguf_tensor *samp_gguf_find(const samp_gguf *gguf, const char *name);
/* Rows row0 … row0+n_rows-1 (a row = shape[0] values) decoded to float out[n_rows][shape[0]]. */
samp_status samp_gguf_rows(samp_gguf *gguf, const samp_gguf_tensor *tensor, uint64_t row0,
                           uint64_t n_rows, float *out, samp_error *error);

#endif

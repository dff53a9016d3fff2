/* safetensors: strict reader and streaming writer.
 *
 * Rules: those of the Rust library (header starts with '{', at most 100 MB, offsets contiguous from
 * 0 to the end of the file, sizes equal to shape times type), and duplicate keys are refused.
 * Limits of our own: 1,000,000 tensors, 65,536 keys of metadata (none with NUL), names of 1..512
 * bytes without control bytes, rank at most 8. */
#ifndef SAMP_FILE_SAFETENSORS_H
#define SAMP_FILE_SAFETENSORS_H

#include "file/file.h"
#include "format/dtype.h"

enum { SAMP_RANK_MAX = 8, SAMP_TENSOR_NAME_MAX = 512 };

typedef struct samp_tensor_info {
    const char *name; /* owned by the file or checkpoint it came from */
    samp_dtype dtype;
    int rank;
    uint64_t shape[SAMP_RANK_MAX];
    uint64_t offset; /* bytes from the start of the file */
    uint64_t bytes;
    int shard; /* index of the file in a checkpoint; 0 in a single file */
} samp_tensor_info;

typedef struct samp_safetensors samp_safetensors;

samp_status samp_safetensors_open(samp_safetensors **out, const char *path, samp_error *error);
/* Parses a header alone (n bytes starting at the length field), for fuzzing and tests; data_bytes
 * is the size of what would follow the header. */
samp_status samp_safetensors_parse(samp_safetensors **out, const void *bytes, uint64_t n,
                                   uint64_t file_size, const char *where, samp_error *error);
void samp_safetensors_close(samp_safetensors *file);
size_t samp_safetensors_count(const samp_safetensors *file);
const samp_tensor_info *samp_safetensors_at(const samp_safetensors *file,
                                            size_t index); /* in file order */
const samp_tensor_info *samp_safetensors_find(const samp_safetensors *file, const char *name);
/* Value of a __metadata__ key, NULL when absent. */
const char *samp_safetensors_metadata(const samp_safetensors *file, const char *key);
/* n bytes of a tensor, from byte `at` of it. */
samp_status samp_safetensors_read(samp_safetensors *file, const samp_tensor_info *tensor,
                                  uint64_t at, void *out, uint64_t n, samp_error *error);
/* Drops page-cache pages of these bytes of a tensor. */
void samp_safetensors_forget(samp_safetensors *file, const samp_tensor_info *tensor, uint64_t at,
                             uint64_t n);

/* Writing: all names, types and shapes are known first, so the header is written once and data may
 * come in any order. Tensors lie in the order given; the header is padded so that data starts at a
 * multiple of 64. */
typedef struct samp_tensor_spec {
    const char *name;
    samp_dtype dtype;
    int rank;
    uint64_t shape[SAMP_RANK_MAX];
} samp_tensor_spec;

/* Header bytes (length field included) for these tensors; offsets[i] gets where tensor i's data
 * starts in the file, *file_size the size of the whole. metadata: n_metadata pairs key, value. */
samp_status samp_safetensors_header(const samp_tensor_spec *specs, size_t n,
                                    const char *const (*metadata)[2], size_t n_metadata,
                                    samp_buffer *header, uint64_t *offsets, uint64_t *file_size,
                                    samp_error *error);

#endif

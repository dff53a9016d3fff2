/* llama2.c checkpoints, the headerless "version 0": seven int32 (dim, hidden_dim, n_layers,
 * n_heads, n_kv_heads, vocab_size, seq_len; a negative vocab_size means a classifier of its own),
 * then float32 tensors in a fixed order. There is no magic and no checksum, so the size of the file
 * must fit to the byte. Tensors appear under their Hugging Face names, one for each layer, and in
 * Hugging Face's order of rows: q_proj and k_proj are unpermuted (file/rope_rows.h) here, not by
 * the caller. */
#ifndef SAMP_FILE_LLAMA2C_H
#define SAMP_FILE_LLAMA2C_H

#include "file/file.h"

typedef struct samp_llama2c samp_llama2c;

typedef struct samp_llama2c_sizes {
    uint32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, head_dim, vocab_size, max_positions;
    bool tied_embeddings;
} samp_llama2c_sizes;

typedef struct samp_llama2c_tensor {
    char name[64]; /* "model.layers.0.mlp.up_proj.weight" */
    uint64_t rows; /* 1 for a norm */
    uint64_t cols;
    uint64_t offset; /* bytes from the start of the file */
    uint32_t heads;  /* heads whose rows are interleaved in the file; 0: rows are in order */
} samp_llama2c_tensor;

/* Caps: 1,024 layers, 65,536 heads, dim and hidden_dim 2^20, vocabulary 2^22, positions 2^24. */
samp_status samp_llama2c_open(samp_llama2c **out, const char *path, samp_error *error);
void samp_llama2c_close(samp_llama2c *checkpoint);
const samp_llama2c_sizes *samp_llama2c_sizes_of(const samp_llama2c *checkpoint);
size_t samp_llama2c_count(const samp_llama2c *checkpoint);
const samp_llama2c_tensor *samp_llama2c_at(const samp_llama2c *checkpoint,
                                           size_t index); /* in file order */
const samp_llama2c_tensor *samp_llama2c_find(const samp_llama2c *checkpoint, const char *name);
/* Rows row0 … row0+n_rows-1 into out [n_rows][cols]; from any thread. */
samp_status samp_llama2c_rows(samp_llama2c *checkpoint, const samp_llama2c_tensor *tensor,
                              uint64_t row0, uint64_t n_rows, float *out, samp_error *error);

#endif

/* A Hugging Face checkpoint folder: one model.safetensors, or shards with
 * model.safetensors.index.json. Names in the index may not leave the folder (a shard may be a
 * link: download caches are made of them); every shard named must be there, every tensor in exactly
 * the shard the index says, and no numbered shard may be left over. */
#ifndef SAMP_FILE_CHECKPOINT_H
#define SAMP_FILE_CHECKPOINT_H

#include "file/safetensors.h"

typedef struct samp_checkpoint samp_checkpoint;

samp_status samp_checkpoint_open(samp_checkpoint **out, const char *folder, samp_error *error);
void samp_checkpoint_close(samp_checkpoint *checkpoint);
size_t samp_checkpoint_count(const samp_checkpoint *checkpoint); /* tensors */
const samp_tensor_info *samp_checkpoint_at(const samp_checkpoint *checkpoint, size_t index);
const samp_tensor_info *samp_checkpoint_find(const samp_checkpoint *checkpoint, const char *name);
size_t samp_checkpoint_shards(const samp_checkpoint *checkpoint);
const char *samp_checkpoint_shard_name(const samp_checkpoint *checkpoint,
                                       size_t shard); /* "model-00001-of-00002.safetensors" */
samp_status samp_checkpoint_read(samp_checkpoint *checkpoint, const samp_tensor_info *tensor,
                                 uint64_t at, void *out, uint64_t n, samp_error *error);
/* metadata.total_size of the index beside the real sum of the tensors' bytes; false when none is
 * stated. A wrong one does not stop a load (many published ones are), samp validate reports it. */
bool samp_checkpoint_total_size(const samp_checkpoint *checkpoint, uint64_t *stated,
                                uint64_t *actual);
/* Drops page-cache pages of what was read of a tensor. */
void samp_checkpoint_forget(samp_checkpoint *checkpoint, const samp_tensor_info *tensor,
                            uint64_t at, uint64_t n);

/* Parses index text: calls `entry` for each (tensor, shard file name) pair, in file order; the
 * strings live until it returns. For fuzzing too. */
samp_status samp_checkpoint_index(const char *text, size_t n, const char *where,
                                  samp_status (*entry)(void *context, const char *tensor,
                                                       const char *shard, samp_error *error),
                                  void *context, samp_error *error);

#endif

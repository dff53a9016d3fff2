/* model.safetensors.index.json: which shard holds which tensor. */
#ifndef SAMP_FILE_INDEX_H
#define SAMP_FILE_INDEX_H

#include "base/memory.h"
#include "file/names.h"

typedef struct samp_index_entry {
    const char *tensor, *shard; /* in the index's arena */
} samp_index_entry;

typedef struct samp_index {
    samp_arena arena;
    samp_index_entry *entries; /* in the order of the text */
    size_t n, capacity;
    samp_names by_tensor; /* item = index into entries */
    bool has_total_size;
    uint64_t total_size; /* metadata.total_size: bytes of all tensors */
} samp_index;

/* Every tensor name is there once and is a possible name; every shard name ends in .safetensors and
 * cannot leave the folder. out is to be released also after a failure. */
samp_status samp_index_parse(samp_index *out, const char *text, size_t n, const char *where,
                             samp_error *error);
void samp_index_release(samp_index *index);

#endif

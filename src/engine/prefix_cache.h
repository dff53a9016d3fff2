/* Full KV blocks known by what they hold, so that requests which begin alike share them.
 *
 * A block's key is the entry of the block before it and its own 64 tokens; entries have serial
 * numbers that are never used twice, so that equal keys mean equal texts from the first token on:
 * tokens are compared, a hash only says where to look. The first block's "entry before it" is a
 * root that the caller chooses.
 *
 * The cache holds each of its blocks in the session's store. A block that no request uses is idle:
 * idle blocks are kept, and given back from the least recently used on when the store runs short.
 * Requests let go of their last block first, so that the end of a text goes before its beginning.
 *
 * Memory: fixed at init, an entry for each block of the store. Only the engine's thread calls. */
#ifndef SAMP_ENGINE_PREFIX_CACHE_H
#define SAMP_ENGINE_PREFIX_CACHE_H

#include "run/session.h"

#define SAMP__NO_BLOCK UINT32_MAX

typedef struct samp__prefix_entry {
    uint64_t serial, parent; /* 0 = the block is not in the cache */
    uint32_t users;          /* requests that read or write after it */
    uint32_t next;           /* in its bucket */
    uint32_t older, newer;   /* in the list of idle blocks */
    int32_t tokens[SAMP_KV_BLOCK];
} samp__prefix_entry;

typedef struct samp__prefix_cache {
    samp_session *session;
    samp__prefix_entry *entries; /* [n_blocks], by block number */
    uint32_t *buckets;           /* [n_buckets], a power of two: the first entry's block */
    uint32_t n_blocks, n_buckets;
    uint32_t oldest, newest, n_idle;
    uint64_t last_serial;
} samp__prefix_cache;

/* The session must outlive the cache. After a failure release. */
samp_status samp__prefix_init(samp__prefix_cache *cache, samp_session *session, samp_error *error);
/* No block may be in use. */
void samp__prefix_release(samp__prefix_cache *cache);

/* What stands before a first block; texts of different salts (63 bits of them) never meet. */
uint64_t samp__prefix_root(uint64_t salt);
/* What stands before the block after this one. */
uint64_t samp__prefix_after(const samp__prefix_cache *cache, uint32_t block);
/* The block with these 64 tokens after `parent`, or SAMP__NO_BLOCK. */
uint32_t samp__prefix_find(const samp__prefix_cache *cache, uint64_t parent, const int32_t *tokens);
bool samp__prefix_is_idle(const samp__prefix_cache *cache, uint32_t block);

/* Puts a block that a sequence holds into the cache, used once. Its key must not be there. */
void samp__prefix_insert(samp__prefix_cache *cache, uint32_t block, uint64_t parent,
                         const int32_t *tokens);
/* One user more; one less (the last makes it idle). */
void samp__prefix_use(samp__prefix_cache *cache, uint32_t block);
void samp__prefix_unuse(samp__prefix_cache *cache, uint32_t block);
/* Gives the idle block that was used least recently back to the store; false when none is idle. */
bool samp__prefix_evict(samp__prefix_cache *cache);

#endif

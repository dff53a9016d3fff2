/* The cache of full KV blocks: a hash table with chains and a list of idle entries, both linked by
 * block numbers. */
#include "engine/prefix_cache.h"

#include "base/memory.h"

#include <assert.h>
#include <string.h>

#define ROOT_BIT ((uint64_t)1 << 63) /* parents that are roots, not serial numbers */

samp_status samp__prefix_init(samp__prefix_cache *cache, samp_session *session, samp_error *error)
{
    uint32_t n = samp_session_context(session) / SAMP_KV_BLOCK, n_buckets = 1;
    while (n_buckets < n) n_buckets *= 2;
    *cache = (samp__prefix_cache){.session = session,
                                  .n_blocks = n,
                                  .n_buckets = n_buckets,
                                  .oldest = SAMP__NO_BLOCK,
                                  .newest = SAMP__NO_BLOCK};
    cache->entries = samp_alloc(n, sizeof *cache->entries);
    cache->buckets = samp_alloc(n_buckets, sizeof *cache->buckets);
    if (!cache->entries || !cache->buckets)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a prefix cache of %u KV blocks", n);
    for (uint32_t i = 0; i < n_buckets; i++) cache->buckets[i] = SAMP__NO_BLOCK;
    return SAMP_OK;
}

void samp__prefix_release(samp__prefix_cache *cache)
{
    while (cache->entries && samp__prefix_evict(cache)) {}
    samp_free(cache->buckets);
    samp_free(cache->entries);
    *cache = (samp__prefix_cache){0};
}

/* ---- keys ---- */

uint64_t samp__prefix_root(uint64_t salt) { return salt | ROOT_BIT; }

uint64_t samp__prefix_after(const samp__prefix_cache *cache, uint32_t block)
{
    assert(cache->entries[block].serial);
    return cache->entries[block].serial;
}

static uint32_t *bucket_of(const samp__prefix_cache *cache, uint64_t parent, const int32_t *tokens)
{
    uint64_t hash = parent;
    for (int i = 0; i < SAMP_KV_BLOCK; i++) {
        hash = (hash ^ (uint32_t)tokens[i]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    return &cache->buckets[hash & (cache->n_buckets - 1)];
}

uint32_t samp__prefix_find(const samp__prefix_cache *cache, uint64_t parent, const int32_t *tokens)
{
    uint32_t block = *bucket_of(cache, parent, tokens);
    for (; block != SAMP__NO_BLOCK; block = cache->entries[block].next) {
        const samp__prefix_entry *entry = &cache->entries[block];
        if (entry->parent == parent && memcmp(entry->tokens, tokens, sizeof entry->tokens) == 0)
            break;
    }
    return block;
}

/* ---- idle entries ---- */

bool samp__prefix_is_idle(const samp__prefix_cache *cache, uint32_t block)
{
    return cache->entries[block].serial && cache->entries[block].users == 0;
}

static void idle_add(samp__prefix_cache *cache, uint32_t block)
{
    samp__prefix_entry *entry = &cache->entries[block];
    entry->older = cache->newest;
    entry->newer = SAMP__NO_BLOCK;
    if (cache->newest == SAMP__NO_BLOCK)
        cache->oldest = block;
    else
        cache->entries[cache->newest].newer = block;
    cache->newest = block;
    cache->n_idle++;
}

static void idle_remove(samp__prefix_cache *cache, uint32_t block)
{
    const samp__prefix_entry *entry = &cache->entries[block];
    if (entry->older == SAMP__NO_BLOCK)
        cache->oldest = entry->newer;
    else
        cache->entries[entry->older].newer = entry->newer;
    if (entry->newer == SAMP__NO_BLOCK)
        cache->newest = entry->older;
    else
        cache->entries[entry->newer].older = entry->older;
    cache->n_idle--;
}

/* ---- coming and going ---- */

void samp__prefix_insert(samp__prefix_cache *cache, uint32_t block, uint64_t parent,
                         const int32_t *tokens)
{
    samp__prefix_entry *entry = &cache->entries[block];
    uint32_t *bucket = bucket_of(cache, parent, tokens);
    assert(entry->serial == 0);
    *entry = (samp__prefix_entry){
        .serial = ++cache->last_serial, .parent = parent, .users = 1, .next = *bucket};
    memcpy(entry->tokens, tokens, sizeof entry->tokens);
    *bucket = block;
    samp_session_kv_hold(cache->session, block);
}

void samp__prefix_use(samp__prefix_cache *cache, uint32_t block)
{
    if (cache->entries[block].users++ == 0) idle_remove(cache, block);
}

void samp__prefix_unuse(samp__prefix_cache *cache, uint32_t block)
{
    assert(cache->entries[block].users > 0);
    if (--cache->entries[block].users == 0) idle_add(cache, block);
}

bool samp__prefix_evict(samp__prefix_cache *cache)
{
    uint32_t block = cache->oldest;
    if (cache->n_idle == 0) return false;
    samp__prefix_entry *entry = &cache->entries[block];
    uint32_t *link = bucket_of(cache, entry->parent, entry->tokens);
    while (*link != block) link = &cache->entries[*link].next;
    *link = entry->next;
    idle_remove(cache, block);
    entry->serial = 0;
    samp_session_kv_drop(cache->session, block);
    return true;
}

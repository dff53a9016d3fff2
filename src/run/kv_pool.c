/* The list of free KV blocks, a stack: take and drop cost the same whatever the pool's size. */
#include "run/kv_pool.h"

#include "base/memory.h"

#include <assert.h>

samp_status samp_kv_pool_init(samp_kv_pool *pool, uint32_t n_blocks, samp_error *error)
{
    *pool = (samp_kv_pool){.n_blocks = n_blocks, .n_free = n_blocks};
    pool->free_blocks = samp_alloc(n_blocks, sizeof *pool->free_blocks);
    pool->references = samp_alloc(n_blocks, sizeof *pool->references);
    if (!pool->free_blocks || !pool->references) {
        samp_kv_pool_release(pool);
        return samp_fail(error, SAMP_NOMEM, "out of memory for a pool of %u KV blocks", n_blocks);
    }
    for (uint32_t i = 0; i < n_blocks; i++) pool->free_blocks[i] = n_blocks - 1 - i;
    return SAMP_OK;
}

void samp_kv_pool_release(samp_kv_pool *pool)
{
    samp_free(pool->free_blocks);
    samp_free(pool->references);
    *pool = (samp_kv_pool){0};
}

uint32_t samp_kv_pool_take(samp_kv_pool *pool)
{
    assert(pool->n_free > 0);
    uint32_t block = pool->free_blocks[--pool->n_free];
    assert(pool->references[block] == 0);
    pool->references[block] = 1;
    return block;
}

void samp_kv_pool_share(samp_kv_pool *pool, uint32_t block)
{
    assert(block < pool->n_blocks && pool->references[block] > 0);
    pool->references[block]++;
}

void samp_kv_pool_drop(samp_kv_pool *pool, uint32_t block)
{
    assert(block < pool->n_blocks && pool->references[block] > 0);
    if (--pool->references[block] == 0) pool->free_blocks[pool->n_free++] = block;
}

/* Which blocks of the KV store are free, and how many sequences hold each: block numbers only, the
 * store itself is on the device. Reference counts let sequences share full blocks of a common
 * prefix. Blocks are handed out in a fixed order, so that a run can be repeated exactly. Not
 * thread-safe. */
#ifndef SAMP_RUN_KV_POOL_H
#define SAMP_RUN_KV_POOL_H

#include "base/error.h"

#include <stdint.h>

typedef struct samp_kv_pool {
    uint32_t n_blocks, n_free;
    uint32_t *free_blocks; /* [n_free], the next to take last */
    uint32_t *references;  /* [n_blocks], 0 = free */
} samp_kv_pool;

samp_status samp_kv_pool_init(samp_kv_pool *pool, uint32_t n_blocks, samp_error *error);
void samp_kv_pool_release(samp_kv_pool *pool);
/* A block with one reference. The caller has checked n_free. */
uint32_t samp_kv_pool_take(samp_kv_pool *pool);
/* One more holder of a block that is in use. */
void samp_kv_pool_share(samp_kv_pool *pool, uint32_t block);
/* One holder less; the last one frees it. */
void samp_kv_pool_drop(samp_kv_pool *pool, uint32_t block);

#endif

/* Memory: checked allocation, and an arena for things that live and die together.
 *
 * Every allocation of the program goes through samp_alloc / samp_realloc, so that a test can fail
 * the n-th one (samp_alloc_fail_at) and see a clean error. Sizes are checked for overflow here,
 * once. */
#ifndef SAMP_BASE_MEMORY_H
#define SAMP_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* count*size bytes, 64-byte aligned, zeroed; NULL when out of memory or when the product overflows.
 */
void *samp_alloc(size_t count, size_t size);
/* As realloc (alignment 16, new bytes not zeroed); pointer may be NULL; on NULL the old block
 * stays. */
void *samp_realloc(void *pointer, size_t count, size_t size);
/* Releases what either returned; NULL allowed. */
void samp_free(void *pointer);
char *samp_strdup(const char *text);

/* Test hook: the n-th allocation from now (1 = the next) and all after it return NULL; 0 turns it
 * off. */
void samp_alloc_fail_at(uint64_t n);
/* Test hook: the n-th allocation from now returns NULL, those after it do not: what goes on without
 * looking is seen. */
void samp_alloc_fail_once(uint64_t n);
/* Allocations so far, for the loop that fails each in turn. */
uint64_t samp_alloc_count(void);
/* Allocations that were not released yet: what is more after a call than before it was leaked. */
uint64_t samp_alloc_live(void);

/* *out = a*b, false on overflow. */
static inline bool samp_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool samp_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
/* Smallest multiple of step (> 0) not below n. */
static inline uint64_t samp_round_up(uint64_t n, uint64_t step)
{
    return (n + step - 1) / step * step;
}
static inline uint64_t samp_ceil_div(uint64_t n, uint64_t step)
{
    return n / step + (n % step != 0);
}

/* An arena: allocate many, release once. Not thread-safe. */
typedef struct samp_arena {
    struct samp_arena_block *head;
    size_t used_bytes; /* sum of what was asked for */
} samp_arena;

/* count*size bytes, 16-byte aligned, zeroed; NULL when out of memory. A zeroed samp_arena is ready.
 */
void *samp_arena_alloc(samp_arena *arena, size_t count, size_t size);
char *samp_arena_strndup(samp_arena *arena, const char *text, size_t length);
void samp_arena_release(samp_arena *arena);

#endif

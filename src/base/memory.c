/* Memory: checked allocation with an injectable failure, and a chunked arena. */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t allocations, live;
static _Atomic uint64_t fail_from, fail_to; /* numbers of the allocations that fail; 0 = none */

void samp_alloc_fail_at(uint64_t n)
{
    fail_to = UINT64_MAX;
    fail_from = n ? allocations + n : 0;
}

void samp_alloc_fail_once(uint64_t n)
{
    fail_to = allocations + n;
    fail_from = allocations + n;
}

uint64_t samp_alloc_count(void) { return allocations; }

uint64_t samp_alloc_live(void) { return live; }

static bool must_fail(void)
{
    uint64_t number = ++allocations;
    uint64_t from = fail_from;
    return from && number >= from && number <= fail_to;
}

void *samp_alloc(size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - 64)
        return NULL;
    bytes = samp_round_up(bytes ? bytes : 1, 64);
    void *pointer = aligned_alloc(64, bytes);
    if (!pointer) return NULL;
    live++;
    return memset(pointer, 0, bytes);
}

void *samp_realloc(void *pointer, size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, size, &bytes)) return NULL;
    void *moved = realloc(pointer, bytes ? bytes : 1);
    if (moved && !pointer) live++;
    return moved;
}

void samp_free(void *pointer)
{
    if (pointer) live--;
    free(pointer);
}

char *samp_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = samp_realloc(NULL, bytes, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

typedef struct samp_arena_block {
    struct samp_arena_block *next;
    size_t used, size; /* bytes of data[] */
    _Alignas(16) unsigned char data[];
} samp_arena_block;

enum { ARENA_BLOCK = 64 * 1024 };

void *samp_arena_alloc(samp_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) return NULL;
    bytes = samp_round_up(bytes ? bytes : 1, 16);
    samp_arena_block *block = arena->head;
    if (!block || block->size - block->used < bytes) {
        size_t room = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
        block = samp_alloc(1, sizeof *block + room);
        if (!block) return NULL;
        block->size = room;
        block->next = arena->head;
        arena->head = block;
    }
    void *pointer = block->data + block->used;
    block->used += bytes;
    arena->used_bytes += bytes;
    return pointer;
}

char *samp_arena_strndup(samp_arena *arena, const char *text, size_t length)
{
    char *copy = samp_arena_alloc(arena, length + 1, 1);
    if (copy) memcpy(copy, text, length);
    return copy;
}

void samp_arena_release(samp_arena *arena)
{
    for (samp_arena_block *block = arena->head, *next; block; block = next) {
        next = block->next;
        samp_free(block);
    }
    *arena = (samp_arena){0};
}

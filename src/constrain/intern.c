/* Interned byte strings: one growing block, and a hash table with open addressing. */
#include "constrain/intern.h"

#include "base/memory.h"

#include <string.h>

/* FNV-1a over 8 bytes at a time where there are so many. */
static uint32_t hash_bytes(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t hash = 0xcbf29ce484222325u;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    for (; n; n--, p++) hash = (hash ^ *p) * 0x100000001b3u;
    return (uint32_t)(hash ^ hash >> 32);
}

static bool grow_table(samp__intern *intern)
{
    uint32_t size = intern->table_size ? 2 * intern->table_size : 256;
    uint32_t *table = samp_alloc(size, sizeof *table);
    if (!table) return false;
    for (uint32_t i = 0; i < intern->n; i++) {
        uint32_t slot = intern->entries[i].hash & (size - 1);
        while (table[slot]) slot = (slot + 1) & (size - 1);
        table[slot] = i + 1;
    }
    samp_free(intern->table);
    intern->table = table;
    intern->table_size = size;
    return true;
}

static bool make_room(samp__intern *intern, size_t length)
{
    if (intern->n_bytes + length + 8 > intern->bytes_capacity) {
        size_t capacity = 2 * intern->bytes_capacity + length + 4096;
        char *bytes = samp_realloc(intern->bytes, capacity, 1);
        if (!bytes) return false;
        intern->bytes = bytes;
        intern->bytes_capacity = capacity;
    }
    if (intern->n == intern->entries_capacity) {
        uint32_t capacity = 2 * intern->entries_capacity + 64;
        void *entries = samp_realloc(intern->entries, capacity, sizeof *intern->entries);
        if (!entries) return false;
        intern->entries = entries;
        intern->entries_capacity = capacity;
    }
    return 2 * (intern->n + 1) < intern->table_size || grow_table(intern);
}

uint32_t samp__intern_add(samp__intern *intern, const void *bytes, size_t length)
{
    if (length > UINT32_MAX / 2 || !make_room(intern, length)) return 0;
    uint32_t hash = hash_bytes(bytes, length), slot = hash & (intern->table_size - 1);
    for (; intern->table[slot]; slot = (slot + 1) & (intern->table_size - 1)) {
        const struct samp__interned *entry = &intern->entries[intern->table[slot] - 1];
        if (entry->hash == hash && entry->length == length &&
            memcmp(intern->bytes + entry->at, bytes, length) == 0)
            return intern->table[slot];
    }
    if (length) memcpy(intern->bytes + intern->n_bytes, bytes, length);
    intern->entries[intern->n++] =
        (struct samp__interned){.at = intern->n_bytes, .length = (uint32_t)length, .hash = hash};
    intern->n_bytes = samp_round_up(intern->n_bytes + length, 8);
    return intern->table[slot] = intern->n;
}

const void *samp__intern_get(const samp__intern *intern, uint32_t id, size_t *length)
{
    if (length) *length = intern->entries[id - 1].length;
    return intern->bytes + intern->entries[id - 1].at;
}

void samp__intern_release(samp__intern *intern)
{
    samp_free(intern->bytes);
    samp_free(intern->entries);
    samp_free(intern->table);
    *intern = (samp__intern){0};
}

int samp__compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

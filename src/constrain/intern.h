/* Equal byte strings get equal numbers: 1, 2, 3 … in the order they first came; 0 is never given.
 * Everything the machine is made of (frames, sets, texts) is kept this way, so that comparing and
 * hashing are done on numbers. */
#ifndef SAMP_CONSTRAIN_INTERN_H
#define SAMP_CONSTRAIN_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct samp__intern {
    char *bytes; /* all strings, each at a multiple of 8 */
    size_t n_bytes, bytes_capacity;
    struct samp__interned {
        size_t at;
        uint32_t length, hash;
    } * entries; /* [n] */
    uint32_t n, entries_capacity;
    uint32_t *table; /* [table_size] entry + 1, 0 = free */
    uint32_t table_size;
} samp__intern; /* zeroed = ready */

/* 0 when out of memory. */
uint32_t samp__intern_add(samp__intern *intern, const void *bytes, size_t length);
/* Valid until the next add. */
const void *samp__intern_get(const samp__intern *intern, uint32_t id, size_t *length);
void samp__intern_release(samp__intern *intern);

/* For qsort of uint32_t: sets are interned in ascending order. */
int samp__compare_numbers(const void *a, const void *b);

#endif

/* Things found by name: (name, number) pairs sorted by name. A sort costs n log n whatever the
 * names are; a hash table could be made quadratic by a file whose names were chosen to collide. The
 * names belong to the caller and must outlive the table. A zeroed samp_names is ready. */
#ifndef SAMP_FILE_NAMES_H
#define SAMP_FILE_NAMES_H

#include "base/error.h"

#include <stdint.h>

typedef struct samp_name_entry {
    const char *name;
    uint32_t item;
} samp_name_entry;

typedef struct samp_names {
    samp_name_entry *entries;
    size_t n, capacity;
} samp_names;

/* Adds a pair; SAMP_NOMEM or, past 2^32-1 entries, SAMP_LIMIT. */
samp_status samp_names_add(samp_names *names, const char *name, uint32_t item, samp_error *error);
/* Sorts, after the last add. Returns a name that is there twice, NULL when there is none. */
const char *samp_names_sort(samp_names *names);
/* false when there is no such name. */
bool samp_names_find(const samp_names *names, const char *name, uint32_t *item);
void samp_names_release(samp_names *names);

/* Text without control bytes, as every name from a file must be. */
bool samp_name_is_plain(const char *name, size_t n);

#endif

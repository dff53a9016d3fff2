/* A table of names: a growing array, sorted once, searched by halving. */
#include "file/names.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

samp_status samp_names_add(samp_names *names, const char *name, uint32_t item, samp_error *error)
{
    if (names->n == UINT32_MAX)
        return samp_fail(error, SAMP_LIMIT, "more than %u names in one table", UINT32_MAX);
    if (names->n == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 64;
        void *entries = samp_realloc(names->entries, capacity, sizeof *names->entries);
        if (!entries) return samp_fail(error, SAMP_NOMEM, "out of memory for a table of names");
        names->entries = entries;
        names->capacity = capacity;
    }
    names->entries[names->n++] = (samp_name_entry){name, item};
    return SAMP_OK;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const samp_name_entry *)a)->name, ((const samp_name_entry *)b)->name);
}

const char *samp_names_sort(samp_names *names)
{
    if (names->n < 2) return NULL;
    qsort(names->entries, names->n, sizeof *names->entries, compare_entries);
    for (size_t i = 1; i < names->n; i++)
        if (strcmp(names->entries[i - 1].name, names->entries[i].name) == 0)
            return names->entries[i].name;
    return NULL;
}

bool samp_names_find(const samp_names *names, const char *name, uint32_t *item)
{
    if (names->n == 0) return false;
    samp_name_entry key = {name, 0};
    const samp_name_entry *found =
        bsearch(&key, names->entries, names->n, sizeof *names->entries, compare_entries);
    if (found) *item = found->item;
    return found != NULL;
}

void samp_names_release(samp_names *names)
{
    samp_free(names->entries);
    *names = (samp_names){0};
}

bool samp_name_is_plain(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) return false;
    return true;
}

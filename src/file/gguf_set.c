/* Opening the files of one GGUF model. Keys of a split: "split.no" (from 0), "split.count",
 * "split.tensors.count" (of all files). */
#include "file/gguf_set.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FILES_MAX = 1024, TAIL_BYTES = 20 /* "-00001-of-00003.gguf" */ };

static int64_t number(const samp_gguf *gguf, const char *key, int64_t otherwise)
{
    int64_t value = otherwise;
    samp_gguf_integer(gguf, key, &value);
    return value;
}

/* How many files belong to the first one. */
static samp_status count_files(const samp_gguf *first, const char *path, uint32_t *out,
                               samp_error *error)
{
    int64_t count = number(first, "split.count", 1), at = number(first, "split.no", 0);
    *out = 1;
    if (count < 1 || count > FILES_MAX)
        return samp_fail(error, SAMP_LIMIT,
                         "%s: metadata \"split.count\" is %" PRId64 ", expected 1 to %d", path,
                         count, FILES_MAX);
    if (at != 0)
        return samp_fail(error, SAMP_INVALID,
                         "%s is number %" PRId64 " of a model's %" PRId64
                         " files; give the first, whose name ends in -00001-of-%05d.gguf",
                         path, at + 1, count, (int)count);
    *out = (uint32_t)count;
    if (count == 1) return SAMP_OK;
    char tail[40];
    snprintf(tail, sizeof tail, "-00001-of-%05d.gguf", (int)count);
    size_t n = strlen(path);
    if (n >= TAIL_BYTES && strcmp(path + n - TAIL_BYTES, tail) == 0) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID,
                     "%s is the first of a model's %" PRId64
                     " files, but its name does not end in %s, so the others cannot be found",
                     path, count, tail);
}

/* File `i` of the set (not the first), beside the first. */
static samp_status open_other(samp_gguf_set *set, uint32_t i, samp_error *error)
{
    char *path = samp_strdup(set->paths[0]);
    if (!path) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", set->paths[0]);
    set->paths[i] = path;
    char tail[40];
    snprintf(tail, sizeof tail, "-%05u-of-%05u.gguf", i + 1, set->n);
    memcpy(path + strlen(path) - TAIL_BYTES, tail, TAIL_BYTES);
    SAMP_TRY(samp_gguf_open(&set->files[i], path, error));
    int64_t at = number(set->files[i], "split.no", 0);
    int64_t count = number(set->files[i], "split.count", 1);
    if (at == i && count == set->n) return SAMP_OK;
    return samp_fail(error, SAMP_MISMATCH,
                     "%s says that it is number %" PRId64 " of %" PRId64
                     " files, its name says %u of %u",
                     path, at + 1, count, i + 1, set->n);
}

static samp_status check_tensors(const samp_gguf_set *set, samp_error *error)
{
    int64_t found = (int64_t)samp_gguf_set_count(set);
    int64_t expected = number(set->files[0], "split.tensors.count", found);
    if (found == expected) return SAMP_OK;
    return samp_fail(error, SAMP_MISMATCH,
                     "%s: its %u files have %" PRId64
                     " tensors, \"split.tensors.count\" is %" PRId64 "; they are not of one model",
                     set->paths[0], set->n, found, expected);
}

static samp_status open_all(samp_gguf_set *set, samp_gguf *first, const char *path,
                            samp_error *error)
{
    samp_status status = count_files(first, path, &set->n, error);
    set->files = samp_alloc(set->n, sizeof *set->files);
    set->paths = samp_alloc(set->n, sizeof *set->paths);
    if (!set->files || !set->paths) {
        samp_gguf_close(first);
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    }
    set->files[0] = first;
    SAMP_TRY(status);
    if (!(set->paths[0] = samp_strdup(path)))
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    for (uint32_t i = 1; i < set->n; i++) SAMP_TRY(open_other(set, i, error));
    return check_tensors(set, error);
}

samp_status samp_gguf_set_open(samp_gguf_set *out, const char *path, samp_error *error)
{
    samp_gguf *first;
    *out = (samp_gguf_set){0};
    SAMP_TRY(samp_gguf_open(&first, path, error));
    samp_status status = open_all(out, first, path, error);
    if (status != SAMP_OK) samp_gguf_set_close(out);
    return status;
}

void samp_gguf_set_close(samp_gguf_set *set)
{
    for (uint32_t i = 0; i < set->n; i++) {
        if (set->files) samp_gguf_close(set->files[i]);
        if (set->paths) samp_free(set->paths[i]);
    }
    samp_free(set->files);
    samp_free(set->paths);
    *set = (samp_gguf_set){0};
}

const samp_gguf_tensor *samp_gguf_set_find(const samp_gguf_set *set, const char *name,
                                           samp_gguf **file)
{
    const samp_gguf_tensor *tensor = NULL;
    for (uint32_t i = 0; i < set->n && !tensor; i++) {
        *file = set->files[i];
        tensor = samp_gguf_find(set->files[i], name);
    }
    return tensor;
}

size_t samp_gguf_set_count(const samp_gguf_set *set)
{
    size_t n = 0;
    for (uint32_t i = 0; i < set->n; i++) n += samp_gguf_count(set->files[i]);
    return n;
}

/* A checkpoint folder: one file, or the shards its index names. Everything that could make a model
 * silently wrong is refused here: a shard or tensor that is missing, in the wrong shard or in two,
 * a left-over shard of another version, an index that disagrees with what lies beside it. The
 * checkpoint owns its shards, a copy of their tensor infos, and the shard names. */
#include "file/checkpoint.h"

#include "base/log.h"
#include "base/memory.h"
#include "file/index.h"
#include "file/names.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARDS_MAX = 4096, INDEX_MAX = 100000000, PATH_BYTES = 4096 };

static const char single_name[] = "model.safetensors",
                  index_name[] = "model.safetensors.index.json";

typedef struct shard_file {
    const char *name; /* in the arena */
    samp_safetensors *file;
} shard_file;

struct samp_checkpoint {
    samp_arena arena;
    shard_file *shards; /* sorted by name */
    size_t n_shards;
    samp_tensor_info *tensors; /* shard by shard, each in file order */
    size_t n_tensors;
    samp_names by_name;
    bool has_total_size;
    uint64_t total_size;
};

/* "PREFIX-00002-of-00003.safetensors" taken apart. */
typedef struct shard_number {
    size_t prefix;
    unsigned number, total;
} shard_number;

/* false for a name of another form. */
static bool parse_number(const char *name, shard_number *out)
{
    const char *of = NULL;
    for (const char *next = strstr(name, "-of-"); next; next = strstr(next + 1, "-of-")) of = next;
    if (!of) return false;
    const char *dash = of;
    while (dash > name && dash[-1] >= '0' && dash[-1] <= '9') dash--;
    size_t digits = (size_t)(of - dash);
    if (digits < 5 || digits > 9 || dash == name || dash[-1] != '-') return false;
    char *end;
    *out = (shard_number){.prefix = (size_t)(dash - 1 - name),
                          .number = (unsigned)strtoul(dash, NULL, 10)};
    of += 4;
    if (*of < '0' || *of > '9') return false;
    unsigned long total = strtoul(of, &end, 10);
    out->total = (unsigned)total;
    return total > 0 && end - of >= 5 && end - of <= 9 && strcmp(end, ".safetensors") == 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different shard names of the index, sorted, into the checkpoint. */
static samp_status list_shards(samp_checkpoint *checkpoint, const samp_index *index,
                               const char *where, samp_error *error)
{
    const char **names = samp_realloc(NULL, index->n, sizeof *names);
    if (!names) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for the shards", where);
    for (size_t i = 0; i < index->n; i++) names[i] = index->entries[i].shard;
    qsort(names, index->n, sizeof *names, compare_texts);
    size_t n = 0;
    for (size_t i = 0; i < index->n; i++)
        if (n == 0 || strcmp(names[n - 1], names[i]) != 0) names[n++] = names[i];
    samp_status status = SAMP_OK;
    if (n > SHARDS_MAX)
        status = samp_fail(error, SAMP_LIMIT, "%s names %zu shards, at most %d are accepted", where,
                           n, SHARDS_MAX);
    else if (!(checkpoint->shards = samp_alloc(n, sizeof *checkpoint->shards)))
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for %zu shards", where, n);
    for (size_t i = 0; status == SAMP_OK && i < n; i++) {
        checkpoint->shards[i].name =
            samp_arena_strndup(&checkpoint->arena, names[i], strlen(names[i]));
        if (!checkpoint->shards[i].name)
            status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for %zu shards", where, n);
        checkpoint->n_shards = i + 1;
    }
    samp_free(names);
    return status;
}

static bool is_shard(const samp_checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->n_shards; i++)
        if (strcmp(checkpoint->shards[i].name, name) == 0) return true;
    return false;
}

/* Numbered shards of one prefix must be all of 1 … total. The names are sorted and different, so
 * counting finds a gap. */
static samp_status check_numbers(const samp_checkpoint *checkpoint, const char *where,
                                 samp_error *error)
{
    for (size_t i = 0, next; i < checkpoint->n_shards; i = next) {
        const char *first = checkpoint->shards[i].name;
        shard_number a, b;
        next = i + 1;
        if (!parse_number(first, &a)) continue;
        unsigned expected = 1;
        for (next = i; next < checkpoint->n_shards; next++, expected++) {
            const char *name = checkpoint->shards[next].name;
            if (!parse_number(name, &b) || b.prefix != a.prefix ||
                memcmp(name, first, a.prefix) != 0)
                break;
            if (b.total != a.total)
                return samp_fail(error, SAMP_MISMATCH,
                                 "%s: shards %s and %s are of different totals", where, first,
                                 name);
            if (b.number != expected) break;
        }
        if (expected != a.total + 1)
            return samp_fail(error, SAMP_MISMATCH,
                             "%s: no tensor is in shard %u of %u of %.*s; the index has a gap",
                             where, expected, a.total, (int)a.prefix, first);
    }
    return SAMP_OK;
}

/* Looks through the folder for numbered shards the checkpoint does not name. */
static samp_status check_leftovers(const samp_checkpoint *checkpoint, const char *folder,
                                   samp_error *error)
{
    DIR *listing = opendir(folder);
    if (!listing) return samp_fail_errno(error, "the folder %s cannot be listed", folder);
    samp_status status = SAMP_OK;
    const struct dirent *entry;
    while (status == SAMP_OK && (entry = readdir(listing)) != NULL) {
        shard_number found, named;
        const char *name = entry->d_name;
        if (!parse_number(name, &found) || is_shard(checkpoint, name)) continue;
        if (checkpoint->n_shards == 0)
            status = samp_fail(error, SAMP_NOT_FOUND,
                               "%s has the shard %s, but no %s that says what is in it", folder,
                               name, index_name);
        for (size_t i = 0; status == SAMP_OK && i < checkpoint->n_shards; i++) {
            const char *shard_name = checkpoint->shards[i].name;
            if (parse_number(shard_name, &named) && named.prefix == found.prefix &&
                memcmp(name, shard_name, found.prefix) == 0)
                status = samp_fail(error, SAMP_MISMATCH,
                                   "%s/%s is not named in %s: it is left over from another "
                                   "version, or the index is",
                                   folder, name, index_name);
        }
    }
    closedir(listing);
    return status;
}

static samp_status open_shards(samp_checkpoint *checkpoint, const char *folder, samp_error *error)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < checkpoint->n_shards; i++) {
        SAMP_TRY(samp_path_join(path, sizeof path, folder, checkpoint->shards[i].name, error));
        SAMP_TRY(samp_safetensors_open(&checkpoint->shards[i].file, path, error));
        checkpoint->n_tensors += samp_safetensors_count(checkpoint->shards[i].file);
    }
    return SAMP_OK;
}

/* One list and one table of names over all shards. */
static samp_status collect_tensors(samp_checkpoint *checkpoint, const char *folder,
                                   samp_error *error)
{
    checkpoint->tensors = samp_alloc(checkpoint->n_tensors, sizeof *checkpoint->tensors);
    if (!checkpoint->tensors)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %zu tensors", folder,
                         checkpoint->n_tensors);
    size_t at = 0;
    for (size_t i = 0; i < checkpoint->n_shards; i++) {
        const samp_safetensors *file = checkpoint->shards[i].file;
        for (size_t j = 0; j < samp_safetensors_count(file); j++, at++) {
            samp_tensor_info *tensor = &checkpoint->tensors[at];
            *tensor = *samp_safetensors_at(file, j);
            tensor->shard = (int)i;
            SAMP_TRY(samp_names_add(&checkpoint->by_name, tensor->name, (uint32_t)at, error));
        }
    }
    const char *twice = samp_names_sort(&checkpoint->by_name);
    if (twice)
        return samp_fail(error, SAMP_MISMATCH, "%s: tensor %s is in two shards", folder, twice);
    return SAMP_OK;
}

/* Index and shards must say the same about every tensor. */
static samp_status check_index(const samp_checkpoint *checkpoint, const samp_index *index,
                               const char *where, samp_error *error)
{
    for (size_t i = 0; i < index->n; i++) {
        const samp_index_entry *entry = &index->entries[i];
        const samp_tensor_info *tensor = samp_checkpoint_find(checkpoint, entry->tensor);
        if (!tensor)
            return samp_fail(error, SAMP_MISMATCH, "%s puts tensor %s in %s, but no shard has it",
                             where, entry->tensor, entry->shard);
        const char *actual = checkpoint->shards[tensor->shard].name;
        if (strcmp(actual, entry->shard) != 0)
            return samp_fail(error, SAMP_MISMATCH, "%s puts tensor %s in %s, but it is in %s",
                             where, entry->tensor, entry->shard, actual);
    }
    uint32_t item;
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        const samp_tensor_info *tensor = &checkpoint->tensors[i];
        if (!samp_names_find(&index->by_tensor, tensor->name, &item))
            return samp_fail(error, SAMP_MISMATCH, "tensor %s of %s is not named in %s",
                             tensor->name, checkpoint->shards[tensor->shard].name, where);
    }
    return SAMP_OK;
}

static void note_total_size(samp_checkpoint *checkpoint, const samp_index *index, const char *where)
{
    uint64_t stated, actual;
    checkpoint->has_total_size = index->has_total_size;
    checkpoint->total_size = index->total_size;
    if (samp_checkpoint_total_size(checkpoint, &stated, &actual) && stated != actual)
        samp_log(SAMP_LOG_INFO,
                 "%s says total_size %" PRIu64 ", the tensors have %" PRIu64 " bytes", where,
                 stated, actual);
}

static samp_status open_sharded(samp_checkpoint *checkpoint, const char *folder, const char *path,
                                bool has_single, samp_error *error)
{
    samp_buffer text = {0};
    samp_index index = {0};
    samp_status status = samp_file_slurp(path, INDEX_MAX, &text, error);
    if (status == SAMP_OK) status = samp_index_parse(&index, text.data, text.length, path, error);
    samp_buffer_release(&text);
    if (status == SAMP_OK) status = list_shards(checkpoint, &index, path, error);
    if (status == SAMP_OK && has_single && !is_shard(checkpoint, single_name))
        status = samp_fail(
            error, SAMP_MISMATCH,
            "%s has both %s and %s, which does not name it; remove the one that is not meant",
            folder, single_name, index_name);
    if (status == SAMP_OK) status = check_numbers(checkpoint, path, error);
    if (status == SAMP_OK) status = check_leftovers(checkpoint, folder, error);
    if (status == SAMP_OK) status = open_shards(checkpoint, folder, error);
    if (status == SAMP_OK) status = collect_tensors(checkpoint, folder, error);
    if (status == SAMP_OK) status = check_index(checkpoint, &index, path, error);
    if (status == SAMP_OK) note_total_size(checkpoint, &index, path);
    samp_index_release(&index);
    return status;
}

static samp_status open_single(samp_checkpoint *checkpoint, const char *folder, samp_error *error)
{
    checkpoint->shards = samp_alloc(1, sizeof *checkpoint->shards);
    if (!checkpoint->shards)
        return samp_fail(error, SAMP_NOMEM, "out of memory while opening %s", folder);
    checkpoint->n_shards = 1;
    checkpoint->shards[0].name = single_name;
    SAMP_TRY(check_leftovers(checkpoint, folder, error));
    SAMP_TRY(open_shards(checkpoint, folder, error));
    return collect_tensors(checkpoint, folder, error);
}

samp_status samp_checkpoint_open(samp_checkpoint **out, const char *folder, samp_error *error)
{
    *out = NULL;
    char single[PATH_BYTES], index[PATH_BYTES];
    SAMP_TRY(samp_path_join(single, sizeof single, folder, single_name, error));
    SAMP_TRY(samp_path_join(index, sizeof index, folder, index_name, error));
    if (!samp_is_folder(folder))
        return samp_fail(error, SAMP_NOT_FOUND, "%s is not a folder, expected one with %s or %s",
                         folder, single_name, index_name);
    samp_checkpoint *checkpoint = samp_alloc(1, sizeof *checkpoint);
    if (!checkpoint) return samp_fail(error, SAMP_NOMEM, "out of memory while opening %s", folder);
    bool has_single = access(single, F_OK) == 0, has_index = access(index, F_OK) == 0;
    samp_status status = has_index    ? open_sharded(checkpoint, folder, index, has_single, error)
                         : has_single ? open_single(checkpoint, folder, error)
                                      : check_leftovers(checkpoint, folder, error);
    if (status == SAMP_OK && !has_index && !has_single)
        status = samp_fail(error, SAMP_NOT_FOUND, "%s has neither %s nor %s", folder, single_name,
                           index_name);
    if (status != SAMP_OK) {
        samp_checkpoint_close(checkpoint);
        return status;
    }
    *out = checkpoint;
    return SAMP_OK;
}

void samp_checkpoint_close(samp_checkpoint *checkpoint)
{
    if (!checkpoint) return;
    for (size_t i = 0; i < checkpoint->n_shards; i++)
        samp_safetensors_close(checkpoint->shards[i].file);
    samp_names_release(&checkpoint->by_name);
    samp_free(checkpoint->tensors);
    samp_free(checkpoint->shards);
    samp_arena_release(&checkpoint->arena);
    samp_free(checkpoint);
}

size_t samp_checkpoint_count(const samp_checkpoint *checkpoint) { return checkpoint->n_tensors; }

const samp_tensor_info *samp_checkpoint_at(const samp_checkpoint *checkpoint, size_t index)
{
    return &checkpoint->tensors[index];
}

const samp_tensor_info *samp_checkpoint_find(const samp_checkpoint *checkpoint, const char *name)
{
    uint32_t item;
    return samp_names_find(&checkpoint->by_name, name, &item) ? &checkpoint->tensors[item] : NULL;
}

size_t samp_checkpoint_shards(const samp_checkpoint *checkpoint) { return checkpoint->n_shards; }

const char *samp_checkpoint_shard_name(const samp_checkpoint *checkpoint, size_t shard)
{
    return checkpoint->shards[shard].name;
}

bool samp_checkpoint_total_size(const samp_checkpoint *checkpoint, uint64_t *stated,
                                uint64_t *actual)
{
    *stated = checkpoint->total_size;
    *actual = 0;
    for (size_t i = 0; i < checkpoint->n_tensors; i++) *actual += checkpoint->tensors[i].bytes;
    return checkpoint->has_total_size;
}

samp_status samp_checkpoint_read(samp_checkpoint *checkpoint, const samp_tensor_info *tensor,
                                 uint64_t at, void *out, uint64_t n, samp_error *error)
{
    return samp_safetensors_read(checkpoint->shards[tensor->shard].file, tensor, at, out, n, error);
}

void samp_checkpoint_forget(samp_checkpoint *checkpoint, const samp_tensor_info *tensor,
                            uint64_t at, uint64_t n)
{
    samp_safetensors_forget(checkpoint->shards[tensor->shard].file, tensor, at, n);
}

samp_status samp_checkpoint_index(const char *text, size_t n, const char *where,
                                  samp_status (*entry)(void *context, const char *tensor,
                                                       const char *shard, samp_error *error),
                                  void *context, samp_error *error)
{
    samp_index index;
    samp_status status = samp_index_parse(&index, text, n, where, error);
    for (size_t i = 0; status == SAMP_OK && i < index.n; i++)
        status = entry(context, index.entries[i].tensor, index.entries[i].shard, error);
    samp_index_release(&index);
    return status;
}

/* Index and shards: are all files there, whole, and of one version? Then the list of all tensors.
 */
#include "file/index.h"
#include "quantize/validate_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096, INDEX_BYTES_MAX = 100000000, SHARDS_MAX = 4096 };

static const char SINGLE[] = "model.safetensors", INDEX[] = "model.safetensors.index.json";

static bool exists(const samp_validation *v, const char *name)
{
    char path[PATH_BYTES];
    struct stat info;
    return samp_path_join(path, sizeof path, v->folder, name, NULL) == SAMP_OK &&
           stat(path, &info) == 0;
}

static validate_shard *find_shard(const samp_validation *v, const char *name)
{
    for (size_t i = 0; i < v->n_shards; i++)
        if (strcmp(v->shards[i].name, name) == 0) return &v->shards[i];
    return NULL;
}

static samp_status add_shard(samp_validation *v, const char *name, bool indexed, samp_error *error)
{
    if (find_shard(v, name)) return SAMP_OK;
    if (v->n_shards == SHARDS_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s has more than %d shards", v->folder, SHARDS_MAX);
    validate_shard *shards = samp_realloc(v->shards, v->n_shards + 1, sizeof *shards);
    if (!shards) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for its shards", v->folder);
    v->shards = shards;
    validate_shard *shard = &shards[v->n_shards++];
    *shard = (validate_shard){.indexed = indexed};
    snprintf(shard->name, sizeof shard->name, "%s", name);
    return SAMP_OK;
}

/* "model-00002-of-00003.safetensors": numbers; false for other names. */
static bool shard_numbers(const char *name, unsigned *number, unsigned *total)
{
    int end = 0;
    return sscanf(name, "model-%5u-of-%5u.safetensors%n", number, total, &end) == 2 && end > 0 &&
           !name[end];
}

/* ---- one shard ------------------------------------------------------------------------------- */

static samp_status open_shard(samp_validation *v, validate_shard *shard, samp_error *error)
{
    char path[PATH_BYTES];
    struct stat info;
    samp_error failure;
    SAMP_TRY(samp_path_join(path, sizeof path, v->folder, shard->name, error));
    if (stat(path, &info) != 0) {
        samp_findings_add(v->findings, SAMP_FINDING_SHARD_MISSING, shard->name, NULL,
                          "the index names it, but it is not in the folder");
        return SAMP_OK;
    }
    if (S_ISREG(info.st_mode) && info.st_size == 0) {
        samp_findings_add(v->findings, SAMP_FINDING_SHARD_EMPTY, shard->name, NULL,
                          "the file has 0 bytes");
        return SAMP_OK;
    }
    if (samp__is_pointer(AT_FDCWD, path)) {
        samp_findings_add(v->findings, SAMP_FINDING_SHARD_POINTER, shard->name, NULL,
                          "the file is %lld bytes of text that stand for the real one",
                          (long long)info.st_size);
        return SAMP_OK;
    }
    samp_status status = samp_safetensors_open(&shard->file, path, &failure);
    if (status == SAMP_OK) return SAMP_OK;
    shard->file = NULL;
    if (status == SAMP_NOMEM) return samp_fail(error, status, "%s", failure.message);
    samp_findings_add(v->findings, SAMP_FINDING_SHARD_BAD, shard->name, NULL, "%s",
                      failure.message);
    return SAMP_OK;
}

/* ---- which shards ---------------------------------------------------------------------------- */

/* Numbered shards in the folder that the index does not name. */
static samp_status find_leftovers(samp_validation *v, bool has_index, samp_error *error)
{
    DIR *listing = opendir(v->folder);
    if (!listing) return samp_fail_errno(error, "%s cannot be listed", v->folder);
    struct dirent *entry;
    unsigned number, total;
    while (has_index && (entry = readdir(listing)))
        if (shard_numbers(entry->d_name, &number, &total) && !find_shard(v, entry->d_name))
            samp_findings_add(v->findings, SAMP_FINDING_SHARD_EXTRA, entry->d_name, NULL,
                              "%s does not name it", INDEX);
    closedir(listing);
    return SAMP_OK;
}

static void check_numbers(samp_validation *v)
{
    unsigned number, total, first_total = 0;
    size_t numbered = 0;
    for (size_t i = 0; i < v->n_shards; i++) {
        if (!shard_numbers(v->shards[i].name, &number, &total)) continue;
        numbered++;
        if (!first_total) first_total = total;
        if (total != first_total || number < 1 || number > total) {
            samp_findings_add(v->findings, SAMP_FINDING_SHARD_NUMBERS, v->shards[i].name, NULL,
                              "another shard is of %u in total", first_total);
            return;
        }
    }
    if (numbered && numbered != first_total)
        samp_findings_add(v->findings, SAMP_FINDING_SHARD_NUMBERS, INDEX, NULL,
                          "it names %zu of %u shards", numbered, first_total);
}

static samp_status read_index(samp_validation *v, samp_index *index, samp_error *error)
{
    char path[PATH_BYTES];
    samp_error failure;
    samp_buffer text = {0};
    SAMP_TRY(samp_path_join(path, sizeof path, v->folder, INDEX, error));
    samp_status status = samp_file_slurp(path, INDEX_BYTES_MAX, &text, &failure);
    if (status == SAMP_OK)
        status = samp_index_parse(index, text.data, text.length, INDEX, &failure);
    samp_buffer_release(&text);
    if (status == SAMP_NOMEM) return samp_fail(error, status, "%s", failure.message);
    if (status != SAMP_OK) {
        samp_findings_add(v->findings, SAMP_FINDING_INDEX_BAD, INDEX, NULL, "%s", failure.message);
        v->shards_complete = false;
        return SAMP_OK;
    }
    for (size_t i = 0; i < index->n; i++)
        SAMP_TRY(add_shard(v, index->entries[i].shard, true, error));
    return SAMP_OK;
}

/* What is there instead decides what to do. */
static void say_no_weights(samp_validation *v)
{
    unsigned total = v->legacy_total > v->legacy ? v->legacy_total : v->legacy;
    if (v->legacy)
        samp_findings_add(v->findings, SAMP_FINDING_LEGACY, "", NULL,
                          "there are %u of %u files of PyTorch weights, and neither %s nor %s",
                          v->legacy, total, SINGLE, INDEX);
    else if (*v->gguf)
        samp_findings_add(v->findings, SAMP_FINDING_NO_WEIGHTS, "", NULL,
                          "there is neither %s nor %s; give the path of %s to have it checked",
                          SINGLE, INDEX, v->gguf);
    else
        samp_findings_add(v->findings, SAMP_FINDING_NO_WEIGHTS, "", NULL,
                          "there is neither %s nor %s", SINGLE, INDEX);
}

static samp_status list_shards(samp_validation *v, samp_index *index, samp_error *error)
{
    bool single = exists(v, SINGLE), has_index = exists(v, INDEX);
    if (!single && !has_index) {
        say_no_weights(v);
        v->shards_complete = false;
        return SAMP_OK;
    }
    if (has_index) SAMP_TRY(read_index(v, index, error));
    if (single && has_index && !find_shard(v, SINGLE))
        samp_findings_add(v->findings, SAMP_FINDING_WEIGHTS_TWICE, SINGLE, NULL,
                          "%s does not name it, but other programs would load it", INDEX);
    if (single && !has_index) SAMP_TRY(add_shard(v, SINGLE, false, error));
    check_numbers(v);
    return find_leftovers(v, has_index, error);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static samp_status collect_tensors(samp_validation *v, samp_error *error)
{
    for (size_t i = 0; i < v->n_shards; i++) {
        if (v->shards[i].file)
            v->n_tensors += samp_safetensors_count(v->shards[i].file);
        else
            v->shards_complete = false;
    }
    v->findings->n_tensors = v->n_tensors;
    v->tensors = samp_alloc(v->n_tensors ? v->n_tensors : 1, sizeof *v->tensors);
    v->used = samp_alloc(v->n_tensors ? v->n_tensors : 1, sizeof *v->used);
    if (!v->tensors || !v->used)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %zu tensors", v->folder,
                         v->n_tensors);
    size_t at = 0;
    for (size_t i = 0; i < v->n_shards; i++) {
        size_t n = v->shards[i].file ? samp_safetensors_count(v->shards[i].file) : 0;
        for (size_t k = 0; k < n; k++, at++) {
            v->tensors[at] = *samp_safetensors_at(v->shards[i].file, k);
            v->tensors[at].shard = (int)i;
            SAMP_TRY(samp_names_add(&v->by_name, v->tensors[at].name, (uint32_t)at, error));
        }
    }
    const char *twice = samp_names_sort(&v->by_name);
    if (twice)
        samp_findings_add(v->findings, SAMP_FINDING_TENSOR_TWICE, "", twice,
                          "two shards hold a tensor of this name");
    return SAMP_OK;
}

/* Only usable shards can be compared: what others hold is unknown. */
static void compare_with_index(samp_validation *v, const samp_index *index)
{
    uint64_t bytes = 0;
    uint32_t item;
    for (size_t i = 0; i < index->n; i++) {
        const samp_index_entry *entry = &index->entries[i];
        const validate_shard *shard = find_shard(v, entry->shard);
        if (shard && shard->file && !samp_safetensors_find(shard->file, entry->tensor))
            samp_findings_add(v->findings, SAMP_FINDING_INDEX_EXTRA, INDEX, entry->tensor,
                              "%s does not have it", entry->shard);
    }
    for (size_t i = 0; i < v->n_tensors; i++) {
        bytes += v->tensors[i].bytes;
        if (!samp_names_find(&index->by_tensor, v->tensors[i].name, &item))
            samp_findings_add(v->findings, SAMP_FINDING_INDEX_LACKS,
                              v->shards[v->tensors[i].shard].name, v->tensors[i].name,
                              "%s does not name it", INDEX);
    }
    if (v->shards_complete && index->has_total_size && index->total_size != bytes)
        samp_findings_add(v->findings, SAMP_FINDING_INDEX_SIZE, INDEX, NULL,
                          "total_size is %llu, the tensors have %llu bytes",
                          (unsigned long long)index->total_size, (unsigned long long)bytes);
}

/* All shards but the last are filled up to one size: one with less than a tenth of the mean that
 * total_size promises, or of the largest, was cut off or is something else. */
static void find_small_shards(samp_validation *v, const samp_index *index)
{
    uint64_t sizes[SHARDS_MAX] = {0}, usual = 0;
    for (size_t i = 0; i < v->n_shards; i++) {
        char path[PATH_BYTES];
        struct stat info;
        if (samp_path_join(path, sizeof path, v->folder, v->shards[i].name, NULL) == SAMP_OK &&
            stat(path, &info) == 0 && S_ISREG(info.st_mode))
            sizes[i] = (uint64_t)info.st_size;
        if (sizes[i] > usual) usual = sizes[i];
    }
    if (index->has_total_size && v->n_shards && index->total_size / v->n_shards > usual)
        usual = index->total_size / v->n_shards;
    for (size_t i = 0; i < v->n_shards; i++) {
        unsigned number, total;
        bool last = shard_numbers(v->shards[i].name, &number, &total) && number == total;
        if (sizes[i] == 0 || sizes[i] >= usual / 10 || (last && v->shards[i].file)) continue;
        samp_findings_add(v->findings, SAMP_FINDING_SHARD_SMALL, v->shards[i].name, NULL,
                          "it is %llu bytes, expected about %llu", (unsigned long long)sizes[i],
                          (unsigned long long)usual);
    }
}

samp_status samp__validate_shards(samp_validation *v, samp_error *error)
{
    samp_index index = {0};
    v->shards_complete = true;
    samp_status status = list_shards(v, &index, error);
    for (size_t i = 0; i < v->n_shards && status == SAMP_OK; i++)
        status = open_shard(v, &v->shards[i], error);
    if (status == SAMP_OK) status = collect_tensors(v, error);
    if (status == SAMP_OK && index.n) compare_with_index(v, &index);
    if (status == SAMP_OK && index.n) find_small_shards(v, &index);
    samp_index_release(&index);
    return status;
}

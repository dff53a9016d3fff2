/* The end of an artifact: index, digests, samp.json, and the swap that makes it visible.
 *
 * Order matters for a crash at any moment: all bytes durable, state file removed, folder synced,
 * then one rename. A crash before the rename leaves OUT as it was; one after it leaves the new OUT.
 * Replacing an existing OUT exchanges the two folders and removes the old one afterwards. */
#include "file/file.h"
#include "file/manifest.h"
#include "quantize/artifact_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = ARTIFACT_SHARDS_MAX + 128, NAME_BYTES = NAME_MAX + 64 };

static samp_status write_small(const samp_artifact *artifact, const char *name,
                               const samp_buffer *text, samp_error *error)
{
    char path[ARTIFACT_PATH_MAX];
    SAMP_TRY(samp__artifact_path(artifact, name, path, error));
    return samp_file_write(path, text->data, text->length, error);
}

/* Jansson's 17 digits make 1e-05 to 1.0000000000000001e-05: 16 where they read back the same. */
static char *dump_json(const json_t *value)
{
    enum { FLAGS = JSON_INDENT(2) | JSON_ENSURE_ASCII };
    char *text = json_dumps(value, FLAGS | JSON_REAL_PRECISION(16));
    json_t *again = text ? samp_json_read(text, strlen(text), 0, NULL) : NULL;
    if (text && !json_equal(value, again)) {
        samp_free(text);
        text = json_dumps(value, FLAGS);
    }
    json_decref(again);
    return text;
}

samp_status samp_artifact_json(samp_artifact *artifact, const char *name, json_t *value,
                               samp_error *error)
{
    char *text = value ? dump_json(value) : NULL;
    json_decref(value);
    if (!text)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %s", artifact->folder, name);
    samp_buffer buffer = {0};
    samp_buffer_text(&buffer, text);
    samp_buffer_text(&buffer, "\n");
    samp_free(text);
    samp_status status = samp_buffer_ok(&buffer, error);
    if (status == SAMP_OK) status = write_small(artifact, name, &buffer, error);
    samp_buffer_release(&buffer);
    return status;
}

/* One file of the artifact, hashed. */
typedef struct hashed_file {
    char name[NAME_BYTES];
    samp_manifest_file entry;
    samp_status status;
    samp_error error;
} hashed_file;

typedef struct hash_work {
    const samp_artifact *artifact;
    hashed_file *files;
    size_t n;
} hash_work;

static void hash_share(void *context, unsigned thread, unsigned n_threads)
{
    const hash_work *work = context;
    for (size_t i = thread; i < work->n; i += n_threads) {
        hashed_file *file = &work->files[i];
        char path[ARTIFACT_PATH_MAX];
        uint64_t done = 0;
        file->entry.name = file->name;
        file->status = samp__artifact_path(work->artifact, file->name, path, &file->error);
        if (file->status == SAMP_OK)
            file->status = samp_hash_file(path, &file->entry.bytes, file->entry.sha256, NULL, NULL,
                                          &done, 0, &file->error);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const hashed_file *)a)->name, ((const hashed_file *)b)->name);
}

/* Files of the folder, and of its `within` (NULL = itself); the state file and an earlier samp.json
 * are not listed, nor is another folder. */
static samp_status list_folder(const samp_artifact *artifact, const char *within,
                               hashed_file *files, size_t *n, samp_error *error)
{
    char path[ARTIFACT_PATH_MAX];
    snprintf(path, sizeof path, "%s", artifact->partial);
    if (within) SAMP_TRY(samp__artifact_path(artifact, within, path, error));
    DIR *folder = opendir(path);
    if (!folder) return samp_fail_errno(error, "%s cannot be opened", path);
    struct dirent *entry;
    while ((entry = readdir(folder)) && *n < FILES_MAX) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, ARTIFACT_STATE) ||
            !strcmp(name, SAMP_MANIFEST_NAME) || !strcmp(name, SAMP_TEMPLATES_FOLDER))
            continue;
        snprintf(files[(*n)++].name, sizeof files->name, "%s%s%s", within ? within : "",
                 within ? "/" : "", name);
    }
    closedir(folder);
    return SAMP_OK;
}

static samp_status list_files(const samp_artifact *artifact, hashed_file *files, size_t *n,
                              samp_error *error)
{
    char path[ARTIFACT_PATH_MAX];
    SAMP_TRY(list_folder(artifact, NULL, files, n, error));
    SAMP_TRY(samp__artifact_path(artifact, SAMP_TEMPLATES_FOLDER, path, error));
    if (samp_is_folder(path))
        SAMP_TRY(list_folder(artifact, SAMP_TEMPLATES_FOLDER, files, n, error));
    qsort(files, *n, sizeof *files, compare_names);
    return SAMP_OK;
}

static samp_status write_manifest(samp_artifact *artifact, samp_pool *pool, json_t *about,
                                  samp_error *error)
{
    hashed_file *files = samp_alloc(FILES_MAX, sizeof *files);
    samp_manifest_file *entries = samp_alloc(FILES_MAX, sizeof *entries);
    size_t n = 0;
    samp_status status = files && entries
                             ? list_files(artifact, files, &n, error)
                             : samp_fail(error, SAMP_NOMEM, "%s: out of memory", artifact->folder);
    if (status == SAMP_OK) samp_pool_run(pool, hash_share, &(hash_work){artifact, files, n});
    for (size_t i = 0; status == SAMP_OK && i < n; i++) {
        entries[i] = files[i].entry;
        status = files[i].status;
        if (status != SAMP_OK && error) *error = files[i].error;
    }
    if (status == SAMP_OK)
        status = samp_manifest_write(artifact->partial, entries, n, about, error);
    samp_free(entries);
    samp_free(files);
    return status;
}

static samp_status write_index(samp_artifact *artifact, samp_error *error)
{
    if (artifact->n_shards == 1) return SAMP_OK;
    json_t *index = json_pack("{s:{s:I}, s:O}", "metadata", "total_size",
                              (json_int_t)artifact->data_bytes, "weight_map", artifact->weight_map);
    return samp_artifact_json(artifact, "model.safetensors.index.json", index, error);
}

void samp__artifact_parent(const samp_artifact *artifact, char *out)
{
    snprintf(out, ARTIFACT_PATH_MAX, "%s", artifact->folder);
    char *slash = strrchr(out, '/');
    if (!slash)
        snprintf(out, ARTIFACT_PATH_MAX, ".");
    else if (slash == out)
        out[1] = '\0';
    else
        *slash = '\0';
}

/* Makes the rename durable. */
static samp_status sync_parent(const samp_artifact *artifact, samp_error *error)
{
    char parent[ARTIFACT_PATH_MAX];
    samp__artifact_parent(artifact, parent);
    return samp_sync_folder(parent, error);
}

static samp_status swap(samp_artifact *artifact, samp_error *error)
{
    const char *from = artifact->partial, *to = artifact->folder;
    if (rename(from, to) == 0) return sync_parent(artifact, error); /* no OUT, or an empty one */
    if (!artifact->force || (errno != ENOTEMPTY && errno != EEXIST))
        return samp_fail_errno(error, "%s is complete but cannot be renamed to %s", from, to);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) != 0)
        return samp_fail_errno(error, "%s is complete but cannot take the place of %s", from, to);
    SAMP_TRY(sync_parent(artifact, error));
    return samp_remove_folder(from, error); /* the old artifact */
}

samp_status samp_artifact_finish(samp_artifact *artifact, samp_pool *pool, json_t *about,
                                 samp_error *error)
{
    samp_status status = SAMP_OK;
    if (!about) status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", artifact->folder);
    if (status == SAMP_OK) status = samp__artifact_commit(artifact, error);
    if (status == SAMP_OK) status = write_index(artifact, error);
    if (status == SAMP_OK) status = write_manifest(artifact, pool, about, error);
    json_decref(about);
    if (status != SAMP_OK) return status;
    char state[ARTIFACT_PATH_MAX];
    SAMP_TRY(samp__artifact_path(artifact, ARTIFACT_STATE, state, error));
    if (unlink(state) != 0) return samp_fail_errno(error, "%s cannot be removed", state);
    SAMP_TRY(samp_sync_folder(artifact->partial, error));
    return swap(artifact, error);
}

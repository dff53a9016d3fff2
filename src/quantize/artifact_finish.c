/* The end of an artifact: index, digests, samp.json, and the swap that makes it visible.
 *
 * Order matters for a crash at any moment: all bytes durable, state file removed, folder synced,
 * then one rename. A crash before the rename leaves OUT as it was; one after it leaves the new OUT.
 * Replacing an existing OUT exchanges the two folders and removes the old one afterwards. */
#include "file/file.h"
#include "quantize/artifact_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 4096, READ_BYTES = 1 << 20 };

samp_status samp_artifact_json(samp_artifact *artifact, const char *name, json_t *value,
                               samp_error *error)
{
    char path[ARTIFACT_PATH_MAX];
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
    json_decref(value);
    if (!text)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %s", artifact->folder, name);
    samp_buffer buffer = {0};
    samp_buffer_text(&buffer, text);
    samp_buffer_text(&buffer, "\n");
    samp_free(text);
    samp_status status = samp_buffer_ok(&buffer, error);
    if (status == SAMP_OK) status = samp__artifact_path(artifact, name, path, error);
    if (status == SAMP_OK) status = samp_file_write(path, buffer.data, buffer.length, error);
    samp_buffer_release(&buffer);
    return status;
}

/* One file of the artifact and its digest. */
typedef struct digest {
    char name[NAME_MAX + 1];
    uint64_t bytes;
    char sha256[SAMP_SHA256_HEX];
    samp_status status;
    samp_error error;
} digest;

typedef struct digest_work {
    const samp_artifact *artifact;
    digest *files;
    size_t n;
} digest_work;

static samp_status digest_file(int fd, digest *file, const char *path, samp_error *error)
{
    samp_sha256 *hash;
    SAMP_TRY(samp_sha256_begin(&hash, error));
    char *buffer = samp_alloc(READ_BYTES, 1);
    samp_status status =
        buffer ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "%s: out of memory for its digest", path);
    while (status == SAMP_OK) {
        ssize_t n = pread(fd, buffer, READ_BYTES, (off_t)file->bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = samp_fail_errno(error, "%s cannot be read back", path);
        if (n <= 0) break;
        samp_sha256_update(hash, buffer, (size_t)n);
        file->bytes += (uint64_t)n;
    }
    samp_free(buffer);
    samp_sha256_end(hash, file->sha256);
    if (status == SAMP_OK && fsync(fd) != 0)
        status = samp_fail_errno(error, "%s cannot be synced", path);
    return status;
}

static void digest_some(void *context, unsigned thread, unsigned n_threads)
{
    digest_work *work = context;
    for (size_t i = thread; i < work->n; i += n_threads) {
        digest *file = &work->files[i];
        char path[ARTIFACT_PATH_MAX];
        file->status = samp__artifact_path(work->artifact, file->name, path, &file->error);
        if (file->status != SAMP_OK) continue;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            file->status = samp_fail_errno(&file->error, "%s cannot be opened", path);
            continue;
        }
        file->status = digest_file(fd, file, path, &file->error);
        close(fd);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const digest *)a)->name, ((const digest *)b)->name);
}

/* The folder's files in the order of their names; the state file and samp.json itself are not
 * listed. */
static samp_status list_files(const samp_artifact *artifact, digest *files, size_t *n,
                              samp_error *error)
{
    DIR *folder = opendir(artifact->partial);
    if (!folder) return samp_fail_errno(error, "%s cannot be opened", artifact->partial);
    struct dirent *entry;
    *n = 0;
    while ((entry = readdir(folder)) && *n < FILES_MAX) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, ARTIFACT_STATE) ||
            !strcmp(name, ARTIFACT_MANIFEST))
            continue;
        snprintf(files[(*n)++].name, sizeof files->name, "%s", name);
    }
    closedir(folder);
    qsort(files, *n, sizeof *files, compare_names);
    return SAMP_OK;
}

static json_t *files_json(const digest *files, size_t n)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < n; i++)
        if (!samp_json_set(object, files[i].name,
                           json_pack("{s:I, s:s}", "bytes", (json_int_t)files[i].bytes, "sha256",
                                     files[i].sha256))) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static samp_status write_manifest(samp_artifact *artifact, samp_pool *pool, json_t *about,
                                  samp_error *error)
{
    digest *files = samp_alloc(FILES_MAX, sizeof *files);
    size_t n = 0;
    samp_status status = files
                             ? list_files(artifact, files, &n, error)
                             : samp_fail(error, SAMP_NOMEM, "%s: out of memory", artifact->folder);
    if (status == SAMP_OK) {
        digest_work work = {artifact, files, n};
        samp_pool_run(pool, digest_some, &work);
    }
    for (size_t i = 0; status == SAMP_OK && i < n; i++)
        if (files[i].status != SAMP_OK) {
            status = files[i].status;
            if (error) *error = files[i].error;
        }
    if (status == SAMP_OK && !samp_json_set(about, "files", files_json(files, n)))
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory for samp.json", artifact->folder);
    samp_free(files);
    if (status != SAMP_OK) return status;
    return samp_artifact_json(artifact, ARTIFACT_MANIFEST, json_incref(about), error);
}

static samp_status write_index(samp_artifact *artifact, samp_error *error)
{
    if (artifact->n_shards == 1) return SAMP_OK;
    json_t *index = json_pack("{s:{s:I}, s:O}", "metadata", "total_size",
                              (json_int_t)artifact->data_bytes, "weight_map", artifact->weight_map);
    return samp_artifact_json(artifact, "model.safetensors.index.json", index, error);
}

/* The folder that holds OUT, to sync the rename. */
static samp_status sync_parent(const samp_artifact *artifact, samp_error *error)
{
    char parent[ARTIFACT_PATH_MAX];
    snprintf(parent, sizeof parent, "%s", artifact->folder);
    char *slash = strrchr(parent, '/');
    if (!slash)
        snprintf(parent, sizeof parent, ".");
    else if (slash == parent)
        parent[1] = '\0';
    else
        *slash = '\0';
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

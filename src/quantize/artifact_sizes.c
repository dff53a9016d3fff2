/* What an artifact will weigh, and the room there is for it, before anything is written: for a dry
 * run. Sizes come from the layout that writes (artifact_layout.c), so they cannot disagree. */
#include "quantize/artifact_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static samp_status copy_sizes(const samp_artifact *artifact, samp_artifact_sizes *out,
                              samp_error *error)
{
    out->shards = samp_alloc(artifact->n_shards, sizeof *out->shards);
    if (!out->shards)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the sizes of %zu shards",
                         artifact->n_shards);
    for (size_t s = 0; s < artifact->n_shards; s++) {
        samp_artifact_file *file = &out->shards[out->n_shards++];
        memcpy(file->name, artifact->shards[s].name, sizeof file->name);
        file->bytes = artifact->shards[s].bytes;
        if (!samp_add(out->bytes, file->bytes, &out->bytes))
            return samp_fail(error, SAMP_LIMIT, "the size of %zu shards overflows",
                             artifact->n_shards);
    }
    return SAMP_OK;
}

/* An artifact that writes nothing; NULL = out of memory. */
static samp_artifact *unwritten(samp_error *error)
{
    samp_artifact *artifact = samp_alloc(1, sizeof *artifact);
    if (artifact)
        artifact->state_fd = -1;
    else
        samp_fail(error, SAMP_NOMEM, "out of memory for the layout of an artifact");
    return artifact;
}

samp_status samp_artifact_sizes_of(samp_artifact_weight *weights, size_t n, uint64_t shard_bytes,
                                   samp_artifact_sizes *out, samp_error *error)
{
    *out = (samp_artifact_sizes){0};
    samp_artifact *artifact = unwritten(error);
    if (!artifact) return SAMP_NOMEM;
    snprintf(artifact->folder, sizeof artifact->folder, "the artifact");
    artifact->weights = weights;
    artifact->n_weights = n;
    artifact->shard_bytes = shard_bytes;
    samp_status status = samp__artifact_layout(artifact, error);
    if (status == SAMP_OK) status = copy_sizes(artifact, out, error);
    samp_artifact_release(artifact);
    if (status != SAMP_OK) samp_artifact_sizes_release(out);
    return status;
}

void samp_artifact_sizes_release(samp_artifact_sizes *sizes)
{
    samp_free(sizes->shards);
    *sizes = (samp_artifact_sizes){0};
}

/* Bytes that the files in a folder take on the disk; 0 without the folder. */
static uint64_t taken(const char *path)
{
    DIR *folder = opendir(path);
    uint64_t bytes = 0;
    struct dirent *entry;
    struct stat info;
    while (folder && (entry = readdir(folder)))
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode))
            bytes += (uint64_t)info.st_blocks * 512; /* a block of stat() is always 512 bytes */
    if (folder) closedir(folder);
    return bytes;
}

samp_status samp_artifact_room(const char *folder, uint64_t *out, samp_error *error)
{
    samp_artifact *artifact = unwritten(error);
    if (!artifact) return SAMP_NOMEM;
    char parent[ARTIFACT_PATH_MAX];
    struct statvfs disk;
    samp_status status = samp__artifact_paths(artifact, folder, error);
    if (status == SAMP_OK) {
        samp__artifact_parent(artifact, parent);
        if (statvfs(parent, &disk) == 0)
            *out = (uint64_t)disk.f_bavail * disk.f_frsize + taken(artifact->partial);
        else
            status = samp_fail_errno(error, "%s, where %s would go, cannot be examined", parent,
                                     artifact->folder);
    }
    samp_artifact_release(artifact);
    return status;
}

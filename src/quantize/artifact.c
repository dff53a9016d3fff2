/* The partial folder: creating or continuing it, writing weights, and the state file.
 *
 * State file: a line "samp-partial 1 FINGERPRINT", then a line for each weight whose bytes are
 * durable. A line without its newline (the run was killed while writing it) does not count. The
 * file is also the lock: two processes never write one folder. */
#include "quantize/artifact_internal.h"
#include "base/log.h"
#include "file/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_BYTES_MAX = 16 << 20 };

samp_status samp__artifact_path(const samp_artifact *artifact, const char *name, char *out,
                                samp_error *error)
{
    return samp_path_join(out, ARTIFACT_PATH_MAX, artifact->partial, name, error);
}

static samp_status write_all(int fd, const char *path, uint64_t offset, const void *bytes,
                             uint64_t n, samp_error *error)
{
    uint64_t done = samp_pwrite(fd, bytes, n, offset);
    if (done < n)
        return samp_fail_errno(error, "%s: writing %llu bytes at byte %llu failed", path,
                               (unsigned long long)(n - done), (unsigned long long)(offset + done));
    return SAMP_OK;
}

/* Everything in the partial folder but the state file and, when they are kept, the shards. */
static samp_status clear_folder(samp_artifact *artifact, bool keep_shards, samp_error *error)
{
    DIR *folder = opendir(artifact->partial);
    if (!folder) return samp_fail_errno(error, "%s cannot be opened", artifact->partial);
    samp_status status = SAMP_OK;
    struct dirent *entry;
    while (status == SAMP_OK && (entry = readdir(folder))) {
        const char *name = entry->d_name;
        bool keep = !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, ARTIFACT_STATE);
        for (size_t s = 0; keep_shards && !keep && s < artifact->n_shards; s++)
            keep = strcmp(name, artifact->shards[s].name) == 0;
        if (keep) continue;
        char path[ARTIFACT_PATH_MAX];
        status = samp__artifact_path(artifact, name, path, error);
        if (status != SAMP_OK) break;
        if (samp_is_folder(path))
            status = samp_remove_folder(path, error);
        else if (unlink(path) != 0)
            status = samp_fail_errno(error, "%s cannot be removed", path);
    }
    closedir(folder);
    return status;
}

/* A new shard gets all its blocks now, so that a disk without the room fails before hours of work.
 */
static samp_status create_shard(samp_artifact *artifact, artifact_shard *shard, samp_error *error)
{
    char path[ARTIFACT_PATH_MAX];
    SAMP_TRY(samp__artifact_path(artifact, shard->name, path, error));
    shard->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (shard->fd < 0) return samp_fail_errno(error, "%s cannot be created", path);
    int failed = fallocate(shard->fd, 0, 0, (off_t)shard->bytes);
    if (failed && (errno == EOPNOTSUPP || errno == ENOSYS))
        failed = ftruncate(shard->fd, (off_t)shard->bytes);
    if (failed)
        return samp_fail_errno(error, "%s: no room for its %llu bytes", path,
                               (unsigned long long)shard->bytes);
    shard->dirty = true;
    return write_all(shard->fd, path, 0, shard->header.data, shard->header.length, error);
}

/* True when the shard of an earlier run is there, with the right size and header. */
static bool reopen_shard(samp_artifact *artifact, artifact_shard *shard)
{
    char path[ARTIFACT_PATH_MAX];
    if (samp__artifact_path(artifact, shard->name, path, NULL) != SAMP_OK) return false;
    shard->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;
    if (shard->fd < 0 || fstat(shard->fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size != shard->bytes)
        return false;
    char *found = samp_alloc(shard->header.length, 1);
    bool same =
        found && pread(shard->fd, found, shard->header.length, 0) == (ssize_t)shard->header.length;
    same = same && memcmp(found, shard->header.data, shard->header.length) == 0;
    samp_free(found);
    return same;
}

static void close_shards(samp_artifact *artifact)
{
    for (size_t s = 0; artifact->shards && s < artifact->n_shards; s++) {
        if (artifact->shards[s].fd >= 0) close(artifact->shards[s].fd);
        artifact->shards[s].fd = -1;
    }
}

static samp_status append_state(samp_artifact *artifact, const samp_buffer *text, samp_error *error)
{
    SAMP_TRY(samp_buffer_ok(text, error));
    off_t end = lseek(artifact->state_fd, 0, SEEK_END);
    if (end < 0) return samp_fail_errno(error, "%s: the state file failed", artifact->partial);
    SAMP_TRY(write_all(artifact->state_fd, artifact->partial, (uint64_t)end, text->data,
                       text->length, error));
    if (fdatasync(artifact->state_fd) != 0)
        return samp_fail_errno(error, "%s: the state file cannot be synced", artifact->partial);
    return SAMP_OK;
}

static samp_status start_over(samp_artifact *artifact, samp_error *error)
{
    close_shards(artifact);
    memset(artifact->done, 0, artifact->n_weights * sizeof *artifact->done);
    if (ftruncate(artifact->state_fd, 0) != 0)
        return samp_fail_errno(error, "%s: the state file cannot be emptied", artifact->partial);
    SAMP_TRY(clear_folder(artifact, false, error));
    for (size_t s = 0; s < artifact->n_shards; s++)
        SAMP_TRY(create_shard(artifact, &artifact->shards[s], error));
    SAMP_TRY(samp_sync_folder(artifact->partial, error));
    samp_buffer line = {0};
    samp_buffer_printf(&line, "samp-partial 1 %s\n", artifact->fingerprint);
    samp_status status = append_state(artifact, &line, error);
    samp_buffer_release(&line);
    return status;
}

/* The weight a line names; n_weights when none. Lines come in the weights' order, mostly. */
static size_t find_weight(const samp_artifact *artifact, const char *name, size_t n, size_t guess)
{
    for (size_t k = 0; k < artifact->n_weights; k++) {
        size_t i = (guess + k) % artifact->n_weights;
        const char *candidate = artifact->weights[i].name;
        if (strlen(candidate) == n && memcmp(candidate, name, n) == 0) return i;
    }
    return artifact->n_weights;
}

/* Marks what the state file lists; false when it is not this run's, or damaged. */
static bool read_state(samp_artifact *artifact)
{
    char path[ARTIFACT_PATH_MAX];
    samp_buffer text = {0};
    bool ours = samp__artifact_path(artifact, ARTIFACT_STATE, path, NULL) == SAMP_OK &&
                samp_file_slurp(path, STATE_BYTES_MAX, &text, NULL) == SAMP_OK && text.length;
    char first[96];
    int n = snprintf(first, sizeof first, "samp-partial 1 %s\n", artifact->fingerprint);
    ours = ours && text.length >= (size_t)n && memcmp(text.data, first, (size_t)n) == 0;
    size_t at = (size_t)n, guess = 0;
    while (ours && at < text.length) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.length - at);
        if (!end) { /* cut off by a kill: the next line must start where this one did */
            ours = ftruncate(artifact->state_fd, (off_t)at) == 0;
            break;
        }
        size_t weight = find_weight(artifact, line, (size_t)(end - line), guess);
        ours = weight < artifact->n_weights;
        if (ours) artifact->done[weight] = true;
        guess = weight + 1;
        at = (size_t)(end - text.data) + 1;
    }
    samp_buffer_release(&text);
    return ours;
}

static samp_status open_state(samp_artifact *artifact, bool *found, samp_error *error)
{
    char path[ARTIFACT_PATH_MAX];
    SAMP_TRY(samp__artifact_path(artifact, ARTIFACT_STATE, path, error));
    artifact->state_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    struct stat info;
    if (artifact->state_fd < 0 || fstat(artifact->state_fd, &info) != 0)
        return samp_fail_errno(error, "%s cannot be opened", path);
    if (flock(artifact->state_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return samp_fail_errno(error, "%s cannot be locked", path);
        return samp_fail(error, SAMP_INVALID, "%s is being written by another process",
                         artifact->partial);
    }
    *found = info.st_size > 0;
    return SAMP_OK;
}

static samp_status open_partial(samp_artifact *artifact, samp_error *error)
{
    SAMP_TRY(samp_make_folder(artifact->partial, error));
    bool found = false;
    SAMP_TRY(open_state(artifact, &found, error));
    bool resume = found && !artifact->start_over && read_state(artifact);
    for (size_t s = 0; resume && s < artifact->n_shards; s++)
        resume = reopen_shard(artifact, &artifact->shards[s]);
    if (resume) return clear_folder(artifact, true, error);
    if (found && !artifact->start_over)
        samp_log(SAMP_LOG_WARN,
                 "%s is from another run (other model, options or version): starting over",
                 artifact->partial);
    return start_over(artifact, error);
}

static bool is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) return false;
    size_t n = 0;
    while (readdir(folder)) n++;
    closedir(folder);
    return n <= 2; /* "." and ".." */
}

static samp_status check_target(const samp_artifact *artifact, samp_error *error)
{
    struct stat info;
    if (lstat(artifact->folder, &info) != 0)
        return errno == ENOENT ? SAMP_OK : samp_fail_errno(error, "%s", artifact->folder);
    if (!S_ISDIR(info.st_mode))
        return samp_fail(error, SAMP_INVALID, "%s exists and is not a folder", artifact->folder);
    if (artifact->force || is_empty_folder(artifact->folder)) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID, "%s exists already: use --force to replace it",
                     artifact->folder);
}

samp_status samp__artifact_paths(samp_artifact *artifact, const char *folder, samp_error *error)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') n--;
    if (n == 0 || n + 32 > sizeof artifact->folder || (n == 1 && folder[0] == '/'))
        return samp_fail(error, SAMP_INVALID, "'%.200s' cannot be the output folder", folder);
    memcpy(artifact->folder, folder, n);
    artifact->folder[n] = '\0';
    snprintf(artifact->partial, sizeof artifact->partial, "%.4000s.samp-partial", artifact->folder);
    return SAMP_OK;
}

static samp_status create(samp_artifact *artifact, const samp_artifact_options *options,
                          samp_error *error)
{
    artifact->state_fd = -1;
    artifact->force = options->force;
    artifact->start_over = options->start_over;
    artifact->shard_bytes = options->shard_bytes;
    artifact->commit_bytes = options->commit_bytes ? options->commit_bytes : 64u << 20;
    snprintf(artifact->fingerprint, sizeof artifact->fingerprint, "%s", options->fingerprint);
    SAMP_TRY(samp__artifact_paths(artifact, options->folder, error));
    SAMP_TRY(check_target(artifact, error));
    artifact->done = samp_alloc(artifact->n_weights, sizeof *artifact->done);
    artifact->pending = samp_alloc(artifact->n_weights, sizeof *artifact->pending);
    if (!artifact->done || !artifact->pending)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory", artifact->folder);
    SAMP_TRY(samp__artifact_layout(artifact, error));
    return open_partial(artifact, error);
}

samp_status samp_artifact_create(samp_artifact **out, const samp_artifact_options *options,
                                 samp_artifact_weight *weights, size_t n, samp_error *error)
{
    *out = NULL;
    samp_artifact *artifact = samp_alloc(1, sizeof *artifact);
    if (!artifact) return samp_fail(error, SAMP_NOMEM, "%.500s: out of memory", options->folder);
    artifact->weights = weights;
    artifact->n_weights = n;
    samp_status status = create(artifact, options, error);
    if (status == SAMP_OK)
        *out = artifact;
    else
        samp_artifact_release(artifact);
    return status;
}

void samp_artifact_release(samp_artifact *artifact)
{
    if (!artifact) return;
    close_shards(artifact);
    for (size_t s = 0; artifact->shards && s < artifact->n_shards; s++)
        samp_buffer_release(&artifact->shards[s].header);
    if (artifact->state_fd >= 0) close(artifact->state_fd);
    json_decref(artifact->weight_map);
    samp_free(artifact->shards);
    samp_free(artifact->done);
    samp_free(artifact->pending);
    samp_free(artifact);
}

void samp_artifact_discard(samp_artifact *artifact)
{
    samp_error ignored; /* the caller has a more important error to tell */
    samp_remove_folder(artifact->partial, &ignored);
    samp_artifact_release(artifact);
}

const char *samp_artifact_folder(const samp_artifact *artifact) { return artifact->partial; }

bool samp_artifact_has(const samp_artifact *artifact, size_t weight)
{
    return artifact->done[weight];
}

samp_status samp_artifact_write(samp_artifact *artifact, size_t weight, int part, uint64_t at,
                                const void *bytes, uint64_t n, samp_error *error)
{
    const samp_artifact_weight *w = &artifact->weights[weight];
    const artifact_shard *shard = &artifact->shards[w->shard];
    samp_status status = write_all(shard->fd, shard->name, w->offset[part] + at, bytes, n, error);
    if (status != SAMP_OK) samp_error_prefix(error, "%s", artifact->partial);
    return status;
}

samp_status samp__artifact_commit(samp_artifact *artifact, samp_error *error)
{
    for (size_t s = 0; s < artifact->n_shards; s++) {
        artifact_shard *shard = &artifact->shards[s];
        if (!shard->dirty) continue;
        if (fdatasync(shard->fd) != 0)
            return samp_fail_errno(error, "%s/%s cannot be synced", artifact->partial, shard->name);
        shard->dirty = false;
    }
    samp_buffer lines = {0};
    for (size_t i = 0; i < artifact->n_pending; i++)
        samp_buffer_printf(&lines, "%s\n", artifact->weights[artifact->pending[i]].name);
    samp_status status = lines.length ? append_state(artifact, &lines, error) : SAMP_OK;
    samp_buffer_release(&lines);
    artifact->n_pending = 0;
    artifact->pending_bytes = 0;
    return status;
}

samp_status samp_artifact_done(samp_artifact *artifact, size_t weight, samp_error *error)
{
    const samp_artifact_weight *w = &artifact->weights[weight];
    artifact->done[weight] = true;
    artifact->shards[w->shard].dirty = true;
    artifact->pending[artifact->n_pending++] = weight;
    artifact->pending_bytes += w->layout.bytes;
    if (artifact->pending_bytes < artifact->commit_bytes) return SAMP_OK;
    return samp__artifact_commit(artifact, error);
}

/* Paths and folders. Removing walks by descriptor (openat, unlinkat), so that a link or a folder
 * swapped in meanwhile is never followed out of the tree. */
#include "file/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

samp_status samp_path_join(char *out, size_t n, const char *folder, const char *name,
                           samp_error *error)
{
    size_t length = strlen(folder);
    const char *slash = length == 0 || folder[length - 1] == '/' ? "" : "/";
    int written = snprintf(out, n, "%s%s%s", folder, slash, name);
    if (written >= 0 && (size_t)written < n) return SAMP_OK;
    return samp_fail(error, SAMP_LIMIT, "the path of %.100s in %.200s is longer than %zu bytes",
                     name, folder, n);
}

const char *samp_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool samp_path_has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), length = strlen(ending);
    return n > length && strcmp(path + n - length, ending) == 0;
}

samp_status samp_path_folder(char *out, size_t n, const char *path, samp_error *error)
{
    const char *slash = strrchr(path, '/');
    size_t length = !slash || slash == path ? 1 : (size_t)(slash - path);
    if (length >= n) return samp_fail(error, SAMP_LIMIT, "the path %.200s… is too long", path);
    memcpy(out, slash ? path : ".", length);
    out[length] = '\0';
    return SAMP_OK;
}

bool samp_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool samp_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

samp_status samp_make_folder(const char *path, samp_error *error)
{
    if (mkdir(path, 0777) == 0) return SAMP_OK;
    int saved = errno;
    if (saved == EEXIST && samp_is_folder(path)) return SAMP_OK;
    if (saved == EEXIST)
        return samp_fail(error, SAMP_INVALID, "%s exists and is not a folder", path);
    return samp_fail_errno(error, "the folder %s cannot be made", path);
}

samp_status samp_sync_folder(const char *path, samp_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return samp_fail_errno(error, "the folder %s cannot be opened", path);
    /* Some file systems cannot sync a folder and say EINVAL: they have nothing to make durable. */
    samp_status status = fsync(fd) == 0 || errno == EINVAL
                             ? SAMP_OK
                             : samp_fail_errno(error, "making the folder %s durable failed", path);
    close(fd);
    return status;
}

enum { DEPTH_MAX = 64 }; /* one open descriptor a level */

static samp_status empty_folder(int fd, dev_t device, int depth, const char *path,
                                samp_error *error);

static samp_status remove_entry(int parent, const char *name, dev_t device, int depth,
                                const char *path, samp_error *error)
{
    if (unlinkat(parent, name, 0) == 0)
        return SAMP_OK; /* a file or a link, not what it points to */
    if (errno != EISDIR && errno != EPERM)
        return samp_fail_errno(error, "%s: removing %s failed", path, name);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return samp_fail_errno(error, "%s: opening the folder %s failed", path, name);
    SAMP_TRY(empty_folder(fd, device, depth + 1, path, error));
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return SAMP_OK;
    return samp_fail_errno(error, "%s: removing the folder %s failed", path, name);
}

/* Takes fd over. */
static samp_status empty_folder(int fd, dev_t device, int depth, const char *path,
                                samp_error *error)
{
    struct stat info;
    samp_status status = SAMP_OK;
    if (fstat(fd, &info) != 0)
        status = samp_fail_errno(error, "%s cannot be examined", path);
    else if (info.st_dev != device)
        status = samp_fail(error, SAMP_INVALID,
                           "%s holds another file system's mount point; unmount it first", path);
    else if (depth > DEPTH_MAX)
        status =
            samp_fail(error, SAMP_LIMIT, "%s is nested deeper than %d folders", path, DEPTH_MAX);
    DIR *folder = status == SAMP_OK ? fdopendir(fd) : NULL;
    if (!folder) {
        if (status == SAMP_OK) status = samp_fail_errno(error, "%s cannot be listed", path);
        close(fd);
        return status;
    }
    while (status == SAMP_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry && errno != 0) status = samp_fail_errno(error, "%s cannot be listed", path);
        if (!entry) break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = remove_entry(dirfd(folder), entry->d_name, device, depth, path, error);
    }
    closedir(folder);
    return status;
}

samp_status samp_remove_folder(const char *path, samp_error *error)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return samp_fail_errno(error, "the folder %s cannot be opened for removal", path);
    if (fstat(fd, &info) != 0) {
        samp_status status = samp_fail_errno(error, "%s cannot be examined", path);
        close(fd);
        return status;
    }
    SAMP_TRY(empty_folder(fd, info.st_dev, 0, path, error));
    if (rmdir(path) == 0) return SAMP_OK;
    return samp_fail_errno(error, "the folder %s cannot be removed", path);
}

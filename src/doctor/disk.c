/* The disk models are written to: its kind, and what is left on it. */
#include "base/memory.h"
#include "doctor/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MOUNTS_BYTES = 256 << 10 };
static const double least_free = 5e9;

/* "\040" for a space, as mountinfo writes it; in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; to++) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
            at[3] >= '0' && at[3] <= '7') {
            *to = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 4;
        } else {
            *to = *at++;
        }
    }
    *to = '\0';
}

/* Whether path is mount or below it. */
static bool is_below(const char *path, const char *mount)
{
    size_t n = strlen(mount);
    if (n && mount[n - 1] == '/') n--;
    return strncmp(path, mount, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The type of the file system of an absolute path: that of the longest mount point above it, the
 * last of them when several lie over each other. A line is "ID PARENT MAJOR:MINOR ROOT MOUNT
 * OPTIONS … - TYPE SOURCE OPTIONS". */
static void find_type(char *lines, const char *path, char out[32])
{
    size_t longest = 0;
    snprintf(out, 32, "unknown");
    for (char *line; (line = strsep(&lines, "\n"));) {
        char *type = strstr(line, " - "), *mount = line;
        for (int field = 0; field < 4 && mount; field++)
            mount = (mount = strchr(mount, ' ')) ? mount + 1 : NULL;
        if (!type || !mount || mount > type) continue;
        type += 3;
        type[strcspn(type, " ")] = '\0';
        mount[strcspn(mount, " ")] = '\0';
        unescape(mount);
        size_t n = strlen(mount);
        if (n < longest || !is_below(path, mount)) continue;
        longest = n;
        snprintf(out, 32, "%s", type);
    }
}

static bool is_network(const char *type)
{
    static const char *const network[] = {"nfs",  "nfs4",   "cifs",       "smb3",      "9p",
                                          "ceph", "lustre", "fuse.sshfs", "glusterfs", "afs"};
    for (size_t i = 0; i < sizeof network / sizeof *network; i++)
        if (strcmp(type, network[i]) == 0) return true;
    return false;
}

void samp__check_disk(samp_doctor *doctor, const samp_doctor_options *options)
{
    const char *folder = options->folder;
    struct statvfs disk;
    char *path = realpath(folder, NULL), command[256], left[32], type[32];
    snprintf(command, sizeof command, "ls -ld '%.200s'", folder);
    if (!path || statvfs(path, &disk) != 0) {
        samp__check_bad(doctor, SAMP_DOCTOR_DISK, SAMP_VERDICT_BROKEN, command, "%s: %s", folder,
                        strerror(errno));
        free(path);
        return;
    }
    char *mounts = samp_alloc(1, MOUNTS_BYTES);
    if (mounts) {
        samp_sysfs_read(options->root, "/proc/self/mountinfo", mounts, MOUNTS_BYTES);
        find_type(mounts, path, type);
        samp_free(mounts);
    } else {
        snprintf(type, sizeof type, "unknown");
    }
    double bytes = (double)disk.f_bavail * (double)disk.f_frsize;
    samp__gigabytes(left, bytes);
    if (access(path, W_OK) != 0)
        samp__check_bad(doctor, SAMP_DOCTOR_DISK, SAMP_VERDICT_WARN, command,
                        "%s cannot be written: %s", path, strerror(errno));
    snprintf(command, sizeof command, "df -h '%.200s'", path);
    if (bytes < least_free)
        samp__check_bad(doctor, SAMP_DOCTOR_DISK, SAMP_VERDICT_WARN, command,
                        "%s (%s): only %s are free", path, type, left);
    else if (is_network(type))
        samp__check_bad(doctor, SAMP_DOCTOR_DISK, SAMP_VERDICT_WARN, "cp -r MODEL /var/tmp/",
                        "%s (%s): %s are free, but a network file system loads models slowly", path,
                        type, left);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_DISK, "%s (%s): %s are free", path, type, left);
    free(path);
}

/* Reading of /proc and /sys. O_NONBLOCK, because a made-up or odd tree may hold a FIFO. */
#include "base/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4608, IDS_MAX = 65536 };

bool samp_sysfs_read(const char *root, const char *path, char *out, size_t n)
{
    char name[PATH_BYTES];
    out[0] = '\0';
    int length = snprintf(name, sizeof name, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof name) return false;
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return false;
    size_t used = 0;
    ssize_t got = 1;
    while (used + 1 < n && got > 0) {
        got = read(file, out + used, n - 1 - used);
        if (got > 0) used += (size_t)got;
        if (got < 0 && errno == EINTR) got = 1;
    }
    close(file);
    out[used] = '\0';
    if (used && out[used - 1] == '\n') out[used - 1] = '\0';
    return got >= 0;
}

/* Digits at *at, which moves past them; false when there is none or they pass max. */
static bool take_number(const char **at, uint64_t max, uint64_t *out)
{
    if (**at < '0' || **at > '9') return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(*at, &end, 10);
    *at = end;
    *out = value;
    return errno == 0 && value <= max;
}

bool samp_sysfs_number(const char *root, const char *path, uint64_t max, uint64_t *out)
{
    char text[64];
    const char *at = text;
    return samp_sysfs_read(root, path, text, sizeof text) && take_number(&at, max, out) &&
           *at == '\0';
}

unsigned samp_sysfs_count_list(const char *list)
{
    uint64_t count = 0, first, last;
    for (const char *at = list; *at;) {
        if (!take_number(&at, IDS_MAX, &first)) return 0;
        last = first;
        if (*at == '-' && (at++, !take_number(&at, IDS_MAX, &last))) return 0;
        if (last < first || (*at != ',' && *at != '\0')) return 0;
        count += last - first + 1;
        if (*at == ',') at++;
    }
    return count <= IDS_MAX ? (unsigned)count : 0;
}

bool samp_sysfs_value(const char *text, const char *key, uint64_t *out)
{
    size_t n = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, key, n) != 0 || line[n] != ':') continue;
        const char *at = line + n + 1;
        at += strspn(at, " \t");
        return take_number(&at, UINT64_MAX, out);
    }
    return false;
}

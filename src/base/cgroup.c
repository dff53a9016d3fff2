/* /proc/self/cgroup has a line a hierarchy, "ID:controllers:path"; version 2 is "0::path". Limits
 * lie in files of the path's folder and of all above it, down from the hierarchy's mount. In a
 * container the path may name folders that are not visible there: they are passed over. */
#include "base/cgroup.h"

#include "base/sysfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_BYTES = 16384, PATH_BYTES = 4400 };
/* Version 1 writes "no limit" as the largest multiple of a page: anything like it is none. */
static const uint64_t memory_most = UINT64_C(1) << 60;
static const double cpus_most = 65536;

typedef struct reader {
    const char *root;
    const char *mount; /* "/sys/fs/cgroup/cpu" */
    samp_cgroup *out;
} reader;

static bool path_of(const reader *r, const char *group, const char *file, char out[PATH_BYTES])
{
    int n = snprintf(out, PATH_BYTES, "%s%s/%s", r->mount, group, file);
    return n > 0 && n < PATH_BYTES;
}

static void limit_cpus(samp_cgroup *out, double quota, double period)
{
    double cpus = quota > 0 && period > 0 ? quota / period : 0;
    if (cpus > 0 && cpus < cpus_most && (out->cpus == 0 || cpus < out->cpus)) out->cpus = cpus;
}

static void cpu_v1(const reader *r, const char *group)
{
    char path[PATH_BYTES], quota[32], period[32];
    if (!path_of(r, group, "cpu.cfs_quota_us", path) ||
        !samp_sysfs_read(r->root, path, quota, sizeof quota) ||
        !path_of(r, group, "cpu.cfs_period_us", path) ||
        !samp_sysfs_read(r->root, path, period, sizeof period))
        return;
    limit_cpus(r->out, strtod(quota, NULL), strtod(period, NULL)); /* -1: no limit */
}

static void cpu_v2(const reader *r, const char *group)
{
    char path[PATH_BYTES], text[64], *end;
    if (!path_of(r, group, "cpu.max", path) || !samp_sysfs_read(r->root, path, text, sizeof text))
        return;
    double quota = strtod(text, &end); /* "max 100000": no limit */
    if (end != text) limit_cpus(r->out, quota, strtod(end, NULL));
}

static void limit_memory(const reader *r, const char *group, const char *limit, const char *used)
{
    char path[PATH_BYTES];
    uint64_t bytes;
    if (!path_of(r, group, limit, path) || !samp_sysfs_number(r->root, path, memory_most, &bytes) ||
        bytes == 0)
        return;
    if (r->out->memory_bytes && bytes >= r->out->memory_bytes) return;
    r->out->memory_bytes = bytes;
    r->out->memory_used = 0;
    if (path_of(r, group, used, path))
        samp_sysfs_number(r->root, path, UINT64_MAX, &r->out->memory_used);
}

static void memory_v1(const reader *r, const char *group)
{
    limit_memory(r, group, "memory.limit_in_bytes", "memory.usage_in_bytes");
}

static void memory_v2(const reader *r, const char *group)
{
    limit_memory(r, group, "memory.max", "memory.current");
}

/* Reads at the group and at every ancestor, the mount itself last. */
static void walk(const reader *r, const char *group,
                 void (*read_limit)(const reader *, const char *))
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s", group);
    if (n < 0 || n >= PATH_BYTES || strstr(path, "..")) path[0] = '\0'; /* outside our namespace */
    for (;;) {
        if (strcmp(path, "/") == 0) path[0] = '\0';
        read_limit(r, path);
        char *slash = strrchr(path, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

static bool has_controller(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
    }
    return false;
}

/* A hierarchy of several controllers is mounted as "cpu,cpuacct", most often with a link "cpu". */
static void walk_v1(const char *root, const char *list, const char *name, const char *group,
                    samp_cgroup *out, void (*read_limit)(const reader *, const char *))
{
    if (!has_controller(list, name)) return;
    out->version = 1;
    const char *folders[] = {name, list};
    for (int i = 0; i < 2; i++) {
        char mount[256];
        int n = snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", folders[i]);
        if (n > 0 && (size_t)n < sizeof mount) walk(&(reader){root, mount, out}, group, read_limit);
    }
}

void samp_cgroup_read(const char *root, samp_cgroup *out)
{
    char lines[LINES_BYTES], *rest = lines;
    *out = (samp_cgroup){0};
    samp_sysfs_read(root, "/proc/self/cgroup", lines, sizeof lines);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        list++;
        if (*list) {
            walk_v1(root, list, "cpu", group, out, cpu_v1);
            walk_v1(root, list, "memory", group, out, memory_v1);
        } else {
            if (out->version == 0) out->version = 2;
            walk(&(reader){root, "/sys/fs/cgroup", out}, group, cpu_v2);
            walk(&(reader){root, "/sys/fs/cgroup", out}, group, memory_v2);
        }
    }
}

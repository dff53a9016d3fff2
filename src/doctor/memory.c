/* Memory, limits of this process and its control group, huge pages, and read bandwidth. */
#include "base/cgroup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "bench/machine.h"
#include "doctor/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { FILES_ENOUGH = 1024, READ_BYTES = 256 << 20 };
static const double least_memory = 1e9;

/* ---- limits ---- */

static void check_quota(samp_doctor *doctor, const samp_cgroup *group)
{
    double lost = group->cpus - floor(group->cpus);
    if (group->version == 0 || group->cpus == 0)
        samp__check_ok(doctor, SAMP_DOCTOR_LIMITS, "%u threads; no control group limits processors",
                       samp_threads_available());
    else if (group->cpus < 1 || lost > 0.01)
        samp__check_bad(doctor, SAMP_DOCTOR_LIMITS, SAMP_VERDICT_WARN,
                        "docker update --cpus 2 CONTAINER",
                        "control groups (v%d) grant %.2f processors; threads are whole: grant a "
                        "whole number",
                        group->version, group->cpus);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_LIMITS, "control groups (v%d) grant %.0f processors",
                       group->version, group->cpus);
}

static void check_group_memory(samp_doctor *doctor, const samp_cgroup *group)
{
    char limit[32], used[32];
    if (group->memory_bytes == 0) return;
    samp__gigabytes(limit, (double)group->memory_bytes);
    samp__gigabytes(used, (double)group->memory_used);
    if ((double)group->memory_bytes - (double)group->memory_used < least_memory)
        samp__check_bad(doctor, SAMP_DOCTOR_LIMITS, SAMP_VERDICT_WARN,
                        "docker update --memory 8g --memory-swap 8g CONTAINER",
                        "control groups (v%d) limit memory to %s, %s of it used", group->version,
                        limit, used);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_LIMITS,
                       "control groups (v%d) limit memory to %s, %s of it used", group->version,
                       limit, used);
}

static bool limited(int resource, rlim_t enough, rlim_t *out)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
    *out = limit.rlim_cur;
    return limit.rlim_cur < enough;
}

void samp__check_limits(samp_doctor *doctor, const samp_doctor_options *options)
{
    samp_cgroup group;
    samp_cgroup_read(options->root, &group);
    check_quota(doctor, &group);
    check_group_memory(doctor, &group);
    rlim_t limit;
    if (limited(RLIMIT_NOFILE, FILES_ENOUGH, &limit))
        samp__check_bad(doctor, SAMP_DOCTOR_LIMITS, SAMP_VERDICT_WARN, "ulimit -n 65536",
                        "a process may open %llu files: few for a server",
                        (unsigned long long)limit);
    if (limited(RLIMIT_AS, RLIM_INFINITY, &limit))
        samp__check_bad(doctor, SAMP_DOCTOR_LIMITS, SAMP_VERDICT_WARN, "ulimit -v unlimited",
                        "a process may map only %.2f GB of memory", (double)limit / 1e9);
}

/* ---- memory ---- */

void samp__check_memory(samp_doctor *doctor, const samp_doctor_options *options)
{
    char text[8192], total_text[32], free_text[32];
    uint64_t total = 0, available = 0, swap = 0, swap_free = 0; /* kB */
    samp_sysfs_read(options->root, "/proc/meminfo", text, sizeof text);
    if (!samp_sysfs_value(text, "MemTotal", &total) ||
        !samp_sysfs_value(text, "MemAvailable", &available) || total == 0) {
        samp__check_bad(doctor, SAMP_DOCTOR_MEMORY, SAMP_VERDICT_WARN, "mount -t proc proc /proc",
                        "memory is not known: /proc/meminfo does not tell");
        return;
    }
    samp_cgroup group;
    samp_cgroup_read(options->root, &group);
    double bytes = 1024.0 * (double)available;
    if (group.memory_bytes)
        bytes = fmin(bytes, fmax(0, (double)group.memory_bytes - (double)group.memory_used));
    doctor->memory_available = bytes;
    samp__gigabytes(total_text, 1024.0 * (double)total);
    samp__gigabytes(free_text, bytes);
    if (bytes < least_memory)
        samp__check_bad(doctor, SAMP_DOCTOR_MEMORY, SAMP_VERDICT_WARN, "ps aux --sort=-rss | head",
                        "%s, of which this process may still take only %s", total_text, free_text);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_MEMORY, "%s, of which this process may still take %s",
                       total_text, free_text);
    if (samp_sysfs_value(text, "SwapTotal", &swap) &&
        samp_sysfs_value(text, "SwapFree", &swap_free) && swap_free < swap / 2)
        samp__check_bad(doctor, SAMP_DOCTOR_MEMORY, SAMP_VERDICT_WARN,
                        "sudo swapoff -a && sudo swapon -a",
                        "%.1f of %.1f GB of swap are used: weights on disk are slow",
                        (double)(swap - swap_free) * 1024e-9, (double)swap * 1024e-9);
}

/* ---- huge pages ---- */

void samp__check_huge_pages(samp_doctor *doctor, const samp_doctor_options *options)
{
    char text[128];
    if (!samp_sysfs_read(options->root, "/sys/kernel/mm/transparent_hugepage/enabled", text,
                         sizeof text))
        samp__check_ok(doctor, SAMP_DOCTOR_HUGE_PAGES, "this kernel has no transparent huge pages");
    else if (strstr(text, "[always]") || strstr(text, "[madvise]"))
        samp__check_ok(doctor, SAMP_DOCTOR_HUGE_PAGES, "transparent huge pages: %s", text);
    else
        samp__check_bad(doctor, SAMP_DOCTOR_HUGE_PAGES, SAMP_VERDICT_WARN,
                        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
                        "transparent huge pages: %s; with them weights are read faster", text);
}

/* ---- bandwidth ---- */

static samp_status measure(unsigned n_threads, uint64_t bytes, samp_doctor_bandwidth *out,
                           samp_error *error)
{
    samp_pool *pool;
    samp_bandwidth bandwidth;
    SAMP_TRY(samp_pool_create(&pool, n_threads, error));
    samp_status status = samp_measure_bandwidth(pool, bytes, 0.2, &bandwidth, error);
    samp_pool_release(pool);
    if (status == SAMP_OK) *out = (samp_doctor_bandwidth){n_threads, bandwidth.bytes_per_second};
    return status;
}

/* One line for all thread counts: 1, 2, 4, … and all. */
static void tell(samp_doctor *doctor, uint64_t bytes)
{
    char text[400] = "";
    for (size_t i = 0; i < doctor->n_bandwidths; i++) {
        size_t at = strlen(text);
        unsigned n = doctor->bandwidths[i].n_threads;
        snprintf(text + at, sizeof text - at, "%s%u thread%s %.1f GB/s", at ? ", " : "", n,
                 n == 1 ? "" : "s", doctor->bandwidths[i].bytes_per_second / 1e9);
    }
    double first = doctor->bandwidths[0].bytes_per_second;
    double last = doctor->bandwidths[doctor->n_bandwidths - 1].bytes_per_second;
    if (last < 0.8 * first)
        samp__check_bad(doctor, SAMP_DOCTOR_BANDWIDTH, SAMP_VERDICT_WARN,
                        "samp bench --offline --threads 1 MODEL",
                        "reads of %u MiB: %s: more threads read more slowly",
                        (unsigned)(bytes >> 20), text);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_BANDWIDTH, "reads of %u MiB: %s",
                       (unsigned)(bytes >> 20), text);
}

samp_status samp__check_bandwidth(samp_doctor *doctor, const samp_doctor_options *options,
                                  samp_error *error)
{
    uint64_t bytes = READ_BYTES;
    if (doctor->memory_available > 0 && doctor->memory_available / 4 < (double)bytes)
        bytes = (uint64_t)(doctor->memory_available / 4);
    if (!options->measure || bytes < 1 << 20) {
        samp__check_ok(doctor, SAMP_DOCTOR_BANDWIDTH, "not measured");
        return SAMP_OK;
    }
    unsigned all = samp_threads_available();
    samp_cpu_ticks before = samp_read_cpu_ticks();
    for (unsigned n = 1; doctor->n_bandwidths < SAMP_DOCTOR_BANDWIDTHS_MAX;
         n = 2 * n < all ? 2 * n : all) {
        SAMP_TRY(measure(n, bytes, &doctor->bandwidths[doctor->n_bandwidths], error));
        doctor->n_bandwidths++;
        if (n == all) break;
    }
    tell(doctor, bytes);
    double stolen = samp_steal_share(before, samp_read_cpu_ticks());
    if (stolen > 0.05)
        samp__check_bad(doctor, SAMP_DOCTOR_BANDWIDTH, SAMP_VERDICT_WARN, "vmstat 1 5",
                        "the host took %.0f %% of the processors' time meanwhile", 100 * stolen);
    return SAMP_OK;
}

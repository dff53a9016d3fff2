/* Processors: how many, of what kind, and which kernels run on them. */
#include "base/cpu.h"
#include "doctor/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU "/sys/devices/system/cpu/"

typedef struct processors {
    unsigned online, present, nodes; /* 0 = not known */
    bool two_a_core, virtual;
    char governor[32], driver[32];
} processors;

static unsigned count(const char *root, const char *path)
{
    char list[512];
    return samp_sysfs_read(root, path, list, sizeof list) ? samp_sysfs_count_list(list) : 0;
}

/* A word of the first line that starts with "flags" or "Features". */
static bool has_flag(const char *cpuinfo, const char *flag)
{
    const char *line = strstr(cpuinfo, "\nflags");
    if (!line) line = strstr(cpuinfo, "\nFeatures");
    if (!line) return false;
    const char *end = strchr(line + 1, '\n');
    size_t n = strlen(flag);
    for (const char *at = line; (at = strstr(at, flag)) && (!end || at < end); at++)
        if (at[-1] == ' ' && (at[n] == ' ' || at[n] == '\n' || at[n] == '\0')) return true;
    return false;
}

static void read_processors(const char *root, processors *out)
{
    char cpuinfo[16384];
    uint64_t active = 0;
    samp_sysfs_read(root, "/proc/cpuinfo", cpuinfo, sizeof cpuinfo);
    samp_sysfs_number(root, CPU "smt/active", 1, &active);
    *out = (processors){.online = count(root, CPU "online"),
                        .present = count(root, CPU "present"),
                        .nodes = count(root, "/sys/devices/system/node/online"),
                        .two_a_core = active == 1,
                        .virtual = has_flag(cpuinfo, "hypervisor")};
    samp_sysfs_read(root, CPU "cpu0/cpufreq/scaling_governor", out->governor, sizeof out->governor);
    samp_sysfs_read(root, CPU "cpu0/cpufreq/scaling_driver", out->driver, sizeof out->driver);
}

static void check_count(samp_doctor *doctor, const processors *p)
{
    char model[96];
    samp_cpu_model(model, sizeof model);
    samp__check_ok(doctor, SAMP_DOCTOR_PROCESSOR, "%s, %u processors%s%s", model, p->online,
                   p->two_a_core ? ", two a core" : "", p->virtual ? ", a virtual machine" : "");
    if (p->online < p->present)
        samp__check_bad(doctor, SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN,
                        "echo 1 | sudo tee /sys/devices/system/cpu/cpu*/online",
                        "%u of %u processors are offline", p->present - p->online, p->present);
    if (p->nodes > 1)
        samp__check_bad(doctor, SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN,
                        "numactl --cpunodebind=0 --membind=0 samp bench --offline MODEL",
                        "%u memory nodes: a process on all of them reads weights across", p->nodes);
    /* intel_pstate's "powersave" follows the load; other drivers' is the lowest clock. */
    if (strcmp(p->governor, "powersave") == 0 && strncmp(p->driver, "intel_pstate", 12) != 0)
        samp__check_bad(doctor, SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN,
                        "sudo cpupower frequency-set -g performance",
                        "the frequency governor is powersave");
}

static void check_kernels(samp_doctor *doctor, const processors *p)
{
    static const char built[] =
#define X(id, name, text) " " name
        SAMP_CPU_LIST(X);
#undef X
    samp_cpu_level level, host = samp_cpu_host();
    samp_error error;
    if (samp_cpu_choose(&level, &error) != SAMP_OK)
        samp__check_bad(doctor, SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_BROKEN, "unset SAMP_CPU", "%s",
                        error.message);
    else if (level < host)
        samp__check_bad(doctor, SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN, "unset SAMP_CPU",
                        "kernels: %s, because SAMP_CPU says so; this processor has %s",
                        samp_cpu_name(level), samp_cpu_name(host));
    else if (host == SAMP_CPU_SCALAR && SAMP_CPU_COUNT > 1)
        samp__check_bad(doctor, SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN,
                        p->virtual ? "qemu-system-x86_64 -cpu host"
                                   : "grep -m1 -E 'flags|Features' /proc/cpuinfo",
                        "kernels: scalar only, which is slow; this build has%s", built);
    else
        samp__check_ok(doctor, SAMP_DOCTOR_PROCESSOR, "kernels: %s; this build has%s",
                       samp_cpu_name(host), built);
}

void samp__check_processor(samp_doctor *doctor, const samp_doctor_options *options)
{
    processors p;
    read_processors(options->root, &p);
    if (p.online == 0) {
        samp__check_bad(doctor, SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN,
                        "mount -t sysfs sysfs /sys", "processors cannot be counted: no %s",
                        CPU "online");
        p.present = 0;
    } else {
        check_count(doctor, &p);
    }
    check_kernels(doctor, &p);
}

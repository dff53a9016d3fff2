/* The level a process uses, and the processor's name. What the host has is asked in cpu_x86.c and
 * cpu_arm64.c. */
#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
#define X(id, name, text) name,
    SAMP_CPU_LIST(X)
#undef X
};

static const char all_names[] =
#define X(id, name, text) ", " name
    SAMP_CPU_LIST(X);
#undef X

const char *samp_cpu_name(samp_cpu_level level) { return names[level]; }
const char *samp_cpu_names(void) { return all_names + 2; }

samp_status samp_cpu_choose(samp_cpu_level *out, samp_error *error)
{
    samp_cpu_level host = samp_cpu_host();
    *out = host;
    const char *wanted = getenv("SAMP_CPU");
    if (!wanted || !*wanted) return SAMP_OK;
    for (int level = 0; level < SAMP_CPU_COUNT; level++) {
        if (strcmp(wanted, names[level]) != 0) continue;
        if ((samp_cpu_level)level > host)
            return samp_fail(error, SAMP_UNSUPPORTED, "SAMP_CPU=%s, but this processor only has %s",
                             wanted, names[host]);
        *out = (samp_cpu_level)level;
        return SAMP_OK;
    }
    return samp_fail(error, SAMP_INVALID, "SAMP_CPU=%s is not a level here; use one of: %s", wanted,
                     samp_cpu_names());
}

/* The value of a line "key : value", NULL for other lines. */
static const char *value_of(const char *line, const char *key)
{
    const char *colon = strchr(line, ':');
    return strncmp(line, key, strlen(key)) == 0 && colon && colon[1] ? colon + 2 : NULL;
}

void samp_cpu_model(char *out, size_t n)
{
    snprintf(out, n, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return;
    char line[512], implementer[32] = "";
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *model = value_of(line, "model name"), *part = value_of(line, "CPU part");
        const char *maker = value_of(line, "CPU implementer");
        if (maker) snprintf(implementer, sizeof implementer, "%s", maker);
        if (model) snprintf(out, n, "%s", model);
        if (part) snprintf(out, n, "ARM %s %s", implementer, part);
        if (model || part) break;
    }
    fclose(file);
}

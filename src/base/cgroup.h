/* What the control groups of this process grant: processors and memory (versions 1, 2 and both). */
#ifndef SAMP_BASE_CGROUP_H
#define SAMP_BASE_CGROUP_H

#include <stdint.h>

typedef struct samp_cgroup {
    int version;           /* 1 or 2; 0 = none found */
    double cpus;           /* 1.5 = one and a half processors; 0 = no limit */
    uint64_t memory_bytes; /* 0 = no limit */
    uint64_t memory_used;  /* of that limit */
} samp_cgroup;

/* root: "" for this machine, or a folder that holds proc/self/cgroup and sys/fs/cgroup. Every
 * ancestor of our group may limit it: the smallest counts. */
void samp_cgroup_read(const char *root, samp_cgroup *out);

#endif

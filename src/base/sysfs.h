/* The small text files of /proc and /sys, below a root: "" for this machine, a folder with a
 * made-up tree for tests. What they hold is not trusted: texts are cut, numbers range-checked. */
#ifndef SAMP_BASE_SYSFS_H
#define SAMP_BASE_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first n-1 bytes of root + path, NUL-terminated, the trailing newline removed; false (and an
 * empty text) when it cannot be read. */
bool samp_sysfs_read(const char *root, const char *path, char *out, size_t n);
/* A file that is one number of at most `max`. */
bool samp_sysfs_number(const char *root, const char *path, uint64_t max, uint64_t *out);
/* How many processors or nodes a list such as "0-3,8" names, 0 when it is empty or malformed (at
 * most 65,536 are counted). */
unsigned samp_sysfs_count_list(const char *list);
/* The number after "key:" in a text of such lines (/proc/meminfo: "MemTotal:  2048 kB"), without
 * its unit; false when there is none. */
bool samp_sysfs_value(const char *text, const char *key, uint64_t *out);

#endif

/* Numbers as people read them, into out (at least 32 bytes), which is returned: "1.21 GB",
 * "350 ms", "2 min 5 s", "12,345". */
#ifndef SAMP_BASE_SHOW_H
#define SAMP_BASE_SHOW_H

#include <stdint.h>

char *samp_show_bytes(char *out, double bytes);
char *samp_show_seconds(char *out, double seconds);
char *samp_show_count(char *out, uint64_t n);

#endif

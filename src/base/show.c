/* Sizes, times and counts in readable units. */
#include "base/show.h"

#include <math.h>
#include <stdio.h>

char *samp_show_bytes(char *out, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int unit = 0;
    while (fabs(bytes) >= 999.5 && unit < 5) bytes /= 1000, unit++;
    snprintf(out, 32,
             unit == 0 || bytes >= 99.95 ? "%.0f %s"
             : bytes >= 9.995            ? "%.1f %s"
                                         : "%.2f %s",
             bytes, units[unit]);
    return out;
}

char *samp_show_seconds(char *out, double seconds)
{
    if (seconds < 0) seconds = 0;
    if (seconds < 1e-3)
        snprintf(out, 32, "%.0f µs", seconds * 1e6);
    else if (seconds < 0.9995)
        snprintf(out, 32, "%.0f ms", seconds * 1e3);
    else if (seconds < 59.95)
        snprintf(out, 32, "%.1f s", seconds);
    else if (seconds < 3600)
        snprintf(out, 32, "%d min %d s", (int)(seconds / 60), (int)fmod(seconds, 60));
    else if (seconds < 8.64e6)
        snprintf(out, 32, "%d h %d min", (int)(seconds / 3600), (int)(fmod(seconds, 3600) / 60));
    else
        snprintf(out, 32, "%.0f days", seconds / 86400);
    return out;
}

char *samp_show_count(char *out, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

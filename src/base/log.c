/* One line a message, written by a single write() so that threads do not interleave. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warn", "error", "off"};

static samp_log_level threshold(void)
{
    const char *wanted = getenv("SAMP_LOG");
    for (int level = 0; wanted && level <= SAMP_LOG_OFF; level++)
        if (strcmp(wanted, names[level]) == 0) return (samp_log_level)level;
    return SAMP_LOG_WARN;
}

void samp_log(samp_log_level level, const char *format, ...)
{
    if (level < threshold()) return;
    char line[1024];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s ", now.tv_nsec / 1000000,
                          names[level]);
    va_list arguments;
    va_start(arguments, format);
    int m = vsnprintf(line + n, sizeof line - n - 1, format, arguments);
    va_end(arguments);
    if (m > 0) n += (size_t)m < sizeof line - n - 1 ? (size_t)m : sizeof line - n - 2;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) return; /* nowhere left to say so */
}

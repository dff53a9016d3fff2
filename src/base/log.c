/* One line a message, written by a single write() so that threads do not interleave, and only
 * where it need not wait: a server must not stand still because nobody reads what it says. */
#include "base/log.h"

#include "base/descriptors.h"

#include <poll.h>
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

/* A pipe that is full would block, and others may fill it between a look and a write: it is opened
 * once more, for this line. */
static void write_line(const char *line, size_t n)
{
    struct pollfd look = {.fd = STDERR_FILENO, .events = POLLOUT};
    int file = samp_descriptor_reopen_pipe(STDERR_FILENO);
    ssize_t written = -1; /* if it fails, there is nowhere left to say so */
    if (file >= 0)
        written = write(file, line, n);
    else if (poll(&look, 1, 0) == 1)
        written = write(STDERR_FILENO, line, n);
    (void)written;
    if (file >= 0) close(file);
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
    write_line(line, n);
}

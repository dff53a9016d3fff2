/* Telling the service manager: datagrams of lines NAME=VALUE to the socket NOTIFY_SOCKET names. */
#include "serve/notify.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* How long loading may be silent before the manager gives it up: one shard on a slow disk. */
enum { SILENCE_S = 120, MESSAGE_MAX = 1024 };

/* The manager's address: a path, or after @ a name that is in no file system. 0 = nobody asked. */
static socklen_t manager(struct sockaddr_un *to)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t n = name ? strlen(name) : 0;
    if (n < 2 || (*name != '/' && *name != '@') || n >= sizeof to->sun_path) return 0;
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(to->sun_path, name, n);
    if (*name == '@') to->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* Server and manager both go on without it: a failure is a line of the log. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    struct sockaddr_un to;
    socklen_t length = manager(&to);
    char message[MESSAGE_MAX];
    va_list values;
    if (!length) return;
    va_start(values, format);
    int n = vsnprintf(message, sizeof message, format, values);
    va_end(values);
    if (n < 0) return;
    size_t size = (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, message, size, MSG_NOSIGNAL, (const struct sockaddr *)&to, length) < 0)
        samp_log(SAMP_LOG_WARN, "the service manager could not be told \"%.60s\": %s", message,
                 strerror(errno));
    if (fd >= 0) close(fd);
}

void samp_notify_loading(double *last, const char *what, uint64_t done, uint64_t total)
{
    double now = samp_clock();
    if (*last > 0 && now - *last < 1) return;
    *last = now;
    tell("EXTEND_TIMEOUT_USEC=%d000000\nSTATUS=%s %.0f %%", SILENCE_S, what,
         total ? 100.0 * (double)done / (double)total : 0.0);
}

void samp_notify_ready(const char *about) { tell("READY=1\nSTATUS=ready: %s", about); }

void samp_notify_stopping(const char *why) { tell("STOPPING=1\nSTATUS=%s", why); }

/* Sockets that listen: "127.0.0.1:8000", "[::1]:8000", "*:8000", "name:8000", "unix:/path"; and
 * accepting from them, under the limits. */
#include "http/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, ACCEPTS_A_TURN = 64, ADDRESS_BYTES = 256 };

/* ---- accepting ---- */

/* A word to the client, if it can be said without waiting. */
static void refuse_socket(samp_http_server *server, int fd)
{
    SAMP__COUNT(server, connections_refused, 1);
    if (!server->options.tls_certificate &&
        send(fd, samp__http_busy, strlen(samp__http_busy), MSG_NOSIGNAL) > 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

static void take_socket(const samp__http_listener *listener, int fd,
                        const struct sockaddr_storage *address)
{
    samp_http_server *server = listener->server;
    const samp_http_options *options = &server->options;
    uint64_t open = atomic_load(&server->counters[SAMP__COUNT_connections_open]);
    SAMP__COUNT(server, connections_accepted, 1);
    if (open >= options->connections_max ||
        (options->connections_per_address_max &&
         samp__http_connections_from(server, address) >= options->connections_per_address_max))
        refuse_socket(server, fd);
    else
        samp__http_connection_open(listener, fd, address);
}

/* No descriptor is left. Without this the same connection would wake the loop for ever: the spare
 * one is given up, the connection taken with it and refused. */
static void refuse_without_descriptors(samp_http_server *server, int listening)
{
    if (server->spare_fd >= 0) close(server->spare_fd);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) refuse_socket(server, fd);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_connection(evutil_socket_t listening, short events, void *context)
{
    samp__http_listener *listener = context;
    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int fd =
            accept4(listening, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_socket(listener, fd, &address);
        } else if (errno == EMFILE || errno == ENFILE) {
            refuse_without_descriptors(listener->server, listening);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno != EAGAIN) samp_log(SAMP_LOG_WARN, "http: accept: %s", strerror(errno));
            return;
        }
    }
}

/* ---- listening ---- */

static samp_status watch(samp_http_server *server, samp__http_listener *listener,
                         const char *address, samp_error *error)
{
    if (listen(listener->fd, BACKLOG) != 0)
        return samp_fail_errno(error, "listening on %s failed", address);
    listener->event =
        event_new(server->base, listener->fd, EV_READ | EV_PERSIST, on_connection, listener);
    if (!listener->event || event_add(listener->event, NULL) != 0)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the listener on %s", address);
    return SAMP_OK;
}

/* A socket file whose server is dead is in the way of the new one. */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    if (fd >= 0) close(fd);
    return refused;
}

static samp_status listen_unix(samp_http_server *server, samp__http_listener *listener,
                               const char *address, samp_error *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = address + strlen("unix:");
    if (!*path || strlen(path) >= sizeof name.sun_path)
        return samp_fail(error, SAMP_INVALID,
                         "the path of a Unix socket has 1 to %zu bytes, not %zu",
                         sizeof name.sun_path - 1, strlen(path));
    memcpy(name.sun_path, path, strlen(path));
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) return samp_fail_errno(error, "making a Unix socket failed");
    int failed = bind(listener->fd, (struct sockaddr *)&name, sizeof name);
    if (failed && errno == EADDRINUSE && is_stale(&name) && unlink(path) == 0)
        failed = bind(listener->fd, (struct sockaddr *)&name, sizeof name);
    if (failed) return samp_fail_errno(error, "binding to %s failed", address);
    listener->address = samp_strdup(address);
    if (!listener->address) return samp_fail(error, SAMP_NOMEM, "out of memory for a listener");
    return watch(server, listener, address, error);
}

/* Splits "host:port" at the last colon; a host in brackets loses them; "*" becomes "". */
static samp_status split_address(const char *address, char host[ADDRESS_BYTES], const char **port,
                                 samp_error *error)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    bool bracketed = n > 2 && address[0] == '[' && address[n - 1] == ']';
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (n == 0 || n >= ADDRESS_BYTES || digits == 0 || digits > 5 || colon[1 + digits] ||
        (memchr(address, ':', n) && !bracketed))
        return samp_fail(error, SAMP_INVALID,
                         "%s is no address to listen on: give HOST:PORT, [IPV6]:PORT, *:PORT or "
                         "unix:PATH",
                         address);
    if (bracketed) address++, n -= 2;
    memcpy(host, address, n);
    host[n == 1 && *address == '*' ? 0 : n] = '\0';
    *port = colon + 1;
    return SAMP_OK;
}

static int bind_tcp(const struct addrinfo *info)
{
    int yes = 1, no = 0;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no); /* "*": IPv4 too */
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int bind_first(const struct addrinfo *found, int family)
{
    for (; found; found = found->ai_next) {
        int fd = found->ai_family == family ? bind_tcp(found) : -1;
        if (fd >= 0) return fd;
    }
    return -1;
}

static samp_status listen_tcp(samp_http_server *server, samp__http_listener *listener,
                              const char *address, samp_error *error)
{
    char host[ADDRESS_BYTES], name[SAMP__HTTP_PEER_BYTES];
    const char *port = NULL;
    SAMP_TRY(split_address(address, host, &port, error));
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int failed = getaddrinfo(*host ? host : NULL, port, &wanted, &found);
    if (failed)
        return samp_fail(error, SAMP_NOT_FOUND, "the address %s was not found: %s", address,
                         gai_strerror(failed));
    /* "*" is IPv6 with IPv4 in it, where there is IPv6; a name's IPv4 is what clients try. */
    listener->fd = bind_first(found, *host ? AF_INET : AF_INET6);
    if (listener->fd < 0) listener->fd = bind_first(found, *host ? AF_INET6 : AF_INET);
    int saved = errno;
    freeaddrinfo(found);
    errno = saved;
    if (listener->fd < 0) return samp_fail_errno(error, "binding to %s failed", address);
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    if (getsockname(listener->fd, (struct sockaddr *)&bound, &size) != 0)
        return samp_fail_errno(error, "the address of %s is not known", address);
    samp__http_address_name(&bound, name, sizeof name);
    listener->address = samp_strdup(name);
    if (!listener->address) return samp_fail(error, SAMP_NOMEM, "out of memory for a listener");
    return watch(server, listener, address, error);
}

samp_status samp__http_listen(samp_http_server *server, samp__http_listener *listener,
                              const char *address, samp_error *error)
{
    listener->server = server;
    listener->fd = -1;
    listener->is_unix = strncmp(address, "unix:", 5) == 0;
    return listener->is_unix ? listen_unix(server, listener, address, error)
                             : listen_tcp(server, listener, address, error);
}

void samp__http_listener_close(samp__http_listener *listener)
{
    if (listener->event) event_free(listener->event);
    if (listener->fd >= 0) close(listener->fd);
    if (listener->fd >= 0 && listener->is_unix && listener->address)
        unlink(listener->address + strlen("unix:"));
    listener->event = NULL;
    listener->fd = -1;
}

/* A server on localhost in a thread of its own, and a plain client: blocking sockets, twenty
 * seconds of patience (the machine may be busy). What the client reads is kept whole, so that tests
 * look at bytes. */
#ifndef SAMP_TESTS_HTTP_SUPPORT_H
#define SAMP_TESTS_HTTP_SUPPORT_H

#include "base/clock.h"
#include "http/server.h"
#include "support/cmocka_all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HOST      "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

/* ---- the server ---- */

typedef struct host {
    samp_http_server *server;
    pthread_t thread;
} host;

static inline void *host_main(void *server)
{
    samp_http_server_run(server);
    return NULL;
}

static inline samp_http_options host_options(void)
{
    static const char *const addresses[] = {"127.0.0.1:0"};
    samp_http_options options = samp_http_options_default();
    options.addresses = addresses;
    options.n_addresses = 1;
    return options;
}

static inline host host_start(const samp_http_options *options, samp_http_handler *handler,
                              void *context)
{
    host h = {0};
    samp_error error = {0};
    if (samp_http_server_open(&h.server, options, handler, context, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    assert_int_equal(pthread_create(&h.thread, NULL, host_main, h.server), 0);
    return h;
}

/* A handler: what it does depends on the path. */
static inline void serve_paths(void *context, samp_http_exchange *exchange,
                               const samp_http_request *request)
{
    (void)context;
    if (strcmp(request->path, "/echo") == 0)
        samp_http_respond(exchange, 200, "text/plain", request->body, request->body_length);
    else if (strcmp(request->path, "/silent") == 0)
        return; /* nobody will ever answer */
    else if (strcmp(request->path, "/empty") == 0)
        samp_http_respond(exchange, 204, NULL, "", 0);
    else if (strcmp(request->path, "/health") == 0)
        samp_http_respond(exchange, 200, "text/plain", "ok\n", 3);
    else
        samp_http_respond(exchange, 404, "text/plain", "no\n", 3);
}

/* One with that handler and the default options. */
static inline host host_start_simple(void)
{
    samp_http_options options = host_options();
    return host_start(&options, serve_paths, NULL);
}

static inline void host_stop(host *h)
{
    samp_http_server_drain(h->server, 0);
    pthread_join(h->thread, NULL);
    samp_http_server_close(h->server);
}

static inline samp_http_counters host_counters(const host *h)
{
    samp_http_counters counters;
    samp_http_server_counters(h->server, &counters);
    return counters;
}

/* Waits until `condition` holds; the test fails after twenty seconds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        double until_ = samp_clock() + 20;                                                         \
        while (!(condition) && samp_clock() < until_) usleep(2000);                                \
        assert_true(condition);                                                                    \
    } while (0)

/* ---- the client ---- */

static inline int set_patience(int fd)
{
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

/* receive_bytes: of the socket's buffer; 0: the system's choice */
static inline int client_open_with(const host *h, int receive_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *name = samp_http_server_address(h->server, 0);
    address.sin_port = htons((uint16_t)atoi(strrchr(name, ':') + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return set_patience(fd);
}

static inline int client_open(const host *h) { return client_open_with(h, 0); }

static inline void client_send(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) fail_msg("send: %s", strerror(errno));
        bytes += sent;
        n -= (size_t)sent;
    }
}

static inline void client_text(int fd, const char *text) { client_send(fd, text, strlen(text)); }

/* Reads more into text; false at the end of the stream (or when it was reset). */
static inline bool client_more(int fd, samp_buffer *text)
{
    char bytes[16384];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("nothing came for twenty seconds after: %s", text->data ? text->data : "");
    if (n <= 0) return false;
    samp_buffer_append(text, bytes, (size_t)n);
    return true;
}

/* Reads until `mark` was seen `times` times. */
static inline void client_until(int fd, samp_buffer *text, const char *mark, size_t times)
{
    for (;;) {
        size_t seen = 0;
        for (const char *p = text->data; p && (p = strstr(p, mark)); p += strlen(mark)) seen++;
        if (seen >= times) return;
        if (!client_more(fd, text)) fail_msg("the end before \"%s\": %s", mark, text->data);
    }
}

static inline void client_to_end(int fd, samp_buffer *text)
{
    while (client_more(fd, text)) {}
}

/* One answer of known length, left in text; returns its status. */
static inline int client_answer(int fd, samp_buffer *text)
{
    samp_buffer_clear(text);
    client_until(fd, text, "\r\n\r\n", 1);
    const char *body = strstr(text->data, "\r\n\r\n") + 4;
    const char *length = strstr(text->data, "Content-Length: ");
    size_t head = (size_t)(body - text->data);
    size_t n = length && length < body ? strtoul(length + 16, NULL, 10) : 0;
    while (text->length < head + n) assert_true(client_more(fd, text));
    assert_int_equal(text->length, head + n);
    return atoi(text->data + strlen("HTTP/1.1 "));
}

/* Sends and reads one answer on a new connection; returns its status. */
static inline int exchange_once(const host *h, const char *request, samp_buffer *text)
{
    int fd = client_open(h);
    client_text(fd, request);
    int status = client_answer(fd, text);
    close(fd);
    return status;
}

#endif

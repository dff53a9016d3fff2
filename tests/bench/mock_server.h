/* A server whose every delay is known, of as many streams as ask: the first token of an answer
 * TTFT_MS after its request was read, then one every TOKEN_MS. One thread; it notes how late each
 * token left, so that what is its own fault can be told from the client's. What else it does wrong
 * is named by the model asked for. */
#ifndef SAMP_TESTS_BENCH_MOCK_SERVER_H
#define SAMP_TESTS_BENCH_MOCK_SERVER_H

#include "base/buffer.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOCK_LATES_MAX = 4 << 20 };

typedef struct mock_server {
    int ttft_ms, token_ms; /* may be changed between runs */
    int fd, port;
    struct event_base *base;
    _Atomic double stall_until; /* model "stall": no token before */
    _Atomic int n_requests;     /* since it was set to 0 */
    int n_streams;              /* now; the loop's */
    _Atomic int most_streams;   /* at any moment */
    _Atomic size_t n_lates;     /* tokens, since it was set to 0 */
    float *lates;               /* [MOCK_LATES_MAX] seconds a token left after its time */
} mock_server;

typedef struct mock_connection {
    mock_server *server;
    int fd;
    struct event *readable, *timer;
    samp_buffer in;
    char model[64];
    int tokens, i; /* of the answer under way; the next one */
    int number;    /* of the request */
    double start;
} mock_connection;

/* ---- bytes ---- */

static inline void mock_put(const mock_connection *c, const samp_buffer *text)
{
    for (size_t at = 0; at < text->length;) {
        ssize_t n = send(c->fd, text->data + at, text->length - at, MSG_NOSIGNAL);
        if (n <= 0) return;
        at += (size_t)n;
    }
}

static inline bool mock_is(const mock_connection *c, const char *model)
{
    return strcmp(c->model, model) == 0;
}

/* An event as a chunk of the transfer coding; cut in two where the model says so. */
static inline void mock_event(const mock_connection *c, samp_buffer *out, const char *data)
{
    char text[700];
    const char *end = mock_is(c, "crlf") ? "\r\n" : "\n";
    int n = snprintf(text, sizeof text, "%sdata: %.500s%s%s",
                     mock_is(c, "crlf") ? ": ping\r\n" : "", data, end, end);
    int first = mock_is(c, "split") ? n / 2 : n;
    samp_buffer_printf(out, "%x\r\n%.*s\r\n", (unsigned)first, first, text);
    if (first < n) {
        mock_put(c, out);
        samp_buffer_clear(out);
        samp_buffer_printf(out, "%x\r\n%s\r\n", (unsigned)(n - first), text + first);
    }
}

static inline void mock_text(const mock_connection *c, const char *text)
{
    samp_buffer out = {0};
    samp_buffer_text(&out, text);
    mock_put(c, &out);
    samp_buffer_release(&out);
}

/* ---- answers ---- */

static inline void mock_close(mock_connection *c)
{
    c->server->n_streams -= c->tokens > 0;
    event_free(c->readable);
    event_free(c->timer);
    samp_buffer_release(&c->in);
    close(c->fd);
    free(c);
}

static inline void mock_end(mock_connection *c, samp_buffer *out)
{
    char data[200];
    if (!mock_is(c, "nofinish"))
        mock_event(c, out, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}");
    snprintf(data, sizeof data,
             "{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":%d}}",
             c->tokens);
    mock_event(c, out, data);
    if (!mock_is(c, "nodone")) mock_event(c, out, "[DONE]");
    samp_buffer_text(out, "0\r\n\r\n");
    c->tokens = 0;
    c->server->n_streams--;
}

/* When the next token has to leave. */
static inline double mock_due(const mock_connection *c)
{
    const mock_server *s = c->server;
    int i = c->i + mock_is(c, "coalesced");
    double due = c->start + 1e-3 * (s->ttft_ms + s->token_ms * i);
    return mock_is(c, "stall") ? fmax(due, atomic_load(&s->stall_until)) : due;
}

static inline void mock_wait(mock_connection *c)
{
    double left = fmax(mock_due(c) - samp_clock(), 0);
    struct timeval wait = {.tv_sec = (time_t)left,
                           .tv_usec = (suseconds_t)(1e6 * (left - floor(left)))};
    event_add(c->timer, &wait);
}

/* Sends a token, or two; false: the connection ends. */
static inline bool mock_token(mock_connection *c, samp_buffer *out)
{
    mock_server *s = c->server;
    bool coalesced = mock_is(c, "coalesced");
    char data[100];
    if (mock_is(c, "faulty") && c->number % 10 == 3 && c->i == 2) {
        mock_event(c, out, "{\"error\":{\"message\":\"broken\"}}");
        mock_end(c, out);
        return true;
    }
    size_t k = atomic_fetch_add(&s->n_lates, 1);
    if (k < MOCK_LATES_MAX) s->lates[k] = (float)(samp_clock() - mock_due(c));
    snprintf(data, sizeof data, "{\"choices\":[{\"delta\":{\"content\":\"\xc3\xa9%s\"}}]}",
             coalesced ? "\xc3\xa9" : "");
    mock_event(c, out, data);
    if (mock_is(c, "cut") && c->i == 1) return false;
    c->i += 1 + coalesced;
    if (c->i >= c->tokens) mock_end(c, out);
    return true;
}

static inline void mock_on_timer(evutil_socket_t fd, short what, void *context)
{
    mock_connection *c = context;
    samp_buffer out = {0};
    (void)fd, (void)what;
    bool good = c->tokens == 0 || mock_token(c, &out);
    mock_put(c, &out);
    samp_buffer_release(&out);
    if (!good)
        mock_close(c);
    else if (c->tokens)
        mock_wait(c);
}

static inline void mock_answer(mock_connection *c, int tokens)
{
    static const char no[] = "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno";
    static const char page[] = /* of a proxy, say: 200, and no stream */
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";
    c->start = samp_clock();
    c->number = atomic_fetch_add(&c->server->n_requests, 1);
    if (mock_is(c, "refuse") || mock_is(c, "page")) {
        mock_text(c, mock_is(c, "page") ? page : no);
        return;
    }
    samp_buffer out = {0};
    samp_buffer_text(&out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n");
    mock_event(c, &out, "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}");
    mock_put(c, &out);
    samp_buffer_release(&out);
    c->tokens = tokens;
    c->i = 0;
    if (++c->server->n_streams > atomic_load(&c->server->most_streams))
        atomic_store(&c->server->most_streams, c->server->n_streams);
    mock_wait(c);
}

/* ---- requests ---- */

/* The number or word behind "key": in a body. */
static inline void mock_find(const char *body, const char *key, char *out, size_t n)
{
    const char *at = strstr(body, key);
    out[0] = '\0';
    if (!at) return;
    at += strlen(key) + 1;
    if (*at == '"') at++;
    snprintf(out, n, "%.*s", (int)strcspn(at, "\",}"), at);
}

static inline void mock_on_readable(evutil_socket_t fd, short what, void *context)
{
    mock_connection *c = context;
    char piece[16384], tokens[16];
    (void)what;
    ssize_t got = recv(fd, piece, sizeof piece, 0);
    if (got <= 0) {
        mock_close(c);
        return;
    }
    samp_buffer_append(&c->in, piece, (size_t)got);
    const char *text = c->in.data;
    const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
    size_t wanted = length ? strtoul(length + 16, NULL, 10) : 0;
    if (!body || c->in.length < (size_t)(body + 4 - text) + wanted) return;
    mock_find(body, "\"model\"", c->model, sizeof c->model);
    mock_find(body, "\"max_tokens\"", tokens, sizeof tokens);
    bool get = strncmp(text, "GET", 3) == 0;
    samp_buffer_clear(&c->in);
    if (get)
        mock_text(c, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    else
        mock_answer(c, atoi(tokens));
}

static inline void mock_on_connection(evutil_socket_t listener, short what, void *context)
{
    mock_server *server = context;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    mock_connection *c = fd >= 0 ? calloc(1, sizeof *c) : NULL;
    (void)what;
    if (!c) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->server = server;
    c->fd = fd;
    c->readable = event_new(server->base, fd, EV_READ | EV_PERSIST, mock_on_readable, c);
    c->timer = event_new(server->base, -1, 0, mock_on_timer, c);
    event_add(c->readable, NULL);
}

static inline void *mock_run(void *context)
{
    mock_server *server = context;
    event_base_dispatch(server->base);
    return NULL;
}

/* Runs until the process ends. False: it cannot. */
static inline bool mock_start(mock_server *server, int ttft_ms, int token_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    pthread_t thread;
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    *server = (mock_server){.ttft_ms = ttft_ms, .token_ms = token_ms};
    server->lates = calloc(MOCK_LATES_MAX, sizeof *server->lates);
    server->base = event_base_new_with_config(config);
    event_config_free(config);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server->fd, 4096) != 0 ||
        getsockname(server->fd, (struct sockaddr *)&address, &n) != 0)
        return false;
    server->port = ntohs(address.sin_port);
    struct event *incoming =
        event_new(server->base, server->fd, EV_READ | EV_PERSIST, mock_on_connection, server);
    return event_add(incoming, NULL) == 0 && pthread_create(&thread, NULL, mock_run, server) == 0 &&
           pthread_detach(thread) == 0;
}

static inline int mock_compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* A quantile of how late tokens left, seconds. */
static inline double mock_late(mock_server *server, double q)
{
    size_t n = atomic_load(&server->n_lates);
    if (n > MOCK_LATES_MAX) n = MOCK_LATES_MAX;
    if (n == 0) return 0;
    qsort(server->lates, n, sizeof *server->lates, mock_compare);
    return server->lates[(size_t)(q * (double)(n - 1))];
}

#endif

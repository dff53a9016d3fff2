/* One connection: bytes in, requests to the handler, answers out.
 *
 * Requests of a connection are answered in order: the next one is looked at when the system has
 * taken the last byte of the answer before it. What a client sends ahead waits in the input, which
 * is bounded; the kernel then holds the rest back. */
#include "http/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <event2/buffer.h>
#include <math.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_BYTES_MAX = 1 << 20 };

/* ---- the server's lists ---- */

static void link_connection(samp_http_connection *connection,
                            const struct sockaddr_storage *address)
{
    samp_http_server *server = connection->server;
    connection->next = server->connections;
    if (connection->next) connection->next->previous = connection;
    server->connections = connection;
    connection->counted = samp__http_peer_key(address, &connection->key);
    if (!connection->counted) return;
    samp_http_connection **bucket = &server->buckets[samp__http_peer_bucket(&connection->key)];
    connection->next_in_bucket = *bucket;
    *bucket = connection;
}

static void unlink_connection(samp_http_connection *connection)
{
    samp_http_server *server = connection->server;
    if (connection->next) connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (!connection->counted) return;
    samp_http_connection **at = &server->buckets[samp__http_peer_bucket(&connection->key)];
    while (*at != connection) at = &(*at)->next_in_bucket;
    *at = connection->next_in_bucket;
}

samp_http_connection *samp__http_connection_next(samp_http_connection *connection)
{
    return connection->next;
}

unsigned samp__http_connections_from(const samp_http_server *server,
                                     const struct sockaddr_storage *address)
{
    samp__http_peer key;
    unsigned n = 0;
    if (!samp__http_peer_key(address, &key)) return 0;
    const samp_http_connection *c = server->buckets[samp__http_peer_bucket(&key)];
    for (; c; c = c->next_in_bucket) n += memcmp(&c->key, &key, sizeof key) == 0;
    return n;
}

/* ---- counting bytes ---- */

static void count_sent(samp_http_connection *connection, size_t n)
{
    SAMP__COUNT(connection->server, bytes_sent, n);
    if (!connection->exchange) return;
    connection->exchange->bytes_out += n;
    atomic_fetch_sub(&connection->exchange->waiting, n);
}

static void output_changed(struct evbuffer *buffer, const struct evbuffer_cb_info *info,
                           void *context)
{
    samp_http_connection *connection = context;
    (void)buffer;
    if (!info->n_deleted) return;
    count_sent(connection, info->n_deleted);
    samp__http_output_taken(connection, info->n_deleted,
                            info->orig_size + info->n_added - info->n_deleted);
}

static void input_changed(struct evbuffer *buffer, const struct evbuffer_cb_info *info,
                          void *context)
{
    samp_http_connection *connection = context;
    (void)buffer;
    SAMP__COUNT(connection->server, bytes_received, info->n_added);
}

/* ---- closing ---- */

/* The loop no longer needs the exchange for itself. */
static void let_go(samp_http_connection *connection, samp_http_exchange *exchange)
{
    if (connection->holding) samp_http_exchange_release(exchange);
    connection->holding = false;
}

/* An answer that was cut ends in a reset: the client must not take it for whole, and the system
 * need not keep what it would not read. */
static void reset_on_close(const samp_http_connection *connection)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(bufferevent_getfd(connection->stream), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void samp__http_connection_close(samp_http_connection *connection, const char *reason)
{
    samp_http_server *server = connection->server;
    samp_http_exchange *exchange = connection->exchange;
    unlink_connection(connection);
    if (exchange && samp__http_exchange_answer(exchange) != SAMP__ANSWER_NONE)
        reset_on_close(connection);
    bufferevent_setcb(connection->stream, NULL, NULL, NULL, NULL);
    evbuffer_remove_cb(bufferevent_get_output(connection->stream), output_changed, connection);
    evbuffer_remove_cb(bufferevent_get_input(connection->stream), input_changed, connection);
    bufferevent_free(connection->stream);
    event_free(connection->timer);
    if (exchange) {
        bool begun = samp_http_parser_started(&connection->parser);
        samp__http_exchange_end(exchange, false, begun ? reason : NULL);
        let_go(connection, exchange);
    }
    samp_free(connection);
    SAMP__UNCOUNT(server, connections_open, 1);
    samp__http_connection_closed(server);
}

/* After an answer that is the connection's last: half a close, then time for the client to read. */
static void linger(samp_http_connection *connection)
{
    if (connection->half_open) {
        samp__http_connection_close(connection, "");
        return;
    }
    struct evbuffer *input = bufferevent_get_input(connection->stream);
    evbuffer_drain(input, evbuffer_get_length(input));
    if (connection->tls) samp__http_tls_shutdown(connection->stream);
    shutdown(bufferevent_getfd(connection->stream), SHUT_WR);
    connection->linger_left = LINGER_BYTES_MAX;
    samp__http_enter(connection, SAMP__PHASE_LINGER);
}

void samp__http_connection_drain(samp_http_connection *connection, bool now)
{
    bool idle = !connection->exchange || !samp_http_parser_started(&connection->parser);
    if (now || (idle && connection->phase != SAMP__PHASE_LINGER))
        samp__http_connection_close(connection, "the server was stopped");
}

/* ---- requests ---- */

void samp__http_connection_refuse(samp_http_connection *connection, int status, const char *reason)
{
    SAMP__COUNT(connection->server, requests_refused, 1);
    samp__http_enter(connection, SAMP__PHASE_ANSWER);
    samp__http_exchange_refuse(connection->exchange, status, reason);
    let_go(connection, connection->exchange);
}

static bool begin_exchange(samp_http_connection *connection)
{
    samp_http_server *server = connection->server;
    connection->exchange =
        samp__http_exchange_create(connection, connection->listener, connection->peer);
    if (!connection->exchange) return false;
    connection->holding = true;
    connection->ended = false;
    samp_http_parser_init(&connection->parser, &server->limits, &connection->exchange->request);
    return true;
}

/* Bodies in memory are counted as they come; false when there are too many bytes of them. */
static bool count_body(samp_http_connection *connection)
{
    samp_http_server *server = connection->server;
    samp_http_exchange *exchange = connection->exchange;
    size_t more = exchange->request.body_bytes.length - exchange->bytes_counted;
    exchange->bytes_counted += more;
    SAMP__COUNT(server, bodies_bytes, more);
    return atomic_load(&server->counters[SAMP__COUNT_bodies_bytes]) <=
           server->options.bodies_bytes_max;
}

/* The head is there. The early handler may answer, which spares reading the body. */
static void take_head(samp_http_connection *connection)
{
    samp_http_server *server = connection->server;
    samp_http_exchange *exchange = connection->exchange;
    SAMP__COUNT(server, requests, 1);
    samp__http_enter(connection, SAMP__PHASE_BODY);
    if (!connection->parser.chunked && connection->parser.content_length == 0)
        samp__http_exchange_body_read(exchange);
    if (server->options.early) {
        server->options.early(server->context, exchange, &exchange->request);
        if (samp__http_exchange_answer(exchange) != SAMP__ANSWER_NONE) {
            samp__http_enter(connection, SAMP__PHASE_ANSWER);
            let_go(connection, exchange);
            return;
        }
    }
    struct evbuffer *input = bufferevent_get_input(connection->stream);
    if (!connection->parser.expects_continue || evbuffer_get_length(input)) return;
    samp__http_connection_write(connection, samp__http_continue, strlen(samp__http_continue));
    SAMP__COUNT(server, answers_1xx, 1);
}

static void take_request(samp_http_connection *connection)
{
    samp_http_server *server = connection->server;
    samp_http_exchange *exchange = connection->exchange;
    samp__http_exchange_body_read(exchange);
    samp__http_enter(connection, SAMP__PHASE_ANSWER);
    server->handler(server->context, exchange, &exchange->request);
    let_go(connection, exchange);
}

/* Gives the parser what has come until the connection waits for bytes or for an answer. */
static void pump(samp_http_connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->stream);
    bool again = false; /* after the head the parser has more to say, even without more bytes */
    while (connection->phase < SAMP__PHASE_ANSWER) {
        size_t n = evbuffer_get_contiguous_space(input), used;
        if (n == 0 && !again) break;
        if (!connection->exchange && !begin_exchange(connection)) {
            samp__http_connection_close(connection, "out of memory");
            return;
        }
        const char *bytes = n ? (const char *)evbuffer_pullup(input, (ev_ssize_t)n) : "";
        samp_http_event event = samp_http_parser_feed(&connection->parser, bytes, n, &used);
        evbuffer_drain(input, used);
        again = event == SAMP_HTTP_HAVE_HEAD;
        if (event == SAMP_HTTP_REFUSED)
            samp__http_connection_refuse(connection, connection->parser.status,
                                         connection->parser.reason);
        else if (!count_body(connection))
            samp__http_connection_refuse(connection, 503, "the server holds too many bodies");
        else if (event == SAMP_HTTP_HAVE_HEAD)
            take_head(connection);
        else if (event == SAMP_HTTP_HAVE_ALL)
            take_request(connection);
        else if (connection->phase == SAMP__PHASE_IDLE &&
                 samp_http_parser_started(&connection->parser))
            samp__http_enter(connection, SAMP__PHASE_HEAD);
    }
    samp__http_arm(connection); /* reading may be suspended now */
}

/* The system has taken the last byte of the answer. */
static void finish(samp_http_connection *connection)
{
    samp_http_exchange *exchange = connection->exchange;
    bool last = exchange->close_after || connection->half_open ||
                atomic_load(&connection->server->draining);
    connection->exchange = NULL;
    connection->ended = false;
    samp__http_exchange_end(exchange, true, "");
    if (last) {
        linger(connection);
    } else {
        samp__http_enter(connection, SAMP__PHASE_IDLE);
        pump(connection);
    }
}

/* ---- answers ---- */

void samp__http_connection_write(samp_http_connection *connection, const char *bytes, size_t n)
{
    atomic_fetch_add(&connection->exchange->waiting, n);
    evbuffer_add(bufferevent_get_output(connection->stream), bytes, n);
    samp__http_arm(connection);
}

/* Most bytes fit the socket's buffer at once; then the loop need not watch the socket, which would
 * be three more system calls a token. What does not fit, and every error, is left to the
 * bufferevent. Returns how many bytes went. */
static size_t write_now(samp_http_connection *connection, const samp_buffer *bytes)
{
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    if (connection->tls || evbuffer_get_length(output)) return 0;
    ssize_t n = send(bufferevent_getfd(connection->stream), bytes->data, bytes->length,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) return 0;
    count_sent(connection, (size_t)n);
    return (size_t)n;
}

void samp__http_connection_news(samp_http_connection *connection, const samp_buffer *bytes,
                                samp__http_answer answer)
{
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    double heartbeat = connection->server->options.heartbeat_seconds;
    size_t gone = bytes->length ? write_now(connection, bytes) : 0;
    if (gone < bytes->length &&
        evbuffer_add(output, bytes->data + gone, bytes->length - gone) != 0) {
        samp__http_connection_close(connection, "out of memory");
        return;
    }
    connection->ended = answer == SAMP__ANSWER_ENDED;
    bool stream = answer == SAMP__ANSWER_STREAM && heartbeat > 0;
    connection->beat_due = stream ? samp_clock() + heartbeat : INFINITY;
    if (connection->ended && evbuffer_get_length(output) == 0)
        finish(connection);
    else
        samp__http_arm(connection);
}

/* ---- events ---- */

static void on_readable(struct bufferevent *stream, void *context)
{
    samp_http_connection *connection = context;
    struct evbuffer *input = bufferevent_get_input(stream);
    if (connection->phase == SAMP__PHASE_LINGER) {
        size_t n = evbuffer_get_length(input);
        evbuffer_drain(input, n);
        if (n > connection->linger_left)
            samp__http_connection_close(connection, "");
        else
            connection->linger_left -= n;
    } else {
        pump(connection);
    }
}

/* The output is empty. */
static void on_written(struct bufferevent *stream, void *context)
{
    samp_http_connection *connection = context;
    (void)stream;
    if (connection->ended) finish(connection);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
    samp_http_connection *connection = context;
    (void)stream;
    if (what & BEV_EVENT_CONNECTED) {
        samp__http_enter(connection, SAMP__PHASE_IDLE);
    } else if ((what & BEV_EVENT_EOF) && connection->phase == SAMP__PHASE_ANSWER &&
               samp__http_exchange_answer(connection->exchange) == SAMP__ANSWER_ENDED) {
        connection->half_open = true; /* it may still read what was said before it left */
    } else if (what & BEV_EVENT_EOF) {
        samp__http_connection_close(connection, "the client closed the connection");
    } else if (what & BEV_EVENT_ERROR) {
        samp__http_connection_close(connection, "the connection was lost");
    }
}

/* ---- opening ---- */

/* Small writes go at once; bytes that nobody acknowledges end the connection. */
static void tune_socket(const samp_http_server *server, int fd)
{
    int yes = 1;
    unsigned patience_ms = samp__http_patience_ms(server);
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) return; /* not TCP */
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
}

static struct bufferevent *open_stream(samp_http_server *server, int fd, bool *tls)
{
    pthread_mutex_lock(&server->lock); /* another thread may put a new certificate there */
    struct bufferevent *stream = NULL;
    *tls = server->tls != NULL;
    if (*tls) stream = samp__http_tls_accept(server->base, server->tls, fd);
    pthread_mutex_unlock(&server->lock);
    if (!*tls) stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!stream) close(fd);
    return stream;
}

void samp__http_connection_open(const samp__http_listener *listener, int fd,
                                const struct sockaddr_storage *address)
{
    samp_http_server *server = listener->server;
    bool tls;
    tune_socket(server, fd);
    struct bufferevent *stream = open_stream(server, fd, &tls);
    if (!stream) return;
    samp_http_connection *connection = samp_alloc(1, sizeof *connection);
    struct event *timer =
        connection ? evtimer_new(server->base, samp__http_timer, connection) : NULL;
    if (!timer) {
        samp_log(SAMP_LOG_WARN, "http: out of memory for a connection");
        bufferevent_free(stream);
        samp_free(connection);
        return;
    }
    *connection = (samp_http_connection){.server = server,
                                         .listener = listener,
                                         .stream = stream,
                                         .timer = timer,
                                         .timer_due = INFINITY,
                                         .write_due = INFINITY,
                                         .beat_due = INFINITY,
                                         .poll_due = INFINITY,
                                         .tls = tls};
    samp__http_address_name(address, connection->peer, sizeof connection->peer);
    link_connection(connection, address);
    SAMP__COUNT(server, connections_open, 1);
    bufferevent_setcb(stream, on_readable, on_written, on_event, connection);
    evbuffer_add_cb(bufferevent_get_output(stream), output_changed, connection);
    evbuffer_add_cb(bufferevent_get_input(stream), input_changed, connection);
    bufferevent_setwatermark(stream, EV_READ, 0, SAMP__HTTP_INPUT_MAX);
    samp__http_enter(connection, tls ? SAMP__PHASE_HANDSHAKE : SAMP__PHASE_IDLE);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

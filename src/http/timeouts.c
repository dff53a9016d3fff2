/* The time limits of a connection, by one timer each.
 *
 * What is due moves with almost every byte; the timer does not. It fires at the latest time it was
 * set for, looks what is really due, and is set again. */
#include "http/connection.h"

#include "base/clock.h"

#include <event2/buffer.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

enum { WRITE_OWED_MAX = 1 << 16 };
static const double linger_seconds = 2, poll_seconds = 1;

bool samp__http_set_timer(struct event *timer, double seconds)
{
    seconds = fmin(fmax(seconds, 0), 1e6);
    struct timeval time = {.tv_sec = (time_t)seconds};
    time.tv_usec = (suseconds_t)((seconds - (double)time.tv_sec) * 1e6);
    return event_add(timer, &time) == 0;
}

unsigned samp__http_patience_ms(const samp_http_server *server)
{
    return (unsigned)(1000 * fmin(fmax(server->options.write_seconds, 6), 3600));
}

static int probe_seconds(const samp_http_connection *connection)
{
    return (int)(samp__http_patience_ms(connection->server) / 6000);
}

static double phase_seconds(const samp_http_connection *connection, samp__http_phase phase)
{
    const samp_http_options *options = &connection->server->options;
    switch (phase) {
    case SAMP__PHASE_HANDSHAKE:
    case SAMP__PHASE_HEAD: return options->head_seconds;
    case SAMP__PHASE_IDLE: return options->idle_seconds;
    case SAMP__PHASE_BODY: return options->body_seconds;
    case SAMP__PHASE_LINGER: return linger_seconds;
    case SAMP__PHASE_ANSWER: break;
    }
    /* An answer takes as long as it takes, but soon the client is watched. */
    return probe_seconds(connection);
}

/* A client that vanished without a word is noticed by keep-alive probes of the kernel, which cuts
 * when its patience is over and one probe was lost: hence several in that time. They are for
 * connections that wait for an answer. Idle ones have a limit anyway, and thousands of them, probed
 * in one tick, lost so many probes in the loopback's queue that healthy ones were cut. */
static void watch(samp_http_connection *connection, bool on)
{
    int fd = bufferevent_getfd(connection->stream), yes = on;
    int seconds = probe_seconds(connection);
    connection->watched = on;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

void samp__http_enter(samp_http_connection *connection, samp__http_phase phase)
{
    if (connection->watched) watch(connection, false);
    connection->phase = phase;
    connection->phase_due = samp_clock() + phase_seconds(connection, phase);
    samp__http_arm(connection);
}

static size_t owed(size_t waiting) { return waiting < WRITE_OWED_MAX ? waiting : WRITE_OWED_MAX; }

void samp__http_arm(samp_http_connection *connection)
{
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    struct evbuffer *input = bufferevent_get_input(connection->stream);
    size_t waiting = evbuffer_get_length(output);
    if (waiting && connection->write_due == INFINITY) {
        connection->write_due = samp_clock() + connection->server->options.write_seconds;
        connection->write_owed = owed(waiting);
    }
    bool suspended = connection->phase == SAMP__PHASE_ANSWER &&
                     evbuffer_get_length(input) >= SAMP__HTTP_INPUT_MAX;
    if (!suspended)
        connection->poll_due = INFINITY;
    else if (connection->poll_due == INFINITY)
        connection->poll_due = samp_clock() + poll_seconds;
    double due = fmin(fmin(connection->phase_due, connection->write_due),
                      fmin(connection->beat_due, connection->poll_due));
    if (due >= connection->timer_due) return;
    if (samp__http_set_timer(connection->timer, due - samp_clock())) connection->timer_due = due;
}

void samp__http_output_taken(samp_http_connection *connection, size_t n, size_t left)
{
    connection->write_owed -= n < connection->write_owed ? n : connection->write_owed;
    if (left == 0) {
        connection->write_due = INFINITY;
    } else if (connection->write_owed == 0) {
        connection->write_due = samp_clock() + connection->server->options.write_seconds;
        connection->write_owed = owed(left);
    }
}

static void phase_is_over(samp_http_connection *connection)
{
    if (connection->phase != SAMP__PHASE_LINGER) SAMP__COUNT(connection->server, timeouts, 1);
    if (connection->phase == SAMP__PHASE_HEAD)
        samp__http_connection_refuse(connection, 408, "the head of the request took too long");
    else if (connection->phase == SAMP__PHASE_BODY)
        samp__http_connection_refuse(connection, 408, "the body of the request took too long");
    else
        samp__http_connection_close(connection, "the connection was idle");
}

/* The stream's heartbeat, a comment: clients pass over it, proxies see traffic, and a client that
 * vanished is noticed. */
static void beat(samp_http_connection *connection, double now)
{
    bool chunked = connection->exchange->request.minor > 0;
    const char *comment = chunked ? "3\r\n:\n\n\r\n" : ":\n\n";
    samp__http_connection_write(connection, comment, strlen(comment));
    connection->beat_due = now + connection->server->options.heartbeat_seconds;
}

/* With bytes unread a bufferevent does not see that the client has gone. */
static bool client_is_gone(const samp_http_connection *connection)
{
    struct pollfd look = {.fd = bufferevent_getfd(connection->stream), .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0;
}

void samp__http_timer(evutil_socket_t fd, short events, void *context)
{
    (void)fd, (void)events;
    samp_http_connection *connection = context;
    double now = samp_clock();
    connection->timer_due = INFINITY;
    if (connection->write_due <= now) {
        SAMP__COUNT(connection->server, timeouts, 1);
        samp__http_connection_close(connection, "the client did not read its answer");
        return;
    }
    if (connection->poll_due <= now) {
        if (client_is_gone(connection)) {
            samp__http_connection_close(connection, "the client closed the connection");
            return;
        }
        connection->poll_due = now + poll_seconds;
    }
    if (connection->phase_due <= now && connection->phase != SAMP__PHASE_ANSWER) {
        phase_is_over(connection);
        return;
    }
    if (connection->phase_due <= now) {
        watch(connection, true);
        connection->phase_due = INFINITY;
    }
    if (connection->beat_due <= now) beat(connection, now);
    samp__http_arm(connection);
}

/* The time limits of a connection, by one timer each.
 *
 * What is due moves with almost every byte; the timer does not. It fires at the latest time it was
 * set for, looks what is really due, and is set again. */
#include "http/connection.h"

#include "base/clock.h"

#include <event2/buffer.h>
#include <math.h>
#include <poll.h>
#include <string.h>

enum { WRITE_OWED_MAX = 1 << 16 };
static const double linger_seconds = 2, poll_seconds = 1;

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
    return INFINITY; /* an answer takes as long as it takes; the client's reading is limited */
}

void samp__http_enter(samp_http_connection *connection, samp__http_phase phase)
{
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
    double seconds = fmin(fmax(due - samp_clock(), 0), 1e6);
    struct timeval time = {.tv_sec = (time_t)seconds};
    time.tv_usec = (suseconds_t)((seconds - (double)time.tv_sec) * 1e6);
    if (event_add(connection->timer, &time) == 0) connection->timer_due = due;
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
    if (connection->phase_due <= now) {
        phase_is_over(connection);
        return;
    }
    if (connection->beat_due <= now) beat(connection, now);
    samp__http_arm(connection);
}

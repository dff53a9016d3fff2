/* An HTTP/1.1 server for few requests, many connections and long answers: one loop thread
 * (libevent), a strict parser, fixed answers and server-sent events, limits on everything. It
 * knows nothing of models.
 *
 *     samp_http_options options = samp_http_options_default();
 *     options.addresses = (const char *[]){"127.0.0.1:8000"}; options.n_addresses = 1;
 *     samp_http_server_open(&server, &options, handler, context, &error);
 *     samp_http_server_run(server);       the calling thread becomes the loop thread
 *     samp_http_server_close(server);
 *
 * An *exchange* is one request and its answer. The handler gets it on the loop thread, with the
 * whole request, and answers there, or retains it and answers later from any one thread at a
 * time. An exchange outlives its connection: when the client goes, its callback is called and
 * everything sent after that is dropped (SAMP_CANCELLED), so nobody else needs to look at sockets.
 * When the last holder releases an exchange without an answer, the client gets a 500 (or, within a
 * stream, a cut connection): no request is ever left waiting.
 *
 * A client that closes its connection, or half of it, while its answer is not complete is gone. */
#ifndef SAMP_HTTP_SERVER_H
#define SAMP_HTTP_SERVER_H

#include "http/request.h"

typedef struct samp_http_server samp_http_server;
typedef struct samp_http_exchange samp_http_exchange;

/* How an exchange ended, for logs and metrics; pointers are valid during the call only. */
typedef struct samp_http_outcome {
    const char *peer;          /* "192.0.2.1:4711", or "unix" */
    const char *method, *path; /* "-" when the request could not be read */
    int status;                /* of the answer, or 499 when the client left before it began */
    bool complete;             /* the system took the last byte of the answer */
    bool watched;              /* a callback of samp_http_on_close was told */
    const char *reason;        /* why not complete, or what was wrong with the request; else "" */
    uint64_t bytes_in, bytes_out; /* body received; answer sent, its head too */
    double seconds;               /* since the first byte of the request */
} samp_http_outcome;

typedef void samp_http_handler(void *context, samp_http_exchange *exchange,
                               const samp_http_request *request);
typedef void samp_http_closed(void *context, const samp_http_outcome *outcome);
/* Writes the body of an error the server itself answers (400, 408, 413, 431, 503, …). */
typedef void samp_http_error_writer(int status, const char *reason, samp_buffer *body);

typedef struct samp_http_options {
    const char *const *addresses; /* [n_addresses] "127.0.0.1:8000", "[::1]:8000", "*:8000" (IPv4
                                     and IPv6), "unix:/run/samp.sock"; port 0: the system picks */
    size_t n_addresses;
    unsigned connections_max; /* answered 503 above; the soft RLIMIT_NOFILE is raised for them,
                                 and they are lowered to what the hard one allows */
    unsigned connections_per_address_max; /* 0: no own limit (all clients of a proxy share one) */
    size_t request_line_bytes_max, head_bytes_max, body_bytes_max;
    unsigned headers_max;
    uint64_t bodies_bytes_max; /* of all bodies in memory together; answered 503 above */
    size_t output_bytes_max;   /* waiting for one client; a stream above is cut */
    double head_seconds;  /* from a request's first byte to the end of its head; TLS handshake */
    double body_seconds;  /* from there to the end of its body */
    double idle_seconds;  /* between requests */
    double write_seconds; /* in which a client must take 64 KiB, or all there is */
    double heartbeat_seconds; /* a comment is sent on a stream that was silent so long; 0: never */
    const char *tls_certificate, *tls_key; /* PEM files; both or neither */
    samp_http_handler *early; /* NULL allowed: called when the head is there and the body is not:
                                  an answer given here spares reading the body */
    samp_http_closed *access_log; /* NULL allowed; every exchange, and every refused request */
    samp_http_error_writer *error_writer; /* NULL: a line of text */
    const char *error_content_type;       /* of what error_writer writes */
} samp_http_options;

samp_http_options samp_http_options_default(void);

/* Binds all addresses, loads the certificate. SIGPIPE is set to be ignored if it was not handled.
 * handler, early and access_log get `context`, on the loop thread. Of the options' strings
 * error_content_type must outlive the server; the others are copied. */
samp_status samp_http_server_open(samp_http_server **out, const samp_http_options *options,
                                  samp_http_handler *handler, void *context, samp_error *error);
/* The loop; returns when it was drained or stopped. */
void samp_http_server_run(samp_http_server *server);
/* Stops accepting, closes idle connections, lets the exchanges end, cuts what is left after
 * `seconds`; then run returns. 0 stops at once; a second call can only shorten it. From any thread,
 * and from the loop thread; not from a signal handler. */
void samp_http_server_drain(samp_http_server *server, double seconds);
/* After run returned and when no other thread holds an exchange. NULL allowed. */
void samp_http_server_close(samp_http_server *server);

/* Reads certificate and key again, for connections accepted from now on; when they do not fit, the
 * old ones stay and error says why. From any thread. */
samp_status samp_http_server_reload_tls(samp_http_server *server, samp_error *error);
/* From now on the signal calls callback(context, signal) on the loop thread. Before run. */
samp_status samp_http_server_on_signal(samp_http_server *server, int signal,
                                       void (*callback)(void *context, int signal), void *context,
                                       samp_error *error);
/* Where listener i really is ("127.0.0.1:43211"), and how many there are. */
const char *samp_http_server_address(const samp_http_server *server, size_t i);
size_t samp_http_server_n_addresses(const samp_http_server *server);

/* Counters since the start, one list; from any thread. */
#define SAMP_HTTP_COUNTER_LIST(X)                                                                  \
    X(connections_open, "connections open now")                                                    \
    X(connections_accepted, "connections accepted")                                                \
    X(connections_refused, "connections refused by a limit")                                       \
    X(exchanges_open, "requests being answered now")                                               \
    X(requests, "requests whose head was read")                                                    \
    X(requests_refused, "requests the parser or a limit refused")                                  \
    X(answers_1xx, "interim answers")                                                              \
    X(answers_2xx, "answers with a status of 2xx")                                                 \
    X(answers_3xx, "answers with a status of 3xx")                                                 \
    X(answers_4xx, "answers with a status of 4xx")                                                 \
    X(answers_5xx, "answers with a status of 5xx")                                                 \
    X(clients_gone, "exchanges whose client left before the answer was complete")                  \
    X(timeouts, "connections closed by a time limit")                                              \
    X(output_overflows, "streams cut because the client did not read")                             \
    X(bodies_bytes, "bytes of bodies in memory now")                                               \
    X(bytes_received, "bytes received")                                                            \
    X(bytes_sent, "bytes sent")                                                                    \
    X(wakeups, "times another thread woke the loop")

typedef struct samp_http_counters {
#define X(name, text) uint64_t name;
    SAMP_HTTP_COUNTER_LIST(X)
#undef X
} samp_http_counters;

void samp_http_server_counters(const samp_http_server *server, samp_http_counters *out);

/* An exchange: from any thread that holds it, one at a time, unless it says loop thread. */

/* The handler's exchange is its own for the call only; retain it to keep it. */
samp_http_exchange *samp_http_exchange_retain(samp_http_exchange *exchange); /* returns exchange */
void samp_http_exchange_release(samp_http_exchange *exchange);
const samp_http_request *samp_http_exchange_request(const samp_http_exchange *exchange);
/* The client left, or was cut; a cheap look for loops that make tokens. */
bool samp_http_exchange_gone(const samp_http_exchange *exchange);
/* callback(context, outcome) is called exactly once, on the loop thread, when the exchange ends:
 * complete or not. Whoever holds the exchange may still hold it then. Loop thread, in the handler.
 */
void samp_http_on_close(samp_http_exchange *exchange, samp_http_closed *callback, void *context);

/* Adds a field to the answer's head; before the answer begins. SAMP_INVALID when the name is no
 * token, the value has a control byte, or the field is one the server writes itself. */
samp_status samp_http_add_header(samp_http_exchange *exchange, const char *name, const char *value);
/* The whole answer, status 200 to 599. body is copied; with HEAD only its length is sent.
 * SAMP_INVALID when an answer was already given, SAMP_CANCELLED when the client is gone: both are
 * safe to ignore. */
samp_status samp_http_respond(samp_http_exchange *exchange, int status, const char *content_type,
                              const void *body, size_t n);

/* A stream of server-sent events: 200, text/event-stream, comments as heartbeat. */
samp_status samp_http_sse_begin(samp_http_exchange *exchange);
/* One event, "data: …"; line ends within make several data lines, as the format has it. SAMP_LIMIT
 * when more than output_bytes_max waits for the client: it is cut, and gone. */
samp_status samp_http_sse_send(samp_http_exchange *exchange, const void *data, size_t n);
samp_status samp_http_sse_end(samp_http_exchange *exchange);

/* Between these what other threads send does not wake the loop; unhold then wakes it once. For an
 * engine that has a token for each of many streams. They nest. */
void samp_http_server_hold(samp_http_server *server);
void samp_http_server_unhold(samp_http_server *server);

#endif

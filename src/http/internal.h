/* The server's insides, shared by the files of this room.
 *
 * Who touches what: a connection belongs to the loop thread. An exchange has a half of the loop
 * thread's and a half that any holder touches under server->lock; bytes cross in `outbox`, and an
 * exchange with news is in the server's ready list. Exchanges are freed by the loop thread only,
 * once nobody holds them (`unheld`) and they have no connection. */
#ifndef SAMP_HTTP_INTERNAL_H
#define SAMP_HTTP_INTERNAL_H

#include "http/parser.h"
#include "http/server.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct samp_http_connection samp_http_connection;

enum {
    SAMP__HTTP_PEER_BYTES = 64,
    SAMP__HTTP_BUCKETS = 1024,
    SAMP__HTTP_INPUT_MAX = 1 << 16 /* read ahead of the parser */
};

/* Stands for a client: its IPv4 address, or the /64 of its IPv6 address. */
typedef struct samp__http_peer {
    unsigned char bytes[16];
} samp__http_peer;

/* Counters by number, in the order of SAMP_HTTP_COUNTER_LIST. */
enum samp__http_counter {
#define X(name, text) SAMP__COUNT_##name,
    SAMP_HTTP_COUNTER_LIST(X)
#undef X
        SAMP__HTTP_COUNTERS
};

typedef enum samp__http_answer {
    SAMP__ANSWER_NONE,
    SAMP__ANSWER_STREAM,
    SAMP__ANSWER_ENDED /* all of it is in outbox or beyond */
} samp__http_answer;

struct samp_http_exchange {
    samp_http_server *server;
    char peer[SAMP__HTTP_PEER_BYTES];
    samp_http_request request; /* written before the handler sees it, then only read */
    _Atomic unsigned users;    /* holders; the loop is one until the handler has returned */
    _Atomic bool gone;         /* written under the lock */
    _Atomic size_t waiting;    /* bytes in outbox and in the connection's output */
    samp_buffer fields;        /* of samp_http_add_header; the holder's, then the answer's */
    /* Under server->lock. */
    samp_http_exchange *next_ready;
    samp_buffer outbox; /* bytes for the client, in the form they are sent */
    samp__http_answer answer;
    int status;
    const char *cut; /* why the connection must be cut; NULL: it must not */
    bool ready, unheld;
    bool body_read; /* false: the connection cannot go on after the answer */
    bool close_after;
    /* The loop thread's. */
    samp_http_connection *connection; /* NULL once the exchange has ended */
    samp_http_closed *closed;
    void *closed_context;
    double began;
    uint64_t bytes_out;
    size_t bytes_counted; /* of the body, in the server's bodies_bytes */
    const char *reason;
};

typedef struct samp__http_listener {
    samp_http_server *server;
    struct event *event;
    int fd;
    bool is_unix;
    char *address; /* as it really is */
} samp__http_listener;

typedef struct samp__http_signal {
    struct event *event;
    void (*callback)(void *context, int signal);
    void *context;
    struct samp__http_signal *next;
} samp__http_signal;

struct samp_http_server {
    samp_http_options options; /* addresses are not kept; the file names are ours */
    samp_http_limits limits;
    samp_http_handler *handler;
    void *context;
    struct event_base *base;
    samp__http_listener *listeners; /* [n_listeners] */
    size_t n_listeners;
    samp__http_signal *signals;
    struct event *wake_event, *drain_timer;
    int wake_fd, spare_fd; /* spare: given up to refuse a connection when descriptors run out */
    bool draining_loop;
    double drain_due;
    samp_http_connection *connections;                 /* all of them */
    samp_http_connection *buckets[SAMP__HTTP_BUCKETS]; /* the same by address */
    samp_buffer scratch;                               /* swapped with an outbox */
    _Atomic bool draining;                             /* answers say "Connection: close" */
    _Atomic uint64_t counters[SAMP__HTTP_COUNTERS];
    pthread_mutex_t lock; /* for what follows, and the exchanges' part */
    samp_http_exchange *ready_first, *ready_last;
    bool wake_pending, running, drain_wanted;
    double drain_wanted_due;
    unsigned held;
    pthread_t loop_thread;
    void *tls; /* SSL_CTX, NULL without TLS */
};

static inline void samp__http_count(samp_http_server *server, enum samp__http_counter which,
                                    uint64_t n)
{
    atomic_fetch_add_explicit(&server->counters[which], n, memory_order_relaxed);
}
static inline void samp__http_uncount(samp_http_server *server, enum samp__http_counter which,
                                      uint64_t n)
{
    atomic_fetch_sub_explicit(&server->counters[which], n, memory_order_relaxed);
}
#define SAMP__COUNT(server, name, n)   samp__http_count(server, SAMP__COUNT_##name, n)
#define SAMP__UNCOUNT(server, name, n) samp__http_uncount(server, SAMP__COUNT_##name, n)

/* listener.c: sockets that listen, and accepting under limits. */
samp_status samp__http_listen(samp_http_server *server, samp__http_listener *listener,
                              const char *address, samp_error *error);
/* Its address stays known. */
void samp__http_listener_close(samp__http_listener *listener);

/* peer.c */
/* false: the client is of this machine, by a Unix socket. */
bool samp__http_peer_key(const struct sockaddr_storage *address, samp__http_peer *key);
unsigned samp__http_peer_bucket(const samp__http_peer *key);
void samp__http_address_name(const struct sockaddr_storage *address, char *out, size_t size);

/* connection.c: one socket. */
/* Takes the socket over; closes it when there is no memory. */
void samp__http_connection_open(const samp__http_listener *listener, int fd,
                                const struct sockaddr_storage *address);
/* Connections open from that address (IPv6: from its /64). */
unsigned samp__http_connections_from(const samp_http_server *server,
                                     const struct sockaddr_storage *address);
/* What the exchange's holders have made: bytes for the client, and how far the answer is. */
void samp__http_connection_news(samp_http_connection *connection, const samp_buffer *bytes,
                                samp__http_answer answer);
/* Ends the connection and the exchange on it, which is not complete because of `reason`; an answer
 * that was begun ends in a reset. The connection is freed. */
void samp__http_connection_close(samp_http_connection *connection, const char *reason);
/* For a server that drains: closes it when nothing is in flight; `now` closes it anyway. */
void samp__http_connection_drain(samp_http_connection *connection, bool now);
samp_http_connection *samp__http_connection_next(samp_http_connection *connection);

/* timeouts.c */
bool samp__http_set_timer(struct event *timer, double seconds);

/* exchange.c: one request and its answer. */
samp_http_exchange *samp__http_exchange_create(samp_http_connection *connection,
                                               const samp__http_listener *listener,
                                               const char *peer);
/* Ends it: outcome to callback and log, loose from its connection. Frees it when nobody holds it.
 * reason NULL: nothing of a request had come, so there is no outcome. */
void samp__http_exchange_end(samp_http_exchange *exchange, bool complete, const char *reason);
/* Answers in the server's own name, and closes after it. */
void samp__http_exchange_refuse(samp_http_exchange *exchange, int status, const char *reason);
/* How far its holders are. */
samp__http_answer samp__http_exchange_answer(samp_http_exchange *exchange);
void samp__http_exchange_body_read(samp_http_exchange *exchange);
/* Hands over what the ready list holds. */
void samp__http_deliver(samp_http_server *server);

/* response.c: the form of answers. Appended to the exchange's outbox, under the lock. */
void samp__http_write_head(samp_http_exchange *exchange, int status, const char *content_type,
                           const size_t *length);
void samp__http_write_event(samp_buffer *out, const char *data, size_t n, bool chunked);
extern const char samp__http_continue[], samp__http_busy[];

/* server.c */
/* Marks the exchange as ready, under the lock; true: call samp__http_wake after unlocking. */
bool samp__http_ready(samp_http_exchange *exchange);
void samp__http_wake(samp_http_server *server);
/* A connection was closed: the last one of a server that drains ends the loop. */
void samp__http_connection_closed(samp_http_server *server);

/* tls.c: OpenSSL's context from the two files; NULL and an error when they do not fit. */
void *samp__http_tls_load(const char *certificate, const char *key, samp_error *error);
void samp__http_tls_free(void *tls);
/* A bufferevent that speaks TLS on fd; NULL when there is no memory. */
struct bufferevent *samp__http_tls_accept(struct event_base *base, void *tls, int fd);
void samp__http_tls_shutdown(struct bufferevent *stream);

#endif

/* A connection's state, shared by connection.c (bytes and requests) and timeouts.c. Loop thread
 * only. */
#ifndef SAMP_HTTP_CONNECTION_H
#define SAMP_HTTP_CONNECTION_H

#include "http/internal.h"

typedef enum samp__http_phase {
    SAMP__PHASE_HANDSHAKE, /* TLS */
    SAMP__PHASE_IDLE,      /* between requests */
    SAMP__PHASE_HEAD,
    SAMP__PHASE_BODY,
    SAMP__PHASE_ANSWER, /* the request is with the handler, or was refused */
    SAMP__PHASE_LINGER  /* answered and half closed: what the client still sends is dropped, or the
                           system would reset the connection before the client read the answer */
} samp__http_phase;

struct samp_http_connection {
    samp_http_server *server;
    const samp__http_listener *listener;   /* it came by */
    samp_http_connection *next, *previous; /* of all */
    samp_http_connection *next_in_bucket;
    struct bufferevent *stream;
    struct event *timer;
    samp__http_phase phase;
    /* Times of samp_clock; INFINITY: no such limit now. */
    double timer_due; /* when the timer fires: not later than the earliest of those below */
    double phase_due; /* end of the phase */
    double write_due; /* the client must have taken write_owed bytes */
    double beat_due;  /* a stream needs a sign of life */
    double poll_due;  /* reading is suspended: look whether the client is still there */
    size_t write_owed, linger_left;
    samp_http_exchange *exchange; /* from a request's first byte to its answer's last */
    samp_http_parser parser;
    bool holding;   /* the loop is the exchange's holder: it was not with the handler yet */
    bool ended;     /* the answer's last byte is in the output */
    bool half_open; /* the client sends no more, but its answer was already given */
    bool watched;   /* the kernel asks now and then whether the client is there */
    bool tls;
    bool counted; /* it is in a bucket */
    samp__http_peer key;
    char peer[SAMP__HTTP_PEER_BYTES];
};

/* timeouts.c */
/* How long the kernel waits for a client that acknowledges nothing. */
unsigned samp__http_patience_ms(const samp_http_server *server);
/* Enters a phase, with its time limit. */
void samp__http_enter(samp_http_connection *connection, samp__http_phase phase);
/* Sees to it that the timer fires in time for all that is due. */
void samp__http_arm(samp_http_connection *connection);
/* n bytes left the output, `left` are still there. */
void samp__http_output_taken(samp_http_connection *connection, size_t n, size_t left);
void samp__http_timer(evutil_socket_t fd, short events, void *connection);

/* connection.c */
/* Answers in the server's own name; the connection does not go on after it. */
void samp__http_connection_refuse(samp_http_connection *connection, int status, const char *reason);
/* Bytes of the server's own, within the exchange. */
void samp__http_connection_write(samp_http_connection *connection, const char *bytes, size_t n);

#endif

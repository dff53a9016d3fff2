/* Connections of the load generator and the run they belong to. Private to load_*.c. */
#ifndef SAMP_BENCH_LOAD_INTERNAL_H
#define SAMP_BENCH_LOAD_INTERNAL_H

#include "bench/load.h"
#include "bench/load_stream.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct event;
struct event_base;
struct bufferevent;

/* A server: where it is and how it is asked. */
typedef struct samp__load_target {
    struct sockaddr_storage address;
    socklen_t address_length;
    char host[300];   /* of the Host field */
    char prefix[512]; /* of paths, without a slash at its end */
} samp__load_target;

/* "http://host[:port][/prefix]"; SAMP_UNSUPPORTED for other schemes, SAMP_NOT_FOUND for unknown
 * hosts. A trailing /v1 is left out. */
samp_status samp__load_target_parse(const char *url, samp__load_target *out, samp_error *error);

/* One connection with one request at a time; kept alive between them. */
typedef struct samp__load_connection {
    struct event_base *base;
    const samp__load_target *target;
    struct bufferevent *bev; /* NULL = not connected */
    struct event *timer;     /* the request's time limit */
    samp__stream stream;
    samp_load_record *record; /* NULL = idle */
    bool reused;              /* this request went out on a connection that had served before */
    bool wants_events;        /* a stream was asked for; another answer is none */
    bool done_seen, finish_seen, error_seen, malformed;
    samp_load_outcome unconnected; /* why there is no bev */
    double arrived;                /* when the bytes that are looked at were read */
    double last_text;
    samp_buffer request; /* kept to send it again when a kept connection had been closed */
    double timeout_s;
    /* A chunk with text came this long after the one before it. */
    void (*on_gap)(void *context, struct samp__load_connection *connection, double seconds);
    /* The request is over, record->outcome says how; a new one may be sent from here. */
    void (*on_end)(void *context, struct samp__load_connection *connection);
    void *context;
    struct samp__load_connection *next; /* among the idle ones */
} samp__load_connection;

/* NULL when out of memory. */
struct event_base *samp__load_loop(void);

samp_status samp__load_connection_open(samp__load_connection **out, struct event_base *base,
                                       samp_error *error);
void samp__load_connection_close(samp__load_connection *connection);
/* Sends a POST of body (NULL: a GET) and fills the record as the answer comes. */
void samp__load_send(samp__load_connection *connection, const samp__load_target *target,
                     const char *path, const char *api_key, const samp_buffer *body,
                     samp_load_record *record);

/* An answer as a whole: *body is the caller's to release. */
samp_status samp__load_fetch(const samp__load_target *target, const char *path, const char *api_key,
                             samp_buffer *body, samp_error *error);

/* The body of request i of the run, unlike any other's. */
void samp__load_body(const samp_load_options *options, const char *model, uint64_t i,
                     samp_buffer *out);

#endif

/* A server of one model with OpenAI's API: the HTTP server, the engine, the preparing thread, and
 * their life from binding the port to the last answer. */
#ifndef SAMP_SERVE_SERVER_H
#define SAMP_SERVE_SERVER_H

#include "engine/engine.h"
#include "http/server.h"

typedef struct samp_server samp_server;

typedef struct samp_server_options {
    const char *folder;     /* of the model */
    const char *model_name; /* it is served under; NULL = the folder's last part */
    samp_http_options http;
    samp_engine_options engine;
    const char *api_keys;        /* file, a key a line; NULL = none needed */
    const char *chat_template;   /* file instead of the model's own; NULL = the model's */
    const char *metrics_address; /* /metrics is answered there only; NULL = with the rest */
    const char *log;             /* file of JSON lines, "-" = standard output, NULL = none */
    bool log_prompts;            /* put prompts and answers into it */
    bool no_verify;              /* do not compare digests with samp.json first */
    double drain_delay_s;        /* after SIGTERM: answered on, while /ready says no */
    double drain_s;              /* then: how long running requests may take */
    double default_temperature, default_top_p; /* of requests that do not say; < 0 = the model's */
    samp_progress progress;                    /* of loading */
    /* Called on the loop thread when the port is bound, and when the model is ready. NULL allowed. */
    void (*bound)(void *context, const samp_server *server);
    void (*ready)(void *context, const samp_server *server, double seconds);
    void *context;
} samp_server_options;

/* Binds, loads the model on a thread of its own, serves until a signal (SIGTERM, SIGINT) and drains.
 * SAMP_OK after an orderly end. */
samp_status samp_server_run(const samp_server_options *options, samp_error *error);

/* "127.0.0.1:8000" of listener i, NULL past the last. */
const char *samp_server_address(const samp_server *server, size_t i);
/* What it serves, for a line to people: "smollm2 (nf4a 70 MB), 2 threads, 64 KV blocks". */
const char *samp_server_about(const samp_server *server);

#endif

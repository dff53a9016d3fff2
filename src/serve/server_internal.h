/* What the files of the server share. Private to the room. */
#ifndef SAMP_SERVE_SERVER_INTERNAL_H
#define SAMP_SERVE_SERVER_INTERNAL_H

#include "chat/prompt.h"
#include "constrain/constrain.h"
#include "serve/access_log.h"
#include "serve/api_keys.h"
#include "serve/call.h"
#include "serve/drift.h"
#include "serve/metrics.h"
#include "serve/notify.h"
#include "serve/prepare.h"

#include <pthread.h>

typedef enum samp_server_state {
    SAMP_SERVER_LOADING,
    SAMP_SERVER_READY,
    SAMP_SERVER_DRAINING /* /ready says no; new work is still taken until drain_delay_s passed */
} samp_server_state;

struct samp_server {
    const samp_server_options *options;
    char model_name[256];
    char fingerprint[32];        /* system_fingerprint */
    char quantization_level[64]; /* "plan", "nf4", "fp16" …, for logs and metrics */
    char about[512];
    int64_t started; /* seconds since 1970 */

    samp_http_server *http;
    samp_http_server *metrics_http; /* NULL: /metrics is with the rest */
    samp_engine *engine;            /* NULL while loading */
    samp_tokenizer *tokenizer;
    samp_chat *chat; /* NULL: the model has no template */
    samp_constrain_vocabulary *vocabulary;
    samp_tool_style tool_style;
    samp_metrics *metrics;
    samp_prepare *prepare;
    samp_api_keys *keys; /* NULL: none needed */
    samp_access_log *log;
    samp_drift *drift; /* NULL: nothing to compare with */
    samp_api_defaults defaults;

    samp_progress progress; /* of loading: the options', until a signal comes */
    double notified;        /* when the service manager was told of it last */
    pthread_t loader, drainer, metrics_loop;
    bool has_loader, has_drainer, has_metrics_loop;

    _Atomic int state;     /* samp_server_state */
    _Atomic bool refusing; /* no new work any more */
    _Atomic int n_signals;
    /* The last requests' outcomes, for vllm:request_success_rate. Engine's thread. */
    uint8_t recent[1000];
    uint32_t n_recent, next_recent, good_recent;

    samp_status load_status;
    samp_error load_error;
};

/* The HTTP handler, and what is asked before a body is read (routes.c). */
void samp__route(void *context, samp_http_exchange *exchange, const samp_http_request *request);
void samp__route_early(void *context, samp_http_exchange *exchange,
                       const samp_http_request *request);
void samp__route_metrics(void *context, samp_http_exchange *exchange,
                         const samp_http_request *request);
void samp__write_http_error(int status, const char *reason, samp_buffer *body);
/* Answers with an error object, Retry-After and WWW-Authenticate where they belong. */
void samp__respond_error(samp_http_exchange *exchange, const samp_api_error *error);
/* Answers 200 with a body that was written, or 503 when memory ran out for it; releases it. */
void samp__respond_body(samp_http_exchange *exchange, const char *content_type, samp_buffer *body);
/* The small built-in page, its numbers as JSON (page.c). */
void samp__route_page(samp_server *server, samp_http_exchange *exchange);
void samp__route_page_status(samp_server *server, samp_http_exchange *exchange);

void samp__route_tokenize(samp_server *server, samp_http_exchange *exchange,
                          const samp_http_request *request);
void samp__route_detokenize(samp_server *server, samp_http_exchange *exchange,
                            const samp_http_request *request);

/* Loads everything (load.c); on its own thread. */
void *samp__server_load(void *server);
/* Counts what a choice's end tells (observe.c); the engine's thread. */
void samp__observe_end(samp_server *server, const samp_choice *choice);
/* Once all choices of a call have ended; any thread. */
void samp__observe_call(samp_server *server, const samp_call *call);
void samp__observe_token(samp_server *server, samp_choice *choice);
void samp__observe_step(void *server, const samp_engine_step *step);
/* Brings gauges up to date before they are read. */
void samp__observe_now(samp_server *server);

#endif

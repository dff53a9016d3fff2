/* http_host ADDRESS [CERTIFICATE KEY]: the server alone, for tools that attack or measure it (wrk,
 * slowhttptest, curl); not a test itself.
 *
 *     /health   three bytes        /echo    the body
 *     /stream   100 events, one every 20 ms, from a thread that does the same for all streams
 *     /count    the counters, as Prometheus reads them
 *
 * SIGTERM drains for five seconds, SIGHUP reads the certificate again. */
#include "http/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STREAMS_MAX = 4096, EVENTS = 100, STEP_US = 20000 };

static struct {
    pthread_mutex_t lock;
    samp_http_exchange *streams[STREAMS_MAX];
    int sent[STREAMS_MAX];
    int n;
    atomic_bool stop;
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER};

static samp_http_server *server;

static bool step(samp_http_exchange *exchange, int number)
{
    char event[64];
    int n = snprintf(event, sizeof event, "{\"token\":%d}", number);
    if (samp_http_sse_send(exchange, event, (size_t)n) != SAMP_OK) return false;
    if (number + 1 < EVENTS) return true;
    samp_http_sse_end(exchange);
    return false;
}

static void *engine_main(void *context)
{
    while (!atomic_load(&engine.stop)) {
        pthread_mutex_lock(&engine.lock);
        samp_http_server_hold(server);
        for (int i = 0; i < engine.n;) {
            if (step(engine.streams[i], engine.sent[i]++)) {
                i++;
                continue;
            }
            samp_http_exchange_release(engine.streams[i]);
            engine.streams[i] = engine.streams[--engine.n];
            engine.sent[i] = engine.sent[engine.n];
        }
        samp_http_server_unhold(server);
        pthread_mutex_unlock(&engine.lock);
        usleep(STEP_US);
    }
    for (int i = 0; i < engine.n; i++) samp_http_exchange_release(engine.streams[i]);
    return context;
}

static void begin_stream(samp_http_exchange *exchange)
{
    pthread_mutex_lock(&engine.lock);
    if (engine.n == STREAMS_MAX) {
        samp_http_respond(exchange, 503, "text/plain", "full\n", 5);
    } else if (samp_http_sse_begin(exchange) == SAMP_OK) {
        engine.streams[engine.n] = samp_http_exchange_retain(exchange);
        engine.sent[engine.n++] = 0;
    }
    pthread_mutex_unlock(&engine.lock);
}

static void count(samp_http_exchange *exchange)
{
    samp_http_counters counters;
    samp_buffer text = {0};
    samp_http_server_counters(server, &counters);
#define X(name, meaning)                                                                           \
    samp_buffer_printf(&text, "%s %llu\n", #name, (unsigned long long)counters.name);
    SAMP_HTTP_COUNTER_LIST(X)
#undef X
    samp_http_respond(exchange, 200, "text/plain; version=0.0.4", text.data, text.length);
    samp_buffer_release(&text);
}

static void handle(void *context, samp_http_exchange *exchange, const samp_http_request *request)
{
    (void)context;
    if (strcmp(request->path, "/health") == 0)
        samp_http_respond(exchange, 200, "text/plain", "ok\n", 3);
    else if (strcmp(request->path, "/echo") == 0)
        samp_http_respond(exchange, 200, "text/plain", request->body, request->body_length);
    else if (strcmp(request->path, "/stream") == 0)
        begin_stream(exchange);
    else if (strcmp(request->path, "/count") == 0)
        count(exchange);
    else
        samp_http_respond(exchange, 404, "text/plain", "no\n", 3);
}

static void on_signal(void *context, int number)
{
    (void)context;
    samp_error error;
    if (number == SIGTERM)
        samp_http_server_drain(server, 5);
    else if (samp_http_server_reload_tls(server, &error) != SAMP_OK)
        fprintf(stderr, "%s\n", error.message);
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: http_host ADDRESS [CERTIFICATE KEY]\n");
        return 3;
    }
    const char *address = argv[1];
    samp_http_options options = samp_http_options_default();
    options.addresses = &address;
    options.n_addresses = 1;
    options.tls_certificate = argc == 4 ? argv[2] : NULL;
    options.tls_key = argc == 4 ? argv[3] : NULL;
    samp_error error;
    pthread_t thread;
    if (samp_http_server_open(&server, &options, handle, NULL, &error) != SAMP_OK ||
        samp_http_server_on_signal(server, SIGTERM, on_signal, NULL, &error) != SAMP_OK ||
        samp_http_server_on_signal(server, SIGHUP, on_signal, NULL, &error) != SAMP_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    if (pthread_create(&thread, NULL, engine_main, NULL) != 0) return 2;
    fprintf(stderr, "%s\n", samp_http_server_address(server, 0));
    samp_http_server_run(server);
    atomic_store(&engine.stop, true);
    pthread_join(thread, NULL);
    samp_http_server_close(server);
    return 0;
}

/* The server's life: bind, load, serve, drain, release. */
#include "serve/server.h"

#include "base/log.h"
#include "base/memory.h"
#include "quantize/about.h"
#include "serve/server_internal.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *samp_server_address(const samp_server *server, size_t i)
{
    return i < samp_http_server_n_addresses(server->http)
               ? samp_http_server_address(server->http, i)
               : NULL;
}

const char *samp_server_about(const samp_server *server) { return server->about; }

/* ---- signals --------------------------------------------------------------------------------- */

/* Waits until `end`, a second signal, or, where `idle` is given, until that says so. */
static void wait_until(samp_server *server, double end, bool (*idle)(samp_server *server))
{
    struct timespec moment = {.tv_nsec = 5000000};
    while (samp_clock() < end && atomic_load(&server->n_signals) < 2 && !(idle && idle(server)))
        nanosleep(&moment, NULL);
}

static bool nothing_is_prepared(samp_server *server)
{
    return samp_prepare_is_idle(server->prepare);
}

/* On a thread of its own: not ready at once, new work for a while yet (load balancers need it to
 * see), then only what runs, then nothing. */
static void *drain(void *context)
{
    samp_server *server = context;
    const samp_server_options *options = server->options;
    atomic_store(&server->state, SAMP_SERVER_DRAINING);
    wait_until(server, samp_clock() + options->drain_delay_s, NULL);
    atomic_store(&server->refusing, true);
    double end = samp_clock() + options->drain_s;
    /* What was let in before is submitted first: the engine refuses once it drains. */
    wait_until(server, end, nothing_is_prepared);
    bool empty = false;
    while (!empty && samp_clock() < end && atomic_load(&server->n_signals) < 2)
        empty = samp_engine_drain(server->engine, 0.2);
    samp_http_server_drain(server->http, atomic_load(&server->n_signals) < 2 ? 2 : 0);
    return NULL;
}

static void on_stop(void *context, int signal_number)
{
    (void)signal_number;
    samp_server *server = context;
    int n = atomic_fetch_add(&server->n_signals, 1) + 1;
    bool loaded = atomic_load(&server->state) != SAMP_SERVER_LOADING;
    samp_notify_stopping(n == 1 && loaded ? "running requests may end" : "told to stop at once");
    if (n == 1 && loaded)
        server->has_drainer = pthread_create(&server->drainer, NULL, drain, server) == 0;
    if (n > 1 || !loaded || !server->has_drainer) samp_http_server_drain(server->http, 0);
}

/* Certificates and logs may have been replaced. */
static void on_hangup(void *context, int signal_number)
{
    (void)signal_number;
    samp_server *server = context;
    samp_error error;
    samp_access_log_reopen(server->log);
    if (server->options->http.tls_certificate &&
        samp_http_server_reload_tls(server->http, &error) != SAMP_OK)
        samp_log(SAMP_LOG_ERROR, "%s", error.message);
}

static samp_status catch_signals(samp_server *server, samp_error *error)
{
    SAMP_TRY(samp_http_server_on_signal(server->http, SIGTERM, on_stop, server, error));
    SAMP_TRY(samp_http_server_on_signal(server->http, SIGINT, on_stop, server, error));
    return samp_http_server_on_signal(server->http, SIGHUP, on_hangup, server, error);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool report_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    samp_server *server = context;
    if (atomic_load(&server->n_signals)) return false;
    samp_notify_loading(&server->notified, what, done, total);
    return samp_progress_report(&server->options->progress, what, done, total);
}

/* Every answer, also of requests that never became one; calls have a line of their own. */
static void log_exchange(void *context, const samp_http_outcome *outcome)
{
    samp_server *server = context;
    char code[16];
    snprintf(code, sizeof code, "%d", outcome->status);
    samp_metric_add(server->metrics, SAMP_METRIC_HTTP_REQUESTS, code, 1);
    if (!outcome->watched) samp_access_log_exchange(server->log, outcome);
}

static samp_status open_http(samp_server *server, samp_error *error)
{
    samp_http_options http = server->options->http;
    http.early = samp__route_early;
    http.access_log = log_exchange;
    http.error_writer = samp__write_http_error;
    http.error_content_type = "application/json";
    SAMP_TRY(samp_http_server_open(&server->http, &http, samp__route, server, error));
    return catch_signals(server, error);
}

static void *run_metrics(void *context)
{
    samp_http_server_run(context);
    return NULL;
}

/* /metrics on a listener and a loop of its own. */
static samp_status open_metrics(samp_server *server, samp_error *error)
{
    samp_http_options http = samp_http_options_default();
    const char *address = server->options->metrics_address;
    if (!address) return SAMP_OK;
    http.addresses = &address;
    http.n_addresses = 1;
    http.error_writer = samp__write_http_error;
    http.error_content_type = "application/json";
    SAMP_TRY(
        samp_http_server_open(&server->metrics_http, &http, samp__route_metrics, server, error));
    server->has_metrics_loop =
        pthread_create(&server->metrics_loop, NULL, run_metrics, server->metrics_http) == 0;
    if (server->has_metrics_loop) return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "no thread for /metrics could be started");
}

static samp_status open_parts(samp_server *server, samp_error *error)
{
    const samp_server_options *o = server->options;
    if (o->model_name)
        snprintf(server->model_name, sizeof server->model_name, "%s", o->model_name);
    else
        samp_folder_name(o->folder, server->model_name, sizeof server->model_name);
    server->defaults.model = server->model_name;
    server->progress = (samp_progress){.report = report_progress, .context = server};
    server->started = (int64_t)time(NULL);
    SAMP_TRY(samp_metrics_create(&server->metrics, server->model_name, error));
    samp_metric_set(server->metrics, SAMP_METRIC_BUILD_INFO, SAMP_VERSION, 1);
    samp_metric_set(server->metrics, SAMP_METRIC_CACHE_CONFIG, "64", 1);
    if (o->api_keys) SAMP_TRY(samp_api_keys_load(&server->keys, o->api_keys, error));
    if (o->log) SAMP_TRY(samp_access_log_open(&server->log, o->log, o->log_prompts, error));
    SAMP_TRY(samp_prepare_create(&server->prepare, 4096, error));
    SAMP_TRY(open_http(server, error));
    return open_metrics(server, error);
}

/* Nobody holds an exchange once the preparing thread and the engine are gone. */
static void release(samp_server *server)
{
    if (server->has_loader) pthread_join(server->loader, NULL);
    if (server->has_drainer) pthread_join(server->drainer, NULL);
    if (server->metrics_http) samp_http_server_drain(server->metrics_http, 0);
    if (server->has_metrics_loop) pthread_join(server->metrics_loop, NULL);
    samp_http_server_close(server->metrics_http);
    samp_prepare_release(server->prepare);
    samp_engine_close(server->engine);
    samp_drift_release(server->drift);
    samp_http_server_close(server->http);
    samp_constrain_vocabulary_release(server->vocabulary);
    samp_chat_close(server->chat);
    if (server->tokenizer) samp_tokenizer_release(server->tokenizer);
    samp_access_log_close(server->log);
    samp_api_keys_release(server->keys);
    samp_metrics_release(server->metrics);
    samp_free(server);
}

samp_status samp_server_run(const samp_server_options *options, samp_error *error)
{
    samp_server *server = samp_alloc(1, sizeof *server);
    if (!server) return samp_fail(error, SAMP_NOMEM, "out of memory for a server");
    server->options = options;
    samp_status status = open_parts(server, error);
    if (status == SAMP_OK) {
        if (options->bound) options->bound(options->context, server);
        server->has_loader = pthread_create(&server->loader, NULL, samp__server_load, server) == 0;
        if (!server->has_loader)
            status = samp_fail(error, SAMP_NOMEM, "no thread for loading could be started");
    }
    if (status == SAMP_OK) {
        samp_http_server_run(server->http);
        pthread_join(server->loader, NULL);
        server->has_loader = false;
        status = server->load_status;
        if (status != SAMP_OK) *error = server->load_error;
        if (status == SAMP_CANCELLED && atomic_load(&server->n_signals)) status = SAMP_OK;
    }
    release(server);
    return status;
}

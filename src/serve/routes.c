/* Paths, and who answers them. Everything here runs on the loop thread and returns at once: calls
 * go to the preparing thread. */
#include "base/memory.h"
#include "serve/server_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- answers --------------------------------------------------------------------------------- */

void samp__respond_error(samp_http_exchange *exchange, const samp_api_error *error)
{
    samp_buffer body = {0};
    samp_api_error_write(error, &body);
    if (error->retry_after_s) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u", error->retry_after_s);
        samp_http_add_header(exchange, "Retry-After", seconds);
    }
    if (error->http_status == 401) samp_http_add_header(exchange, "WWW-Authenticate", "Bearer");
    samp_http_respond(exchange, error->http_status, "application/json", body.data, body.length);
    samp_buffer_release(&body);
}

void samp__respond_body(samp_http_exchange *exchange, const char *content_type, samp_buffer *body)
{
    samp_api_error error;
    if (body->failed) {
        samp_api_fail(&error, 503, NULL, NULL, "out of memory for the answer");
        samp__respond_error(exchange, &error);
    } else
        samp_http_respond(exchange, 200, content_type, body->data, body->length);
    samp_buffer_release(body);
}

static void respond_text(samp_http_exchange *exchange, int status, const char *json)
{
    samp_http_respond(exchange, status, "application/json", json, strlen(json));
}

void samp__write_http_error(int status, const char *reason, samp_buffer *body)
{
    samp_api_error error;
    samp_api_fail(&error, status, NULL, NULL, "%s", reason);
    samp_api_error_write(&error, body);
}

/* ---- small routes ---------------------------------------------------------------------------- */

typedef void route_function(samp_server *server, samp_http_exchange *exchange,
                            const samp_http_request *request);

static void get_health(samp_server *server, samp_http_exchange *exchange,
                       const samp_http_request *request)
{
    (void)server, (void)request;
    respond_text(exchange, 200, "{\"status\":\"ok\"}");
}

static void get_ready(samp_server *server, samp_http_exchange *exchange,
                      const samp_http_request *request)
{
    (void)request;
    static const char *const texts[] = {"{\"status\":\"loading\"}", "{\"status\":\"ready\"}",
                                        "{\"status\":\"draining\"}"};
    int state = atomic_load(&server->state);
    respond_text(exchange, state == SAMP_SERVER_READY ? 200 : 503, texts[state]);
}

static void get_version(samp_server *server, samp_http_exchange *exchange,
                        const samp_http_request *request)
{
    (void)server, (void)request;
    respond_text(exchange, 200, "{\"version\":\"" SAMP_VERSION "\"}");
}

static void write_model(const samp_server *server, samp_buffer *body)
{
    samp_buffer_text(body, "{\"id\":");
    samp_json_write_string(body, server->model_name, strlen(server->model_name));
    samp_buffer_printf(body,
                       ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"samp\","
                       "\"max_model_len\":%u,\"quantization_level\":\"%s\"}",
                       (long long)server->started, server->defaults.max_positions,
                       server->quantization_level);
}

static void get_models(samp_server *server, samp_http_exchange *exchange,
                       const samp_http_request *request)
{
    (void)request;
    samp_buffer body = {0};
    samp_buffer_text(&body, "{\"object\":\"list\",\"data\":[");
    write_model(server, &body);
    samp_buffer_text(&body, "]}");
    samp__respond_body(exchange, "application/json", &body);
}

static void get_model(samp_server *server, samp_http_exchange *exchange,
                      const samp_http_request *request)
{
    const char *name = request->path + strlen("/v1/models/");
    samp_api_error error;
    if (strcmp(name, server->model_name) != 0) {
        samp_api_fail(&error, 404, "model", "model_not_found",
                      "the model '%.200s' does not exist here; this server serves '%s'", name,
                      server->model_name);
        samp__respond_error(exchange, &error);
        return;
    }
    samp_buffer body = {0};
    write_model(server, &body);
    samp__respond_body(exchange, "application/json", &body);
}

static void get_metrics(samp_server *server, samp_http_exchange *exchange,
                        const samp_http_request *request)
{
    (void)request;
    samp_buffer body = {0};
    samp__observe_now(server);
    samp_metrics_write(server->metrics, &body);
    samp__respond_body(exchange, "text/plain; version=0.0.4; charset=utf-8", &body);
}

static void get_page(samp_server *server, samp_http_exchange *exchange,
                     const samp_http_request *request)
{
    (void)request;
    samp__route_page(server, exchange);
}

static void get_page_status(samp_server *server, samp_http_exchange *exchange,
                            const samp_http_request *request)
{
    (void)request;
    samp__route_page_status(server, exchange);
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* On the loop thread, when the exchange is over. */
static void call_closed(void *context, const samp_http_outcome *outcome)
{
    samp_call *call = context;
    samp_server *server = call->server;
    call->status = outcome->status;
    call->seconds = outcome->seconds;
    call->complete = outcome->complete;
    if (!outcome->complete) samp_call_cancel(call);
    const char *result = outcome->status == 429 || outcome->status == 503   ? "rejected"
                         : outcome->status >= 400 && outcome->status != 499 ? "error"
                         : outcome->complete                                ? "success"
                                                                            : "cancelled";
    samp_metric_add(server->metrics, SAMP_METRIC_REQUESTS, result, 1);
    samp_metric_observe(server->metrics, SAMP_METRIC_REQUEST_LATENCY, outcome->seconds);
    samp_call_release(call);
}

static void prepare_call(void *context)
{
    samp_call_start(context);
    samp_call_release(context);
}

static void start_call(samp_server *server, samp_http_exchange *exchange, bool chat)
{
    samp_api_error error;
    samp_call *call = samp_call_create(server, exchange, chat);
    if (!call) {
        samp_api_fail(&error, 503, NULL, NULL, "out of memory for a request");
        error.retry_after_s = 1;
        samp__respond_error(exchange, &error);
        return;
    }
    samp_http_on_close(exchange, call_closed, samp_call_retain(call));
    if (samp_prepare_add(server->prepare, prepare_call, call)) return;
    samp_api_fail(&error, 429, NULL, "max_num_queued_reqs", "too many requests are waiting");
    error.retry_after_s = 1;
    samp__respond_error(exchange, &error);
    samp_call_release(call);
}

static void post_chat(samp_server *server, samp_http_exchange *exchange,
                      const samp_http_request *request)
{
    (void)request;
    start_call(server, exchange, true);
}

static void post_completions(samp_server *server, samp_http_exchange *exchange,
                             const samp_http_request *request)
{
    (void)request;
    start_call(server, exchange, false);
}

/* ---- the table ------------------------------------------------------------------------------- */

enum { PUBLIC = 1, NEEDS_MODEL = 2, WORK = 4, PREFIX = 8 };

static const struct route {
    samp_http_method method;
    const char *path;
    unsigned flags; /* PUBLIC: no key needed; WORK: refused when too much waits */
    route_function *function;
} routes[] = {
    {SAMP_HTTP_GET, "/health", PUBLIC, get_health},
    {SAMP_HTTP_GET, "/ready", PUBLIC, get_ready},
    {SAMP_HTTP_GET, "/version", PUBLIC, get_version},
    {SAMP_HTTP_GET, "/metrics", PUBLIC, get_metrics},
    {SAMP_HTTP_GET, "/", PUBLIC, get_page},
    {SAMP_HTTP_GET, "/status.json", PUBLIC, get_page_status},
    {SAMP_HTTP_GET, "/v1/models", NEEDS_MODEL, get_models},
    {SAMP_HTTP_GET, "/v1/models/", NEEDS_MODEL | PREFIX, get_model},
    {SAMP_HTTP_POST, "/v1/chat/completions", NEEDS_MODEL | WORK, post_chat},
    {SAMP_HTTP_POST, "/v1/completions", NEEDS_MODEL | WORK, post_completions},
    {SAMP_HTTP_POST, "/tokenize", NEEDS_MODEL, samp__route_tokenize},
    {SAMP_HTTP_POST, "/detokenize", NEEDS_MODEL, samp__route_detokenize},
};

static bool matches(const struct route *route, const samp_http_request *request)
{
    bool head = request->method == SAMP_HTTP_HEAD && route->method == SAMP_HTTP_GET;
    if (route->method != request->method && !head) return false;
    if (!(route->flags & PREFIX)) return strcmp(route->path, request->path) == 0;
    size_t n = strlen(route->path);
    return strncmp(route->path, request->path, n) == 0 && request->path[n];
}

static const struct route *find_route(const samp_server *server, const samp_http_request *request,
                                      samp_api_error *error)
{
    bool path_known = false;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *route = &routes[i];
        if (route->function == get_metrics && server->metrics_http) continue;
        if (matches(route, request)) return route;
        path_known = path_known || strcmp(route->path, request->path) == 0;
    }
    if (path_known)
        samp_api_fail(error, 405, NULL, NULL, "%s is not allowed on %.200s",
                      samp_http_method_name(request->method), request->path);
    else
        samp_api_fail(error, 404, NULL, NULL, "there is no %.200s here", request->path);
    return NULL;
}

static samp_status check_key(const samp_server *server, const samp_http_request *request,
                             samp_api_error *error)
{
    if (!server->keys) return SAMP_OK;
    const char *given = samp_http_request_header(request, "authorization");
    if (samp_api_keys_accept(server->keys, given)) return SAMP_OK;
    return samp_api_fail(error, 401, NULL, "invalid_api_key",
                         given ? "the API key is not known here"
                               : "an API key is needed: Authorization: Bearer KEY");
}

static samp_status check_state(samp_server *server, unsigned flags, samp_api_error *error)
{
    samp_ticket ticket = {0};
    samp_error detail;
    if ((flags & NEEDS_MODEL) && atomic_load(&server->state) == SAMP_SERVER_LOADING) {
        samp_api_fail(error, 503, NULL, "loading", "the model is being loaded");
        error->retry_after_s = 2;
        return SAMP_INVALID;
    }
    if (!(flags & WORK)) return SAMP_OK;
    if (atomic_load(&server->refusing)) {
        samp_api_fail(error, 503, NULL, "draining", "the server is shutting down");
        error->retry_after_s = 1;
        return SAMP_INVALID;
    }
    if (samp_engine_admits(server->engine, 1, 0, &ticket, &detail) == SAMP_OK) return SAMP_OK;
    samp_metric_add(server->metrics, SAMP_METRIC_ADMISSION_REJECTIONS, ticket.reason, 1);
    samp_api_fail(error, 429, NULL, ticket.reason, "%s", detail.message);
    error->retry_after_s = (unsigned)(ticket.retry_seconds + 1);
    return SAMP_LIMIT;
}

static samp_status check_type(const samp_http_request *request, samp_api_error *error)
{
    if (request->method != SAMP_HTTP_POST) return SAMP_OK;
    const char *encoding = samp_http_request_header(request, "content-encoding");
    if (!encoding || strcmp(encoding, "identity") == 0) return SAMP_OK;
    return samp_api_fail(error, 415, NULL, NULL,
                         "the content encoding '%.40s' is not supported; send the body plain",
                         encoding);
}

/* What is known before the body: NULL and an answered error, or the route. */
static const struct route *admit(samp_server *server, samp_http_exchange *exchange,
                                 const samp_http_request *request)
{
    samp_api_error error;
    const struct route *route = find_route(server, request, &error);
    if (route && ((!(route->flags & PUBLIC) && check_key(server, request, &error) != SAMP_OK) ||
                  check_type(request, &error) != SAMP_OK ||
                  check_state(server, route->flags, &error) != SAMP_OK))
        route = NULL;
    if (!route) samp__respond_error(exchange, &error);
    return route;
}

void samp__route_early(void *context, samp_http_exchange *exchange,
                       const samp_http_request *request)
{
    admit(context, exchange, request);
}

void samp__route(void *context, samp_http_exchange *exchange, const samp_http_request *request)
{
    const struct route *route = admit(context, exchange, request);
    if (route) route->function(context, exchange, request);
}

void samp__route_metrics(void *context, samp_http_exchange *exchange,
                         const samp_http_request *request)
{
    if (strcmp(request->path, "/metrics") == 0 && request->method == SAMP_HTTP_GET)
        get_metrics(context, exchange, request);
    else if (strcmp(request->path, "/health") == 0)
        get_health(context, exchange, request);
    else {
        samp_api_error error;
        samp_api_fail(&error, 404, NULL, NULL, "there is only /metrics and /health here");
        samp__respond_error(exchange, &error);
    }
}

/* The small page at /: its text is built in (page.html), its numbers come as JSON. */
#include "serve/server_internal.h"

#include <math.h>
#include <string.h>

extern const char samp__page_html[];

void samp__route_page(samp_server *server, samp_http_exchange *exchange)
{
    (void)server;
    samp_http_add_header(exchange, "Content-Security-Policy",
                         "default-src 'none'; script-src 'unsafe-inline'; style-src "
                         "'unsafe-inline'; connect-src 'self'; img-src data:");
    samp_http_respond(exchange, 200, "text/html; charset=utf-8", samp__page_html,
                      strlen(samp__page_html));
}

static void number(samp_buffer *body, const char *key, double value)
{
    samp_buffer_printf(body, ",\"%s\":", key);
    samp_metrics_write_number(body, value);
}

/* Groups whose drift is known; nothing at all when none is. */
static void write_drift(const samp_server *server, samp_buffer *body)
{
    const char *group;
    double value;
    unsigned n = 0;
    if (atomic_load(&server->state) == SAMP_SERVER_LOADING) return;
    for (size_t i = 0; samp_drift_read(server->drift, i, &group, &value); i++) {
        if (isnan(value)) continue;
        samp_buffer_printf(body,
                           n++ ? ",{\"group\":\"%s\",\"value\":%.4f}"
                               : ",\"drift\":[{\"group\":\"%s\",\"value\":%.4f}",
                           group, value);
    }
    if (n) samp_buffer_text(body, "]");
}

void samp__route_page_status(samp_server *server, samp_http_exchange *exchange)
{
    samp_metrics *m = server->metrics;
    samp_buffer body = {0};
    samp__observe_now(server);
    samp_buffer_text(&body, "{\"model\":");
    samp_json_write_string(&body, server->model_name, strlen(server->model_name));
    bool ready = atomic_load(&server->state) == SAMP_SERVER_READY;
    samp_buffer_printf(&body, ",\"ready\":%s,\"about\":", ready ? "true" : "false");
    const char *about = atomic_load(&server->state) == SAMP_SERVER_LOADING ? "" : server->about;
    samp_json_write_string(&body, about, strlen(about));
    samp_buffer_printf(&body, ",\"keys\":%s", server->keys ? "true" : "false");
    number(&body, "now", samp_clock());
    number(&body, "running", samp_metric_value(m, SAMP_METRIC_REQUESTS_RUNNING, NULL));
    number(&body, "waiting", samp_metric_value(m, SAMP_METRIC_REQUESTS_WAITING, NULL));
    number(&body, "kv_usage", samp_metric_value(m, SAMP_METRIC_KV_USAGE, NULL));
    number(&body, "prompt_tokens", samp_metric_value(m, SAMP_METRIC_PROMPT_TOKENS, NULL));
    number(&body, "generated_tokens", samp_metric_value(m, SAMP_METRIC_GENERATION_TOKENS, NULL));
    number(&body, "prefix_hits", samp_metric_value(m, SAMP_METRIC_PREFIX_HITS, NULL));
    number(&body, "prefix_queries", samp_metric_value(m, SAMP_METRIC_PREFIX_QUERIES, NULL));
    number(&body, "resident_bytes", samp_metric_value(m, SAMP_METRIC_RESIDENT_BYTES, NULL));
    write_drift(server, &body);
    samp_buffer_text(&body, "}");
    samp__respond_body(exchange, "application/json", &body);
}

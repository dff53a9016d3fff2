/* One connection: sends a request, times what comes, and says how it ended. */
#include "bench/load_internal.h"

#include "base/memory.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

/* ---- addresses ------------------------------------------------------------------------------- */

samp_status samp__load_target_parse(const char *url, samp__load_target *out, samp_error *error)
{
    char name[256], port[8] = "80";
    *out = (samp__load_target){0};
    if (strncmp(url, "http://", 7) != 0)
        return samp_fail(error, SAMP_UNSUPPORTED, "%s: expected http://HOST[:PORT][/PATH]", url);
    const char *authority = url + 7;
    size_t n = strcspn(authority, "/");
    snprintf(out->prefix, sizeof out->prefix, "%s", authority + n);
    size_t end = strlen(out->prefix);
    if (end >= 3 && strcmp(out->prefix + end - 3, "/v1") == 0) end -= 3;
    while (end && out->prefix[end - 1] == '/') end--;
    out->prefix[end] = '\0';
    snprintf(out->host, sizeof out->host, "%.*s", (int)n, authority);
    bool bracket = out->host[0] == '[';
    char *close = bracket ? strchr(out->host, ']') : NULL;
    char *colon = strrchr(close ? close : out->host, ':');
    size_t length = close ? (size_t)(close - out->host) - 1
                          : (colon ? (size_t)(colon - out->host) : strlen(out->host));
    snprintf(name, sizeof name, "%.*s", (int)length, out->host + bracket);
    if (colon) snprintf(port, sizeof port, "%.7s", colon + 1);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(name, port, &hints, &found);
    if (code != 0) return samp_fail(error, SAMP_NOT_FOUND, "%s: %s", url, gai_strerror(code));
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->address_length = found->ai_addrlen;
    freeaddrinfo(found);
    return SAMP_OK;
}

/* A loop whose timers ring when they should: its plain clock moves in steps of 4 ms. */
struct event_base *samp__load_loop(void)
{
    struct event_config *config = event_config_new();
    if (!config) return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void count_usage(samp_load_record *record, const json_t *usage)
{
    if (!json_is_object(usage)) return;
    record->input_tokens = (uint32_t)json_integer_value(json_object_get(usage, "prompt_tokens"));
    record->output_tokens =
        (uint32_t)json_integer_value(json_object_get(usage, "completion_tokens"));
    record->usage_seen = true;
}

/* Text in a choice: of a completion, of a chat's delta (thinking counts), or of a tool call. */
static bool has_text(const json_t *choice)
{
    const json_t *delta = json_object_get(choice, "delta");
    static const char *const names[] = {"content", "reasoning_content", "reasoning"};
    if (json_string_length(json_object_get(choice, "text"))) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_string_length(json_object_get(delta, names[i]))) return true;
    return json_array_size(json_object_get(delta, "tool_calls")) > 0;
}

static void take_text(samp__load_connection *c)
{
    double now = c->arrived;
    samp_load_record *record = c->record;
    if (record->n_chunks++ == 0)
        record->first_token = now;
    else if (c->on_gap)
        c->on_gap(c->context, c, now - c->last_text);
    record->last_token = c->last_text = now;
}

static void take_event(void *context, const char *data, size_t n)
{
    samp__load_connection *c = context;
    if (!c->record) return;
    if (strcmp(data, "[DONE]") == 0) {
        c->done_seen = true;
        return;
    }
    json_t *json = samp_json_read(data, n, 0, NULL);
    if (!json) {
        c->malformed = true;
        return;
    }
    if (json_object_get(json, "error")) c->error_seen = true;
    size_t i;
    json_t *choice;
    json_array_foreach(json_object_get(json, "choices"), i, choice)
    {
        if (has_text(choice)) take_text(c);
        if (json_is_string(json_object_get(choice, "finish_reason"))) c->finish_seen = true;
    }
    count_usage(c->record, json_object_get(json, "usage"));
    json_decref(json);
}

/* ---- how it ends ----------------------------------------------------------------------------- */

static samp_load_outcome judge(const samp__load_connection *c)
{
    const samp_load_record *record = c->record;
    if (c->stream.state == SAMP__STREAM_BROKEN)
        return c->stream.status ? SAMP_LOAD_CUT : SAMP_LOAD_MALFORMED;
    if (c->stream.status != 200) return SAMP_LOAD_STATUS;
    if (!c->stream.events) return c->wants_events ? SAMP_LOAD_MALFORMED : SAMP_LOAD_SUCCESS;
    if (c->error_seen) return SAMP_LOAD_ERROR_EVENT;
    if (c->malformed) return SAMP_LOAD_MALFORMED;
    if (!c->finish_seen) return SAMP_LOAD_NO_FINISH;
    if (!c->done_seen) return SAMP_LOAD_NO_DONE;
    return record->n_chunks || record->output_tokens ? SAMP_LOAD_SUCCESS : SAMP_LOAD_NO_TOKENS;
}

static void disconnect(samp__load_connection *c)
{
    if (c->bev) bufferevent_free(c->bev);
    c->bev = NULL;
}

static void end_request(samp__load_connection *c, samp_load_outcome outcome)
{
    samp_load_record *record = c->record;
    event_del(c->timer);
    record->end = samp_clock();
    record->outcome = outcome;
    record->status = c->stream.status;
    if (!record->usage_seen) record->output_tokens = record->n_chunks;
    bool kept = c->stream.keep_alive && c->stream.state == SAMP__STREAM_COMPLETE &&
                outcome != SAMP_LOAD_TIMEOUT;
    if (!kept) disconnect(c);
    c->record = NULL;
    c->on_end(c->context, c);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
    samp__load_connection *c = context;
    (void)fd, (void)what;
    if (c->record) end_request(c, c->bev ? SAMP_LOAD_TIMEOUT : c->unconnected);
}

/* Bytes are stamped as they are read; what they say is looked at once all sockets that are ready
 * have been read. Of two thousand at once, the last would seem late by all others' parsing. */
static void on_bytes(struct evbuffer *input, const struct evbuffer_cb_info *info, void *context)
{
    samp__load_connection *c = context;
    (void)input;
    if (info->n_added) c->arrived = samp_clock();
}

static void on_read(struct bufferevent *bev, void *context)
{
    samp__load_connection *c = context;
    struct evbuffer *input = bufferevent_get_input(bev);
    if (!c->record) { /* nobody asked */
        disconnect(c);
        return;
    }
    if (c->record->first_byte == 0) c->record->first_byte = c->arrived;
    while (evbuffer_get_length(input) && c->stream.state < SAMP__STREAM_COMPLETE) {
        struct evbuffer_iovec piece;
        if (evbuffer_peek(input, -1, NULL, &piece, 1) < 1) break;
        samp__stream_take(&c->stream, piece.iov_base, piece.iov_len);
        evbuffer_drain(input, piece.iov_len);
    }
    if (c->stream.state >= SAMP__STREAM_COMPLETE) end_request(c, judge(c));
}

static void write_request(samp__load_connection *c);

static void on_event(struct bufferevent *bev, short what, void *context)
{
    samp__load_connection *c = context;
    if (what & BEV_EVENT_CONNECTED) {
        int on = 1;
        setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return;
    }
    if (!c->record) {
        disconnect(c);
        return;
    }
    bool unanswered = c->stream.state == SAMP__STREAM_HEAD && c->record->first_byte == 0;
    if (unanswered && c->reused) { /* a kept connection the server had closed: once more */
        disconnect(c);
        write_request(c);
        return;
    }
    samp__stream_end(&c->stream);
    end_request(c, unanswered ? SAMP_LOAD_CONNECT : judge(c));
}

/* ---- sending --------------------------------------------------------------------------------- */

/* At once where the connection stands: a bufferevent writes on its loop's next round, which is late
 * by all that this one has to do. */
static void write_bytes(samp__load_connection *c)
{
    const char *bytes = c->request.data;
    ssize_t n = 0;
    if (c->reused)
        n = send(bufferevent_getfd(c->bev), bytes, c->request.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) n = 0; /* the bufferevent will meet the same, and tell */
    if ((size_t)n < c->request.length)
        bufferevent_write(c->bev, bytes + n, c->request.length - (size_t)n);
}

static void write_request(samp__load_connection *c)
{
    samp__stream_reset(&c->stream);
    c->reused = c->bev != NULL;
    c->unconnected = SAMP_LOAD_CONNECT;
    if (!c->bev) {
        c->bev =
            bufferevent_socket_new(c->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
        if (c->bev) {
            bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
            evbuffer_add_cb(bufferevent_get_input(c->bev), on_bytes, c);
            bufferevent_enable(c->bev, EV_READ | EV_WRITE);
            if (bufferevent_socket_connect(c->bev, (struct sockaddr *)&c->target->address,
                                           (int)c->target->address_length) != 0) {
                if (errno == EMFILE || errno == ENFILE) c->unconnected = SAMP_LOAD_DESCRIPTORS;
                disconnect(c);
            }
        }
    }
    if (c->bev)
        write_bytes(c);
    else { /* told from the loop, not from within the caller */
        struct timeval now = {0};
        event_add(c->timer, &now);
    }
}

void samp__load_send(samp__load_connection *c, const samp__load_target *target, const char *path,
                     const char *api_key, const samp_buffer *body, samp_load_record *record)
{
    struct timeval limit = {.tv_sec = (time_t)c->timeout_s,
                            .tv_usec =
                                (suseconds_t)(1e6 * (c->timeout_s - (double)(time_t)c->timeout_s))};
    if (c->target != target) disconnect(c);
    c->target = target;
    c->record = record;
    c->wants_events = body != NULL;
    c->done_seen = c->finish_seen = c->error_seen = c->malformed = false;
    samp_buffer_clear(&c->request);
    samp_buffer_printf(&c->request, "%s %s%s HTTP/1.1\r\nHost: %s\r\n", body ? "POST" : "GET",
                       target->prefix, path, target->host);
    if (api_key) samp_buffer_printf(&c->request, "Authorization: Bearer %s\r\n", api_key);
    if (body)
        samp_buffer_printf(&c->request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                           body->length);
    samp_buffer_text(&c->request, "\r\n");
    if (body) samp_buffer_append(&c->request, body->data, body->length);
    record->sent = samp_clock();
    event_add(c->timer, &limit);
    write_request(c);
}

samp_status samp__load_connection_open(samp__load_connection **out, struct event_base *base,
                                       samp_error *error)
{
    samp__load_connection *c = samp_alloc(1, sizeof *c);
    if (c) c->timer = event_new(base, -1, 0, on_timeout, c);
    if (!c || !c->timer) {
        samp_free(c);
        return samp_fail(error, SAMP_NOMEM, "out of memory for a connection");
    }
    c->base = base;
    c->stream.on_event = take_event;
    c->stream.context = c;
    *out = c;
    return SAMP_OK;
}

void samp__load_connection_close(samp__load_connection *c)
{
    if (!c) return;
    disconnect(c);
    event_free(c->timer);
    samp__stream_release(&c->stream);
    samp_buffer_release(&c->request);
    samp_free(c);
}

/* ---- one answer ------------------------------------------------------------------------------ */

static void stop_loop(void *context, samp__load_connection *c)
{
    (void)c;
    event_base_loopbreak(context);
}

samp_status samp__load_fetch(const samp__load_target *target, const char *path, const char *api_key,
                             samp_buffer *body, samp_error *error)
{
    samp__load_connection *c = NULL;
    samp_load_record record = {0};
    struct event_base *base = samp__load_loop();
    if (!base) return samp_fail(error, SAMP_NOMEM, "out of memory for an event loop");
    samp_status status = samp__load_connection_open(&c, base, error);
    if (status == SAMP_OK) {
        c->timeout_s = 10;
        c->on_end = stop_loop;
        c->context = base;
        samp__load_send(c, target, path, api_key, NULL, &record);
        event_base_dispatch(base);
        if (record.outcome == SAMP_LOAD_SUCCESS)
            samp_buffer_append(body, c->stream.body.data, c->stream.body.length);
        else if (record.outcome == SAMP_LOAD_STATUS)
            status = samp_fail(error, SAMP_NOT_FOUND, "http://%s%s%s answered %d", target->host,
                               target->prefix, path, record.status);
        else
            status = samp_fail(error, SAMP_IO, "http://%s%s%s did not answer: %s", target->host,
                               target->prefix, path, samp_load_outcome_text(record.outcome));
    }
    samp__load_connection_close(c);
    event_base_free(base);
    return status;
}

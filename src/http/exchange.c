/* Exchanges: the side that other threads see, and how their answers get to the loop.
 *
 * An answer is put into its final form by the thread that gives it, in the exchange's outbox; the
 * loop only moves bytes. So a token costs its maker a lock and a copy, and the loop one wake-up for
 * all that came since the last. */
#include "http/internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "http/syntax.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum { FIELDS_BYTES_MAX = 16384, SCRATCH_KEPT_BYTES = 1 << 16 };

samp_http_exchange *samp__http_exchange_create(samp_http_connection *connection,
                                               const samp__http_listener *listener,
                                               const char *peer)
{
    samp_http_server *server = listener->server;
    samp_http_exchange *exchange = samp_alloc(1, sizeof *exchange);
    if (!exchange) return NULL;
    exchange->server = server;
    exchange->connection = connection;
    exchange->began = samp_clock();
    exchange->reason = "";
    atomic_init(&exchange->users, 1);
    memcpy(exchange->peer, peer, sizeof exchange->peer);
    SAMP__COUNT(server, exchanges_open, 1);
    return exchange;
}

/* By the loop; frees when nothing can reach the exchange any more. */
static void free_if_done(samp_http_exchange *exchange)
{
    samp_http_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    bool done = !exchange->connection && exchange->unheld && !exchange->ready;
    pthread_mutex_unlock(&server->lock);
    if (!done) return;
    SAMP__UNCOUNT(server, bodies_bytes, exchange->bytes_counted);
    SAMP__UNCOUNT(server, exchanges_open, 1);
    samp_http_request_release(&exchange->request);
    samp_buffer_release(&exchange->fields);
    samp_buffer_release(&exchange->outbox);
    samp_free(exchange);
}

/* Tells callback and log how the exchange ended. */
static void tell_outcome(samp_http_exchange *exchange, int status, bool complete,
                         const char *reason)
{
    samp_http_server *server = exchange->server;
    const samp_http_request *request = &exchange->request;
    bool read = request->path != NULL;
    samp_http_outcome outcome = {.peer = exchange->peer,
                                 .method = read ? samp_http_method_name(request->method) : "-",
                                 .path = read ? request->path : "-",
                                 .status = status,
                                 .complete = complete,
                                 .watched = exchange->closed != NULL,
                                 .reason = *reason ? reason : exchange->reason,
                                 .bytes_in = request->body_bytes.length,
                                 .bytes_out = exchange->bytes_out,
                                 .seconds = samp_clock() - exchange->began};
    if (!complete) SAMP__COUNT(server, clients_gone, 1);
    if (exchange->closed) exchange->closed(exchange->closed_context, &outcome);
    if (server->options.access_log) server->options.access_log(server->context, &outcome);
}

void samp__http_exchange_end(samp_http_exchange *exchange, bool complete, const char *reason)
{
    pthread_mutex_lock(&exchange->server->lock);
    atomic_store(&exchange->gone, true);
    int status = exchange->answer == SAMP__ANSWER_NONE ? 499 : exchange->status;
    samp_buffer_release(&exchange->outbox);
    pthread_mutex_unlock(&exchange->server->lock);
    exchange->connection = NULL;
    if (reason) tell_outcome(exchange, status, complete, reason);
    free_if_done(exchange);
}

samp__http_answer samp__http_exchange_answer(samp_http_exchange *exchange)
{
    pthread_mutex_lock(&exchange->server->lock);
    samp__http_answer answer = exchange->answer;
    pthread_mutex_unlock(&exchange->server->lock);
    return answer;
}

void samp__http_exchange_body_read(samp_http_exchange *exchange)
{
    pthread_mutex_lock(&exchange->server->lock);
    exchange->body_read = true;
    pthread_mutex_unlock(&exchange->server->lock);
}

void samp__http_exchange_refuse(samp_http_exchange *exchange, int status, const char *reason)
{
    samp_http_server *server = exchange->server;
    exchange->reason = reason;
    pthread_mutex_lock(&server->lock);
    exchange->close_after = true;
    pthread_mutex_unlock(&server->lock);
    samp_buffer body = {0};
    if (server->options.error_writer)
        server->options.error_writer(status, reason, &body);
    else
        samp_buffer_printf(&body, "%s\n", reason);
    if (status == 503) samp_http_add_header(exchange, "Retry-After", "1");
    const char *type = server->options.error_content_type;
    samp_http_respond(exchange, status, type ? type : "text/plain; charset=utf-8",
                      body.data ? body.data : "", body.length);
    samp_buffer_release(&body);
}

/* What an exchange in the ready list has for the loop. */
static void deliver_one(samp_http_server *server, samp_http_exchange *exchange)
{
    pthread_mutex_lock(&server->lock);
    exchange->ready = false;
    samp_buffer taken = exchange->outbox;
    exchange->outbox = server->scratch;
    server->scratch = taken;
    const char *cut = exchange->cut;
    bool abandoned = exchange->unheld && exchange->answer != SAMP__ANSWER_ENDED;
    samp__http_answer answer = exchange->answer;
    pthread_mutex_unlock(&server->lock);
    if (exchange->connection && cut) {
        samp__http_connection_close(exchange->connection, cut);
    } else if (exchange->connection && abandoned && answer == SAMP__ANSWER_STREAM) {
        samp__http_connection_close(exchange->connection, "the stream was abandoned");
    } else if (exchange->connection && abandoned) {
        samp__http_exchange_refuse(exchange, 500, "the server has no answer to this request");
    } else if (exchange->connection) {
        samp__http_connection_news(exchange->connection, &server->scratch, answer);
    } else {
        free_if_done(exchange);
    }
    samp_buffer_clear(&server->scratch);
    if (server->scratch.capacity > SCRATCH_KEPT_BYTES) samp_buffer_release(&server->scratch);
}

void samp__http_deliver(samp_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    samp_http_exchange *next = server->ready_first;
    server->ready_first = server->ready_last = NULL;
    server->wake_pending = false;
    pthread_mutex_unlock(&server->lock);
    while (next) {
        samp_http_exchange *exchange = next;
        next = exchange->next_ready; /* stays while `ready` is set */
        deliver_one(server, exchange);
    }
}

samp_http_exchange *samp_http_exchange_retain(samp_http_exchange *exchange)
{
    atomic_fetch_add(&exchange->users, 1);
    return exchange;
}

void samp_http_exchange_release(samp_http_exchange *exchange)
{
    unsigned before = atomic_fetch_sub(&exchange->users, 1);
    assert(before > 0);
    if (before > 1) return;
    samp_http_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    exchange->unheld = true;
    bool wake = samp__http_ready(exchange);
    pthread_mutex_unlock(&server->lock);
    if (wake) samp__http_wake(server);
}

const samp_http_request *samp_http_exchange_request(const samp_http_exchange *exchange)
{
    return &exchange->request;
}

bool samp_http_exchange_gone(const samp_http_exchange *exchange)
{
    return atomic_load_explicit(&exchange->gone, memory_order_relaxed);
}

void samp_http_on_close(samp_http_exchange *exchange, samp_http_closed *callback, void *context)
{
    exchange->closed = callback;
    exchange->closed_context = context;
}

samp_status samp_http_add_header(samp_http_exchange *exchange, const char *name, const char *value)
{
    static const char *const own[] = {"Content-Length", "Content-Type", "Transfer-Encoding",
                                      "Connection",     "Date",         "Trailer",
                                      "Keep-Alive",     "Upgrade"};
    if (!samp__is_token_text(name)) return SAMP_INVALID;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcasecmp(name, own[i]) == 0) return SAMP_INVALID;
    for (const char *p = value; *p; p++)
        if (!samp__is_text(*p)) return SAMP_INVALID;
    if (exchange->fields.length + strlen(name) + strlen(value) > FIELDS_BYTES_MAX)
        return SAMP_LIMIT;
    samp_buffer_printf(&exchange->fields, "%s: %s\r\n", name, value);
    return exchange->fields.failed ? SAMP_NOMEM : SAMP_OK;
}

/* Locks; whether an answer that is now `expected` can go on. */
static samp_status lock_answer(samp_http_exchange *exchange, samp__http_answer expected)
{
    pthread_mutex_lock(&exchange->server->lock);
    if (atomic_load(&exchange->gone)) return SAMP_CANCELLED;
    return exchange->answer == expected ? SAMP_OK : SAMP_INVALID;
}

/* The client can have no whole answer any more; the loop will cut it. */
static samp_status give_up(samp_http_exchange *exchange, samp_status status, const char *reason)
{
    exchange->cut = reason;
    atomic_store(&exchange->gone, true);
    return status;
}

/* Unlocks, tells the loop about what was appended to outbox since it had `before` bytes. */
static samp_status unlock_answer(samp_http_exchange *exchange, size_t before, samp_status status)
{
    samp_http_server *server = exchange->server;
    bool wake = false;
    if (status == SAMP_OK && exchange->outbox.failed)
        status = give_up(exchange, SAMP_NOMEM, "out of memory");
    if (status == SAMP_OK) atomic_fetch_add(&exchange->waiting, exchange->outbox.length - before);
    if (status == SAMP_OK || exchange->cut) wake = samp__http_ready(exchange);
    pthread_mutex_unlock(&server->lock);
    if (wake) samp__http_wake(server);
    return status;
}

samp_status samp_http_respond(samp_http_exchange *exchange, int status, const char *content_type,
                              const void *body, size_t n)
{
    if (status < 200 || status > 599) return SAMP_INVALID;
    samp_status result = lock_answer(exchange, SAMP__ANSWER_NONE);
    size_t before = exchange->outbox.length;
    if (result == SAMP_OK) {
        bool empty = status == 204 || status == 304 || exchange->request.method == SAMP_HTTP_HEAD;
        samp__http_write_head(exchange, status, content_type, &n);
        if (!empty) samp_buffer_append(&exchange->outbox, body, n);
        exchange->answer = SAMP__ANSWER_ENDED;
    }
    return unlock_answer(exchange, before, result);
}

samp_status samp_http_sse_begin(samp_http_exchange *exchange)
{
    samp_status result = lock_answer(exchange, SAMP__ANSWER_NONE);
    size_t before = exchange->outbox.length;
    if (result == SAMP_OK && exchange->request.method == SAMP_HTTP_HEAD) result = SAMP_INVALID;
    if (result == SAMP_OK) {
        samp__http_write_head(exchange, 200, "text/event-stream; charset=utf-8", NULL);
        exchange->answer = SAMP__ANSWER_STREAM;
    }
    return unlock_answer(exchange, before, result);
}

samp_status samp_http_sse_send(samp_http_exchange *exchange, const void *data, size_t n)
{
    samp_status result = lock_answer(exchange, SAMP__ANSWER_STREAM);
    size_t before = exchange->outbox.length;
    size_t max = exchange->server->options.output_bytes_max;
    if (result == SAMP_OK && (n > max || atomic_load(&exchange->waiting) > max - n)) {
        result = give_up(exchange, SAMP_LIMIT, "the client did not read its stream");
        SAMP__COUNT(exchange->server, output_overflows, 1);
    }
    if (result == SAMP_OK)
        samp__http_write_event(&exchange->outbox, data, n, exchange->request.minor > 0);
    return unlock_answer(exchange, before, result);
}

samp_status samp_http_sse_end(samp_http_exchange *exchange)
{
    samp_status result = lock_answer(exchange, SAMP__ANSWER_STREAM);
    size_t before = exchange->outbox.length;
    if (result == SAMP_OK) {
        if (exchange->request.minor) samp_buffer_text(&exchange->outbox, "0\r\n\r\n");
        exchange->answer = SAMP__ANSWER_ENDED;
    }
    return unlock_answer(exchange, before, result);
}

void samp_http_server_hold(samp_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->held++;
    pthread_mutex_unlock(&server->lock);
}

void samp_http_server_unhold(samp_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    assert(server->held > 0);
    bool wake = --server->held == 0 && server->ready_first && !server->wake_pending;
    server->wake_pending |= wake;
    pthread_mutex_unlock(&server->lock);
    if (wake) samp__http_wake(server);
}

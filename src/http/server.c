/* The server itself: opening, the loop and what wakes it, draining, closing, counters. */
#include "http/internal.h"

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/memory.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { OTHER_DESCRIPTORS = 64 }; /* kept for files, listeners, logs */

samp_http_options samp_http_options_default(void)
{
    return (samp_http_options){.connections_max = 16384,
                               .request_line_bytes_max = 8192,
                               .head_bytes_max = 32768,
                               .body_bytes_max = 16 << 20,
                               .headers_max = 100,
                               .bodies_bytes_max = 512 << 20,
                               .output_bytes_max = 256 << 10,
                               .head_seconds = 10,
                               .body_seconds = 60,
                               .idle_seconds = 75,
                               .write_seconds = 30,
                               .heartbeat_seconds = 15};
}

/* ---- waking ---- */

bool samp__http_ready(samp_http_exchange *exchange)
{
    samp_http_server *server = exchange->server;
    if (!exchange->ready) {
        exchange->ready = true;
        exchange->next_ready = NULL;
        if (server->ready_first)
            server->ready_last->next_ready = exchange;
        else
            server->ready_first = exchange;
        server->ready_last = exchange;
    }
    bool here = server->running && pthread_equal(server->loop_thread, pthread_self());
    bool wake = !server->wake_pending && (here || server->held == 0);
    server->wake_pending |= wake;
    return wake;
}

void samp__http_wake(samp_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool here = server->running && pthread_equal(server->loop_thread, pthread_self());
    pthread_mutex_unlock(&server->lock);
    if (here) {
        event_active(server->wake_event, EV_READ, 0);
        return;
    }
    uint64_t one = 1;
    SAMP__COUNT(server, wakeups, 1);
    ssize_t n = write(server->wake_fd, &one, sizeof one);
    (void)n; /* fails only when the counter is full, and then the loop is awake anyway */
}

static void close_listeners(samp_http_server *server)
{
    for (size_t i = 0; i < server->n_listeners; i++)
        samp__http_listener_close(&server->listeners[i]);
}

static void drain_connections(samp_http_server *server, bool now)
{
    for (samp_http_connection *connection = server->connections, *next; connection;
         connection = next) {
        next = samp__http_connection_next(connection);
        samp__http_connection_drain(connection, now);
    }
}

static void on_drained(evutil_socket_t fd, short events, void *context)
{
    (void)fd, (void)events;
    samp_http_server *server = context;
    drain_connections(server, true);
    event_base_loopbreak(server->base);
}

static void drain(samp_http_server *server, double due)
{
    if (atomic_exchange(&server->draining, true) && due >= server->drain_due) return;
    server->drain_due = due;
    close_listeners(server);
    samp__http_set_timer(server->drain_timer, due - samp_clock());
    drain_connections(server, false);
    if (!server->connections) event_base_loopbreak(server->base);
}

void samp__http_connection_closed(samp_http_server *server)
{
    if (atomic_load(&server->draining) && !server->connections) event_base_loopbreak(server->base);
}

static void on_wake(evutil_socket_t fd, short events, void *context)
{
    samp_http_server *server = context;
    uint64_t count;
    (void)events;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n; /* nothing is there when the loop thread woke itself */
    samp__http_deliver(server);
    pthread_mutex_lock(&server->lock);
    bool wanted = server->drain_wanted;
    double due = server->drain_wanted_due;
    server->drain_wanted = false;
    pthread_mutex_unlock(&server->lock);
    if (wanted) drain(server, due);
}

void samp_http_server_drain(samp_http_server *server, double seconds)
{
    double due = samp_clock() + (seconds > 0 ? seconds : 0);
    pthread_mutex_lock(&server->lock);
    if (!server->drain_wanted || due < server->drain_wanted_due) server->drain_wanted_due = due;
    server->drain_wanted = true;
    pthread_mutex_unlock(&server->lock);
    samp__http_wake(server);
}

/* ---- opening and closing ---- */

/* Each connection is a descriptor; what their limit does not allow is refused at the door, not by a
 * failing accept. */
static void limit_connections(samp_http_server *server)
{
    unsigned *max = &server->options.connections_max;
    uint64_t wanted = (uint64_t)*max + OTHER_DESCRIPTORS, limit = samp_descriptors_raise(wanted);
    if (limit >= wanted) return;
    uint64_t most =
        limit > 2 * OTHER_DESCRIPTORS ? limit - OTHER_DESCRIPTORS : (uint64_t)OTHER_DESCRIPTORS;
    samp_log(SAMP_LOG_INFO,
             "http: at most %llu connections instead of %u, as RLIMIT_NOFILE is %llu",
             (unsigned long long)most, *max, (unsigned long long)limit);
    if (*max > most) *max = (unsigned)most;
}

static samp_status check_options(const samp_http_options *options, samp_error *error)
{
    if (options->n_addresses == 0)
        return samp_fail(error, SAMP_INVALID, "a server needs an address to listen on");
    if (!options->tls_certificate != !options->tls_key)
        return samp_fail(error, SAMP_INVALID,
                         "TLS needs a certificate and its key, and only the %s "
                         "was given",
                         options->tls_key ? "key" : "certificate");
    if (options->connections_max == 0 || options->request_line_bytes_max == 0 ||
        options->head_bytes_max < options->request_line_bytes_max || options->headers_max == 0 ||
        options->body_bytes_max > SIZE_MAX / 4 || options->head_bytes_max > SIZE_MAX / 4)
        return samp_fail(error, SAMP_INVALID,
                         "the limits of the HTTP server leave no room for a request");
    return SAMP_OK;
}

static samp_status copy_options(samp_http_server *server, const samp_http_options *options,
                                samp_error *error)
{
    server->options = *options;
    server->options.addresses = NULL;
    server->options.tls_certificate = server->options.tls_key = NULL;
    server->limits = (samp_http_limits){options->request_line_bytes_max, options->head_bytes_max,
                                        options->body_bytes_max, options->headers_max};
    limit_connections(server);
    if (!options->tls_certificate) return SAMP_OK;
    server->options.tls_certificate = samp_strdup(options->tls_certificate);
    server->options.tls_key = samp_strdup(options->tls_key);
    if (!server->options.tls_certificate || !server->options.tls_key)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the HTTP server");
    server->tls = samp__http_tls_load(options->tls_certificate, options->tls_key, error);
    return server->tls ? SAMP_OK : error ? error->status : SAMP_CORRUPT;
}

static samp_status open_loop(samp_http_server *server, samp_error *error)
{
    server->base = event_base_new();
    server->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (!server->base || server->wake_fd < 0 || server->spare_fd < 0)
        return samp_fail_errno(error, "the HTTP server's event loop cannot be made");
    server->wake_event =
        event_new(server->base, server->wake_fd, EV_READ | EV_PERSIST, on_wake, server);
    server->drain_timer = evtimer_new(server->base, on_drained, server);
    if (!server->wake_event || !server->drain_timer || event_add(server->wake_event, NULL) != 0)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the HTTP server");
    return SAMP_OK;
}

static samp_status open_listeners(samp_http_server *server, const samp_http_options *options,
                                  samp_error *error)
{
    server->listeners = samp_alloc(options->n_addresses, sizeof *server->listeners);
    if (!server->listeners) return samp_fail(error, SAMP_NOMEM, "out of memory for the listeners");
    for (size_t i = 0; i < options->n_addresses; i++) {
        server->n_listeners++;
        SAMP_TRY(samp__http_listen(server, &server->listeners[i], options->addresses[i], error));
    }
    return SAMP_OK;
}

/* Writing to a client that left must be an error, not the end of the process. */
static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

samp_status samp_http_server_open(samp_http_server **out, const samp_http_options *options,
                                  samp_http_handler *handler, void *context, samp_error *error)
{
    *out = NULL;
    SAMP_TRY(check_options(options, error));
    samp_http_server *server = samp_alloc(1, sizeof *server);
    if (!server) return samp_fail(error, SAMP_NOMEM, "out of memory for the HTTP server");
    server->handler = handler;
    server->context = context;
    server->wake_fd = server->spare_fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    ignore_sigpipe();
    samp_status status = copy_options(server, options, error);
    if (status == SAMP_OK) status = open_loop(server, error);
    if (status == SAMP_OK) status = open_listeners(server, options, error);
    if (status != SAMP_OK) {
        samp_http_server_close(server);
        return status;
    }
    *out = server;
    return SAMP_OK;
}

static void set_running(samp_http_server *server, bool running)
{
    pthread_mutex_lock(&server->lock);
    server->loop_thread = pthread_self();
    server->running = running;
    pthread_mutex_unlock(&server->lock);
}

void samp_http_server_run(samp_http_server *server)
{
    set_running(server, true);
    event_base_dispatch(server->base);
    close_listeners(server);
    drain_connections(server, true);
    set_running(server, false);
}

static void close_signals(samp_http_server *server)
{
    while (server->signals) {
        samp__http_signal *signal = server->signals;
        server->signals = signal->next;
        event_free(signal->event);
        samp_free(signal);
    }
}

void samp_http_server_close(samp_http_server *server)
{
    if (!server) return;
    drain_connections(server, true);
    samp__http_deliver(server); /* exchanges that were released since */
    assert(atomic_load(&server->counters[SAMP__COUNT_exchanges_open]) == 0);
    close_signals(server);
    close_listeners(server);
    for (size_t i = 0; i < server->n_listeners; i++) samp_free(server->listeners[i].address);
    samp_free(server->listeners);
    if (server->wake_event) event_free(server->wake_event);
    if (server->drain_timer) event_free(server->drain_timer);
    if (server->base) event_base_free(server->base);
    if (server->wake_fd >= 0) close(server->wake_fd);
    if (server->spare_fd >= 0) close(server->spare_fd);
    samp__http_tls_free(server->tls);
    samp_free((char *)server->options.tls_certificate);
    samp_free((char *)server->options.tls_key);
    samp_buffer_release(&server->scratch);
    pthread_mutex_destroy(&server->lock);
    samp_free(server);
}

/* ---- the rest of the interface ---- */

samp_status samp_http_server_reload_tls(samp_http_server *server, samp_error *error)
{
    if (!server->options.tls_certificate)
        return samp_fail(error, SAMP_INVALID, "the server was started without TLS");
    void *tls =
        samp__http_tls_load(server->options.tls_certificate, server->options.tls_key, error);
    if (!tls) return error ? error->status : SAMP_CORRUPT;
    pthread_mutex_lock(&server->lock);
    void *old = server->tls;
    server->tls = tls;
    pthread_mutex_unlock(&server->lock);
    samp__http_tls_free(old); /* connections that use it hold it themselves */
    return SAMP_OK;
}

static void on_signal(evutil_socket_t number, short events, void *context)
{
    samp__http_signal *signal = context;
    (void)events;
    signal->callback(signal->context, (int)number);
}

samp_status samp_http_server_on_signal(samp_http_server *server, int number,
                                       void (*callback)(void *context, int signal), void *context,
                                       samp_error *error)
{
    samp__http_signal *signal = samp_alloc(1, sizeof *signal);
    if (!signal) return samp_fail(error, SAMP_NOMEM, "out of memory for a signal");
    signal->callback = callback;
    signal->context = context;
    signal->event = evsignal_new(server->base, number, on_signal, signal);
    if (!signal->event || event_add(signal->event, NULL) != 0) {
        if (signal->event) event_free(signal->event);
        samp_free(signal);
        return samp_fail(error, SAMP_INVALID, "signal %d cannot be handled", number);
    }
    signal->next = server->signals;
    server->signals = signal;
    return SAMP_OK;
}

const char *samp_http_server_address(const samp_http_server *server, size_t i)
{
    return server->listeners[i].address;
}

size_t samp_http_server_n_addresses(const samp_http_server *server) { return server->n_listeners; }

void samp_http_server_counters(const samp_http_server *server, samp_http_counters *out)
{
#define X(name, text)                                                                              \
    out->name = atomic_load_explicit(&server->counters[SAMP__COUNT_##name], memory_order_relaxed);
    SAMP_HTTP_COUNTER_LIST(X)
#undef X
}

/* Streams, and answers from another thread: an engine gives every stream a token a step, as a model
 * would, while clients read, read slowly, or leave. */
#include "http_support.h"

#include <poll.h>

enum { STREAMS_MAX = 256 };

typedef struct stream {
    samp_http_exchange *exchange;
    unsigned sent, total, delay; /* steps before the first token */
} stream;

typedef struct engine {
    pthread_t thread;
    pthread_mutex_t lock;
    stream streams[STREAMS_MAX];
    unsigned n;
    samp_http_server *server;
    const char *token; /* what each event is, with its number; NULL: "t%u" */
    unsigned step_us;
    atomic_bool stop;
    atomic_uint steps, closed, complete, for_the_dead, limits;
    char reason[128]; /* of the last that was not complete; under lock */
} engine;

static void on_close(void *context, const samp_http_outcome *outcome)
{
    engine *e = context;
    pthread_mutex_lock(&e->lock);
    if (!outcome->complete) snprintf(e->reason, sizeof e->reason, "%s", outcome->reason);
    pthread_mutex_unlock(&e->lock);
    if (outcome->complete) atomic_fetch_add(&e->complete, 1);
    atomic_fetch_add(&e->closed, 1);
}

/* "/N": N tokens; "/N?M": after M steps. */
static void enqueue(void *context, samp_http_exchange *exchange, const samp_http_request *request)
{
    engine *e = context;
    samp_http_on_close(exchange, on_close, e);
    pthread_mutex_lock(&e->lock);
    if (e->n == STREAMS_MAX)
        samp_http_respond(exchange, 503, NULL, "", 0);
    else
        e->streams[e->n++] = (stream){.exchange = samp_http_exchange_retain(exchange),
                                      .total = (unsigned)atoi(request->path + 1),
                                      .delay = (unsigned)atoi(request->query)};
    pthread_mutex_unlock(&e->lock);
}

/* One token of one stream; false when it is over. */
static bool step_stream(engine *e, stream *s)
{
    if (samp_http_exchange_gone(s->exchange)) return false;
    if (s->delay) return s->delay--, true;
    if (s->sent == 0 && samp_http_sse_begin(s->exchange) != SAMP_OK) return false;
    char number[16];
    snprintf(number, sizeof number, "t%u", s->sent);
    const char *token = e->token ? e->token : number;
    bool was_gone = samp_http_exchange_gone(s->exchange);
    samp_status status = samp_http_sse_send(s->exchange, token, strlen(token));
    if (status == SAMP_OK && was_gone) atomic_fetch_add(&e->for_the_dead, 1);
    if (status == SAMP_LIMIT) atomic_fetch_add(&e->limits, 1);
    if (status != SAMP_OK) return false;
    if (++s->sent < s->total) return true;
    samp_http_sse_end(s->exchange);
    return false;
}

static void *engine_main(void *context)
{
    engine *e = context;
    while (!atomic_load(&e->stop)) {
        pthread_mutex_lock(&e->lock);
        bool worked = e->n > 0;
        samp_http_server_hold(e->server);
        for (unsigned i = 0; i < e->n;) {
            if (step_stream(e, &e->streams[i])) {
                i++;
                continue;
            }
            samp_http_exchange_release(e->streams[i].exchange);
            e->streams[i] = e->streams[--e->n];
        }
        samp_http_server_unhold(e->server);
        pthread_mutex_unlock(&e->lock);
        if (worked) atomic_fetch_add(&e->steps, 1);
        usleep(e->step_us);
    }
    for (unsigned i = 0; i < e->n; i++) samp_http_exchange_release(e->streams[i].exchange);
    return NULL;
}

static host start(engine *e, const samp_http_options *options)
{
    pthread_mutex_init(&e->lock, NULL);
    if (!e->step_us) e->step_us = 1000;
    host h = host_start(options, enqueue, e);
    e->server = h.server;
    assert_int_equal(pthread_create(&e->thread, NULL, engine_main, e), 0);
    return h;
}

static void stop(engine *e, host *h)
{
    samp_http_server_drain(h->server, 0);
    pthread_join(h->thread, NULL);
    atomic_store(&e->stop, true);
    pthread_join(e->thread, NULL);
    samp_http_server_close(h->server);
}

/* ---- what is on the wire ---- */

static void send_some(void *context, samp_http_exchange *exchange, const samp_http_request *request)
{
    (void)context;
    if (samp_http_sse_begin(exchange) != SAMP_OK) {
        samp_http_respond(exchange, 405, "text/plain", "no\n", 3);
        return;
    }
    samp_http_sse_send(exchange, "{\"a\":1}", 7);
    samp_http_sse_send(exchange, "b\nc\r\nd\re", 8);
    samp_http_sse_send(exchange, "", 0);
    if (strcmp(request->path, "/abandoned") != 0) samp_http_sse_end(exchange);
}

static void events_have_their_form(void **state)
{
    (void)state;
    samp_http_options options = host_options();
    host h = host_start(&options, send_some, NULL);
    samp_buffer text = {0};
    int fd = client_open(&h);
    client_text(fd, GET("/"));
    client_until(fd, &text, "\r\n0\r\n\r\n", 1);
    const char *body = strstr(text.data, "\r\n\r\n") + 4;
    assert_string_equal(body, "f\r\ndata: {\"a\":1}\n\n\r\n"
                              "21\r\ndata: b\ndata: c\ndata: d\ndata: e\n\n\r\n"
                              "8\r\ndata: \n\n\r\n"
                              "0\r\n\r\n");
    assert_non_null(strstr(text.data, "Content-Type: text/event-stream"));
    assert_non_null(strstr(text.data, "Cache-Control: no-cache\r\n"));
    assert_non_null(strstr(text.data, "Transfer-Encoding: chunked\r\n"));
    assert_null(strstr(text.data, "Content-Length"));
    client_text(fd, GET("/abandoned")); /* the same connection; this stream never ends */
    samp_buffer_clear(&text);
    client_to_end(fd, &text);
    assert_null(strstr(text.data, "\r\n0\r\n"));
    close(fd);
    fd = client_open(&h);
    client_text(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    samp_buffer_clear(&text);
    client_to_end(fd, &text);
    assert_non_null(strstr(text.data, "Connection: close\r\n\r\ndata: {\"a\":1}\n\n"
                                      "data: b\ndata: c\ndata: d\ndata: e\n\ndata: \n\n"));
    assert_null(strstr(text.data, "chunked"));
    close(fd);
    fd = client_open(&h);
    client_text(fd, "HEAD / HTTP/1.1\r\n" HOST "\r\n");
    samp_buffer_clear(&text);
    client_until(fd, &text, "\r\n\r\n", 1);
    assert_non_null(strstr(text.data, "HTTP/1.1 405 "));
    close(fd);
    samp_buffer_release(&text);
    host_stop(&h);
}

static void a_silent_stream_beats(void **state)
{
    (void)state;
    engine e = {.step_us = 100000};
    samp_http_options options = host_options();
    options.heartbeat_seconds = 0.03;
    host h = start(&e, &options);
    samp_buffer text = {0};
    int fd = client_open(&h);
    client_text(fd, GET("/4"));
    client_until(fd, &text, "\r\n0\r\n\r\n", 1);
    unsigned beats = 0;
    for (const char *p = text.data; (p = strstr(p, "\r\n3\r\n:\n\n\r\n")); p += 5) beats++;
    assert_true(beats >= 3);
    close(fd);
    samp_buffer_release(&text);
    stop(&e, &h);
}

/* ---- many streams ---- */

static void many_tokens_need_one_wakeup(void **state)
{
    (void)state;
    enum { N = 64, TOKENS = 50 };
    engine e = {.step_us = 4000};
    samp_http_options options = host_options();
    host h = start(&e, &options);
    int fds[N];
    samp_buffer text = {0};
    for (int i = 0; i < N; i++) {
        fds[i] = client_open(&h);
        client_text(fds[i], GET("/50"));
    }
    for (int i = 0; i < N; i++) {
        samp_buffer_clear(&text);
        client_until(fds[i], &text, "\r\n0\r\n\r\n", 1);
        const char *p = text.data;
        for (int t = 0; t < TOKENS; t++) {
            char event[32];
            snprintf(event, sizeof event, "data: t%d\n\n", t);
            p = strstr(p, event);
            assert_non_null(p);
        }
        close(fds[i]);
    }
    UNTIL(atomic_load(&e.complete) == N);
    unsigned steps = atomic_load(&e.steps), wakeups = (unsigned)host_counters(&h).wakeups;
    print_message("%d tokens in %u steps woke the loop %u times\n", N * TOKENS, steps, wakeups);
    assert_true(wakeups <= steps + 2);
    samp_buffer_release(&text);
    stop(&e, &h);
}

/* ---- clients that do not read (55) ---- */

/* Reads all n streams as they come, until each has ended. */
static void read_all(const int *fds, size_t n)
{
    struct pollfd looks[16];
    samp_buffer text = {0};
    size_t ended = 0;
    for (size_t i = 0; i < n; i++) looks[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    while (ended < n) {
        assert_true(poll(looks, n, 20000) > 0);
        for (size_t i = 0; i < n; i++) {
            if (!looks[i].revents) continue;
            samp_buffer_clear(&text);
            assert_true(client_more(fds[i], &text));
            if (text.length < 5 || strcmp(text.data + text.length - 5, "0\r\n\r\n") != 0) continue;
            looks[i].fd = -1;
            ended++;
        }
    }
    samp_buffer_release(&text);
}

static void a_slow_reader_stalls_only_itself_55(void **state)
{
    (void)state;
    enum { OTHERS = 8 };
    static char token[8192];
    memset(token, 'x', sizeof token - 1);
    engine e = {.token = token, .step_us = 500};
    samp_http_options options = host_options();
    host h = start(&e, &options);
    int slow = client_open_with(&h, 4096), fds[OTHERS];
    client_text(slow, GET("/100000"));
    for (int i = 0; i < OTHERS; i++) {
        fds[i] = client_open(&h);
        client_text(fds[i], GET("/300"));
    }
    read_all(fds, OTHERS);
    UNTIL(atomic_load(&e.closed) == OTHERS + 1);
    assert_int_equal(atomic_load(&e.complete), OTHERS);
    assert_int_equal(atomic_load(&e.limits), 1);
    assert_int_equal(host_counters(&h).output_overflows, 1);
    assert_string_equal(e.reason, "the client did not read its stream");
    samp_buffer text = {0};
    client_to_end(slow, &text); /* cut: what the kernel had, and no end */
    assert_true(text.length == 0 || !strstr(text.data, "\r\n0\r\n"));
    for (int i = 0; i < OTHERS; i++) close(fds[i]);
    close(slow);
    samp_buffer_release(&text);
    stop(&e, &h);
}

static void send_much(void *context, samp_http_exchange *exchange, const samp_http_request *request)
{
    enum { BYTES = 8 << 20 };
    (void)request;
    samp_http_on_close(exchange, on_close, context);
    char *body = calloc(1, BYTES);
    samp_http_respond(exchange, 200, "text/plain", body, BYTES);
    free(body);
}

/* Reads `bytes` every 10 ms until the end; returns how much came. */
static size_t drip(int fd, size_t bytes)
{
    char piece[1 << 17];
    size_t total = 0;
    for (ssize_t n; (n = recv(fd, piece, bytes, 0)) > 0; total += (size_t)n) usleep(10000);
    return total;
}

static void answers_must_be_read_in_time_55(void **state)
{
    (void)state;
    engine e = {.lock = PTHREAD_MUTEX_INITIALIZER};
    samp_http_options options = host_options();
    options.write_seconds = 1;
    host h = host_start(&options, send_much, &e);
    for (int slow = 0; slow <= 1; slow++) {
        int fd = client_open_with(&h, slow ? 16384 : 0);
        client_text(fd, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        size_t n = drip(fd, slow ? 300 : 1 << 17);
        assert_true(slow ? n < 8 << 20 : n > 8 << 20);
        close(fd);
        UNTIL(atomic_load(&e.closed) == (unsigned)slow + 1);
        assert_int_equal(atomic_load(&e.complete), 1);
    }
    assert_string_equal(e.reason, "the client did not read its answer");
    assert_int_equal(host_counters(&h).timeouts, 1);
    host_stop(&h);
}

/* ---- clients that leave (60) ---- */

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void a_client_that_leaves_is_noticed_60(void **state)
{
    (void)state;
    engine e = {.step_us = 2000};
    samp_http_options options = host_options();
    host h = start(&e, &options);
    samp_buffer text = {0}, ahead = {0};
    while (ahead.length < 100000) samp_buffer_text(&ahead, GET("/1"));
    unsigned n = 0;
    for (int streaming = 0; streaming <= 1; streaming++)
        for (int how = 0; how < 5; how++) {
            int fd = client_open(&h);
            uint64_t requests = host_counters(&h).requests;
            client_text(fd, streaming ? GET("/1000000") : GET("/1?1000000"));
            UNTIL(host_counters(&h).requests == requests + 1);
            samp_buffer_clear(&text);
            if (streaming) client_until(fd, &text, "data: ", 2);
            if (how >= 3) { /* with more sent ahead than the server reads */
                send(fd, ahead.data, ahead.length, MSG_DONTWAIT | MSG_NOSIGNAL);
                usleep(20000);
            }
            double began = samp_clock();
            if (how == 0 || how == 3)
                close(fd);
            else if (how == 1 || how == 4)
                reset(fd);
            else
                shutdown(fd, SHUT_WR);
            n++;
            UNTIL(atomic_load(&e.closed) == n && host_counters(&h).exchanges_open == 0);
            assert_true(samp_clock() - began < 10);
            if (how == 2) close(fd);
        }
    assert_int_equal(atomic_load(&e.complete), 0);
    assert_int_equal(host_counters(&h).clients_gone, n);
    assert_int_equal(atomic_load(&e.for_the_dead), 0);
    UNTIL(host_counters(&h).connections_open == 0);
    samp_buffer_release(&text);
    samp_buffer_release(&ahead);
    stop(&e, &h);
}

/* The kernel's timer of the server's socket that is connected to `port`: 2 is keep-alive. */
static int socket_timer(unsigned port)
{
    unsigned local, remote, state, timer = 0;
    char line[512];
    FILE *table = fopen("/proc/net/tcp", "re");
    assert_non_null(table);
    while (fgets(line, sizeof line, table))
        if (sscanf(line, " %*d: %*x:%x %*x:%x %x %*x:%*x %x:", &local, &remote, &state, &timer) ==
                4 &&
            remote == port && state == 1)
            break;
    fclose(table);
    return (int)timer;
}

static void a_client_that_waits_long_is_watched_60(void **state)
{
    (void)state;
    engine e = {.step_us = 2000};
    samp_http_options options = host_options();
    options.write_seconds = 6; /* a probe a second */
    host h = start(&e, &options);
    int fd = client_open(&h);
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    getsockname(fd, (struct sockaddr *)&own, &size);
    client_text(fd, GET("/1?1000")); /* 2 s until its only token */
    UNTIL(host_counters(&h).requests == 1);
    assert_int_equal(socket_timer(ntohs(own.sin_port)), 0);
    UNTIL(socket_timer(ntohs(own.sin_port)) == 2);
    samp_buffer text = {0};
    client_until(fd, &text, "\r\n0\r\n\r\n", 1);
    UNTIL(host_counters(&h).exchanges_open == 0);
    assert_int_equal(socket_timer(ntohs(own.sin_port)), 0);
    close(fd);
    samp_buffer_release(&text);
    stop(&e, &h);
}

static void what_was_answered_reaches_a_half_closed_client_60(void **state)
{
    (void)state;
    engine e = {.lock = PTHREAD_MUTEX_INITIALIZER};
    samp_http_options options = host_options();
    host h = host_start(&options, send_much, &e);
    int fd = client_open(&h);
    client_text(fd, GET("/"));
    shutdown(fd, SHUT_WR);
    samp_buffer text = {0};
    client_to_end(fd, &text);
    assert_true(text.length > 8 << 20);
    UNTIL(atomic_load(&e.complete) == 1);
    close(fd);
    samp_buffer_release(&text);
    host_stop(&h);
}

static unsigned next_random(unsigned *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

/* A thousand clients that leave anywhere: in the head, in the body, queued, in the stream. */
static void a_thousand_cut_requests_leave_nothing_60(void **state)
{
    (void)state;
    enum { N = 1000, AT_ONCE = 50 };
    engine e = {.step_us = 500};
    samp_http_options options = host_options();
    host h = start(&e, &options);
    unsigned seed = 1;
    int fds[AT_ONCE] = {0};
    for (int i = 0; i < N; i++) {
        int *fd = &fds[i % AT_ONCE];
        if (*fd && next_random(&seed) % 2)
            reset(*fd);
        else if (*fd)
            close(*fd);
        *fd = client_open(&h);
        char request[256];
        int n = snprintf(request, sizeof request,
                         "POST /%u?%u HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\n%040d",
                         1 + next_random(&seed) % 60, next_random(&seed) % 20, 0);
        if (next_random(&seed) % 3 == 0) n = (int)(next_random(&seed) % (unsigned)n);
        client_send(*fd, request, (size_t)n);
        if (i % 10 == 0) usleep(3000);
    }
    for (int i = 0; i < AT_ONCE; i++) close(fds[i]);
    UNTIL(host_counters(&h).connections_open == 0 && host_counters(&h).exchanges_open == 0);
    samp_http_counters counters = host_counters(&h);
    print_message("of %d clients %u got a whole answer, %llu were gone before\n", N,
                  atomic_load(&e.complete), (unsigned long long)counters.clients_gone);
    assert_int_equal(counters.bodies_bytes, 0);
    assert_int_equal(atomic_load(&e.for_the_dead), 0);
    assert_true(counters.clients_gone > 100 && atomic_load(&e.closed) > 300);
    stop(&e, &h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_have_their_form),
        cmocka_unit_test(a_silent_stream_beats),
        cmocka_unit_test(many_tokens_need_one_wakeup),
        cmocka_unit_test(a_slow_reader_stalls_only_itself_55),
        cmocka_unit_test(answers_must_be_read_in_time_55),
        cmocka_unit_test(a_client_that_leaves_is_noticed_60),
        cmocka_unit_test(a_client_that_waits_long_is_watched_60),
        cmocka_unit_test(what_was_answered_reaches_a_half_closed_client_60),
        cmocka_unit_test(a_thousand_cut_requests_leave_nothing_60),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

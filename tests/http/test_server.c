/* The server with answers of known length: connections, hooks, listening, draining. Numbers
 * in names are the items of the project's list of bad inputs (HTTP: 55 to 60). */
#include "http_support.h"

#include <netinet/tcp.h>
#include <signal.h>

static void connections_are_kept_as_the_version_has_it(void **state)
{
    static const struct {
        const char *request;
        const char *in_answer;
        bool kept;
    } rows[] = {
        {GET("/health"), "\r\n\r\nok\n", true},
        {"GET /health HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "Connection: close", false},
        {"GET /health HTTP/1.0\r\n\r\n", "Connection: close", false},
        {"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: keep-alive", true},
        {"HEAD /health HTTP/1.1\r\n" HOST "\r\n", "Content-Length: 3\r\n\r\n", true},
        {GET("/nothing"), "HTTP/1.1 404 Not Found\r\nDate: ", true},
        {GET("/empty"), "HTTP/1.1 204 No Content", true},
        {GET("/silent"), "HTTP/1.1 500 ", false},
        {"GET /%00 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400 ", false},
    };
    (void)state;
    host h = host_start_simple();
    samp_buffer text = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client_open(&h);
        client_text(fd, rows[i].request);
        if (rows[i].kept) { /* the second answer shows that the first left nothing behind */
            client_text(fd, "GET /last HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
            samp_buffer_clear(&text);
            client_to_end(fd, &text);
            assert_non_null(strstr(text.data, "HTTP/1.1 404"));
        } else {
            samp_buffer_clear(&text);
            client_to_end(fd, &text);
        }
        if (!strstr(text.data, rows[i].in_answer)) fail_msg("%s -> %s", rows[i].request, text.data);
        assert_true(strncmp(rows[i].request, "HEAD", 4) != 0 || !strstr(text.data, "ok\n"));
        close(fd);
    }
    samp_buffer_release(&text);
    host_stop(&h);
}

static void pipelined_requests_are_answered_in_order_59(void **state)
{
    (void)state;
    enum { N = 1000 };
    host h = host_start_simple();
    int fd = client_open(&h);
    samp_buffer requests = {0}, text = {0};
    for (int i = 0; i < N; i++)
        samp_buffer_printf(&requests,
                           "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n<%03d>", i);
    client_send(fd, requests.data, requests.length);
    client_until(fd, &text, "<999>", 1);
    const char *p = text.data;
    for (int i = 0; i < N; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, "<%03d>", i);
        p = strchr(p, '<');
        assert_memory_equal(p, expected, 5);
        p++;
    }
    assert_int_equal(host_counters(&h).answers_2xx, N);
    close(fd);
    samp_buffer_release(&requests);
    samp_buffer_release(&text);
    host_stop(&h);
}

static void bytes_may_come_one_by_one(void **state)
{
    (void)state;
    static const char bytes[] = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                                "2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n" GET("/health") "G\r\n";
    host h = host_start_simple();
    int fd = client_open(&h), now = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
    for (size_t i = 0; i + 1 < sizeof bytes; i++) client_send(fd, bytes + i, 1);
    samp_buffer text = {0};
    client_to_end(fd, &text);
    const char *first = strstr(text.data, "\r\n\r\nhelloHTTP/1.1 200 ");
    assert_non_null(first);
    assert_non_null(strstr(first, "\r\n\r\nok\nHTTP/1.1 400 "));
    close(fd);
    samp_buffer_release(&text);
    host_stop(&h);
}

/* ---- hooks ---- */

static void refuse_strangers(void *context, samp_http_exchange *exchange,
                             const samp_http_request *request)
{
    atomic_int *handled = context;
    atomic_fetch_add(handled, 1 << 8);
    assert_true(request->body_length == 0 && request->body[0] == '\0');
    if (samp_http_request_header(request, "Authorization")) return;
    samp_http_add_header(exchange, "WWW-Authenticate", "Bearer");
    samp_http_respond(exchange, 401, "text/plain", "who?\n", 5);
}

static void count_and_echo(void *context, samp_http_exchange *exchange,
                           const samp_http_request *request)
{
    atomic_int *handled = context;
    atomic_fetch_add(handled, 1);
    samp_http_respond(exchange, 200, "text/plain", request->body, request->body_length);
}

static void an_early_answer_spares_the_body(void **state)
{
    (void)state;
    atomic_int handled = 0;
    samp_http_options options = host_options();
    options.early = refuse_strangers;
    host h = host_start(&options, count_and_echo, &handled);
    samp_buffer text = {0};
    int fd = client_open(&h);
    client_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n"
                    "Expect: 100-continue\r\n\r\n");
    assert_int_equal(client_answer(fd, &text), 401); /* no 100 before it */
    assert_non_null(strstr(text.data, "WWW-Authenticate: Bearer\r\n"));
    assert_non_null(strstr(text.data, "Connection: close\r\n"));
    close(fd);
    fd = client_open(&h); /* without a body the connection goes on */
    client_text(fd, GET("/echo"));
    assert_int_equal(client_answer(fd, &text), 401);
    client_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Authorization: k\r\nContent-Length: 2\r\n"
                    "Expect: 100-continue\r\n\r\n");
    assert_int_equal(client_answer(fd, &text), 100);
    client_text(fd, "hi");
    assert_int_equal(client_answer(fd, &text), 200);
    assert_string_equal(strstr(text.data, "\r\n\r\n"), "\r\n\r\nhi");
    assert_int_equal(atomic_load(&handled), (3 << 8) + 1);
    close(fd);
    samp_buffer_release(&text);
    host_stop(&h);
}

typedef struct notes {
    pthread_mutex_t lock;
    samp_buffer text;
    atomic_int n;
} notes;

static void note(void *context, const samp_http_outcome *outcome)
{
    notes *n = context;
    pthread_mutex_lock(&n->lock);
    assert_true(outcome->seconds >= 0 && strncmp(outcome->peer, "127.0.0.1:", 10) == 0);
    samp_buffer_printf(&n->text, "%s %s %d %s in %d (%s)\n", outcome->method, outcome->path,
                       outcome->status, outcome->complete ? "whole" : "cut", (int)outcome->bytes_in,
                       outcome->reason);
    pthread_mutex_unlock(&n->lock);
    atomic_fetch_add(&n->n, 1);
}

static void write_error(int status, const char *reason, samp_buffer *body)
{
    samp_buffer_printf(body, "{\"error\":\"%d %s\"}", status, reason);
}

static void every_request_is_logged_once(void **state)
{
    (void)state;
    notes n = {.lock = PTHREAD_MUTEX_INITIALIZER};
    samp_http_options options = host_options();
    options.access_log = note;
    options.error_writer = write_error;
    options.error_content_type = "application/json";
    host h = host_start(&options, serve_paths, &n);
    samp_buffer text = {0};
    exchange_once(&h, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi", &text);
    UNTIL(atomic_load(&n.n) == 1);
    assert_int_equal(exchange_once(&h, "GET\r\n", &text), 400);
    assert_non_null(strstr(text.data, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(text.data, "{\"error\":\"400 the request line is not"));
    UNTIL(atomic_load(&n.n) == 2);
    int fd = client_open(&h);
    client_text(fd, "POST /echo?x HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nh");
    UNTIL(host_counters(&h).bodies_bytes == 1);
    close(fd);
    UNTIL(atomic_load(&n.n) == 3);
    close(client_open(&h)); /* no request, no line */
    UNTIL(host_counters(&h).connections_open == 0);
    host_stop(&h);
    assert_string_equal(n.text.data,
                        "POST /echo 200 whole in 2 ()\n"
                        "- - 400 whole in 0 (the request line is not a method, a path and a "
                        "version)\n"
                        "POST /echo 499 cut in 1 (the client closed the connection)\n");
    samp_buffer_release(&n.text);
    samp_buffer_release(&text);
}

static void fields_cannot_be_injected_64(void **state)
{
    (void)state;
    host h = host_start_simple();
    samp_buffer text = {0};
    assert_int_equal(
        exchange_once(&h, "GET /health HTTP/1.1\r\n" HOST "X-Request-Id: a\rb\r\n\r\n", &text),
        400);
    host_stop(&h);
    samp_buffer_release(&text);
}

static void add_fields(void *context, samp_http_exchange *exchange,
                       const samp_http_request *request)
{
    atomic_int *wrong = context;
    static char long_value[20000];
    memset(long_value, 'x', sizeof long_value - 1);
    *wrong += samp_http_add_header(exchange, "X-Id", "a\r\nSet-Cookie: b") != SAMP_INVALID;
    *wrong += samp_http_add_header(exchange, "X Id", "a") != SAMP_INVALID;
    *wrong += samp_http_add_header(exchange, "", "a") != SAMP_INVALID;
    *wrong += samp_http_add_header(exchange, "content-length", "7") != SAMP_INVALID;
    *wrong += samp_http_add_header(exchange, "X-Long", long_value) != SAMP_LIMIT;
    *wrong += samp_http_add_header(exchange, "X-Id", request->query) != SAMP_OK;
    *wrong += samp_http_respond(exchange, 200, NULL, "a", 1) != SAMP_OK;
    *wrong += samp_http_respond(exchange, 200, NULL, "b", 1) != SAMP_INVALID;
    *wrong += samp_http_sse_begin(exchange) != SAMP_INVALID;
}

static void answers_have_only_sound_fields(void **state)
{
    (void)state;
    atomic_int wrong = 0;
    samp_http_options options = host_options();
    host h = host_start(&options, add_fields, &wrong);
    samp_buffer text = {0};
    assert_int_equal(exchange_once(&h, GET("/?id"), &text), 200);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_non_null(strstr(text.data, "\r\nX-Id: id\r\n\r\na"));
    assert_null(strstr(text.data, "Set-Cookie"));
    samp_buffer_release(&text);
    host_stop(&h);
}

/* ---- listening, draining ---- */

static void addresses_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        samp_status status;
    } rows[] = {{"", SAMP_INVALID},           {"localhost", SAMP_INVALID},
                {":8000", SAMP_INVALID},      {"::1:8000", SAMP_INVALID},
                {"127.0.0.1:", SAMP_INVALID}, {"127.0.0.1:80x", SAMP_INVALID},
                {"unix:", SAMP_INVALID},      {"unix:/nowhere/at/all/samp.sock", SAMP_NOT_FOUND},
                {"192.0.2.1:0", SAMP_IO}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_http_options options = host_options();
        options.addresses = &rows[i].address;
        samp_http_server *server;
        samp_error error = {0};
        assert_int_equal(samp_http_server_open(&server, &options, serve_paths, NULL, &error),
                         rows[i].status);
        assert_null(server);
        assert_true(error.message[0]);
    }
    host h = host_start_simple(); /* an address that is taken */
    samp_http_options options = host_options();
    const char *taken = samp_http_server_address(h.server, 0);
    options.addresses = &taken;
    samp_http_server *server;
    samp_error error = {0};
    assert_int_equal(samp_http_server_open(&server, &options, serve_paths, NULL, &error), SAMP_IO);
    assert_non_null(strstr(error.message, taken));
    host_stop(&h);
}

static void names_and_stars_are_reached(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1:0", "*:0", "localhost:0"};
    for (size_t i = 0; i < 3; i++) {
        samp_http_options options = host_options();
        options.addresses = &addresses[i];
        host h = host_start(&options, serve_paths, NULL);
        samp_buffer text = {0};
        assert_int_equal(exchange_once(&h, GET("/health"), &text), 200); /* over IPv4 */
        samp_buffer_release(&text);
        host_stop(&h);
    }
}

static void a_unix_socket_serves_too(void **state)
{
    (void)state;
    char address[64];
    snprintf(address, sizeof address, "unix:/tmp/samp-http-%d.sock", (int)getpid());
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", address + 5);
    const char *addresses[] = {address, "*:0"};
    samp_http_options options = host_options();
    options.addresses = addresses;
    options.n_addresses = 2;
    /* What a server that was killed leaves behind is no obstacle. */
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&name, sizeof name), 0);
    close(stale);
    host h = host_start(&options, serve_paths, NULL);
    assert_int_equal(samp_http_server_n_addresses(h.server), 2);
    samp_http_server *second;
    samp_error error = {0};
    options.n_addresses = 1; /* a living one is */
    assert_int_equal(samp_http_server_open(&second, &options, serve_paths, NULL, &error), SAMP_IO);
    int fd = set_patience(socket(AF_UNIX, SOCK_STREAM, 0));
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    samp_buffer text = {0};
    client_text(fd, GET("/health"));
    assert_int_equal(client_answer(fd, &text), 200);
    close(fd);
    samp_buffer_release(&text);
    host_stop(&h);
    assert_int_equal(access(name.sun_path, F_OK), -1);
}

static samp_http_exchange *kept;

static void keep_or_serve(void *context, samp_http_exchange *exchange,
                          const samp_http_request *request)
{
    (void)context;
    if (strcmp(request->path, "/later") == 0)
        kept = samp_http_exchange_retain(exchange);
    else
        samp_http_respond(exchange, 200, "text/plain", "ok\n", 3);
}

static void draining_ends_what_was_begun(void **state)
{
    (void)state;
    samp_http_options options = host_options();
    host h = host_start(&options, keep_or_serve, NULL);
    samp_buffer text = {0};
    int idle = client_open(&h), busy = client_open(&h), half = client_open(&h);
    client_text(idle, GET("/"));
    assert_int_equal(client_answer(idle, &text), 200);
    client_text(half, "GET / HTTP/1.1\r\n");
    client_text(busy, GET("/later"));
    UNTIL(host_counters(&h).exchanges_open == 2 && host_counters(&h).requests == 2);
    samp_http_server_drain(h.server, 5);
    samp_buffer_clear(&text);
    client_to_end(idle, &text); /* closed at once */
    assert_int_equal(text.length, 0);
    client_text(half, HOST "\r\n"); /* it had begun */
    assert_int_equal(client_answer(half, &text), 200);
    assert_non_null(strstr(text.data, "Connection: close\r\n"));
    close(half);
    samp_http_respond(kept, 200, "text/plain", "done", 4);
    assert_int_equal(client_answer(busy, &text), 200);
    assert_non_null(strstr(text.data, "Connection: close\r\n"));
    samp_http_exchange_release(kept);
    close(busy);
    close(idle);
    double began = samp_clock();
    pthread_join(h.thread, NULL);
    assert_true(samp_clock() - began < 4);
    samp_http_server_close(h.server);
    samp_buffer_release(&text);
}

static void draining_has_an_end(void **state)
{
    (void)state;
    samp_http_options options = host_options();
    host h = host_start(&options, keep_or_serve, NULL);
    int fd = client_open(&h);
    client_text(fd, GET("/later"));
    UNTIL(host_counters(&h).exchanges_open == 1);
    double began = samp_clock();
    samp_http_server_drain(h.server, 30);
    samp_http_server_drain(h.server, 0.3); /* the second call shortens it */
    pthread_join(h.thread, NULL);
    assert_true(samp_clock() - began >= 0.29 && samp_clock() - began < 10);
    assert_true(samp_http_exchange_gone(kept));
    assert_int_equal(samp_http_respond(kept, 200, NULL, "", 0), SAMP_CANCELLED);
    samp_http_exchange_release(kept);
    samp_http_server_close(h.server);
    close(fd);
}

static void on_signal(void *context, int number)
{
    assert_int_equal(number, SIGTERM);
    samp_http_server_drain(*(samp_http_server **)context, 0);
}

static void signals_come_to_the_loop_66(void **state)
{
    (void)state;
    samp_http_options options = host_options();
    samp_http_server *server;
    samp_error error;
    assert_int_equal(samp_http_server_open(&server, &options, serve_paths, NULL, &error), SAMP_OK);
    assert_int_equal(samp_http_server_on_signal(server, SIGTERM, on_signal, &server, &error),
                     SAMP_OK);
    pthread_t thread;
    pthread_create(&thread, NULL, host_main, server);
    kill(getpid(), SIGTERM);
    pthread_join(thread, NULL);
    samp_http_server_close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_kept_as_the_version_has_it),
        cmocka_unit_test(pipelined_requests_are_answered_in_order_59),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(an_early_answer_spares_the_body),
        cmocka_unit_test(every_request_is_logged_once),
        cmocka_unit_test(fields_cannot_be_injected_64),
        cmocka_unit_test(answers_have_only_sound_fields),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(names_and_stars_are_reached),
        cmocka_unit_test(a_unix_socket_serves_too),
        cmocka_unit_test(draining_ends_what_was_begun),
        cmocka_unit_test(draining_has_an_end),
        cmocka_unit_test(signals_come_to_the_loop_66),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

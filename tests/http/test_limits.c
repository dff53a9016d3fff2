/* Limits: of time, of sizes, of connections and descriptors, of memory. A client that goes over one
 * is refused or cut; the others do not notice. Numbers in names are the items of the project's list
 * of bad inputs (HTTP: 55 to 60). */
#include "http_support.h"

#include "base/memory.h"
#include "http/internal.h"

#include <sys/resource.h>

/* Sends the bytes, then nothing: the answer, if any, and how long the server was patient. */
static double patience(const host *h, const char *bytes, samp_buffer *text)
{
    samp_buffer_clear(text);
    samp_buffer_text(text, "");
    double began = samp_clock();
    int fd = client_open(h);
    client_text(fd, bytes);
    client_to_end(fd, text);
    close(fd);
    return samp_clock() - began;
}

static void slow_clients_are_timed_out_55_59(void **state)
{
    (void)state;
    samp_http_options options = host_options();
    options.head_seconds = 0.3;
    options.body_seconds = 0.5;
    options.idle_seconds = 0.7;
    host h = host_start(&options, serve_paths, NULL);
    samp_buffer text = {0};
    double head = patience(&h, "GET / HTTP/1.1\r\nX: ", &text);
    assert_non_null(strstr(text.data, "HTTP/1.1 408 "));
    double body = patience(&h, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nx", &text);
    assert_non_null(strstr(text.data, "HTTP/1.1 408 "));
    patience(&h, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
             &text);
    assert_non_null(strstr(text.data, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 "));
    double idle = patience(&h, "", &text);
    assert_int_equal(text.length, 0);
    patience(&h, "\r\n", &text);
    assert_int_equal(text.length, 0);
    assert_true(head >= 0.29 && body >= 0.49 && idle >= 0.69);
    assert_true(head < 10 && body < 10 && idle < 10);
    /* A byte now and then buys no time. */
    int fd = client_open(&h);
    double began = samp_clock();
    samp_buffer_clear(&text);
    client_text(fd, "GET / HTTP/1.1\r\nX: ");
    while (samp_clock() - began < 0.5 && send(fd, "x", 1, MSG_NOSIGNAL) == 1) usleep(50000);
    client_to_end(fd, &text);
    assert_non_null(strstr(text.data, "HTTP/1.1 408 "));
    close(fd);
    assert_int_equal(host_counters(&h).timeouts, 6);
    samp_buffer_release(&text);
    host_stop(&h);
}

static void refusals_reach_clients_that_still_send_57_58(void **state)
{
    (void)state;
    samp_http_options options = host_options();
    options.body_bytes_max = 1000;
    options.bodies_bytes_max = 500;
    host h = host_start(&options, serve_paths, NULL);
    samp_buffer text = {0}, request = {0};
    static const struct {
        const char *head;
        char fill;
        const char *status;
    } rows[] = {{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 900000\r\n\r\n", 'x', " 413 "},
                {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\n", 'x', " 503 "},
                {"GET /", 'x', " 414 "},
                {"GET / HTTP/1.1\r\nX: ", 'x', " 431 "},
                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, " 505 "},
                {"\x16\x03\x01\x02\x01", 0, " 400 "}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_buffer_clear(&request);
        samp_buffer_text(&request, rows[i].head);
        size_t n = request.length;
        char *fill = samp_buffer_reserve(&request, 900000);
        memset(fill, rows[i].fill, 900000);
        int fd = client_open(&h);
        client_send(fd, request.data, rows[i].fill ? n + 900000 : n);
        samp_buffer_clear(&text);
        client_to_end(fd, &text);
        if (!text.data || !strstr(text.data, rows[i].status))
            fail_msg("%s and not %s", text.data, rows[i].status);
        close(fd);
    }
    assert_int_equal(host_counters(&h).requests_refused, 6);
    UNTIL(host_counters(&h).bodies_bytes == 0);
    samp_buffer_release(&text);
    samp_buffer_release(&request);
    host_stop(&h);
}

static void a_client_is_its_address_or_its_64(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8::1", "2001:db8::2", true},    {"2001:db8::1", "2001:db8:0:1::1", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true}, {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp__http_peer keys[2];
        for (int side = 0; side < 2; side++) {
            const char *text = side ? rows[i].b : rows[i].a;
            struct sockaddr_storage address = {0};
            bool six = strchr(text, ':') != NULL;
            void *to = six ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                           : (void *)&((struct sockaddr_in *)&address)->sin_addr;
            address.ss_family = six ? AF_INET6 : AF_INET;
            assert_int_equal(inet_pton(address.ss_family, text, to), 1);
            assert_true(samp__http_peer_key(&address, &keys[side]));
        }
        assert_int_equal(memcmp(&keys[0], &keys[1], sizeof keys[0]) == 0, rows[i].same);
    }
    struct sockaddr_storage local = {.ss_family = AF_UNIX};
    samp__http_peer key;
    assert_false(samp__http_peer_key(&local, &key));
}

static void connections_are_limited(void **state)
{
    (void)state;
    for (int per_address = 0; per_address <= 1; per_address++) {
        samp_http_options options = host_options();
        if (per_address)
            options.connections_per_address_max = 3;
        else
            options.connections_max = 3;
        host h = host_start(&options, serve_paths, NULL);
        samp_buffer text = {0};
        int fds[3];
        for (int i = 0; i < 3; i++) {
            fds[i] = client_open(&h);
            client_text(fds[i], GET("/health"));
            assert_int_equal(client_answer(fds[i], &text), 200);
        }
        int fourth = client_open(&h);
        assert_int_equal(client_answer(fourth, &text), 503);
        assert_non_null(strstr(text.data, "Retry-After: 1\r\n"));
        close(fourth);
        close(fds[1]); /* makes room */
        UNTIL(host_counters(&h).connections_open == 2);
        assert_int_equal(exchange_once(&h, GET("/health"), &text), 200);
        assert_int_equal(host_counters(&h).connections_refused, 1);
        assert_int_equal(host_counters(&h).connections_accepted, 5);
        close(fds[0]);
        close(fds[2]);
        samp_buffer_release(&text);
        host_stop(&h);
    }
}

static void a_server_without_descriptors_goes_on_60(void **state)
{
    (void)state;
    host h = host_start_simple();
    samp_buffer text = {0};
    int fds[16], taken[512], n_taken = 0;
    for (int i = 0; i < 8; i++) fds[i] = client_open(&h);
    UNTIL(host_counters(&h).connections_open == 8);
    /* Sockets first, as clients need descriptors of the same process; then none is left. */
    for (int i = 8; i < 16; i++) fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit old, low;
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t)fds[15] + 1;
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd; n_taken < 512 && (fd = dup(0)) >= 0;) taken[n_taken++] = fd;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getpeername(fds[0], (struct sockaddr *)&address, &size);
    for (int i = 8; i < 16; i++)
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, size), 0);
    UNTIL(host_counters(&h).connections_refused == 8);
    client_text(fds[0], GET("/health")); /* those that are there are served */
    assert_int_equal(client_answer(fds[0], &text), 200);
    for (int i = 0; i < n_taken; i++) close(taken[i]);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(exchange_once(&h, GET("/health"), &text), 200);
    for (int i = 0; i < 16; i++) close(fds[i]);
    samp_buffer_release(&text);
    host_stop(&h);
}

static void the_limit_of_descriptors_is_raised(void **state)
{
    (void)state;
    struct rlimit old, low;
    getrlimit(RLIMIT_NOFILE, &old);
    for (unsigned wanted = 100; wanted <= 1000000000; wanted += 999999900) {
        low = old;
        low.rlim_cur = 300;
        setrlimit(RLIMIT_NOFILE, &low);
        samp_http_options options = host_options();
        options.connections_max = wanted;
        host h = host_start(&options, serve_paths, NULL);
        getrlimit(RLIMIT_NOFILE, &low);
        assert_int_equal(low.rlim_cur, wanted == 100 ? 300 : old.rlim_max);
        assert_int_equal(low.rlim_max, old.rlim_max);
        host_stop(&h);
    }
    setrlimit(RLIMIT_NOFILE, &old);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void idle_connections_cost_little_60(void **state)
{
    (void)state;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    size_t n = limit.rlim_cur >= 4400 ? 2000 : (size_t)limit.rlim_cur / 2 - 200;
    enum { ASKED = 300 };
    host h = host_start_simple();
    samp_buffer text = {0};
    int *fds = calloc(n, sizeof *fds);
    for (size_t i = 0; i < n; i++) fds[i] = client_open(&h);
    UNTIL(host_counters(&h).connections_open == n);
    double seconds[ASKED];
    for (int i = 0; i < ASKED; i++) {
        double began = samp_clock();
        assert_int_equal(exchange_once(&h, GET("/health"), &text), 200);
        seconds[i] = samp_clock() - began;
    }
    qsort(seconds, ASKED, sizeof *seconds, compare_doubles);
    print_message("/health beside %zu idle connections, %d new connections: median %.2f ms, "
                  "p99 %.2f ms\n",
                  n, ASKED, 1e3 * seconds[ASKED / 2], 1e3 * seconds[ASKED * 99 / 100]);
    assert_true(seconds[ASKED / 2] < 0.05);
    for (size_t i = 0; i < n; i += 37) { /* they are all still there */
        client_text(fds[i], GET("/health"));
        assert_int_equal(client_answer(fds[i], &text), 200);
    }
    for (size_t i = 0; i < n; i++) close(fds[i]);
    UNTIL(host_counters(&h).connections_open == 0);
    free(fds);
    samp_buffer_release(&text);
    host_stop(&h);
}

/* One request of a client that allocates nothing; what came back is in answer. */
static void ask_without_memory(const host *h, char answer[1000])
{
    char request[512];
    int n = snprintf(
        request, sizeof request,
        "POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 300\r\n\r\n%0300d", 0);
    int fd = client_open(h);
    ssize_t got = send(fd, request, (size_t)n, MSG_NOSIGNAL);
    if (got > 0) got = recv(fd, answer, 999, MSG_WAITALL);
    if (got < 0) assert_true(errno == ECONNRESET || errno == EPIPE); /* and not our patience */
    answer[got > 0 ? got : 0] = '\0';
    close(fd);
    UNTIL(host_counters(h).connections_open == 0);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    host h = host_start_simple();
    for (int once = 0; once <= 1; once++) {
        unsigned whole = 0, refused = 0, n = 1;
        for (; n < 100 && whole < 10; n++) {
            char answer[1000];
            if (once)
                samp_alloc_fail_once(n);
            else
                samp_alloc_fail_at(n);
            ask_without_memory(&h, answer);
            samp_alloc_fail_at(0);
            whole += strncmp(answer, "HTTP/1.1 200 ", 13) == 0;
            refused += strncmp(answer, "HTTP/1.1 503 ", 13) == 0;
        }
        print_message("%u allocations a request; answers when one fails: %u of 503\n", n - 10,
                      refused);
        assert_true(whole == 10 && n > 15 && (refused > 0 || !once));
    }
    host_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_clients_are_timed_out_55_59),
        cmocka_unit_test(refusals_reach_clients_that_still_send_57_58),
        cmocka_unit_test(a_client_is_its_address_or_its_64),
        cmocka_unit_test(connections_are_limited),
        cmocka_unit_test(a_server_without_descriptors_goes_on_60),
        cmocka_unit_test(the_limit_of_descriptors_is_raised),
        cmocka_unit_test(idle_connections_cost_little_60),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

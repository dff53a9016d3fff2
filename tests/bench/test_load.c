/* The load generator against a server whose every delay is known: figures within a millisecond or a
 * percent (of a mean; single values on a busy machine may be late), failures counted as failures,
 * a stall seen in full by an open loop. What the server does is named by the model asked for. */
#include "bench/load.h"
#include "bench/load_stream.h"
#include "support/cmocka_all.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TTFT_MS = 100, TOKEN_MS = 20 };

static int listener;
static int port;
static _Atomic double stall_until;
static _Atomic int n_requests;

/* ---- the server ------------------------------------------------------------------------------ */

static void sleep_until(double moment)
{
    double left;
    while ((left = moment - samp_clock()) > 0) {
        struct timespec wait = {.tv_sec = (time_t)left, .tv_nsec = (long)(1e9 * fmod(left, 1))};
        nanosleep(&wait, NULL);
    }
}

static void put(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        text += sent;
        n -= (size_t)sent;
    }
}

/* A chunk of the transfer coding; cut in two where `cut` says so. */
static void put_chunk(int fd, const char *text, bool cut)
{
    char head[32];
    size_t n = strlen(text), half = cut ? n / 2 : n;
    snprintf(head, sizeof head, "%zx\r\n", half);
    put(fd, head, strlen(head));
    put(fd, text, half);
    put(fd, "\r\n", 2);
    if (half == n) return;
    snprintf(head, sizeof head, "%zx\r\n", n - half);
    put(fd, head, strlen(head));
    put(fd, text + half, n - half);
    put(fd, "\r\n", 2);
}

static void put_event(int fd, const char *data, const char *model)
{
    char text[700];
    bool crlf = strcmp(model, "crlf") == 0;
    snprintf(text, sizeof text, "%s%s%.500s%s%s", crlf ? ": ping\r\n" : "", "data: ", data,
             crlf ? "\r\n" : "\n", crlf ? "\r\n" : "\n");
    put_chunk(fd, text, strcmp(model, "split") == 0);
}

/* One answer of `tokens` tokens; false: the connection ends. */
static bool answer(int fd, const char *model, int tokens)
{
    double start = samp_clock();
    int number = atomic_fetch_add(&n_requests, 1);
    bool coalesced = strcmp(model, "coalesced") == 0;
    bool faulty = strcmp(model, "faulty") == 0 && number % 10 == 3;
    char data[300];
    if (strcmp(model, "refuse") == 0) {
        static const char no[] = "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno";
        put(fd, no, sizeof no - 1);
        return true;
    }
    if (strcmp(model, "page") == 0) { /* of a proxy, say: 200, and no stream */
        static const char page[] =
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";
        put(fd, page, sizeof page - 1);
        return true;
    }
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    put(fd, head, sizeof head - 1);
    put_event(fd, "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}", model);
    for (int i = 0; i < tokens; i += 1 + coalesced) {
        sleep_until(start + 1e-3 * (TTFT_MS + TOKEN_MS * (i + coalesced)));
        if (strcmp(model, "stall") == 0) sleep_until(atomic_load(&stall_until));
        if (faulty && i == 2) {
            put_event(fd, "{\"error\":{\"message\":\"broken\"}}", model);
            break;
        }
        snprintf(data, sizeof data, "{\"choices\":[{\"delta\":{\"content\":\"\xc3\xa9%s\"}}]}",
                 coalesced ? "\xc3\xa9" : "");
        put_event(fd, data, model);
        if (strcmp(model, "cut") == 0 && i == 1) return false;
    }
    if (strcmp(model, "nofinish") != 0)
        put_event(fd, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}", model);
    snprintf(data, sizeof data,
             "{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":%d}}", tokens);
    put_event(fd, data, model);
    if (strcmp(model, "nodone") != 0) put_event(fd, "[DONE]", model);
    put(fd, "0\r\n\r\n", 5);
    return true;
}

/* The number or word behind "key": in a body. */
static void find(const char *body, const char *key, char *out, size_t n)
{
    const char *at = strstr(body, key);
    out[0] = '\0';
    if (!at) return;
    at += strlen(key) + 1;
    if (*at == '"') at++;
    snprintf(out, n, "%.*s", (int)strcspn(at, "\",}"), at);
}

static void *serve_one(void *context)
{
    int fd = (int)(intptr_t)context, on = 1;
    char text[65536];
    size_t n = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (;;) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0) break;
        n += (size_t)got;
        text[n] = '\0';
        char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        size_t wanted = length ? strtoul(length + 16, NULL, 10) : 0;
        if (!body || n < (size_t)(body + 4 - text) + wanted) continue;
        char model[64], tokens[16];
        find(body, "\"model\"", model, sizeof model);
        find(body, "\"max_tokens\"", tokens, sizeof tokens);
        n = 0;
        if (strncmp(text, "GET", 3) == 0) {
            static const char none[] = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
            put(fd, none, sizeof none - 1);
        } else if (!answer(fd, model, atoi(tokens)))
            break;
    }
    close(fd);
    return NULL;
}

static void *accept_all(void *context)
{
    (void)context;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 256 << 10);
        if (pthread_create(&thread, &small, serve_one, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        pthread_attr_destroy(&small);
    }
    return NULL;
}

static int start(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    pthread_t thread;
    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1024), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    port = ntohs(address.sin_port);
    return pthread_create(&thread, NULL, accept_all, NULL) || pthread_detach(thread);
}

/* ---- the load -------------------------------------------------------------------------------- */

static char url[64];

static samp_load_options load_of(const char *model, uint32_t requests)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", port);
    return (samp_load_options){.urls = {url},
                               .model = model,
                               .concurrency = 10,
                               .n_requests = requests,
                               .input_words = 5,
                               .output_tokens = 6,
                               .chat = true,
                               .timeout_s = 10,
                               .seed = 1};
}

static void run(const samp_load_options *options, samp_load_result *result,
                samp_load_summary *summary)
{
    samp_error error;
    atomic_store(&n_requests, 0);
    if (samp_load_run(options, result, &error) != SAMP_OK) fail_msg("%s", error.message);
    samp_load_summarize(options, result, 0, summary);
}

/* Within a millisecond or a percent, and what a busy machine adds. */
static void near(double seconds, double wanted, double lag)
{
    double error = fmax(0.001, 0.01 * wanted) + 2 * lag + 0.004;
    if (fabs(seconds - wanted) > error) fail_msg("%f s instead of %f", seconds, wanted);
}

static void known_delays_are_measured(void **state)
{
    static const char *const models[] = {"plain", "crlf", "split", "coalesced"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool coalesced = i == 3;
        samp_load_options options = load_of(models[i], 40);
        samp_load_result result;
        samp_load_summary s;
        run(&options, &result, &s);
        assert_int_equal(s.n_success, 40);
        assert_int_equal(s.output_tokens, 240);
        assert_int_equal(s.input_tokens, 280);
        double first = 1e-3 * (TTFT_MS + (coalesced ? TOKEN_MS : 0));
        near(s.figures[SAMP_LOAD_TTFT].p50, first, result.lag_p99);
        near(s.figures[SAMP_LOAD_TPOT].p50, 1e-3 * TOKEN_MS * (coalesced ? 4.0 / 5 : 1),
             result.lag_p99);
        near(s.figures[SAMP_LOAD_ITL].p50, 1e-3 * TOKEN_MS * (coalesced ? 2 : 1), result.lag_p99);
        near(s.figures[SAMP_LOAD_E2E].p50, 1e-3 * (TTFT_MS + 5 * TOKEN_MS), result.lag_p99);
        assert_int_equal(s.figures[SAMP_LOAD_ITL].n, coalesced ? 80 : 200);
        assert_true(isnan(s.figures[SAMP_LOAD_TTFT].p99)); /* 40 requests say nothing of it */
        samp_load_result_release(&result);
    }
}

static void failures_are_failures(void **state)
{
    static const struct {
        const char *model;
        samp_load_outcome outcome;
        uint32_t n;
    } rows[] = {{"faulty", SAMP_LOAD_ERROR_EVENT, 2}, {"nofinish", SAMP_LOAD_NO_FINISH, 20},
                {"nodone", SAMP_LOAD_NO_DONE, 20},    {"cut", SAMP_LOAD_CUT, 20},
                {"refuse", SAMP_LOAD_STATUS, 20},     {"page", SAMP_LOAD_MALFORMED, 20}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_load_options options = load_of(rows[i].model, 20);
        samp_load_result result;
        samp_load_summary s;
        run(&options, &result, &s);
        if (s.n_failed[rows[i].outcome] != rows[i].n)
            fail_msg("%s: %u failed so", rows[i].model, s.n_failed[rows[i].outcome]);
        assert_int_equal(s.n_success, 20 - rows[i].n);
        samp_load_result_release(&result);
    }
    samp_load_options options = load_of("plain", 2);
    samp_load_result result;
    samp_load_summary s;
    options.timeout_s = 0.15;
    run(&options, &result, &s);
    assert_int_equal(s.n_failed[SAMP_LOAD_TIMEOUT], 2);
    samp_load_result_release(&result);
}

/* The server stands still for a second: whoever was due then waits, and is counted so. */
static void a_stall_is_seen_in_full(void **state)
{
    (void)state;
    samp_load_options options = load_of("stall", 60);
    samp_load_result result;
    samp_load_summary s;
    options.arrivals = SAMP_LOAD_CONSTANT;
    options.rate = 40;
    atomic_store(&stall_until, samp_clock() + 1.1);
    run(&options, &result, &s);
    assert_int_equal(s.n_success, 60);
    double longest = 0;
    for (uint32_t i = 0; i < 60; i++) {
        const samp_load_record *record = &result.records[0][i];
        if (record->first_token - record->due > longest)
            longest = record->first_token - record->due;
    }
    assert_true(longest > 0.95);
    assert_true(s.figures[SAMP_LOAD_TTFT].p90 > 0.8);
    samp_load_result_release(&result);
}

static void two_servers_have_a_ratio(void **state)
{
    (void)state;
    samp_load_options options = load_of("plain", 20);
    samp_load_result result;
    samp_load_summary s;
    double ratio, low, high;
    options.urls[1] = url;
    run(&options, &result, &s);
    samp_load_ratio(&options, &result, SAMP_LOAD_E2E, &ratio, &low, &high);
    assert_true(low <= ratio && ratio <= high && ratio > 0.8 && ratio < 1.25);
    json_t *json = samp_load_json(&options, &result);
    assert_int_equal(json_integer_value(json_object_get(json, "completed")), 20);
    assert_true(json_is_number(json_object_get(json, "mean_ttft_ms")));
    assert_true(json_is_null(json_object_get(json, "p99_ttft_ms")));
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(json, "ratio_of_medians"), "e2el")), 3);
    json_decref(json);
    samp_load_result_release(&result);
}

/* ---- objectives ------------------------------------------------------------------------------ */

static void objectives_are_checked(void **state)
{
    static const struct {
        const char *slo;
        bool met;
        samp_status status;
    } rows[] = {{"ttft_p99<250ms", true, SAMP_OK},
                {"ttft_p99<0.2s", false, SAMP_OK},
                {"ttft_p50<=100ms, success>=99.8%", true, SAMP_OK},
                {"success>99.95%", false, SAMP_OK},
                {"output_tok_s>=12", true, SAMP_OK},
                {"tpot_p99<1s", false, SAMP_OK}, /* not known */
                {"ttft<1", false, SAMP_INVALID},
                {"ttft_p99=3", false, SAMP_INVALID},
                {"ttft_p99<3 parsecs", false, SAMP_INVALID}};
    samp_load_summary s = {.success_share = 0.999, .output_tokens_per_s = 12};
    (void)state;
    for (int m = 0; m < SAMP_LOAD_MEASURES; m++)
        s.figures[m] = (samp_load_figure){.p50 = 0.1, .p99 = m == SAMP_LOAD_TTFT ? 0.22 : NAN};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_buffer text = {0};
        samp_error error;
        bool met;
        samp_status status = samp_load_slo(rows[i].slo, &s, &text, &met, &error);
        assert_int_equal(status, rows[i].status);
        if (status == SAMP_OK && met != rows[i].met) fail_msg("%s: %s", rows[i].slo, text.data);
        samp_buffer_release(&text);
    }
}

/* ---- answers in any cutting ------------------------------------------------------------------ */

static void gather(void *context, const char *data, size_t n)
{
    samp_buffer_append(context, data, n);
    samp_buffer_append(context, "|", 1);
}

/* A hostile server's event of data lines without an empty one between them. */
static void an_event_without_end_is_broken(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    samp__stream s = {.on_event = gather};
    char line[2000] = "data: ";
    (void)state;
    memset(line + 6, 'x', sizeof line - 7);
    line[sizeof line - 1] = '\n';
    samp__stream_take(&s, head, sizeof head - 1);
    for (int i = 0; i < 1000; i++) samp__stream_take(&s, line, sizeof line);
    assert_int_equal(s.state, SAMP__STREAM_BROKEN);
    assert_in_range(s.event.length, 1 << 20, (1 << 20) + sizeof line);
    samp__stream_release(&s);
}

static void cutting_changes_nothing(void **state)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: "
                               "text/event-stream; x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "8\r\ndata: a\r\n1\r\n\r\r\n9;x=y\r\n\ndata:b\r\n\r\n5\r\n: hi\n\r\n"
                               "8\r\ndata: \xc3\xa9\r\n3\r\n\n\n\n\r\n0\r\nT: 1\r\n\r\n";
    (void)state;
    for (size_t first = 1; first < sizeof text - 1; first++) {
        samp_buffer events = {0};
        samp__stream stream = {.on_event = gather, .context = &events};
        samp__stream_take(&stream, text, first);
        for (size_t at = first; at < sizeof text - 1; at++)
            samp__stream_take(&stream, text + at, 1);
        assert_int_equal(stream.state, SAMP__STREAM_COMPLETE);
        assert_int_equal(stream.status, 200);
        assert_string_equal(events.data, "a|b\n\xc3\xa9|");
        samp__stream_release(&stream);
        samp_buffer_release(&events);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_delays_are_measured),
        cmocka_unit_test(failures_are_failures),
        cmocka_unit_test(a_stall_is_seen_in_full),
        cmocka_unit_test(two_servers_have_a_ratio),
        cmocka_unit_test(objectives_are_checked),
        cmocka_unit_test(cutting_changes_nothing),
        cmocka_unit_test(an_event_without_end_is_broken),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}

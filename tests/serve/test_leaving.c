/* A thousand clients that leave: before their head, within the body, queued, in prefill, while
 * tokens come, streaming or not. Afterwards no KV block is held and nothing is generated. */
#include "serve_support.h"

#include <netinet/tcp.h>

enum { CUTS = 1000, PHASES = 8 };

static served server;
static char long_prompt[300];

static int start(void **state)
{
    (void)state;
    memset(long_prompt, 'p', sizeof long_prompt - 1);
    served_init(&server);
    server.options.engine.max_running = 4; /* the others wait */
    served_start(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    served_stop(&server);
    return 0;
}

static double status_number(const char *key)
{
    samp_buffer text = {0};
    assert_int_equal(ask(&server, "GET", "/status.json", NULL, NULL, &text), 200);
    json_t *json = body_json(&text);
    double value = json_number_value(json_object_get(json, key));
    json_decref(json);
    samp_buffer_release(&text);
    return value;
}

/* By a FIN, or by a reset as of a client that was killed. */
static void leave(int fd, bool reset)
{
    struct linger now = {.l_onoff = 1};
    if (reset) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void send_part(int fd, const char *text, size_t n)
{
    assert_true(send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void write_body(samp_buffer *body, bool stream, bool chat, unsigned n)
{
    samp_buffer_clear(body);
    if (chat)
        samp_buffer_printf(body, "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]",
                           long_prompt);
    else
        samp_buffer_printf(body, "{\"prompt\": \"%s\"", long_prompt);
    samp_buffer_printf(body, ", \"ignore_eos\": true, \"n\": %u%s}", n,
                       stream ? ", \"stream\": true" : "");
}

/* Connects, does what belongs to the phase, and leaves. */
static void cut(unsigned i, samp_buffer *body)
{
    static const char head[] = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Le";
    unsigned phase = i % PHASES;
    bool chat = i / PHASES % 2, reset = i / (2 * PHASES) % 2;
    const char *path = chat ? "/v1/chat/completions" : "/v1/completions";
    char piece[512];
    int fd = client_connect(&server);
    write_body(body, phase >= 6 || i % 3 == 0, chat, 1 + i % 5 / 4);
    switch (phase) {
    case 0: break;
    case 1: send_part(fd, head, sizeof head - 1); break;
    case 2:
        snprintf(piece, sizeof piece,
                 "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n{\"prompt", path,
                 body->length);
        send_part(fd, piece, strlen(piece));
        break;
    default: client_send(fd, "POST", path, NULL, body->data);
    }
    if (phase == 4) usleep(200 + i % 7 * 300); /* queued, or its prompt is read */
    if (phase == 5) usleep(4000);
    if (phase >= 6 && i % 5 == 0) assert_true(recv(fd, piece, 40, 0) > 0);
    if (phase == 7 && i % 5 == 0) assert_true(recv(fd, piece, sizeof piece, 0) > 0);
    leave(fd, reset);
}

static void nothing_is_kept_of_those_who_left(void **state)
{
    (void)state;
    samp_buffer body = {0};
    for (unsigned i = 0; i < CUTS; i++) cut(i, &body);
    samp_buffer_release(&body);
    double end = samp_clock() + 60;
    while (status_number("running") + status_number("waiting") + status_number("kv_usage") > 0 &&
           samp_clock() < end)
        usleep(5000);
    assert_true(status_number("running") == 0 && status_number("waiting") == 0);
    assert_true(status_number("kv_usage") == 0);
    double made = status_number("generated_tokens");
    usleep(50000);
    assert_true(status_number("generated_tokens") == made);
    json_t *answer = post(&server, "/v1/completions",
                          "{\"prompt\": \"x\", \"max_tokens\": 3, \"ignore_eos\": true}", 200);
    const json_t *usage = json_object_get(answer, "usage");
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 3);
    json_decref(answer);
    assert_true(status_number("generated_tokens") == made + 3);
}

static void the_counts_tell_of_them(void **state)
{
    (void)state;
    samp_buffer text = {0};
    assert_int_equal(ask(&server, "GET", "/metrics", NULL, NULL, &text), 200);
    const char *line = strstr(text.data, "outcome=\"cancelled\"} ");
    assert_non_null(line);
    int cancelled = atoi(line + strlen("outcome=\"cancelled\"} "));
    /* Five phases of eight send a whole request; of one that is reset at once nothing may be read. */
    assert_in_range(cancelled, CUTS / 4, CUTS);
    samp_buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_kept_of_those_who_left),
        cmocka_unit_test(the_counts_tell_of_them),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

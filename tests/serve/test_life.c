/* The server's life: told to stop while it loads, told twice, told to open its log again; a log on
 * a full disk; one line of it a request. Items 66 and 60 of the project's list of bad inputs. */
#include "serve_support.h"

static double wait_until(const _Atomic bool *flag)
{
    double start = samp_clock();
    while (!atomic_load(flag) && samp_clock() < start + 60) usleep(1000);
    assert_true(atomic_load(flag));
    return samp_clock() - start;
}

/* ---- loading --------------------------------------------------------------------------------- */

typedef struct held {
    _Atomic bool loading, go_on;
} held;

static bool hold_loading(void *context, const char *what, uint64_t done, uint64_t total)
{
    held *h = context;
    (void)what, (void)done, (void)total;
    atomic_store(&h->loading, true);
    wait_until(&h->go_on);
    return true;
}

static void sigterm_ends_loading(void **state)
{
    served s;
    held h = {0};
    samp_buffer text = {0};
    (void)state;
    served_init(&s);
    s.options.progress = (samp_progress){.report = hold_loading, .context = &h};
    assert_int_equal(pthread_create(&s.thread, NULL, served_main, &s), 0);
    wait_until(&h.loading);
    assert_int_equal(ask(&s, "GET", "/health", NULL, NULL, &text), 200);
    assert_int_equal(ask(&s, "GET", "/ready", NULL, NULL, &text), 503);
    assert_int_equal(ask(&s, "GET", "/metrics", NULL, NULL, &text), 200);
    assert_int_equal(ask(&s, "GET", "/status.json", NULL, NULL, &text), 200);
    assert_int_equal(ask(&s, "POST", "/v1/completions", NULL, "{\"prompt\": \"x\"}", &text), 503);
    assert_non_null(strstr(text.data, "\r\nRetry-After: "));
    kill(getpid(), SIGTERM);
    usleep(20000);
    atomic_store(&h.go_on, true);
    wait_until(&s.over);
    assert_false(atomic_load(&s.ready));
    served_stop(&s);
    samp_buffer_release(&text);
}

static void a_model_that_is_not_there_ends_it(void **state)
{
    served s;
    char path[400];
    (void)state;
    served_init(&s);
    snprintf(path, sizeof path, "%s/tokenizer.json", s.folder);
    assert_int_equal(remove(path), 0);
    assert_int_equal(pthread_create(&s.thread, NULL, served_main, &s), 0);
    wait_until(&s.over);
    pthread_join(s.thread, NULL);
    assert_int_not_equal(s.status, SAMP_OK);
    assert_non_null(strstr(s.error.message, "tokenizer"));
    tiny_remove(s.folder);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void the_second_sigterm_stops_at_once(void **state)
{
    served s;
    samp_buffer text = {0};
    (void)state;
    served_init(&s);
    s.options.engine.max_running = 1; /* one after the other takes long enough */
    served_start(&s);
    int fd = client_connect(&s);
    client_send(fd, "POST", "/v1/completions", NULL,
                "{\"prompt\": \"on and on\", \"max_tokens\": 480, \"ignore_eos\": true, "
                "\"n\": 128, \"logprobs\": 20}");
    const char *waiting;
    do { /* until all but a few choices are in the queue */
        assert_int_equal(ask(&s, "GET", "/status.json", NULL, NULL, &text), 200);
        waiting = strstr(text.data, "\"waiting\":");
        assert_non_null(waiting);
    } while (atoi(waiting + strlen("\"waiting\":")) < 100);
    usleep(5000);
    kill(getpid(), SIGTERM);
    do /* not ready at once; what runs goes on */
        usleep(2000);
    while (ask(&s, "GET", "/ready", NULL, NULL, &text) == 200);
    assert_false(atomic_load(&s.over));
    kill(getpid(), SIGTERM);
    assert_true(wait_until(&s.over) < 10);
    close(fd);
    served_stop(&s);
    samp_buffer_release(&text);
}

/* ---- the log --------------------------------------------------------------------------------- */

/* Its lines as an array; each must be JSON. */
static json_t *read_log(const char *path)
{
    json_t *lines = json_array();
    FILE *file = fopen(path, "r");
    char line[8192];
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *one = json_loads(line, 0, NULL);
        if (!one) fail_msg("no JSON: %s", line);
        json_array_append_new(lines, one);
    }
    fclose(file);
    return lines;
}

static json_t *log_of_size(const char *path, size_t n)
{
    double end = samp_clock() + 30;
    for (;;) {
        json_t *lines = read_log(path);
        if (json_array_size(lines) >= n || samp_clock() > end) return lines;
        json_decref(lines);
        usleep(2000);
    }
}

static void one_line_a_request(void **state)
{
    served s;
    samp_buffer text = {0};
    char path[300];
    (void)state;
    served_init(&s);
    snprintf(path, sizeof path, "%s/log", s.folder);
    s.options.log = path;
    served_start(&s);
    json_decref(post(&s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200));
    json_decref(post(&s, "/v1/completions", "{\"prompt\": 3.5}", 400));
    json_decref(post(&s, "/v1/nothing", "{}", 404));
    ask(&s, "GET", "/health", "X-Request-Id: a\x01 b\r\n", NULL, &text);
    json_t *lines = log_of_size(path, 4);
    assert_int_equal(json_array_size(lines), 4);
    int sum = 0; /* the order is that of their ends */
    for (size_t i = 0; i < 4; i++) {
        const json_t *line = json_array_get(lines, i);
        sum += (int)json_integer_value(json_object_get(line, "status"));
        assert_null(json_object_get(line, "request")); /* no prompt unless asked */
    }
    assert_int_equal(sum, 200 + 400 + 404 + 400);
    json_decref(lines);
    served_stop(&s);
    samp_buffer_release(&text);
}

/* The log's path is a link: first to a device that is always full, then to a file. */
static void a_full_disk_loses_lines_and_tells(void **state)
{
    served s;
    char link_path[300], path[300];
    (void)state;
    served_init(&s);
    snprintf(link_path, sizeof link_path, "%s/link", s.folder);
    snprintf(path, sizeof path, "%s/log", s.folder);
    if (symlink("/dev/full", link_path) != 0) skip();
    s.options.log = link_path;
    served_start(&s);
    for (int i = 0; i < 3; i++)
        json_decref(post(&s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200));
    double end = samp_clock() + 30; /* lines are written by a thread of their own */
    while (metric(&s, "samp_log_lines_lost_total") < 3 && samp_clock() < end) usleep(1000);
    assert_int_equal(remove(link_path), 0);
    assert_int_equal(symlink(path, link_path), 0);
    kill(getpid(), SIGHUP);
    end = samp_clock() + 30;
    while (access(path, F_OK) != 0 && samp_clock() < end) usleep(1000);
    json_decref(post(&s, "/v1/completions", "{\"prompt\": \"y\", \"max_tokens\": 2}", 200));
    json_t *lines = log_of_size(path, 1);
    const json_t *lost = json_object_get(json_array_get(lines, 0), "lines_lost");
    assert_in_range(json_integer_value(lost), 3, 30000); /* the three, and the looks at /metrics */
    json_decref(lines);
    served_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_ends_loading),
        cmocka_unit_test(a_model_that_is_not_there_ends_it),
        cmocka_unit_test(the_second_sigterm_stops_at_once),
        cmocka_unit_test(one_line_a_request),
        cmocka_unit_test(a_full_disk_loses_lines_and_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

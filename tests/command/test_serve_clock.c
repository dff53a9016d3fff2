/* The running program while the wall clock jumps, an hour forward, a day back, on and on: what it
 * says of the date follows, streams, time limits and every duration do not. clock_shim.c makes the
 * jumps. */
#include "command/serve_process.h"

#include <math.h>
#include <sys/mman.h>

static int64_t *offset; /* seconds the program's wall clock is off by; shared with it */
static char clock_path[300];

static void preload(void)
{
    setenv("LD_PRELOAD", SAMP_BUILD "/test-command/clock-shim.so", 1);
    setenv("SAMP_TEST_CLOCK", clock_path, 1);
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1); /* the shim is there before it */
}

static void make_clock(process *p)
{
    snprintf(clock_path, sizeof clock_path, "%s/clock", p->s.folder);
    int file = open(clock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(file, sizeof *offset), 0);
    offset = mmap(NULL, sizeof *offset, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_true(offset != MAP_FAILED);
    close(file);
    p->in_child = preload;
}

static void jump(int64_t seconds) { __atomic_store_n(offset, seconds, __ATOMIC_SEQ_CST); }

/* Of an answer: when it says it was made, less the true time and the jump. */
static double created_error(const process *p)
{
    json_t *answer = post(&p->s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200);
    double created = json_number_value(json_object_get(answer, "created"));
    json_decref(answer);
    return fabs(created - (double)(time(NULL) + *offset));
}

/* All lines tell durations that are none of an hour, and none below 0. */
static void check_durations(const char *path, size_t n_streams)
{
    static const char *const names[] = {"latency_ms", "queue_ms", "ttft_ms"};
    json_t *lines = log_json(path);
    size_t streams_seen = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        streams_seen += json_is_true(json_object_get(line, "stream"));
        if (json_object_get(line, "cancelled"))
            assert_true(json_is_false(json_object_get(line, "cancelled")));
        for (size_t k = 0; k < 3; k++) {
            const json_t *value = json_object_get(line, names[k]);
            if (k && !value) continue; /* no request of the API */
            double ms = json_number_value(value);
            if (!json_is_number(value) || ms < 0 || ms > 60e3)
                fail_msg("%s of line %zu is %f", names[k], i, ms);
        }
    }
    assert_int_equal(streams_seen, n_streams);
    json_decref(lines);
}

/* No mean of seconds is an hour's share, or below 0. */
static void check_metrics(const process *p)
{
    samp_buffer text = {0};
    int n = 0;
    assert_int_equal(ask(&p->s, "GET", "/metrics", NULL, NULL, &text), 200);
    for (const char *at = text.data; (at = strstr(at, "_seconds_sum{")); at++) {
        const char *sum = strstr(at, "} "), *count = strstr(sum + 1, "} "); /* the line after it */
        double mean = atof(sum + 2) / fmax(atof(count + 2), 1);
        if (mean < 0 || mean > 100) fail_msg("a mean of %f s: %.80s", mean, at);
        n++;
    }
    assert_true(n >= 8);
    samp_buffer_release(&text);
}

static void jumps_move_dates_and_nothing_else(void **state)
{
    enum { STREAMS = 8, HOUR = 3600 };
    static const int64_t jumps[] = {HOUR, -HOUR, 0, 24 * HOUR, -24 * HOUR, 30, 0};
    process p;
    streams st;
    char log[320], path[300];
    (void)state;
    process_init(&p);
    make_clock(&p);
    snprintf(path, sizeof path, "%s/log", p.s.folder);
    snprintf(log, sizeof log, "--log=%s", path);
    process_argue(&p, log);
    process_argue(&p, "--heartbeat=1");
    process_start(&p);
    int idle = client_connect(&p.s); /* its time limit must not come */
    streams_begin(&st, &p, STREAMS);
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        jump(jumps[i]);
        double error = created_error(&p); /* also: the shim works */
        if (error > 30) fail_msg("after a jump to %lld s: off by %f", (long long)jumps[i], error);
        if (i == 3) assert_true(process_busy(&p) > 0);
        usleep(20000);
    }
    assert_int_equal(streams_end(&st), STREAMS);
    client_send(idle, "GET", "/health", NULL, NULL);
    samp_buffer text = {0};
    assert_int_equal(client_receive(idle, &text), 200);
    samp_buffer_release(&text);
    check_metrics(&p);
    jump(HOUR); /* and while it drains */
    streams_begin(&st, &p, STREAMS);
    kill(p.pid, SIGTERM);
    usleep(10000);
    jump(-HOUR);
    assert_int_equal(streams_end(&st), STREAMS);
    int status = process_end(&p, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_durations(path, (size_t)2 * STREAMS);
    munmap(offset, sizeof *offset);
    process_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jumps_move_dates_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

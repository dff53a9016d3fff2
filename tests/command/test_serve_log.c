/* The running program and a log that cannot be written: requests are answered all the same, nobody
 * waits, no line is torn, and what is lost is told on standard error, in /metrics and in the log.
 * Standard output and error that nobody reads, that were closed, that never were open. */
#include "command/serve_process.h"

static const char lost_name[] = "samp_log_lines_lost_total";
static const char small[] = "{\"prompt\": \"x\", \"max_tokens\": 2}";

/* Returns the log's path, in the folder of the test. */
static const char *log_to(process *p, const char *name)
{
    static char argument[400];
    process_init(p);
    int n = snprintf(argument, sizeof argument, "--log=");
    snprintf(argument + n, sizeof argument - (size_t)n, "%s/%s", p->s.folder, name);
    process_argue(p, argument);
    return argument + n;
}

static void log_to_output(process *p)
{
    process_init(p);
    process_argue(p, "--log=-");
}

/* ---- disks that are full --------------------------------------------------------------------- */

static void a_full_disk_is_told_of(void **state)
{
    process p;
    (void)state;
    const char *path = log_to(&p, "full");
    if (symlink("/dev/full", path) != 0) skip();
    process_start(&p);
    for (int i = 0; i < 5; i++) json_decref(post(&p.s, "/v1/completions", small, 200));
    assert_true(process_metric_reaches(&p, lost_name, 5) >= 5);
    assert_non_null(process_says(&p, "loses lines"));
    assert_non_null(process_says(&p, "No space left on device"));
    process_stop(&p);
}

static void limit_files(void)
{
    const struct rlimit limit = {.rlim_cur = 2000, .rlim_max = 2000};
    setrlimit(RLIMIT_FSIZE, &limit);
}

/* A file that may not grow takes parts of lines; they are taken off again. */
static void no_line_is_torn_where_the_disk_ends(void **state)
{
    process p;
    char old[300];
    (void)state;
    const char *path = log_to(&p, "log");
    p.in_child = limit_files;
    process_start(&p);
    for (int i = 0; i < 8; i++) json_decref(post(&p.s, "/v1/completions", small, 200));
    assert_true(process_metric_reaches(&p, lost_name, 1) >= 1);
    snprintf(old, sizeof old, "%s/old", p.s.folder);
    assert_int_equal(rename(path, old), 0);
    kill(p.pid, SIGHUP);
    double end = samp_clock() + 30;
    while (access(path, F_OK) != 0 && samp_clock() < end) usleep(1000);
    json_decref(post(&p.s, "/v1/completions", small, 200));
    assert_int_equal(process_end(&p, SIGTERM), 0);
    json_t *first = log_json(old), *then = log_json(path);
    assert_true(json_array_size(first) >= 2);
    assert_true(json_array_size(then) >= 1);
    json_int_t lost = lines_sum(first, "lines_lost") + lines_sum(then, "lines_lost");
    assert_true(lost >= 1);
    json_decref(first);
    json_decref(then);
    process_release(&p);
}

/* ---- readers ---------------------------------------------------------------------------------- */

/* A line of half a megabyte: eleven fill what may wait, and no pipe takes one at once. */
static void post_long(const process *p)
{
    samp_buffer body = {0};
    samp_buffer_text(&body, "{\"no_such_field\": \"");
    for (int i = 0; i < 500; i++) {
        char piece[1001];
        memset(piece, 'a' + i % 26, sizeof piece - 1);
        piece[sizeof piece - 1] = '\0';
        samp_buffer_text(&body, piece);
    }
    samp_buffer_text(&body, "\"}");
    json_decref(post(&p->s, "/v1/completions", body.data, 400));
    samp_buffer_release(&body);
}

/* All that comes from standard output within a while, or until `wanted` lines came. */
static void read_output(const process *p, samp_buffer *text, double seconds, size_t wanted)
{
    static char piece[1 << 16];
    double end = samp_clock() + seconds;
    for (size_t lines = 0; lines < wanted && samp_clock() < end;) {
        struct pollfd look = {.fd = p->out, .events = POLLIN};
        if (poll(&look, 1, 50) == 0) continue;
        ssize_t n = read(p->out, piece, sizeof piece);
        if (n <= 0) return;
        for (ssize_t i = 0; i < n; i++) lines += piece[i] == '\n';
        samp_buffer_append(text, piece, (size_t)n);
    }
}

/* `samp serve --log - | something that stands still`. */
static void nobody_waits_for_a_reader_that_stands_still(void **state)
{
    enum { LONG = 20 };
    process p;
    streams st;
    samp_buffer text = {0};
    (void)state;
    log_to_output(&p);
    process_argue(&p, "--log-prompts");
    process_start(&p);
    streams_begin(&st, &p, 4);
    for (int i = 0; i < LONG; i++) {
        double began = samp_clock();
        post_long(&p);
        assert_true(samp_clock() - began < 10);
    }
    assert_int_equal(streams_end(&st), 4);
    assert_true(process_metric_reaches(&p, lost_name, 5) >= 5);
    assert_non_null(process_says(&p, "the log on standard output loses lines"));
    double lost = metric(&p.s, lost_name);
    read_output(&p, &text, 2, LONG); /* it reads again */
    json_decref(post(&p.s, "/v1/completions", small, 200));
    read_output(&p, &text, 5, 1);
    json_t *lines = lines_json(text.data);
    assert_int_equal(lines_sum(lines, "lines_lost"), (json_int_t)lost);
    assert_true(metric(&p.s, lost_name) == lost);
    json_decref(lines);
    samp_buffer_release(&text);
    process_stop(&p);
}

/* The same, and it is told to end: what waits is given up soon. */
static void a_reader_that_stands_still_delays_no_end(void **state)
{
    process p;
    (void)state;
    log_to_output(&p);
    process_argue(&p, "--log-prompts");
    process_start(&p);
    for (int i = 0; i < 3; i++) post_long(&p);
    double began = samp_clock();
    int output = p.out;
    p.out = -1; /* it stays open, and unread */
    process_stop(&p);
    assert_true(samp_clock() - began < 15);
    close(output);
}

/* `samp serve --log - 2>&1 | head -1`, under load. */
static void a_pipe_that_is_closed_is_told_of(void **state)
{
    process p;
    streams st;
    samp_buffer text = {0};
    (void)state;
    log_to_output(&p);
    process_start(&p);
    json_decref(post(&p.s, "/v1/completions", small, 200));
    read_output(&p, &text, 30, 1);
    json_decref(lines_json(text.data));
    samp_buffer_release(&text);
    streams_begin(&st, &p, 4);
    process_close(&p.out);
    for (int i = 0; i < 5; i++) json_decref(post(&p.s, "/v1/completions", small, 200));
    assert_int_equal(streams_end(&st), 4);
    assert_true(process_metric_reaches(&p, lost_name, 8) >= 8);
    assert_non_null(process_says(&p, "Broken pipe"));
    process_close(&p.err);
    kill(p.pid, SIGHUP);
    json_decref(post(&p.s, "/v1/completions", small, 200));
    process_stop(&p);
}

static void close_input_and_output(void)
{
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
}

/* `samp serve --log - <&- >&-`: no socket or file gets the number of a standard stream. */
static void streams_that_never_were_open(void **state)
{
    process p;
    char link_path[64], target[300];
    (void)state;
    log_to_output(&p);
    p.in_child = close_input_and_output;
    process_start(&p);
    for (int fd = 0; fd < 2; fd++) {
        snprintf(link_path, sizeof link_path, "/proc/%d/fd/%d", (int)p.pid, fd);
        ssize_t n = readlink(link_path, target, sizeof target - 1);
        assert_true(n > 0);
        target[n] = '\0';
        assert_string_equal(target, "/dev/null");
    }
    json_decref(post(&p.s, "/v1/completions", small, 200));
    assert_true(process_metric_reaches(&p, lost_name, 1) >= 1);
    process_stop(&p);
}

/* ---- pipes with a name ------------------------------------------------------------------------ */

static void a_named_pipe_needs_a_reader(void **state)
{
    process p;
    (void)state;
    const char *path = log_to(&p, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    process_start(&p);
    close(reader);
    json_decref(post(&p.s, "/v1/completions", small, 200));
    kill(p.pid, SIGHUP); /* opening it would wait */
    json_decref(post(&p.s, "/v1/completions", small, 200));
    assert_non_null(process_says(&p, "cannot be opened again"));
    assert_true(process_metric_reaches(&p, lost_name, 2) >= 2);
    assert_int_equal(process_end(&p, SIGTERM), 0);
    char command[800];
    snprintf(command, sizeof command, "'%s/samp' serve '%s' '--log=%s' >/dev/null 2>'%s/said'",
             SAMP_BUILD, p.s.folder, path, p.s.folder);
    assert_int_equal(WEXITSTATUS(system(command)), 2);
    snprintf(command, sizeof command, "grep -q 'a pipe that nobody reads' '%s/said'", p.s.folder);
    assert_int_equal(system(command), 0);
    process_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_is_told_of),
        cmocka_unit_test(no_line_is_torn_where_the_disk_ends),
        cmocka_unit_test(nobody_waits_for_a_reader_that_stands_still),
        cmocka_unit_test(a_reader_that_stands_still_delays_no_end),
        cmocka_unit_test(a_pipe_that_is_closed_is_told_of),
        cmocka_unit_test(streams_that_never_were_open),
        cmocka_unit_test(a_named_pipe_needs_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The running program and signals, with streams under way: SIGKILL, after which it starts again at
 * once in the same place; SIGTERM, which lets them end; SIGHUP, which opens the log again and
 * disturbs nobody. Item 66 of the project's list of bad inputs; its other parts are
 * test_serve_log.c and test_serve_clock.c.
 *
 * test_command_serve_signals --model leaves the tiny model in a folder and prints its name, for
 * tools/soak.py. */
#include "command/serve_process.h"

enum { STREAMS = 8 };

/* ---- SIGKILL --------------------------------------------------------------------------------- */

static void killed_it_starts_again_at_once(void **state)
{
    process p;
    streams st;
    samp_buffer text = {0};
    char log[300], socket_path[320];
    (void)state;
    process_init(&p);
    snprintf(log, sizeof log, "--log=%s/log", p.s.folder);
    snprintf(socket_path, sizeof socket_path, "--listen=unix:%s/socket", p.s.folder);
    process_argue(&p, log);
    process_start(&p);
    process_argue(&p, socket_path); /* from the second time on; it is left behind each time */
    int port = p.s.port;
    for (int round = 0; round < 4; round++) {
        streams_begin(&st, &p, STREAMS);
        assert_true(process_busy(&p) > 0);
        int status = process_end(&p, SIGKILL);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(streams_end(&st), 0);
        process_start(&p);
        assert_int_equal(p.s.port, port);
        json_decref(post(&p.s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200));
    }
    samp_buffer_release(&text);
    process_stop(&p);
}

/* A line that its writer did not live to end stays one line, and no other begins within it. */
static void a_log_that_ends_within_a_line_goes_on(void **state)
{
    process p;
    char path[300], log[320];
    samp_buffer text = {0};
    samp_error error;
    (void)state;
    process_init(&p);
    snprintf(path, sizeof path, "%s/log", p.s.folder);
    snprintf(log, sizeof log, "--log=%s", path);
    process_argue(&p, log);
    write_text(p.s.folder, "log", "{\"whole\":1}\n{\"ts\":\"2026-");
    process_start(&p);
    json_decref(post(&p.s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200));
    assert_int_equal(process_end(&p, SIGTERM), 0);
    assert_int_equal(samp_file_slurp(path, 1 << 20, &text, &error), SAMP_OK);
    const char *part = strstr(text.data, "\n{\"ts\":\"2026-\n");
    assert_non_null(part);
    json_t *lines = lines_json(part + strlen("\n{\"ts\":\"2026-\n"));
    assert_int_equal(json_array_size(lines), 1);
    json_decref(lines);
    samp_buffer_release(&text);
    process_release(&p);
}

/* ---- SIGTERM --------------------------------------------------------------------------------- */

static void terminated_it_ends_what_runs(void **state)
{
    process p;
    streams st;
    (void)state;
    process_init(&p);
    process_start(&p);
    streams_begin(&st, &p, STREAMS);
    assert_true(process_busy(&p) >= STREAMS);
    kill(p.pid, SIGTERM);
    assert_int_equal(streams_end(&st), STREAMS);
    int status = process_end(&p, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    process_release(&p);
}

/* ---- SIGHUP ---------------------------------------------------------------------------------- */

/* As logrotate does it, again and again while streams run. */
static void a_hangup_opens_the_log_again_and_disturbs_nobody(void **state)
{
    enum { ROTATIONS = 5 };
    process p;
    streams st;
    char path[300], old[320], log[320];
    size_t n_lines = 0;
    (void)state;
    process_init(&p);
    snprintf(path, sizeof path, "%s/log", p.s.folder);
    snprintf(log, sizeof log, "--log=%s", path);
    process_argue(&p, log);
    process_start(&p);
    streams_begin(&st, &p, STREAMS);
    assert_true(process_busy(&p) >= STREAMS);
    for (int i = 0; i < ROTATIONS; i++) {
        snprintf(old, sizeof old, "%s.%d", path, i);
        assert_int_equal(rename(path, old), 0);
        kill(p.pid, SIGHUP);
        double end = samp_clock() + 30;
        while (access(path, F_OK) != 0 && samp_clock() < end) usleep(1000);
        json_decref(post(&p.s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 1}", 200));
    }
    assert_int_equal(streams_end(&st), STREAMS);
    assert_int_equal(process_end(&p, SIGTERM), 0);
    for (int i = 0; i <= ROTATIONS; i++) {
        snprintf(old, sizeof old, "%s.%d", path, i);
        json_t *lines = log_json(i < ROTATIONS ? old : path);
        for (size_t k = 0; k < json_array_size(lines); k++)
            n_lines += json_object_get(json_array_get(lines, k), "completion_tokens") != NULL;
        assert_int_equal(lines_sum(lines, "lines_lost"), 0);
        json_decref(lines);
    }
    assert_int_equal(n_lines, STREAMS + ROTATIONS);
    process_release(&p);
}

/* Nothing to open again, or nothing that can be: it says so and goes on. */
static void a_hangup_without_a_log_is_nothing(void **state)
{
    process p;
    char folder[300], log[320];
    (void)state;
    process_init(&p);
    process_start(&p);
    for (int i = 0; i < 3; i++) kill(p.pid, SIGHUP);
    json_decref(post(&p.s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200));
    process_stop(&p);
    process_init(&p);
    snprintf(folder, sizeof folder, "%s/logs", p.s.folder);
    snprintf(log, sizeof log, "--log=%s/log", folder);
    process_argue(&p, log);
    assert_int_equal(mkdir(folder, 0700), 0);
    process_start(&p);
    snprintf(log, sizeof log, "%s/moved", p.s.folder);
    assert_int_equal(rename(folder, log), 0);
    kill(p.pid, SIGHUP);
    assert_non_null(process_says(&p, "cannot be opened again"));
    json_decref(post(&p.s, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200));
    assert_int_equal(process_end(&p, SIGTERM), 0);
    snprintf(log, sizeof log, "%s/moved/log", p.s.folder);
    json_t *lines = log_json(log); /* the old file went on */
    assert_int_equal(json_array_size(lines), 1);
    json_decref(lines);
    process_release(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_it_starts_again_at_once),
        cmocka_unit_test(a_log_that_ends_within_a_line_goes_on),
        cmocka_unit_test(terminated_it_ends_what_runs),
        cmocka_unit_test(a_hangup_opens_the_log_again_and_disturbs_nobody),
        cmocka_unit_test(a_hangup_without_a_log_is_nothing),
    };
    if (argc == 2 && strcmp(argv[1], "--model") == 0) return puts(served_folder()) < 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

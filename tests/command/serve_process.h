/* `samp serve` itself, as a child of the test, on the tiny model of serve_support.h; clients that
 * stream from it. A child ends with its test, also when that fails. */
#ifndef SAMP_TESTS_COMMAND_SERVE_PROCESS_H
#define SAMP_TESTS_COMMAND_SERVE_PROCESS_H

#include "serve/serve_support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ARGUMENTS_MAX = 24 };

typedef struct process {
    served s; /* folder and port, for ask() */
    const char *arguments[ARGUMENTS_MAX];
    int n_arguments;
    void (*in_child)(void); /* NULL = nothing; runs before the program does */
    pid_t pid;
    int out, err;     /* ends of its standard output and error that we read; -1 = closed */
    samp_buffer said; /* on standard error, so far */
} process;

static inline void process_argue(process *p, const char *argument)
{
    assert_true(p->n_arguments + 1 < ARGUMENTS_MAX);
    p->arguments[p->n_arguments++] = argument;
}

/* More arguments may follow before process_start. */
static inline void process_init(process *p)
{
    static const char *const always[] = {
        SAMP_BUILD "/samp", "serve",      "-t", "1", "--context", "16384",
        "--no-speculation", "--drain=300"};
    *p = (process){.s.folder = served_folder(), .out = -1, .err = -1};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) process_argue(p, always[i]);
    process_argue(p, p->s.folder);
}

static inline void process_child(process *p, const int out[2], const int err[2])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    if (p->in_child) p->in_child();
    execv(p->arguments[0], (char *const *)p->arguments);
    _exit(127);
}

/* Reads standard error until it says `word`; that word's place, or NULL after a minute or its end. */
static inline const char *process_says(process *p, const char *word)
{
    double end = samp_clock() + 60;
    const char *found = NULL;
    for (;;) {
        char piece[4096];
        struct pollfd look = {.fd = p->err, .events = POLLIN};
        found = p->said.data ? strstr(p->said.data, word) : NULL;
        if (found || samp_clock() > end) return found;
        if (poll(&look, 1, 100) == 0) continue;
        ssize_t n = read(p->err, piece, sizeof piece);
        if (n <= 0) return NULL;
        samp_buffer_append(&p->said, piece, (size_t)n);
    }
}

static inline void process_start(process *p)
{
    int out[2], err[2];
    char listen[40];
    snprintf(listen, sizeof listen, "--listen=127.0.0.1:%d", p->s.port); /* 0: any */
    process_argue(p, listen);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    samp_buffer_clear(&p->said);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) process_child(p, out, err);
    p->arguments[--p->n_arguments] = NULL;
    close(out[1]), close(err[1]);
    p->out = out[0], p->err = err[0];
    if (!process_says(p, "ready after")) fail_msg("it said: %s", p->said.data);
    const char *at = strstr(p->said.data, "listening on http://127.0.0.1:");
    assert_non_null(at);
    p->s.port = atoi(at + strlen("listening on http://127.0.0.1:"));
}

static inline void process_close(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Sends a signal (0: none) and waits; the status of waitpid. */
static inline int process_end(process *p, int signal_number)
{
    int status = -1;
    double end = samp_clock() + 60;
    if (signal_number) kill(p->pid, signal_number);
    while (waitpid(p->pid, &status, WNOHANG) == 0) {
        if (samp_clock() > end) {
            kill(p->pid, SIGKILL);
            fail_msg("signal %d did not end it", signal_number);
        }
        usleep(2000);
    }
    process_close(&p->out);
    process_close(&p->err);
    return status;
}

static inline void process_release(process *p)
{
    samp_buffer_release(&p->said);
    tiny_remove(p->s.folder);
}

static inline void process_stop(process *p)
{
    int status = process_end(p, SIGTERM);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("waitpid says %d", status);
    process_release(p);
}

/* Until the metric is at least this, for half a minute. */
static inline double process_metric_reaches(const process *p, const char *name, double wanted)
{
    double end = samp_clock() + 30, value;
    while ((value = metric(&p->s, name)) < wanted && samp_clock() < end) usleep(5000);
    return value;
}

/* ---- streams ---- */

/* Enough to be under way for a while; sanitizers make it twenty times as long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STREAM_TOKENS = 400, STREAM_CHOICES = 1 };
#else
enum { STREAM_TOKENS = 400, STREAM_CHOICES = 8 };
#endif

typedef struct streams {
    int fds[32];
    size_t n;
} streams;

/* Begins n of them, and returns once each has had a token. */
static inline void streams_begin(streams *st, const process *p, size_t n)
{
    char body[200], piece[2048];
    snprintf(body, sizeof body,
             "{\"prompt\": \"on\", \"max_tokens\": %d, \"n\": %d, \"ignore_eos\": true, "
             "\"stream\": true}",
             STREAM_TOKENS, STREAM_CHOICES);
    st->n = n;
    for (size_t i = 0; i < n; i++) {
        st->fds[i] = client_connect(&p->s);
        client_send(st->fds[i], "POST", "/v1/completions", NULL, body);
    }
    for (size_t i = 0; i < n; i++) {
        ssize_t got, all = 0;
        while (all < 400) { /* longer than the head */
            got = recv(st->fds[i], piece, sizeof piece - 1, 0);
            assert_true(got > 0);
            piece[got] = '\0';
            if (all == 0) assert_int_equal(strncmp(piece, "HTTP/1.1 200", 12), 0);
            all += got;
        }
    }
}

/* Reads them to their ends; how many of them are whole. */
static inline size_t streams_end(streams *st)
{
    static const char last[] = "data: [DONE]\n\n\r\n0\r\n\r\n";
    size_t whole = 0;
    for (size_t i = 0; i < st->n; i++) {
        char piece[65536], tail[sizeof last] = {0};
        ssize_t n;
        while ((n = recv(st->fds[i], piece, sizeof piece, 0)) > 0) {
            size_t keep = (size_t)n < sizeof last - 1 ? (size_t)n : sizeof last - 1;
            memmove(tail, tail + keep, sizeof last - 1 - keep);
            memcpy(tail + sizeof last - 1 - keep, piece + n - keep, keep);
        }
        whole += n == 0 && strcmp(tail, last) == 0;
        close(st->fds[i]);
    }
    return whole;
}

/* Requests that run or wait. */
static inline int process_busy(const process *p)
{
    samp_buffer text = {0};
    assert_int_equal(ask(&p->s, "GET", "/status.json", NULL, NULL, &text), 200);
    json_t *json = body_json(&text);
    double n = json_number_value(json_object_get(json, "running")) +
               json_number_value(json_object_get(json, "waiting"));
    json_decref(json);
    samp_buffer_release(&text);
    return (int)n;
}

/* ---- logs ---- */

/* Lines of JSON in a text; fails on what is none. */
static inline json_t *lines_json(const char *text)
{
    json_t *lines = json_array();
    while (*text) {
        size_t n = strcspn(text, "\n");
        json_t *one = text[n] ? json_loadb(text, n, JSON_ALLOW_NUL, NULL) : NULL;
        if (!one) fail_msg("no line of JSON: %.*s", (int)(n < 300 ? n : 300), text);
        json_array_append_new(lines, one);
        text += n + 1;
    }
    return lines;
}

static inline json_t *log_json(const char *path)
{
    samp_buffer text = {0};
    samp_error error;
    if (samp_file_slurp(path, 64 << 20, &text, &error) != SAMP_OK) fail_msg("%s", error.message);
    json_t *lines = lines_json(text.data ? text.data : "");
    samp_buffer_release(&text);
    return lines;
}

/* The sum of a member over all lines. */
static inline json_int_t lines_sum(const json_t *lines, const char *key)
{
    json_int_t sum = 0;
    for (size_t i = 0; i < json_array_size(lines); i++)
        sum += json_integer_value(json_object_get(json_array_get(lines, i), key));
    return sum;
}

#endif

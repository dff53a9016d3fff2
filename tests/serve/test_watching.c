/* What watches a server names only what the server tells: the committed page and dashboard are
 * those that tools/watching.c prints, and every metric of dashboard, alerts and their tests stands
 * in /metrics of a server that has answered something.
 *
 * test_serve_watching FILE keeps those metrics in FILE, for promtool (test_promtool.sh). */
#include "serve/metrics.h"
#include "serve_support.h"

#include <ctype.h>

static samp_buffer metrics; /* /metrics, with the head of the answer */
static const char *keep;

static void read_file(samp_buffer *out, const char *path)
{
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("%s cannot be read", path);
    samp_buffer_clear(out);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0) samp_buffer_append(out, piece, n);
    fclose(file);
}

/* One that ends, one that is refused. */
static int answer_some(void **state)
{
    served s;
    (void)state;
    served_init(&s);
    served_start(&s);
    json_decref(post(&s, "/v1/completions", "{\"prompt\": \"a\", \"max_tokens\": 4}", 200));
    json_decref(post(&s, "/v1/completions", "{\"prompt\": 1.5}", 400));
    assert_int_equal(ask(&s, "GET", "/metrics", NULL, NULL, &metrics), 200);
    served_stop(&s);
    if (keep) {
        FILE *file = fopen(keep, "w");
        assert_non_null(file);
        fputs(strstr(metrics.data, "\r\n\r\n") + 4, file);
        assert_int_equal(fclose(file), 0);
    }
    return 0;
}

static void expect_printed(const char *what, const char *committed)
{
    samp_buffer printed = {0}, file = {0};
    char piece[4096];
    size_t n;
    snprintf(piece, sizeof piece, SAMP_BUILD "/watching %s", what);
    FILE *pipe = popen(piece, "r");
    assert_non_null(pipe);
    while ((n = fread(piece, 1, sizeof piece, pipe)) > 0) samp_buffer_append(&printed, piece, n);
    assert_int_equal(pclose(pipe), 0);
    snprintf(piece, sizeof piece, SAMP_SOURCE "/%s", committed);
    read_file(&file, piece);
    if (strcmp(printed.data, file.data) != 0)
        fail_msg("%s is not what src/serve/metrics.h says now: watching %s > %s", committed, what,
                 committed);
    samp_buffer_release(&printed);
    samp_buffer_release(&file);
}

static void the_committed_files_are_those_printed(void **state)
{
    (void)state;
    expect_printed("metrics", "docs/metrics.md");
    expect_printed("dashboard", "deploy/grafana.json");
}

static bool is_told(const char *name, size_t length)
{
    char line[200];
    snprintf(line, sizeof line, "\n# TYPE %.*s ", (int)length, name);
    return strstr(metrics.data, line) != NULL;
}

/* A family's name, or a histogram's series. */
static bool is_told_as_series(const char *name, size_t length)
{
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t n = strlen(suffixes[i]);
        if (length > n && strncmp(name + length - n, suffixes[i], n) == 0 &&
            is_told(name, length - n))
            return true;
    }
    return false;
}

static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_' || c == ':'; }

/* Every word that begins as a metric's name does; how many there were. */
static unsigned expect_told(const char *path)
{
    static const char *const beginnings[] = {"vllm:", "samp_", "process_", "quantization_"};
    samp_buffer text = {0};
    unsigned n = 0;
    char file[300];
    snprintf(file, sizeof file, SAMP_SOURCE "/deploy/%s", path);
    read_file(&text, file);
    for (const char *at = text.data; *at;) {
        size_t length = 0;
        while (is_name(at[length])) length++;
        for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
            size_t begin = strlen(beginnings[i]);
            if (length <= begin || strncmp(at, beginnings[i], begin) != 0) continue;
            if (!is_told_as_series(at, length))
                fail_msg("deploy/%s names %.*s, which /metrics does not tell", path, (int)length,
                         at);
            n++;
        }
        at += length ? length : 1;
    }
    samp_buffer_release(&text);
    return n;
}

static void what_is_watched_is_told(void **state)
{
    (void)state;
    assert_true(expect_told("grafana.json") > 40);
    assert_true(expect_told("alerts.yml") > 15);
    assert_true(expect_told("alerts_test.yml") > 20);
    assert_true(is_told_as_series("vllm:e2e_request_latency_seconds_sum", 36));
    assert_false(is_told_as_series("vllm:num_preemptions", 20)); /* a name others alert on */
}

static void old_names_tell_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < SAMP_METRICS; i++) {
        const samp_metric_info *info = samp_metric_describe((samp_metric)i);
        assert_true(is_told(info->name, strlen(info->name)));
        if (info->old_name[0]) assert_true(is_told(info->old_name, strlen(info->old_name)));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_committed_files_are_those_printed),
        cmocka_unit_test(what_is_watched_is_told),
        cmocka_unit_test(old_names_tell_the_same),
    };
    if (argc > 1) keep = argv[1];
    int failed = cmocka_run_group_tests(tests, answer_some, NULL);
    samp_buffer_release(&metrics);
    return failed;
}

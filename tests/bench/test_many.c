/* The load generator with hundreds of streams at once: all are held, figures stay within a
 * millisecond or a percent of what the server did, the client's own delay is told, and where file
 * descriptors do not suffice it says so before it begins.
 *
 * test_bench_many --serve TTFT_MS TOKEN_MS is that server alone, for `samp bench` by hand: it prints
 * its port and, once standard input ends, how late it was itself. */
#include "bench/load.h"
#include "bench/mock_server.h"
#include "support/cmocka_all.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { STREAMS = 400, TTFT_MS = 200, TOKEN_MS = 50, TOKENS = 20 };

static mock_server mock;
static char url[64];

static samp_load_options load_of(uint32_t streams)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", mock.port);
    return (samp_load_options){.urls = {url},
                               .model = "plain",
                               .concurrency = streams,
                               .n_requests = streams,
                               .n_warmup = streams,
                               .input_words = 5,
                               .output_tokens = TOKENS,
                               .chat = true,
                               .timeout_s = 60,
                               .seed = 1};
}

/* Within a millisecond or a percent, and what client and server say they were late. */
static void near(const char *what, double seconds, double wanted, double lag)
{
    double error = fmax(0.001, 0.01 * wanted) + lag;
    if (fabs(seconds - wanted) > error) fail_msg("%s: %f s instead of %f", what, seconds, wanted);
}

static void run(const samp_load_options *options, samp_load_result *result, samp_load_summary *s)
{
    samp_error error;
    atomic_store(&mock.n_lates, 0);
    if (samp_load_run(options, result, &error) != SAMP_OK) fail_msg("%s", error.message);
    samp_load_summarize(options, result, 0, s);
    print_message("client late %.3f ms (p99), %.0f %% of a core, server late %.3f\n",
                  result->lag_p99 * 1e3, result->cpu_share * 100, mock_late(&mock, 0.99) * 1e3);
    assert_int_equal(s->n_success, options->n_requests);
    assert_int_equal(s->output_tokens, options->n_requests * TOKENS);
}

/* All at once; then each begins as another ends. */
static void hundreds_of_streams_are_held(void **state)
{
    (void)state;
    samp_load_options options = load_of(STREAMS);
    samp_load_result result;
    samp_load_summary s;
    options.n_requests = 2 * STREAMS;
    run(&options, &result, &s);
    assert_int_equal(atomic_load(&mock.most_streams), STREAMS);
    double lag = result.lag_p99 + mock_late(&mock, 0.99);
    near("a token", s.figures[SAMP_LOAD_TPOT].p50, 1e-3 * TOKEN_MS, lag);
    near("between chunks", s.figures[SAMP_LOAD_ITL].p50, 1e-3 * TOKEN_MS, lag);
    samp_load_result_release(&result);
}

/* Evenly spread, so that no first token waits for the client to send four hundred requests. */
static void their_times_are_right(void **state)
{
    const double end_s = 1e-3 * (TTFT_MS + (TOKENS - 1) * TOKEN_MS);
    (void)state;
    samp_load_options options = load_of(STREAMS);
    samp_load_result result;
    samp_load_summary s;
    options.arrivals = SAMP_LOAD_CONSTANT;
    options.rate = STREAMS / end_s;
    options.n_requests = 2 * STREAMS;
    run(&options, &result, &s);
    double lag = result.lag_p99 + mock_late(&mock, 0.99);
    near("first token", s.figures[SAMP_LOAD_TTFT].p50, 1e-3 * TTFT_MS, lag);
    near("a token", s.figures[SAMP_LOAD_TPOT].p50, 1e-3 * TOKEN_MS, lag);
    near("between chunks", s.figures[SAMP_LOAD_ITL].p50, 1e-3 * TOKEN_MS, lag);
    near("end", s.figures[SAMP_LOAD_E2E].p50, end_s, lag);
    samp_load_result_release(&result);
}

static void limit_files(rlim_t soft, rlim_t hard)
{
    const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(10);
}

/* In a child, as a hard limit cannot be raised again: a soft one below the streams is raised, a
 * hard one refused by name. 0, or which step failed. */
static int run_with_few_descriptors(rlim_t hard)
{
    samp_load_options options = load_of(150);
    samp_load_result result;
    samp_load_summary s;
    samp_error error;
    options.output_tokens = 2;
    close_range(STDERR_FILENO + 1, ~0u, 0); /* the server's end of everything */
    limit_files(100, hard);
    if (samp_load_run(&options, &result, &error) != SAMP_OK) return 1;
    samp_load_summarize(&options, &result, 0, &s);
    if (s.n_success != 150) return 2;
    samp_load_result_release(&result);
    limit_files(100, 100);
    if (samp_load_run(&options, &result, &error) != SAMP_LIMIT) return 3;
    if (!strstr(error.message, "need 182 file descriptors, and this process may have 100"))
        return 4;
    options.arrivals = SAMP_LOAD_CONSTANT; /* nobody knows how many that will be */
    options.rate = 3000;
    options.n_warmup = 0;
    if (samp_load_run(&options, &result, &error) != SAMP_OK) return 5;
    samp_load_summarize(&options, &result, 0, &s);
    if (s.n_failed[SAMP_LOAD_DESCRIPTORS] < 10 || s.n_success < 10) return 6;
    samp_load_result_release(&result);
    return 0;
}

static void descriptors_that_do_not_suffice_are_told_of(void **state)
{
    struct rlimit limit;
    int status;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(run_with_few_descriptors(limit.rlim_max));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0) fail_msg("step %d", WEXITSTATUS(status));
}

static int start(void **state)
{
    (void)state;
    return mock_start(&mock, TTFT_MS, TOKEN_MS) ? 0 : 1;
}

static int serve(int ttft_ms, int token_ms)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (!mock_start(&mock, ttft_ms, token_ms)) return 2;
    printf("http://127.0.0.1:%d\n", mock.port);
    fflush(stdout);
    while (getchar() != EOF) {}
    printf("%zu tokens, late by %.3f ms (p50), %.3f (p99), %.3f (most)\n", mock.n_lates,
           mock_late(&mock, 0.5) * 1e3, mock_late(&mock, 0.99) * 1e3, mock_late(&mock, 1) * 1e3);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundreds_of_streams_are_held),
        cmocka_unit_test(their_times_are_right),
        cmocka_unit_test(descriptors_that_do_not_suffice_are_told_of),
    };
    if (argc == 4 && strcmp(argv[1], "--serve") == 0) return serve(atoi(argv[2]), atoi(argv[3]));
    return cmocka_run_group_tests(tests, start, NULL);
}

/* samp bench: of a server's URL, its latency and throughput under load; --offline, prefill and
 * decode speed of models, beside what this machine's memory can deliver. */
#include "base/cpu.h"
#include "base/memory.h"
#include "bench/machine.h"
#include "bench/offline.h"
#include "command/bench_url.h"
#include "command/loaded.h"

#include <string.h>

typedef struct bench_options {
    samp_run_options run;
    int64_t prompt, generate, depth, repetitions;
    bool offline, json;
    samp_bench_url_options url;
} bench_options;

static const samp_option options[] = {
    SAMP_OPTION(bench_options, FLAG, offline, "offline", 0, NULL,
                .help = "measure the engine itself, without a server"),
    SAMP_OPTION(bench_options, INTEGER, prompt, "prompt", 'p', "N", .initial = "512", .max = 131072,
                .help = "tokens of the prefill test; 0 = none"),
    SAMP_OPTION(bench_options, INTEGER, generate, "generate", 'n', "N", .initial = "128",
                .max = 131072, .help = "tokens of the decode test; 0 = none"),
    SAMP_OPTION(bench_options, INTEGER, depth, "depth", 'd', "N", .initial = "0", .max = 131072,
                .help = "tokens already in the cache when a test starts"),
    SAMP_OPTION(bench_options, INTEGER, repetitions, "repetitions", 'r', "N", .initial = "5",
                .min = 1, .max = SAMP_BENCH_REPETITIONS_MAX,
                .help = "timed repetitions after a warm-up; the median is shown"),
    SAMP_RUN_OPTIONS(bench_options, run),
    SAMP_BENCH_URL_OPTIONS(bench_options, url),
    SAMP_OPTION(bench_options, FLAG, json, "json", 0, NULL, .help = "print JSON"),
};

enum { MODELS_MAX = 8, TESTS_MAX = 2 };

typedef struct bench_state {
    samp_loaded models[MODELS_MAX];
    samp_session *sessions[MODELS_MAX];
    size_t n_models, n_tests;
    samp_bench_test tests[TESTS_MAX];
    samp_bench_figure figures[TESTS_MAX * MODELS_MAX];
    samp_bandwidth bandwidth[MODELS_MAX]; /* at each model's size, all threads */
    double steal;
} bench_state;

static samp_status measure(const bench_options *o, bench_state *state, samp_error *error)
{
    samp_meter meter;
    samp_progress progress = samp_meter_start(&meter, "tests");
    samp_cpu_ticks before = samp_read_cpu_ticks();
    samp_status status =
        samp_bench_offline(state->sessions, state->n_models, state->tests, state->n_tests,
                           (uint32_t)o->repetitions, &progress, state->figures, error);
    state->steal = samp_steal_share(before, samp_read_cpu_ticks());
    samp_meter_stop(&meter);
    samp_pool *pool = NULL;
    if (status == SAMP_OK)
        status = samp_pool_create(&pool, samp_session_threads(state->sessions[0]), error);
    for (size_t m = 0; m < state->n_models && status == SAMP_OK; m++)
        status = samp_measure_bandwidth(pool, samp_session_weight_bytes(state->sessions[m]), 0.5,
                                        &state->bandwidth[m], error);
    samp_pool_release(pool);
    return status;
}

/* Share of the measured read bandwidth that decoding reached. */
static double reached(const bench_state *state, size_t model, const samp_bench_figure *figure)
{
    return figure->median * figure->bytes_per_token / state->bandwidth[model].bytes_per_second;
}

static void test_name(char *out, size_t n, const samp_bench_test *test)
{
    int at =
        snprintf(out, n, "%s%u", test->kind == SAMP_BENCH_PREFILL ? "pp" : "tg", test->n_tokens);
    if (test->depth && at > 0 && (size_t)at < n)
        snprintf(out + at, n - (size_t)at, " @ d%u", test->depth);
}

static void print_text(const bench_state *state)
{
    static const char *const headers[] = {"model",      "weights", "test",        "tok/s (median)",
                                          "low … high", "GB/s",    "of memory's", "ratio to first"};
    printf("%s; memory read and share are measured in this run",
           samp_session_describe(state->sessions[0]));
    if (state->steal > 0.01)
        printf("; %.0f %% of the processors' time was stolen by the host", state->steal * 100);
    puts("\n");
    samp_table table;
    samp_table_begin(&table, "lrlrrrrr", 8, headers);
    for (size_t t = 0; t < state->n_tests; t++)
        for (size_t m = 0; m < state->n_models; m++) {
            const samp_bench_figure *f = &state->figures[t * state->n_models + m];
            char weights[32], test[48], rate[32], range[48], bytes[32] = "", share[48] = "",
                                                             ratio[32];
            test_name(test, sizeof test, &state->tests[t]);
            snprintf(rate, sizeof rate, "%.2f", f->median);
            snprintf(range, sizeof range, "%.2f … %.2f", f->low, f->high);
            snprintf(ratio, sizeof ratio, "%.3f",
                     f->median / state->figures[t * state->n_models].median);
            if (f->bytes_per_token > 0) {
                snprintf(bytes, sizeof bytes, "%.2f", f->median * f->bytes_per_token / 1e9);
                snprintf(share, sizeof share, "%.0f %% of %.1f", reached(state, m, f) * 100,
                         state->bandwidth[m].bytes_per_second / 1e9);
            }
            const char *cells[] = {
                samp_model_folder(state->models[m].model),
                samp_show_bytes(weights, (double)samp_session_weight_bytes(state->sessions[m])),
                test,
                rate,
                range,
                bytes,
                share,
                ratio};
            samp_table_row(&table, 8, cells);
        }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static json_t *bench_json(const bench_options *o, const bench_state *state)
{
    char cpu[128];
    samp_cpu_model(cpu, sizeof cpu);
    json_t *rows = json_array();
    for (size_t t = 0; t < state->n_tests; t++)
        for (size_t m = 0; m < state->n_models; m++) {
            const samp_bench_figure *f = &state->figures[t * state->n_models + m];
            char test[48];
            test_name(test, sizeof test, &state->tests[t]);
            json_t *row =
                json_pack("{s:s,s:s,s:I,s:f,s:f,s:f,s:f,s:f}", "model",
                          samp_model_folder(state->models[m].model), "test", test, "weight_bytes",
                          (json_int_t)samp_session_weight_bytes(state->sessions[m]),
                          "tokens_per_second", f->median, "mean", f->mean, "deviation",
                          f->deviation, "low", f->low, "high", f->high);
            if (row && f->bytes_per_token > 0) {
                samp_json_set(row, "bytes_per_token", json_real(f->bytes_per_token));
                samp_json_set(row, "read_bandwidth",
                              json_real(state->bandwidth[m].bytes_per_second));
                samp_json_set(row, "share_of_bandwidth", json_real(reached(state, m, f)));
            }
            json_array_append_new(rows, row);
        }
    return json_pack("{s:i,s:s,s:s,s:s,s:I,s:i,s:f,s:o}", "schema_version", 1, "version",
                     SAMP_VERSION, "cpu", cpu, "backend", samp_session_describe(state->sessions[0]),
                     "threads", (json_int_t)samp_session_threads(state->sessions[0]), "repetitions",
                     (int)o->repetitions, "stolen_time_share", state->steal, "rows", rows);
}

static samp_status open_models(const bench_options *o, const char *const *folders, size_t n,
                               bench_state *state, samp_error *error)
{
    int64_t longest = o->prompt > o->generate ? o->prompt : o->generate;
    for (size_t m = 0; m < n; m++) {
        SAMP_TRY(samp_loaded_open(&state->models[m], folders[m], &o->run,
                                  (uint32_t)(o->depth + longest), false, error));
        state->sessions[m] = state->models[m].session;
        state->n_models = m + 1;
    }
    if (o->prompt)
        state->tests[state->n_tests++] =
            (samp_bench_test){SAMP_BENCH_PREFILL, (uint32_t)o->prompt, (uint32_t)o->depth};
    if (o->generate)
        state->tests[state->n_tests++] =
            (samp_bench_test){SAMP_BENCH_DECODE, (uint32_t)o->generate, (uint32_t)o->depth};
    return SAMP_OK;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    const bench_options *o = given;
    bool url = strstr(arguments[0], "://") != NULL;
    if (url && n == 1 && !o->offline) return samp_bench_url(&o->url, arguments[0], o->json, error);
    if (!o->offline || url) {
        samp_fail(error, SAMP_INVALID,
                  "give the URL of one server, or --offline and one or more model folders");
        return SAMP_EXIT_USAGE;
    }
    if (!o->prompt && !o->generate) {
        samp_fail(error, SAMP_INVALID, "--prompt 0 and --generate 0 leave nothing to measure");
        return SAMP_EXIT_USAGE;
    }
    bench_state *state = samp_alloc(1, sizeof *state);
    samp_status status = state ? open_models(o, arguments, n, state, error)
                               : samp_fail(error, SAMP_NOMEM, "out of memory for a benchmark");
    if (status == SAMP_OK) status = measure(o, state, error);
    if (status == SAMP_OK && o->json)
        status = samp_print_json(bench_json(o, state), error);
    else if (status == SAMP_OK)
        print_text(state);
    for (size_t m = 0; state && m < MODELS_MAX; m++) samp_loaded_close(&state->models[m]);
    samp_free(state);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_bench = {
    .name = "bench",
    .summary = "measure a server under load, or a model's speed",
    .arguments = "URL|MODEL…",
    .min_arguments = 1,
    .max_arguments = MODELS_MAX,
    .description =
        "Of a URL: sends requests to an OpenAI-compatible server, a number at any moment or a "
        "rate a\n"
        "second, and shows time to first token, time per token and end to end, counted from when "
        "a\n"
        "request was due, and tokens as the server's usage counts them. An answer without "
        "finish_reason,\n"
        "[DONE] or tokens, or with an error event, is a failure.\n"
        "\n"
        "With --offline: measures how fast the engine reads a prompt (pp) and writes tokens (tg). "
        "Several models "
        "are\n"
        "interleaved, repetition by repetition, so that their ratio holds on a machine whose "
        "speed\n"
        "drifts. For decoding it prints the bytes read a second beside the read bandwidth of this\n"
        "machine's memory at that size, measured in the same run.",
    .examples = "  $ samp bench http://127.0.0.1:8000 --concurrency 16 --requests 200\n"
                "  $ samp bench http://127.0.0.1:8000 --rate 4 --slo "
                "'ttft_p99<250ms,success>=99.9%'\n"
                "  $ samp bench http://127.0.0.1:8000 --against http://127.0.0.1:8080 -c 4\n"
                "  $ samp bench --offline demo/model demo/artifact\n"
                "  $ samp bench --offline -p 0 -n 64 -d 2048 --kv int8 demo/artifact\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(bench_options),
    .run = run,
};

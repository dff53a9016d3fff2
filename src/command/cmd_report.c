/* samp report: what do we gain and what does it cost us? A quantized model beside its 16-bit
 * original, measured in this run: a table, and with --html one page with the sensitivity map, the
 * plan, the front, and where every number is from. */
#include "base/cpu.h"
#include "base/memory.h"
#include "bench/machine.h"
#include "bench/offline.h"
#include "quantize/about.h"
#include "command/html_report.h"
#include "command/loaded.h"
#include "plan/cost.h"

#include <assert.h>
#include <string.h>
#include <time.h>

typedef struct report_options {
    samp_run_options run;
    const char *baseline, *out, *html, *sensitivity, *note;
    samp_text_list evaluations, peers;
    int64_t context, windows, prompt, generate, repetitions;
    double price;
} report_options;

static const samp_option options[] = {
    SAMP_OPTION(report_options, TEXT, baseline, "baseline", 'b', "DIR", .required = true,
                .help = "the 16-bit original"),
    SAMP_OPTION(report_options, TEXT, out, "out", 'o', "FILE",
                .help = "also write the report to this file"),
    SAMP_OPTION(report_options, TEXT, html, "html", 0, "FILE",
                .help = "also write one self-contained HTML page: charts, tables, provenance"),
    SAMP_OPTION(report_options, TEXT, sensitivity, "sensitivity", 's', "FILE",
                .help = "with --html: what samp measure wrote, for the map and the front"),
    SAMP_OPTION(report_options, LIST, evaluations, "evaluation", 'e', "FILE",
                .help = "with --html: samp eval --json on this or another artifact, a point on "
                        "the charts"),
    SAMP_OPTION(report_options, LIST, peers, "peers", 0, "FILE",
                .help = "with --html: JSON array of {name, weight_bytes, kl: {stratum: {value, "
                        "low, high}}}"),
    SAMP_OPTION(report_options, TEXT, note, "note", 0, "TEXT",
                .help = "with --html: a paragraph on what the reader must know"),
    SAMP_OPTION(report_options, INTEGER, context, "ctx", 'c', "N", .initial = "512", .min = 2,
                .max = 131072, .help = "tokens a window of the texts"),
    SAMP_OPTION(report_options, INTEGER, windows, "windows", 'w', "N", .initial = "0", .max = 1e6,
                .help = "at most so many windows a text; 0 = all"),
    SAMP_OPTION(report_options, INTEGER, prompt, "prompt", 'p', "N", .initial = "512", .min = 1,
                .max = 131072, .help = "tokens of the prefill test"),
    SAMP_OPTION(report_options, INTEGER, generate, "generate", 'n', "N", .initial = "64", .min = 1,
                .max = 131072, .help = "tokens of the decode test"),
    SAMP_OPTION(report_options, INTEGER, repetitions, "repetitions", 'r', "N", .initial = "5",
                .max = SAMP_BENCH_REPETITIONS_MAX,
                .help = "repetitions of both, interleaved; 0 = do not measure speed"),
    SAMP_OPTION(report_options, NUMBER, price, "price", 0, "DOLLARS", .max = 1e9,
                .help = "price of this machine an hour, for the cost of a token"),
    SAMP_RUN_OPTIONS(report_options, run),
};

enum { TEXTS_MAX = SAMP_REPORT_STRATA_MAX, ROWS_MAX = 16, BASELINE = 0, CANDIDATE = 1 };

typedef struct report_state {
    samp_loaded models[2];
    samp_about about[2];
    samp_bench_figure prefill[2], decode[2];
    samp_eval_result texts[TEXTS_MAX];
    const char *const *paths;
    size_t n_texts;
    samp_bandwidth bandwidth;
    double steal;
    samp_report_row rows[ROWS_MAX];
    size_t n_rows;
} report_state;

static samp_status measure_speed(const report_options *o, report_state *state, samp_error *error)
{
    samp_session *sessions[2] = {state->models[0].session, state->models[1].session};
    samp_bench_test tests[2] = {{SAMP_BENCH_PREFILL, (uint32_t)o->prompt, 0},
                                {SAMP_BENCH_DECODE, (uint32_t)o->generate, 0}};
    samp_bench_figure figures[4];
    samp_meter meter;
    samp_progress progress = samp_meter_start(&meter, "tests");
    samp_cpu_ticks before = samp_read_cpu_ticks();
    samp_status status = samp_bench_offline(sessions, 2, tests, 2, (uint32_t)o->repetitions,
                                            &progress, figures, error);
    state->steal = samp_steal_share(before, samp_read_cpu_ticks());
    samp_meter_stop(&meter);
    for (int m = 0; m < 2 && status == SAMP_OK; m++)
        state->prefill[m] = figures[m], state->decode[m] = figures[2 + m];
    samp_pool *pool = NULL;
    if (status == SAMP_OK)
        status = samp_pool_create(&pool, samp_session_threads(sessions[0]), error);
    if (status == SAMP_OK)
        status = samp_measure_bandwidth(pool, samp_session_weight_bytes(sessions[CANDIDATE]), 0.5,
                                        &state->bandwidth, error);
    samp_pool_release(pool);
    return status;
}

static samp_status measure(const report_options *o, report_state *state, samp_error *error)
{
    for (int m = 0; m < 2; m++) samp_about_model(state->models[m].model, &state->about[m]);
    if (o->repetitions) SAMP_TRY(measure_speed(o, state, error));
    samp_eval_options how = {.context = (uint32_t)o->context, .max_windows = (uint32_t)o->windows};
    for (size_t i = 0; i < state->n_texts; i++) {
        size_t n_tokens;
        SAMP_TRY(samp_loaded_eval(&state->models[CANDIDATE], state->models[BASELINE].session,
                                  state->paths[i], &how, &state->texts[i], &n_tokens, error));
    }
    return SAMP_OK;
}

/* ---- sizes and speed: rows for the terminal's table and the page's ---------------------------- */

static samp_report_row *add_row(report_state *state, const char *name, double a, double b)
{
    samp_report_row *row = &state->rows[state->n_rows++];
    assert(state->n_rows <= ROWS_MAX);
    *row = (samp_report_row){0};
    snprintf(row->name, sizeof row->name, "%s", name);
    if (a > 0) snprintf(row->change, sizeof row->change, "%+.1f %%", (b / a - 1) * 100);
    return row;
}

static void add_bytes(report_state *state, const char *name, uint64_t a, uint64_t b)
{
    samp_report_row *row = add_row(state, name, (double)a, (double)b);
    samp_show_bytes(row->before, (double)a);
    samp_show_bytes(row->after, (double)b);
}

static void add_seconds(report_state *state, const char *name, double a, double b)
{
    if (!(a > 0 && b > 0)) return;
    samp_report_row *row = add_row(state, name, a, b);
    samp_show_seconds(row->before, a);
    samp_show_seconds(row->after, b);
}

static void add_number(report_state *state, const char *name, double a, double b, int digits)
{
    samp_report_row *row = add_row(state, name, a, b);
    snprintf(row->before, sizeof row->before, "%.*f", digits, a);
    snprintf(row->after, sizeof row->after, "%.*f", digits, b);
}

static void add_speed(const report_options *o, report_state *state)
{
    char name[48];
    const samp_bench_figure *prefill = state->prefill, *decode = state->decode;
    snprintf(name, sizeof name, "prefill, tok/s (pp%lld)", (long long)o->prompt);
    add_number(state, name, prefill[0].median, prefill[1].median, 1);
    snprintf(name, sizeof name, "decode, tok/s (tg%lld)", (long long)o->generate);
    add_number(state, name, decode[0].median, decode[1].median, 1);
    snprintf(name, sizeof name, "time to first token, %lld", (long long)o->prompt);
    add_seconds(state, name, prefill[0].latency_p50, prefill[1].latency_p50);
    add_seconds(state, "time a token, median", decode[0].latency_p50, decode[1].latency_p50);
    add_seconds(state, "time a token, p99", decode[0].latency_p99, decode[1].latency_p99);
    if (o->price <= 0) return;
    samp_cost cost[2];
    for (int m = 0; m < 2; m++)
        samp_cost_compute(&(samp_cost_input){o->price, decode[m].median, 1, 720}, &cost[m], NULL);
    add_number(state, "$ a million tokens", cost[0].per_million_tokens, cost[1].per_million_tokens,
               2);
}

static void make_rows(const report_options *o, report_state *state)
{
    const samp_about *about = state->about;
    add_bytes(state, "weights on disk", about[0].weight_bytes, about[1].weight_bytes);
    add_number(state, "bits a weight", 8 * (double)about[0].weight_bytes / about[0].n_weights,
               8 * (double)about[1].weight_bytes / about[1].n_weights, 2);
    add_bytes(state, "memory read a token", samp_session_weight_bytes(state->models[0].session),
              samp_session_weight_bytes(state->models[1].session));
    if (o->repetitions) add_speed(o, state);
}

static void print_sizes_and_speed(const report_state *state, FILE *out)
{
    static const char *const headers[] = {"", "original", "this", "change"};
    samp_table table;
    samp_table_begin(&table, "lrrr", 4, headers);
    for (size_t i = 0; i < state->n_rows; i++) {
        const samp_report_row *r = &state->rows[i];
        const char *cells[] = {r->name, r->before, r->after, r->change};
        samp_table_row(&table, 4, cells);
    }
    samp_table_print(&table, out);
    samp_table_release(&table);
}

static void print_accuracy(const report_state *state, FILE *out)
{
    static const char *const headers[] = {"accuracy on", "tokens",     "perplexity",
                                          "original's",  "KL mean",    "± 95 %",
                                          "KL p99",      "same top-1", "Δp, points"};
    samp_table table;
    samp_table_begin(&table, "lrrrrrrrr", 9, headers);
    for (size_t i = 0; i < state->n_texts; i++) {
        const samp_eval_result *r = &state->texts[i];
        const char *slash = strrchr(state->paths[i], '/');
        char cell[8][48];
        samp_show_count(cell[0], r->n_scored);
        snprintf(cell[1], 48, "%.3f", r->perplexity.value);
        snprintf(cell[2], 48, "%.3f", r->baseline_perplexity.value);
        snprintf(cell[3], 48, "%.4f", r->kl_mean.value);
        if (r->n_windows > 1)
            snprintf(cell[4], 48, "%.4f", (r->kl_mean.high - r->kl_mean.low) / 2);
        else
            snprintf(cell[4], 48, "–"); /* one window says nothing about the spread */
        snprintf(cell[5], 48, "%.3f", r->kl_p99.value);
        snprintf(cell[6], 48, "%.2f %%", r->top1.value * 100);
        snprintf(cell[7], 48, "%+.3f", r->delta_p.value * 100);
        const char *cells[] = {slash ? slash + 1 : state->paths[i],
                               cell[0],
                               cell[1],
                               cell[2],
                               cell[3],
                               cell[4],
                               cell[5],
                               cell[6],
                               cell[7]};
        samp_table_row(&table, 9, cells);
    }
    samp_table_print(&table, out);
    samp_table_release(&table);
}

static void print_explanation(const report_options *o, const report_state *state, FILE *out)
{
    const samp_bench_figure *d = &state->decode[CANDIDATE];
    fprintf(
        out,
        "\nHow to read it\n"
        "  bits a weight        all weights and their scales, averaged; 16 in the original\n"
        "  memory read a token  what one decoded token must fetch; decoding cannot be faster than "
        "memory allows:\n"
        "                       here %.1f of %.1f GB/s measured at this size, %.0f %%\n"
        "  time a token         between two decoded tokens of one stream, %zu steps each\n"
        "  KL mean              how far the next-token distribution moved, nats a token; 0 is "
        "identical,\n"
        "                       llama.cpp's Q4_K_M is near 0.03 and Q8_0 near 0.002 on 8B models\n"
        "  same top-1           share of positions where both choose the same next token\n"
        "  Δp                   mean change of the true token's probability, in percentage "
        "points\n",
        d->median * d->bytes_per_token / 1e9, state->bandwidth.bytes_per_second / 1e9,
        d->median * d->bytes_per_token / state->bandwidth.bytes_per_second * 100, d->n_latencies);
    if (o->price > 0)
        fprintf(out,
                "  $ a million tokens   this machine at $%g an hour, one stream, decoding all the "
                "time\n",
                o->price);
}

static void print_report(const report_options *o, const report_state *state, FILE *out)
{
    char cpu[128], date[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%d", &utc);
    samp_cpu_model(cpu, sizeof cpu);
    fprintf(out, "%s beside its original %s\n", samp_model_folder(state->models[CANDIDATE].model),
            samp_model_folder(state->models[BASELINE].model));
    fprintf(out, "%s, samp %s, %s (%s)", date, SAMP_VERSION, cpu,
            samp_session_describe(state->models[CANDIDATE].session));
    if (o->repetitions)
        fprintf(out, "; %lld repetitions, interleaved, medians", (long long)o->repetitions);
    if (state->steal > 0.01)
        fprintf(out, "; the host took %.0f %% of the processors' time", state->steal * 100);
    fputs("\n\n", out);
    print_sizes_and_speed(state, out);
    if (state->n_texts) {
        fputc('\n', out);
        print_accuracy(state, out);
    }
    if (o->repetitions) print_explanation(o, state, out);
}

static samp_status write_report(const report_options *o, const report_state *state,
                                samp_error *error)
{
    print_report(o, state, stdout);
    if (!o->out) return SAMP_OK;
    FILE *file = fopen(o->out, "we");
    if (!file) return samp_fail_errno(error, "%s cannot be written", o->out);
    print_report(o, state, file);
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) return samp_fail_errno(error, "%s cannot be written", o->out);
    return SAMP_OK;
}

static samp_status write_page(const report_options *o, const report_state *state, samp_error *error)
{
    char cpu[128], machine[300];
    char names[TEXTS_MAX][64];
    samp_report_text texts[TEXTS_MAX];
    samp_cpu_model(cpu, sizeof cpu);
    snprintf(machine, sizeof machine, "%s (%s)", cpu,
             samp_session_describe(state->models[CANDIDATE].session));
    for (size_t i = 0; i < state->n_texts; i++) {
        samp_stratum_of_path(state->paths[i], names[i], sizeof names[i]);
        texts[i] = (samp_report_text){names[i], state->texts[i]};
    }
    samp_html_inputs in = {
        .artifact = samp_model_folder(state->models[CANDIDATE].model),
        .baseline = o->baseline,
        .sensitivity = o->sensitivity,
        .evaluations = o->evaluations,
        .peers = o->peers,
        .note = o->note,
        .machine = machine,
        .rows = state->rows,
        .n_rows = state->n_rows,
        .texts = texts,
        .n_texts = state->n_texts,
        .decode = {state->decode[BASELINE].median, state->decode[CANDIDATE].median}};
    return samp_html_report_write(&in, o->html, stdout, error);
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    const report_options *o = given;
    if (!o->html && (o->sensitivity || o->evaluations.count || o->peers.count || o->note)) {
        samp_fail(error, SAMP_INVALID,
                  "--sensitivity, --evaluation, --peers and --note belong to --html FILE");
        return SAMP_EXIT_USAGE;
    }
    report_state *state = samp_alloc(1, sizeof *state);
    if (!state) {
        samp_fail(error, SAMP_NOMEM, "out of memory for a report");
        return SAMP_EXIT_ERROR;
    }
    state->paths = arguments + 1;
    state->n_texts = n - 1;
    int64_t context = o->context > o->prompt ? o->context : o->prompt;
    if (o->generate > context) context = o->generate;
    const char *folders[2] = {o->baseline, arguments[0]};
    samp_status status = SAMP_OK;
    for (int m = 0; m < 2 && status == SAMP_OK; m++)
        status = samp_loaded_open(&state->models[m], folders[m], &o->run, (uint32_t)context,
                                  m == CANDIDATE, error);
    if (status == SAMP_OK) status = measure(o, state, error);
    if (status == SAMP_OK) {
        make_rows(o, state);
        status = write_report(o, state, error);
    }
    if (status == SAMP_OK && o->html) status = write_page(o, state, error);
    for (int m = 0; m < 2; m++) {
        samp_about_release(&state->about[m]);
        samp_loaded_close(&state->models[m]);
    }
    samp_free(state);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_report = {
    .name = "report",
    .summary = "size, speed, accuracy, cost beside the original; table and HTML",
    .arguments = "MODEL [TEXT]…",
    .min_arguments = 1,
    .max_arguments = TEXTS_MAX + 1,
    .description =
        "Measures a quantized model beside its 16-bit original on this machine: bytes, prefill "
        "and\n"
        "decode speed (interleaved), latencies, and on each text perplexity, KL divergence and\n"
        "agreement, with one line on what each figure means.\n\n"
        "--html writes the same as one page that needs no network, with what else is given: the\n"
        "sensitivity map and the Pareto front, the formats of the artifact, other artifacts and\n"
        "peers beside it, predicted against measured KL, the strata, and the provenance of all.\n"
        "Without TEXT, accuracy is read from --evaluation.",
    .examples = "  $ samp report demo/artifact --baseline demo/model README.md\n"
                "  $ samp report demo/plan -b demo/model --sensitivity s.json --html report.html "
                "prose.txt code.txt\n"
                "  $ samp report OUT -b BASE --price 2.5 --out report.txt code.txt chat.txt\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(report_options),
    .run = run,
};

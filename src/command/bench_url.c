/* samp bench URL: options to a load, a load to a table. */
#include "command/bench_url.h"

#include "bench/load.h"
#include "command/terminal.h"
#include "file/file.h"

#include <math.h>
#include <string.h>

static void show_ms(char *out, size_t n, double seconds)
{
    if (isnan(seconds))
        snprintf(out, n, "–");
    else if (seconds < 0.0995)
        snprintf(out, n, "%.2f", seconds * 1e3);
    else
        snprintf(out, n, "%.0f", seconds * 1e3);
}

static void print_figures(const samp_load_summary *s)
{
    static const char *const headers[] = {"milliseconds", "mean", "p50", "p90", "p95", "p99", "n"};
    samp_table table;
    samp_table_begin(&table, "lrrrrrr", 7, headers);
    for (int m = 0; m < SAMP_LOAD_MEASURES; m++) {
        const samp_load_figure *f = &s->figures[m];
        const double values[] = {f->mean, f->p50, f->p90, f->p95, f->p99};
        char cells[5][24], n[32];
        const char *row[7] = {samp_load_measure_text((samp_load_measure)m)};
        for (int i = 0; i < 5; i++) {
            show_ms(cells[i], sizeof cells[i], values[i]);
            row[i + 1] = cells[i];
        }
        row[6] = samp_show_count(n, f->n);
        samp_table_row(&table, 7, row);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_arm(const samp_load_options *o, const samp_load_result *result, int arm)
{
    samp_load_summary s;
    char memory[32];
    samp_load_summarize(o, result, arm, &s);
    printf("\n%s, model %s\n", o->urls[arm], result->model);
    printf("%u requests, %.2f %% successful, %.2f requests/s, %.1f output tok/s", s.n_requests,
           s.success_share * 100, s.requests_per_s, s.output_tokens_per_s);
    if (s.n_success)
        printf("; %.0f tokens in, %.0f out each", (double)s.input_tokens / s.n_success,
               (double)s.output_tokens / s.n_success);
    if (result->memory_bytes[arm] > 0)
        printf("; server's memory %s", samp_show_bytes(memory, result->memory_bytes[arm]));
    puts("\n");
    for (int i = 0; i < SAMP_LOAD_OUTCOMES; i++)
        if (s.n_failed[i])
            printf("failed: %u, %s\n", s.n_failed[i], samp_load_outcome_text((samp_load_outcome)i));
    print_figures(&s);
    if (s.n_success < 100) puts("p99 is shown from 100 successful requests on");
}

static void print_ratios(const samp_load_options *o, const samp_load_result *result)
{
    puts("\nthe second server's median over the first's, with 95 % intervals:");
    for (int m = 0; m < SAMP_LOAD_MEASURES; m++) {
        double ratio, low, high;
        samp_load_ratio(o, result, (samp_load_measure)m, &ratio, &low, &high);
        if (!isnan(ratio))
            printf("  %-20s %.3f  (%.3f to %.3f)\n", samp_load_measure_text((samp_load_measure)m),
                   ratio, low, high);
    }
}

/* How far these figures can be trusted: what the client itself added. */
static void print_client(const samp_load_result *result)
{
    printf("\nthe client was %.1f ms late (p99), with %.0f %% of a core", result->lag_p99 * 1e3,
           result->cpu_share * 100);
    puts(samp_load_client_limits(result)
             ? ": it was a bottleneck; use fewer streams or a faster machine"
             : "");
}

/* The first line of a file: keys do not belong on command lines. */
static samp_status read_key(const char *path, samp_buffer *key, samp_error *error)
{
    SAMP_TRY(samp_file_slurp(path, 4096, key, error));
    key->length = strcspn(key->data ? key->data : "", "\r\n");
    if (key->length == 0) return samp_fail(error, SAMP_CORRUPT, "%s has no key", path);
    key->data[key->length] = '\0';
    return SAMP_OK;
}

static samp_load_options load_options(const samp_bench_url_options *o, const char *url)
{
    samp_load_options load = {.urls = {url, o->against},
                              .model = o->model,
                              .concurrency = (uint32_t)o->concurrency,
                              .rate = o->rate,
                              .n_requests = (uint32_t)o->requests,
                              .input_words = (uint32_t)o->input,
                              .shared_words = (uint32_t)o->shared,
                              .output_tokens = (uint32_t)o->output,
                              .free_length = o->free_length,
                              .chat = o->chat,
                              .temperature = o->temperature,
                              .timeout_s = o->timeout,
                              .seed = (uint64_t)o->seed};
    int64_t warmup = o->rate > 0 ? 8 : o->concurrency;
    load.n_warmup = (uint32_t)(o->warmup < 0 ? warmup : o->warmup);
    if (o->rate > 0)
        load.arrivals =
            strcmp(o->arrivals, "constant") == 0 ? SAMP_LOAD_CONSTANT : SAMP_LOAD_POISSON;
    return load;
}

static samp_status report(const samp_bench_url_options *o, const samp_load_options *load,
                          const samp_load_result *result, bool json, bool *met, samp_error *error)
{
    samp_buffer lines = {0};
    samp_load_summary first;
    samp_status status = SAMP_OK;
    if (json)
        status = samp_print_json(samp_load_json(load, result), error);
    else {
        for (int arm = 0; arm < SAMP_LOAD_ARMS && load->urls[arm]; arm++)
            print_arm(load, result, arm);
        if (load->urls[1]) print_ratios(load, result);
        print_client(result);
    }
    samp_load_summarize(load, result, 0, &first);
    if (status == SAMP_OK && o->slo) status = samp_load_slo(o->slo, &first, &lines, met, error);
    if (status == SAMP_OK && lines.length) fprintf(json ? stderr : stdout, "\n%s", lines.data);
    samp_buffer_release(&lines);
    return status;
}

int samp_bench_url(const samp_bench_url_options *o, const char *url, bool json, samp_error *error)
{
    samp_load_options load = load_options(o, url);
    samp_load_result result;
    samp_load_summary nothing = {0};
    samp_buffer key = {0}, lines = {0};
    samp_meter meter;
    bool met = true;
    samp_status status = SAMP_OK;
    if (o->slo) { /* a wrong objective is better known before the load than after it */
        status = samp_load_slo(o->slo, &nothing, &lines, &met, error);
        samp_buffer_release(&lines);
        if (status != SAMP_OK) return SAMP_EXIT_USAGE;
        met = true;
    }
    if (o->api_key) status = read_key(o->api_key, &key, error);
    load.api_key = key.data;
    load.progress = samp_meter_start(&meter, "requests");
    if (status == SAMP_OK) status = samp_load_run(&load, &result, error);
    samp_meter_stop(&meter);
    if (status == SAMP_OK) {
        status = report(o, &load, &result, json, &met, error);
        samp_load_result_release(&result);
    }
    samp_buffer_release(&key);
    if (status != SAMP_OK) return SAMP_EXIT_ERROR;
    return met ? SAMP_EXIT_DONE : SAMP_EXIT_NO;
}

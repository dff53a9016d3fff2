/* watching metrics|dashboard: prints docs/metrics.md or deploy/grafana.json, from the list in
 * src/serve/metrics.h that /metrics is made from; panels name metrics by their ids, so a name can
 * only change everywhere at once. tests/serve/test_watching.c compares the committed files with
 * what this prints; after a change of the list run
 *
 *     watching metrics > docs/metrics.md; watching dashboard > deploy/grafana.json
 *
 * The first twelve panels are those of vLLM's dashboard: titles, expressions and order. */
#include "base/buffer.h"
#include "base/json.h"
#include "serve/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- panels ---------------------------------------------------------------------------------- */

typedef enum panel_kind {
    LINES,     /* queries as they are */
    QUANTILES, /* of the first query's histogram, and its mean */
    HEATMAP,   /* of the first query's histogram */
    TABLE,     /* labels of a series that is always 1 */
    ROW        /* a title across the page */
} panel_kind;

typedef struct query {
    samp_metric metric;
    const char *expression; /* @ stands for the metric's name; NULL: the panel's kind knows */
    const char *legend;
} query;

enum { QUERIES_MAX = 2 };

typedef struct panel {
    panel_kind kind;
    const char *title, *unit; /* Grafana's names of units */
    query queries[QUERIES_MAX];
} panel;

#define MODEL        "{model_name=\"$model_name\"}"
#define RATE(suffix) "rate(@" suffix MODEL "[$__rate_interval])"

static const panel panels[] = {
    {QUANTILES, "E2E Request Latency", "s", {{SAMP_METRIC_E2E, NULL, NULL}}},
    {LINES,
     "Token Throughput",
     "none",
     {{SAMP_METRIC_PROMPT_TOKENS, RATE(""), "Prompt Tokens/Sec"},
      {SAMP_METRIC_GENERATION_TOKENS, RATE(""), "Generation Tokens/Sec"}}},
    {QUANTILES, "Inter Token Latency", "s", {{SAMP_METRIC_INTER_TOKEN, NULL, NULL}}},
    {LINES,
     "Scheduler State",
     "none",
     {{SAMP_METRIC_REQUESTS_RUNNING, "@" MODEL, "Num Running"},
      {SAMP_METRIC_REQUESTS_WAITING, "@" MODEL, "Num Waiting"}}},
    {QUANTILES, "Time To First Token Latency", "s", {{SAMP_METRIC_TTFT, NULL, NULL}}},
    {LINES,
     "Cache Utilization",
     "percentunit",
     {{SAMP_METRIC_KV_USAGE, "@" MODEL, "KV Cache Usage"}}},
    {HEATMAP, "Request Prompt Length", "none", {{SAMP_METRIC_REQUEST_PROMPT_TOKENS, NULL, NULL}}},
    {HEATMAP,
     "Request Generation Length",
     "none",
     {{SAMP_METRIC_REQUEST_GENERATION_TOKENS, NULL, NULL}}},
    {LINES,
     "Finish Reason",
     "none",
     {{SAMP_METRIC_REQUEST_SUCCESS,
       "sum by(finished_reason) (increase(@" MODEL "[$__rate_interval]))", "{{finished_reason}}"}}},
    {LINES, "Queue Time", "s", {{SAMP_METRIC_QUEUE_TIME, RATE("_sum"), "Queue"}}},
    {LINES,
     "Requests Prefill and Decode Time",
     "s",
     {{SAMP_METRIC_PREFILL_TIME, RATE("_sum"), "Prefill"},
      {SAMP_METRIC_DECODE_TIME, RATE("_sum"), "Decode"}}},
    {LINES,
     "Max Generation Token in Sequence Group",
     "none",
     {{SAMP_METRIC_REQUEST_MAX_GENERATION, RATE("_sum"), "Tokens"}}},
    {ROW, "Quantization", NULL, {{0}}},
    {LINES, "Scale Drift", "none", {{SAMP_METRIC_DRIFT, "@" MODEL, "{{tensor_group}}"}}},
    {LINES,
     "Outliers",
     "percentunit",
     {{SAMP_METRIC_OUTLIER_RATIO, "@" MODEL, "{{tensor_group}}"}}},
    {LINES, "KV Blocks", "none", {{SAMP_METRIC_KV_BLOCKS, "@" MODEL, "{{state}}"}}},
    {LINES,
     "Memory",
     "bytes",
     {{SAMP_METRIC_RESIDENT_BYTES, "@" MODEL, "Resident"},
      {SAMP_METRIC_KV_BYTES, "@" MODEL, "KV cache"}}},
    {TABLE, "Model", NULL, {{SAMP_METRIC_MODEL_INFO, "@" MODEL, ""}}},
    {QUANTILES,
     "Request Latency, as Clients See It",
     "s",
     {{SAMP_METRIC_REQUEST_LATENCY, NULL, NULL}}},
};

/* ---- the dashboard --------------------------------------------------------------------------- */

#define SOURCE "{s:s, s:s}", "type", "prometheus", "uid", "${DS_PROMETHEUS}"

static void add_target(json_t *targets, samp_metric metric, const char *expression,
                       const char *legend, const char *format)
{
    samp_buffer text = {0};
    for (const char *at = expression; *at; at++) {
        if (*at == '@')
            samp_buffer_text(&text, samp_metric_describe(metric)->name);
        else
            samp_buffer_append(&text, at, 1);
    }
    const char ref[] = {(char)('A' + json_array_size(targets)), '\0'};
    bool table = strcmp(format, "table") == 0;
    json_t *target =
        json_pack("{s:o, s:s, s:s, s:s, s:s, s:b, s:b}", "datasource", json_pack(SOURCE),
                  "editorMode", "code", "expr", text.data, "legendFormat", legend, "format", format,
                  "instant", table, "range", !table);
    if (target) samp_json_set(target, "refId", json_string(ref));
    json_array_append_new(targets, target);
    samp_buffer_release(&text);
}

static json_t *targets_of(const panel *p)
{
    static const struct {
        const char *expression, *legend;
    } quantiles[] = {
        {"histogram_quantile(0.99, sum by(le) (" RATE("_bucket") "))", "P99"},
        {"histogram_quantile(0.95, sum by(le) (" RATE("_bucket") "))", "P95"},
        {"histogram_quantile(0.9, sum by(le) (" RATE("_bucket") "))", "P90"},
        {"histogram_quantile(0.5, sum by(le) (" RATE("_bucket") "))", "P50"},
        {RATE("_sum") "\n/\n" RATE("_count"), "Average"},
    };
    json_t *targets = json_array();
    if (p->kind == QUANTILES) {
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
            add_target(targets, p->queries[0].metric, quantiles[i].expression, quantiles[i].legend,
                       "time_series");
    } else if (p->kind == HEATMAP) {
        add_target(targets, p->queries[0].metric,
                   "sum by(le) (increase(@_bucket" MODEL "[$__rate_interval]))", "{{le}}",
                   "heatmap");
    } else {
        for (int i = 0; i < QUERIES_MAX && p->queries[i].expression; i++)
            add_target(targets, p->queries[i].metric, p->queries[i].expression,
                       p->queries[i].legend, p->kind == TABLE ? "table" : "time_series");
    }
    return targets;
}

static json_t *panel_json(const panel *p, int id, int x, int y)
{
    static const char *const types[] = {"timeseries", "timeseries", "heatmap", "table", "row"};
    json_t *json = json_pack("{s:i, s:s, s:s, s:{s:i, s:i, s:i, s:i}}", "id", id, "type",
                             types[p->kind], "title", p->title, "gridPos", "h",
                             p->kind == ROW ? 1 : 8, "w", p->kind == ROW ? 24 : 12, "x", x, "y", y);
    if (p->kind == ROW) {
        samp_json_set(json, "collapsed", json_false());
        samp_json_set(json, "panels", json_array());
        return json;
    }
    samp_json_set(json, "description",
                  json_string(samp_metric_describe(p->queries[0].metric)->help));
    samp_json_set(json, "datasource", json_pack(SOURCE));
    json_t *defaults = json_object();
    if (p->unit) samp_json_set(defaults, "unit", json_string(p->unit));
    samp_json_set(json, "fieldConfig", json_pack("{s:o, s:[]}", "defaults", defaults, "overrides"));
    if (p->kind == HEATMAP)
        samp_json_set(json, "options",
                      json_pack("{s:b, s:{s:s}, s:{s:s}}", "calculate", 0, "yAxis", "unit", p->unit,
                                "rowsFrame", "layout", "auto"));
    samp_json_set(json, "targets", targets_of(p));
    return json;
}

static json_t *panels_json(void)
{
    json_t *list = json_array();
    int x = 0, y = 0;
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++) {
        bool row = panels[i].kind == ROW;
        if (row && x > 0) x = 0, y += 8;
        json_array_append_new(list, panel_json(&panels[i], (int)i + 1, x, y));
        if (row)
            y += 1;
        else if (x == 0)
            x = 12;
        else
            x = 0, y += 8;
    }
    return list;
}

static void print_dashboard(void)
{
    static const char models[] = "label_values({__name__=~\"vllm:.*\"},model_name)";
    json_t *variables =
        json_pack("[{s:s, s:s, s:s, s:s, s:i}, {s:s, s:s, s:s, s:o, s:s, s:{s:s, s:s}, s:i}]",
                  "name", "DS_PROMETHEUS", "type", "datasource", "label", "datasource", "query",
                  "prometheus", "refresh", 1, "name", "model_name", "type", "query", "label",
                  "model_name", "datasource", json_pack(SOURCE), "definition", models, "query",
                  "query", models, "refId", "StandardVariableQuery", "refresh", 1);
    json_t *dashboard = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:{s:s, s:s}, s:{s:o}, s:o}", "title", "samp", "uid", "samp",
        "description", "A samp server: vLLM's panels, and how its quantization fares",
        "schemaVersion", 39, "refresh", "10s", "time", "from", "now-5m", "to", "now", "templating",
        "list", variables, "panels", panels_json());
    if (!dashboard || json_dumpf(dashboard, stdout, JSON_INDENT(1)) != 0) {
        fputs("watching: out of memory\n", stderr);
        exit(2);
    }
    putchar('\n');
    json_decref(dashboard);
}

/* ---- the documentation ----------------------------------------------------------------------- */

static const char *origin(const char *name)
{
    if (strcmp(name, "vllm:request_success_rate") == 0) return "samp, though vLLM never had it";
    if (strncmp(name, "vllm:", 5) == 0) return "vLLM";
    if (strncmp(name, "process_", 8) == 0) return "Prometheus clients";
    return "samp";
}

static void print_bounds(const samp_metric_info *info)
{
    samp_buffer text = {0};
    for (unsigned i = 0; i < info->n_bounds; i++) {
        samp_buffer_text(&text, i ? " " : "");
        samp_metrics_write_number(&text, info->bounds[i]);
    }
    printf("%s", text.data);
    samp_buffer_release(&text);
}

/* A bar would end the table's cell. */
static void print_cell(const char *text)
{
    for (; *text; text++) printf("%s%c", *text == '|' ? "\\" : "", *text);
}

static void print_metrics(void)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    puts("# Metrics\n\n"
         "What `/metrics` of `samp serve` tells, in Prometheus' text format. Every series has the "
         "labels `model_name` and\n"
         "`engine`, as vLLM's have. Made from `src/serve/metrics.h` by `tools/watching.c`, as "
         "`deploy/grafana.json` is.\n\n"
         "| metric | type | label | meaning | named by |\n|---|---|---|---|---|");
    for (int i = 0; i < SAMP_METRICS; i++) {
        const samp_metric_info *info = samp_metric_describe((samp_metric)i);
        const char *tick = info->label[0] ? "`" : "";
        printf("| `%s`", info->name);
        if (info->old_name[0]) printf(", before `%s`", info->old_name);
        printf(" | %s | %s%s%s | ", kinds[info->kind], tick, info->label, tick);
        print_cell(info->help);
        printf(" | %s |\n", origin(info->name));
    }
    puts("\nBoth names of a renamed metric are exposed.\n\n"
         "## Upper bounds of histograms\n\n"
         "vLLM's, with bounds added around 0.25 s and below; +Inf is the last of each.\n\n"
         "| histogram | bounds |\n|---|---|");
    for (int i = 0; i < SAMP_METRICS; i++) {
        const samp_metric_info *info = samp_metric_describe((samp_metric)i);
        if (info->kind != SAMP_HISTOGRAM) continue;
        printf("| `%s` | ", info->name);
        print_bounds(info);
        puts(" |");
    }
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "metrics") == 0) {
        print_metrics();
    } else if (strcmp(what, "dashboard") == 0) {
        print_dashboard();
    } else {
        fputs("usage: watching metrics|dashboard\n", stderr);
        return 3;
    }
    return 0;
}

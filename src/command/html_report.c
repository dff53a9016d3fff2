/* The HTML report: opens what it needs, gathers, draws, writes. */
#include "command/html_gather.h"

#include "base/hash.h"
#include "file/file.h"
#include "file/manifest.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *samp__html_text(html_gather *g, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *copy = samp_arena_strndup(&g->arena, text, strlen(text));
    return copy ? copy : "";
}

int samp__html_stratum(html_gather *g, const char *name)
{
    for (size_t i = 0; i < g->report.n_strata; i++)
        if (strcmp(g->strata[i], name) == 0) return (int)i;
    if (g->report.n_strata == SAMP_REPORT_STRATA_MAX) return -1;
    g->strata[g->report.n_strata++] = samp__html_text(g, "%s", name);
    return (int)g->report.n_strata - 1;
}

void samp_stratum_of_path(const char *path, char *out, size_t n)
{
    const char *name = samp_path_name(path), *dot = strrchr(name, '.');
    snprintf(out, n, "%.*s", dot && dot != name ? (int)(dot - name) : (int)strlen(name), name);
}

/* ---- provenance ------------------------------------------------------------------------------ */

static void add_fact(html_gather *g, const char *name, const char *value)
{
    if (g->report.n_facts == HTML_FACTS_MAX || !value || !*value) return;
    g->facts[g->report.n_facts++] = (samp_report_fact){name, value};
}

/* The command line of this process, as it was typed but for its quotes. */
static const char *command_line(html_gather *g)
{
    char text[1000];
    FILE *file = fopen("/proc/self/cmdline", "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    while (n > 0 && text[n - 1] == '\0') n--;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\0') text[i] = ' ';
    text[n] = '\0';
    return samp__html_text(g, "%s", text);
}

static const char *file_with_digest(html_gather *g, const char *path, samp_error *error)
{
    uint64_t bytes = 0, done = 0;
    char sha256[SAMP_SHA256_HEX];
    if (samp_hash_file(path, &bytes, sha256, NULL, NULL, &done, 0, error) != SAMP_OK) return NULL;
    return samp__html_text(g, "%s, SHA-256 %s", path, sha256);
}

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* What samp.json says of source and plan. */
static void add_manifest_facts(html_gather *g)
{
    const json_t *manifest = g->about[1].manifest, *source = json_object_get(manifest, "source"),
                 *plan = json_object_get(manifest, "plan");
    if (!manifest) return;
    add_fact(g, "artifact",
             samp__html_text(g, "%s, samp.json %s", g->in->artifact,
                             member(manifest, "manifest_sha256")));
    add_fact(g, "made by",
             samp__html_text(g, "samp %s, %s", member(manifest, "version"),
                             member(manifest, "quant_type")));
    if (source)
        add_fact(g, "source",
                 samp__html_text(g, "%s, %s %s", member(source, "name"),
                                 member(source, "digest_of"), member(source, "sha256")));
    if (!plan) return;
    int64_t budget = json_integer_value(json_object_get(plan, "budget_bytes"));
    add_fact(g, "plan",
             samp__html_text(g, "budget %lld bytes%s%s; model %s", (long long)budget,
                             *member(plan, "hardware") ? ", hardware " : "",
                             member(plan, "hardware"), member(plan, "model_digest")));
    add_fact(g, "plan's calibration", member(plan, "calibration_digest"));
}

samp_status samp__html_facts(html_gather *g, samp_error *error)
{
    const samp_html_inputs *in = g->in;
    const char *text;
    add_manifest_facts(g);
    if (in->sensitivity) {
        if (!(text = file_with_digest(g, in->sensitivity, error))) return error->status;
        add_fact(g, "sensitivity", text);
        add_fact(g, "calibration",
                 samp__html_text(g, "%s, SHA-256 %s; %llu tokens, probes on %llu", g->s.calibration,
                                 g->s.calibration_digest, (unsigned long long)g->s.n_tokens,
                                 (unsigned long long)g->s.n_probe_tokens));
    }
    const samp_text_list *lists[] = {&in->evaluations, &in->peers};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            if (!(text = file_with_digest(g, lists[l]->items[i], error))) return error->status;
            add_fact(g, l ? "peers" : "evaluation", text);
        }
    add_fact(g, "machine", in->machine);
    add_fact(g, "command", command_line(g));
    g->report.facts = g->facts;
    return SAMP_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static samp_status open_models(html_gather *g, samp_error *error)
{
    samp_model *baseline;
    SAMP_TRY(samp_model_open(&baseline, g->in->baseline, error));
    samp_about_model(baseline, &g->about[0]);
    samp_model_close(baseline);
    SAMP_TRY(samp_model_open(&g->model, g->in->artifact, error));
    samp_about_model(g->model, &g->about[1]);
    samp_report *r = &g->report;
    for (int m = 0; m < 2; m++) {
        r->weight_bytes[m] = (double)g->about[m].weight_bytes;
        r->bits[m] = 8 * r->weight_bytes[m] / g->about[m].n_weights;
        r->decode[m] = g->in->decode[m] > 0 ? g->in->decode[m] : NAN;
    }
    r->predicted_kl = g->about[1].predicted_kl;
    return SAMP_OK;
}

static void describe(html_gather *g)
{
    char name[64], date[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%d", &utc);
    samp_report *r = &g->report;
    samp_folder_name(g->in->artifact, name, sizeof name);
    r->model = samp__html_text(g, "%s", name);
    samp_folder_name(g->in->baseline, name, sizeof name);
    r->baseline = samp__html_text(g, "%s", name);
    r->when_and_where = samp__html_text(g, "%s, samp %s, %s.", date, SAMP_VERSION, g->in->machine);
    r->notes = g->in->note;
    r->rows = g->in->rows;
    r->n_rows = g->in->n_rows;
    r->texts = g->texts;
    r->points = g->points;
    r->shares = g->shares;
    r->strata = g->strata;
}

static samp_status gather(html_gather *g, samp_error *error)
{
    SAMP_TRY(open_models(g, error));
    describe(g);
    SAMP_TRY(samp__html_points(g, error));
    SAMP_TRY(samp__html_plan(g, error));
    return samp__html_facts(g, error);
}

samp_status samp_html_report_write(const samp_html_inputs *inputs, const char *path, FILE *table,
                                   samp_error *error)
{
    samp_buffer page = {0};
    html_gather *g = samp_alloc(1, sizeof *g);
    if (!g) return samp_fail(error, SAMP_NOMEM, "out of memory for the report");
    g->in = inputs;
    samp_status status = gather(g, error);
    if (status == SAMP_OK) status = samp_report_html(&g->report, &page, error);
    if (status == SAMP_OK) status = samp_file_write(path, page.data, page.length, error);
    if (status == SAMP_OK && table && g->report.n_points > 1) samp__html_print_points(g, table);
    samp_buffer_release(&page);
    samp_sensitivity_release(&g->s);
    for (int m = 0; m < 2; m++) samp_about_release(&g->about[m]);
    if (g->model) samp_model_close(g->model);
    samp_arena_release(&g->arena);
    samp_free(g);
    return status;
}

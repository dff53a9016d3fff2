/* Points of the report's charts, from evaluations and tables of peers. */
#include "command/html_gather.h"

#include "command/terminal.h"
#include "eval/pool.h"
#include "eval/result_json.h"
#include "report/draw.h"

#include <math.h>
#include <string.h>

enum { FILE_BYTES_MAX = 64 << 20 };

static samp_report_point *add_point(html_gather *g, const char *name, samp_report_kind kind)
{
    if (g->report.n_points == HTML_POINTS_MAX) return NULL;
    samp_report_point *point = &g->points[g->report.n_points++];
    *point = (samp_report_point){.name = samp__html_text(g, "%s", name),
                                 .kind = kind,
                                 .predicted_kl = NAN,
                                 .all = {NAN, NAN, NAN}};
    for (int s = 0; s < SAMP_REPORT_STRATA_MAX; s++) point->kl[s] = (samp_estimate){NAN, NAN, NAN};
    return point;
}

static void set_results(html_gather *g, samp_report_point *point, const samp_report_text *texts,
                        size_t n)
{
    samp_eval_result results[SAMP_REPORT_STRATA_MAX];
    for (size_t i = 0; i < n; i++) {
        int s = samp__html_stratum(g, texts[i].name);
        results[i] = texts[i].result;
        if (s >= 0) point->kl[s] = texts[i].result.kl_mean;
    }
    if (n) point->all = samp_eval_pool(results, n).kl_mean;
}

/* The texts of an evaluation, those without a baseline left out. */
static samp_status read_texts(html_gather *g, const json_t *document, const char *where,
                              samp_report_text texts[SAMP_REPORT_STRATA_MAX], size_t *n,
                              samp_error *error)
{
    const json_t *list = json_object_get(document, "texts"), *item;
    size_t i;
    *n = 0;
    json_array_foreach(list, i, item)
    {
        const char *path;
        char name[64];
        samp_eval_result result;
        SAMP_TRY(samp_eval_result_parse(item, &path, &result, where, error));
        if (!result.compared || *n == SAMP_REPORT_STRATA_MAX) continue;
        samp_stratum_of_path(path, name, sizeof name);
        texts[(*n)++] = (samp_report_text){samp__html_text(g, "%s", name), result};
    }
    if (*n == 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s has no text with a KL divergence; samp eval --baseline DIR --json "
                         "writes such files",
                         where);
    return SAMP_OK;
}

static samp_report_kind kind_of(const char *quant_type)
{
    return strcmp(quant_type, "plan") == 0 || !*quant_type ? SAMP_REPORT_PLAN : SAMP_REPORT_RECIPE;
}

static samp_status add_evaluation(html_gather *g, const char *path, samp_error *error)
{
    json_t *document;
    const char *folder = "", *type = "";
    char name[64], own[64];
    int64_t bytes = 0;
    samp_report_text texts[SAMP_REPORT_STRATA_MAX];
    size_t n = 0;
    double predicted = NAN;
    SAMP_TRY(samp_json_load(&document, path, FILE_BYTES_MAX, error));
    samp_status status = samp_json_string(document, "model", true, &folder, path, error);
    if (status == SAMP_OK)
        status = samp_json_string(document, "quant_type", false, &type, path, error);
    if (status == SAMP_OK)
        status =
            samp_json_integer(document, "weight_bytes", true, 1, INT64_MAX, &bytes, path, error);
    if (status == SAMP_OK)
        status = samp_json_number(document, "predicted_kl", false, &predicted, path, error);
    if (status == SAMP_OK) status = read_texts(g, document, path, texts, &n, error);
    samp_folder_name(folder, name, sizeof name);
    samp_folder_name(g->in->artifact, own, sizeof own);
    samp_report_point *this = &g->points[0];
    if (status == SAMP_OK && strcmp(name, own) == 0 &&
        (uint64_t)bytes == g->about[1].weight_bytes) {
        if (g->report.n_texts == 0) { /* measured in this run: those figures stand */
            memcpy(g->texts, texts, n * sizeof *texts);
            g->report.n_texts = n;
            set_results(g, this, texts, n);
        }
    } else if (status == SAMP_OK) {
        samp_report_point *point = add_point(g, name, kind_of(type));
        if (point) {
            point->bytes = (double)bytes;
            point->predicted_kl = predicted;
            set_results(g, point, texts, n);
        }
    }
    json_decref(document);
    return status;
}

/* {"name": "Q4_K_M", "weight_bytes": n, "kl": {"prose": {"value", "low", "high"} or a number}} */
static samp_status add_peer(html_gather *g, const json_t *peer, const char *where,
                            samp_error *error)
{
    const char *name;
    int64_t bytes = 0;
    SAMP_TRY(samp_json_string(peer, "name", true, &name, where, error));
    const char *key = json_object_get(peer, "weight_bytes") ? "weight_bytes" : "bytes";
    SAMP_TRY(samp_json_integer(peer, key, true, 1, INT64_MAX, &bytes, where, error));
    samp_report_point *point = add_point(g, name, SAMP_REPORT_PEER);
    const char *stratum;
    json_t *kl = json_object_get(peer, "kl"), *value;
    if (!json_is_object(kl))
        return samp_fail(error, SAMP_CORRUPT, "%s: \"kl\" of peer \"%.60s\" is not an object",
                         where, name);
    if (!point) return SAMP_OK;
    point->bytes = (double)bytes;
    double sum = 0;
    size_t n = 0;
    json_object_foreach(kl, stratum, value)
    {
        int s = samp__html_stratum(g, stratum);
        samp_estimate e = {NAN, NAN, NAN};
        SAMP_TRY(samp_estimate_parse(kl, stratum, false, &e, where, error));
        if (s >= 0) point->kl[s] = e;
        sum += e.value, n++;
    }
    if (n) point->all = (samp_estimate){sum / (double)n, sum / (double)n, sum / (double)n};
    return SAMP_OK;
}

static samp_status add_peers(html_gather *g, const char *path, samp_error *error)
{
    json_t *document;
    SAMP_TRY(samp_json_load(&document, path, FILE_BYTES_MAX, error));
    const json_t *list = json_is_array(document) ? document : json_object_get(document, "peers"),
                 *peer;
    size_t i;
    samp_status status = SAMP_OK;
    if (!json_is_array(list))
        status = samp_fail(error, SAMP_CORRUPT,
                           "%s: expected an array of peers, or an object with \"peers\"", path);
    json_array_foreach(list, i, peer)
    {
        if (status == SAMP_OK) status = add_peer(g, peer, path, error);
    }
    json_decref(document);
    return status;
}

samp_status samp__html_points(html_gather *g, samp_error *error)
{
    char name[64];
    samp_folder_name(g->in->artifact, name, sizeof name);
    const samp_about *about = &g->about[1];
    samp_report_point *this = add_point(g, name, SAMP_REPORT_THIS);
    this->bytes = (double)about->weight_bytes;
    this->predicted_kl = about->predicted_kl;
    for (size_t i = 0; i < g->in->n_texts && i < SAMP_REPORT_STRATA_MAX; i++)
        g->texts[g->report.n_texts++] = g->in->texts[i];
    set_results(g, this, g->texts, g->report.n_texts);
    for (size_t i = 0; i < g->in->evaluations.count; i++)
        SAMP_TRY(add_evaluation(g, g->in->evaluations.items[i], error));
    for (size_t i = 0; i < g->in->peers.count; i++)
        SAMP_TRY(add_peers(g, g->in->peers.items[i], error));
    samp_eval_result results[SAMP_REPORT_STRATA_MAX];
    for (size_t i = 0; i < g->report.n_texts; i++) results[i] = g->texts[i].result;
    g->report.all = samp_eval_pool(results, g->report.n_texts);
    return SAMP_OK;
}

void samp__html_print_points(const html_gather *g, FILE *out)
{
    enum { FIRST = 4, COLUMNS = SAMP_TABLE_COLUMNS };
    const char *headers[COLUMNS] = {"KL, nats a token", "weights", "predicted", "measured"};
    size_t n = FIRST;
    for (size_t s = 0; s < g->report.n_strata && n < COLUMNS; s++) headers[n++] = g->strata[s];
    samp_table table;
    samp_table_begin(&table, "lrrrrrrrrrrr", n, headers);
    for (size_t i = 0; i < g->report.n_points; i++) {
        const samp_report_point *p = &g->points[i];
        char bytes[32], predicted[32], cell[COLUMNS][64];
        const char *cells[COLUMNS] = {p->name, samp_show_bytes(bytes, p->bytes),
                                      samp__show_kl(predicted, p->predicted_kl),
                                      samp__show_estimate(cell[0], p->all, 1, "")};
        for (size_t c = FIRST; c < n; c++)
            cells[c] = samp__show_kl(cell[c], p->kl[c - FIRST].value);
        samp_table_row(&table, n, cells);
    }
    fputc('\n', out);
    samp_table_print(&table, out);
    samp_table_release(&table);
}

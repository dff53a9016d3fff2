/* Families, series, and their text. */
#include "serve/metrics.h"

#include "base/memory.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES_MAX = 512, LABEL_MAX = 96 };

typedef struct series {
    char label[LABEL_MAX];
    double value;     /* counter, gauge; sum of a histogram */
    uint64_t *counts; /* [n_bounds + 1] observations not above each bound; the last: all others */
} series;

typedef struct family {
    series *list; /* [n] */
    size_t n, capacity;
} family;

struct samp_metrics {
    pthread_mutex_t lock;
    family families[SAMP_METRICS];
    char *labels; /* model_name="…",engine="0" */
    series lost;  /* takes what there was no memory for */
};

/* ---- the list -------------------------------------------------------------------------------- */

static const double bounds_NONE[] = {INFINITY};
static const double bounds_STEP[] = {1,   8,    16,   32,   64,   128,  256,
                                     512, 1024, 2048, 4096, 8192, 16384};
static const double bounds_TOKENS[] = {1,   2,    5,    10,   20,    50,    100,   200,
                                       500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
static const double bounds_CHOICES[] = {1, 2, 5, 10, 20};
static const double bounds_TTFT_SECONDS[] = {.001, .005, .01, .02, .04, .06, .08, .1, .15,
                                             .2,   .25,  .3,  .5,  .75, 1,   2.5, 5,  7.5,
                                             10,   20,   40,  80,  160, 640, 2560};
static const double bounds_TOKEN_SECONDS[] = {.001, .0025, .005, .01, .025, .05, .075, .1,
                                              .15,  .2,    .25,  .3,  .4,   .5,  .75,  1,
                                              2.5,  5,     7.5,  10,  20,   40,  80};
static const double bounds_REQUEST_SECONDS[] = {.01, .025, .05, .1,  .15, .2,  .25,  .3,  .5, .8,
                                                1,   1.5,  2,   2.5, 5,   10,  15,   20,  30, 40,
                                                50,  60,   120, 240, 480, 960, 1920, 7680};
static const double bounds_FINE_SECONDS[] = {.001, .0025, .005, .01, .025, .05, .1,
                                             .15,  .2,    .25,  .3,  .4,   .5,  .75,
                                             1,    2.5,   5,    10,  30,   60,  120};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const samp_metric_info infos[] = {
#define X(id, name, kind, bounds, label, old, help)                                                \
    {name, kind, bounds_##bounds, COUNT(bounds_##bounds), label, old, help},
    SAMP_METRIC_LIST(X)
#undef X
};

const samp_metric_info *samp_metric_describe(samp_metric metric) { return &infos[metric]; }

/* ---- series ---------------------------------------------------------------------------------- */

static series *add_series(samp_metrics *metrics, samp_metric metric, const char *label)
{
    family *f = &metrics->families[metric];
    if (f->n == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 1;
        series *list = samp_realloc(f->list, capacity, sizeof *list);
        if (!list) return &metrics->lost;
        f->list = list;
        f->capacity = capacity;
    }
    series *s = &f->list[f->n];
    *s = (series){0};
    snprintf(s->label, sizeof s->label, "%s", label);
    if (infos[metric].kind == SAMP_HISTOGRAM) {
        s->counts = samp_alloc(infos[metric].n_bounds + 1, sizeof *s->counts);
        if (!s->counts) return &metrics->lost;
    }
    f->n++;
    return s;
}

/* The series of a label, made when it is new. Under the lock. */
static series *find_series(samp_metrics *metrics, samp_metric metric, const char *label)
{
    family *f = &metrics->families[metric];
    const char *value = label ? label : "";
    for (size_t i = 0; i < f->n; i++)
        if (strncmp(f->list[i].label, value, LABEL_MAX - 1) == 0) return &f->list[i];
    if (f->n >= SERIES_MAX - 1 && strcmp(value, "other") != 0)
        return find_series(metrics, metric, "other");
    return add_series(metrics, metric, value);
}

void samp_metric_add(samp_metrics *metrics, samp_metric metric, const char *label, double value)
{
    pthread_mutex_lock(&metrics->lock);
    find_series(metrics, metric, label)->value += value;
    pthread_mutex_unlock(&metrics->lock);
}

void samp_metric_set(samp_metrics *metrics, samp_metric metric, const char *label, double value)
{
    pthread_mutex_lock(&metrics->lock);
    find_series(metrics, metric, label)->value = value;
    pthread_mutex_unlock(&metrics->lock);
}

void samp_metric_observe(samp_metrics *metrics, samp_metric metric, double value)
{
    const samp_metric_info *info = &infos[metric];
    unsigned bucket = 0;
    while (bucket < info->n_bounds && value > info->bounds[bucket]) bucket++;
    pthread_mutex_lock(&metrics->lock);
    series *s = find_series(metrics, metric, NULL);
    if (s->counts) {
        s->counts[bucket]++;
        s->value += value;
    }
    pthread_mutex_unlock(&metrics->lock);
}

static uint64_t total(const series *s, const samp_metric_info *info)
{
    uint64_t n = 0;
    for (unsigned i = 0; i <= info->n_bounds; i++) n += s->counts[i];
    return n;
}

double samp_metric_value(samp_metrics *metrics, samp_metric metric, const char *label)
{
    pthread_mutex_lock(&metrics->lock);
    const series *s = find_series(metrics, metric, label);
    double value = s->counts ? (double)total(s, &infos[metric]) : s->value;
    pthread_mutex_unlock(&metrics->lock);
    return value;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* A label's value: backslash, quote and newline escaped. */
static void write_label(samp_buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            samp_buffer_text(out, "\\n");
        else {
            if (*text == '\\' || *text == '"') samp_buffer_append(out, "\\", 1);
            samp_buffer_append(out, text, 1);
        }
    }
}

/* vLLM's families exist from the start, so that rates of them do not begin with a jump. */
static void create_all(samp_metrics *metrics)
{
    static const struct {
        samp_metric metric;
        const char *label;
    } labels[] = {
        {SAMP_METRIC_REQUEST_SUCCESS, "stop"},
        {SAMP_METRIC_REQUEST_SUCCESS, "length"},
        {SAMP_METRIC_REQUEST_SUCCESS, "abort"},
        {SAMP_METRIC_REQUEST_SUCCESS, "error"},
        {SAMP_METRIC_REQUEST_SUCCESS, "repetition"},
        {SAMP_METRIC_ADMISSION_REJECTIONS, "max_num_queued_reqs"},
        {SAMP_METRIC_ADMISSION_REJECTIONS, "max_num_queued_tokens"},
        {SAMP_METRIC_REQUESTS, "success"},
        {SAMP_METRIC_REQUESTS, "error"},
        {SAMP_METRIC_REQUESTS, "cancelled"},
        {SAMP_METRIC_REQUESTS, "rejected"},
    };
    for (size_t i = 0; i < COUNT(labels); i++)
        find_series(metrics, labels[i].metric, labels[i].label);
    for (int metric = 0; metric < SAMP_METRICS; metric++)
        if (!infos[metric].label[0]) find_series(metrics, (samp_metric)metric, NULL);
}

samp_status samp_metrics_create(samp_metrics **out, const char *model_name, samp_error *error)
{
    samp_metrics *metrics = samp_alloc(1, sizeof *metrics);
    if (!metrics) return samp_fail(error, SAMP_NOMEM, "out of memory for metrics");
    pthread_mutex_init(&metrics->lock, NULL);
    samp_buffer labels = {0};
    samp_buffer_text(&labels, "model_name=\"");
    write_label(&labels, model_name);
    samp_buffer_text(&labels, "\",engine=\"0\"");
    metrics->labels = labels.failed ? NULL : samp_strdup(labels.data);
    samp_buffer_release(&labels);
    if (!metrics->labels) {
        samp_metrics_release(metrics);
        return samp_fail(error, SAMP_NOMEM, "out of memory for metrics");
    }
    create_all(metrics);
    *out = metrics;
    return SAMP_OK;
}

void samp_metrics_release(samp_metrics *metrics)
{
    if (!metrics) return;
    for (int metric = 0; metric < SAMP_METRICS; metric++) {
        family *f = &metrics->families[metric];
        for (size_t i = 0; i < f->n; i++) samp_free(f->list[i].counts);
        samp_free(f->list);
    }
    pthread_mutex_destroy(&metrics->lock);
    samp_free(metrics->labels);
    samp_free(metrics);
}

/* ---- text ------------------------------------------------------------------------------------ */

void samp_metrics_write_number(samp_buffer *out, double value)
{
    if (isnan(value))
        samp_buffer_text(out, "NaN");
    else if (isinf(value))
        samp_buffer_text(out, value > 0 ? "+Inf" : "-Inf");
    else if (value == trunc(value) && fabs(value) < 1e15)
        samp_buffer_printf(out, "%.0f", value); /* 10, where %g would say 1e+01 */
    else {
        char text[40];
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value) break;
        }
        samp_buffer_text(out, text);
    }
}

static void write_series_name(const samp_metrics *metrics, const char *name, const char *suffix,
                              const samp_metric_info *info, const series *s, samp_buffer *out)
{
    samp_buffer_printf(out, "%s%s{%s", name, suffix, metrics->labels);
    if (info->label[0]) {
        samp_buffer_printf(out, ",%s=\"", info->label);
        write_label(out, s->label);
        samp_buffer_text(out, "\"");
    }
}

static void write_histogram(const samp_metrics *metrics, const char *name,
                            const samp_metric_info *info, const series *s, samp_buffer *out)
{
    uint64_t below = 0;
    for (unsigned i = 0; i <= info->n_bounds; i++) {
        below += s->counts[i];
        write_series_name(metrics, name, "_bucket", info, s, out);
        samp_buffer_text(out, ",le=\"");
        samp_metrics_write_number(out, i < info->n_bounds ? info->bounds[i] : INFINITY);
        samp_buffer_printf(out, "\"} %llu\n", (unsigned long long)below);
    }
    write_series_name(metrics, name, "_sum", info, s, out);
    samp_buffer_text(out, "} ");
    samp_metrics_write_number(out, s->value);
    samp_buffer_text(out, "\n");
    write_series_name(metrics, name, "_count", info, s, out);
    samp_buffer_printf(out, "} %llu\n", (unsigned long long)below);
}

static void write_family(const samp_metrics *metrics, samp_metric metric, const char *name,
                         samp_buffer *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const samp_metric_info *info = &infos[metric];
    const family *f = &metrics->families[metric];
    samp_buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, info->help, name,
                       kinds[info->kind]);
    for (size_t i = 0; i < f->n; i++) {
        const series *s = &f->list[i];
        if (s->counts) {
            write_histogram(metrics, name, info, s, out);
            continue;
        }
        write_series_name(metrics, name, "", info, s, out);
        samp_buffer_text(out, "} ");
        samp_metrics_write_number(out, s->value);
        samp_buffer_text(out, "\n");
    }
}

void samp_metrics_write(samp_metrics *metrics, samp_buffer *out)
{
    pthread_mutex_lock(&metrics->lock);
    for (int metric = 0; metric < SAMP_METRICS; metric++) {
        write_family(metrics, (samp_metric)metric, infos[metric].name, out);
        if (infos[metric].old_name[0])
            write_family(metrics, (samp_metric)metric, infos[metric].old_name, out);
    }
    pthread_mutex_unlock(&metrics->lock);
}

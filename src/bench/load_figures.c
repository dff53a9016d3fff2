/* Figures of a load: percentiles, ratios, service-level objectives, JSON. */
#include "bench/load.h"

#include "base/memory.h"
#include "base/prng.h"
#include "eval/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *samp_load_outcome_text(samp_load_outcome outcome)
{
    static const char *const texts[] = {
#define X(id, text) text,
        SAMP_LOAD_OUTCOME_LIST(X)
#undef X
    };
    return texts[outcome];
}

static const struct {
    const char *text, *name;
} measures[] = {
#define X(id, text, name) {text, name},
    SAMP_LOAD_MEASURE_LIST(X)
#undef X
};

const char *samp_load_measure_text(samp_load_measure measure) { return measures[measure].text; }

/* ---- values ---------------------------------------------------------------------------------- */

/* A request's value of a measure, NAN when it has none. Open loop counts from when it was due. */
static double value_of(const samp_load_record *record, samp_load_measure measure)
{
    if (record->outcome != SAMP_LOAD_SUCCESS) return NAN;
    switch (measure) {
    case SAMP_LOAD_TTFT: return record->first_token > 0 ? record->first_token - record->due : NAN;
    case SAMP_LOAD_TPOT:
        if (record->output_tokens < 2 || record->first_token <= 0) return NAN;
        return (record->last_token - record->first_token) / (record->output_tokens - 1);
    case SAMP_LOAD_E2E: return record->end - record->due;
    default: return NAN;
    }
}

/* All values of a measure of one arm: *n of them; release with samp_free. */
static float *collect(const samp_load_options *o, const samp_load_result *result, int arm,
                      samp_load_measure measure, size_t *n)
{
    bool gaps = measure == SAMP_LOAD_ITL;
    size_t most = gaps ? result->n_gaps[arm] : o->n_requests;
    float *values = samp_alloc(most + 1, sizeof *values);
    *n = 0;
    for (size_t i = 0; values && i < most; i++) {
        double x = gaps ? result->gaps[arm][i] : value_of(&result->records[arm][i], measure);
        if (!isnan(x)) values[(*n)++] = (float)x;
    }
    return values;
}

/* A percentile that enough values stand behind: p99 needs a hundred. */
static double percentile(float *values, size_t n, double q)
{
    if (n == 0 || (double)n * (1 - q) < 1 - 1e-9) return NAN;
    return samp_estimate_quantile(values, n, q).value;
}

static samp_load_figure figure_of(float *values, size_t n)
{
    samp_load_figure f = {.n = n, .mean = NAN, .deviation = NAN};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    if (n) f.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (values[i] - f.mean) * (values[i] - f.mean);
    if (n) f.deviation = sqrt(squares / (double)n);
    f.p50 = percentile(values, n, 0.5);
    f.p90 = percentile(values, n, 0.9);
    f.p95 = percentile(values, n, 0.95);
    f.p99 = percentile(values, n, 0.99);
    return f;
}

void samp_load_summarize(const samp_load_options *o, const samp_load_result *result, int arm,
                         samp_load_summary *out)
{
    *out = (samp_load_summary){.n_requests = o->n_requests};
    for (uint32_t i = 0; i < o->n_requests; i++) {
        const samp_load_record *record = &result->records[arm][i];
        out->n_failed[record->outcome]++;
        if (record->outcome != SAMP_LOAD_SUCCESS) continue;
        out->input_tokens += record->input_tokens;
        out->output_tokens += record->output_tokens;
    }
    out->n_success = out->n_failed[SAMP_LOAD_SUCCESS];
    out->n_failed[SAMP_LOAD_SUCCESS] = 0;
    out->success_share = o->n_requests ? (double)out->n_success / o->n_requests : 0;
    out->requests_per_s = out->n_success / result->seconds;
    out->output_tokens_per_s = (double)out->output_tokens / result->seconds;
    for (int m = 0; m < SAMP_LOAD_MEASURES; m++) {
        size_t n;
        float *values = collect(o, result, arm, (samp_load_measure)m, &n);
        out->figures[m] = figure_of(values, values ? n : 0);
        samp_free(values);
    }
}

/* ---- two servers ----------------------------------------------------------------------------- */

static double median_of_sample(const float *values, size_t n, float *room, samp_prng *prng)
{
    for (size_t i = 0; i < n; i++) room[i] = values[samp_prng_below(prng, n)];
    return samp_estimate_quantile(room, n, 0.5).value;
}

void samp_load_ratio(const samp_load_options *o, const samp_load_result *result,
                     samp_load_measure measure, double *ratio, double *low, double *high)
{
    enum { ROUNDS = 1000, SAMPLE_MAX = 5000 };
    size_t n[2];
    float *values[2], *room = samp_alloc(SAMPLE_MAX, sizeof *room);
    float *ratios = samp_alloc(ROUNDS, sizeof *ratios);
    samp_prng prng = {o->seed};
    *ratio = *low = *high = NAN;
    for (int arm = 0; arm < 2; arm++) {
        values[arm] = collect(o, result, arm, measure, &n[arm]);
        if (n[arm] > SAMPLE_MAX) n[arm] = SAMPLE_MAX;
    }
    if (values[0] && values[1] && room && ratios && n[0] && n[1]) {
        for (int i = 0; i < ROUNDS; i++)
            ratios[i] = (float)(median_of_sample(values[1], n[1], room, &prng) /
                                median_of_sample(values[0], n[0], room, &prng));
        *low = samp_estimate_quantile(ratios, ROUNDS, 0.025).value;
        *high = samp_estimate_quantile(ratios, ROUNDS, 0.975).value;
        *ratio = samp_estimate_quantile(values[1], n[1], 0.5).value /
                 samp_estimate_quantile(values[0], n[0], 0.5).value;
    }
    for (int arm = 0; arm < 2; arm++) samp_free(values[arm]);
    samp_free(room);
    samp_free(ratios);
}

/* ---- objectives ------------------------------------------------------------------------------ */

/* "ttft_p99" and the like: seconds, tokens a second, or a share. false = no such name. */
static bool slo_value(const char *name, const samp_load_summary *s, double *value)
{
    static const char *const percentiles[] = {"mean", "p50", "p90", "p95", "p99"};
    if (strcmp(name, "success") == 0) *value = s->success_share;
    if (strcmp(name, "output_tok_s") == 0) *value = s->output_tokens_per_s;
    if (strcmp(name, "requests_s") == 0) *value = s->requests_per_s;
    if (!strcmp(name, "success") || !strcmp(name, "output_tok_s") || !strcmp(name, "requests_s"))
        return true;
    for (int m = 0; m < SAMP_LOAD_MEASURES; m++) {
        size_t n = strlen(measures[m].name);
        if (strncmp(name, measures[m].name, n) != 0 || name[n] != '_') continue;
        const samp_load_figure *f = &s->figures[m];
        const double values[] = {f->mean, f->p50, f->p90, f->p95, f->p99};
        for (size_t i = 0; i < 5; i++) {
            if (strcmp(name + n + 1, percentiles[i]) != 0) continue;
            *value = values[i];
            return true;
        }
    }
    return false;
}

static bool parse_limit(const char *text, double *limit)
{
    char *end;
    *limit = strtod(text, &end);
    if (end == text) return false;
    if (strcmp(end, "ms") == 0) *limit /= 1e3;
    if (strcmp(end, "%") == 0) *limit /= 100;
    return !*end || !strcmp(end, "ms") || !strcmp(end, "s") || !strcmp(end, "%");
}

static samp_status check_one(char *term, const samp_load_summary *summary, samp_buffer *text,
                             bool *met, samp_error *error)
{
    double value = NAN, limit;
    size_t n = strcspn(term, "<>");
    char sign = term[n];
    bool equal = sign && term[n + 1] == '=';
    if (!sign || !parse_limit(term + n + 1 + equal, &limit))
        return samp_fail(error, SAMP_INVALID,
                         "'%s' is no objective; expected a name, < or >, and a limit such as "
                         "ttft_p99<250ms",
                         term);
    term[n] = '\0';
    if (!slo_value(term, summary, &value))
        return samp_fail(error, SAMP_INVALID,
                         "'%s' is not measured; there are ttft, tpot, itl and e2el with _mean, "
                         "_p50, _p90, _p95, _p99, and success, output_tok_s, requests_s",
                         term);
    bool good = sign == '<' ? value < limit : value > limit;
    good = good || (equal && value == limit);
    bool seconds = strchr(term, '_') && !strstr(term, "_s");
    double factor = seconds ? 1e3 : strcmp(term, "success") == 0 ? 100 : 1;
    const char *unit = seconds ? " ms" : strcmp(term, "success") == 0 ? " %" : "";
    if (isnan(value))
        samp_buffer_printf(text, "missed: %s is not known: too few requests\n", term);
    else
        samp_buffer_printf(text, "%s: %s is %.4g%s, wanted %c%s %.4g%s\n", good ? "met" : "missed",
                           term, value * factor, unit, sign, equal ? "=" : "", limit * factor,
                           unit);
    *met = *met && good;
    return SAMP_OK;
}

samp_status samp_load_slo(const char *slo, const samp_load_summary *summary, samp_buffer *text,
                          bool *met, samp_error *error)
{
    char *copy = samp_strdup(slo), *rest = copy;
    samp_status status = copy ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory");
    *met = true;
    for (char *term; status == SAMP_OK && (term = strsep(&rest, ", "));)
        if (*term) status = check_one(term, summary, text, met, error);
    samp_free(copy);
    return status;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A value in milliseconds, null when it is not known. */
static json_t *milliseconds(double seconds)
{
    return isnan(seconds) ? json_null() : json_real(seconds * 1e3);
}

static void add_figure(json_t *out, const char *name, const samp_load_figure *f)
{
    const struct {
        const char *prefix;
        double value;
    } values[] = {{"mean", f->mean}, {"median", f->p50}, {"std", f->deviation},
                  {"p90", f->p90},   {"p95", f->p95},    {"p99", f->p99}};
    char key[64];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(key, sizeof key, "%s_%s_ms", values[i].prefix, name);
        json_object_set_new(out, key, milliseconds(values[i].value));
    }
    snprintf(key, sizeof key, "n_%s", name);
    json_object_set_new(out, key, json_integer((json_int_t)f->n));
}

static json_t *arm_json(const samp_load_options *o, const samp_load_result *result, int arm)
{
    samp_load_summary s;
    samp_load_summarize(o, result, arm, &s);
    json_t *failures = json_object();
    for (int i = 0; i < SAMP_LOAD_OUTCOMES; i++)
        if (s.n_failed[i])
            json_object_set_new(failures, samp_load_outcome_text((samp_load_outcome)i),
                                json_integer(s.n_failed[i]));
    json_t *out = json_pack(
        "{s:s, s:s, s:f, s:I, s:I, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:o}", "base_url",
        o->urls[arm], "model_id", result->model, "duration", result->seconds, "completed",
        (json_int_t)s.n_success, "failed", (json_int_t)(s.n_requests - s.n_success), "success_rate",
        s.success_share, "total_input_tokens", (json_int_t)s.input_tokens, "total_output_tokens",
        (json_int_t)s.output_tokens, "request_throughput", s.requests_per_s, "output_throughput",
        s.output_tokens_per_s, "total_token_throughput",
        s.output_tokens_per_s + (double)s.input_tokens / result->seconds, "server_resident_bytes",
        result->memory_bytes[arm], "failures", failures);
    for (int m = 0; out && m < SAMP_LOAD_MEASURES; m++)
        add_figure(out, measures[m].name, &s.figures[m]);
    return out;
}

bool samp_load_client_limits(const samp_load_result *result)
{
    return result->lag_p99 > 0.01 || result->cpu_share > 0.9;
}

json_t *samp_load_json(const samp_load_options *o, const samp_load_result *result)
{
    static const char *const arrivals[] = {"closed", "poisson", "constant"};
    json_t *out = arm_json(o, result, 0);
    if (!out) return NULL;
    json_object_set_new(out, "schema_version", json_integer(1));
    json_object_set_new(out, "arrivals", json_string(arrivals[o->arrivals]));
    json_object_set_new(out, "max_concurrency", json_integer(o->concurrency));
    if (o->arrivals != SAMP_LOAD_CLOSED)
        json_object_set_new(out, "request_rate", json_real(o->rate));
    json_object_set_new(out, "num_prompts", json_integer(o->n_requests));
    json_object_set_new(out, "client_lag_p99_ms", json_real(result->lag_p99 * 1e3));
    json_object_set_new(out, "client_cpu_share", json_real(result->cpu_share));
    json_object_set_new(out, "client_was_bottleneck",
                        json_boolean(samp_load_client_limits(result)));
    if (!o->urls[1]) return out;
    json_t *ratios = json_object();
    for (int m = 0; m < SAMP_LOAD_MEASURES; m++) {
        double ratio, low, high;
        samp_load_ratio(o, result, (samp_load_measure)m, &ratio, &low, &high);
        if (!isnan(ratio))
            json_object_set_new(ratios, measures[m].name, json_pack("[f, f, f]", ratio, low, high));
    }
    json_object_set_new(out, "against", arm_json(o, result, 1));
    json_object_set_new(out, "ratio_of_medians", ratios);
    return out;
}

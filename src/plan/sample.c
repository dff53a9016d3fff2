/* The run of samp sample: read, choose, write, describe. */
#include "plan/sample.h"

#include "base/memory.h"
#include "base/prng.h"
#include "file/file.h"
#include "plan/calibration.h"
#include "plan/sample_draw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct sampling {
    const samp_sample_options *options;
    samp_sample_report *report;
    samp_reservoir *reservoir;
    samp_candidate **chosen; /* [n_chosen], in the order of writing */
    uint64_t n_chosen;
    samp_buffer text, redacted, line;
    samp_sha256 *hash;
} sampling;

static samp_status offer(void *context, const samp_log_record *record, samp_error *error)
{
    return samp_reservoir_offer(context, record, error);
}

/* A guess from the size of the logs, never too small: a record is at least 64 bytes on average. */
static uint64_t expected_records(const samp_log_options *logs)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < logs->n_logs; i++) {
        struct stat info;
        if (stat(logs->logs[i], &info) != 0 || !S_ISREG(info.st_mode)) return 0;
        bytes += (uint64_t)info.st_size;
    }
    return bytes / 64 + 1;
}

/* Marks as many of n_records as fit into max_bytes. */
static samp_status choose(sampling *s, samp_error *error)
{
    const samp_sample_options *o = s->options;
    uint64_t distinct = 0, low = 0, high, drawn;
    for (uint32_t i = 0; i < s->report->traffic.n_strata; i++)
        distinct += s->reservoir->strata[i].distinct;
    high = distinct < o->n_records ? distinct : o->n_records;
    SAMP_TRY(samp_sample_prefer(s->reservoir, error));
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        uint64_t bytes = samp_sample_choose(s->reservoir, &s->report->traffic, middle,
                                            o->min_per_stratum, &drawn);
        if (o->max_bytes == 0 || bytes <= o->max_bytes)
            low = middle;
        else
            high = middle - 1;
    }
    samp_sample_choose(s->reservoir, &s->report->traffic, low, o->min_per_stratum, &s->n_chosen);
    if (s->n_chosen == 0)
        return samp_fail(error, SAMP_INVALID, "not one record fits into %" PRIu64 " bytes",
                         o->max_bytes);
    uint64_t counts[SAMP_STRATA_MAX] = {0}, asked[SAMP_STRATA_MAX];
    for (uint32_t i = 0; i < s->report->traffic.n_strata; i++)
        counts[i] = s->report->traffic.strata[i].records;
    samp_share_out(counts, s->report->traffic.n_strata, low, o->min_per_stratum, asked);
    for (uint32_t i = 0; i < s->report->traffic.n_strata; i++)
        s->report->shares[i].asked = asked[i];
    return SAMP_OK;
}

static int by_priority(const void *a, const void *b)
{
    const samp_candidate *x = *(samp_candidate *const *)a, *y = *(samp_candidate *const *)b;
    if (x->priority != y->priority) return x->priority < y->priority ? -1 : 1;
    return (x->stratum > y->stratum) - (x->stratum < y->stratum);
}

/* The chosen ones in a random order that only the seed and the texts decide. */
static samp_status collect(sampling *s, samp_error *error)
{
    uint64_t n = 0;
    s->chosen = samp_alloc(s->n_chosen, sizeof *s->chosen);
    if (!s->chosen) return samp_fail(error, SAMP_NOMEM, "out of memory for the sample");
    for (uint32_t i = 0; i < s->report->traffic.n_strata; i++) {
        samp_reservoir_stratum *stratum = &s->reservoir->strata[i];
        s->report->shares[i].distinct = stratum->distinct;
        for (uint32_t j = 0; j < stratum->count; j++) {
            if (stratum->heap[j].drawn) s->chosen[n++] = &stratum->heap[j];
            s->report->near_duplicates +=
                stratum->heap[j].near_duplicate && !stratum->heap[j].drawn;
        }
    }
    qsort(s->chosen, n, sizeof(samp_candidate *), by_priority);
    samp_prng prng = {s->options->seed};
    for (uint64_t i = n; i > 1; i--) {
        uint64_t j = samp_prng_below(&prng, i);
        samp_candidate *swap = s->chosen[i - 1];
        s->chosen[i - 1] = s->chosen[j];
        s->chosen[j] = swap;
    }
    return SAMP_OK;
}

/* One line of the sample, counted. */
static samp_status write_record(sampling *s, const samp_candidate *candidate, samp_output *output,
                                samp_error *error)
{
    samp_sample_report *report = s->report;
    const samp_buffer *text = &s->text;
    SAMP_TRY(samp_reservoir_text(s->reservoir, candidate, &s->text, error));
    if (s->options->redact) {
        samp_buffer_clear(&s->redacted);
        samp_redact(s->text.data, s->text.length, &s->redacted, report->redactions);
        SAMP_TRY(samp_buffer_ok(&s->redacted, error));
        text = &s->redacted;
    }
    json_t *record = json_pack("{s:s%,s:s,s:s,s:s,s:I}", "text", text->data, text->length,
                               "stratum", report->traffic.strata[candidate->stratum].name,
                               "language", samp_language_name((samp_language)candidate->language),
                               "source", samp_path_name(s->options->logs.logs[candidate->log]),
                               "source_line", (json_int_t)candidate->line);
    char *dumped = record ? json_dumps(record, JSON_COMPACT) : NULL;
    json_decref(record);
    if (!dumped) return samp_fail(error, SAMP_NOMEM, "out of memory for a record of the sample");
    samp_buffer_clear(&s->line);
    samp_buffer_text(&s->line, dumped);
    samp_buffer_text(&s->line, "\n");
    samp_free(dumped);
    SAMP_TRY(samp_buffer_ok(&s->line, error));
    samp_sha256_update(s->hash, s->line.data, s->line.length);
    report->records++, report->shares[candidate->stratum].records++;
    report->bytes += text->length, report->shares[candidate->stratum].bytes += text->length;
    return samp_output_write(output, s->line.data, s->line.length, error);
}

static samp_status write_fingerprint(const sampling *s, const char *path, samp_error *error)
{
    json_t *fingerprint = samp_sample_fingerprint(s->options, s->report);
    char *text =
        fingerprint ? json_dumps(fingerprint, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(fingerprint);
    if (!text) return samp_fail(error, SAMP_NOMEM, "out of memory for the fingerprint");
    samp_status status = samp_file_write(path, text, strlen(text), error);
    samp_free(text);
    return status;
}

static samp_status write_records(sampling *s, samp_output *output, samp_error *error)
{
    SAMP_TRY(samp_sha256_begin(&s->hash, error));
    samp_status status = SAMP_OK;
    for (uint64_t i = 0; i < s->n_chosen && status == SAMP_OK; i++)
        status = write_record(s, s->chosen[i], output, error);
    samp_sha256_end(s->hash, s->report->sha256);
    return status;
}

/* The fingerprint becomes visible first: it names the digest of its sample, so one that is left
 * beside an older sample is not taken for that one's. */
static samp_status write_sample(sampling *s, samp_error *error)
{
    samp_output *output;
    char fingerprint[4096];
    SAMP_TRY(samp_fingerprint_path(fingerprint, sizeof fingerprint, s->options->out_path, error));
    SAMP_TRY(samp_output_create(&output, s->options->out_path, error));
    samp_status status = write_records(s, output, error);
    if (status == SAMP_OK) status = write_fingerprint(s, fingerprint, error);
    if (status != SAMP_OK) {
        samp_output_abandon(output);
        return status;
    }
    status = samp_output_commit(output, error);
    if (status != SAMP_OK) unlink(fingerprint);
    return status;
}

static samp_status run(sampling *s, samp_error *error)
{
    const samp_sample_options *o = s->options;
    char folder[4096];
    SAMP_TRY(samp_path_folder(folder, sizeof folder, o->out_path, error));
    /* Twice as many candidates as the largest stratum can need: length classes and near duplicates
     * leave some out. */
    SAMP_TRY(samp_reservoir_init(s->reservoir, folder, 2 * o->n_records, o->seed,
                                 expected_records(&o->logs), error));
    SAMP_TRY(samp_logs_read(&o->logs, offer, s->reservoir, &s->report->traffic, error));
    s->report->duplicates = s->reservoir->duplicates;
    s->report->duplicates_exact = !s->reservoir->seen.full;
    samp_seen_release(&s->reservoir->seen);
    SAMP_TRY(choose(s, error));
    SAMP_TRY(collect(s, error));
    return write_sample(s, error);
}

samp_status samp_sample(const samp_sample_options *options, samp_sample_report *report,
                        samp_error *error)
{
    memset(report, 0, sizeof *report);
    if (options->n_records == 0 || options->n_records > SAMP_SAMPLE_RECORDS_MAX)
        return samp_fail(error, SAMP_INVALID, "%u records were asked, expected 1 to %d",
                         options->n_records, SAMP_SAMPLE_RECORDS_MAX);
    sampling s = {
        .options = options, .report = report, .reservoir = samp_alloc(1, sizeof *s.reservoir)};
    if (!s.reservoir) return samp_fail(error, SAMP_NOMEM, "out of memory for a sample");
    samp_status status = run(&s, error);
    samp_reservoir_release(s.reservoir);
    samp_free(s.reservoir);
    samp_free(s.chosen);
    samp_buffer_release(&s.text);
    samp_buffer_release(&s.redacted);
    samp_buffer_release(&s.line);
    return status;
}

/* ---- fingerprint ---- */

static json_t *strata_json(const samp_sample_report *report)
{
    json_t *strata = json_object();
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < report->traffic.n_strata; i++)
        bytes += report->traffic.strata[i].bytes;
    for (uint32_t i = 0; i < report->traffic.n_strata; i++) {
        const samp_stratum *traffic = &report->traffic.strata[i];
        const samp_sample_share *share = &report->shares[i];
        json_t *row = json_pack(
            "{s:{s:I,s:I,s:I,s:f,s:f},s:{s:I,s:I,s:f,s:f}}", "traffic", "records",
            (json_int_t)traffic->records, "bytes", (json_int_t)traffic->bytes, "distinct",
            (json_int_t)share->distinct, "share",
            (double)traffic->records / (double)report->traffic.counts.records, "share_of_bytes",
            bytes ? (double)traffic->bytes / (double)bytes : 0.0, "sample", "records",
            (json_int_t)share->records, "bytes", (json_int_t)share->bytes, "share",
            report->records ? (double)share->records / (double)report->records : 0.0,
            "share_of_bytes", report->bytes ? (double)share->bytes / (double)report->bytes : 0.0);
        if (!samp_json_set(strata, traffic->name, row)) {
            json_decref(strata);
            return NULL;
        }
    }
    return strata;
}

static json_t *redactions_json(const samp_sample_options *options, const samp_sample_report *report)
{
    if (!options->redact) return json_null();
    json_t *counts = json_object();
    for (int k = 0; k < SAMP_REDACTION_COUNT; k++)
        if (report->redactions[k])
            samp_json_set(counts, samp_redaction_name((samp_redaction)k),
                          json_integer((json_int_t)report->redactions[k]));
    return counts;
}

json_t *samp_sample_fingerprint(const samp_sample_options *options,
                                const samp_sample_report *report)
{
    const samp_log_counts *counts = &report->traffic.counts;
    json_t *sources = json_array();
    for (size_t i = 0; i < options->logs.n_logs; i++)
        json_array_append_new(sources, json_string(samp_path_name(options->logs.logs[i])));
    json_t *lines =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "lines", (json_int_t)counts->lines, "bytes",
                  (json_int_t)counts->bytes, "seen", (json_int_t)counts->records, "malformed",
                  (json_int_t)counts->malformed, "too_long", (json_int_t)counts->too_long, "blank",
                  (json_int_t)counts->blank, "repaired", (json_int_t)counts->repaired, "truncated",
                  (json_int_t)counts->truncated);
    return json_pack(
        "{s:i,s:s,s:s,s:I,s:o,s:s*,s:s*,s:o,s:I,s:b,s:I,s:I,s:I,s:o,s:o,s:s}", "schema_version", 1,
        "tool", "samp " SAMP_VERSION, "sample", samp_path_name(options->out_path), "seed",
        (json_int_t)options->seed, "sources", sources, "field", options->logs.field,
        "stratum_field", options->logs.stratum_field, "records", lines, "duplicates",
        (json_int_t)report->duplicates, "duplicates_exact", report->duplicates_exact,
        "near_duplicates", (json_int_t)report->near_duplicates, "kept", (json_int_t)report->records,
        "bytes", (json_int_t)report->bytes, "strata", strata_json(report), "redactions",
        redactions_json(options, report), "sha256", report->sha256);
}

/* samp sample: a calibration sample with the traffic's own mix, and how two mixes differ. */
#include "command/command.h"
#include "command/terminal.h"
#include "base/memory.h"
#include "plan/sample.h"

#include <inttypes.h>
#include <string.h>

typedef struct sample_options {
    const char *out, *field, *stratum_field;
    int64_t records, bytes, min_per_stratum, seed;
    double max_skew;
    bool no_redact, json, compare;
} sample_options;

static const samp_option options[] = {
    SAMP_OPTION(sample_options, TEXT, out, "out", 'o', "FILE",
                .help = "sample to write; its fingerprint goes beside it"),
    SAMP_OPTION(sample_options, INTEGER, records, "records", 'n', "N",
                .help = "records of the sample", .initial = "512", .min = 1,
                .max = SAMP_SAMPLE_RECORDS_MAX),
    SAMP_OPTION(sample_options, BYTES, bytes, "bytes", 0, "SIZE",
                .help = "at most this much text: as many of --records as fit", .min = 1,
                .max = 1e12),
    SAMP_OPTION(sample_options, TEXT, field, "field", 0, "PATH",
                .help = "where the request is in a record, with dots: request.body"),
    SAMP_OPTION(sample_options, TEXT, stratum_field, "stratum-field", 0, "PATH",
                .help = "field that names the stratum, in place of the classifier"),
    SAMP_OPTION(sample_options, INTEGER, min_per_stratum, "min-per-stratum", 0, "N",
                .help = "records of even the rarest stratum", .max = SAMP_SAMPLE_RECORDS_MAX),
    SAMP_OPTION(sample_options, INTEGER, seed, "seed", 0, "N",
                .help = "another seed draws another sample", .initial = "1", .max = 9e15),
    SAMP_OPTION(sample_options, FLAG, no_redact, "no-redact", 0, NULL,
                .help = "leave secrets and personal data in the sample as they are logged"),
    SAMP_OPTION(sample_options, FLAG, compare, "compare", 0, NULL,
                .help = "compare the mix of two logs or samples; exit 1 when it is skewed"),
    SAMP_OPTION(sample_options, NUMBER, max_skew, "max-skew", 0, "SHARE",
                .help = "total variation distance that --compare allows", .initial = "0.1",
                .max = 1),
    SAMP_OPTION(sample_options, FLAG, json, "json", 0, NULL, .help = "print JSON"),
};

static samp_log_options log_options(const sample_options *o, const char *const *logs, size_t n)
{
    return (samp_log_options){
        .logs = logs, .n_logs = n, .field = o->field, .stratum_field = o->stratum_field};
}

static void show_share(char out[32], uint64_t part, uint64_t whole)
{
    snprintf(out, 32, "%.1f %%", whole ? 100.0 * (double)part / (double)whole : 0.0);
}

/* ---- drawing ---- */

static void print_strata(const samp_sample_report *report)
{
    static const char *const headers[] = {"stratum", "records", "share", "different",
                                          "sample",  "share",   "text"};
    samp_table table;
    samp_table_begin(&table, "lrrrrrr", 7, headers);
    for (uint32_t i = 0; i < report->traffic.n_strata; i++) {
        const samp_stratum *traffic = &report->traffic.strata[i];
        const samp_sample_share *share = &report->shares[i];
        char records[32], of_traffic[32], distinct[32], drawn[32], of_sample[32], text[32];
        show_share(of_traffic, traffic->records, report->traffic.counts.records);
        show_share(of_sample, share->records, report->records);
        const char *cells[] = {traffic->name,
                               samp_show_count(records, traffic->records),
                               of_traffic,
                               samp_show_count(distinct, share->distinct),
                               samp_show_count(drawn, share->records),
                               of_sample,
                               samp_show_bytes(text, (double)share->bytes)};
        samp_table_row(&table, 7, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_counts(const samp_sample_report *report, const sample_options *o)
{
    const samp_log_counts *counts = &report->traffic.counts;
    char n[32], bytes[32];
    printf("\n%s records in %s of logs", samp_show_count(n, counts->records),
           samp_show_bytes(bytes, (double)counts->bytes));
    printf("; %s%s of them repeat a text", report->duplicates_exact ? "" : "at least ",
           samp_show_count(n, report->duplicates));
    if (counts->repaired) printf("; %s repaired", samp_show_count(n, counts->repaired));
    if (counts->truncated)
        printf("; %s longer than 256 KiB were cut", samp_show_count(n, counts->truncated));
    printf("\n");
    if (o->no_redact) printf("not redacted: secrets and addresses are in the sample as logged\n");
    const char *before = "redacted: ";
    for (int k = 0; k < SAMP_REDACTION_COUNT; k++) {
        if (!report->redactions[k]) continue;
        printf("%s%s %s", before, samp_show_count(n, report->redactions[k]),
               samp_redaction_text((samp_redaction)k));
        before = ", ";
    }
    if (*before == ',') printf("\n");
}

static void print_warnings(const samp_sample_report *report, const char *const *logs)
{
    const samp_log_counts *counts = &report->traffic.counts;
    uint64_t bad = counts->malformed + counts->too_long;
    if (bad)
        fprintf(stderr,
                "warning: %" PRIu64 " of %" PRIu64 " lines are no records and were left "
                "out; the first:\n",
                bad, counts->lines - counts->blank);
    for (uint32_t i = 0; i < counts->n_problems; i++)
        fprintf(stderr, "  %s, line %" PRIu64 ": %s\n", logs[counts->problems[i].log],
                counts->problems[i].line, counts->problems[i].text);
    for (uint32_t i = 0; i < report->traffic.n_strata; i++) {
        const samp_sample_share *share = &report->shares[i];
        if (share->records < share->asked)
            fprintf(stderr,
                    "warning: %s has only %" PRIu64 " different texts for the %" PRIu64
                    " records of its share\n",
                    report->traffic.strata[i].name, share->records, share->asked);
    }
}

static samp_status draw(const sample_options *o, const char *const *logs, size_t n,
                        samp_error *error)
{
    samp_sample_report *report = samp_alloc(1, sizeof *report);
    if (!report) return samp_fail(error, SAMP_NOMEM, "out of memory for a report");
    samp_meter meter;
    samp_sample_options sample = {.logs = log_options(o, logs, n),
                                  .out_path = o->out,
                                  .n_records = (uint32_t)o->records,
                                  .max_bytes = (uint64_t)o->bytes,
                                  .min_per_stratum = (uint32_t)o->min_per_stratum,
                                  .seed = (uint64_t)o->seed,
                                  .redact = !o->no_redact};
    sample.logs.progress = samp_meter_start(&meter, "B");
    samp_status status = samp_sample(&sample, report, error);
    samp_meter_stop(&meter);
    if (status == SAMP_OK) print_warnings(report, logs);
    if (status == SAMP_OK && o->json) {
        status = samp_print_json(samp_sample_fingerprint(&sample, report), error);
    } else if (status == SAMP_OK) {
        char records[32], bytes[32];
        print_strata(report);
        print_counts(report, o);
        printf("%s: %s records, %s of text\n", o->out, samp_show_count(records, report->records),
               samp_show_bytes(bytes, (double)report->bytes));
    }
    samp_free(report);
    return status;
}

/* ---- comparing ---- */

static void print_comparison(const samp_sample_comparison *c, const char *const *paths)
{
    static const char *const headers[] = {"stratum", "A", "share", "B", "share", "difference"};
    samp_table table;
    printf("A: %s\nB: %s\n\n", paths[0], paths[1]);
    samp_table_begin(&table, "lrrrrr", 6, headers);
    for (uint32_t i = 0; i < c->n; i++) {
        char a[32], b[32], of_a[32], of_b[32], difference[32];
        show_share(of_a, c->a[i], c->n_a);
        show_share(of_b, c->b[i], c->n_b);
        snprintf(difference, sizeof difference, "%+.1f",
                 100 * ((double)c->b[i] / (double)c->n_b - (double)c->a[i] / (double)c->n_a));
        const char *cells[] = {c->strata[i], samp_show_count(a, c->a[i]),
                               of_a,         samp_show_count(b, c->b[i]),
                               of_b,         difference};
        samp_table_row(&table, 6, cells);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
    printf(
        "\ntotal variation distance %.4f; chi-square %.1f with %u degrees of freedom, p = %.2g\n",
        c->distance, c->chi_square, c->n - 1, c->p_value);
}

static void print_verdict(const samp_sample_comparison *c, double max_skew)
{
    char of_a[32], of_b[32];
    show_share(of_a, c->a[c->worst], c->n_a);
    show_share(of_b, c->b[c->worst], c->n_b);
    bool colour = samp_terminal_colour(stdout);
    if (c->distance > max_skew)
        printf("%sskewed:%s %s is %s of B but %s of A: a calibration on one does not represent the "
               "other (more than %.3g apart)\n",
               colour ? SAMP_BOLD SAMP_RED : "", colour ? SAMP_RESET : "", c->strata[c->worst],
               of_b, of_a, max_skew);
    else
        printf("the mixes agree (at most %.3g apart)\n", max_skew);
}

static json_t *comparison_json(const samp_sample_comparison *c, const char *const *paths,
                               double max_skew)
{
    json_t *strata = json_object();
    for (uint32_t i = 0; i < c->n; i++)
        samp_json_set(strata, c->strata[i],
                      json_pack("{s:I,s:I,s:f,s:f}", "a", (json_int_t)c->a[i], "b",
                                (json_int_t)c->b[i], "share_a", (double)c->a[i] / (double)c->n_a,
                                "share_b", (double)c->b[i] / (double)c->n_b));
    return json_pack("{s:i,s:s,s:s,s:o,s:f,s:f,s:f,s:i,s:f,s:s,s:b}", "schema_version", 1, "a",
                     paths[0], "b", paths[1], "strata", strata, "total_variation", c->distance,
                     "max_skew", max_skew, "chi_square", c->chi_square, "degrees_of_freedom",
                     (int)c->n - 1, "p_value", c->p_value, "worst", c->strata[c->worst], "skewed",
                     c->distance > max_skew);
}

static samp_status read_mix(const sample_options *o, const char *const *path, samp_traffic *traffic,
                            samp_error *error)
{
    samp_meter meter;
    samp_log_options logs = log_options(o, path, 1);
    logs.sample = true;
    logs.progress = samp_meter_start(&meter, "B");
    samp_status status = samp_logs_read(&logs, NULL, NULL, traffic, error);
    samp_meter_stop(&meter);
    return status;
}

static samp_status compare(const sample_options *o, const char *const *paths, bool *skewed,
                           samp_error *error)
{
    samp_traffic *traffic = samp_alloc(2, sizeof *traffic);
    samp_sample_comparison *c = samp_alloc(1, sizeof *c);
    samp_status status =
        traffic && c ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory for two mixes");
    for (int i = 0; i < 2 && status == SAMP_OK; i++)
        status = read_mix(o, &paths[i], &traffic[i], error);
    if (status == SAMP_OK) {
        samp_sample_compare(&traffic[0], &traffic[1], c);
        *skewed = c->distance > o->max_skew;
        if (o->json) {
            status = samp_print_json(comparison_json(c, paths, o->max_skew), error);
        } else {
            print_comparison(c, paths);
            print_verdict(c, o->max_skew);
        }
    }
    samp_free(traffic);
    samp_free(c);
    return status;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    const sample_options *o = given;
    bool skewed = false;
    samp_status status;
    if (o->compare) {
        if (n != 2 || o->out) {
            samp_fail(error, SAMP_INVALID, "--compare takes two logs or samples, and no --out");
            return SAMP_EXIT_USAGE;
        }
        status = compare(o, arguments, &skewed, error);
    } else {
        if (!o->out) {
            samp_fail(error, SAMP_INVALID, "give --out FILE, or --compare");
            return SAMP_EXIT_USAGE;
        }
        status = draw(o, arguments, n, error);
    }
    return status != SAMP_OK ? SAMP_EXIT_ERROR : skewed ? SAMP_EXIT_NO : SAMP_EXIT_DONE;
}

const samp_command samp__cmd_sample = {
    .name = "sample",
    .summary = "draw a calibration sample with the traffic's own mix from logs",
    .arguments = "LOG…",
    .min_arguments = 1,
    .max_arguments = 1000,
    .description =
        "Reads production logs, one JSON record a line (- is standard input), in one pass and in\n"
        "bounded memory. A record is an OpenAI request with \"messages\" or \"prompt\", a\n"
        "{\"prompt\", \"response\"}, a {\"text\"}, a bare string, or has one of these under\n"
        "\"request\", \"body\" or --field. Conversations are written in ChatML, answers included.\n"
        "Lines that are no records are counted and left out.\n"
        "\n"
        "Each record gets a stratum: the value of --stratum-field, or what the classifier says\n"
        "(code, json, math, chat, prose; with -other when it is not English). The sample has the\n"
        "traffic's shares within one record, its mix of lengths within each stratum, and no text\n"
        "twice. E-mail addresses, telephone and card numbers, keys, tokens and passwords become\n"
        "placeholders. The same logs and seed give the same bytes.\n"
        "\n"
        "Beside FILE.jsonl, FILE.fingerprint.json says what came by and what was drawn.\n"
        "\n"
        "--compare A B reads two logs or samples instead and exits 1 when the shares of their\n"
        "strata are further apart than --max-skew.",
    .examples = "  $ samp sample /var/log/llm/*.jsonl --out calib.jsonl --records 1024\n"
                "  # from a compressed log; requests are under \"request\"\n"
                "  $ zstdcat log.jsonl.zst | samp sample - --field request --out calib.jsonl\n"
                "  # does last month's sample still represent today's traffic?\n"
                "  $ samp sample --compare calib.jsonl today.jsonl\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(sample_options),
    .run = run,
};

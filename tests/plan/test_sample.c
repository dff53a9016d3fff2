/* The sample: shares within one record, the same bytes for the same seed, no text twice, bounded
 * files, clean failures; and the comparison of two mixes. */
#include "file/scratch.h"

#include "base/prng.h"
#include "plan/sample.h"
#include "plan/sample_draw.h"

#include <math.h>

/* ---- logs made here ---- */

/* As scratch_path, but valid for the next 32 calls: options keep their paths. */
static const char *path_of(const char *name)
{
    static char paths[32][1024];
    static unsigned next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof paths[0], "%s", scratch_path(name));
    return path;
}

typedef struct mix {
    const char *name;
    unsigned n;
} mix;

/* n records a stratum in random order; each text is different, of 20 to 2,000 bytes. */
static void write_log(const char *name, const mix *mixes, size_t n_mixes, uint64_t seed)
{
    samp_prng prng = {seed};
    unsigned left[8], total = 0, number = 0;
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    for (size_t i = 0; i < n_mixes; i++) total += left[i] = mixes[i].n;
    for (; total > 0; total--) {
        uint64_t pick = samp_prng_below(&prng, total);
        size_t m = 0;
        while (pick >= left[m]) pick -= left[m++];
        left[m]--;
        fprintf(file, "{\"kind\":\"%s\",\"text\":\"record %u", mixes[m].name, number++);
        for (uint64_t words = samp_prng_below(&prng, 200); words > 0; words--)
            fprintf(file, " w%u", (unsigned)samp_prng_below(&prng, 100000));
        fprintf(file, "\"}\n");
    }
    assert_int_equal(fclose(file), 0);
}

static const mix three[] = {{"alpha", 1400}, {"beta", 555}, {"gamma", 45}};

static samp_sample_options options_for(const char *const *log)
{
    return (samp_sample_options){.logs = {.logs = log, .n_logs = 1, .stratum_field = "kind"},
                                 .out_path = path_of("calib.jsonl"),
                                 .n_records = 100,
                                 .seed = 1,
                                 .redact = true};
}

static samp_sample_report report; /* of the last run */

static void run(const samp_sample_options *options)
{
    samp_error error = {0};
    assert_ok(samp_sample(options, &report, &error), &error);
}

static uint64_t drawn_of(const char *stratum)
{
    for (uint32_t i = 0; i < report.traffic.n_strata; i++)
        if (strcmp(report.traffic.strata[i].name, stratum) == 0) return report.shares[i].records;
    fail_msg("no stratum %s", stratum);
    return 0;
}

static samp_buffer content_of(const char *name)
{
    samp_buffer content = {0};
    samp_error error = {0};
    assert_ok(samp_file_slurp(path_of(name), 1 << 30, &content, &error), &error);
    return content;
}

/* ---- shares ---- */

static void shares_are_within_one(void **state)
{
    (void)state;
    samp_prng prng = {11};
    for (int round = 0; round < 2000; round++) {
        uint64_t counts[SAMP_STRATA_MAX], out[SAMP_STRATA_MAX], total = 0, sum = 0;
        size_t n_parts = 1 + samp_prng_below(&prng, SAMP_STRATA_MAX);
        for (size_t i = 0; i < n_parts; i++)
            total += counts[i] = samp_prng_below(&prng, round % 3 ? 1000 : 3) *
                                 (round % 5 ? 1 : samp_prng_below(&prng, 1u << 30));
        uint64_t n = samp_prng_below(&prng, 10000);
        samp_share_out(counts, n_parts, n, 0, out);
        for (size_t i = 0; i < n_parts; i++) {
            sum += out[i];
            if (total)
                assert_true(fabs((double)out[i] - (double)n * (double)counts[i] / (double)total) <
                            1);
            if (counts[i] == 0) assert_int_equal(out[i], 0);
        }
        assert_int_equal(sum, total ? n : 0);
    }
}

static void the_least_is_given_and_paid_for(void **state)
{
    (void)state;
    const uint64_t counts[] = {7000, 2900, 90, 10, 0};
    uint64_t out[5];
    samp_share_out(counts, 5, 100, 5, out);
    assert_int_equal(out[2], 5);
    assert_int_equal(out[3], 5);
    assert_int_equal(out[4], 0);
    assert_int_equal(out[0] + out[1], 90);
    assert_in_range(out[0], 63, 64); /* 90 * 7000 / 9900 = 63.6 */
    samp_share_out(counts, 5, 8, 5, out);
    assert_int_equal(out[0] + out[1] + out[2] + out[3], 8);
}

static void a_sample_has_the_traffics_shares(void **state)
{
    (void)state;
    const char *log = path_of("log.jsonl");
    write_log("log.jsonl", three, 3, 1);
    samp_sample_options options = options_for(&log);
    run(&options);
    assert_int_equal(report.records, 100);
    assert_int_equal(drawn_of("alpha"), 70);
    assert_in_range(drawn_of("beta"), 27, 28); /* 27.75 */
    assert_in_range(drawn_of("gamma"), 2, 3);  /* 2.25 */
    assert_int_equal(report.traffic.counts.records, 2000);
    assert_int_equal(report.duplicates, 0);
    options.min_per_stratum = 10;
    run(&options);
    assert_int_equal(report.records, 100);
    assert_int_equal(drawn_of("gamma"), 10);
}

/* A quarter of each stratum's texts are drawn from each quarter of its lengths. */
static void lengths_are_balanced(void **state)
{
    (void)state;
    const char *log = path_of("log.jsonl");
    write_log("log.jsonl", three, 3, 2);
    samp_sample_options options = options_for(&log);
    options.n_records = 200;
    run(&options);
    double of_traffic =
        (double)report.traffic.strata[0].bytes / (double)report.traffic.strata[0].records;
    double of_sample = (double)report.shares[0].bytes / (double)report.shares[0].records;
    assert_true(fabs(of_sample / of_traffic - 1) < 0.08);
}

/* ---- reproducible ---- */

static void the_seed_decides(void **state)
{
    (void)state;
    const char *log = path_of("log.jsonl");
    write_log("log.jsonl", three, 3, 3);
    samp_sample_options options = options_for(&log);
    run(&options);
    samp_buffer first = content_of("calib.jsonl"),
                first_print = content_of("calib.fingerprint.json");
    char digest[SAMP_SHA256_HEX];
    samp_error error = {0};
    assert_ok(samp_sha256_bytes(first.data, first.length, digest, &error), &error);
    assert_string_equal(digest, report.sha256);
    assert_non_null(strstr(first_print.data, digest));
    run(&options);
    samp_buffer second = content_of("calib.jsonl"),
                second_print = content_of("calib.fingerprint.json");
    assert_string_equal(first.data, second.data);
    assert_string_equal(first_print.data, second_print.data);
    options.seed = 2;
    run(&options);
    samp_buffer other = content_of("calib.jsonl");
    assert_string_not_equal(first.data, other.data);
    samp_buffer_release(&first), samp_buffer_release(&first_print), samp_buffer_release(&second);
    samp_buffer_release(&second_print), samp_buffer_release(&other);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The texts of a sample, sorted and joined. */
static char *sorted_texts(const char *name)
{
    samp_buffer content = content_of(name), all = {0};
    char *texts[SAMP_SAMPLE_RECORDS_MAX], *rest = NULL;
    size_t n = 0;
    for (char *line = strtok_r(content.data, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *record = json_loads(line, 0, NULL);
        assert_non_null(record);
        texts[n++] = strdup(json_string_value(json_object_get(record, "text")));
        json_decref(record);
    }
    qsort(texts, n, sizeof *texts, compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (i) assert_string_not_equal(texts[i - 1], texts[i]);
        samp_buffer_text(&all, texts[i]);
        samp_buffer_text(&all, "\n");
    }
    for (size_t i = 0; i < n; i++) free(texts[i]);
    samp_buffer_release(&content);
    return all.data;
}

/* Repeated texts count as traffic but are drawn once; where they stand in the log does not matter.
 * */
static void repetition_and_order(void **state)
{
    (void)state;
    const char *logs[] = {path_of("once.jsonl"), path_of("once.jsonl"), NULL};
    write_log("once.jsonl", three, 3, 4);
    samp_sample_options options = options_for(logs);
    run(&options);
    char *once = sorted_texts("calib.jsonl");
    options.logs.n_logs = 2;
    run(&options);
    assert_int_equal(report.duplicates, 2000);
    assert_true(report.duplicates_exact);
    char *twice = sorted_texts("calib.jsonl");
    assert_string_equal(once, twice);
    samp_buffer content = content_of("once.jsonl");
    FILE *backwards = fopen(path_of("backwards.jsonl"), "w");
    assert_non_null(backwards);
    for (char *line = content.data + content.length - 1; line > content.data;) {
        *line = '\0';
        while (line > content.data && line[-1] != '\n') line--;
        fprintf(backwards, "%s\n", line);
        if (line > content.data) line--;
    }
    fclose(backwards);
    logs[0] = path_of("backwards.jsonl");
    options.logs.n_logs = 1;
    run(&options);
    char *reversed = sorted_texts("calib.jsonl");
    assert_string_equal(once, reversed);
    samp_buffer_release(&content);
    samp_free(once), samp_free(twice), samp_free(reversed);
}

static void sameness(void **state)
{
    (void)state;
    const char *a = "Sort  the LIST of numbers\n", *b = " sort the list of numbers";
    assert_true(samp_content_hash(a, strlen(a)) == samp_content_hash(b, strlen(b)));
    assert_true(samp_content_hash("ab", 2) != samp_content_hash("a b", 3));
    assert_true(samp_content_hash("", 0) != samp_content_hash("\x01\x01x", 3));
    assert_true(samp_content_hash("12345678", 8) != samp_content_hash("123456789", 9));
}

static void near_duplicates_come_last(void **state)
{
    (void)state;
    samp_buffer line = {0};
    const char *log = path_of("near.jsonl");
    FILE *file = fopen(log, "w");
    assert_non_null(file);
    samp_prng prng = {5};
    for (int i = 0; i < 40; i++) { /* 20 of one long template, 20 of their own */
        samp_buffer_clear(&line);
        for (int w = 0; w < 300; w++)
            samp_buffer_printf(&line, "word%u ",
                               i < 20 ? (unsigned)w : (unsigned)samp_prng_below(&prng, 100000));
        fprintf(file, "{\"kind\":\"k\",\"text\":\"%s %d\"}\n", line.data, i);
    }
    fclose(file);
    samp_sample_options options = options_for(&log);
    options.n_records = 20;
    run(&options);
    assert_int_equal(report.records, 20);
    assert_int_equal(report.near_duplicates, 19);
    char *texts = sorted_texts("calib.jsonl");
    const char *first = strstr(texts, "word0 word1 word2 ");
    if (first) assert_null(strstr(first + 1, "word0 word1 word2 "));
    samp_free(texts);
    samp_buffer_release(&line);
}

static void redaction_and_budget(void **state)
{
    (void)state;
    const char *log = path_of("secret.jsonl");
    FILE *file = fopen(log, "w");
    assert_non_null(file);
    for (int i = 0; i < 50; i++)
        fprintf(file, "{\"text\":\"please write to person%d@example.com about topic %d\"}\n", i, i);
    fclose(file);
    samp_sample_options options = options_for(&log);
    options.logs.stratum_field = NULL;
    options.n_records = 10;
    run(&options);
    assert_int_equal(report.redactions[SAMP_REDACTION_EMAIL], 10);
    samp_buffer content = content_of("calib.jsonl");
    assert_null(strstr(content.data, "@"));
    samp_buffer_release(&content);
    options.redact = false;
    options.max_bytes = 210; /* texts of 49 to 51 bytes */
    run(&options);
    assert_int_equal(report.records, 4);
    assert_in_range(report.bytes, 1, 210);
    content = content_of("calib.jsonl");
    assert_non_null(strstr(content.data, "@example.com"));
    samp_buffer_release(&content);
    samp_error error = {0};
    options.max_bytes = 10;
    assert_fails(samp_sample(&options, &report, &error), &error, SAMP_INVALID, "not one record");
}

/* ---- the reservoir alone ---- */

static void the_spool_is_rewritten(void **state)
{
    (void)state;
    samp_reservoir *reservoir = samp_alloc(1, sizeof *reservoir);
    samp_error error = {0};
    samp_buffer text = {0};
    assert_non_null(reservoir);
    assert_ok(samp_reservoir_init(reservoir, scratch, 8, 1, 0, &error), &error);
    reservoir->slack = 500;
    uint64_t largest = 0;
    for (unsigned i = 0; i < 20000; i++) {
        char record[64];
        int n = snprintf(record, sizeof record, "text number %u", i);
        samp_log_record offered = {record, (size_t)n, 0, i % 2, i, SAMP_LANGUAGE_EN};
        assert_ok(samp_reservoir_offer(reservoir, &offered, &error), &error);
        if (reservoir->spool_end > largest) largest = reservoir->spool_end;
    }
    assert_true(largest < 1500); /* 16 candidates of 18 bytes, times four, and the slack */
    for (unsigned s = 0; s < 2; s++) {
        assert_int_equal(reservoir->strata[s].count, 8);
        assert_int_equal(reservoir->strata[s].distinct, 10000);
        for (unsigned i = 0; i < 8; i++) {
            char expected[64];
            const samp_candidate *candidate = &reservoir->strata[s].heap[i];
            snprintf(expected, sizeof expected, "text number %u", (unsigned)candidate->line);
            assert_ok(samp_reservoir_text(reservoir, candidate, &text, &error), &error);
            assert_string_equal(text.data, expected);
        }
    }
    samp_buffer_release(&text);
    samp_reservoir_release(reservoir);
    samp_free(reservoir);
}

static void bins_are_monotone(void **state)
{
    (void)state;
    unsigned before = 0;
    for (uint32_t length = 0; length < 1u << 20; length += 1 + length / 50) {
        unsigned bin = samp_length_bin(length);
        assert_true(bin >= before && bin < SAMP_LENGTH_BINS);
        before = bin;
    }
    assert_int_equal(samp_length_bin(UINT32_MAX), SAMP_LENGTH_BINS - 1);
}

/* ---- what goes wrong ---- */

static void refused(const char *name, const char *content, size_t n, samp_status status,
                    const char *says)
{
    const char *log = path_of(name);
    samp_error error = {0};
    put_file(name, content, n);
    samp_sample_options options = options_for(&log);
    options.out_path = path_of("refused.out");
    assert_fails(samp_sample(&options, &report, &error), &error, status, says);
    assert_int_equal(count_files("refused"), 0);
    assert_int_equal(count_files("tmp-"), 0);
}

static void logs_that_are_none(void **state)
{
    (void)state;
    refused("bad", "x\n\ny\n", 5, SAMP_CORRUPT, "none of 2 lines is a record");
    refused("empty", "", 0, SAMP_CORRUPT, "has no records");
    refused("gz", "\x1F\x8B\x08\0\0", 5, SAMP_UNSUPPORTED, "zcat");
    refused("zst", "\x28\xB5\x2F\xFD\0", 5, SAMP_UNSUPPORTED, "zstdcat");
    refused("wide", "\xFF\xFE{\0", 4, SAMP_UNSUPPORTED, "UTF-16");
    samp_buffer many = {0};
    for (int i = 0; i <= SAMP_STRATA_MAX; i++)
        samp_buffer_printf(&many, "{\"kind\":\"user-%d\",\"text\":\"t\"}\n", i);
    refused("many", many.data, many.length, SAMP_LIMIT, "more than 64 different strata");
    samp_buffer_release(&many);
    const char *absent = path_of("absent.jsonl"), *folder = scratch;
    samp_error error = {0};
    samp_sample_options options = options_for(&absent);
    assert_fails(samp_sample(&options, &report, &error), &error, SAMP_NOT_FOUND, "absent.jsonl");
    options = options_for(&folder);
    assert_fails(samp_sample(&options, &report, &error), &error, SAMP_IO, "cannot be read");
    options.out_path = "/nonexistent/folder/out.jsonl";
    assert_fails(samp_sample(&options, &report, &error), &error, SAMP_NOT_FOUND,
                 "/nonexistent/folder");
}

static void some_bad_lines_are_counted(void **state)
{
    (void)state;
    static const char content[] = "\xEF\xBB\xBF{\"text\":\"one\"}\r\n\n{bad\n{\"text\":\"two\"}\n"
                                  "{\"text\":\"th\xFFree\"}\n[]\n{\"text\":\"last\"}";
    const char *log = path_of("some.jsonl");
    put_file("some.jsonl", content, sizeof content - 1);
    samp_sample_options options = options_for(&log);
    run(&options);
    const samp_log_counts *counts = &report.traffic.counts;
    assert_int_equal(counts->records, 4);
    assert_int_equal(counts->malformed, 2);
    assert_int_equal(counts->blank, 1);
    assert_int_equal(counts->repaired, 1);
    assert_int_equal(counts->lines, 7);
    assert_int_equal(counts->n_problems, 2);
    assert_int_equal(counts->problems[0].line, 3);
    assert_int_equal(counts->problems[1].line, 6);
    assert_int_equal(report.records, 4);
}

static void endless_lines_are_skipped(void **state)
{
    (void)state;
    const char *log = path_of("long.jsonl");
    char *block = samp_alloc(1 << 20, 1);
    FILE *file = fopen(log, "w");
    assert_true(file && block);
    memset(block, 'x', 1 << 20);
    fprintf(file, "{\"text\":\"before\"}\n{\"text\":\"");
    for (int i = 0; i < 20; i++) fwrite(block, 1, 1 << 20, file);
    fprintf(file, "\"}\n{\"text\":\"after\"}\n{\"text\":\"");
    for (int i = 0; i < 18; i++) fwrite(block, 1, 1 << 20, file);
    assert_int_equal(fclose(file), 0);
    samp_free(block);
    samp_sample_options options = options_for(&log);
    run(&options);
    assert_int_equal(report.traffic.counts.records, 2);
    assert_int_equal(report.traffic.counts.too_long, 2);
    assert_int_equal(report.traffic.counts.problems[0].line, 2);
    assert_int_equal(report.traffic.counts.lines, 4);
    unlink(log);
}

/* Fails each allocation in turn: a clean error and no file left, or success once none fails. */
static void failing_memory(void **state)
{
    (void)state;
    const char *log = path_of("few.jsonl");
    const mix few[] = {{"alpha", 12}, {"beta", 8}};
    write_log("few.jsonl", few, 2, 6);
    samp_sample_options options = options_for(&log);
    options.out_path = path_of("memory.out");
    options.n_records = 5;
    samp_status status = SAMP_NOMEM;
    uint64_t n = 1;
    for (; status != SAMP_OK; n++) {
        samp_error error = {0};
        samp_alloc_fail_at(n);
        status = samp_sample(&options, &report, &error);
        samp_alloc_fail_at(0);
        if (status == SAMP_OK) break;
        if (status != SAMP_NOMEM) fail_msg("allocation %u: %s", (unsigned)n, error.message);
        assert_int_equal(count_files("memory.out"), 0);
        assert_int_equal(count_files("tmp-"), 0);
        assert_true(n < 5000);
    }
    assert_true(n > 20);
    assert_int_equal(report.records, 5);
}

/* ---- comparison ---- */

static void mixes_are_compared(void **state)
{
    (void)state;
    static samp_traffic a = {.strata = {{"code", 5, 0}, {"chat", 95, 0}}, .n_strata = 2};
    static samp_traffic b = {.strata = {{"json", 10, 0}, {"code", 70, 0}, {"chat", 20, 0}},
                             .n_strata = 3};
    static samp_sample_comparison c;
    samp_sample_compare(&a, &b, &c);
    assert_int_equal(c.n, 3);
    assert_string_equal(c.strata[0], "code");
    assert_string_equal(c.strata[c.worst], "chat");
    assert_float_equal(c.distance, 0.75, 1e-12);
    /* (5-37.5)^2/37.5*2 + (95-57.5)^2/57.5*2 + (0-5)^2/5*2 = 56.3333 + 48.9130 + 10 */
    assert_float_equal(c.chi_square, 115.2463768, 1e-6);
    assert_true(c.p_value < 1e-20);
    samp_sample_compare(&a, &a, &c);
    assert_float_equal(c.distance, 0, 0);
    assert_float_equal(c.p_value, 1, 1e-12);
}

/* Critical values of the chi-square distribution: 3.841459 (1), 5.991465 (2), 16.918978 (9) at 5 %.
 * */
static void p_values(void **state)
{
    (void)state;
    static const struct {
        uint64_t a[2], b[2];
        double p;
    } cases[] = {{{50, 50}, {50, 50}, 1.0},
                 {{60, 40}, {50, 50}, 0.155218},  /* chi-square 2.020202 */
                 {{70, 30}, {50, 50}, 0.003892}}; /* 8.333333 */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static samp_traffic a, b;
        static samp_sample_comparison c;
        memset(&a, 0, sizeof a), memset(&b, 0, sizeof b);
        a.n_strata = b.n_strata = 2;
        for (int s = 0; s < 2; s++) {
            snprintf(a.strata[s].name, 8, "s%d", s), snprintf(b.strata[s].name, 8, "s%d", s);
            a.strata[s].records = cases[i].a[s], b.strata[s].records = cases[i].b[s];
        }
        samp_sample_compare(&a, &b, &c);
        assert_float_equal(c.p_value, cases[i].p, 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_within_one),
        cmocka_unit_test(the_least_is_given_and_paid_for),
        cmocka_unit_test(a_sample_has_the_traffics_shares),
        cmocka_unit_test(lengths_are_balanced),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(repetition_and_order),
        cmocka_unit_test(sameness),
        cmocka_unit_test(near_duplicates_come_last),
        cmocka_unit_test(redaction_and_budget),
        cmocka_unit_test(the_spool_is_rewritten),
        cmocka_unit_test(bins_are_monotone),
        cmocka_unit_test(logs_that_are_none),
        cmocka_unit_test(some_bad_lines_are_counted),
        cmocka_unit_test(endless_lines_are_skipped),
        cmocka_unit_test(failing_memory),
        cmocka_unit_test(mixes_are_compared),
        cmocka_unit_test(p_values),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

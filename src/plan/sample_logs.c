/* Streaming of logs: a line buffer that grows up to the longest line, and the counts. */
#include "plan/sample_logs.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 20 };

typedef struct line_reader {
    int fd;
    const char *name;
    char *data; /* [capacity]; data[begin..end) is read and not yet taken */
    size_t begin, end, capacity;
    size_t scanned; /* data[begin..scanned) has no line feed */
    bool at_end, started;
} line_reader;

typedef struct reading {
    const samp_log_options *options;
    samp_traffic *traffic;
    samp_record record;
    line_reader lines;
    uint64_t total; /* bytes of all logs; 0 = not known */
} reading;

typedef samp_status each_record(void *context, const samp_log_record *record, samp_error *error);

/* ---- lines ---- */

static samp_status fill(line_reader *r, samp_error *error)
{
    if (r->begin > 0) {
        memmove(r->data, r->data + r->begin, r->end - r->begin);
        r->end -= r->begin, r->scanned -= r->begin, r->begin = 0;
    }
    if (r->capacity - r->end < READ_SIZE) {
        const size_t most = SAMP_LOG_LINE_MAX + 2 * READ_SIZE;
        size_t capacity = r->capacity < READ_SIZE ? 2 * READ_SIZE : 2 * r->capacity;
        if (capacity > most) capacity = most;
        char *data = samp_realloc(r->data, capacity, 1);
        if (!data) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a line", r->name);
        r->data = data, r->capacity = capacity;
    }
    ssize_t got;
    do got = read(r->fd, r->data + r->end, READ_SIZE);
    while (got < 0 && errno == EINTR);
    if (got < 0) return samp_fail_errno(error, "%s cannot be read", r->name);
    r->at_end = got == 0;
    r->end += (size_t)got;
    return SAMP_OK;
}

/* Only text can be read here; the commonest other things have a better answer than "malformed". */
static samp_status check_start(line_reader *r, samp_error *error)
{
    static const struct {
        const char *bytes, *what, *how;
    } forms[] = {{"\x1F\x8B", "compressed with gzip", "zcat"},
                 {"\x28\xB5\x2F\xFD", "compressed with zstd", "zstdcat"},
                 {"\xFF\xFE", "UTF-16 text", "iconv -f UTF-16 -t UTF-8"},
                 {"\xFE\xFF", "UTF-16 text", "iconv -f UTF-16 -t UTF-8"}};
    const char *at = r->data + r->begin;
    size_t n = r->end - r->begin;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t length = strlen(forms[i].bytes);
        if (n >= length && memcmp(at, forms[i].bytes, length) == 0)
            return samp_fail(
                error, SAMP_UNSUPPORTED,
                "%s is %s, expected JSON lines; pipe it through: %s %s | samp sample - …", r->name,
                forms[i].what, forms[i].how, r->name);
    }
    if (n >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) r->begin = r->scanned = r->begin + 3;
    return SAMP_OK;
}

/* The next line without its line feed; *line NULL at the end of the file, *n = SIZE_MAX for a line
 * that was too long and is skipped. */
static samp_status next_line(line_reader *r, const char **line, size_t *n, samp_error *error)
{
    bool too_long = false;
    *line = NULL;
    for (;;) {
        char *feed =
            r->end > r->scanned ? memchr(r->data + r->scanned, '\n', r->end - r->scanned) : NULL;
        if (feed || (r->at_end && (r->begin < r->end || too_long))) {
            char *stop = feed ? feed : r->data + r->end;
            *line = r->data + r->begin;
            *n = too_long ? SIZE_MAX : (size_t)(stop - *line);
            if (*n > SAMP_LOG_LINE_MAX) *n = SIZE_MAX;
            r->begin = r->scanned = (size_t)(stop - r->data) + (feed != NULL);
            return SAMP_OK;
        }
        if (r->at_end) return SAMP_OK;
        r->scanned = r->end;
        if (r->end - r->begin > SAMP_LOG_LINE_MAX) {
            too_long = true;
            r->begin = r->scanned = r->end = 0;
        }
        SAMP_TRY(fill(r, error));
        if (!r->started && (r->end - r->begin >= 4 || r->at_end)) {
            r->started = true;
            SAMP_TRY(check_start(r, error));
        }
    }
}

/* ---- records ---- */

static void note_problem(reading *r, uint32_t log, uint64_t line, const char *text)
{
    samp_log_counts *counts = &r->traffic->counts;
    if (counts->n_problems == SAMP_LOG_PROBLEMS) return;
    samp_log_problem *problem = &counts->problems[counts->n_problems++];
    problem->log = log;
    problem->line = line;
    /* The parser quotes the line, cut anywhere: ASCII only is kept. */
    size_t n = 0;
    for (; text[n] && n < sizeof problem->text - 1; n++)
        problem->text[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
    problem->text[n] = '\0';
}

static samp_status find_stratum(reading *r, const char *name, uint32_t *index, samp_error *error)
{
    samp_traffic *traffic = r->traffic;
    for (uint32_t s = 0; s < traffic->n_strata; s++)
        if (strcmp(traffic->strata[s].name, name) == 0) {
            *index = s;
            return SAMP_OK;
        }
    if (traffic->n_strata == SAMP_STRATA_MAX)
        return samp_fail(error, SAMP_LIMIT,
                         "more than %d different strata (the next is \"%s\"); name a field with "
                         "few values, or none for the classifier",
                         SAMP_STRATA_MAX, name);
    *index = traffic->n_strata++;
    samp_stratum *stratum = &traffic->strata[*index];
    memset(stratum, 0, sizeof *stratum);
    snprintf(stratum->name, sizeof stratum->name, "%s", name);
    return SAMP_OK;
}

static samp_status deliver(reading *r, each_record *each, void *context, uint32_t log,
                           uint64_t line, samp_error *error)
{
    const samp_record *record = &r->record;
    samp_log_record out = {record->text.data, record->text.length, log, 0, line, 0};
    samp_class class_id;
    char name[SAMP_STRATUM_NAME];
    samp_classify(out.text + record->body, out.n - record->body, &class_id, &out.language);
    if (record->stratum[0])
        snprintf(name, sizeof name, "%s", record->stratum);
    else if (r->options->stratum_field)
        snprintf(name, sizeof name, "(none)");
    else
        snprintf(name, sizeof name, "%s%s", samp_class_name(class_id),
                 out.language == SAMP_LANGUAGE_EN ? "" : "-other");
    SAMP_TRY(find_stratum(r, name, &out.stratum, error));
    r->traffic->strata[out.stratum].records++;
    r->traffic->strata[out.stratum].bytes += out.n;
    r->traffic->counts.records++;
    r->traffic->counts.repaired += record->repaired;
    r->traffic->counts.truncated += record->truncated;
    return each ? each(context, &out, error) : SAMP_OK;
}

/* What samp sample wrote: its strata hold whatever the fields of the log are called. */
static bool is_sample_line(const char *line, size_t n)
{
    static const char first[] = "{\"text\"", other[] = "\"stratum\":";
    return n > sizeof first && memcmp(line, first, sizeof first - 1) == 0 &&
           memmem(line, n, other, sizeof other - 1);
}

static samp_status take_line(reading *r, const char *line, size_t n, uint32_t log, uint64_t number,
                             each_record *each, void *context, samp_error *error)
{
    samp_log_counts *counts = &r->traffic->counts;
    counts->lines++;
    if (n == SIZE_MAX) {
        counts->too_long++;
        note_problem(r, log, number, "the line is longer than 16 MiB");
        return SAMP_OK;
    }
    counts->bytes += n + 1;
    size_t blank = 0;
    while (blank < n && (line[blank] == ' ' || line[blank] == '\t' || line[blank] == '\r')) blank++;
    if (blank == n) {
        counts->blank++;
        return SAMP_OK;
    }
    bool sampled = r->options->sample && is_sample_line(line, n);
    samp_error why;
    samp_status status = samp_record_read(&r->record, line, n, sampled ? NULL : r->options->field,
                                          sampled ? "stratum" : r->options->stratum_field, &why);
    if (status == SAMP_CORRUPT) {
        counts->malformed++;
        note_problem(r, log, number, why.message);
        return SAMP_OK;
    }
    if (status != SAMP_OK) {
        if (error) *error = why;
        return status;
    }
    return deliver(r, each, context, log, number, error);
}

static samp_status read_log(reading *r, uint32_t log, each_record *each, void *context,
                            samp_error *error)
{
    line_reader *lines = &r->lines;
    const char *line, *path = r->options->logs[log];
    size_t n;
    bool standard = strcmp(path, "-") == 0;
    lines->name = standard ? "standard input" : path;
    lines->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (lines->fd < 0) return samp_fail_errno(error, "%s cannot be opened", path);
    posix_fadvise(lines->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    lines->begin = lines->end = lines->scanned = 0;
    lines->at_end = lines->started = false;
    samp_status status = SAMP_OK;
    for (uint64_t number = 1;; number++) {
        status = next_line(lines, &line, &n, error);
        if (status != SAMP_OK || !line) break;
        status = take_line(r, line, n, log, number, each, context, error);
        if (status != SAMP_OK) break;
        if (number % 1024 == 0 && !samp_progress_report(&r->options->progress, "read",
                                                        r->traffic->counts.bytes, r->total)) {
            status = samp_fail(error, SAMP_CANCELLED, "reading %s was stopped", lines->name);
            break;
        }
    }
    if (!standard) close(lines->fd);
    return status;
}

/* Bytes of all logs, 0 when one of them is a pipe. */
static uint64_t total_bytes(const samp_log_options *options)
{
    uint64_t total = 0;
    for (size_t i = 0; i < options->n_logs; i++) {
        struct stat info;
        if (stat(options->logs[i], &info) != 0 || !S_ISREG(info.st_mode)) return 0;
        total += (uint64_t)info.st_size;
    }
    return total;
}

static samp_status check_any(const reading *r, samp_error *error)
{
    const samp_log_counts *counts = &r->traffic->counts;
    if (counts->records > 0) return SAMP_OK;
    if (counts->n_problems == 0)
        return samp_fail(error, SAMP_CORRUPT, "%s has no records", r->options->logs[0]);
    const samp_log_problem *first = &counts->problems[0];
    return samp_fail(error, SAMP_CORRUPT,
                     "none of %" PRIu64 " lines is a record; %s, line %" PRIu64
                     ": %s (expected one JSON request a line)",
                     counts->lines - counts->blank, r->options->logs[first->log], first->line,
                     first->text);
}

samp_status samp_logs_read(const samp_log_options *options, each_record *each, void *context,
                           samp_traffic *traffic, samp_error *error)
{
    memset(traffic, 0, sizeof *traffic);
    reading r = {.options = options, .traffic = traffic, .total = total_bytes(options)};
    samp_status status = SAMP_OK;
    for (size_t i = 0; i < options->n_logs && status == SAMP_OK; i++)
        status = read_log(&r, (uint32_t)i, each, context, error);
    if (status == SAMP_OK) status = check_any(&r, error);
    samp_free(r.lines.data);
    samp_record_release(&r.record);
    return status;
}

/* A CSV reader: one pass over text in memory, fields copied without their quotes. */
#include "eval/csv.h"

#include "base/utf8.h"

#include <string.h>

static samp_status malformed(const samp_csv *csv, uint64_t line, const char *what,
                             samp_error *error)
{
    return samp_fail(error, SAMP_CORRUPT, "%s: line %llu: %s", csv->where, (unsigned long long)line,
                     what);
}

samp_status samp_csv_begin(samp_csv *csv, const char *text, size_t n, const char *where,
                           samp_error *error)
{
    *csv = (samp_csv){.text = text, .n = n, .line = 1, .where = where};
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) csv->at = 3;
    if (n && memchr(text, '\0', n))
        return samp_fail(error, SAMP_CORRUPT, "%s: holds a NUL byte, expected text", where);
    if (!samp_utf8_valid(text, n))
        return samp_fail(error, SAMP_CORRUPT, "%s: is not UTF-8; convert it with iconv", where);
    return SAMP_OK;
}

void samp_csv_end(samp_csv *csv) { samp_buffer_release(&csv->scratch); }

static bool at_line_end(const samp_csv *csv)
{
    return csv->at == csv->n || csv->text[csv->at] == '\n' || csv->text[csv->at] == '\r';
}

/* Past LF or CRLF; false for a carriage return alone. */
static bool skip_line_end(samp_csv *csv)
{
    if (csv->at < csv->n && csv->text[csv->at] == '\r')
        csv->at++;
    else if (csv->at == csv->n)
        return true;
    if (csv->at == csv->n || csv->text[csv->at] != '\n') return false;
    csv->at++, csv->line++;
    return true;
}

/* After the opening quote, to past the closing one. */
static samp_status read_quoted(samp_csv *csv, samp_error *error)
{
    uint64_t opened = csv->line;
    for (;;) {
        const char *from = csv->text + csv->at;
        const char *quote = memchr(from, '"', csv->n - csv->at);
        if (!quote) return malformed(csv, opened, "a quote is opened and never closed", error);
        for (const char *p = from; (p = memchr(p, '\n', (size_t)(quote - p))); p++) csv->line++;
        samp_buffer_append(&csv->scratch, from, (size_t)(quote - from));
        csv->at += (size_t)(quote - from) + 1;
        if (csv->at == csv->n || csv->text[csv->at] != '"') break;
        samp_buffer_append(&csv->scratch, "\"", 1);
        csv->at++;
    }
    if (at_line_end(csv) || csv->text[csv->at] == ',') return SAMP_OK;
    return malformed(csv, csv->line, "text follows a closing quote, expected a comma", error);
}

static samp_status read_field(samp_csv *csv, samp_error *error)
{
    if (csv->at < csv->n && csv->text[csv->at] == '"') {
        csv->at++;
        SAMP_TRY(read_quoted(csv, error));
    } else {
        size_t begin = csv->at;
        while (!at_line_end(csv) && csv->text[csv->at] != ',') csv->at++;
        samp_buffer_append(&csv->scratch, csv->text + begin, csv->at - begin);
    }
    samp_buffer_append(&csv->scratch, "", 1);
    return SAMP_OK;
}

static samp_status skip_empty_lines(samp_csv *csv, samp_error *error)
{
    while (csv->at < csv->n && at_line_end(csv))
        if (!skip_line_end(csv))
            return malformed(csv, csv->line, "a carriage return without a line feed", error);
    return SAMP_OK;
}

samp_status samp_csv_next(samp_csv *csv, const char *fields[SAMP_CSV_FIELDS_MAX], size_t *n_fields,
                          uint64_t *line, samp_error *error)
{
    size_t starts[SAMP_CSV_FIELDS_MAX], n = 0;
    *n_fields = 0;
    samp_buffer_clear(&csv->scratch);
    SAMP_TRY(skip_empty_lines(csv, error));
    *line = csv->line;
    if (csv->at == csv->n) return SAMP_OK;
    for (;;) {
        if (n == SAMP_CSV_FIELDS_MAX)
            return samp_fail(error, SAMP_LIMIT, "%s: line %llu: more than %d fields", csv->where,
                             (unsigned long long)*line, SAMP_CSV_FIELDS_MAX);
        starts[n++] = csv->scratch.length;
        SAMP_TRY(read_field(csv, error));
        if (at_line_end(csv)) break;
        csv->at++; /* the comma */
    }
    if (!skip_line_end(csv))
        return malformed(csv, csv->line, "a carriage return without a line feed", error);
    SAMP_TRY(samp_buffer_ok(&csv->scratch, error));
    for (size_t i = 0; i < n; i++) fields[i] = csv->scratch.data + starts[i];
    *n_fields = n;
    return SAMP_OK;
}

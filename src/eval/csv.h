/* Comma-separated values (RFC 4180) as Python's csv module reads them, record by record.
 *
 * Fields are separated by commas, records by LF or CRLF. A field that begins with a double quote
 * ends at the next lone one, may hold commas and line ends, and "" in it is one quote; elsewhere a
 * quote is a character like any other. What is malformed is refused, never guessed: text after a
 * closing quote, a quote that is never closed, a carriage return without its line feed, NUL, and
 * bytes that are not UTF-8. */
#ifndef SAMP_EVAL_CSV_H
#define SAMP_EVAL_CSV_H

#include "base/buffer.h"

#include <stdint.h>

enum { SAMP_CSV_FIELDS_MAX = 64 };

typedef struct samp_csv {
    const char *text; /* [n], the whole file; not owned */
    size_t n, at;
    uint64_t line; /* where the next record begins, from 1 */
    const char *where;
    samp_buffer scratch; /* the fields of the current record, NUL-terminated one after another */
} samp_csv;

/* Skips a byte order mark. `where` names the file in messages. SAMP_CORRUPT: NUL, not UTF-8. */
samp_status samp_csv_begin(samp_csv *csv, const char *text, size_t n, const char *where,
                           samp_error *error);
void samp_csv_end(samp_csv *csv);
/* The next record: its line in *line, fields[0 … *n_fields) valid until the next call; empty lines
 * are skipped. *n_fields is 0 at the end of the text. */
samp_status samp_csv_next(samp_csv *csv, const char *fields[SAMP_CSV_FIELDS_MAX], size_t *n_fields,
                          uint64_t *line, samp_error *error);

#endif

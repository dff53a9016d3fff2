/* What people see: progress, tables that line up, sizes and times in readable units, colour on a
 * terminal. */
#ifndef SAMP_COMMAND_TERMINAL_H
#define SAMP_COMMAND_TERMINAL_H

#include "base/clock.h"
#include "base/json.h"
#include "base/show.h"

#include <stdio.h>

/* Colour only when the stream is a terminal, TERM is not dumb and NO_COLOR is unset. */
bool samp_terminal_colour(FILE *stream);
#define SAMP_BOLD   "\033[1m"
#define SAMP_RED    "\033[31m"
#define SAMP_GREEN  "\033[32m"
#define SAMP_YELLOW "\033[33m"
#define SAMP_RESET  "\033[0m"

/* A progress line on standard error, redrawn at most ten times a second, erased at the end; silent
 * when standard error is not a terminal. unit: "B" shows bytes a second in MB or GB, anything else
 * is counted. */
typedef struct samp_meter {
    const char *unit;
    const char *what;
    double start, drawn;
    uint64_t first; /* done at start: a resumed run must not count old work as speed */
    bool shown, quiet;
} samp_meter;
samp_progress samp_meter_start(samp_meter *meter, const char *unit);
void samp_meter_stop(samp_meter *meter);

/* A table of text cells; columns as wide as their widest cell. The first column is left-aligned
 * unless alignment says 'r'; one letter a column. A row whose first cell is "-" draws a line. */
enum { SAMP_TABLE_COLUMNS = 12 };
typedef struct samp_table {
    size_t n_columns, n_rows, capacity;
    const char *alignment;
    char *(*cells)[SAMP_TABLE_COLUMNS];
    bool failed; /* out of memory: samp_table_print then says so */
} samp_table;
/* headers: n_columns texts. Zeroed = ready. */
void samp_table_begin(samp_table *table, const char *alignment, size_t n_columns,
                      const char *const *headers);
/* Fills the next cell, row by row; missing cells of a row are closed by samp_table_end_row. */
void samp_table_row(samp_table *table, size_t n, const char *const *cells);
void samp_table_line(samp_table *table);
void samp_table_print(const samp_table *table, FILE *out);
void samp_table_release(samp_table *table);

/* Prints a document with a newline and releases it; SAMP_NOMEM when value is NULL. */
samp_status samp_print_json(json_t *value, samp_error *error);

#endif

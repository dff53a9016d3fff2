/* What people see: progress line, readable numbers, tables. */
#include "command/terminal.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool samp_terminal_colour(FILE *stream)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    return isatty(fileno(stream)) && !(no_colour && *no_colour) && term &&
           strcmp(term, "dumb") != 0;
}

static void draw_meter(samp_meter *meter, double now, uint64_t done, uint64_t total)
{
    enum { WIDTH = 24 };
    double share = total ? (double)done / (double)total : 0, elapsed = now - meter->start;
    double rate = elapsed > 0 ? (double)(done - meter->first) / elapsed : 0;
    char bar[WIDTH + 1], speed[48], left[32];
    for (int i = 0; i < WIDTH; i++) bar[i] = i < (int)(share * WIDTH + 0.5) ? '#' : '.';
    bar[WIDTH] = '\0';
    if (strcmp(meter->unit, "B") == 0) {
        char bytes[32];
        snprintf(speed, sizeof speed, "%s/s", samp_show_bytes(bytes, rate));
    } else {
        snprintf(speed, sizeof speed, rate < 10 ? "%.1f %s/s" : "%.0f %s/s", rate, meter->unit);
    }
    fprintf(stderr, "\r\033[K%s [%s] %3.0f%%  %s", meter->what, bar, share * 100, speed);
    if (rate > 0 && total >= done)
        fprintf(stderr, "  %s left", samp_show_seconds(left, (double)(total - done) / rate));
    fflush(stderr);
    meter->shown = true;
}

static bool report_meter(void *context, const char *what, uint64_t done, uint64_t total)
{
    samp_meter *meter = context;
    double now = samp_clock();
    if (!meter->what || strcmp(what, meter->what) != 0) {
        meter->what = what;
        meter->start = now;
        meter->first = done;
        meter->drawn = 0;
    }
    if (!meter->quiet && now - meter->drawn >= 0.1 && now - meter->start >= 0.3) {
        meter->drawn = now;
        draw_meter(meter, now, done, total);
    }
    return true;
}

samp_progress samp_meter_start(samp_meter *meter, const char *unit)
{
    *meter = (samp_meter){.unit = unit, .quiet = !isatty(STDERR_FILENO)};
    return (samp_progress){report_meter, meter};
}

void samp_meter_stop(samp_meter *meter)
{
    if (meter->shown) fputs("\r\033[K", stderr);
    meter->shown = false;
    meter->what = NULL;
}

/* Columns a UTF-8 text takes, one a code point: enough for the units and dashes printed here. */
static size_t width_of(const char *text) { return samp_utf8_count(text, strlen(text)); }

void samp_table_row(samp_table *table, size_t n, const char *const *cells)
{
    if (table->n_rows == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 16;
        void *grown = samp_realloc(table->cells, capacity, sizeof *table->cells);
        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    char **row = table->cells[table->n_rows++];
    for (size_t i = 0; i < SAMP_TABLE_COLUMNS; i++) {
        row[i] = i < n && i < table->n_columns ? samp_strdup(cells[i] ? cells[i] : "") : NULL;
        if (i < n && i < table->n_columns && !row[i]) table->failed = true;
    }
}

void samp_table_begin(samp_table *table, const char *alignment, size_t n_columns,
                      const char *const *headers)
{
    *table = (samp_table){.n_columns = n_columns, .alignment = alignment};
    samp_table_row(table, n_columns, headers);
    samp_table_line(table);
}

void samp_table_line(samp_table *table)
{
    const char *dash = "-";
    samp_table_row(table, 1, &dash);
}

static void print_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
    size_t pad = width - width_of(text);
    if (right) fprintf(out, "%*s", (int)pad, "");
    fputs(text, out);
    if (!right && !last) fprintf(out, "%*s", (int)pad, "");
}

void samp_table_print(const samp_table *table, FILE *out)
{
    size_t widths[SAMP_TABLE_COLUMNS] = {0}, total = 0;
    for (size_t r = 0; r < table->n_rows; r++)
        for (size_t c = 0; c < table->n_columns; c++) {
            const char *cell = table->cells[r][c];
            if (cell && width_of(cell) > widths[c]) widths[c] = width_of(cell);
        }
    for (size_t c = 0; c < table->n_columns; c++) total += widths[c] + (c ? 2 : 0);
    for (size_t r = 0; r < table->n_rows; r++) {
        char *const *row = table->cells[r];
        if (row[0] && strcmp(row[0], "-") == 0 && !row[1]) {
            for (size_t i = 0; i < total; i++) fputs("─", out);
            fputc('\n', out);
            continue;
        }
        for (size_t c = 0; c < table->n_columns; c++) {
            if (c) fputs("  ", out);
            print_cell(out, row[c] ? row[c] : "", widths[c], table->alignment[c] == 'r',
                       c + 1 == table->n_columns);
        }
        fputc('\n', out);
    }
    if (table->failed) fputs("(out of memory: this table is not complete)\n", out);
}

void samp_table_release(samp_table *table)
{
    for (size_t r = 0; r < table->n_rows; r++)
        for (size_t c = 0; c < SAMP_TABLE_COLUMNS; c++) samp_free(table->cells[r][c]);
    samp_free(table->cells);
    *table = (samp_table){0};
}

samp_status samp_print_json(json_t *value, samp_error *error)
{
    if (!value) return samp_fail(error, SAMP_NOMEM, "out of memory while writing JSON");
    int failed = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    json_decref(value);
    if (failed || putchar('\n') == EOF || fflush(stdout) != 0)
        return samp_fail_errno(error, "writing JSON to standard output failed");
    return SAMP_OK;
}

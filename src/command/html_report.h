/* Gathering what the HTML report shows, and writing it: the artifact and its original, what was
 * measured in this run, and files of earlier runs. */
#ifndef SAMP_COMMAND_HTML_REPORT_H
#define SAMP_COMMAND_HTML_REPORT_H

#include "command/command.h"
#include "report/report.h"

typedef struct samp_html_inputs {
    const char *artifact, *baseline; /* folders */
    const char *sensitivity;         /* of samp measure; NULL = none */
    samp_text_list evaluations;      /* files of `samp eval --json` on this and other artifacts */
    samp_text_list peers;            /* files: [{"name", "weight_bytes" or "bytes", "kl": {…}}] */
    const char *note;                /* for the reader; NULL = none */
    const char *machine;             /* processor and instruction set */
    const samp_report_row *rows;     /* sizes and speed measured in this run */
    size_t n_rows;
    const samp_report_text *texts; /* evaluated in this run */
    size_t n_texts;
    double decode[2]; /* tokens a second, original and this; 0 = not measured */
} samp_html_inputs;

/* Writes the report, whole or not at all; with other models beside the artifact, also prints them as
 * a table to `table` (NULL = not). SAMP_CORRUPT and SAMP_MISMATCH name the file that does not fit. */
samp_status samp_html_report_write(const samp_html_inputs *inputs, const char *path, FILE *table,
                                   samp_error *error);
/* "texts/prose.txt" -> "prose": evaluations and peers meet under these names. out [n] */
void samp_stratum_of_path(const char *path, char *out, size_t n);

#endif

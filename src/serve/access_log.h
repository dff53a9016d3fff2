/* The log: one JSON object a line for each request, to a file or standard output. No text of
 * prompts and answers unless asked for; control bytes are escaped, so that a line is a line. */
#ifndef SAMP_SERVE_ACCESS_LOG_H
#define SAMP_SERVE_ACCESS_LOG_H

#include "http/server.h"

#include <stdint.h>

typedef struct samp_access_log samp_access_log;
struct samp_call;

/* path: "-" = standard output; a file is appended to, a pipe must have a reader. */
samp_status samp_access_log_open(samp_access_log **out, const char *path, bool texts,
                                 samp_error *error);
/* NULL is allowed for the log here and below: nothing happens. */
void samp_access_log_close(samp_access_log *log);
/* Opens the file again, after a rotation. */
void samp_access_log_reopen(samp_access_log *log);
/* Lines that could not be written so far (serve/line_writer.h). */
uint64_t samp_access_log_lost(const samp_access_log *log);
/* A line for a call that is over. Any thread. A full disk or a reader that stands still loses lines,
 * never requests, and nobody waits; the next line that can be written says how many. */
void samp_access_log_call(samp_access_log *log, const struct samp_call *call);
/* A line for any other request (health, models, refused ones). */
void samp_access_log_exchange(samp_access_log *log, const samp_http_outcome *outcome);

#endif

/* Lines of JSON to a file, a pipe or a socket, by a thread of its own: whoever has a line never
 * waits for a disk or a reader.
 *
 * Lines wait in memory, 4 MiB of them. What has no room there or cannot be written is lost whole,
 * counted, and told of: by a warning on standard error, at most one a minute, and by the next line
 * that is written, as its member "lines_lost". */
#ifndef SAMP_SERVE_LINE_WRITER_H
#define SAMP_SERVE_LINE_WRITER_H

#include "base/buffer.h"

#include <stdint.h>

typedef struct samp_line_writer samp_line_writer;

/* path: "-" = standard output; a file is appended to, a pipe must have a reader. */
samp_status samp_line_writer_open(samp_line_writer **out, const char *path, samp_error *error);
/* Writes what waits, as far as that takes no more than two seconds. NULL allowed. */
void samp_line_writer_close(samp_line_writer *writer);

/* Takes a JSON object without a newline, "{…}". From any thread; never blocks. */
void samp_line_writer_put(samp_line_writer *writer, const samp_buffer *object);
/* Opens the path again before the next line, after a rotation; the old file stays when that fails.
 * Never blocks. */
void samp_line_writer_reopen(samp_line_writer *writer);
/* Lines lost so far. */
uint64_t samp_line_writer_lost(const samp_line_writer *writer);

#endif

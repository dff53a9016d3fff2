/* Lines from a person or from a pipe. On a terminal: editing and history through libedit (BSD
 * licence), Ctrl-C drops the line and not the program. Otherwise lines are read as they come. */
#ifndef SAMP_COMMAND_LINE_EDITOR_H
#define SAMP_COMMAND_LINE_EDITOR_H

#include "base/error.h"

typedef struct samp_line_editor samp_line_editor;

/* history: a file that keeps the lines (mode 0600), NULL: they are forgotten. */
samp_status samp_line_editor_open(samp_line_editor **out, const char *history, samp_error *error);
void samp_line_editor_close(samp_line_editor *editor); /* NULL allowed */

bool samp_line_editor_is_terminal(const samp_line_editor *editor);
/* Words that Tab completes at the start of a line, ended by NULL. */
void samp_line_editor_complete(samp_line_editor *editor, const char *const *words);

typedef enum { SAMP_LINE_READ, SAMP_LINE_DROPPED, SAMP_LINE_END } samp_line_result;
/* One line without its end, valid until the next call; at most 16 MiB. The prompt is shown on a
 * terminal only. */
samp_line_result samp_line_editor_read(samp_line_editor *editor, const char *prompt,
                                       const char **text, size_t *n);
/* Adds a line to the history, and to its file. */
void samp_line_editor_remember(samp_line_editor *editor, const char *text);

#endif

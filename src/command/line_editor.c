/* Lines through libedit on a terminal, through getline elsewhere.
 *
 * While a line is edited, Ctrl-C and Ctrl-Z are keys like others (libedit retries reads that a
 * signal interrupts), so that the first can drop the line; at all other times they are the
 * terminal's signals. */
#include "command/line_editor.h"

#include "base/memory.h"

#include <histedit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000, LINE_MAX_BYTES = 16 << 20 };

struct samp_line_editor {
    EditLine *edit; /* NULL: no terminal */
    History *history;
    char *history_path; /* NULL: not kept */
    const char *prompt;
    const char *const *words;
    bool dropped;
    char *line; /* of getline */
    size_t line_capacity;
};

static samp_line_editor *editor_of(EditLine *edit)
{
    void *editor = NULL;
    el_get(edit, EL_CLIENTDATA, &editor);
    return editor;
}

static char *show_prompt(EditLine *edit) { return (char *)editor_of(edit)->prompt; }

static unsigned char drop_line(EditLine *edit, int key)
{
    (void)key;
    editor_of(edit)->dropped = true;
    fputs("^C\n", stdout);
    return CC_NEWLINE;
}

static unsigned char suspend(EditLine *edit, int key)
{
    (void)edit, (void)key;
    raise(SIGTSTP); /* libedit's handler gives the terminal back, and takes it again */
    return CC_REFRESH;
}

/* Completes a command whose start stands alone on the line. */
static unsigned char complete(EditLine *edit, int key)
{
    (void)key;
    const samp_line_editor *editor = editor_of(edit);
    const LineInfo *line = el_line(edit);
    size_t n = (size_t)(line->cursor - line->buffer);
    const char *found = NULL;
    for (const char *const *word = editor->words; word && *word; word++) {
        if (n == 0 || strncmp(*word, line->buffer, n) != 0) continue;
        if (found) return CC_REFRESH_BEEP;
        found = *word;
    }
    if (!found || line->cursor != line->lastchar || el_insertstr(edit, found + n) != 0)
        return CC_REFRESH_BEEP;
    return CC_REFRESH;
}

static samp_status open_terminal(samp_line_editor *editor, samp_error *error)
{
    HistEvent event;
    editor->edit = el_init("samp", stdin, stdout, stderr);
    editor->history = history_init();
    if (!editor->edit || !editor->history)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the line editor");
    el_set(editor->edit, EL_CLIENTDATA, editor);
    el_set(editor->edit, EL_PROMPT_ESC, show_prompt, '\1');
    el_set(editor->edit, EL_SIGNAL, 1);
    el_set(editor->edit, EL_EDITOR, "emacs");
    history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history(editor->history, &event, H_SETUNIQUE, 1);
    el_set(editor->edit, EL_HIST, history, editor->history);
    el_set(editor->edit, EL_ADDFN, "samp-drop", "drop the line", drop_line);
    el_set(editor->edit, EL_ADDFN, "samp-suspend", "stop the program", suspend);
    el_set(editor->edit, EL_ADDFN, "samp-complete", "complete a command", complete);
    el_source(editor->edit, NULL); /* the user's ~/.editrc */
    el_set(editor->edit, EL_SETTY, "-d", "-isig", NULL);
    el_set(editor->edit, EL_BIND, "^C", "samp-drop", NULL);
    el_set(editor->edit, EL_BIND, "^Z", "samp-suspend", NULL);
    el_set(editor->edit, EL_BIND, "^I", "samp-complete", NULL);
    el_set(editor->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    if (editor->history_path) history(editor->history, &event, H_LOAD, editor->history_path);
    return SAMP_OK;
}

samp_status samp_line_editor_open(samp_line_editor **out, const char *history_path,
                                  samp_error *error)
{
    samp_line_editor *editor = *out = samp_alloc(1, sizeof *editor);
    if (!editor) return samp_fail(error, SAMP_NOMEM, "out of memory for the line editor");
    samp_status status = SAMP_OK;
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        if (history_path) editor->history_path = samp_strdup(history_path);
        status = open_terminal(editor, error);
    }
    if (status != SAMP_OK) {
        samp_line_editor_close(editor);
        *out = NULL;
    }
    return status;
}

void samp_line_editor_close(samp_line_editor *editor)
{
    if (!editor) return;
    if (editor->edit) el_end(editor->edit);
    if (editor->history) history_end(editor->history);
    samp_free(editor->history_path);
    free(editor->line);
    samp_free(editor);
}

bool samp_line_editor_is_terminal(const samp_line_editor *editor) { return editor->edit != NULL; }

void samp_line_editor_complete(samp_line_editor *editor, const char *const *words)
{
    editor->words = words;
}

samp_line_result samp_line_editor_read(samp_line_editor *editor, const char *prompt,
                                       const char **text, size_t *n)
{
    int count = 0;
    editor->prompt = prompt;
    editor->dropped = false;
    if (editor->edit) {
        el_set(editor->edit, EL_PREP_TERM, 1); /* before the prompt: what follows it is for us */
        *text = el_gets(editor->edit, &count);
    } else {
        ssize_t length = getline(&editor->line, &editor->line_capacity, stdin);
        *text = length < 0 || length > LINE_MAX_BYTES ? NULL : editor->line;
        count = length < 0 ? 0 : (int)length;
    }
    if (editor->dropped) return SAMP_LINE_DROPPED;
    if (!*text || count <= 0) return SAMP_LINE_END;
    *n = (size_t)count;
    if ((*text)[*n - 1] == '\n') --*n;
    if (*n && (*text)[*n - 1] == '\r') --*n;
    return SAMP_LINE_READ;
}

void samp_line_editor_remember(samp_line_editor *editor, const char *text)
{
    HistEvent event;
    if (!editor->edit || !*text) return;
    history(editor->history, &event, H_ENTER, text);
    if (!editor->history_path) return;
    mode_t old = umask(077);
    history(editor->history, &event, H_SAVE, editor->history_path);
    umask(old);
}

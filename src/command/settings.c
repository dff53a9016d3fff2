/* Options from variables and from a file: `max-batch = 256` in it and SAMP_SERVE_MAX_BATCH=256 are
 * --max-batch 256. The command line goes before variables, these before the file; a list comes from
 * one of them. Lines of the file are NAME = VALUE, with the names of the command line, # begins a
 * comment; flags are yes or no. A name that is none, a line that is none and a value twice are
 * errors: a setting that was not understood must not look like one that holds. */
#include "command/settings.h"

#include "file/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20, VARIABLE_MAX = 80 };

typedef struct settings {
    const samp_command *command;
    uint64_t given; /* bit i: option i has its value from what goes before */
    uint64_t seen;  /* and from here */
    void *options;
} settings;

static uint64_t bit(const settings *s, const samp_option *option)
{
    return UINT64_C(1) << (option - s->command->options);
}

static samp_status store(settings *s, const samp_option *option, const char *value,
                         samp_error *error)
{
    s->seen |= bit(s, option);
    if (s->given & bit(s, option)) return SAMP_OK;
    if (option->kind == SAMP_OPTION_FLAG) {
        bool yes = strcmp(value, "yes") == 0;
        if (!yes && strcmp(value, "no") != 0)
            return samp_fail(error, SAMP_INVALID, "%s is \"%s\": expected yes or no", option->name,
                             value);
        value = yes ? "" : NULL;
    }
    return samp__option_store(option, value, s->options, error);
}

/* ---- variables ------------------------------------------------------------------------------- */

static samp_status read_variables(settings *s, samp_error *error)
{
    const samp_command *command = s->command;
    for (size_t i = 0; i < command->n_options; i++) {
        char name[VARIABLE_MAX];
        int n = snprintf(name, sizeof name, "%s%s", command->environment, command->options[i].name);
        if (n < 0 || (size_t)n >= sizeof name) continue;
        for (char *c = name + strlen(command->environment); *c; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        const char *value = getenv(name);
        samp_error detail;
        if (value && store(s, &command->options[i], value, &detail) != SAMP_OK)
            return samp_fail(error, SAMP_INVALID, "variable %s: %s", name, detail.message);
    }
    return SAMP_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Cuts white space off both ends of the n bytes at text, which become a string. */
static char *trim(char *text, size_t n)
{
    while (n > 0 && isspace((unsigned char)text[n - 1])) n--;
    text[n] = '\0';
    while (isspace((unsigned char)*text)) text++;
    return text;
}

static samp_status read_line(settings *s, char *line, samp_error *error)
{
    char *text = trim(line, strlen(line)), *equals = strchr(text, '=');
    if (*text == '\0' || *text == '#') return SAMP_OK;
    if (!equals || equals == text)
        return samp_fail(error, SAMP_INVALID, "\"%.60s\" is not NAME = VALUE", text);
    char *name = trim(text, (size_t)(equals - text));
    char *value = trim(equals + 1, strlen(equals + 1));
    const samp_option *option = samp__option_find(s->command, name, strlen(name));
    if (!option) return samp__option_unknown(s->command, name, error);
    if (strcmp(option->name, "config") == 0)
        return samp_fail(error, SAMP_INVALID, "a file of options cannot name another one");
    if (option->kind != SAMP_OPTION_LIST && s->seen & bit(s, option))
        return samp_fail(error, SAMP_INVALID, "%s was given before", name);
    return store(s, option, value, error);
}

static samp_status read_file(settings *s, const char *path, samp_buffer *text, samp_error *error)
{
    SAMP_TRY(samp_file_slurp(path, FILE_BYTES_MAX, text, error));
    if (text->length == 0) return SAMP_OK;
    if (memchr(text->data, '\0', text->length))
        return samp_fail(error, SAMP_INVALID, "%s has a zero byte: it is no text", path);
    char *line = text->data;
    for (unsigned number = 1; line; number++) {
        char *stop = strchr(line, '\n');
        samp_error detail;
        if (stop) *stop = '\0';
        if (read_line(s, line, &detail) != SAMP_OK)
            return samp_fail(error, SAMP_INVALID, "%s, line %u: %s", path, number, detail.message);
        line = stop ? stop + 1 : NULL;
    }
    return SAMP_OK;
}

samp_status samp__settings_read(const samp_command *command, uint64_t *seen, void *options,
                                samp_buffer *text, samp_error *error)
{
    settings s = {.command = command, .given = *seen, .options = options};
    if (!command->environment) return SAMP_OK;
    SAMP_TRY(read_variables(&s, error));
    s.given |= s.seen;
    s.seen = 0;
    const samp_option *config = samp__option_find(command, "config", strlen("config"));
    const char *path = NULL;
    if (config) memcpy(&path, (const char *)options + config->offset, sizeof path);
    if (path) SAMP_TRY(read_file(&s, path, text, error));
    *seen = s.given | s.seen;
    return SAMP_OK;
}

/* Commands: what the parser, --help, the man pages and the shell completions all read.
 *
 * A command is one file cmd_NAME.c that defines `const samp_command samp__cmd_NAME` with its table
 * of options and a function. SAMP_COMMAND_LIST is the one list of commands. Only this room prints
 * and exits. */
#ifndef SAMP_COMMAND_COMMAND_H
#define SAMP_COMMAND_COMMAND_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

#include <stdio.h>

#define SAMP_COMMAND_LIST(X)                                                                       \
    X(import)                                                                                      \
    X(inspect)                                                                                     \
    X(sample)                                                                                      \
    X(measure)                                                                                     \
    X(plan)                                                                                        \
    X(quantize)                                                                                    \
    X(validate)                                                                                    \
    X(eval)                                                                                        \
    X(generate)                                                                                    \
    X(chat)                                                                                        \
    X(serve)                                                                                       \
    X(bench)                                                                                       \
    X(doctor)                                                                                      \
    X(report)                                                                                      \
    X(cost)                                                                                        \
    X(help)                                                                                        \
    X(completion)

/* Exit codes of every command. */
enum {
    SAMP_EXIT_DONE = 0,
    SAMP_EXIT_NO = 1,    /* the answer is no: findings, goal missed */
    SAMP_EXIT_ERROR = 2, /* could not do it */
    SAMP_EXIT_USAGE = 3  /* wrong usage */
};

typedef enum samp_option_kind {
    SAMP_OPTION_FLAG,    /* bool; --no-NAME turns it off again */
    SAMP_OPTION_TEXT,    /* const char * */
    SAMP_OPTION_INTEGER, /* int64_t, min … max */
    SAMP_OPTION_NUMBER,  /* double, min … max */
    SAMP_OPTION_BYTES,   /* int64_t: 38GB, 512MiB, 100000; min … max */
    SAMP_OPTION_CHOICE,  /* const char *, one of `choices` */
    SAMP_OPTION_LIST     /* samp_text_list: may be given several times */
} samp_option_kind;

enum { SAMP_LIST_MAX = 64 };
typedef struct samp_text_list {
    const char *items[SAMP_LIST_MAX];
    size_t count;
} samp_text_list;

typedef struct samp_option {
    const char *name; /* "threads" for --threads */
    char letter;      /* 't' for -t, 0 = none */
    samp_option_kind kind;
    size_t offset;       /* of its member in the command's options struct */
    const char *value;   /* "N", "FILE", "DIR": DIR and FILE complete as paths */
    const char *help;    /* one sentence without a full stop */
    const char *initial; /* parsed like a value; NULL = zero */
    double min, max;     /* INTEGER, NUMBER, BYTES */
    const char *choices; /* "samp|nf4|fp8" */
    bool required;
} samp_option;

typedef struct samp_command {
    const char *name;
    const char *summary;   /* one line for the list of commands */
    const char *arguments; /* "MODEL [TEXT]…" */
    size_t min_arguments, max_arguments;
    const char *description; /* paragraphs, wrapped by hand at 78 columns */
    const char *examples;    /* lines "$ samp …" with a comment line before each */
    const samp_option *options;
    size_t n_options;
    size_t options_size; /* sizeof of the options struct, zeroed before parsing */
    /* "SAMP_SERVE_": options may also come from variables that begin so, and from a file that the
     * option "config" names (settings.c); NULL: from the command line only. */
    const char *environment;
    /* options: the filled struct; arguments: the n positional ones. Returns an exit code. On
     * SAMP_EXIT_ERROR and SAMP_EXIT_USAGE the error has been filled and samp_command_main prints
     * it. */
    int (*run)(const void *options, const char *const *arguments, size_t n, samp_error *error);
} samp_command;

/* One row of a table: SAMP_OPTION(struct, kind, member, "name", 'n' or 0, "VALUE" or NULL, .help =
 * …, …). */
#define SAMP_OPTION(type, kind_, member_, name_, letter_, value_, ...)                             \
    {                                                                                              \
        .name = name_, .letter = letter_, .kind = SAMP_OPTION_##kind_,                             \
        .offset = offsetof(type, member_), .value = value_, __VA_ARGS__                            \
    }
#define SAMP_OPTIONS(table) .options = table, .n_options = sizeof table / sizeof *table

const samp_command *samp_command_find(const char *name); /* NULL when there is none */
size_t samp_command_count(void);
const samp_command *samp_command_at(size_t index);

/* Parses argv[0..argc) (after the command's name) into options (options_size bytes, zeroed by the
 * caller) and arguments (room for argc pointers). Options point into argv, the environment and
 * text, which the caller releases after them. *help is set by --help or -h. Errors are
 * SAMP_INVALID, or why the file could not be read. */
samp_status samp_options_parse(const samp_command *command, int argc, char **argv, void *options,
                               samp_buffer *text, const char **arguments, size_t *n_arguments,
                               bool *help, samp_error *error);
/* "38GB", "1.5GiB", "4096" -> bytes; false when malformed or negative. */
bool samp_parse_bytes(const char *text, int64_t *out);

/* Texts made from the tables. */
void samp_help_overview(FILE *out);
void samp_help_command(FILE *out, const samp_command *command);
void samp_help_man(FILE *out, const samp_command *command); /* NULL: samp(1) itself */
void samp_completion_bash(FILE *out);
void samp_completion_zsh(FILE *out);

int samp_command_main(int argc, char **argv);

#endif

/* The list of commands, and main: find the command, read its options, run it, print its error. */
#include "command/command.h"

#include "base/memory.h"
#include "command/settings.h"
#include "command/terminal.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define X(name) extern const samp_command samp__cmd_##name;
SAMP_COMMAND_LIST(X)
#undef X

static const samp_command *const commands[] = {
#define X(name) &samp__cmd_##name,
    SAMP_COMMAND_LIST(X)
#undef X
};

size_t samp_command_count(void) { return sizeof commands / sizeof *commands; }

const samp_command *samp_command_at(size_t index) { return commands[index]; }

const samp_command *samp_command_find(const char *name)
{
    for (size_t i = 0; i < samp_command_count(); i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static void print_error(const char *command, const samp_error *error)
{
    bool colour = samp_terminal_colour(stderr);
    fprintf(stderr, "%ssamp%s%s:%s %s\n", colour ? SAMP_BOLD SAMP_RED : "", *command ? " " : "",
            command, colour ? SAMP_RESET : "", error->message);
}

static int run_command(const samp_command *command, int argc, char **argv)
{
    samp_error error = {0};
    samp_buffer text = {0};
    void *options = samp_alloc(1, command->options_size ? command->options_size : 1);
    const char **arguments = samp_alloc((size_t)argc + 1, sizeof *arguments);
    size_t n_arguments = 0;
    bool help = false;
    int code;
    if (!options || !arguments) {
        samp_fail(&error, SAMP_NOMEM, "out of memory while reading the command line");
        code = SAMP_EXIT_ERROR;
    } else if (samp_options_parse(command, argc, argv, options, &text, arguments, &n_arguments,
                                  &help, &error) != SAMP_OK) {
        code = SAMP_EXIT_USAGE;
    } else if (help) {
        samp_help_command(stdout, command);
        code = SAMP_EXIT_DONE;
    } else {
        code = command->run(options, arguments, n_arguments, &error);
    }
    if (code == SAMP_EXIT_ERROR || code == SAMP_EXIT_USAGE) print_error(command->name, &error);
    samp_free(arguments);
    samp_free(options);
    samp_buffer_release(&text);
    /* Output that could not be written (a full disk behind >) must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code <= SAMP_EXIT_NO) {
        samp_fail(&error, SAMP_IO, "writing to standard output failed");
        print_error(command->name, &error);
        code = SAMP_EXIT_ERROR;
    }
    return code;
}

/* A standard stream the caller closed (`samp serve … 2>&-`) would give its number to the next file
 * or socket, and errors would be written there. Reading only: writing to it still fails. */
static void occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) return;
}

int samp_command_main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    occupy_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* `samp … | head` ends with a write error, not a signal */
    signal(SIGXFSZ, SIG_IGN); /* a file size limit gives a write error with its clear message */
    if (argc < 2) {
        samp_help_overview(stderr);
        return SAMP_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("samp %s\n", SAMP_VERSION);
        return SAMP_EXIT_DONE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        samp_help_overview(stdout);
        return SAMP_EXIT_DONE;
    }
    const samp_command *command = samp_command_find(name);
    if (command) return run_command(command, argc - 2, argv + 2);
    samp_error error;
    const char *meant = samp__command_meant(name);
    samp_fail(&error, SAMP_INVALID, "'%s' is not a samp command; %s%s%s", name,
              meant ? "did you mean samp " : "samp --help lists them", meant ? meant : "",
              meant ? "?" : "");
    print_error("", &error);
    return SAMP_EXIT_USAGE;
}

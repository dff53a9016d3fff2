/* samp help [COMMAND]: the overview, or one command's help; --man writes the man page that is
 * installed. */
#include "command/command.h"

#include <string.h>

typedef struct help_options {
    bool man;
} help_options;

static const samp_option options[] = {
    SAMP_OPTION(help_options, FLAG, man, "man", 0, NULL, .help = "write the man page instead"),
};

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    const help_options *o = given;
    const samp_command *command = NULL;
    if (n == 1 && !(o->man && strcmp(arguments[0], "samp") == 0)) {
        command = samp_command_find(arguments[0]);
        if (!command) {
            samp_fail(error, SAMP_INVALID, "'%s' is not a samp command; samp --help lists them",
                      arguments[0]);
            return SAMP_EXIT_USAGE;
        }
    }
    if (o->man)
        samp_help_man(stdout, command);
    else if (command)
        samp_help_command(stdout, command);
    else
        samp_help_overview(stdout);
    return SAMP_EXIT_DONE;
}

const samp_command samp__cmd_help = {
    .name = "help",
    .summary = "show help of a command",
    .arguments = "[COMMAND]",
    .max_arguments = 1,
    .description = "Shows what samp COMMAND --help shows; with --man, the source of the man page.",
    .examples = "  $ samp help quantize\n  # read the man page of a build that is not installed\n"
                "  $ samp help --man quantize | man -l -\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(help_options),
    .run = run,
};

/* samp completion bash|zsh: the completion script that `make install` installs. */
#include "command/command.h"

#include <string.h>

static int run(const void *options, const char *const *arguments, size_t n, samp_error *error)
{
    (void)options;
    (void)n;
    if (strcmp(arguments[0], "bash") == 0) {
        samp_completion_bash(stdout);
    } else if (strcmp(arguments[0], "zsh") == 0) {
        samp_completion_zsh(stdout);
    } else {
        samp_fail(error, SAMP_INVALID, "'%s' is not a shell samp knows; use bash or zsh",
                  arguments[0]);
        return SAMP_EXIT_USAGE;
    }
    return SAMP_EXIT_DONE;
}

const samp_command samp__cmd_completion = {
    .name = "completion",
    .summary = "print a shell completion script",
    .arguments = "bash|zsh",
    .min_arguments = 1,
    .max_arguments = 1,
    .description = "Prints a completion script made from the same tables as --help.",
    .examples = "  $ samp completion bash > ~/.local/share/bash-completion/completions/samp\n"
                "  $ samp completion zsh > ~/.zfunc/_samp\n",
    .run = run,
};

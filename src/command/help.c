/* Help, man pages and shell completions, all made from the commands' tables. */
#include "base/cpu.h"
#include "command/command.h"
#include "command/terminal.h"

#include <ctype.h>
#include <string.h>

static const char intro[] =
    "samp finds, proves and serves the cheapest numeric precision of a Llama-family model.";

void samp_help_overview(FILE *out)
{
    fprintf(out, "%s\n\nUsage: samp COMMAND [OPTIONS] …\n\nCommands:\n", intro);
    for (size_t i = 0; i < samp_command_count(); i++)
        fprintf(out, "  %-11s %s\n", samp_command_at(i)->name, samp_command_at(i)->summary);
    fputs("\nsamp COMMAND --help shows options and examples; samp --version the version.\n"
          "Exit codes: 0 done, 1 the answer is no, 2 could not do it, 3 wrong usage.\n",
          out);
}

/* "-t, --threads N" */
static void option_title(char *out, size_t n, const samp_option *option)
{
    char letter[8] = "    ";
    if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(out, n, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
             option->value ? option->value : "");
}

/* What follows the help sentence: choices, default, required. */
static void option_notes(char *out, size_t n, const samp_option *option)
{
    out[0] = '\0';
    size_t at = 0;
    if (option->choices) at += (size_t)snprintf(out, n, ": %s", option->choices);
    if (option->initial && at < n)
        at += (size_t)snprintf(out + at, n - at, " (default %s)", option->initial);
    if (option->kind == SAMP_OPTION_LIST && at < n)
        at += (size_t)snprintf(out + at, n - at, " (may be repeated)");
    if (option->required && at < n) snprintf(out + at, n - at, " (required)");
}

void samp_help_command(FILE *out, const samp_command *command)
{
    bool colour = samp_terminal_colour(out);
    const char *bold = colour ? SAMP_BOLD : "", *reset = colour ? SAMP_RESET : "";
    fprintf(out, "samp %s: %s\n\n%sUsage:%s samp %s [OPTIONS] %s\n\n%s\n", command->name,
            command->summary, bold, reset, command->name, command->arguments, command->description);
    fprintf(out, "\n%sOptions:%s\n", bold, reset);
    for (size_t i = 0; i < command->n_options; i++) {
        char title[80], notes[400];
        option_title(title, sizeof title, &command->options[i]);
        option_notes(notes, sizeof notes, &command->options[i]);
        if (strlen(title) > 26)
            fprintf(out, "  %s\n  %-26s %s%s\n", title, "", command->options[i].help, notes);
        else
            fprintf(out, "  %-26s %s%s\n", title, command->options[i].help, notes);
    }
    fprintf(out, "  %-26s %s\n", "-h, --help", "this text");
    fprintf(out, "\n%sExamples:%s\n%s", bold, reset, command->examples);
}

/* Text for a man page: backslashes and leading dots or quotes escaped, an empty line starts a
 * paragraph. */
static void man_text(FILE *out, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && *text == '\n') {
            fputs(".PP\n", out);
            continue;
        }
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        line_start = *text == '\n';
    }
    if (!line_start) fputc('\n', out);
}

static void man_footer(FILE *out)
{
    fprintf(out,
            ".SH EXIT STATUS\n0 done; 1 the answer is no (findings, a goal missed); 2 could not do "
            "it; 3 wrong usage.\n"
            ".SH ENVIRONMENT\n.TP\n.B SAMP_CPU\n%s: forces a kernel path at or below "
            "what the processor has.\n.TP\n.B SAMP_LOG\ndebug, info, warn, error or off: "
            "diagnostics on standard error.\n"
            ".TP\n.B SAMP_BACKEND_PATH\nfolders, separated by colons, searched for "
            "samp\\-backend\\-NAME.so.\n"
            ".TP\n.B NO_COLOR\nset to anything: no colour.\n",
            samp_cpu_names());
}

static void man_overview(FILE *out)
{
    fprintf(out,
            ".TH SAMP 1 \"\" \"samp %s\"\n.SH NAME\nsamp \\- find, prove and serve the cheapest "
            "precision of a language model\n"
            ".SH SYNOPSIS\n.B samp\n.I COMMAND\n[OPTIONS] ...\n.SH DESCRIPTION\n",
            SAMP_VERSION);
    man_text(out, intro);
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < samp_command_count(); i++) {
        fprintf(out, ".TP\n.BR samp\\-%s (1)\n", samp_command_at(i)->name);
        man_text(out, samp_command_at(i)->summary);
    }
    man_footer(out);
}

void samp_help_man(FILE *out, const samp_command *command)
{
    if (!command) {
        man_overview(out);
        return;
    }
    fputs(".TH SAMP\\-", out);
    for (const char *c = command->name; *c; c++) fputc(toupper((unsigned char)*c), out);
    fprintf(out, " 1 \"\" \"samp %s\"\n.SH NAME\nsamp\\-%s \\- ", SAMP_VERSION, command->name);
    man_text(out, command->summary);
    fprintf(out, ".SH SYNOPSIS\n.B samp %s\n[OPTIONS] ", command->name);
    man_text(out, command->arguments);
    fputs(".SH DESCRIPTION\n", out);
    man_text(out, command->description);
    fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; i < command->n_options; i++) {
        char title[80], notes[400];
        option_title(title, sizeof title, &command->options[i]);
        option_notes(notes, sizeof notes, &command->options[i]);
        fputs(".TP\n.B ", out);
        man_text(out, title + strspn(title, " "));
        man_text(out, command->options[i].help);
        if (*notes) man_text(out, notes + strspn(notes, ": "));
    }
    fputs(".SH EXAMPLES\n.nf\n", out);
    man_text(out, command->examples);
    fputs(".fi\n", out);
    man_footer(out);
    fputs(".SH SEE ALSO\n.BR samp (1)\n", out);
}

static bool is_path(const samp_option *option)
{
    return option->value &&
           (strcmp(option->value, "DIR") == 0 || strcmp(option->value, "FILE") == 0);
}

void samp_completion_bash(FILE *out)
{
    fputs(
        "# bash completion for samp; made by `samp completion bash`\n_samp() {\n"
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=\n"
        "    if [ \"$COMP_CWORD\" = 1 ]; then\n        words=\"",
        out);
    for (size_t i = 0; i < samp_command_count(); i++)
        fprintf(out, "%s%s", i ? " " : "", samp_command_at(i)->name);
    fputs("\"\n    else\n        case \"${COMP_WORDS[1]} $previous\" in\n", out);
    for (size_t i = 0; i < samp_command_count(); i++) {
        const samp_command *command = samp_command_at(i);
        for (size_t o = 0; o < command->n_options; o++) {
            const samp_option *option = &command->options[o];
            if (!option->choices) continue;
            fprintf(out, "        \"%s --%s\") words=\"", command->name, option->name);
            for (const char *c = option->choices; *c; c++) fputc(*c == '|' ? ' ' : *c, out);
            fputs("\" ;;\n", out);
        }
    }
    for (size_t i = 0; i < samp_command_count(); i++) {
        const samp_command *command = samp_command_at(i);
        fprintf(out, "        \"%s \"*) [[ $current == -* ]] && words=\"", command->name);
        for (size_t o = 0; o < command->n_options; o++)
            fprintf(out, "--%s ", command->options[o].name);
        fputs("--help\" ;;\n", out);
    }
    fputs("        esac\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
          "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$current\"))\n}\n"
          "complete -o filenames -F _samp samp\n",
          out);
}

/* In zsh's _arguments, brackets and colons end a description. */
static void zsh_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("[]:\\", *text)) fputc('\\', out);
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    }
}

void samp_completion_zsh(FILE *out)
{
    fputs("#compdef samp\n# zsh completion for samp; made by `samp completion zsh`\n_samp() {\n  "
          "local -a commands=(\n",
          out);
    for (size_t i = 0; i < samp_command_count(); i++) {
        fprintf(out, "    '%s:", samp_command_at(i)->name);
        zsh_text(out, samp_command_at(i)->summary);
        fputs("'\n", out);
    }
    fputs("  )\n  if (( CURRENT == 2 )); then _describe command commands; return; fi\n  case "
          "$words[2] in\n",
          out);
    for (size_t i = 0; i < samp_command_count(); i++) {
        const samp_command *command = samp_command_at(i);
        fprintf(out, "  %s) shift words; (( CURRENT-- )); _arguments", command->name);
        for (size_t o = 0; o < command->n_options; o++) {
            const samp_option *option = &command->options[o];
            fprintf(out, " \\\n    '--%s[", option->name);
            zsh_text(out, option->help);
            fputs("]", out);
            if (option->choices) {
                fputs(":value:(", out);
                for (const char *c = option->choices; *c; c++) fputc(*c == '|' ? ' ' : *c, out);
                fputs(")", out);
            } else if (option->kind != SAMP_OPTION_FLAG) {
                fputs(is_path(option) ? ":path:_files" : ":value:", out);
            }
            fputs("'", out);
        }
        fputs(" '*:file:_files' ;;\n", out);
    }
    fputs("  esac\n}\n_samp \"$@\"\n", out);
}

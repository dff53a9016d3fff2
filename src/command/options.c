/* Reading a command line against a command's table of options. */
#include "command/command.h"

#include "base/memory.h"
#include "command/settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool samp_parse_bytes(const char *text, int64_t *out)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"", 1},       {"B", 1},        {"kB", 1e3},     {"KB", 1e3},
                 {"MB", 1e6},   {"GB", 1e9},     {"TB", 1e12},    {"k", 1e3},
                 {"K", 1e3},    {"M", 1e6},      {"G", 1e9},      {"T", 1e12},
                 {"KiB", 1024}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    if (end == text || errno || !isfinite(number) || number < 0) return false;
    while (*end == ' ') end++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].suffix) != 0) continue;
        double bytes = nearbyint(number * units[i].factor);
        if (bytes > 9e18) return false;
        *out = (int64_t)bytes;
        return true;
    }
    return false;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strncmp(at, value, n) == 0 && (at[n] == '|' || at[n] == '\0')) return n > 0;
    return false;
}

static samp_status store_number(const samp_option *option, const char *value, void *member,
                                samp_error *error)
{
    char *end = NULL;
    double number;
    int64_t integer = 0;
    errno = 0;
    if (option->kind == SAMP_OPTION_NUMBER) {
        number = strtod(value, &end);
    } else if (option->kind == SAMP_OPTION_BYTES) {
        if (samp_parse_bytes(value, &integer)) end = (char *)value + strlen(value);
        number = (double)integer;
    } else {
        integer = strtoll(value, &end, 10);
        number = (double)integer;
    }
    if (!end || end == value || *end || errno || !isfinite(number))
        return samp_fail(error, SAMP_INVALID, "--%s %s: expected %s", option->name, value,
                         option->kind == SAMP_OPTION_NUMBER ? "a number"
                         : option->kind == SAMP_OPTION_INTEGER
                             ? "a whole number"
                             : "a size such as 38GB, 512MiB or 100000");
    if (number < option->min || number > option->max)
        return samp_fail(error, SAMP_INVALID, "--%s %s: expected %.10g to %.10g", option->name,
                         value, option->min, option->max);
    if (option->kind == SAMP_OPTION_NUMBER)
        memcpy(member, &number, sizeof number);
    else
        memcpy(member, &integer, sizeof integer);
    return SAMP_OK;
}

samp_status samp__option_store(const samp_option *option, const char *value, void *options,
                               samp_error *error)
{
    void *member = (char *)options + option->offset;
    switch (option->kind) {
    case SAMP_OPTION_FLAG: *(bool *)member = value != NULL; return SAMP_OK;
    case SAMP_OPTION_CHOICE:
        if (!is_choice(option->choices, value))
            return samp_fail(error, SAMP_INVALID, "--%s %s: expected one of %s", option->name,
                             value, option->choices);
        memcpy(member, &value, sizeof value);
        return SAMP_OK;
    case SAMP_OPTION_TEXT: memcpy(member, &value, sizeof value); return SAMP_OK;
    case SAMP_OPTION_LIST: {
        samp_text_list *list = member;
        if (list->count == SAMP_LIST_MAX)
            return samp_fail(error, SAMP_INVALID, "--%s may be given at most %d times",
                             option->name, SAMP_LIST_MAX);
        list->items[list->count++] = value;
        return SAMP_OK;
    }
    default: return store_number(option, value, member, error);
    }
}

typedef struct parser {
    const samp_command *command;
    int argc, at;
    char **argv;
    void *options;
    uint64_t seen; /* bit i: option i was given */
} parser;

const samp_option *samp__option_find(const samp_command *command, const char *name, size_t n)
{
    for (size_t i = 0; i < command->n_options; i++) {
        const samp_option *option = &command->options[i];
        if (strlen(option->name) == n && strncmp(option->name, name, n) == 0) return option;
    }
    return NULL;
}

static const samp_option *find_letter(const samp_command *command, char letter)
{
    for (size_t i = 0; i < command->n_options; i++)
        if (command->options[i].letter == letter) return &command->options[i];
    return NULL;
}

static void see(parser *p, const samp_option *option)
{
    p->seen |= UINT64_C(1) << (option - p->command->options);
}

/* The value is attached, or the next argument. */
static samp_status take(parser *p, const samp_option *option, const char *attached,
                        samp_error *error)
{
    const char *value = attached;
    see(p, option);
    if (option->kind == SAMP_OPTION_FLAG) {
        if (attached) return samp_fail(error, SAMP_INVALID, "--%s takes no value", option->name);
        return samp__option_store(option, "", p->options, error);
    }
    if (!value) {
        if (p->at >= p->argc)
            return samp_fail(error, SAMP_INVALID, "--%s needs a value (%s)", option->name,
                             option->value);
        value = p->argv[p->at++];
    }
    return samp__option_store(option, value, p->options, error);
}

static samp_status parse_long(parser *p, const char *given, samp_error *error)
{
    const char *name = given + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const samp_option *option = samp__option_find(p->command, name, n);
    if (option) return take(p, option, equals ? equals + 1 : NULL, error);
    if (n > 3 && strncmp(name, "no-", 3) == 0 && !equals) {
        option = samp__option_find(p->command, name + 3, n - 3);
        if (option && option->kind == SAMP_OPTION_FLAG) {
            see(p, option);
            return samp__option_store(option, NULL, p->options, error);
        }
    }
    return samp__option_unknown(p->command, given, error);
}

static samp_status parse_short(parser *p, const char *given, samp_error *error)
{
    for (const char *letter = given + 1; *letter; letter++) {
        const samp_option *option = find_letter(p->command, *letter);
        if (!option) return samp__option_unknown(p->command, given, error);
        if (option->kind == SAMP_OPTION_FLAG) {
            SAMP_TRY(take(p, option, NULL, error));
            continue;
        }
        return take(p, option, letter[1] ? letter + 1 : NULL, error);
    }
    return SAMP_OK;
}

static samp_status check_complete(const parser *p, size_t n_arguments, samp_error *error)
{
    const samp_command *command = p->command;
    for (size_t i = 0; i < command->n_options; i++)
        if (command->options[i].required && !(p->seen >> i & 1))
            return samp_fail(error, SAMP_INVALID,
                             "--%s %s is missing; samp %s --help shows examples",
                             command->options[i].name, command->options[i].value, command->name);
    if (n_arguments < command->min_arguments)
        return samp_fail(error, SAMP_INVALID, "expected %s; samp %s --help shows examples",
                         command->arguments, command->name);
    if (n_arguments > command->max_arguments)
        return samp_fail(error, SAMP_INVALID, "expected %s; %zu arguments were given",
                         *command->arguments ? command->arguments : "no arguments", n_arguments);
    return SAMP_OK;
}

samp_status samp_options_parse(const samp_command *command, int argc, char **argv, void *options,
                               samp_buffer *text, const char **arguments, size_t *n_arguments,
                               bool *help, samp_error *error)
{
    parser p = {.command = command, .argc = argc, .argv = argv, .options = options};
    *n_arguments = 0;
    *help = false;
    for (size_t i = 0; i < command->n_options; i++)
        if (command->options[i].initial)
            SAMP_TRY(samp__option_store(&command->options[i], command->options[i].initial, options,
                                        error));
    bool only_arguments = false;
    while (p.at < argc) {
        const char *given = argv[p.at++];
        if (only_arguments || given[0] != '-' || given[1] == '\0') {
            arguments[(*n_arguments)++] = given;
        } else if (strcmp(given, "--") == 0) {
            only_arguments = true;
        } else if (strcmp(given, "--help") == 0 || strcmp(given, "-h") == 0) {
            *help = true;
            return SAMP_OK;
        } else {
            SAMP_TRY(given[1] == '-' ? parse_long(&p, given, error)
                                     : parse_short(&p, given, error));
        }
    }
    SAMP_TRY(samp__settings_read(command, &p.seen, options, text, error));
    return check_complete(&p, *n_arguments, error);
}

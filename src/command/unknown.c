/* What was meant by an option that is none: what other programs call one of ours, a beginning of a
 * name, or a slip of the finger. */
#include "command/settings.h"

#include <string.h>

/* As llama.cpp, vLLM, SGLang, lm-evaluation-harness and usual habits have them. Where a name stands
 * twice, commands have one or the other. */
static const struct {
    const char *theirs, *ours;
} elsewhere[] = {
    {"alias", "model-name"},
    {"api-key", "api-keys"},
    {"api-key-file", "api-keys"},
    {"batch-size", "max-batch"},
    {"batch-size", "batch"},
    {"bind", "listen"},
    {"bits", "recipe"},
    {"cache-type-k", "kv"},
    {"cache-type-v", "kv"},
    {"calibration", "calib"},
    {"calibration-data", "calib"},
    {"context", "ctx"},
    {"context-length", "context"},
    {"context-length", "ctx"},
    {"ctx", "context"},
    {"ctx-size", "context"},
    {"ctx-size", "ctx"},
    {"dataset", "calib"},
    {"enable-prefix-caching", "prefix-cache"},
    {"format", "recipe"},
    {"host", "listen"},
    {"jobs", "threads"},
    {"kv-cache-dtype", "kv"},
    {"limit", "questions"},
    {"log-file", "log"},
    {"max-model-len", "context"},
    {"max-model-len", "ctx"},
    {"max-new-tokens", "max-tokens"},
    {"max-num-batched-tokens", "max-batch"},
    {"max-num-seqs", "max-running"},
    {"metrics-port", "metrics-listen"},
    {"n-ctx", "context"},
    {"n-predict", "max-tokens"},
    {"num-fewshot", "shots"},
    {"outfile", "out"},
    {"outdir", "out"},
    {"output", "out"},
    {"output-dir", "out"},
    {"output-file", "out"},
    {"parallel", "max-running"},
    {"port", "listen"},
    {"quantization", "recipe"},
    {"repeat-penalty", "repetition-penalty"},
    {"served-model-name", "model-name"},
    {"ssl-cert-file", "tls-certificate"},
    {"ssl-certfile", "tls-certificate"},
    {"ssl-key-file", "tls-key"},
    {"ssl-keyfile", "tls-key"},
    {"workers", "threads"},
};

enum { NAME_MAX_BYTES = 40 };

size_t samp__option_elsewhere(size_t i, const char **theirs, const char **ours)
{
    size_t n = sizeof elsewhere / sizeof *elsewhere;
    if (i < n) *theirs = elsewhere[i].theirs, *ours = elsewhere[i].ours;
    return n;
}

static const samp_option *from_elsewhere(const samp_command *command, const char *name)
{
    const samp_option *option = NULL;
    for (size_t i = 0; !option && i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strcmp(elsewhere[i].theirs, name) == 0)
            option = samp__option_find(command, elsewhere[i].ours, strlen(elsewhere[i].ours));
    return option;
}

/* Edits that turn a into b; names are short. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), row[NAME_MAX_BYTES + 1];
    if (n > NAME_MAX_BYTES || m > NAME_MAX_BYTES) return NAME_MAX_BYTES;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

/* A beginning counts as one edit; a short name has few neighbours that mean the same. */
static const samp_option *nearest(const samp_command *command, const char *name)
{
    const samp_option *found = NULL;
    size_t n = strlen(name), best = n < 3 ? 0 : n < 5 ? 2 : 3;
    for (size_t i = 0; i < command->n_options; i++) {
        const char *other = command->options[i].name;
        size_t d = n > 2 && strncmp(name, other, n) == 0 ? 1 : distance(name, other);
        if (d < best) best = d, found = &command->options[i];
    }
    return found;
}

const char *samp__command_meant(const char *name)
{
    static const char *const others[][2] = {{"benchmark", "bench"}, {"complete", "generate"},
                                            {"convert", "import"},  {"perplexity", "eval"},
                                            {"run", "chat"},        {"server", "serve"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i][0], name) == 0) return others[i][1];
    const char *found = NULL;
    size_t best = strlen(name) < 4 ? 2 : 3;
    for (size_t i = 0; i < samp_command_count(); i++) {
        size_t d = distance(name, samp_command_at(i)->name);
        if (d < best) best = d, found = samp_command_at(i)->name;
    }
    return found;
}

samp_status samp__option_unknown(const samp_command *command, const char *given, samp_error *error)
{
    char name[NAME_MAX_BYTES + 1];
    const char *begin = given + strspn(given, "-");
    size_t n = strcspn(begin, "="), shown = (size_t)(begin - given) + n;
    bool is_letter = begin - given == 1; /* -p, perhaps with more after it */
    if (is_letter) n = n > 0, shown = n + 1;
    if (n > NAME_MAX_BYTES) n = NAME_MAX_BYTES;
    for (size_t i = 0; i < n; i++) name[i] = begin[i] == '_' ? '-' : begin[i];
    name[n] = '\0';
    if (shown > 80) shown = 80;
    if (strncmp(command->arguments, "MODEL", 5) == 0 &&
        (strcmp(name, "model") == 0 || strcmp(name, "m") == 0))
        return samp_fail(error, SAMP_INVALID, "%.*s is not an option; usage: samp %s %s",
                         (int)shown, given, command->name, command->arguments);
    const samp_option *option = is_letter ? NULL : from_elsewhere(command, name);
    if (option)
        return samp_fail(error, SAMP_INVALID, "%.*s is not an option; here it is --%s%s%s: %s",
                         (int)shown, given, option->name, option->value ? " " : "",
                         option->value ? option->value : "", option->help);
    option = nearest(command, name);
    if (option)
        return samp_fail(error, SAMP_INVALID, "%.*s is not an option; did you mean --%s?",
                         (int)shown, given, option->name);
    return samp_fail(error, SAMP_INVALID, "%.*s is not an option; samp %s --help lists them",
                     (int)shown, given, command->name);
}

/* samp validate: checks of a model folder or GGUF file for CI, as text, JSON or SARIF. */
#include "command/command.h"
#include "command/steps.h"
#include "command/terminal.h"

#include <string.h>

typedef struct validate_options {
    const char *target, *fail_on, *explain;
    int64_t threads;
    bool deep, headers, json, sarif, rules;
} validate_options;

static const samp_option options[] = {
    SAMP_OPTION(validate_options, FLAG, deep, "deep", 0, NULL,
                .help = "read every value and check every digest"),
    SAMP_OPTION(validate_options, FLAG, headers, "headers", 0, NULL,
                .help = "read headers only, no scales"),
    SAMP_OPTION(validate_options, CHOICE, target, "for", 0, "PROGRAM",
                .choices = "samp|transformers|vllm",
                .help = "ask too whether that program can load it"),
    SAMP_OPTION(validate_options, CHOICE, fail_on, "fail-on", 0, "SEVERITY",
                .choices = "error|warning|note", .initial = "error",
                .help = "least severity that makes the answer no"),
    SAMP_OPTION(validate_options, INTEGER, threads, "threads", 't', "N", .max = 256, .initial = "0",
                .help = "threads; 0 = what affinity and cgroup allow"),
    SAMP_OPTION(validate_options, FLAG, json, "json", 0, NULL, .help = "print JSON"),
    SAMP_OPTION(validate_options, FLAG, sarif, "sarif", 0, NULL,
                .help = "print SARIF 2.1.0, for code scanning services"),
    SAMP_OPTION(validate_options, FLAG, rules, "rules", 0, NULL,
                .help = "print every finding's id, cause and fix, and check nothing"),
    SAMP_OPTION(validate_options, TEXT, explain, "explain", 0, "ID",
                .help = "print one finding's cause and fix, and check nothing"),
};

static samp_status render(const validate_options *o, const char *folder,
                          const samp_findings *findings, samp_buffer *out, samp_error *error)
{
    if (o->sarif) return samp_findings_sarif(findings, folder, out, error);
    if (o->json) return samp_findings_json(findings, folder, out, error);
    samp_findings_text(findings, folder, samp_terminal_colour(stdout), out);
    return samp_buffer_ok(out, error);
}

static samp_status check(const validate_options *o, const char *folder, samp_findings *findings,
                         samp_error *error)
{
    samp_validate_options how = {.depth = o->deep      ? SAMP_VALIDATE_DEEP
                                          : o->headers ? SAMP_VALIDATE_HEADERS
                                                       : SAMP_VALIDATE_SCALES,
                                 .target = o->target,
                                 .n_threads = (unsigned)o->threads};
    return samp_step_validate(folder, &how, findings, error);
}

/* Cause and fix, of one finding or of all. */
static int print_rules(const char *id, samp_error *error)
{
    samp_buffer out = {0};
    samp_status status = SAMP_OK;
    if (!id)
        samp_findings_rules(&out);
    else if (!samp_findings_explain(id, &out))
        status = samp_fail(error, SAMP_INVALID,
                           "%.40s is no finding's id; samp validate --rules lists all", id);
    if (status == SAMP_OK) status = samp_buffer_ok(&out, error);
    if (status == SAMP_OK) fputs(out.data, stdout);
    samp_buffer_release(&out);
    return status == SAMP_OK        ? SAMP_EXIT_DONE
           : status == SAMP_INVALID ? SAMP_EXIT_USAGE
                                    : SAMP_EXIT_ERROR;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    const validate_options *o = given;
    samp_buffer out = {0};
    if (o->rules || o->explain) return print_rules(o->explain, error);
    if (n != 1 || (o->json && o->sarif) || (o->deep && o->headers)) {
        samp_fail(error, SAMP_INVALID,
                  n != 1 ? "expected a folder or a GGUF file; samp validate --help shows examples"
                  : o->deep && o->headers ? "--deep and --headers exclude each other"
                                          : "--json and --sarif exclude each other");
        return SAMP_EXIT_USAGE;
    }
    samp_findings findings = {0};
    samp_severity fail_on;
    samp_status status = check(o, arguments[0], &findings, error);
    if (status == SAMP_OK) status = render(o, arguments[0], &findings, &out, error);
    int code = SAMP_EXIT_ERROR;
    if (status == SAMP_OK && samp_severity_parse(o->fail_on, &fail_on)) {
        fwrite(out.data, 1, out.length, stdout);
        code = samp_findings_exit(&findings, fail_on);
    }
    samp_buffer_release(&out);
    samp_findings_release(&findings);
    return code;
}

const samp_command samp__cmd_validate = {
    .name = "validate",
    .summary = "check an artifact before it is served, for CI",
    .arguments = "MODEL",
    .max_arguments = 1,
    .description =
        "Checks the model in folder MODEL without running it: config.json, index and shards, "
        "tensor\n"
        "names, shapes and types, scales, and the tokenizer. --deep also reads every value and\n"
        "compares all files with the digests in samp.json. MODEL may be samp's own artifact, a "
        "plain\n"
        "16- or 32-bit checkpoint, what bitsandbytes or compressed-tensors wrote, or a GGUF file.\n"
        "Each finding has a stable id, a severity and a fix (samp validate --explain ID). Exit "
        "code\n"
        "1 when there are findings.",
    .examples = "  $ samp validate --deep demo/artifact\n"
                "  $ samp validate --sarif artifact > samp.sarif\n"
                "  $ samp validate --explain SAMP-SHD-006\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(validate_options),
    .run = run,
};

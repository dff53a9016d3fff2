/* samp quantize: a model and a recipe, a plan or a budget become an artifact. */
#include "command/budget.h"
#include "command/command.h"
#include "command/dry_run.h"
#include "command/steps.h"
#include "command/terminal.h"

typedef struct quantize_options {
    const char *out, *recipe, *plan, *moments, *calibration, *hardware;
    int64_t threads, shard_size, budget, tokens, eval_tokens;
    bool force, start_over, dry_run;
} quantize_options;

static const samp_option options[] = {
    SAMP_OPTION(quantize_options, TEXT, out, "out", 'o', "DIR", .help = "folder to write"),
    SAMP_OPTION(quantize_options, CHOICE, recipe, "recipe", 'r', "NAME",
                .choices = "samp|nf4|nf4a|fp8|int8|llm_int8|fp16",
                .help = "formats by class of weights"),
    SAMP_OPTION(quantize_options, TEXT, plan, "plan", 'p', "FILE",
                .help = "formats weight by weight, as samp plan writes them"),
    SAMP_OPTION(quantize_options, TEXT, moments, "moments", 0, "FILE",
                .help =
                    "moments of samp measure, for the scale search; default: what the plan names"),
    SAMP_OPTION(quantize_options, BYTES, budget, "budget", 'b', "BYTES", .max = 1e15,
                .help = "measure, plan for so many bytes of weight files, quantize, evaluate, "
                        "validate"),
    SAMP_OPTION(quantize_options, TEXT, calibration, "calib", 0, "FILE",
                .help = "with --budget: calibration as samp measure takes it; an eighth is held "
                        "out to evaluate on"),
    SAMP_OPTION(quantize_options, TEXT, hardware, "hardware", 0, "NAME|FILE.json",
                .help = "with --budget: plan for it, as samp plan does"),
    SAMP_OPTION(quantize_options, INTEGER, tokens, "tokens", 'n', "N", .initial = "32768",
                .min = 1024, .max = 1e9, .help = "with --budget: most tokens to measure on"),
    SAMP_OPTION(quantize_options, INTEGER, eval_tokens, "eval-tokens", 0, "N", .initial = "8192",
                .min = 512, .max = 1e9, .help = "with --budget: most tokens to evaluate on"),
    SAMP_OPTION(quantize_options, BYTES, shard_size, "shard-size", 0, "BYTES", .initial = "5GB",
                .min = 1e6, .max = 1e13, .help = "most bytes a shard"),
    SAMP_OPTION(quantize_options, INTEGER, threads, "threads", 't', "N", .max = 256, .initial = "0",
                .help = "threads; 0 = what affinity and cgroup allow"),
    SAMP_OPTION(quantize_options, FLAG, force, "force", 'f', NULL,
                .help = "replace an existing folder, once the new one is complete"),
    SAMP_OPTION(quantize_options, FLAG, dry_run, "dry-run", 0, NULL,
                .help = "write nothing: print every file's size to the byte, and whether --out has "
                        "room"),
    SAMP_OPTION(quantize_options, FLAG, start_over, "start-over", 0, NULL,
                .help = "do not continue a killed run"),
};

static samp_quantize_options write_options(const quantize_options *o, samp_quantize_sizes *dry_run)
{
    return (samp_quantize_options){.n_threads = (unsigned)o->threads,
                                   .shard_bytes = (uint64_t)o->shard_size,
                                   .force = o->force,
                                   .start_over = o->start_over,
                                   .dry_run = dry_run};
}

static void print_done(const char *source, const quantize_options *o, double seconds)
{
    samp_model *before = NULL, *after = NULL;
    uint64_t bytes[2] = {0};
    samp_model **models[2] = {&before, &after};
    const char *folders[2] = {source, o->out};
    for (int m = 0; m < 2; m++) {
        if (samp_model_open(models[m], folders[m], NULL) != SAMP_OK) continue;
        for (size_t i = 0; i < samp_model_count(*models[m]); i++)
            bytes[m] += samp_model_at(*models[m], i)->layout.bytes;
        samp_model_close(*models[m]);
    }
    char a[32], b[32], took[32];
    printf("%s: %s of weights became %s (%.1f %% less) in %s\n", o->out,
           samp_show_bytes(a, (double)bytes[0]), samp_show_bytes(b, (double)bytes[1]),
           bytes[0] ? 100 - 100 * (double)bytes[1] / (double)bytes[0] : 0,
           samp_show_seconds(took, seconds));
}

static samp_status quantize_by_recipe(const quantize_options *o, const char *folder,
                                      samp_quantize_sizes *dry_run, samp_error *error)
{
    samp_meter meter;
    samp_quantize_options how = write_options(o, dry_run);
    how.recipe = o->recipe;
    samp_progress progress = samp_meter_start(&meter, "B");
    samp_status status = samp_quantize(folder, o->out, &how, &progress, error);
    samp_meter_stop(&meter);
    return status;
}

/* The plan's formats, with the moments it was made from: the scale search weighs errors by them. */
static samp_status quantize_by_plan(const quantize_options *o, const char *folder,
                                    samp_quantize_sizes *dry_run, samp_error *error)
{
    enum { PLAN_BYTES_MAX = 256 << 20 };
    json_t *plan;
    samp_quantize_options how = write_options(o, dry_run);
    SAMP_TRY(samp_json_load(&plan, o->plan, PLAN_BYTES_MAX, error));
    samp_status status =
        samp_step_quantize(folder, o->out, plan, o->plan, o->moments, NULL, &how, error);
    json_decref(plan);
    return status;
}

static int quantize_to_budget(const quantize_options *o, const char *folder,
                              samp_quantize_sizes *dry_run, samp_error *error)
{
    if (!o->calibration) {
        samp_fail(error, SAMP_INVALID,
                  "--budget needs --calib FILE: a sample of the traffic to measure on");
        return SAMP_EXIT_USAGE;
    }
    samp_budget_options how = {.model = folder,
                               .out = o->out,
                               .calibration = o->calibration,
                               .hardware = o->hardware,
                               .max_bytes = (uint64_t)o->budget,
                               .measure_tokens = (size_t)o->tokens,
                               .evaluate_tokens = (size_t)o->eval_tokens,
                               .shard_bytes = (uint64_t)o->shard_size,
                               .n_threads = (unsigned)o->threads,
                               .force = o->force,
                               .start_over = o->start_over,
                               .dry_run = dry_run};
    return samp_quantize_to_budget(&how, error);
}

static int quantize(const quantize_options *o, const char *folder, samp_quantize_sizes *dry_run,
                    samp_error *error)
{
    if (o->budget) return quantize_to_budget(o, folder, dry_run, error);
    double start = samp_clock();
    samp_status status = o->plan ? quantize_by_plan(o, folder, dry_run, error)
                                 : quantize_by_recipe(o, folder, dry_run, error);
    if (status != SAMP_OK) return SAMP_EXIT_ERROR;
    if (!dry_run) print_done(folder, o, samp_clock() - start);
    return SAMP_EXIT_DONE;
}

/* What the table of options cannot say. */
static samp_status check_options(const quantize_options *o, samp_error *error)
{
    if ((o->recipe != NULL) + (o->plan != NULL) + (o->budget != 0) != 1)
        return samp_fail(error, SAMP_INVALID,
                         "give one of --recipe NAME and --plan FILE and --budget BYTES");
    if (!o->budget && (o->calibration || o->hardware))
        return samp_fail(error, SAMP_INVALID, "--calib and --hardware belong to --budget BYTES");
    if (o->out || (o->dry_run && !o->budget)) return SAMP_OK;
    return samp_fail(error, SAMP_INVALID, "--out DIR is missing%s",
                     o->dry_run ? ": what --budget measured before lies in DIR.samp" : "");
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)n;
    const quantize_options *o = given;
    if (check_options(o, error) != SAMP_OK) return SAMP_EXIT_USAGE;
    samp_quantize_sizes sizes = {0};
    int code = quantize(o, arguments[0], o->dry_run ? &sizes : NULL, error);
    if (o->dry_run && code == SAMP_EXIT_DONE) code = samp_dry_run_print(&sizes, o->out, error);
    samp_artifact_sizes_release(&sizes.files);
    return code;
}

const samp_command samp__cmd_quantize = {
    .name = "quantize",
    .summary = "write an artifact in cheaper number formats",
    .arguments = "MODEL",
    .min_arguments = 1,
    .max_arguments = 1,
    .description =
        "Turns the 16-bit model in folder MODEL into an artifact, a panel of rows at a "
        "time: memory\n"
        "does not grow with the model. Work goes to OUT.samp-partial and appears as OUT "
        "when it is\n"
        "complete; a killed run is continued by the same command, to the same bytes.\n\n"
        "Recipes: samp (MLP nf4, attention fp8_e4m3, embedding and head fp16), nf4 (as\n"
        "bitsandbytes), nf4a, fp8, int8, fp16.\n\n"
        "--budget does it all: it measures the model on --calib, plans, quantizes, "
        "evaluates on an eighth\n"
        "of the sample that was not measured on, and validates. Sensitivity, plan and "
        "evaluation stay\n"
        "in OUT.samp; another budget with --force measures nothing again. Exit code 1 "
        "when the budget\n"
        "cannot be met.\n\n"
        "--dry-run prints what each of the three would write, to the byte; with --budget "
        "it plans from what\n"
        "was measured before. Exit code 1 when --out has no room for it.",
    .examples =
        "  $ samp quantize demo/model --budget 80MB --calib calib.jsonl --out demo/80MB\n"
        "  $ samp quantize demo/model --recipe samp --out demo/artifact\n"
        "  $ samp quantize Llama-3-70B --plan plan.json --out Llama-3-70B-38GB --shard-size 4GB\n"
        "  $ samp quantize Llama-3-70B --plan plan.json --dry-run\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(quantize_options),
    .run = run,
};

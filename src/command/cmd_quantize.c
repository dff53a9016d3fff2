/* samp quantize: a model and a recipe or plan become an artifact. */
#include "command/command.h"
#include "command/terminal.h"
#include "base/hash.h"
#include "file/file.h"
#include "plan/sensitivity.h"
#include "quantize/input_moments.h"
#include "quantize/quantize.h"

#include <string.h>

typedef struct quantize_options {
    const char *out, *recipe, *plan, *moments;
    int64_t threads, shard_size;
    bool force, start_over;
} quantize_options;

static const samp_option options[] = {
    SAMP_OPTION(quantize_options, TEXT, out, "out", 'o', "DIR", .required = true,
                .help = "folder to write"),
    SAMP_OPTION(quantize_options, CHOICE, recipe, "recipe", 'r', "NAME",
                .choices = "samp|nf4|nf4a|fp8|int8|fp16", .help = "formats by class of weights"),
    SAMP_OPTION(quantize_options, TEXT, plan, "plan", 'p', "FILE",
                .help = "formats weight by weight, as samp plan writes them"),
    SAMP_OPTION(quantize_options, TEXT, moments, "moments", 0, "FILE",
                .help =
                    "moments of samp measure, for the scale search; default: what the plan names"),
    SAMP_OPTION(quantize_options, BYTES, shard_size, "shard-size", 0, "BYTES", .initial = "5GB",
                .min = 1e6, .max = 1e13, .help = "most bytes a shard"),
    SAMP_OPTION(quantize_options, INTEGER, threads, "threads", 't', "N", .max = 256, .initial = "0",
                .help = "threads; 0 = what affinity and cgroup allow"),
    SAMP_OPTION(quantize_options, FLAG, force, "force", 'f', NULL,
                .help = "replace an existing folder, once the new one is complete"),
    SAMP_OPTION(quantize_options, FLAG, start_over, "start-over", 0, NULL,
                .help = "do not continue a killed run"),
};

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

static samp_status quantize(const quantize_options *o, const char *folder,
                            const samp_weight_plan *weights, const json_t *provenance,
                            samp_error *error)
{
    samp_meter meter;
    samp_quantize_options how = {.recipe = weights ? NULL : o->recipe,
                                 .weights = weights,
                                 .provenance = provenance,
                                 .n_threads = (unsigned)o->threads,
                                 .shard_bytes = (uint64_t)o->shard_size,
                                 .force = o->force,
                                 .start_over = o->start_over};
    samp_progress progress = samp_meter_start(&meter, "B");
    samp_status status = samp_quantize(folder, o->out, &how, &progress, error);
    samp_meter_stop(&meter);
    return status;
}

/* A plan for another model would give formats to the wrong weights, or to the right ones for the wrong reasons. */
static samp_status check_digest(const json_t *plan, const char *path, const samp_model *model,
                                samp_error *error)
{
    const char *wanted = NULL;
    char digest[SAMP_SHA256_HEX];
    SAMP_TRY(samp_json_string(plan, "model_digest", false, &wanted, path, error));
    if (!wanted) return SAMP_OK; /* written by hand */
    SAMP_TRY(samp_model_digest(model, digest, error));
    if (strcmp(wanted, digest) == 0) return SAMP_OK;
    return samp_fail(error, SAMP_MISMATCH,
                     "%s was made for another model than %s (its shapes or config.json differ); "
                     "measure and plan again",
                     path, samp_model_folder(model));
}

/* What the artifact remembers of its plan: all but the formats, which config.json has. */
static json_t *provenance_of(const json_t *plan)
{
    json_t *about = json_copy((json_t *)plan), *root = json_object();
    if (about) json_object_del(about, "modules");
    if (!root || !about || !samp_json_set(root, "plan", about)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* The plan's formats, with the moments it was made from: the scale search weighs errors by them. */
static samp_status quantize_by_plan(const quantize_options *o, const char *folder,
                                    samp_error *error)
{
    json_t *plan = NULL;
    samp_model *model = NULL;
    samp_weight_plan *weights = NULL;
    samp_arena arena = {0};
    const char *moments = o->moments;
    samp_status status = samp_json_load(&plan, o->plan, 256 << 20, error);
    if (status == SAMP_OK) status = samp_model_open(&model, folder, error);
    if (status == SAMP_OK) status = check_digest(plan, o->plan, model, error);
    json_t *provenance = status == SAMP_OK ? provenance_of(plan) : NULL;
    if (status == SAMP_OK && !provenance)
        status = samp_fail(error, SAMP_NOMEM, "out of memory for the plan");
    if (status == SAMP_OK && !(weights = samp_alloc(samp_model_count(model), sizeof *weights)))
        status = samp_fail(error, SAMP_NOMEM, "out of memory for the plan");
    if (status == SAMP_OK) status = samp_plan_parse(plan, o->plan, model, weights, error);
    if (status == SAMP_OK && !moments)
        status = samp_json_string(plan, "moments", false, &moments, o->plan, error);
    if (status == SAMP_OK && moments)
        status = samp_input_moments_apply(moments, model, weights, &arena, error);
    if (status == SAMP_OK) status = quantize(o, folder, weights, provenance, error);
    samp_free(weights);
    samp_arena_release(&arena);
    if (model) samp_model_close(model);
    json_decref(provenance);
    json_decref(plan);
    return status;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    (void)n;
    const quantize_options *o = given;
    if (!o->recipe == !o->plan) {
        samp_fail(error, SAMP_INVALID, "give one of --recipe NAME and --plan FILE");
        return SAMP_EXIT_USAGE;
    }
    double start = samp_clock();
    samp_status status = o->plan ? quantize_by_plan(o, arguments[0], error)
                                 : quantize(o, arguments[0], NULL, NULL, error);
    if (status != SAMP_OK) return SAMP_EXIT_ERROR;
    print_done(arguments[0], o, samp_clock() - start);
    return SAMP_EXIT_DONE;
}

const samp_command samp__cmd_quantize = {
    .name = "quantize",
    .summary = "write an artifact in cheaper number formats",
    .arguments = "MODEL",
    .min_arguments = 1,
    .max_arguments = 1,
    .description = "Turns the 16-bit model in folder MODEL into an artifact, a panel of rows at a "
                   "time: memory\n"
                   "does not grow with the model. Work goes to OUT.samp-partial and appears as OUT "
                   "when it is\n"
                   "complete; a killed run is continued by the same command, to the same bytes.\n\n"
                   "Recipes: samp (MLP nf4, attention fp8_e4m3, embedding and head fp16), nf4 (as\n"
                   "bitsandbytes), nf4a, fp8, int8, fp16.",
    .examples =
        "  $ samp quantize demo/model --recipe samp --out demo/artifact\n"
        "  $ samp quantize Llama-3-70B --plan plan.json --out Llama-3-70B-38GB --shard-size 4GB\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(quantize_options),
    .run = run,
};

/* samp eval: perplexity on text files, questions of multiple choice, and the distance to a
 * baseline. */
#include "quantize/about.h"
#include "command/eval_tasks.h"
#include "command/loaded.h"
#include "eval/result_json.h"
#include "eval/task.h"

#include <math.h>
#include <string.h>

typedef struct eval_options {
    samp_run_options run;
    const char *baseline, *score, *keep_logits, *answers;
    samp_text_list tasks, dev;
    int64_t context, windows, shots, questions;
    bool baseline_exact, json;
} eval_options;

static const samp_option options[] = {
    SAMP_OPTION(eval_options, TEXT, baseline, "baseline", 'b', "DIR",
                .help = "also compare with this model (usually the 16-bit original): KL "
                        "divergence, top-1, delta p; of tasks, what changed"),
    SAMP_OPTION(eval_options, INTEGER, context, "ctx", 'c', "N", .initial = "0", .min = 0,
                .max = 131072,
                .help = "tokens a window, windows do not overlap; 0 = 512. Of tasks: positions of "
                        "the cache; 0 = the model's, at most 4096"),
    SAMP_OPTION(eval_options, LIST, tasks, "task", 0, "FILE",
                .help = "questions of multiple choice: .csv, .jsonl, or a folder of such files"),
    SAMP_OPTION(eval_options, LIST, dev, "dev", 0, "FILE",
                .help = "where the examples of --shots are, as --task"),
    SAMP_OPTION(eval_options, INTEGER, shots, "shots", 0, "N", .initial = "0",
                .max = SAMP_SHOTS_MAX, .help = "examples with answers before every question"),
    SAMP_OPTION(eval_options, INTEGER, questions, "questions", 0, "N", .initial = "0", .max = 1e9,
                .help = "at most so many questions a file; 0 = all"),
    SAMP_OPTION(eval_options, TEXT, answers, "answers", 0, "FILE",
                .help = "write every answer and its log-likelihoods here, a JSON line each"),
    SAMP_OPTION(eval_options, CHOICE, score, "score", 0, "WHAT", .choices = "all|second-half",
                .initial = "all",
                .help = "tokens that count: all but a window's first, or llama.cpp's convention"),
    SAMP_OPTION(eval_options, INTEGER, windows, "windows", 'w', "N", .initial = "0", .max = 1e6,
                .help = "at most so many windows a text; 0 = all"),
    SAMP_RUN_OPTIONS(eval_options, run),
    SAMP_OPTION(eval_options, TEXT, keep_logits, "keep-logits", 0, "DIR",
                .help = "keep the baseline's logits in this folder, or take them from there: the "
                        "next candidates are compared without running the baseline"),
    SAMP_OPTION(eval_options, FLAG, baseline_exact, "baseline-exact", 0, NULL,
                .help = "run the baseline in exact mode"),
    SAMP_OPTION(eval_options, FLAG, json, "json", 0, NULL, .help = "print JSON"),
};

/* Positions a session is opened with; 0 of tasks stays the session's default. */
static uint32_t context_of(const eval_options *o)
{
    enum { WINDOW = 512 };
    return o->context || o->tasks.count ? (uint32_t)o->context : WINDOW;
}

/* "0.1531 ± 0.0040"; one window has no interval. */
static const char *show(char *out, samp_estimate e, double factor, int digits)
{
    double half = (e.high - e.low) / 2 * factor;
    if (half > 0)
        snprintf(out, 48, "%.*f ± %.*f", digits, e.value * factor, digits, half);
    else
        snprintf(out, 48, "%.*f", digits, e.value * factor);
    return out;
}

static void add_row(samp_table *table, const char *text, const samp_eval_result *r)
{
    char scored[32], cell[7][48];
    const char *cells[9] = {text, samp_show_count(scored, r->n_scored),
                            show(cell[0], r->perplexity, 1, 3)};
    if (r->compared) {
        cells[3] = show(cell[1], r->baseline_perplexity, 1, 3);
        cells[4] = show(cell[2], r->kl_mean, 1, 5);
        snprintf(cell[3], sizeof cell[3], "%.5f", r->kl_median.value);
        snprintf(cell[4], sizeof cell[4], "%.4f", r->kl_p99.value);
        cells[5] = cell[3];
        cells[6] = cell[4];
        cells[7] = show(cell[5], r->top1, 100, 2);
        cells[8] = show(cell[6], r->delta_p, 100, 3);
    }
    samp_table_row(table, r->compared ? 9 : 3, cells);
}

static samp_run_options baseline_options(const eval_options *o)
{
    samp_run_options run = o->run;
    run.exact = o->baseline_exact;
    return run;
}

static samp_status eval_files(const eval_options *o, samp_loaded *model, samp_loaded *baseline,
                              const char *const *paths, size_t n, samp_error *error)
{
    static const char *const headers[] = {"text",       "scored",        "perplexity",
                                          "baseline's", "KL mean",       "KL median",
                                          "KL p99",     "same top-1, %", "mean Δp, points"};
    samp_eval_options how = {.context = context_of(o),
                             .second_half = strcmp(o->score, "second-half") == 0,
                             .max_windows = (uint32_t)o->windows};
    char digest[SAMP_SHA256_HEX] = "";
    if (o->keep_logits && baseline->model) {
        samp_run_options baseline_run = baseline_options(o);
        SAMP_TRY(samp_loaded_digest(baseline, &baseline_run, digest, error));
        how.keep_logits = o->keep_logits;
        how.baseline_digest = digest;
    }
    json_t *list = json_array();
    samp_table table;
    samp_table_begin(&table, "lrrrrrrrr", baseline->session ? 9 : 3, headers);
    samp_status status = SAMP_OK;
    for (size_t i = 0; i < n && status == SAMP_OK; i++) {
        samp_eval_result result;
        size_t n_tokens;
        status =
            samp_loaded_eval(model, baseline->session, paths[i], &how, &result, &n_tokens, error);
        if (status != SAMP_OK) break;
        add_row(&table, paths[i], &result);
        json_array_append_new(list, samp_eval_result_json(paths[i], n_tokens, &result));
    }
    if (status == SAMP_OK && o->json) {
        json_t *root = json_pack("{s:i,s:s,s:s,s:s,s:i,s:s}", "schema_version", 1, "model",
                                 samp_model_folder(model->model), "backend",
                                 samp_session_describe(model->session), "score", o->score, "ctx",
                                 (int)context_of(o), "kv", o->run.kv);
        samp_about about;
        samp_about_model(model->model, &about);
        if (root) samp_json_set(root, "weight_bytes", json_integer((json_int_t)about.weight_bytes));
        if (root && *about.quant_type)
            samp_json_set(root, "quant_type", json_string(about.quant_type));
        if (root && isfinite(about.predicted_kl))
            samp_json_set(root, "predicted_kl", json_real(about.predicted_kl));
        samp_about_release(&about);
        if (root && baseline->model)
            samp_json_set(root, "baseline", json_string(samp_model_folder(baseline->model)));
        if (root) samp_json_set(root, "texts", json_incref(list));
        status = samp_print_json(root, error);
    } else if (status == SAMP_OK) {
        printf("%s on %s\n", samp_model_folder(model->model),
               samp_session_describe(model->session));
        samp_table_print(&table, stdout);
        puts("± is half of a 95 % interval that counts windows, not tokens; KL in nats a token, "
             "against the baseline.");
    }
    json_decref(list);
    samp_table_release(&table);
    return status;
}

static samp_status eval_tasks(const eval_options *o, samp_loaded *model, samp_loaded *baseline,
                              samp_error *error)
{
    samp_eval_tasks how = {.tasks = o->tasks,
                           .dev = o->dev,
                           .shots = o->shots,
                           .questions = o->questions,
                           .answers = o->answers,
                           .kv = o->run.kv,
                           .json = o->json};
    return samp_eval_tasks_run(&how, model, baseline, error);
}

/* What the table of options cannot say. */
static samp_status check(const eval_options *o, size_t n_texts, samp_error *error)
{
    if (!o->tasks.count == !n_texts)
        return samp_fail(error, SAMP_INVALID, "%s; give either TEXT files or --task FILE",
                         n_texts ? "texts and tasks were given"
                                 : "there is nothing to evaluate on");
    if (!o->tasks.count && (o->shots || o->dev.count || o->questions || o->answers))
        return samp_fail(error, SAMP_INVALID,
                         "--shots, --dev, --questions and --answers are for --task");
    if (!o->shots != !o->dev.count)
        return samp_fail(error, SAMP_INVALID,
                         "--shots N and --dev FILE go together: how many examples, and from where");
    if (o->context == 1)
        return samp_fail(error, SAMP_INVALID, "--ctx 1: of one token none is predicted");
    return SAMP_OK;
}

static int run(const void *given, const char *const *arguments, size_t n, samp_error *error)
{
    const eval_options *o = given;
    samp_loaded model = {0}, baseline = {0};
    samp_run_options baseline_run = baseline_options(o);
    if (check(o, n - 1, error) != SAMP_OK) return SAMP_EXIT_USAGE;
    bool tasks = o->tasks.count;
    samp_status status =
        samp_loaded_open(&model, arguments[0], &o->run, context_of(o), true, error);
    if (status == SAMP_OK && o->baseline)
        status =
            samp_loaded_open(&baseline, o->baseline, &baseline_run, context_of(o), tasks, error);
    if (status == SAMP_OK)
        status = tasks ? eval_tasks(o, &model, &baseline, error)
                       : eval_files(o, &model, &baseline, arguments + 1, n - 1, error);
    samp_loaded_close(&baseline);
    samp_loaded_close(&model);
    return status == SAMP_OK ? SAMP_EXIT_DONE : SAMP_EXIT_ERROR;
}

const samp_command samp__cmd_eval = {
    .name = "eval",
    .summary = "perplexity, tasks, and how far a model is from its 16-bit original",
    .arguments = "MODEL [TEXT]…",
    .min_arguments = 1,
    .max_arguments = 64,
    .description =
        "Measures perplexity of the model in folder MODEL on each text file. With --baseline\n"
        "also, over the same tokens: KL divergence from the baseline (mean, median, 99th\n"
        "percentile), how often the most likely token is the same, and the mean change of the\n"
        "true token's probability, each with a 95 % interval.\n"
        "\n"
        "With --task: questions of multiple choice, scored by log-likelihood with the prompts of\n"
        "lm-evaluation-harness; acc_norm divides by the characters of a choice. With --baseline\n"
        "the same questions are paired: points won or lost with their interval, how many\n"
        "answers changed, and McNemar's exact test, by subject and together. Files are MMLU's\n"
        "own .csv (question, choices, letter) or .jsonl with the members of\n"
        "  MMLU        question, choices, answer; perhaps subject\n"
        "  ARC         question, choices or options, answerKey or answer\n"
        "  ARC, PIQA   query (\"Question: …\"), choices, gold\n"
        "  HellaSwag   activity_label, ctx_a, ctx_b, endings, label\n"
        "  WinoGrande  context_options, continuation, gold\n"
        "Examples (--shots) are the first of the same subject in the files of --dev.",
    .examples =
        "  $ samp eval demo/artifact --baseline demo/model README.md\n"
        "  # figures that compare with llama-perplexity's\n"
        "  $ samp eval MODEL --baseline BASE --score second-half --windows 40 wiki.test.raw\n"
        "  # MMLU, all 57 subjects, 5-shot, paired with the original\n"
        "  $ samp eval MODEL -b BASE --task mmlu/test --shots 5 --dev mmlu/dev\n"
        "  # 200 questions of HellaSwag, every log-likelihood into a file\n"
        "  $ samp eval MODEL --task hellaswag.jsonl --questions 200 --answers answers.jsonl\n",
    SAMP_OPTIONS(options),
    .options_size = sizeof(eval_options),
    .run = run,
};

/* From a budget to a proven artifact: the steps, what each leaves, and when it need not be done
 * again. */
#include "command/budget_internal.h"

#include "base/cpu.h"
#include "base/hash.h"
#include "base/memory.h"
#include "quantize/about.h"
#include "command/command.h"
#include "command/html_report.h"
#include "command/terminal.h"
#include "eval/result_json.h"
#include "file/file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SMALL_FILE = 16 << 20 };

/* ---- where things lie, and what they depend on ----------------------------------------------- */

static samp_status name_paths(budget_run *run, samp_error *error)
{
    size_t n = strlen(run->o->out);
    while (n > 1 && run->o->out[n - 1] == '/') n--;
    if (n + sizeof ".samp" > sizeof run->out)
        return samp_fail(error, SAMP_LIMIT, "the path %.64s… is too long", run->o->out);
    memcpy(run->out, run->o->out, n);
    memcpy(run->folder, run->out, n);
    memcpy(run->folder + n, ".samp", sizeof ".samp");
    const struct {
        const char *name;
        char *path;
    } files[] = {{"state.json", run->state},
                 {"sensitivity.json", run->sensitivity},
                 {"plan.json", run->plan_path},
                 {"evaluation.json", run->evaluation},
                 {"report.html", run->report}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        SAMP_TRY(
            samp_path_join(files[i].path, sizeof(budget_path), run->folder, files[i].name, error));
    return samp_step_moments_path(run->sensitivity, run->moments, error);
}

/* Bytes of a model's weights, and of the least any plan could make of them. */
static samp_status weigh_source(budget_run *run, const samp_model *model, samp_error *error)
{
    samp_group *groups;
    size_t n_groups;
    uint64_t least = 0;
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_layout *layout = &samp_model_at(model, i)->layout;
        run->source_bytes += layout->bytes;
        run->n_weights += (double)layout->rows * (double)layout->cols;
    }
    SAMP_TRY(samp_groups_of(model, &groups, &n_groups, error));
    samp_status status = SAMP_OK;
    for (size_t g = 0; g < n_groups && status == SAMP_OK; g++) {
        samp_format_id formats[SAMP_FORMAT_COUNT];
        samp_rounding roundings[SAMP_FORMAT_COUNT];
        size_t n = samp_measure_candidates(formats, roundings, SAMP_FORMAT_COUNT);
        uint64_t best = UINT64_MAX;
        for (size_t f = 0; f < n && status == SAMP_OK; f++) {
            uint64_t bytes = 0;
            status = samp_group_bytes(&groups[g], samp_format_get(formats[f]), &bytes, error);
            if (bytes < best) best = bytes;
        }
        least += best;
    }
    samp_free(groups);
    if (status == SAMP_OK && least > run->o->max_bytes)
        status = samp_fail(error, SAMP_LIMIT,
                           "a budget of %llu bytes cannot be met: no plan of %s needs less than "
                           "%llu",
                           (unsigned long long)run->o->max_bytes, run->o->model,
                           (unsigned long long)least);
    return status;
}

/* The very weights: the shards' sizes and times stand for their bytes, as for a resumed quantize.
 */
static samp_status describe_source(budget_run *run, samp_buffer *text, samp_error *error)
{
    samp_model *model;
    char digest[SAMP_SHA256_HEX];
    SAMP_TRY(samp_model_open(&model, run->o->model, error));
    samp_status status = samp_model_digest(model, digest, error);
    if (status == SAMP_OK) status = weigh_source(run, model, error);
    samp_buffer_printf(text, "%s\n", digest);
    if (status == SAMP_OK) status = samp_model_describe_files(model, text, NULL, error);
    samp_model_close(model);
    return status;
}

static samp_status digest_text(samp_buffer *text, char hex[SAMP_SHA256_HEX], samp_error *error)
{
    samp_status status = samp_buffer_ok(text, error);
    if (status == SAMP_OK) status = samp_sha256_bytes(text->data, text->length, hex, error);
    samp_buffer_release(text);
    return status;
}

/* What a measurement depends on: model, sample, options, and the formats this program measures. */
static samp_status make_measure_key(budget_run *run, samp_error *error)
{
    samp_buffer text = {0};
    char sample[SAMP_SHA256_HEX] = "";
    uint64_t bytes, done = 0;
    samp_format_id formats[SAMP_FORMAT_COUNT];
    samp_rounding roundings[SAMP_FORMAT_COUNT];
    size_t n = samp_measure_candidates(formats, roundings, SAMP_FORMAT_COUNT);
    samp_status status = describe_source(run, &text, error);
    if (status == SAMP_OK)
        status = samp_hash_file(run->o->calibration, &bytes, sample, NULL, NULL, &done, 0, error);
    samp_buffer_printf(&text, "%s %s %zu\n", SAMP_VERSION, sample, run->o->measure_tokens);
    for (size_t i = 0; i < n; i++)
        samp_buffer_printf(&text, "%s %s\n", samp_format_get(formats[i])->name,
                           samp_rounding_name(roundings[i]));
    if (status == SAMP_OK) return digest_text(&text, run->measure_key, error);
    samp_buffer_release(&text);
    return status;
}

/* A member of a small JSON file equals text. */
static bool file_states(const char *path, const char *key, const char *text)
{
    json_t *document;
    if (!samp_is_file(path) || samp_json_load(&document, path, SMALL_FILE, NULL) != SAMP_OK)
        return false;
    const char *found = json_string_value(json_object_get(document, key));
    bool same = found && strcmp(found, text) == 0;
    json_decref(document);
    return same;
}

static samp_status forget(const char *path, samp_error *error)
{
    if (samp_is_folder(path)) return samp_remove_folder(path, error);
    if (!samp_is_file(path) || unlink(path) == 0) return SAMP_OK;
    return samp_fail_errno(error, "%s cannot be removed", path);
}

/* OUT.samp for this measurement: what another one left is removed before the new key is written. */
static samp_status open_folder(budget_run *run, samp_error *error)
{
    budget_path partial;
    bool known = file_states(run->state, "measurement", run->measure_key);
    if (!known && !run->o->force && samp_is_folder(run->out))
        return samp_fail(error, SAMP_INVALID,
                         "%s exists and is not this command's; --force replaces it", run->out);
    SAMP_TRY(samp_make_folder(run->folder, error));
    if (known && !run->o->start_over) return SAMP_OK;
    SAMP_TRY(samp_step_partial_path(run->sensitivity, partial, error));
    const char *const old[] = {run->state, run->sensitivity, run->moments, partial,
                               run->evaluation};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) SAMP_TRY(forget(old[i], error));
    json_t *state = json_pack("{s:i,s:s}", "schema_version", 1, "measurement", run->measure_key);
    samp_status status = samp_step_save_json(state, run->state, error);
    json_decref(state);
    return status;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static void say(const char *step, const char *what)
{
    printf("%-9s %s\n", step, what);
    fflush(stdout);
}

static samp_status measure(budget_run *run, samp_error *error)
{
    if (samp_is_file(run->sensitivity) && samp_is_file(run->moments)) {
        say("measure", "done before, used again");
        return samp_sensitivity_load(&run->s, run->sensitivity, error);
    }
    say("measure", "every format of every group, on seven eighths of the sample");
    samp_measure_step how = {.calibration = run->o->calibration,
                             .out = run->sensitivity,
                             .part = SAMP_CALIBRATION_FIT,
                             .max_tokens = run->o->measure_tokens,
                             .n_threads = run->o->n_threads};
    return samp_step_measure(&how, run->o->model, &run->s, error);
}

/* The plan is made anew each time: it takes less than a second. */
static samp_status plan(budget_run *run, json_t **out, samp_error *error)
{
    if (!run->o->dry_run) say("plan", "the least predicted KL divergence within the budget");
    samp_plan_options how = {.max_bytes = run->o->max_bytes};
    samp_hardware hardware = {0};
    if (run->o->hardware) {
        SAMP_TRY(samp_hardware_load(&hardware, run->o->hardware, error));
        how.hardware = &hardware;
    }
    samp_status status = samp_plan_make(&run->plan, &run->s, &how, error);
    if (status == SAMP_OK)
        status = samp_step_plan_json(&run->plan, &run->s, &how, run->sensitivity, out, error);
    samp_hardware_release(&hardware);
    if (status != SAMP_OK || run->o->dry_run) return status;
    SAMP_TRY(samp_step_save_json(*out, run->plan_path, error));
    samp_buffer text = {0};
    char *plan_text = json_dumps(*out, JSON_COMPACT | JSON_SORT_KEYS);
    samp_buffer_printf(&text, "%s %s %llu\n", SAMP_VERSION, run->measure_key,
                       (unsigned long long)run->o->shard_bytes);
    if (plan_text)
        samp_buffer_text(&text, plan_text);
    else
        text.failed = true;
    samp_free(plan_text);
    return digest_text(&text, run->artifact_key, error);
}

static samp_status quantize(budget_run *run, const json_t *plan_json, samp_error *error)
{
    budget_path manifest;
    SAMP_TRY(samp_path_join(manifest, sizeof manifest, run->out, SAMP_MANIFEST_NAME, error));
    if (!run->o->start_over && file_states(manifest, "run", run->artifact_key)) {
        say("quantize", "done before, used again");
        return SAMP_OK;
    }
    say("quantize", "with the moments of every input");
    samp_quantize_options how = {.n_threads = run->o->n_threads,
                                 .shard_bytes = run->o->shard_bytes,
                                 .force = run->o->force,
                                 .start_over = run->o->start_over};
    return samp_step_quantize(run->o->model, run->out, plan_json, run->plan_path, run->moments,
                              run->artifact_key, &how, error);
}

static samp_status evaluate_now(budget_run *run, const samp_held_out_options *how, const char *key,
                                samp_error *error)
{
    say("evaluate", "on the eighth that was held out, beside the original");
    SAMP_TRY(samp_held_out_evaluate(how, &run->held_out, error));
    json_t *document = samp_held_out_json(how, &run->held_out);
    bool done =
        document && samp_json_set(document, "key", json_string(key)) &&
        samp_json_set(document, "predicted_kl", json_real(run->plan.solution.cost)) &&
        samp_json_set(document, "weight_bytes", json_integer((json_int_t)run->plan.weight_bytes));
    samp_status status = done ? samp_step_save_json(document, run->evaluation, error)
                              : samp_fail(error, SAMP_NOMEM, "out of memory for the evaluation");
    json_decref(document);
    return status;
}

static samp_status evaluate(budget_run *run, samp_error *error)
{
    samp_held_out_options how = {.model = run->out,
                                 .baseline = run->o->model,
                                 .sample = run->o->calibration,
                                 .max_tokens = run->o->evaluate_tokens,
                                 .n_threads = run->o->n_threads};
    samp_buffer text = {0};
    char key[SAMP_SHA256_HEX];
    samp_buffer_printf(&text, "%s %d %zu", run->artifact_key, SAMP_HELD_OUT_WINDOW,
                       run->o->evaluate_tokens);
    SAMP_TRY(digest_text(&text, key, error));
    if (run->o->start_over || !file_states(run->evaluation, "key", key))
        return evaluate_now(run, &how, key, error);
    say("evaluate", "done before, used again");
    json_t *document;
    SAMP_TRY(samp_json_load(&document, run->evaluation, SMALL_FILE, error));
    samp_status status = samp_held_out_parse(document, &run->held_out, run->evaluation, error);
    json_decref(document);
    return status;
}

/* Into samp.json, so that the proof follows the artifact: no times, the bytes stay the same. */
static samp_status remember(budget_run *run, samp_error *error)
{
    const samp_held_out *h = &run->held_out;
    json_t *strata = json_object();
    bool done = strata != NULL;
    for (size_t i = 0; i < h->n_strata && done; i++)
        done = samp_json_set(strata, h->strata[i].name,
                             samp_estimate_json(h->strata[i].result.kl_mean));
    json_t *measured =
        json_pack("{s:s,s:i,s:I,s:I,s:o,s:o,s:o,s:o}", "held_out_of", run->s.calibration_digest,
                  "ctx", SAMP_HELD_OUT_WINDOW, "windows", (json_int_t)h->all.n_windows, "scored",
                  (json_int_t)h->all.n_scored, "kl_mean", samp_estimate_json(h->all.kl_mean),
                  "top1_agreement", samp_estimate_json(h->all.top1), "perplexity_ratio",
                  samp_estimate_json(h->all.perplexity_ratio), "kl_of_strata", strata);
    samp_status status = done && measured
                             ? samp_manifest_amend(run->out, "measured", measured, error)
                             : samp_fail(error, SAMP_NOMEM, "out of memory for the evaluation");
    json_decref(measured);
    return status;
}

static samp_status weigh_artifact(budget_run *run, samp_error *error)
{
    samp_model *model;
    samp_about about;
    SAMP_TRY(samp_model_open(&model, run->out, error));
    samp_about_model(model, &about);
    run->weight_bytes = about.weight_bytes;
    samp_about_release(&about);
    samp_model_close(model);
    return SAMP_OK;
}

/* All files of the artifact, samp.json too. */
static samp_status weigh_files(budget_run *run, samp_error *error)
{
    budget_path manifest;
    json_t *root, *file;
    const char *name;
    struct stat info;
    SAMP_TRY(samp_path_join(manifest, sizeof manifest, run->out, SAMP_MANIFEST_NAME, error));
    SAMP_TRY(samp_json_load(&root, manifest, SMALL_FILE, error));
    json_object_foreach(json_object_get(root, "files"), name, file) run->file_bytes +=
        (uint64_t)json_integer_value(json_object_get(file, "bytes"));
    json_decref(root);
    if (stat(manifest, &info) != 0)
        return samp_fail_errno(error, "%s cannot be examined", manifest);
    run->file_bytes += (uint64_t)info.st_size;
    return SAMP_OK;
}

static samp_status validate(budget_run *run, samp_error *error)
{
    say("validate", "every value and every digest");
    samp_validate_options how = {.depth = SAMP_VALIDATE_DEEP, .n_threads = run->o->n_threads};
    return samp_step_validate(run->out, &how, &run->findings, error);
}

/* One page beside the artifact; speed is not measured here, `samp report` does that. */
static samp_status report(budget_run *run, samp_error *error)
{
    samp_report_text texts[SAMP_REPORT_STRATA_MAX];
    char machine[128];
    size_t n = 0;
    for (; n < run->held_out.n_strata && n < SAMP_REPORT_STRATA_MAX; n++)
        texts[n] = (samp_report_text){run->held_out.strata[n].name, run->held_out.strata[n].result};
    samp_cpu_model(machine, sizeof machine);
    samp_html_inputs in = {.artifact = run->out,
                           .baseline = run->o->model,
                           .sensitivity = run->sensitivity,
                           .note = "Evaluated on the part of the calibration sample that was held "
                                   "out: of every eight records of a stratum the second, or the "
                                   "last eighth of a plain text.",
                           .machine = machine,
                           .texts = texts,
                           .n_texts = n};
    return samp_html_report_write(&in, run->report, NULL, error);
}

/* Measuring takes long and leaves files: a dry run only uses what was measured before. */
static samp_status weigh_budget(budget_run *run, samp_error *error)
{
    if (!file_states(run->state, "measurement", run->measure_key) ||
        !samp_is_file(run->sensitivity))
        return samp_fail(error, SAMP_NOT_FOUND,
                         "%s holds no measurement of %s on %s, and a dry run makes none: use samp "
                         "measure and samp plan, then --plan FILE --dry-run",
                         run->folder, run->o->model, run->o->calibration);
    json_t *plan_json = NULL;
    samp_quantize_options how = {.shard_bytes = run->o->shard_bytes, .dry_run = run->o->dry_run};
    samp_status status = samp_sensitivity_load(&run->s, run->sensitivity, error);
    if (status == SAMP_OK) status = plan(run, &plan_json, error);
    if (status == SAMP_OK)
        status = samp_step_quantize(run->o->model, run->out, plan_json, run->plan_path, NULL, NULL,
                                    &how, error);
    json_decref(plan_json);
    return status;
}

static samp_status run_steps(budget_run *run, samp_error *error)
{
    json_t *plan_json = NULL;
    SAMP_TRY(name_paths(run, error));
    SAMP_TRY(make_measure_key(run, error));
    if (run->o->dry_run) return weigh_budget(run, error);
    SAMP_TRY(open_folder(run, error));
    SAMP_TRY(measure(run, error));
    samp_status status = plan(run, &plan_json, error);
    if (status == SAMP_OK) status = quantize(run, plan_json, error);
    json_decref(plan_json);
    if (status == SAMP_OK) status = weigh_artifact(run, error);
    if (status == SAMP_OK) status = evaluate(run, error);
    if (status == SAMP_OK) status = remember(run, error);
    if (status == SAMP_OK) status = validate(run, error);
    if (status == SAMP_OK) status = weigh_files(run, error);
    return status == SAMP_OK ? report(run, error) : status;
}

int samp_quantize_to_budget(const samp_budget_options *options, samp_error *error)
{
    budget_run *run = samp_alloc(1, sizeof *run);
    if (!run) {
        samp_fail(error, SAMP_NOMEM, "out of memory");
        return SAMP_EXIT_ERROR;
    }
    run->o = options;
    double start = samp_clock();
    int code = SAMP_EXIT_ERROR;
    samp_status status = run_steps(run, error);
    if (status == SAMP_OK && options->dry_run) {
        code = SAMP_EXIT_DONE;
    } else if (status == SAMP_OK) {
        samp__budget_print(run, samp_clock() - start);
        code = samp_findings_exit(&run->findings, SAMP_SEVERITY_ERROR);
    } else if (status == SAMP_LIMIT) { /* the budget cannot be met: an answer, not a failure */
        fprintf(stderr, "samp quantize: %s\n", error->message);
        code = SAMP_EXIT_NO;
    }
    samp_findings_release(&run->findings);
    samp_plan_release(&run->plan);
    samp_sensitivity_release(&run->s);
    samp_free(run);
    return code;
}

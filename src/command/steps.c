/* The steps that several commands share. */
#include "command/steps.h"

#include "base/memory.h"
#include "command/terminal.h"
#include "file/file.h"
#include "quantize/input_moments.h"

#include <string.h>

static samp_status add_ending(const char *path, const char *ending, char *out, samp_error *error)
{
    int length = snprintf(out, SAMP_STEP_PATH_MAX, "%s%s", path, ending);
    if (length >= 0 && length < SAMP_STEP_PATH_MAX) return SAMP_OK;
    return samp_fail(error, SAMP_LIMIT, "the path %s is too long", path);
}

samp_status samp_step_moments_path(const char *path, char *out, samp_error *error)
{
    return add_ending(path, ".safetensors", out, error);
}

samp_status samp_step_partial_path(const char *path, char *out, samp_error *error)
{
    return add_ending(path, ".samp-partial", out, error);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static samp_status measure_tokens(const samp_measure_step *how, samp_model *model,
                                  const samp_tokens *tokens, samp_sensitivity *out,
                                  samp_error *error)
{
    char work[SAMP_STEP_PATH_MAX], moments[SAMP_STEP_PATH_MAX];
    SAMP_TRY(samp_step_partial_path(how->out, work, error));
    SAMP_TRY(samp_step_moments_path(how->out, moments, error));
    samp_meter meter;
    samp_measure_options options = {.work_folder = work,
                                    .moments_path = moments,
                                    .tokens = tokens->ids,
                                    .n_tokens = tokens->count,
                                    .window = how->window,
                                    .probe_windows = how->probe_windows,
                                    .score_every = how->score_every,
                                    .n_threads = how->n_threads,
                                    .progress = samp_meter_start(&meter, "tok"),
                                    .speed = how->speed};
    samp_status status = samp_measure(model, &options, out, error);
    samp_meter_stop(&meter);
    return status;
}

samp_status samp_step_measure(const samp_measure_step *how, const char *folder,
                              samp_sensitivity *out, samp_error *error)
{
    samp_model *model = NULL;
    samp_tokenizer *tokenizer = NULL;
    samp_tokens tokens = {0};
    json_t *strata = NULL;
    char digest[SAMP_SHA256_HEX];
    *out = (samp_sensitivity){0};
    samp_calibration_options text = {.max_tokens = how->max_tokens, .part = how->part};
    samp_status status = samp_model_open(&model, folder, error);
    if (status == SAMP_OK) status = samp_tokenizer_load(&tokenizer, folder, error);
    if (status == SAMP_OK)
        status = samp_calibration_load(how->calibration, tokenizer, &text, &tokens, digest, &strata,
                                       error);
    if (status == SAMP_OK) status = measure_tokens(how, model, &tokens, out, error);
    if (status == SAMP_OK) {
        snprintf(out->model, sizeof out->model, "%.255s", folder);
        snprintf(out->calibration, sizeof out->calibration, "%.255s", how->calibration);
        memcpy(out->calibration_digest, digest, sizeof out->calibration_digest);
        out->strata = json_incref(strata);
        status = samp_sensitivity_save(out, how->out, error);
    }
    if (status != SAMP_OK) samp_sensitivity_release(out);
    json_decref(strata);
    samp_tokens_release(&tokens);
    if (tokenizer) samp_tokenizer_release(tokenizer);
    if (model) samp_model_close(model);
    return status;
}

/* ---- plans ----------------------------------------------------------------------------------- */

samp_status samp_step_plan_json(const samp_plan *plan, const samp_sensitivity *sensitivity,
                                const samp_plan_options *options, const char *sensitivity_path,
                                json_t **out, samp_error *error)
{
    char moments[SAMP_STEP_PATH_MAX];
    SAMP_TRY(samp_step_moments_path(sensitivity_path, moments, error));
    *out = samp_plan_json(plan, sensitivity, options);
    if (*out && (!samp_is_file(moments) || samp_json_set(*out, "moments", json_string(moments))))
        return SAMP_OK;
    json_decref(*out);
    *out = NULL;
    return samp_fail(error, SAMP_NOMEM, "out of memory for the plan");
}

/* 17 digits: what a later run reads back is what this one computed. */
samp_status samp_step_save_json(const json_t *value, const char *path, samp_error *error)
{
    char *text = json_dumps(value, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    samp_status status = text ? samp_file_write(path, text, strlen(text), error)
                              : samp_fail(error, SAMP_NOMEM, "out of memory for %s", path);
    samp_free(text);
    return status;
}

/* ---- quantizing ------------------------------------------------------------------------------ */

/* A plan for another model would give formats to the wrong weights, or to the right ones for the
 * wrong reasons. */
static samp_status check_digest(const json_t *plan, const char *where, const samp_model *model,
                                samp_error *error)
{
    const char *wanted = NULL;
    char digest[SAMP_SHA256_HEX];
    SAMP_TRY(samp_json_string(plan, "model_digest", false, &wanted, where, error));
    if (!wanted) return SAMP_OK; /* written by hand */
    SAMP_TRY(samp_model_digest(model, digest, error));
    if (strcmp(wanted, digest) == 0) return SAMP_OK;
    return samp_fail(error, SAMP_MISMATCH,
                     "%s was made for another model than %s (its shapes or config.json differ); "
                     "measure and plan again",
                     where, samp_model_folder(model));
}

/* What the artifact remembers of its plan: all but the formats, which config.json has. */
static json_t *provenance_of(const json_t *plan, const char *run)
{
    json_t *about = json_copy((json_t *)plan), *root = json_object();
    if (about) json_object_del(about, "modules");
    bool done = root && about && samp_json_set(root, "plan", json_incref(about)) &&
                (!run || samp_json_set(root, "run", json_string(run)));
    json_decref(about);
    if (done) return root;
    json_decref(root);
    return NULL;
}

static samp_status quantize_weights(const char *out, const json_t *plan, const char *where,
                                    const char *moments, samp_model *model,
                                    samp_weight_plan *weights, samp_quantize_options *how,
                                    samp_error *error)
{
    samp_input_moments *inputs = NULL;
    samp_status status = samp_plan_parse(plan, where, model, weights, error);
    bool rounds = !how->dry_run; /* no size depends on how codes are chosen */
    if (status == SAMP_OK && rounds && !moments)
        status = samp_json_string(plan, "moments", false, &moments, where, error);
    if (status == SAMP_OK && rounds && moments)
        status = samp_input_moments_open(&inputs, moments, model, weights, error);
    if (status == SAMP_OK) {
        samp_meter meter;
        samp_progress progress = samp_meter_start(&meter, "B");
        how->weights = weights;
        status = samp_quantize(samp_model_folder(model), out, how, &progress, error);
        samp_meter_stop(&meter);
    }
    samp_input_moments_close(inputs);
    return status;
}

samp_status samp_step_quantize(const char *folder, const char *out, const json_t *plan,
                               const char *where, const char *moments, const char *run,
                               const samp_quantize_options *options, samp_error *error)
{
    samp_model *model = NULL;
    samp_quantize_options how = *options;
    SAMP_TRY(samp_model_open(&model, folder, error));
    samp_status status = check_digest(plan, where, model, error);
    if (status == SAMP_OK) status = samp_plan_cut_head(plan, where, model, error);
    if (samp_model_head_rest(model))
        how.first_rows = samp_model_weight(model, SAMP_ROLE_HEAD, 0)->layout.rows;
    samp_weight_plan *weights = samp_alloc(samp_model_count(model), sizeof *weights);
    json_t *provenance = provenance_of(plan, run);
    how.provenance = provenance;
    if (status == SAMP_OK && (!weights || !provenance))
        status = samp_fail(error, SAMP_NOMEM, "out of memory for the plan");
    if (status == SAMP_OK)
        status = quantize_weights(out, plan, where, moments, model, weights, &how, error);
    json_decref(provenance);
    samp_free(weights);
    samp_model_close(model);
    return status;
}

/* ---- validating ------------------------------------------------------------------------------ */

samp_status samp_step_validate(const char *folder, const samp_validate_options *options,
                               samp_findings *findings, samp_error *error)
{
    samp_meter meter;
    samp_progress progress = samp_meter_start(&meter, "B");
    samp_status status = samp_validate(folder, options, &progress, findings, error);
    samp_meter_stop(&meter);
    if (status == SAMP_OK && findings->failed)
        status = samp_fail(error, SAMP_NOMEM, "out of memory: the list of findings is incomplete");
    return status;
}

/* Evaluation on held-out strata: their tokens, both models once over each, the pooled result. */
#include "command/held_out.h"

#include "command/loaded.h"
#include "eval/pool.h"
#include "eval/result_json.h"
#include "plan/calibration.h"

#include <string.h>

enum { LEAST_TOKENS = 16 };

typedef struct held_out_run {
    const samp_held_out_options *options;
    samp_held_out *out;
    samp_loaded model, baseline;
} held_out_run;

/* Tokens of all strata, or of one. */
static samp_status load(const held_out_run *run, const char *stratum, samp_tokens *tokens,
                        json_t **strata, samp_error *error)
{
    char digest[SAMP_SHA256_HEX];
    samp_calibration_options part = {.part = SAMP_CALIBRATION_HELD_OUT, .stratum = stratum};
    return samp_calibration_load(run->options->sample, run->model.tokenizer, &part, tokens, digest,
                                 strata, error);
}

static samp_status list_strata(held_out_run *run, size_t *n_tokens, samp_error *error)
{
    samp_tokens tokens = {0};
    json_t *about = NULL, *row;
    const char *name;
    samp_status status = load(run, NULL, &tokens, &about, error);
    *n_tokens = tokens.count;
    json_object_foreach(json_object_get(about, "strata"), name, row)
    {
        int64_t n = json_integer_value(json_object_get(row, "tokens"));
        if (n < LEAST_TOKENS || run->out->n_strata == SAMP_STRATA_MAX ||
            strlen(name) >= SAMP_STRATUM_NAME)
            continue;
        samp_held_out_stratum *stratum = &run->out->strata[run->out->n_strata++];
        snprintf(stratum->name, sizeof stratum->name, "%s", name);
        stratum->n_tokens = (size_t)n;
    }
    json_decref(about);
    samp_tokens_release(&tokens);
    if (status == SAMP_OK && run->out->n_strata == 0)
        status = samp_fail(error, SAMP_INVALID,
                           "%s holds out %zu tokens, at least %d of a stratum are needed to "
                           "evaluate; give a larger sample",
                           run->options->sample, *n_tokens, LEAST_TOKENS);
    return status;
}

/* A stratum's share of the windows that max_tokens allows, two at least so that there is an
 * interval. */
static uint32_t windows_of(const held_out_run *run, size_t stratum_tokens, size_t all_tokens)
{
    double allowed = (double)run->options->max_tokens / SAMP_HELD_OUT_WINDOW;
    double share = allowed * (double)stratum_tokens / (double)all_tokens + 0.5;
    return share > 2 ? (uint32_t)share : 2;
}

static samp_status evaluate_stratum(held_out_run *run, samp_held_out_stratum *stratum,
                                    size_t all_tokens, samp_error *error)
{
    samp_tokens tokens = {0};
    samp_status status = load(run, stratum->name, &tokens, NULL, error);
    samp_meter meter;
    samp_eval_options how = {.context = SAMP_HELD_OUT_WINDOW,
                             .max_windows = windows_of(run, tokens.count, all_tokens),
                             .progress = samp_meter_start(&meter, "tok")};
    if (status == SAMP_OK)
        status = samp_eval_tokens(run->model.session, run->baseline.session, tokens.ids,
                                  tokens.count, &how, &stratum->result, error);
    samp_meter_stop(&meter);
    samp_tokens_release(&tokens);
    return status;
}

samp_status samp_held_out_evaluate(const samp_held_out_options *options, samp_held_out *out,
                                   samp_error *error)
{
    *out = (samp_held_out){0};
    held_out_run run = {.options = options, .out = out};
    samp_run_options how = {.threads = options->n_threads, .kv = "fp16", .backend = "cpu"};
    samp_eval_result results[SAMP_STRATA_MAX];
    size_t n_tokens = 0;
    samp_status status =
        samp_loaded_open(&run.model, options->model, &how, SAMP_HELD_OUT_WINDOW, true, error);
    if (status == SAMP_OK)
        status = samp_loaded_open(&run.baseline, options->baseline, &how, SAMP_HELD_OUT_WINDOW,
                                  false, error);
    if (status == SAMP_OK) status = list_strata(&run, &n_tokens, error);
    for (size_t i = 0; i < out->n_strata && status == SAMP_OK; i++) {
        status = evaluate_stratum(&run, &out->strata[i], n_tokens, error);
        results[i] = out->strata[i].result;
    }
    if (status == SAMP_OK) out->all = samp_eval_pool(results, out->n_strata);
    samp_loaded_close(&run.baseline);
    samp_loaded_close(&run.model);
    return status;
}

json_t *samp_held_out_json(const samp_held_out_options *options, const samp_held_out *held_out)
{
    json_t *texts = json_array();
    bool done = texts != NULL;
    for (size_t i = 0; i < held_out->n_strata && done; i++) {
        const samp_held_out_stratum *s = &held_out->strata[i];
        done = json_array_append_new(texts,
                                     samp_eval_result_json(s->name, s->n_tokens, &s->result)) == 0;
    }
    json_t *all = samp_eval_result_json("all", held_out->all.n_scored, &held_out->all);
    json_t *root =
        json_pack("{s:i,s:s,s:s,s:s,s:i,s:o,s:o}", "schema_version", 1, "model", options->model,
                  "baseline", options->baseline, "held_out_of", options->sample, "ctx",
                  SAMP_HELD_OUT_WINDOW, "texts", texts, "all", all);
    if (done) return root;
    json_decref(root);
    return NULL;
}

samp_status samp_held_out_parse(const json_t *document, samp_held_out *out, const char *where,
                                samp_error *error)
{
    *out = (samp_held_out){0};
    samp_eval_result results[SAMP_STRATA_MAX];
    const json_t *texts = json_object_get(document, "texts"), *text;
    size_t i;
    if (json_array_size(texts) == 0 || json_array_size(texts) > SAMP_STRATA_MAX)
        return samp_fail(error, SAMP_CORRUPT, "%s: %zu texts, expected 1 to %d", where,
                         json_array_size(texts), SAMP_STRATA_MAX);
    json_array_foreach(texts, i, text)
    {
        samp_held_out_stratum *s = &out->strata[out->n_strata++];
        const char *name;
        int64_t n = 0;
        SAMP_TRY(samp_eval_result_parse(text, &name, &s->result, where, error));
        SAMP_TRY(samp_json_integer(text, "tokens", false, 0, INT64_MAX, &n, where, error));
        snprintf(s->name, sizeof s->name, "%s", name);
        s->n_tokens = (size_t)n;
        results[i] = s->result;
    }
    out->all = samp_eval_pool(results, out->n_strata);
    return SAMP_OK;
}

/* Evaluation results to JSON and back: one table of the estimates says what is in both. */
#include "eval/result_json.h"

#include <stddef.h>

static const struct {
    const char *key;
    size_t offset;
    bool compared; /* only with a baseline */
} estimates[] = {
    {"nll", offsetof(samp_eval_result, nll), false},
    {"perplexity", offsetof(samp_eval_result, perplexity), false},
    {"baseline_perplexity", offsetof(samp_eval_result, baseline_perplexity), true},
    {"perplexity_ratio", offsetof(samp_eval_result, perplexity_ratio), true},
    {"kl_mean", offsetof(samp_eval_result, kl_mean), true},
    {"kl_median", offsetof(samp_eval_result, kl_median), true},
    {"kl_p99", offsetof(samp_eval_result, kl_p99), true},
    {"top1_agreement", offsetof(samp_eval_result, top1), true},
    {"delta_p", offsetof(samp_eval_result, delta_p), true},
};

enum { N_ESTIMATES = sizeof estimates / sizeof *estimates };

json_t *samp_estimate_json(samp_estimate e)
{
    return json_pack("{s:f,s:f,s:f}", "value", e.value, "low", e.low, "high", e.high);
}

samp_status samp_estimate_parse(const json_t *object, const char *key, bool required,
                                samp_estimate *out, const char *where, samp_error *error)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_object(member)) {
        samp_estimate plain = *out;
        SAMP_TRY(samp_json_number(object, key, required, &plain.value, where, error));
        if (member && !json_is_null(member)) plain.low = plain.high = plain.value;
        *out = plain;
        return SAMP_OK;
    }
    samp_estimate e = {0};
    SAMP_TRY(samp_json_number(member, "value", true, &e.value, where, error));
    e.low = e.high = e.value;
    SAMP_TRY(samp_json_number(member, "low", false, &e.low, where, error));
    SAMP_TRY(samp_json_number(member, "high", false, &e.high, where, error));
    *out = e;
    return SAMP_OK;
}

json_t *samp_eval_result_json(const char *text, size_t n_tokens, const samp_eval_result *r)
{
    json_t *root = json_pack("{s:s,s:I,s:I,s:I,s:f}", "text", text, "tokens", (json_int_t)n_tokens,
                             "windows", (json_int_t)r->n_windows, "scored", (json_int_t)r->n_scored,
                             "seconds", r->seconds);
    for (size_t i = 0; root && i < N_ESTIMATES; i++) {
        if (estimates[i].compared && !r->compared) continue;
        const samp_estimate *e = (const samp_estimate *)((const char *)r + estimates[i].offset);
        if (samp_json_set(root, estimates[i].key, samp_estimate_json(*e))) continue;
        json_decref(root);
        root = NULL;
    }
    return root;
}

samp_status samp_eval_result_parse(const json_t *object, const char **text, samp_eval_result *r,
                                   const char *where, samp_error *error)
{
    int64_t windows = 0, scored = 0;
    *r = (samp_eval_result){.compared = json_object_get(object, "kl_mean") != NULL};
    SAMP_TRY(samp_json_string(object, "text", true, text, where, error));
    SAMP_TRY(samp_json_integer(object, "windows", true, 1, INT64_MAX, &windows, where, error));
    SAMP_TRY(samp_json_integer(object, "scored", true, 1, INT64_MAX, &scored, where, error));
    SAMP_TRY(samp_json_number(object, "seconds", false, &r->seconds, where, error));
    r->n_windows = (size_t)windows, r->n_scored = (size_t)scored;
    for (size_t i = 0; i < N_ESTIMATES; i++) {
        samp_estimate *e = (samp_estimate *)((char *)r + estimates[i].offset);
        SAMP_TRY(samp_estimate_parse(object, estimates[i].key, false, e, where, error));
    }
    return SAMP_OK;
}

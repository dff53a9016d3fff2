/* A group's candidates: bytes and errors, once the moments of its input are known. */
#include "plan/measure_internal.h"

#include <math.h>
#include <string.h>

/* Every format a plan may choose, and the roundings to choose from: the better one is kept. Error feedback nearly always
 * is; but where one channel's inputs are huge, its weight's error in 4 bits can throw the others out of range. */
static const struct {
    samp_format_id format;
    samp_rounding rounding;
} candidates[] = {
    {SAMP_FORMAT_NF4, SAMP_ROUNDING_SEARCH},      {SAMP_FORMAT_NF4A, SAMP_ROUNDING_GPTQ},
    {SAMP_FORMAT_NF4A, SAMP_ROUNDING_SEARCH},     {SAMP_FORMAT_NF4A_G32, SAMP_ROUNDING_GPTQ},
    {SAMP_FORMAT_NF4A_G32, SAMP_ROUNDING_SEARCH}, {SAMP_FORMAT_NF5A, SAMP_ROUNDING_GPTQ},
    {SAMP_FORMAT_NF6A, SAMP_ROUNDING_GPTQ},       {SAMP_FORMAT_FP8, SAMP_ROUNDING_ABSMAX},
    {SAMP_FORMAT_INT8, SAMP_ROUNDING_GPTQ},       {SAMP_FORMAT_FP16, SAMP_ROUNDING_ABSMAX},
};

size_t samp_measure_candidates(samp_format_id *formats, samp_rounding *roundings, size_t max)
{
    size_t n = sizeof candidates / sizeof *candidates;
    if (n > max) n = max;
    for (size_t i = 0; i < n; i++)
        formats[i] = candidates[i].format, roundings[i] = candidates[i].rounding;
    return n;
}

/* Expected error of the outputs when the input is rounded to one INT8 part, in the measure of the weights' errors. */
static double activation_error(const samp_moments *moments, const double *column_square)
{
    double error = 0;
    for (uint64_t k = 0; k < moments->cols; k++) error += moments->a8_error[k] * column_square[k];
    return error / (double)moments->n_tokens;
}

/* Room for at most n_choices. */
static samp_status describe_group(samp__measure *m, const samp_group *group,
                                  samp_sensitivity_group *out, size_t n_choices, samp_error *error)
{
    memcpy(out->name, group->name, sizeof out->name);
    out->kind = group->kind;
    out->layer = group->layer;
    out->rows = samp_group_rows(group);
    out->cols = samp_group_cols(group);
    out->n_weights = group->n_weights;
    out->weights = samp_arena_alloc(&m->out->arena, group->n_weights, sizeof *out->weights);
    out->choices = samp_arena_alloc(&m->out->arena, n_choices, sizeof *out->choices);
    if (!out->weights || !out->choices)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory", group->name);
    for (uint32_t i = 0; i < group->n_weights; i++)
        memcpy(out->weights[i], group->weights[i]->name, sizeof *out->weights);
    return SAMP_OK;
}

/* Of each format's roundings the one with the least error. */
static samp_status keep_choices(const samp_group *group, const samp_candidate *judged, size_t n,
                                samp_sensitivity_group *out, samp_error *error)
{
    out->n_choices = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = 0;
        while (c < out->n_choices && out->choices[c].format != judged[i].format) c++;
        samp_sensitivity_choice *choice = &out->choices[c];
        if (c < out->n_choices && choice->error <= judged[i].error) continue;
        choice->format = judged[i].format;
        choice->rounding = judged[i].rounding;
        choice->error = judged[i].error;
        SAMP_TRY(samp_group_bytes(group, judged[i].format, &choice->bytes, error));
        if (c == out->n_choices) out->n_choices++;
    }
    return SAMP_OK;
}

samp_status samp__measure_errors(samp__measure *m, size_t g, const samp__inputs *inputs,
                                 samp_error *error)
{
    const samp_group *group = &m->groups[g];
    samp_sensitivity_group *out = &m->out->groups[g];
    float *moment = m->moment + m->moment_at[g];
    uint64_t cols = samp_group_cols(group);
    samp_candidate judged[SAMP__CANDIDATES_MAX];
    samp_format_id formats[SAMP__CANDIDATES_MAX];
    samp_rounding roundings[SAMP__CANDIDATES_MAX];
    size_t n = samp_measure_candidates(formats, roundings, SAMP__CANDIDATES_MAX - 1);
    for (size_t i = 0; i < n; i++)
        judged[i] = (samp_candidate){samp_format_get(formats[i]), roundings[i], false, 0};
    for (size_t i = 0; i < n && !inputs; i++)
        if (judged[i].rounding == SAMP_ROUNDING_GPTQ) judged[i].rounding = SAMP_ROUNDING_SEARCH;
    judged[n] =
        (samp_candidate){samp_format_get(samp__probe_format), SAMP_ROUNDING_SEARCH, true, 0};
    if (inputs)
        samp_moments_mean(&inputs->moments, moment);
    else
        for (uint64_t k = 0; k < cols; k++) moment[k] = 1;
    SAMP_TRY(describe_group(m, group, out, n, error));
    double *column_square = samp_alloc(cols, sizeof *column_square);
    if (!column_square) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", group->name);
    samp_input_shape shape = {moment, inputs ? samp__inputs_feedback(inputs) : NULL};
    samp_status status = samp_group_errors(m->model, group, &shape, judged, n + (g >= m->head),
                                           column_square, m->pool, error);
    if (status == SAMP_OK && inputs)
        out->activation_kl =
            activation_error(&inputs->moments, column_square); /* times alpha later */
    if (g >= m->head) m->head_error[g - m->head] = judged[n].error;
    samp_free(column_square);
    if (status == SAMP_OK) status = keep_choices(group, judged, n, out, error);
    return status;
}

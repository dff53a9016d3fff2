/* Moments and factors of inputs, from a safetensors file to the weights of a plan. */
#include "quantize/input_moments.h"

#include "base/memory.h"
#include "format/feedback.h"
#include "plan/group.h"

#include <math.h>
#include <stdio.h>

struct samp_input_moments {
    samp_safetensors *file;
    samp_arena arena;
};

static samp_status read_moment(samp_safetensors *file, const samp_group *group, const char *path,
                               samp_arena *arena, const float **out, samp_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "%s.moment", samp_group_input(group));
    const samp_tensor_info *info = samp_safetensors_find(file, name);
    uint64_t cols = samp_group_cols(group);
    *out = NULL;
    if (!info) return SAMP_OK;
    if (info->dtype != SAMP_F32 || info->rank != 1 || info->shape[0] != cols)
        return samp_fail(error, SAMP_MISMATCH,
                         "%s: %s is not %llu floats; it was measured on another model", path, name,
                         (unsigned long long)cols);
    float *values = samp_arena_alloc(arena, cols, sizeof *values);
    if (!values) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %s", path, name);
    SAMP_TRY(samp_safetensors_read(file, info, 0, values, cols * sizeof *values, error));
    for (uint64_t k = 0; k < cols; k++)
        if (!(isfinite(values[k]) && values[k] >= 0))
            return samp_fail(error, SAMP_NUMERIC, "%s: %s has %g for channel %llu; measure again",
                             path, name, (double)values[k], (unsigned long long)k);
    *out = values;
    return SAMP_OK;
}

/* NULL when the file has none for this group. */
static samp_status find_feedback(samp_input_moments *m, const samp_group *group, const char *path,
                                 const samp_feedback_tensor **out, samp_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "%s.feedback", samp_group_input(group));
    const samp_tensor_info *info = samp_safetensors_find(m->file, name);
    uint64_t cols = samp_group_cols(group);
    *out = NULL;
    if (!info) return SAMP_OK;
    if (info->dtype != SAMP_F16 || info->rank != 1 || info->shape[0] != samp_feedback_values(cols))
        return samp_fail(error, SAMP_MISMATCH,
                         "%s: %s is not the factor of %llu channels; it was measured on another "
                         "model",
                         path, name, (unsigned long long)cols);
    samp_feedback_tensor *tensor = samp_arena_alloc(&m->arena, 1, sizeof *tensor);
    if (!tensor) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    *tensor = (samp_feedback_tensor){m->file, info, path, cols};
    *out = tensor;
    return SAMP_OK;
}

static void give(const samp_model *model, const samp_group *group, const float *moment,
                 const samp_feedback_tensor *feedback, samp_weight_plan *plan)
{
    for (size_t i = 0; i < samp_model_count(model); i++)
        for (uint32_t w = 0; w < group->n_weights; w++)
            if (samp_model_at(model, i) == group->weights[w]) {
                plan[i].input_moment = moment;
                plan[i].feedback = feedback;
            }
}

samp_status samp_input_moments_open(samp_input_moments **out, const char *path,
                                    const samp_model *model, samp_weight_plan *plan,
                                    samp_error *error)
{
    samp_group *groups = NULL;
    size_t n_groups = 0;
    samp_input_moments *m = *out = samp_alloc(1, sizeof *m);
    if (!m) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", path);
    samp_status status = samp_safetensors_open(&m->file, path, error);
    if (status == SAMP_OK) status = samp_groups_of(model, &groups, &n_groups, error);
    for (size_t g = 0; g < n_groups && status == SAMP_OK; g++) {
        const float *moment;
        const samp_feedback_tensor *feedback = NULL;
        status = read_moment(m->file, &groups[g], path, &m->arena, &moment, error);
        if (status == SAMP_OK) status = find_feedback(m, &groups[g], path, &feedback, error);
        if (status == SAMP_OK) give(model, &groups[g], moment, feedback, plan);
    }
    samp_free(groups);
    if (status == SAMP_OK) return SAMP_OK;
    samp_input_moments_close(m);
    *out = NULL;
    return status;
}

void samp_input_moments_close(samp_input_moments *m)
{
    if (!m) return;
    samp_arena_release(&m->arena);
    if (m->file) samp_safetensors_close(m->file);
    samp_free(m);
}

samp_status samp_feedback_read(const samp_feedback_tensor *tensor, uint16_t **factor,
                               samp_error *error)
{
    uint64_t n = samp_feedback_values(tensor->cols);
    uint16_t *values = samp_realloc(*factor, n ? n : 1, sizeof *values);
    if (!values)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %s", tensor->path,
                         tensor->info->name);
    *factor = values;
    if (!n) return SAMP_OK;
    SAMP_TRY(
        samp_safetensors_read(tensor->file, tensor->info, 0, values, n * sizeof *values, error));
    for (uint64_t i = 0; i < n; i++)
        if ((values[i] & 0x7c00) == 0x7c00)
            return samp_fail(error, SAMP_NUMERIC,
                             "%s: %s has a value that is not finite; measure "
                             "again",
                             tensor->path, tensor->info->name);
    return SAMP_OK;
}

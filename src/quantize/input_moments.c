/* Second moments of the inputs from a safetensors file to the weights of a plan. */
#include "quantize/input_moments.h"

#include "file/safetensors.h"
#include "plan/group.h"

#include <math.h>
#include <stdio.h>

static samp_status read_moment(samp_safetensors *file, const samp_group *group, const char *path,
                               samp_arena *arena, const float **out, samp_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "%s.moment", group->name);
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

static void give(const samp_model *model, const samp_group *group, const float *moment,
                 samp_weight_plan *plan)
{
    for (size_t i = 0; i < samp_model_count(model); i++)
        for (uint32_t w = 0; w < group->n_weights; w++)
            if (samp_model_at(model, i) == group->weights[w]) plan[i].input_moment = moment;
}

samp_status samp_input_moments_apply(const char *path, const samp_model *model,
                                     samp_weight_plan *plan, samp_arena *arena, samp_error *error)
{
    samp_safetensors *file = NULL;
    samp_group *groups = NULL;
    size_t n_groups = 0;
    samp_status status = samp_safetensors_open(&file, path, error);
    if (status == SAMP_OK) status = samp_groups_of(model, &groups, &n_groups, error);
    for (size_t g = 0; g < n_groups && status == SAMP_OK; g++) {
        const float *moment;
        status = read_moment(file, &groups[g], path, arena, &moment, error);
        if (status == SAMP_OK && moment) give(model, &groups[g], moment, plan);
    }
    samp_free(groups);
    if (file) samp_safetensors_close(file);
    return status;
}

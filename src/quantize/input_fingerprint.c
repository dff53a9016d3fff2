/* The fingerprint of calibration inputs: logarithms of mean squares, by runs of channels. */
#include "quantize/input_fingerprint.h"

#include "base/memory.h"
#include "plan/group.h"

#include <math.h>

void samp_fingerprint_block(uint64_t n, unsigned block, uint64_t *begin, uint64_t *end)
{
    *begin = n * block / SAMP_FINGERPRINT_BLOCKS;
    *end = n * (block + 1) / SAMP_FINGERPRINT_BLOCKS;
}

/* Six digits are more than such a mean is good for. */
static double rounded(double x) { return round(x * 1e5) / 1e5; }

static json_t *group_blocks(const float *moment, uint64_t cols)
{
    json_t *list = json_array();
    for (unsigned b = 0; list && b < SAMP_FINGERPRINT_BLOCKS; b++) {
        uint64_t begin, end;
        double sum = 0;
        samp_fingerprint_block(cols, b, &begin, &end);
        for (uint64_t k = begin; k < end; k++) sum += moment[k];
        double mean = end > begin ? sum / (double)(end - begin) : 0;
        if (json_array_append_new(list, json_real(rounded(log(fmax(mean, 1e-30)))))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static const float *moment_of(const samp_model *model, const samp_weight_plan *plan,
                              const samp_group *group)
{
    for (size_t i = 0; i < samp_model_count(model); i++)
        if (samp_model_at(model, i) == group->weights[0]) return plan[i].input_moment;
    return NULL;
}

json_t *samp_input_fingerprint(const samp_model *model, const samp_weight_plan *plan)
{
    samp_group *groups;
    size_t n;
    samp_error ignored;
    if (samp_groups_of(model, &groups, &n, &ignored) != SAMP_OK) return NULL;
    json_t *all = json_object();
    for (size_t i = 0; all && i < n; i++) {
        const float *moment = moment_of(model, plan, &groups[i]);
        if (!moment || json_object_get(all, samp_group_input(&groups[i]))) continue;
        if (json_object_set_new(all, samp_group_input(&groups[i]),
                                group_blocks(moment, samp_group_cols(&groups[i])))) {
            json_decref(all);
            all = NULL;
        }
    }
    samp_free(groups);
    return all;
}

bool samp_input_fingerprint_read(const json_t *manifest, const char *group,
                                 double log_mean[SAMP_FINGERPRINT_BLOCKS])
{
    const json_t *list = json_object_get(json_object_get(manifest, "calibration_inputs"), group);
    if (json_array_size(list) != SAMP_FINGERPRINT_BLOCKS) return false;
    for (unsigned b = 0; b < SAMP_FINGERPRINT_BLOCKS; b++) {
        const json_t *value = json_array_get(list, b);
        if (!json_is_number(value)) return false;
        log_mean[b] = json_number_value(value);
    }
    return true;
}

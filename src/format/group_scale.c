/* Group scales on a signed 8-bit grid of the row (group_scale.h). */
#include "format/group_scale.h"

#include "format/feedback.h"

#include <float.h>
#include <math.h>

void samp__scale_parts(samp_layout *layout, int group)
{
    uint64_t groups = samp__group_count(layout->cols, group);
    samp__layout_add(layout, ".scale_code", SAMP_I8, layout->rows, groups);
    samp__layout_add(layout, ".row_scale", SAMP_F32, layout->rows, 0);
    layout->work_floats = layout->rows * groups;
}

static int8_t scale_code(const samp__group_spec *spec, float scale, float row_scale)
{
    float steps = fabsf(scale) / row_scale;
    float code = spec->up ? ceilf(steps) : nearbyintf(steps);
    code = code < 1 ? 1 : code > 127 ? 127 : code;
    return (int8_t)(scale < 0 ? -code : code);
}

/* The row's scale: its largest group scale gets code 127; 0 when that would be below FLT_MIN. */
static float row_scale_of(const float *scales, uint64_t groups)
{
    float m = 0;
    for (uint64_t g = 0; g < groups; g++) m = fmaxf(m, fabsf(scales[g]));
    return m / 127.0f >= FLT_MIN ? m / 127.0f : 0;
}

static const samp__lut *levels_lut(const samp__levels *levels, samp__lut *room)
{
    if (levels->lut) return levels->lut;
    if (levels->value)
        samp__lut_fill(room, levels->value, 16);
    else
        samp__lut_fill_range(room, (int)levels->low, (int)levels->high);
    return room;
}

static uint64_t group_length(const samp__group_spec *spec, uint64_t cols, uint64_t g)
{
    uint64_t group = (uint64_t)spec->group, left = cols - g * group;
    return left < group ? left : group;
}

/* The row's groups, one after the other, as the search sees them. */
static void load_group(const samp__group_spec *spec, const float *w, uint64_t cols,
                       const float *moment, uint64_t g, samp__group *out)
{
    uint64_t first = g * (uint64_t)spec->group;
    samp__group_load(out, w + first, group_length(spec, cols, g), moment, first, cols);
}

static float weighted_error(const samp__group_spec *spec, const samp__kernels *kernels,
                            const samp__group *group, float scale)
{
    if (scale != 0) return kernels->fit(&spec->levels, group->w, group->h, group->n, scale).error;
    float error = 0;
    for (size_t i = 0; i < group->n; i++) error += group->h[i] * group->w[i] * group->w[i];
    return error;
}

/* The better of a scale's code and of the code of the least-squares scale for the weights rounded
 * on it. Returns the error. */
static float refine_code(const samp__group_spec *spec, const samp__kernels *kernels,
                         const samp__group *group, float row_scale, int8_t *code)
{
    float scale = row_scale * (float)*code;
    samp__fit fit = kernels->fit(&spec->levels, group->w, group->h, group->n, scale);
    float steps = nearbyintf(fit.wt / fit.tt / row_scale);
    if (!(fabsf(steps) >= 1 && fabsf(steps) <= 127) || steps == (float)*code) return fit.error;
    float error = weighted_error(spec, kernels, group, row_scale * steps);
    if (!(error < fit.error)) return fit.error;
    *code = (int8_t)steps;
    return error;
}

/* Replaces the row's absmax scales by searched ones if their weighted error is smaller. work holds
 * the absmax scales. */
static void search_row(const samp__group_spec *spec, const samp__kernels *kernels, const float *w,
                       uint64_t cols, const float *moment, float *work, int8_t *codes,
                       float *row_scale)
{
    uint64_t groups = samp__group_count(cols, spec->group);
    double before = 0, after = 0;
    samp__group group;
    for (uint64_t g = 0; g < groups; g++) {
        load_group(spec, w, cols, moment, g, &group);
        before += (double)weighted_error(spec, kernels, &group, *row_scale * (float)codes[g]);
        if (codes[g] != 0)
            work[g] = samp__search_scale(kernels, &spec->levels, &group, work[g], true);
    }
    float unit = row_scale_of(work, groups);
    for (uint64_t g = 0; g < groups && unit > 0; g++) {
        load_group(spec, w, cols, moment, g, &group);
        int8_t code = codes[g] == 0 ? 0 : scale_code(spec, work[g], unit);
        after += (double)(code ? refine_code(spec, kernels, &group, unit, &code)
                               : weighted_error(spec, kernels, &group, 0));
        work[g] = code;
    }
    if (!(unit > 0 && after < before)) return;
    *row_scale = unit;
    for (uint64_t g = 0; g < groups; g++) codes[g] = (int8_t)work[g];
}

static void row_scales(const samp__group_spec *spec, const samp__kernels *kernels, const float *w,
                       uint64_t cols, const samp_encode_options *options, float *work,
                       int8_t *codes, float *row_scale)
{
    uint64_t groups = samp__group_count(cols, spec->group);
    for (uint64_t g = 0; g < groups; g++)
        work[g] = kernels->extreme(w + g * (uint64_t)spec->group, group_length(spec, cols, g)) /
                  spec->end;
    *row_scale = row_scale_of(work, groups);
    for (uint64_t g = 0; g < groups; g++)
        codes[g] = work[g] == 0 || *row_scale == 0 ? 0 : scale_code(spec, work[g], *row_scale);
    if (options->search && *row_scale > 0)
        search_row(spec, kernels, w, cols, options->input_moment, work, codes, row_scale);
}

/* The code of the scale, on the row's grid, that suits group g of `target` best. */
static int8_t group_code(const samp__group_spec *spec, const samp__kernels *kernels,
                         const float *target, uint64_t cols, const samp_encode_options *options,
                         uint64_t g, float row_scale)
{
    samp__group group;
    load_group(spec, target, cols, options->input_moment, g, &group);
    float absmax = kernels->extreme(group.w, group.n) / spec->end;
    if (row_scale == 0 || fabsf(absmax) < FLT_MIN) return 0;
    float scale = samp__search_scale(kernels, &spec->levels, &group, absmax, true);
    int8_t code = scale_code(spec, scale, row_scale);
    refine_code(spec, kernels, &group, row_scale, &code);
    return code;
}

enum { SWEEPS = 2 }; /* on correlated inputs one takes 11 % off the error, two 13, three 13.5 */

static void sweep_groups(const samp__group_spec *spec, const samp_layout *layout, samp__walk *walk,
                         const samp__lut *lut, uint64_t row0, void *const parts[])
{
    for (uint64_t g = layout->parts[1].shape[1]; g-- > 0;) {
        samp__sweep_open(walk, g * (uint64_t)spec->group, group_length(spec, layout->cols, g));
        for (uint64_t r = 0; r < walk->n_rows; r++)
            samp__sweep_row(walk, r, lut,
                            samp__stored_scale(layout, (const void *const *)parts, row0 + r, g));
        samp__sweep_close(walk);
    }
}

static const float *feed_back(const samp__group_spec *spec, const samp__kernels *kernels,
                              const samp_layout *layout, const float *w, uint64_t row0,
                              uint64_t n_rows, const samp_encode_options *options,
                              void *const parts[])
{
    uint64_t cols = layout->cols, groups = layout->parts[1].shape[1];
    samp__lut room;
    const samp__lut *lut = levels_lut(&spec->levels, &room);
    samp__walk walk;
    samp__walk_begin(&walk, options->feedback, w, n_rows, options->room);
    for (uint64_t g = groups; g-- > 0;) {
        samp__walk_open(&walk, g * (uint64_t)spec->group, group_length(spec, cols, g));
        for (uint64_t r = 0; r < n_rows; r++) {
            float row_scale = samp__load_f32(parts[2], row0 + r);
            int8_t code =
                group_code(spec, kernels, walk.target + r * cols, cols, options, g, row_scale);
            ((int8_t *)parts[1])[(row0 + r) * groups + g] = code;
            samp__walk_row(&walk, r, lut, row_scale * (float)code);
        }
        samp__walk_close(&walk);
    }
    for (int sweep = 0; options->sweep && sweep < SWEEPS; sweep++)
        sweep_groups(spec, layout, &walk, lut, row0, parts);
    if (options->error) *options->error += walk.error;
    return walk.target;
}

const float *samp__panel_scales(const samp__group_spec *spec, const samp_layout *layout,
                                const float *w, uint64_t row0, uint64_t n_rows,
                                const samp_encode_options *options, void *const parts[],
                                float *work)
{
    const samp__kernels *kernels = samp__kernels_get();
    uint64_t cols = layout->cols, groups = layout->parts[1].shape[1];
    for (uint64_t r = 0; r < n_rows; r++) {
        float row_scale;
        row_scales(spec, kernels, w + r * cols, cols, options, work + (row0 + r) * groups,
                   (int8_t *)parts[1] + (row0 + r) * groups, &row_scale);
        samp__store_f32(parts[2], row0 + r, row_scale);
    }
    if (!options->feedback) return w;
    return feed_back(spec, kernels, layout, w, row0, n_rows, options, parts);
}

samp_status samp__scales_check(const samp_layout *layout, const void *const parts[],
                               const char *name, samp_error *error)
{
    const samp_part *codes = &layout->parts[1], *row_scale = &layout->parts[2];
    const int8_t *code = parts[1];
    for (uint64_t i = 0; i < codes->bytes; i++)
        if (code[i] == -128)
            return samp_fail(error, SAMP_CORRUPT, "%s%s[%llu] is -128, expected -127 ... 127", name,
                             codes->suffix, (unsigned long long)i);
    /* No weight gives more: the largest float, on the t of 16 of int5, in 127 steps. */
    return samp__check_scales(parts[2], layout->rows, 0, FLT_MAX / (127 * 16), name,
                              row_scale->suffix, error);
}

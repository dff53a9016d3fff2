/* Group scales on a signed 8-bit grid of the row (group_scale.h). */
#include "format/group_scale.h"

#include <float.h>
#include <math.h>

void samp__scale_parts(samp_layout *layout, int group)
{
    uint64_t groups = samp__group_count(layout->cols, group);
    samp__layout_add(layout, ".scale_code", SAMP_I8, layout->rows, groups);
    samp__layout_add(layout, ".row_scale", SAMP_F32, layout->rows, 0);
    layout->work_floats = layout->rows * groups;
}

/* The weight of the largest magnitude, with its sign; the first of equals. */
static float extreme(const samp__kernels *kernels, const float *w, uint64_t n)
{
    float m = kernels->absmax(w, n);
    for (uint64_t i = 0; i < n; i++)
        if (fabsf(w[i]) == m) return w[i];
    return 0;
}

static int8_t scale_code(const samp__group_spec *spec, float scale, float row_scale)
{
    float steps = fabsf(scale) / row_scale;
    float code = spec->up ? ceilf(steps) : nearbyintf(steps);
    code = code < 1 ? 1 : code > 127 ? 127 : code;
    return (int8_t)(scale < 0 ? -code : code);
}

/* scales [groups] -> codes and the row's scale. */
static void store_scales(const samp__group_spec *spec, const float *scales, uint64_t groups,
                         int8_t *codes, float *row_scale)
{
    float m = 0;
    for (uint64_t g = 0; g < groups; g++) m = fmaxf(m, fabsf(scales[g]));
    float unit = m / 127.0f;
    *row_scale = unit >= FLT_MIN ? unit : 0;
    for (uint64_t g = 0; g < groups; g++)
        codes[g] = scales[g] == 0 || *row_scale == 0 ? 0 : scale_code(spec, scales[g], unit);
}

void samp__row_scales(const samp__group_spec *spec, const samp__kernels *kernels, const float *w,
                      uint64_t cols, const samp_encode_options *options, float *work, int8_t *codes,
                      float *row_scale)
{
    (void)options;
    uint64_t groups = samp__group_count(cols, spec->group), group = (uint64_t)spec->group;
    for (uint64_t g = 0; g < groups; g++) {
        uint64_t n = cols - g * group < group ? cols - g * group : group;
        work[g] = extreme(kernels, w + g * group, n) / spec->end;
    }
    store_scales(spec, work, groups, codes, row_scale);
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
    /* 127 steps of the scale times the largest |t|, 127, must stay a float. */
    return samp__check_scales(parts[2], layout->rows, 0, FLT_MAX / (127 * 128), name,
                              row_scale->suffix, error);
}

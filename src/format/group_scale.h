/* Scales of our own formats (nf4a, int8, int6, int5): one for each group of 64 (or 32) weights of a
 * row, stored as a signed 8-bit code on a grid of the row:
 *
 *     scale = row_scale * code,   code in -127 … 127,   row_scale = max|scale of the row| / 127
 *     value = scale * t                                 (t: the integer, or the codebook's value)
 *
 * With options->search a group's scale is the best of samp__search_scale, refined on the stored
 * grid, and a row keeps whichever of search and absmax has the smaller weighted error. With
 * options->feedback each group's scale is searched again, on the row's grid, for the weights as the
 * errors fed back have changed them.
 *
 * Parts: NAME.scale_code I8 [rows][ceil(cols/group)], NAME.row_scale F32 [rows]. A scale may be
 * negative: the extreme weight of a group is put on the end of the range that reaches farthest
 * (nf4a +104, int5 -16), whichever its sign. Weights are rounded on the stored scale, so the grid
 * costs no error of its own but clipping; a group that is not zero never gets code 0. Scales below
 * FLT_MIN are zero. */
#ifndef SAMP_FORMAT_GROUP_SCALE_H
#define SAMP_FORMAT_GROUP_SCALE_H

#include "format/entry.h"
#include "format/kernels.h"
#include "format/search.h"

typedef struct samp__group_spec {
    int group; /* weights a scale, at most SAMP__GROUP_MAX */
    samp__levels levels;
    float end; /* the t of the extreme weight under absmax rounding */
    bool up;   /* scale codes are rounded away from zero: nothing clips */
} samp__group_spec;

static inline uint64_t samp__group_count(uint64_t cols, int group)
{
    return cols / (unsigned)group + (cols % (unsigned)group != 0);
}

/* Adds the two scale parts, as parts 1 and 2, and the work that samp__panel_scales needs. */
void samp__scale_parts(samp_layout *layout, int group);

/* Decides the scales of a panel's rows w [n_rows][cols] and stores them in parts[1] and parts[2].
 * Returns the rows whose nearest levels on those scales are the codes: w itself, or, with error
 * feedback, the rounded values, in options->room. work is the tensor's. */
const float *samp__panel_scales(const samp__group_spec *spec, const samp_layout *layout,
                                const float *w, uint64_t row0, uint64_t n_rows,
                                const samp_encode_options *options, void *const parts[],
                                float *work);

/* The stored scale of group g of a row, from parts[1] and parts[2]. */
static inline float samp__stored_scale(const samp_layout *layout, const void *const parts[],
                                       uint64_t row, uint64_t g)
{
    const int8_t *codes = parts[1];
    return samp__load_f32(parts[2], row) * (float)codes[row * layout->parts[1].shape[1] + g];
}

/* Check of both parts for samp_format.check. */
samp_status samp__scales_check(const samp_layout *layout, const void *const parts[],
                               const char *name, samp_error *error);

#endif

/* FP8 E4M3 with float scales: one a row (fp8_e4m3, as compressed-tensors' channel strategy stores
 * it) or one for each 64 weights of a row (fp8_e4m3_g64).
 *
 *     scale = max|w| / 448, at least FLT_MIN (so that it is always positive and normal)
 *     code  = e4m3(w / scale), value = float(code) * scale
 *
 * Parts: NAME F8_E4M3 [rows][cols], NAME_scale F32 [rows][1] or [rows][ceil(cols/64)].
 * A floating-point code is nearly indifferent to its scale, so the scale search does nothing here.
 *
 * Integer form: each 64 decoded weights are rounded again, scale = max|w|/127, t = rint(w/scale);
 * this adds 0.68 % to the format's own 2.6 % relative error (research/cpu.md §2). */
#include "format/entry.h"

#include "base/half.h"
#include "base/memory.h"
#include "format/kernels.h"

#include <float.h>
#include <math.h>

enum { GROUP = 64 };
static const float e4m3_max = 448.0f;

static samp_status layout_fp8(uint64_t rows, uint64_t cols, uint64_t scales, samp_layout *out,
                              samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp__layout_add(out, "", SAMP_F8_E4M3, rows, cols);
    samp__layout_add(out, "_scale", SAMP_F32, rows, scales);
    return SAMP_OK;
}

static samp_status row_layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_fp8(rows, cols, 1, out, error);
}

static samp_status group_layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_fp8(rows, cols, samp_ceil_div(cols, GROUP), out, error);
}

/* Weights that share a scale: the layout says it by how many scales a row has. */
static uint64_t span_of(const samp_layout *layout)
{
    return layout->parts[1].shape[1] == 1 ? layout->cols : GROUP;
}

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                   const samp_encode_options *options, void *const parts[], float *work)
{
    (void)options, (void)work;
    const samp__kernels *kernels = samp__kernels_get();
    uint64_t cols = layout->cols, span = span_of(layout), n_scales = layout->parts[1].shape[1];
    uint8_t *codes = parts[0];
    for (uint64_t r = 0; r < n_rows; r++) {
        for (uint64_t g = 0; g < n_scales; g++) {
            uint64_t at = r * cols + g * span, n = min_u64(span, cols - g * span);
            float scale = fmaxf(fabsf(kernels->extreme(w + at, n)) / e4m3_max, FLT_MIN);
            samp__store_f32(parts[1], (row0 + r) * n_scales + g, scale);
            kernels->float_to_e4m3(w + at, n, scale, codes + at);
        }
    }
}

static void decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                   uint64_t n_rows, float *out)
{
    const samp__kernels *kernels = samp__kernels_get();
    uint64_t cols = layout->cols, span = span_of(layout), n_scales = layout->parts[1].shape[1];
    const uint8_t *codes = parts[0];
    for (uint64_t r = 0; r < n_rows; r++) {
        for (uint64_t g = 0; g < n_scales; g++) {
            uint64_t at = r * cols + g * span, n = min_u64(span, cols - g * span);
            float scale = samp__load_f32(parts[1], (row0 + r) * n_scales + g);
            kernels->e4m3_to_float(codes + at, n, scale, out + at);
        }
    }
}

static samp_status check(const samp_layout *layout, const void *const parts[], const char *name,
                         samp_error *error)
{
    const samp_part *scales = &layout->parts[1];
    return samp__check_scales(parts[1], scales->bytes / 4, 0, FLT_MAX / e4m3_max, name,
                              scales->suffix, error);
}

static int integer_group(const samp_layout *layout)
{
    (void)layout;
    return GROUP;
}

static void integer_form(const samp_layout *layout, const void *const parts[], uint64_t row0,
                         uint64_t n_rows, samp_integer_rows *out)
{
    uint64_t cols = layout->cols, groups = samp_ceil_div(cols, GROUP);
    const uint8_t *codes = parts[0];
    memset(out->t, 0, n_rows * groups * GROUP);
    for (uint64_t r = 0; r < n_rows; r++) {
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t first = g * GROUP, n = min_u64(GROUP, cols - first);
            float scale = samp__load_f32(parts[1], (row0 + r) * groups + g), w[GROUP];
            for (uint64_t i = 0; i < n; i++) {
                float x = samp_e4m3_to_float(codes[r * cols + first + i]) * scale;
                w[i] = isnan(x) ? 0 : x; /* code 0x7f: never written by us */
            }
            float m = fabsf(samp__kernels_scalar.extreme(w, n)), step = m / 127.0f;
            if (step < FLT_MIN) step = 0;
            out->scale[r * groups + g] = step;
            if (step == 0) continue;
            int8_t *t = out->t + r * groups * GROUP + first;
            for (uint64_t i = 0; i < n; i++) t[i] = (int8_t)samp__round(w[i] / step);
        }
    }
}

/* E4M3's seven bits, moved to the top of FP16's exponent and fraction, are its value * 2^-8. */
static void row_form(const samp_layout *layout, const void *const parts[], uint64_t row0,
                     uint64_t n_rows, float *w, float *scale)
{
    const uint8_t *codes = parts[0];
    for (uint64_t r = 0; r < n_rows; r++) {
        if (scale) scale[r] = samp__load_f32(parts[1], row0 + r) * 256.0f;
        for (uint64_t k = 0; w && k < layout->cols; k++) {
            unsigned code = codes[r * layout->cols + k];
            w[r * layout->cols + k] =
                samp_fp16_to_float((uint16_t)((code & 0x80) << 8 | (code & 0x7f) << 7));
        }
    }
}

const samp__format_entry samp__fp8 = {
    .format = {.id = SAMP_FORMAT_FP8,
               .name = "fp8_e4m3",
               .summary = "8-bit floating point, one float scale a row",
               .code_bits = 8,
               .group = SAMP_GROUP_ROW,
               .native = SAMP_NATIVE_TENSOR_FP8,
               .layout = row_layout,
               .encode = encode,
               .decode = decode,
               .check = check},
    .row_form = row_form,
};

const samp__format_entry samp__fp8_g64 = {
    .format = {.id = SAMP_FORMAT_FP8_G64,
               .name = "fp8_e4m3_g64",
               .summary = "8-bit floating point, one float scale for 64 weights",
               .code_bits = 8,
               .group = GROUP,
               .native = SAMP_NATIVE_TENSOR_FP8,
               .layout = group_layout,
               .encode = encode,
               .decode = decode,
               .check = check},
    .integer_group = integer_group,
    .integer_form = integer_form,
};

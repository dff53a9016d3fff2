/* LLM.int8, the rows of bitsandbytes' Linear8bitLt (Dettmers et al., arXiv 2208.07339), byte for
 * byte:
 *
 *     h = fp16(w),  SCB = max|h| of the row,  CB = rint(h * (127 / SCB)),  value = CB * SCB / 127
 *
 * Weights beyond FP16's largest number count as that one; a row of zeros has SCB 0. Dividing by 127
 * is bitsandbytes' multiplication by a float near 1/127, in its order.
 *
 * Parts: NAME I8 [rows][cols], and instead of NAME's ".weight": .SCB F32 [rows], .weight_format U8,
 * one number without dimensions: 0, "row", the only order of bytes that bitsandbytes still writes.
 *
 * Integer form: t = CB, one scale a row in all of its groups. With 8-bit inputs the products are
 * those of the paper: backend/numerics.h, outliers. */
#include "format/entry.h"

#include "base/half.h"
#include "base/memory.h"
#include "format/kernels.h"

#include <float.h>
#include <math.h>

enum { GROUP = 64, CHUNK = 256, ORDERS_KNOWN = 3 };

static const float fp16_max = 65504.0f;
static const float one_127th = 7.874015718698502e-3f;

static samp_status layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp__layout_add(out, "", SAMP_I8, rows, cols);
    samp__layout_add(out, "!.SCB", SAMP_F32, rows, 0);
    samp__layout_add(out, "!.weight_format", SAMP_U8, 0, 0);
    return SAMP_OK;
}

/* The n <= CHUNK weights as FP16 has them. */
static void to_halves(const samp__kernels *kernels, const float *w, size_t n, float *out)
{
    uint16_t half[CHUNK];
    for (size_t i = 0; i < n; i++)
        out[i] = w[i] > fp16_max ? fp16_max : w[i] < -fp16_max ? -fp16_max : w[i];
    kernels->float_to_fp16(out, n, half);
    kernels->fp16_to_float(half, n, out);
}

static void encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                   const samp_encode_options *options, void *const parts[], float *work)
{
    (void)options, (void)work;
    const samp__kernels *kernels = samp__kernels_get();
    size_t cols = layout->cols;
    for (uint64_t r = 0; r < n_rows; r++) {
        const float *row = w + r * cols;
        int8_t *codes = (int8_t *)parts[0] + r * cols;
        float absmax = kernels->extreme(row, cols), half[CHUNK]; /* rounding keeps the order */
        to_halves(kernels, &absmax, 1, &absmax);
        absmax = fabsf(absmax);
        samp__store_f32(parts[1], row0 + r, absmax);
        memset(codes, 0, cols);
        for (size_t at = 0, n; absmax > 0 && at < cols; at += n) {
            n = cols - at < CHUNK ? cols - at : CHUNK;
            to_halves(kernels, row + at, n, half);
            kernels->round_integers(half, n, 127.0f / absmax, -127, 127, codes + at);
        }
    }
}

static samp_status finish(const samp_layout *layout, void *const parts[], float *work,
                          samp_error *error)
{
    (void)layout, (void)work, (void)error;
    *(uint8_t *)parts[2] = 0;
    return SAMP_OK;
}

static void decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                   uint64_t n_rows, float *out)
{
    const int8_t *codes = parts[0];
    size_t cols = layout->cols;
    for (uint64_t r = 0; r < n_rows; r++) {
        float absmax = samp__load_f32(parts[1], row0 + r);
        for (size_t k = 0; k < cols; k++)
            out[r * cols + k] = (float)codes[r * cols + k] * absmax * one_127th;
    }
}

static samp_status check(const samp_layout *layout, const void *const parts[], const char *name,
                         samp_error *error)
{
    uint8_t order = *(const uint8_t *)parts[2];
    if (order != 0)
        return samp_fail(error, order <= ORDERS_KNOWN ? SAMP_UNSUPPORTED : SAMP_CORRUPT,
                         "%s: its weight_format is %u, expected 0 (rows); save it once more with a "
                         "current bitsandbytes",
                         name, order);
    return samp__check_scales(parts[1], layout->rows, 0, FLT_MAX / 127, name, "'s SCB", error);
}

static int integer_group(const samp_layout *layout)
{
    (void)layout;
    return GROUP;
}

static void integer_form(const samp_layout *layout, const void *const parts[], uint64_t row0,
                         uint64_t n_rows, samp_integer_rows *out)
{
    const int8_t *codes = parts[0];
    size_t cols = layout->cols, groups = samp_ceil_div(cols, GROUP), padded = groups * GROUP;
    for (uint64_t r = 0; r < n_rows; r++) {
        float scale = samp__load_f32(parts[1], row0 + r) * one_127th;
        memcpy(out->t + r * padded, codes + r * cols, cols);
        memset(out->t + r * padded + cols, 0, padded - cols);
        for (size_t g = 0; g < groups; g++) out->scale[r * groups + g] = scale;
    }
}

const samp__format_entry samp__llm_int8 = {
    .format = {.id = SAMP_FORMAT_LLM_INT8,
               .name = "llm_int8",
               .summary = "bitsandbytes' LLM.int8: 8-bit integers, one float scale a row",
               .code_bits = 8,
               .group = SAMP_GROUP_ROW,
               .native = SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8,
               .outliers = true,
               .layout = layout,
               .encode = encode,
               .finish = finish,
               .decode = decode,
               .check = check},
    .integer_group = integer_group,
    .integer_form = integer_form,
};

/* The formats without scales: fp32, bf16 and fp16. One part, [rows][cols], row-major; fp16 values
 * beyond its range become infinity, so a caller that quantizes must check the range (65504) first.
 */
#include "format/entry.h"

#include "format/convert.h"

static samp_status layout_one(uint64_t rows, uint64_t cols, samp_dtype dtype, samp_layout *out,
                              samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp__layout_add(out, "", dtype, rows, cols);
    return SAMP_OK;
}

static samp_status fp32_layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_one(rows, cols, SAMP_F32, out, error);
}

static samp_status bf16_layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_one(rows, cols, SAMP_BF16, out, error);
}

static samp_status fp16_layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_one(rows, cols, SAMP_F16, out, error);
}

static void fp32_encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                        const samp_encode_options *options, void *const parts[], float *work)
{
    (void)row0, (void)options, (void)work;
    memcpy(parts[0], w, n_rows * layout->cols * sizeof *w);
}

static void fp32_decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                        uint64_t n_rows, float *out)
{
    (void)row0;
    memcpy(out, parts[0], n_rows * layout->cols * sizeof *out);
}

static void bf16_encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                        const samp_encode_options *options, void *const parts[], float *work)
{
    (void)row0, (void)options, (void)work;
    samp_bf16_from_floats(w, n_rows * layout->cols, parts[0]);
}

static void bf16_decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                        uint64_t n_rows, float *out)
{
    (void)row0;
    samp_bf16_to_floats(parts[0], n_rows * layout->cols, out);
}

static void fp16_encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                        const samp_encode_options *options, void *const parts[], float *work)
{
    (void)row0, (void)options, (void)work;
    samp_fp16_from_floats(w, n_rows * layout->cols, parts[0]);
}

static void fp16_decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                        uint64_t n_rows, float *out)
{
    (void)row0;
    samp_fp16_to_floats(parts[0], n_rows * layout->cols, out);
}

const samp__format_entry samp__fp32 = {.format = {.id = SAMP_FORMAT_FP32,
                                                  .name = "fp32",
                                                  .summary = "IEEE single precision",
                                                  .code_bits = 32,
                                                  .layout = fp32_layout,
                                                  .encode = fp32_encode,
                                                  .decode = fp32_decode}};

const samp__format_entry samp__bf16 = {
    .format = {.id = SAMP_FORMAT_BF16,
               .name = "bf16",
               .summary = "bfloat16: float's range, 8 bits of precision",
               .code_bits = 16,
               .native = SAMP_NATIVE_TENSOR_F16,
               .layout = bf16_layout,
               .encode = bf16_encode,
               .decode = bf16_decode}};

const samp__format_entry samp__fp16 = {.format = {.id = SAMP_FORMAT_FP16,
                                                  .name = "fp16",
                                                  .summary = "IEEE half precision, at most 65504",
                                                  .code_bits = 16,
                                                  .native = SAMP_NATIVE_TENSOR_F16,
                                                  .layout = fp16_layout,
                                                  .encode = fp16_encode,
                                                  .decode = fp16_decode}};

/* nf4a, the aligned 4-bit codebook: sixteen values near NF4's quantiles, each exact in INT8 and in
 * FP8 E4M3, so that one artifact multiplies exactly on every kind of integer or FP8 unit. Groups of
 * 64 or 32 weights of a row, scales as group_scale.h.
 *
 * Parts: NAME U8 [rows][ceil(cols/2)], the even column in the HIGH nibble as in NF4 (a last odd
 * column is paired with code 8); NAME.scale_code; NAME.row_scale. A weight's code is the nearest
 * table value, a tie the lower. In a group of scale 0 every code is 8 (t = 7, so that zero has a
 * positive sign). */
#include "format/group_scale.h"

enum { PAD = 8 };

static const int8_t table[16] = {-96, -72, -56, -44, -32, -22, -12, -2,
                                 7,   16,  26,  36,  48,  60,  80,  104};
static const float value[16] = {-96, -72, -56, -44, -32, -22, -12, -2,
                                7,   16,  26,  36,  48,  60,  80,  104};
static const float midpoint[15] = {-84,   -64, -50, -38, -27, -17, -7, 2.5f,
                                   11.5f, 21,  31,  42,  54,  70,  92};

static const samp__group_spec spec64 = {
    .group = 64, .levels = {.value = value, .midpoint = midpoint}, .end = 104};
static const samp__group_spec spec32 = {
    .group = 32, .levels = {.value = value, .midpoint = midpoint}, .end = 104};

static samp_status layout_groups(uint64_t rows, uint64_t cols, int group, samp_layout *out,
                                 samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp__layout_add(out, "", SAMP_U8, rows, cols / 2 + cols % 2);
    samp__scale_parts(out, group);
    return SAMP_OK;
}

static samp_status layout64(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_groups(rows, cols, 64, out, error);
}

static samp_status layout32(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_groups(rows, cols, 32, out, error);
}

/* The group size, by how many scales a row has. Rows of at most 32 have one in both formats. */
static const samp__group_spec *spec_of(const samp_layout *layout)
{
    return layout->parts[1].shape[1] == samp__group_count(layout->cols, 64) ? &spec64 : &spec32;
}

static uint64_t group_length(const samp_layout *layout, int group, uint64_t g)
{
    uint64_t left = layout->cols - g * (uint64_t)group;
    return left < (uint64_t)group ? left : (uint64_t)group;
}

static void encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                   const samp_encode_options *options, void *const parts[], float *work)
{
    const samp__kernels *kernels = samp__kernels_get();
    const samp__group_spec *spec = spec_of(layout);
    samp__codebook book;
    samp__codebook_init(&book, midpoint);
    uint64_t cols = layout->cols, row_bytes = layout->parts[0].shape[1];
    uint64_t groups = layout->parts[1].shape[1];
    const float *rows = samp__panel_scales(spec, layout, w, row0, n_rows, options, parts, work);
    for (uint64_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * cols;
        uint8_t *packed = (uint8_t *)parts[0] + r * row_bytes;
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t first = g * (uint64_t)spec->group, n = group_length(layout, spec->group, g);
            float scale = samp__stored_scale(layout, (const void *const *)parts, row0 + r, g);
            float inv = 1.0f / scale;
            if (scale != 0)
                kernels->codebook_pack(row + first, n, n, &inv, &book, PAD, packed + first / 2);
            else
                memset(packed + first / 2, PAD << 4 | PAD, (n + 1) / 2);
        }
    }
}

static void decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                   uint64_t n_rows, float *out)
{
    const samp__kernels *kernels = samp__kernels_get();
    int group = spec_of(layout)->group;
    uint64_t row_bytes = layout->parts[0].shape[1], groups = layout->parts[1].shape[1];
    for (uint64_t r = 0; r < n_rows; r++) {
        const uint8_t *packed = (const uint8_t *)parts[0] + r * row_bytes;
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t first = g * (uint64_t)group;
            kernels->codebook_unpack(packed + first / 2, group_length(layout, group, g),
                                     samp__stored_scale(layout, parts, row0 + r, g), value,
                                     out + r * layout->cols + first);
        }
    }
}

static int group64(const samp_layout *layout)
{
    (void)layout;
    return 64;
}

static int group32(const samp_layout *layout)
{
    (void)layout;
    return 32;
}

static void integer_form(int group, const samp_layout *layout, const void *const parts[],
                         uint64_t row0, uint64_t n_rows, samp_integer_rows *out)
{
    uint64_t padded = samp__group_count(layout->cols, 64) * 64,
             row_bytes = layout->parts[0].shape[1];
    uint64_t stored = layout->parts[1].shape[1], groups = padded / (uint64_t)group;
    for (uint64_t r = 0; r < n_rows; r++) {
        const uint8_t *packed = (const uint8_t *)parts[0] + r * row_bytes;
        int8_t *t = out->t + r * padded;
        for (uint64_t i = 0; i < layout->cols; i++)
            t[i] = table[i % 2 ? packed[i / 2] & 15 : packed[i / 2] >> 4];
        memset(t + layout->cols, 0, padded - layout->cols);
        for (uint64_t g = 0; g < groups; g++)
            out->scale[r * groups + g] =
                g < stored ? samp__stored_scale(layout, parts, row0 + r, g) : 0;
    }
}

static void integer_form64(const samp_layout *layout, const void *const parts[], uint64_t row0,
                           uint64_t n_rows, samp_integer_rows *out)
{
    integer_form(64, layout, parts, row0, n_rows, out);
}

static void integer_form32(const samp_layout *layout, const void *const parts[], uint64_t row0,
                           uint64_t n_rows, samp_integer_rows *out)
{
    integer_form(32, layout, parts, row0, n_rows, out);
}

enum { NATIVE = SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8 | SAMP_NATIVE_TENSOR_FP8 };

const samp__format_entry samp__nf4a = {
    .format = {.id = SAMP_FORMAT_NF4A,
               .name = "nf4a",
               .summary = "16 values exact in INT8 and FP8, signed 8-bit scale for 64 weights",
               .code_bits = 4,
               .group = 64,
               .native = NATIVE,
               .feedback = true,
               .layout = layout64,
               .encode = encode,
               .decode = decode,
               .check = samp__scales_check},
    .integer_group = group64,
    .integer_form = integer_form64,
    .codebook = table,
};

const samp__format_entry samp__nf4a_g32 = {
    .format = {.id = SAMP_FORMAT_NF4A_G32,
               .name = "nf4a_g32",
               .summary = "nf4a with a scale for 32 weights",
               .code_bits = 4,
               .group = 32,
               .native = NATIVE,
               .feedback = true,
               .layout = layout32,
               .encode = encode,
               .decode = decode,
               .check = samp__scales_check},
    .integer_group = group32,
    .integer_form = integer_form32,
    .codebook = table,
};

/* int8, int6 and int5: integers in groups of 64 weights of a row, scales as group_scale.h.
 *
 *     t = clamp(rint(w / scale)), value = scale * t;  int8 ±127, int6 -32 … 31, int5 -16 … 15
 *
 * Parts: int8: NAME I8 [rows][cols]. int6, int5: NAME U8 [rows][48 or 40 bytes * groups], planes as
 * bits.h draws them. Then NAME.scale_code and NAME.row_scale. In a group of scale 0 every t is 0.
 */
#include "format/bits.h"
#include "format/group_scale.h"

enum { GROUP = 64 };

static const samp__group_spec spec8 = {
    .group = GROUP, .levels = {.low = -127, .high = 127}, .end = 127, .up = true};
static const samp__group_spec spec6 = {
    .group = GROUP, .levels = {.low = -32, .high = 31}, .end = -32};
static const samp__group_spec spec5 = {
    .group = GROUP, .levels = {.low = -16, .high = 15}, .end = -16};

/* Writes group g of a row from t, or reads it; t is padded to 64 with zeros. */
typedef void put_group(uint8_t *row, uint64_t g, uint64_t n, uint64_t groups,
                       const int8_t t[GROUP]);
typedef void get_group(const uint8_t *row, uint64_t g, uint64_t n, uint64_t groups,
                       int8_t t[GROUP]);

static void put8(uint8_t *row, uint64_t g, uint64_t n, uint64_t groups, const int8_t t[GROUP])
{
    (void)groups;
    memcpy(row + g * GROUP, t, n);
}

static void get8(const uint8_t *row, uint64_t g, uint64_t n, uint64_t groups, int8_t t[GROUP])
{
    (void)groups;
    memset(t, 0, GROUP);
    memcpy(t, row + g * GROUP, n);
}

static void put6(uint8_t *row, uint64_t g, uint64_t n, uint64_t groups, const int8_t t[GROUP])
{
    (void)n;
    uint8_t u[GROUP];
    for (int i = 0; i < GROUP; i++) u[i] = (uint8_t)(t[i] + 32);
    samp_int6_pack(u, row + 32 * g, row + 32 * groups + 16 * g);
}

static void get6(const uint8_t *row, uint64_t g, uint64_t n, uint64_t groups, int8_t t[GROUP])
{
    (void)n;
    uint8_t u[GROUP];
    samp_int6_unpack(row + 32 * g, row + 32 * groups + 16 * g, u);
    for (int i = 0; i < GROUP; i++) t[i] = (int8_t)(u[i] - 32);
}

static void put5(uint8_t *row, uint64_t g, uint64_t n, uint64_t groups, const int8_t t[GROUP])
{
    (void)n;
    uint8_t u[GROUP];
    for (int i = 0; i < GROUP; i++) u[i] = (uint8_t)(t[i] + 16);
    samp_int5_pack(u, row + 32 * g, row + 32 * groups + 8 * g);
}

static void get5(const uint8_t *row, uint64_t g, uint64_t n, uint64_t groups, int8_t t[GROUP])
{
    (void)n;
    uint8_t u[GROUP];
    samp_int5_unpack(row + 32 * g, row + 32 * groups + 8 * g, u);
    for (int i = 0; i < GROUP; i++) t[i] = (int8_t)(u[i] - 16);
}

static samp_status layout8(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp__layout_add(out, "", SAMP_I8, rows, cols);
    samp__scale_parts(out, GROUP);
    return SAMP_OK;
}

static samp_status layout_planes(uint64_t rows, uint64_t cols, uint64_t group_bytes,
                                 samp_layout *out, samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp__layout_add(out, "", SAMP_U8, rows, samp__group_count(cols, GROUP) * group_bytes);
    samp__scale_parts(out, GROUP);
    return SAMP_OK;
}

static samp_status layout6(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_planes(rows, cols, SAMP_INT6_GROUP_BYTES, out, error);
}

static samp_status layout5(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    return layout_planes(rows, cols, SAMP_INT5_GROUP_BYTES, out, error);
}

static uint64_t group_length(uint64_t cols, uint64_t g)
{
    return cols - g * GROUP < GROUP ? cols - g * GROUP : GROUP;
}

static void encode(const samp__group_spec *spec, put_group *put, const samp_layout *layout,
                   const float *w, uint64_t row0, uint64_t n_rows,
                   const samp_encode_options *options, void *const parts[], float *work)
{
    const samp__kernels *kernels = samp__kernels_get();
    uint64_t cols = layout->cols, groups = layout->parts[1].shape[1];
    for (uint64_t r = 0; r < n_rows; r++) {
        const float *row = w + r * cols;
        int8_t *codes = (int8_t *)parts[1] + (row0 + r) * groups;
        float row_scale;
        samp__row_scales(spec, kernels, row, cols, options, work + (row0 + r) * groups, codes,
                         &row_scale);
        samp__store_f32(parts[2], row0 + r, row_scale);
        uint8_t *out = (uint8_t *)parts[0] + r * layout->parts[0].shape[1];
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t n = group_length(cols, g);
            float scale = row_scale * (float)codes[g];
            int8_t t[GROUP] = {0};
            if (scale != 0)
                kernels->round_integers(row + g * GROUP, n, 1.0f / scale, spec->levels.low,
                                        spec->levels.high, t);
            put(out, g, n, groups, t);
        }
    }
}

static void decode(get_group *get, const samp_layout *layout, const void *const parts[],
                   uint64_t row0, uint64_t n_rows, float *out)
{
    const samp__kernels *kernels = samp__kernels_get();
    uint64_t cols = layout->cols, groups = layout->parts[1].shape[1];
    for (uint64_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)parts[0] + r * layout->parts[0].shape[1];
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t n = group_length(cols, g);
            float scale = samp__stored_scale(layout, parts, row0 + r, g);
            int8_t t[GROUP];
            get(row, g, n, groups, t);
            kernels->scale_integers(t, n, scale, out + r * cols + g * GROUP);
        }
    }
}

static void integer_form(get_group *get, const samp_layout *layout, const void *const parts[],
                         uint64_t row0, uint64_t n_rows, samp_integer_rows *out)
{
    uint64_t groups = layout->parts[1].shape[1];
    for (uint64_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)parts[0] + r * layout->parts[0].shape[1];
        for (uint64_t g = 0; g < groups; g++) {
            out->scale[r * groups + g] = samp__stored_scale(layout, parts, row0 + r, g);
            get(row, g, group_length(layout->cols, g), groups, out->t + (r * groups + g) * GROUP);
        }
    }
}

static int integer_group(const samp_layout *layout)
{
    (void)layout;
    return GROUP;
}

/* One format of the family: its functions, bound to its range and packing. */
#define INTEGER_FORMAT(bits, format_id, text)                                                      \
    static void encode##bits(const samp_layout *layout, const float *w, uint64_t row0,             \
                             uint64_t n_rows, const samp_encode_options *options,                  \
                             void *const parts[], float *work)                                     \
    {                                                                                              \
        encode(&spec##bits, put##bits, layout, w, row0, n_rows, options, parts, work);             \
    }                                                                                              \
    static void decode##bits(const samp_layout *layout, const void *const parts[], uint64_t row0,  \
                             uint64_t n_rows, float *out)                                          \
    {                                                                                              \
        decode(get##bits, layout, parts, row0, n_rows, out);                                       \
    }                                                                                              \
    static void integer_form##bits(const samp_layout *layout, const void *const parts[],           \
                                   uint64_t row0, uint64_t n_rows, samp_integer_rows *out)         \
    {                                                                                              \
        integer_form(get##bits, layout, parts, row0, n_rows, out);                                 \
    }                                                                                              \
    const samp__format_entry samp__int##bits = {                                                   \
        .format = {.id = format_id,                                                                \
                   .name = "int" #bits,                                                            \
                   .summary = text,                                                                \
                   .code_bits = bits,                                                              \
                   .group = GROUP,                                                                 \
                   .native = SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8,                       \
                   .layout = layout##bits,                                                         \
                   .encode = encode##bits,                                                         \
                   .decode = decode##bits,                                                         \
                   .check = samp__scales_check},                                                   \
        .integer_group = integer_group,                                                            \
        .integer_form = integer_form##bits,                                                        \
    };

INTEGER_FORMAT(8, SAMP_FORMAT_INT8, "8-bit integers, signed 8-bit scale for 64 weights")
INTEGER_FORMAT(6, SAMP_FORMAT_INT6, "6-bit integers, signed 8-bit scale for 64 weights")
INTEGER_FORMAT(5, SAMP_FORMAT_INT5, "5-bit integers, signed 8-bit scale for 64 weights")

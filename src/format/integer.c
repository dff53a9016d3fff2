/* int8, int6, int5 and the codebooks nf6a and nf5a: small integers t in groups of 64 weights of a
 * row, value = scale * t, scales as group_scale.h.
 *
 *     int8, int6, int5   t = rint(w / scale), clamped to ±127, -32 … 31, -16 … 15
 *     nf6a, nf5a         t = the value of the table below nearest to w / scale, a tie the lower
 *
 * The tables are as dense near zero as weights are, so that at the same bytes their error is less
 * than the integers'. They are signs and magnitudes: the code's top bit says whether t is m or
 * ~m = -1 - m, m = magnitude[the other bits], which a kernel looks up in tables of 16 bytes and an
 * exclusive or.
 *
 * Parts: int8: NAME I8 [rows][cols]. Others: NAME U8 [rows][48 or 40 bytes * groups], planes of
 * codes as bits.h draws them (integers: t + 32 or 16). Then NAME.scale_code and NAME.row_scale. In
 * a group of scale 0 and in padding columns every t is the one nearest to zero (nf6a 1, nf5a 2). */
#include "format/bits.h"
#include "format/group_scale.h"

enum { GROUP = 64 };

#define POSITIVE(m) m
#define NEGATIVE(m) ~m
#define MAGNITUDES5(F)                                                                             \
    F(2), F(7), F(12), F(17), F(23), F(29), F(35), F(42), F(48), F(56), F(64), F(72), F(82),       \
        F(92), F(105), F(126)
#define MAGNITUDES6(F)                                                                             \
    F(1), F(3), F(6), F(9), F(11), F(14), F(17), F(20), F(22), F(25), F(28), F(31), F(34), F(38),  \
        F(41), F(44), F(48), F(52), F(55), F(59), F(63), F(68), F(72), F(77), F(81), F(86), F(92), \
        F(97), F(103), F(109), F(116), F(126)

static const int8_t table5[32] = {MAGNITUDES5(POSITIVE), MAGNITUDES5(NEGATIVE)};
static const int8_t table6[64] = {MAGNITUDES6(POSITIVE), MAGNITUDES6(NEGATIVE)};

/* What tells one format of the family from another. */
typedef struct integer_format {
    int bits;              /* of a code: 8 (bytes), 6 or 5 (planes) */
    int zero;              /* code = t + zero … */
    const int8_t *table;   /* … or, if not NULL, [1 << bits]: t by code */
    samp__group_spec spec; /* levels of a table are added by encoder_init */
} integer_format;

/* What an encode call needs of its format, made once a call. */
typedef struct encoder {
    const integer_format *format;
    samp__group_spec spec;
    int8_t nearest_zero;
    uint8_t code[256]; /* of a table, by (uint8_t)t */
    samp__lut lut;
} encoder;

static void encoder_init(encoder *e, const integer_format *format)
{
    e->format = format;
    e->spec = format->spec;
    e->nearest_zero = 0;
    if (!format->table) return;
    int n = 1 << format->bits, n_levels = 0;
    bool present[256] = {false};
    float level[256];
    for (int code = 0; code < n; code++) {
        e->code[(uint8_t)format->table[code]] = (uint8_t)code;
        present[format->table[code] + 128] = true;
    }
    for (int t = -128; t < 128; t++)
        if (present[t + 128]) level[n_levels++] = (float)t;
    samp__lut_fill(&e->lut, level, n_levels);
    e->spec.levels.lut = &e->lut;
    e->nearest_zero = (int8_t)samp__lut_nearest(&e->lut, 0);
}

/* t of n weights, and the rest of the group, where nothing is. */
static void round_group(const encoder *e, const samp__kernels *kernels, const float *w, uint64_t n,
                        float scale, int8_t t[GROUP])
{
    const samp__levels *levels = &e->spec.levels;
    memset(t, e->nearest_zero, GROUP);
    if (scale == 0) return;
    if (levels->lut)
        kernels->round_to_levels(levels->lut, w, n, 1.0f / scale, t);
    else
        kernels->round_integers(w, n, 1.0f / scale, levels->low, levels->high, t);
}

/* Writes group g of a row, n columns of it real, from t. */
static void put_group(const encoder *e, uint8_t *row, uint64_t g, uint64_t n, uint64_t groups,
                      const int8_t t[GROUP])
{
    const integer_format *format = e->format;
    uint8_t code[GROUP];
    if (format->table)
        for (int i = 0; i < GROUP; i++) code[i] = e->code[(uint8_t)t[i]];
    else
        for (int i = 0; i < GROUP; i++) code[i] = (uint8_t)(t[i] + format->zero);
    if (format->bits == 8) memcpy(row + g * GROUP, code, n);
    if (format->bits == 6) samp_int6_pack(code, row + 32 * g, row + 32 * groups + 16 * g);
    if (format->bits == 5) samp_int5_pack(code, row + 32 * g, row + 32 * groups + 8 * g);
}

/* Reads group g; t is 0 past its n columns. */
static void get_group(const integer_format *format, const uint8_t *row, uint64_t g, uint64_t n,
                      uint64_t groups, int8_t t[GROUP])
{
    uint8_t code[GROUP];
    if (format->bits == 8) memcpy(code, row + g * GROUP, n);
    if (format->bits == 6) samp_int6_unpack(row + 32 * g, row + 32 * groups + 16 * g, code);
    if (format->bits == 5) samp_int5_unpack(row + 32 * g, row + 32 * groups + 8 * g, code);
    memset(code + n, 0, GROUP - n);
    if (format->table)
        for (int i = 0; i < GROUP; i++) t[i] = format->table[code[i]];
    else
        for (int i = 0; i < GROUP; i++) t[i] = (int8_t)(code[i] - format->zero);
    memset(t + n, 0, GROUP - n);
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

static void encode(const integer_format *format, const samp_layout *layout, const float *w,
                   uint64_t row0, uint64_t n_rows, const samp_encode_options *options,
                   void *const parts[], float *work)
{
    const samp__kernels *kernels = samp__kernels_get();
    encoder e;
    encoder_init(&e, format);
    uint64_t cols = layout->cols, groups = layout->parts[1].shape[1];
    const float *rows = samp__panel_scales(&e.spec, layout, w, row0, n_rows, options, parts, work);
    for (uint64_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * cols;
        uint8_t *out = (uint8_t *)parts[0] + r * layout->parts[0].shape[1];
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t n = group_length(cols, g);
            float scale = samp__stored_scale(layout, (const void *const *)parts, row0 + r, g);
            int8_t t[GROUP];
            round_group(&e, kernels, row + g * GROUP, n, scale, t);
            put_group(&e, out, g, n, groups, t);
        }
    }
}

static void decode(const integer_format *format, const samp_layout *layout,
                   const void *const parts[], uint64_t row0, uint64_t n_rows, float *out)
{
    const samp__kernels *kernels = samp__kernels_get();
    uint64_t cols = layout->cols, groups = layout->parts[1].shape[1];
    for (uint64_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)parts[0] + r * layout->parts[0].shape[1];
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t n = group_length(cols, g);
            float scale = samp__stored_scale(layout, parts, row0 + r, g);
            int8_t t[GROUP];
            get_group(format, row, g, n, groups, t);
            kernels->scale_integers(t, n, scale, out + r * cols + g * GROUP);
        }
    }
}

static void integer_form(const integer_format *format, const samp_layout *layout,
                         const void *const parts[], uint64_t row0, uint64_t n_rows,
                         samp_integer_rows *out)
{
    uint64_t groups = layout->parts[1].shape[1];
    for (uint64_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)parts[0] + r * layout->parts[0].shape[1];
        for (uint64_t g = 0; g < groups; g++) {
            out->scale[r * groups + g] = samp__stored_scale(layout, parts, row0 + r, g);
            get_group(format, row, g, group_length(layout->cols, g), groups,
                      out->t + (r * groups + g) * GROUP);
        }
    }
}

static int integer_group(const samp_layout *layout)
{
    (void)layout;
    return GROUP;
}

/* One format of the family: its functions, bound to what tells it from the others (`own`). */
#define INTEGER_FORMAT(own, format_id, width, book, text)                                          \
    static void encode_##own(const samp_layout *layout, const float *w, uint64_t row0,             \
                             uint64_t n_rows, const samp_encode_options *options,                  \
                             void *const parts[], float *work)                                     \
    {                                                                                              \
        encode(&own, layout, w, row0, n_rows, options, parts, work);                               \
    }                                                                                              \
    static void decode_##own(const samp_layout *layout, const void *const parts[], uint64_t row0,  \
                             uint64_t n_rows, float *out)                                          \
    {                                                                                              \
        decode(&own, layout, parts, row0, n_rows, out);                                            \
    }                                                                                              \
    static void form_##own(const samp_layout *layout, const void *const parts[], uint64_t row0,    \
                           uint64_t n_rows, samp_integer_rows *out)                                \
    {                                                                                              \
        integer_form(&own, layout, parts, row0, n_rows, out);                                      \
    }                                                                                              \
    const samp__format_entry samp__##own = {                                                       \
        .format = {.id = format_id,                                                                \
                   .name = #own,                                                                   \
                   .summary = text ", signed 8-bit scale for 64 weights",                          \
                   .code_bits = width,                                                             \
                   .group = GROUP,                                                                 \
                   .native = SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8,                       \
                   .feedback = true,                                                               \
                   .layout = layout##width,                                                        \
                   .encode = encode_##own,                                                         \
                   .decode = decode_##own,                                                         \
                   .check = samp__scales_check},                                                   \
        .integer_group = integer_group,                                                            \
        .integer_form = form_##own,                                                                \
        .codebook = book,                                                                          \
    };

static const integer_format int8 = {
    8, 0, NULL, {.group = GROUP, .levels = {.low = -127, .high = 127}, .end = 127, .up = true}};
static const integer_format int6 = {
    6, 32, NULL, {.group = GROUP, .levels = {.low = -32, .high = 31}, .end = -32}};
static const integer_format int5 = {
    5, 16, NULL, {.group = GROUP, .levels = {.low = -16, .high = 15}, .end = -16}};
static const integer_format nf6a = {6, 0, table6, {.group = GROUP, .end = -127}};
static const integer_format nf5a = {5, 0, table5, {.group = GROUP, .end = -127}};

INTEGER_FORMAT(int8, SAMP_FORMAT_INT8, 8, NULL, "8-bit integers")
INTEGER_FORMAT(int6, SAMP_FORMAT_INT6, 6, NULL, "6-bit integers")
INTEGER_FORMAT(int5, SAMP_FORMAT_INT5, 5, NULL, "5-bit integers")
INTEGER_FORMAT(nf6a, SAMP_FORMAT_NF6A, 6, table6, "64 values exact in INT8")
INTEGER_FORMAT(nf5a, SAMP_FORMAT_NF5A, 5, table5, "32 values exact in INT8")

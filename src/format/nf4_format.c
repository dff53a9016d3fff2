/* nf4 and nf4_plain: a matrix as bitsandbytes stores it, over its weights as one flat row-major
 * array.
 *
 * nf4 (double-quantized scales), n = rows*cols, b = ceil(n/64):
 *     NAME U8 [ceil(n/2)][1]               codes, even element in the high nibble
 *     NAME.absmax U8 [b]                   codes of the scales in the nested map
 *     NAME.quant_map F32 [16]              the code table
 *     NAME.nested_absmax F32 [ceil(b/256)]
 *     NAME.nested_quant_map F32 [256]
 *     NAME.quant_state.bitsandbytes__nf4   JSON text (nf4.h)
 * nf4_plain: NAME, .absmax F32 [b], .quant_map, .quant_state…
 *
 * Blocks cross rows when cols % 64 != 0; panels still hold whole blocks, because they start at
 * multiples of 64 rows. With double quantization a block's scale is only known at the end, so codes
 * are chosen with the scale before it is quantized, as bitsandbytes does; work[b] keeps these
 * scales until finish. */
#include "format/entry.h"

#include "base/memory.h"
#include "format/kernels.h"
#include "format/nf4.h"
#include "format/nf4_block.h"
#include "format/search.h"

#include <float.h>
#include <math.h>

enum {
    ABSMAX = 1,
    QUANT_MAP = 2,
    NESTED_ABSMAX = 3,
    NESTED_MAP = 4,
    NESTED_STATE = 5,
    PLAIN_STATE = 3
};

/* The integers t that stand for the code table in integer products: round(124.1 * code). */
static const int8_t integer_table[16] = {-124, -86, -65, -49, -35, -23, -11, 0,
                                         10,   20,  31,  42,  55,  70,  90,  124};
static const float integer_unit = 124.1f;

static const char state_suffix[] = ".quant_state.bitsandbytes__nf4";

static uint64_t block_count(const samp_layout *layout)
{
    return samp_ceil_div(layout->rows * layout->cols, SAMP_NF4_BLOCK);
}

static samp_status plain_layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp_nf4_state state = {.rows = rows, .cols = cols, .dtype = SAMP_BF16};
    samp__layout_add(out, "", SAMP_U8, samp_ceil_div(rows * cols, 2), 1);
    samp__layout_add(out, ".absmax", SAMP_F32, block_count(out), 0);
    samp__layout_add(out, ".quant_map", SAMP_F32, 16, 0);
    samp__layout_add(out, state_suffix, SAMP_U8, samp_nf4_state_bytes(&state), 0);
    return SAMP_OK;
}

static samp_status nested_layout(uint64_t rows, uint64_t cols, samp_layout *out, samp_error *error)
{
    SAMP_TRY(samp__layout_begin(out, rows, cols, error));
    samp_nf4_state state = {.rows = rows, .cols = cols, .dtype = SAMP_BF16, .nested = true};
    uint64_t blocks = block_count(out);
    samp__layout_add(out, "", SAMP_U8, samp_ceil_div(rows * cols, 2), 1);
    samp__layout_add(out, ".absmax", SAMP_U8, blocks, 0);
    samp__layout_add(out, ".quant_map", SAMP_F32, 16, 0);
    samp__layout_add(out, ".nested_absmax", SAMP_F32, samp_ceil_div(blocks, SAMP_NF4_NESTED_BLOCK),
                     0);
    samp__layout_add(out, ".nested_quant_map", SAMP_F32, 256, 0);
    samp__layout_add(out, state_suffix, SAMP_U8, samp_nf4_state_bytes(&state), 0);
    out->work_floats = blocks;
    return SAMP_OK;
}

/* The searched scale of a block, 0 for a block without weights that matter. The normal-float table
 * reaches 1 with either sign, so absmax is where absmax rounding puts the scale. */
static float search_block(const samp__kernels *kernels, const samp__levels *levels,
                          const samp__group *group, bool either)
{
    float m = fabsf(kernels->extreme(group->w, group->n));
    if (m < FLT_MIN) return 0;
    float scale = samp__search_scale(kernels, levels, group, m, either);
    return fabsf(scale) < FLT_MIN ? 0 : scale;
}

/* Encodes a panel by absmax; its blocks' scales go to scales (floats at any byte). */
static uint32_t encode_stored(const samp_layout *layout, samp_dtype dtype, const void *w,
                              uint64_t row0, uint64_t n_rows, uint8_t *codes, void *scales)
{
    samp__codebook book;
    samp__nf4_codebook(&book);
    uint64_t block0 = row0 * layout->cols / SAMP_NF4_BLOCK;
    return samp__nf4_blocks(samp__kernels_get(), &book, dtype, w, n_rows * layout->cols, codes,
                            (uint8_t *)scales + block0 * sizeof(float));
}

static uint32_t nested_encode_stored(const samp_layout *layout, samp_dtype dtype, const void *w,
                                     uint64_t row0, uint64_t n_rows, void *const parts[],
                                     float *work)
{
    return encode_stored(layout, dtype, w, row0, n_rows, parts[0], work);
}

static uint32_t plain_encode_stored(const samp_layout *layout, samp_dtype dtype, const void *w,
                                    uint64_t row0, uint64_t n_rows, void *const parts[],
                                    float *work)
{
    (void)work;
    return encode_stored(layout, dtype, w, row0, n_rows, parts[0], parts[ABSMAX]);
}

/* Then searches scales where that is asked for. `either`: they may be negative. */
static void encode_panel(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                         const samp_encode_options *options, uint8_t *codes, void *scales,
                         bool either)
{
    encode_stored(layout, SAMP_F32, w, row0, n_rows, codes, scales);
    if (!options->search) return;
    const samp__kernels *kernels = samp__kernels_get();
    samp__codebook book;
    samp__nf4_codebook(&book);
    uint64_t n = n_rows * layout->cols, block0 = row0 * layout->cols / SAMP_NF4_BLOCK;
    samp__levels levels = {.value = samp_nf4_code, .midpoint = book.midpoint};
    for (uint64_t at = 0; at < n; at += SAMP_NF4_BLOCK) {
        uint64_t length = n - at < SAMP_NF4_BLOCK ? n - at : SAMP_NF4_BLOCK;
        samp__group group;
        samp__group_load(&group, w + at, length, options->input_moment, at % layout->cols,
                         layout->cols);
        float scale = search_block(kernels, &levels, &group, either);
        if (scale == 0) continue;
        float inv = 1.0f / scale;
        samp__nf4_pack(kernels, &book, w + at, length, &inv, codes + at / 2);
        samp__store_f32(scales, block0 + at / SAMP_NF4_BLOCK, scale);
    }
}

static void nested_encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                          const samp_encode_options *options, void *const parts[], float *work)
{
    encode_panel(layout, w, row0, n_rows, options, parts[0], work, true);
}

static void plain_encode(const samp_layout *layout, const float *w, uint64_t row0, uint64_t n_rows,
                         const samp_encode_options *options, void *const parts[], float *work)
{
    (void)work;
    encode_panel(layout, w, row0, n_rows, options, parts[0], parts[ABSMAX], false);
}

static samp_status plain_finish(const samp_layout *layout, void *const parts[], float *work,
                                samp_error *error)
{
    (void)work, (void)error;
    samp_nf4_state state = {.rows = layout->rows, .cols = layout->cols, .dtype = SAMP_BF16};
    memcpy(parts[QUANT_MAP], samp_nf4_code, sizeof samp_nf4_code);
    samp_nf4_state_write(&state, parts[PLAIN_STATE]);
    return SAMP_OK;
}

static samp_status nested_finish(const samp_layout *layout, void *const parts[], float *work,
                                 samp_error *error)
{
    uint64_t n_nested = layout->parts[NESTED_ABSMAX].shape[0];
    float *nested = samp_alloc(n_nested, sizeof *nested);
    if (!nested)
        return samp_fail(error, SAMP_NOMEM, "no memory for %llu nested scales",
                         (unsigned long long)n_nested);
    samp_nf4_state state = {
        .rows = layout->rows, .cols = layout->cols, .dtype = SAMP_BF16, .nested = true};
    samp_nf4_nest(work, block_count(layout), parts[ABSMAX], nested, &state.offset);
    bool finite = isfinite(state.offset);
    for (uint64_t i = 0; i < n_nested; i++) finite = finite && isfinite(nested[i]);
    memcpy(parts[NESTED_ABSMAX], nested, n_nested * sizeof *nested);
    samp_free(nested);
    memcpy(parts[QUANT_MAP], samp_nf4_code, sizeof samp_nf4_code);
    memcpy(parts[NESTED_MAP], samp_nf4_nested_map, sizeof samp_nf4_nested_map);
    if (!finite)
        return samp_fail(
            error, SAMP_NUMERIC,
            "the sum of the scales overflows a float; weights this large need nf4_plain");
    samp_nf4_state_write(&state, parts[NESTED_STATE]);
    return SAMP_OK;
}

/* ---- Reading
 * ---------------------------------------------------------------------------------------- */

/* Where the scales of a matrix are, for both formats. */
typedef struct scale_reader {
    const uint8_t *codes; /* NULL: plain */
    const void *floats;   /* nested absmax, or the scales themselves */
    float offset;
} scale_reader;

static scale_reader plain_scales(const void *const parts[])
{
    return (scale_reader){.floats = parts[ABSMAX]};
}

static scale_reader nested_scales(const samp_layout *layout, const void *const parts[])
{
    float offset = samp__nf4_state_offset(parts[NESTED_STATE], layout->parts[NESTED_STATE].bytes);
    return (scale_reader){parts[ABSMAX], parts[NESTED_ABSMAX], offset};
}

static float read_scale(const scale_reader *reader, uint64_t block)
{
    if (!reader->codes) return samp__load_f32(reader->floats, block);
    float nested = samp__load_f32(reader->floats, block / SAMP_NF4_NESTED_BLOCK), scale;
    samp_nf4_unnest(reader->codes + block, &nested, reader->offset, 1, &scale);
    return scale;
}

static void decode_panel(const samp_layout *layout, const scale_reader *reader,
                         const uint8_t *codes, uint64_t row0, uint64_t n_rows, float *out)
{
    const samp__kernels *kernels = samp__kernels_get();
    uint64_t n = n_rows * layout->cols, block0 = row0 * layout->cols / SAMP_NF4_BLOCK;
    for (uint64_t at = 0; at < n; at += SAMP_NF4_BLOCK) {
        uint64_t length = n - at < SAMP_NF4_BLOCK ? n - at : SAMP_NF4_BLOCK;
        float scale = read_scale(reader, block0 + at / SAMP_NF4_BLOCK);
        kernels->codebook_unpack(codes + at / 2, length, scale, samp_nf4_code, out + at);
    }
}

static void nested_decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                          uint64_t n_rows, float *out)
{
    scale_reader reader = nested_scales(layout, parts);
    decode_panel(layout, &reader, parts[0], row0, n_rows, out);
}

static void plain_decode(const samp_layout *layout, const void *const parts[], uint64_t row0,
                         uint64_t n_rows, float *out)
{
    scale_reader reader = plain_scales(parts);
    decode_panel(layout, &reader, parts[0], row0, n_rows, out);
}

/* The text, its shape, and the code table. */
static samp_status check_state(const samp_layout *layout, const void *const parts[], int state_part,
                               bool nested, const char *name, samp_error *error)
{
    const samp_part *part = &layout->parts[state_part];
    samp_nf4_state state;
    SAMP_TRY(samp_nf4_state_read(parts[state_part], part->bytes, name, &state, error));
    if (state.rows != layout->rows || state.cols != layout->cols || state.nested != nested)
        return samp_fail(error, SAMP_MISMATCH,
                         "%s%s says %llu x %llu%s, the layout is %llu x %llu%s", name, part->suffix,
                         (unsigned long long)state.rows, (unsigned long long)state.cols,
                         state.nested ? " nested" : "", (unsigned long long)layout->rows,
                         (unsigned long long)layout->cols, nested ? " nested" : "");
    if (memcmp(parts[QUANT_MAP], samp_nf4_code, sizeof samp_nf4_code) != 0)
        return samp_fail(error, SAMP_CORRUPT, "%s.quant_map is not the NF4 code table", name);
    return SAMP_OK;
}

static samp_status nested_check(const samp_layout *layout, const void *const parts[],
                                const char *name, samp_error *error)
{
    SAMP_TRY(check_state(layout, parts, NESTED_STATE, true, name, error));
    if (memcmp(parts[NESTED_MAP], samp_nf4_nested_map, sizeof samp_nf4_nested_map) != 0)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s.nested_quant_map is not the signed dynamic map of 8 bits", name);
    const samp_part *part = &layout->parts[NESTED_ABSMAX];
    return samp__check_scales(parts[NESTED_ABSMAX], part->shape[0], 0, FLT_MAX, name, part->suffix,
                              error);
}

static samp_status plain_check(const samp_layout *layout, const void *const parts[],
                               const char *name, samp_error *error)
{
    SAMP_TRY(check_state(layout, parts, PLAIN_STATE, false, name, error));
    const samp_part *part = &layout->parts[ABSMAX];
    return samp__check_scales(parts[ABSMAX], part->shape[0], 0, FLT_MAX, name, part->suffix, error);
}

/* ---- Integer form
 * ----------------------------------------------------------------------------------- */

static int integer_group(const samp_layout *layout)
{
    return layout->cols % SAMP_NF4_BLOCK == 0 ? SAMP_NF4_BLOCK : 0;
}

static void integer_rows(const samp_layout *layout, const scale_reader *reader,
                         const uint8_t *codes, uint64_t row0, uint64_t n_rows,
                         samp_integer_rows *out)
{
    uint64_t n = n_rows * layout->cols, block0 = row0 * layout->cols / SAMP_NF4_BLOCK;
    for (uint64_t i = 0; i < n / 2; i++) {
        out->t[2 * i] = integer_table[codes[i] >> 4];
        out->t[2 * i + 1] = integer_table[codes[i] & 15];
    }
    for (uint64_t b = 0; b < n / SAMP_NF4_BLOCK; b++)
        out->scale[b] = read_scale(reader, block0 + b) / integer_unit;
}

static void nested_integer(const samp_layout *layout, const void *const parts[], uint64_t row0,
                           uint64_t n_rows, samp_integer_rows *out)
{
    scale_reader reader = nested_scales(layout, parts);
    integer_rows(layout, &reader, parts[0], row0, n_rows, out);
}

static void plain_integer(const samp_layout *layout, const void *const parts[], uint64_t row0,
                          uint64_t n_rows, samp_integer_rows *out)
{
    scale_reader reader = plain_scales(parts);
    integer_rows(layout, &reader, parts[0], row0, n_rows, out);
}

const samp__format_entry samp__nf4 = {
    .format = {.id = SAMP_FORMAT_NF4,
               .name = "nf4",
               .summary = "bitsandbytes NF4, blocks of 64, double-quantized scales",
               .code_bits = 4,
               .group = SAMP_NF4_BLOCK,
               .native = SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8,
               .layout = nested_layout,
               .encode = nested_encode,
               .encode_stored = nested_encode_stored,
               .finish = nested_finish,
               .decode = nested_decode,
               .check = nested_check},
    .integer_group = integer_group,
    .integer_form = nested_integer,
    .codebook = integer_table,
};

const samp__format_entry samp__nf4_plain = {
    .format = {.id = SAMP_FORMAT_NF4_PLAIN,
               .name = "nf4_plain",
               .summary = "bitsandbytes NF4, blocks of 64, float scales",
               .code_bits = 4,
               .group = SAMP_NF4_BLOCK,
               .native = SAMP_NATIVE_CPU_INT8 | SAMP_NATIVE_TENSOR_INT8,
               .layout = plain_layout,
               .encode = plain_encode,
               .encode_stored = plain_encode_stored,
               .finish = plain_finish,
               .decode = plain_decode,
               .check = plain_check},
    .integer_group = integer_group,
    .integer_form = plain_integer,
    .codebook = integer_table,
};

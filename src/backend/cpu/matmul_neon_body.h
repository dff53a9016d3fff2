/* Integer products on 64-bit ARM, compiled three times: matmul_neon.c, matmul_dotprod.c and
 * matmul_i8mm.c. The including file defines SAMP__DOTPROD and SAMP__I8MM (0 or 1) and SAMP__TABLE
 * (the name of the level's table). Scalar twin: matmul_scalar.c.
 *
 * A quarter of a line of a block is one register: 4 rows x 4 columns. Codes of 4, 5 and 6 bits go
 * through a signed table of 1, 2 or 4 registers (tbl), bytes have their sign bit turned: both are t
 * itself. Integers of 5 and 6 bits stay unsigned, u = t + zero, and their sums are put right once a
 * block.
 *   sdot   adds the 4 products of each row with one dword of inputs, taken by its index.
 *   smmla  multiplies 2 rows x 8 columns with 8 columns of a pair of inputs (matmul_neon.h): two
 *          zips make 2 rows x 8 columns of two quarters, once for all pairs.
 *   Without both, smull and pairwise additions: six instructions for an sdot.
 * 16-bit inputs are two bytes, S = 256*S_hi + S_lo; all sums are exact in int32.
 *
 * Tiles: 1 token x 32 rows (decode), 16 rows x 2 tokens, 8 rows x 4 tokens (8-bit inputs: 16 rows
 * x 4): 16 sums in 32 registers, as many as hide the latency of four multiplies a cycle. The float
 * sums live in memory: they are touched once a block. The share of a roofline is not measured:
 * this was only run under qemu. */
#include "backend/cpu/kernel.h"
#include "backend/cpu/matmul_neon.h"

#include <arm_neon.h>
#include <string.h>

enum {
    TILE = SAMP__NEON_TILE,
    QUARTERS = 4, /* of a line */
    VECTORS = 8,  /* rows of input bytes, at most */
    PAIR_BYTES = 2 * SAMP__BLOCK
};

/* What a tile works on; group points to its first group of rows. */
typedef struct tile {
    const samp_weight *weight;
    const uint8_t *group;
    const uint8_t *q; /* block 0 of the tile's first token; scale and start likewise */
    const float *scale;
    const int32_t *start;
    size_t width;
    float (*y)[2 * QUARTERS][4]; /* [token][quarter] */
} tile;

/* Whether expand gives u, not t. */
INLINE bool is_unsigned(samp__kind kind)
{
    return samp__kinds[kind].high_bits && !samp__kinds[kind].coded;
}

/* 4 rows x 4 columns: a quarter of line j of columns 0…31 (part 0) or 32…63 (part 1). */
INLINE int8x16_t expand(samp__kind kind, const uint8_t *lines, size_t j, int part,
                        int8x16x4_t table)
{
    if (kind == SAMP__BYTE)
        return vreinterpretq_s8_u8(
            veorq_u8(vld1q_u8(lines + (j + 8 * (size_t)part) * SAMP__LINE), vdupq_n_u8(128)));
    uint8x16_t v = vld1q_u8(lines + j * SAMP__LINE);
    v = part ? vshrq_n_u8(v, 4) : vandq_u8(v, vdupq_n_u8(15));
    const int width = samp__kinds[kind].high_bits;
    if (width == 0) return vqtbl1q_s8(table.val[0], v);
    /* Where j is a constant the shift is one instruction at most. */
    const int per_byte = 4 / width;
    const int shift = width * (2 * (int)(j % (size_t)per_byte) + part) - 4;
    uint8x16_t bits = vld1q_u8(lines + (8 + j / (size_t)per_byte) * SAMP__LINE);
    if (shift < 0) bits = bits << vdupq_n_u8((uint8_t)-shift);
    if (shift > 0) bits = bits >> vdupq_n_u8((uint8_t)shift);
    bits = vandq_u8(bits, vdupq_n_u8(width == 1 ? 16 : 48));
    v = vorrq_u8(v, bits);
    if (!samp__kinds[kind].coded) return vreinterpretq_s8_u8(v);
    if (width == 1) return vqtbl2q_s8((int8x16x2_t){{table.val[0], table.val[1]}}, v);
    return vqtbl4q_s8(table, v);
}

/* sum[r] + the four products of row r with dword `i` (a constant) of q. */
#if SAMP__DOTPROD
#define DOT(sum, w, q, i) vdotq_laneq_s32(sum, w, q, i)
#else
#define DOT(sum, w, q, i) dot(sum, w, vdupq_laneq_s32(vreinterpretq_s32_s8(q), i))
INLINE int32x4_t dot(int32x4_t sum, int8x16_t w, int32x4_t dwords)
{
    int8x16_t q = vreinterpretq_s8_s32(dwords);
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(q)));
    int32x4_t high = vpaddlq_s16(vmull_high_s8(w, q));
    return vaddq_s32(sum, vpaddq_s32(low, high));
}
#endif

/* A step of 8 columns, w[0] and w[1] being its two lines: sum[0] and sum[1] are of the pair's two
 * inputs; with smmla they are of the four rows' halves, and separate() comes at the end. */
INLINE void pair_step(const int8x16_t w[2], int8x16_t q, int32x4_t *first, int32x4_t *second)
{
#if SAMP__I8MM
    *first = vmmlaq_s32(*first, w[0], q);
    *second = vmmlaq_s32(*second, w[1], q);
#else
    *first = DOT(DOT(*first, w[0], q, 0), w[1], q, 1);
    *second = DOT(DOT(*second, w[0], q, 2), w[1], q, 3);
#endif
}

/* Two lines' quarters to rows 0, 1 and rows 2, 3 of 8 columns, where pair_step wants that. */
INLINE void combine(int8x16_t w[2])
{
#if SAMP__I8MM
    int32x4_t even = vreinterpretq_s32_s8(w[0]), odd = vreinterpretq_s32_s8(w[1]);
    w[0] = vreinterpretq_s8_s32(vzip1q_s32(even, odd));
    w[1] = vreinterpretq_s8_s32(vzip2q_s32(even, odd));
#else
    (void)w;
#endif
}

INLINE void separate(int32x4_t *first, int32x4_t *second)
{
#if SAMP__I8MM
    int32x4_t low = *first, high = *second;
    *first = vuzp1q_s32(low, high);
    *second = vuzp2q_s32(low, high);
#else
    (void)first, (void)second;
#endif
}

/* sum[vector][quarter] of one block over `parts` (bit 0: columns 0…31, bit 1: 32…63), of quarters
 * first … first+quarters-1; those from QUARTERS on belong to the next group of rows. */
INLINE void block_products(samp__kind kind, int vectors, int first, int quarters, int parts,
                           const tile *w, const uint8_t *lines, const uint8_t *q, int8x16x4_t table,
                           int32x4_t sum[VECTORS][2 * QUARTERS])
{
    UNROLL
    for (int v = 0; v < vectors; v++) {
        UNROLL
        for (int i = 0; i < quarters; i++) sum[v][i] = vdupq_n_s32(0);
    }
    UNROLL_LINES
    for (size_t step = 0; step < 4; step++) {
        UNROLL
        for (int part = 0; part < 2; part++) {
            if (!(parts >> part & 1)) continue;
            const uint8_t *from = q + ((size_t)part * 4 + step) * (vectors == 1 ? 8 : 16);
            UNROLL
            for (int i = 0; i < quarters; i++) {
                const int quarter = first + i;
                const uint8_t *group =
                    lines + (size_t)(quarter / QUARTERS) * w->weight->group_bytes;
                const uint8_t *at = group + 16 * (quarter % QUARTERS);
                if (vectors <= 2 && quarter % QUARTERS < 2 && (part == 0 || kind == SAMP__BYTE))
                    samp__prefetch(group + (2 * step + 8 * (size_t)part + (size_t)quarter % 2) *
                                               SAMP__LINE);
                int8x16_t both[2] = {expand(kind, at, 2 * step, part, table),
                                     expand(kind, at, 2 * step + 1, part, table)};
                if (vectors == 1) {
                    int8x16_t one = vcombine_s8(vld1_s8((const int8_t *)from), vdup_n_s8(0));
                    sum[0][i] = DOT(DOT(sum[0][i], both[0], one, 0), both[1], one, 1);
                    continue;
                }
                combine(both);
                UNROLL
                for (int p = 0; p < vectors / 2; p++)
                    pair_step(both, vld1q_s8((const int8_t *)from + p * PAIR_BYTES), &sum[2 * p][i],
                              &sum[2 * p + 1][i]);
            }
        }
    }
    UNROLL
    for (int p = 0; p < vectors / 2; p++) {
        UNROLL
        for (int i = 0; i < quarters; i++) separate(&sum[2 * p][i], &sum[2 * p + 1][i]);
    }
}

/* 4 rows' scales: the i-th of the group's, of one quarter. */
INLINE float32x4_t load_scale(const samp_weight *weight, const uint8_t *group, size_t i,
                              int quarter)
{
    const float *scale = (const float *)group + 4 * quarter;
    if (!weight->coded_scales) return vld1q_f32(scale + SAMP__ROWS * i);
    const uint8_t *codes = group + SAMP__LINE + SAMP__ROWS * i + 4 * quarter;
    uint32_t four;
    memcpy(&four, codes, sizeof four);
    int16x8_t code = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vmulq_f32(vld1q_f32(scale), vcvtq_f32_s32(vmovl_s16(vget_low_s16(code))));
}

/* y = fmaf((float)S, w_scale*x_scale, y) of one quarter, with the sums that scale `i` of the group
 * belongs to. */
INLINE void quarter_scale(samp__kind kind, int bits, int m, const tile *w, size_t i, int quarter,
                          const float *x_scale, const int32_t *start, const int32x4_t *sum)
{
    const uint8_t *group = w->group + (size_t)(quarter / QUARTERS) * w->weight->group_bytes;
    float32x4_t w_scale = load_scale(w->weight, group, i, quarter % QUARTERS);
    UNROLL
    for (int t = 0; t < m; t++) {
        const int32x4_t *at = sum + t * (bits / 8) * 2 * QUARTERS;
        int32x4_t s = at[0];
        if (bits == 16) s = vaddq_s32(at[2 * QUARTERS], vshlq_n_s32(s, 8));
        if (is_unsigned(kind))
            s = vaddq_s32(s, vdupq_n_s32(start[t] >> (7 - samp__kinds[kind].zero)));
        float *y = w->y[t][quarter];
        float32x4_t scale = vmulq_n_f32(w_scale, x_scale[t]);
        vst1q_f32(y, vfmaq_f32(vld1q_f32(y), vcvtq_f32_s32(s), scale));
    }
}

INLINE void integer_tile(samp__kind kind, int bits, int m, int groups, const tile *w)
{
    const int n_scales = (int)samp__kinds[kind].scales, vectors = m * bits / 8;
    const int all = QUARTERS * groups, quarters = vectors == VECTORS ? QUARTERS / 2 : all;
    int8x16x4_t table; /* t of codes */
    for (int i = 0; i < 4; i++)
        table.val[i] =
            vreinterpretq_s8_u8(veorq_u8(vld1q_u8(w->weight->codebook + 16 * i), vdupq_n_u8(128)));
    const uint8_t *lines = w->group + w->weight->lines_at, *q = w->q;
    const float *x_scale = w->scale;
    const int32_t *start = w->start;
    for (size_t b = 0; b < w->weight->n_blocks; b++) {
        UNROLL
        for (int s = 0; s < n_scales; s++) {
            UNROLL
            for (int first = 0; first < all; first += quarters) {
                int32x4_t sum[VECTORS][2 * QUARTERS];
                block_products(kind, vectors, first, quarters, n_scales == 2 ? 1 << s : 3, w, lines,
                               q, table, sum);
                UNROLL
                for (int i = 0; i < quarters; i++)
                    quarter_scale(kind, bits, m, w, b * (size_t)n_scales + (size_t)s, first + i,
                                  x_scale, start, &sum[0][i]);
            }
        }
        lines += w->weight->block_bytes;
        q += w->width * (size_t)(bits / 8) * SAMP__BLOCK;
        x_scale += w->width;
        start += 3 * w->width;
    }
}

typedef void tile_function(const tile *w);

/* One function for each kind, input width and tile: 1, 2, 4 tokens of 16 rows, and 1 of 32. */
#define TILES(kind, bits)                                                                          \
    static void kind##_##bits##_1(const tile *w) { integer_tile(SAMP__##kind, bits, 1, 1, w); }    \
    static void kind##_##bits##_2(const tile *w) { integer_tile(SAMP__##kind, bits, 2, 1, w); }    \
    static void kind##_##bits##_4(const tile *w) { integer_tile(SAMP__##kind, bits, 4, 1, w); }    \
    static void kind##_##bits##_wide(const tile *w) { integer_tile(SAMP__##kind, bits, 1, 2, w); }
#define TILE_ROW(kind, bits)                                                                       \
    {                                                                                              \
        kind##_##bits##_1, kind##_##bits##_2, kind##_##bits##_4, kind##_##bits##_wide              \
    }
#define KINDS(X) X(BYTE) X(NIBBLE) X(NIBBLE32) X(INT5) X(INT6) X(CODE5) X(CODE6)
#define X(kind)  TILES(kind, 8) TILES(kind, 16)
KINDS(X)
#undef X

enum { WIDE = 3 };
static tile_function *const tiles[SAMP__INTEGER_KINDS][2][WIDE + 1] = {
#define X(kind) {TILE_ROW(kind, 8), TILE_ROW(kind, 16)},
    KINDS(X)
#undef X
};

static void store_tile(const samp__product *product, size_t group, size_t token, size_t m,
                       size_t n_groups, float (*y)[2 * QUARTERS][4])
{
    size_t rows = product->weight->rows, row = group * SAMP__ROWS;
    size_t n = rows - row < n_groups * SAMP__ROWS ? rows - row : n_groups * SAMP__ROWS;
    for (size_t t = 0; t < m; t++)
        samp__store_rows(product->out + (token + t) * rows + row, &y[t][0][0], n, product->add);
}

static void integers(const samp__product *product)
{
    const samp_weight *weight = product->weight;
    const samp__quantized *input = product->input;
    tile_function *const *tile_of = tiles[weight->kind][input->bits == 16];
    for (size_t group = product->group_begin; group < product->group_end;) {
        size_t n_groups = 1;
        for (size_t token = product->token_begin; token < product->token_end;
             token += input->width) {
            size_t left = product->token_end - token, m = left < input->width ? left : input->width;
            if (input->width == 1 && product->group_end - group >= 2) n_groups = 2;
            size_t slot = samp__tile_slot(input, token);
            size_t width = input->width > 1; /* a wider tile's tokens are pairs, even a last one */
            while (samp__neon_widths[width] < m) width++;
            float y[TILE][2 * QUARTERS][4];
            memset(y, 0, samp__neon_widths[width] * sizeof *y);
            tile w = {.weight = weight,
                      .group = weight->data + group * weight->group_bytes,
                      .q = input->q + slot * input->q_bytes,
                      .scale = input->scale + slot,
                      .start = input->start + 3 * slot,
                      .width = input->width,
                      .y = y};
            tile_of[n_groups == 2 ? WIDE : width](&w);
            store_tile(product, group, token, m, n_groups, y);
        }
        group += n_groups;
    }
}

const samp__matmul_level SAMP__TABLE = {.widths = samp__neon_widths,
                                        .q_bytes8 = SAMP__BLOCK,
                                        .q_bytes16 = 2 * SAMP__BLOCK,
                                        .quantize = samp__neon_quantize,
                                        .integers = integers,
                                        .floats = samp__neon_floats};

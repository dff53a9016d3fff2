/* The AVX2 level (with FMA and F16C), made for processors without VNNI. Scalar twin:
 * matmul_scalar.c.
 *
 * Integer products: S[r] = sum over 64 columns of u[r][k]*q[k], u unsigned 8 bits, q signed 16.
 *   vpmaddubsw would saturate, so bytes are widened: of a half line (8 rows x 4 columns) the even
 *   bytes (columns 0, 2) are v & 0x00ff and the odd ones (1, 3) v >> 8, both as int16, and vpmaddwd
 *   against the broadcast pairs (q0,q2) and (q1,q3) adds two columns of 8 rows at once. 8- and
 *   16-bit inputs cost the same. Nothing overflows: |S| <= 64*255*32512 < 2^31.
 * Inputs: int16, in each four columns in the order 0, 2, 1, 3.
 * Codes of a codebook go through vpshufb: 6-bit ones twice, with a blend; those of 5 and 6 bits
 *   whose top bit is set are then complemented.
 * Tiles: 1 token x 32 rows (decode, streams the weights), up to 4 tokens x 16 rows: 8 accumulators,
 *   2 expanded registers and their even, then odd columns. The float sums y live in memory: they
 *   are touched once a block. Float weights: 1 token x 64 rows, or 4 tokens x 16 rows of a panel of
 *   floats (float_tiles.h): 8 accumulators hide the FMA's latency.
 *
 * Limits and measurements (AMD EPYC Zen 1, 2.54 GHz, GCC 12, one core, weights in L2, 2026-11-24):
 *   one vpmaddwd of 128 bits a cycle, so 8 multiply-adds a cycle, and two 128-bit FMAs, also 8.
 *   1 token: int8 6.2, nf4 5.1, int6 4.2, nf5a 3.9, nf6a 3.1 multiply-adds a cycle (nf4: 7.3 GB/s
 *   of packed weights); 4 tokens and more: int8 7.4, nf4 6.6, int6 6.3, nf5a 5.9, nf6a 5.4. An
 *   integer weight is read once a tile. fp16, 64 tokens: 88 % of the FMAs that the same run could do
 *   in registers (66 % when every tile widened for itself). */
#include "backend/cpu/kernel.h"
#include "backend/cpu/levels.h"

#include <immintrin.h>
#include <string.h>

enum { TILE = 4, FLOAT_TILE = 4, Q_BYTES = 2 * SAMP__BLOCK, HALF_LINE = 32 };

/* ---- inputs ---- */

/* 16 int32 in column order -> 16 int16, each four in the order 0, 2, 1, 3. */
INLINE __m256i pack_columns(__m256i a, __m256i b)
{
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), _MM_SHUFFLE(3, 1, 2, 0));
    packed = _mm256_shufflelo_epi16(packed, _MM_SHUFFLE(3, 1, 2, 0));
    return _mm256_shufflehi_epi16(packed, _MM_SHUFFLE(3, 1, 2, 0));
}

INLINE int32_t add_lanes(__m256i v)
{
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1))));
}

INLINE uint32_t max_lanes(__m256i v)
{
    __m128i max = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    max = _mm_max_epi32(max, _mm_shuffle_epi32(max, _MM_SHUFFLE(1, 0, 3, 2)));
    max = _mm_max_epi32(max, _mm_shuffle_epi32(max, _MM_SHUFFLE(2, 3, 0, 1)));
    return (uint32_t)_mm_cvtsi128_si32(max);
}

/* samp_input_quantize_to of a whole block (x padded with zeros), m its own where given is NULL;
 * start[0], start[width], start[2*width]. */
INLINE float quantize_block(const float *x, const uint32_t *given, float n_max, uint8_t *q,
                            int32_t *start, size_t width)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i max = _mm256_setzero_si256();
    UNROLL
    for (int i = 0; i < 8; i++)
        max = _mm256_max_epi32(
            max, _mm256_and_si256(magnitude, _mm256_castps_si256(_mm256_loadu_ps(x + 8 * i))));
    uint32_t bits = given ? *given : max_lanes(max);
    float m = samp_bits_float(bits);
    if (!(m >= 1e-30f) || bits >= 0x7f800000) {
        memset(q, 0, Q_BYTES);
        start[0] = start[width] = start[2 * width] = 0;
        return bits >= 0x7f800000 ? NAN : 0;
    }
    __m256 factor = _mm256_set1_ps(n_max / m);
    __m256i sum[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    UNROLL
    for (int i = 0; i < 4; i++) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * i), factor));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * i + 8), factor));
        sum[i / 2] = _mm256_add_epi32(sum[i / 2], _mm256_add_epi32(a, b));
        _mm256_store_si256((__m256i *)(q + 32 * i), pack_columns(a, b));
    }
    int32_t low = add_lanes(sum[0]), high = add_lanes(sum[1]);
    start[0] = -128 * (low + high);
    start[width] = -128 * low;
    start[2 * width] = -128 * high;
    return m / n_max;
}

static void quantize(const samp__quantized *to, size_t token, const float *x, size_t cols)
{
    size_t slot = samp__tile_slot(to, token), t = slot % to->width;
    float n_max = to->bits == 8 ? SAMP_A8_MAX : SAMP_A16_MAX;
    const uint32_t *given = to->magnitude ? to->magnitude + token : NULL;
    for (size_t b = 0; b < to->n_blocks; b++, slot += to->width) {
        const float *from = x + b * SAMP__BLOCK;
        float padded[SAMP__BLOCK] = {0};
        if (cols - b * SAMP__BLOCK < SAMP__BLOCK) {
            memcpy(padded, from, (cols - b * SAMP__BLOCK) * sizeof *x);
            from = padded;
        }
        to->scale[slot] = quantize_block(from, given, n_max, to->q + slot * Q_BYTES,
                                         to->start + 3 * slot - 2 * t, to->width);
    }
}

/* ---- integer weights ---- */

/* What a tile works on; group points to its first group of rows. */
typedef struct tile {
    const samp_weight *weight;
    const uint8_t *group;
    const uint8_t *q; /* block 0 of the tile's first token; scale and start likewise */
    const float *scale;
    const int32_t *start;
    size_t width;
    float (*y)[4][8]; /* [token][half group of 8 rows] */
} tile;

/* The codebook's entries 0 … 15 and 16 … 31. */
typedef struct tables {
    __m256i low, high;
} tables;

/* The codes whose low nibbles are v, through the codebook. bits: a byte's bit `at` is bit 4 of its
 * code, and the top bit of a 6-bit code is the next one. At the byte's own top a bit steers a
 * blend, or becomes a mask. */
INLINE __m256i look_up(__m256i v, __m256i bits, int width, int at, tables table)
{
    __m256i u = _mm256_shuffle_epi8(table.low, v);
    if (width == 2)
        u = _mm256_blendv_epi8(u, _mm256_shuffle_epi8(table.high, v),
                               _mm256_slli_epi16(bits, 7 - at));
    int top = at + width - 1;
    if (top < 7) bits = _mm256_slli_epi16(bits, 7 - top);
    return _mm256_xor_si256(u, _mm256_cmpgt_epi8(_mm256_setzero_si256(), bits));
}

/* u of 8 rows x 4 columns: half line `line` + 32*h. part: columns 0…31 or 32…63. */
INLINE __m256i expand(samp__kind kind, const uint8_t *lines, size_t j, int part, int h,
                      tables table)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    const uint8_t *at = lines + HALF_LINE * h;
    if (kind == SAMP__BYTE)
        return _mm256_load_si256((const __m256i *)(at + (j + 8 * (size_t)part) * SAMP__LINE));
    __m256i v = _mm256_load_si256((const __m256i *)(at + j * SAMP__LINE));
    v = _mm256_and_si256(part ? _mm256_srli_epi16(v, 4) : v, nibble);
    const int width = samp__kinds[kind].high_bits;
    if (width == 0) return _mm256_shuffle_epi8(table.low, v);
    /* j is a constant in the unrolled loop, so a shift is one instruction at most. */
    const int per_byte = 4 / width, first = width * (2 * (int)(j % (size_t)per_byte) + part);
    const uint8_t *high = at + (8 + j / (size_t)per_byte) * SAMP__LINE;
    __m256i bits = _mm256_load_si256((const __m256i *)high);
    if (samp__kinds[kind].coded) return look_up(v, bits, width, first, table);
    if (first < 4) bits = _mm256_slli_epi16(bits, 4 - first);
    if (first > 4) bits = _mm256_srli_epi16(bits, first - 4);
    bits = _mm256_and_si256(bits, _mm256_set1_epi8((char)(width == 1 ? 16 : 48)));
    return _mm256_or_si256(v, bits);
}

INLINE __m256i broadcast_pair(const uint8_t *q)
{
    int32_t pair;
    memcpy(&pair, q, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* sum[t][h] += the products of `parts` (bit 0: columns 0…31, bit 1: 32…63) of one block. */
INLINE void block_products(samp__kind kind, int m, int halves, int parts, const tile *w,
                           const uint8_t *lines, const uint8_t *q, tables table, __m256i sum[][4])
{
    const __m256i low_byte = _mm256_set1_epi16(0xff);
    UNROLL_LINES
    for (size_t j = 0; j < 8; j++) {
        UNROLL
        for (int part = 0; part < 2; part++) {
            if (!(parts >> part & 1)) continue;
            __m256i u[4], columns[4];
            UNROLL
            for (int h = 0; h < halves; h++) {
                size_t group = (size_t)h / 2 * w->weight->group_bytes;
                if (m == 1 && h % 2 == 0 && (part == 0 || kind == SAMP__BYTE))
                    samp__prefetch(lines + group + (j + 8 * (size_t)part) * SAMP__LINE);
                u[h] = expand(kind, lines + group, j, part, h % 2, table);
            }
            UNROLL
            for (int odd = 0; odd < 2; odd++) {
                UNROLL
                for (int h = 0; h < halves; h++)
                    columns[h] =
                        odd ? _mm256_srli_epi16(u[h], 8) : _mm256_and_si256(u[h], low_byte);
                UNROLL
                for (int t = 0; t < m; t++) {
                    const uint8_t *pair =
                        q + (size_t)t * Q_BYTES + (size_t)part * 64 + j * 8 + odd * 4;
                    __m256i two = broadcast_pair(pair);
                    UNROLL
                    for (int h = 0; h < halves; h++)
                        sum[t][h] = _mm256_add_epi32(sum[t][h], _mm256_madd_epi16(columns[h], two));
                }
            }
        }
    }
}

/* 8 rows' scales: the i-th of the group's, rows 8*h … 8*h+7. */
INLINE __m256 load_scale(const samp_weight *weight, const uint8_t *group, size_t i, int h)
{
    const float *scale = (const float *)group + 8 * h;
    if (!weight->coded_scales) return _mm256_load_ps(scale + SAMP__ROWS * i);
    const uint8_t *codes = group + SAMP__LINE + SAMP__ROWS * i + 8 * h;
    __m256i code = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)codes));
    return _mm256_mul_ps(_mm256_load_ps(scale), _mm256_cvtepi32_ps(code));
}

/* y = fmaf((float)sum, w_scale*x_scale, y) with the sums that scale i of the group belongs to. */
INLINE void block_scale(int m, int halves, const tile *w, size_t i, const float *x_scale,
                        __m256i sum[][4])
{
    UNROLL
    for (int h = 0; h < halves; h++) {
        const uint8_t *group = w->group + (size_t)h / 2 * w->weight->group_bytes;
        __m256 w_scale = load_scale(w->weight, group, i, h % 2);
        UNROLL
        for (int t = 0; t < m; t++) {
            __m256 scale = _mm256_mul_ps(w_scale, _mm256_broadcast_ss(x_scale + t));
            float *y = w->y[t][h];
            _mm256_store_ps(
                y, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[t][h]), scale, _mm256_load_ps(y)));
        }
    }
}

INLINE void integer_tile(samp__kind kind, int m, int halves, const tile *w)
{
    const samp__kind_facts *facts = &samp__kinds[kind];
    const __m128i *codebook = (const __m128i *)w->weight->codebook;
    const tables table = {_mm256_broadcastsi128_si256(_mm_loadu_si128(codebook)),
                          _mm256_broadcastsi128_si256(_mm_loadu_si128(codebook + 1))};
    const uint8_t *lines = w->group + w->weight->lines_at, *q = w->q;
    const float *x_scale = w->scale;
    const int32_t *start = w->start;
    for (size_t b = 0; b < w->weight->n_blocks; b++) {
        UNROLL
        for (size_t s = 0; s < facts->scales; s++) {
            __m256i sum[TILE][4];
            UNROLL
            for (int t = 0; t < m; t++) {
                int32_t first = start[(facts->scales == 2 ? s + 1 : 0) * w->width + (size_t)t];
                UNROLL
                for (int h = 0; h < halves; h++)
                    sum[t][h] = _mm256_set1_epi32(first >> (7 - facts->zero));
            }
            block_products(kind, m, halves, facts->scales == 2 ? 1 << s : 3, w, lines, q, table,
                           sum);
            block_scale(m, halves, w, b * facts->scales + s, x_scale, sum);
        }
        lines += w->weight->block_bytes;
        q += w->width * Q_BYTES;
        x_scale += w->width;
        start += 3 * w->width;
    }
}

typedef void tile_function(const tile *w);

/* One function for each kind and tile: 1 to 4 tokens of 16 rows, and 1 token of 32 rows. */
#define TILES(kind)                                                                                \
    static void kind##_1(const tile *w) { integer_tile(SAMP__##kind, 1, 2, w); }                   \
    static void kind##_2(const tile *w) { integer_tile(SAMP__##kind, 2, 2, w); }                   \
    static void kind##_3(const tile *w) { integer_tile(SAMP__##kind, 3, 2, w); }                   \
    static void kind##_4(const tile *w) { integer_tile(SAMP__##kind, 4, 2, w); }                   \
    static void kind##_wide(const tile *w) { integer_tile(SAMP__##kind, 1, 4, w); }
#define TILE_ROW(kind)                                                                             \
    {                                                                                              \
        kind##_1, kind##_2, kind##_3, kind##_4, kind##_wide                                        \
    }
TILES(BYTE)
TILES(NIBBLE)
TILES(NIBBLE32)
TILES(INT5)
TILES(INT6)
TILES(CODE5)
TILES(CODE6)

enum { WIDE = TILE };
static tile_function *const tiles[SAMP__INTEGER_KINDS][TILE + 1] = {
    TILE_ROW(BYTE), TILE_ROW(NIBBLE), TILE_ROW(NIBBLE32), TILE_ROW(INT5),
    TILE_ROW(INT6), TILE_ROW(CODE5),  TILE_ROW(CODE6)};

static void store_tile(const samp__product *product, size_t group, size_t token, size_t m,
                       size_t n_groups, float (*y)[4][8])
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
    for (size_t group = product->group_begin; group < product->group_end;) {
        size_t n_groups = 1;
        for (size_t token = product->token_begin; token < product->token_end;
             token += input->width) {
            size_t m = product->token_end - token < input->width ? product->token_end - token
                                                                 : input->width;
            if (input->width == 1 && product->group_end - group >= 2) n_groups = 2;
            _Alignas(32) float y[TILE][4][8];
            memset(y, 0, m * sizeof *y);
            size_t slot = samp__tile_slot(input, token);
            tile w = {.weight = weight,
                      .group = weight->data + group * weight->group_bytes,
                      .q = input->q + slot * Q_BYTES,
                      .scale = input->scale + slot,
                      .start = input->start + 3 * slot,
                      .width = input->width,
                      .y = y};
            tiles[weight->kind][n_groups == 2 ? WIDE : m - 1](&w);
            store_tile(product, group, token, m, n_groups, y);
        }
        group += n_groups;
    }
}

/* ---- float weights ---- */

INLINE __m256 load_values(samp__kind kind, const uint8_t *line, int h)
{
    if (kind == SAMP__FP32) return _mm256_loadu_ps((const float *)line + 8 * h);
    if (kind == SAMP__FP8) { /* E4M3's bits as an FP16: the value * 2^-8 */
        __m128i code = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(line + 8 * h)));
        return _mm256_cvtph_ps(
            _mm_and_si128(_mm_slli_epi16(code, 7), _mm_set1_epi16((short)0xbfff)));
    }
    __m128i v = _mm_loadu_si128((const __m128i *)(line + 16 * h));
    if (kind == SAMP__FP16) return _mm256_cvtph_ps(v);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}

/* One token x n_groups groups of 16 rows, of which there are 1 or 4, 8 accumulators. */
INLINE void float_groups(samp__kind kind, int n_groups, const samp_weight *weight,
                         const uint8_t *line, const float *x, float (*y)[SAMP__ROWS])
{
    __m256 sum[2 * FLOAT_TILE];
    UNROLL
    for (int g = 0; g < 2 * n_groups; g++) sum[g] = _mm256_setzero_ps();
    for (size_t k = 0; k < weight->cols; k++, line += SAMP__ROWS * samp__kinds[kind].lines) {
        __m256 value = _mm256_broadcast_ss(x + k);
        UNROLL
        for (int g = 0; g < 2 * n_groups; g++) {
            const uint8_t *at = line + (size_t)g / 2 * weight->group_bytes;
            sum[g] = _mm256_fmadd_ps(load_values(kind, at, g % 2), value, sum[g]);
        }
    }
    UNROLL
    for (int g = 0; g < 2 * n_groups; g++) _mm256_store_ps(y[g / 2] + 8 * (g % 2), sum[g]);
}

INLINE void float_tokens(samp__kind kind, const uint8_t *line, size_t n, const float *x,
                         size_t cols, float (*y)[SAMP__ROWS], float *panel)
{
    __m256 sum[FLOAT_TILE][2];
    UNROLL
    for (int t = 0; t < FLOAT_TILE; t++)
        for (int h = 0; h < 2; h++) sum[t][h] = _mm256_load_ps(y[t] + 8 * h);
    for (size_t k = 0; k < n; k++, line += SAMP__ROWS * samp__kinds[kind].lines) {
        __m256 low = load_values(kind, line, 0), high = load_values(kind, line, 1);
        if (panel) {
            _mm256_store_ps(panel + SAMP__ROWS * k, low);
            _mm256_store_ps(panel + SAMP__ROWS * k + 8, high);
        }
        UNROLL
        for (size_t t = 0; t < FLOAT_TILE; t++) {
            __m256 value = _mm256_broadcast_ss(x + t * cols + k);
            sum[t][0] = _mm256_fmadd_ps(low, value, sum[t][0]);
            sum[t][1] = _mm256_fmadd_ps(high, value, sum[t][1]);
        }
    }
    UNROLL
    for (int t = 0; t < FLOAT_TILE; t++)
        for (int h = 0; h < 2; h++) _mm256_store_ps(y[t] + 8 * h, sum[t][h]);
}

#include "backend/cpu/float_tiles.h"

static const uint8_t widths[] = {1, 2, 3, TILE, 0};

const samp__matmul_level samp__matmul_avx2 = {.widths = widths,
                                              .q_bytes8 = Q_BYTES,
                                              .q_bytes16 = Q_BYTES,
                                              .quantize = quantize,
                                              .integers = integers,
                                              .floats = walk_floats};

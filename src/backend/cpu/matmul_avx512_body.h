/* The AVX-512 levels' products, compiled twice: matmul_avx512.c without VBMI, matmul_avx512vbmi.c
 * with it. The including file defines SAMP__VBMI (0 or 1) and SAMP__TABLE (the name of the level's
 * table). Scalar twin: matmul_scalar.c.
 *
 * Integer products: a line of a block is one register: 16 rows x 4 columns of u, unsigned 8 bits.
 *   vpdpbusd adds the four products with a broadcast dword of signed 8-bit inputs to 16 sums at
 * once. 16-bit inputs are two bytes, q = 256*hi + lo: two vpdpbusd, S = 256*S_hi + S_lo. The sums
 * start at -128 * sum of q (weight.h: u = t + 128), so the unsigned side costs nothing. Inputs: 64
 * bytes of hi (or of the only part), then 64 bytes of lo, in column order. Expanding codes: with
 * VBMI one vpermb through the codebook, repeated to 64 entries where it has 16 or 32, which makes
 * it ignore the bits above; a code's high bits are put over the nibble's first (vpternlog). Else
 * vpand and vpshufb, of 6-bit codes twice under a mask, and 255 - u where the code's top bit is
 * set. Tiles: 1 token x 32 rows (decode), up to 12 tokens x 16 rows: 24 sums of 16-bit inputs. The
 * float sums live in memory: they are touched once a block.
 *
 * Limits and measurements (Xeon, Sapphire Rapids, 2 cores of a shared host, GCC 12, 2026-11-24):
 *   two vpdpbusd a cycle, so 64 multiply-adds of 16-bit inputs. Decode of nf4a is bound by memory:
 *   14 to 35 GB/s of packed weights on two threads over several runs, where plain reads give about 20.
 *   64 tokens: 100 to 180 G multiply-adds a second on two threads. One core, weights in L2, 16-bit
 *   inputs, 1 and 16 tokens: int8 65 and 106, nf4a 62 and 97, int6 48 and 92, nf6a 47 and 91, nf5a
 *   47 and 90 G multiply-adds a second; without VBMI nf6a 33 and 81, nf5a 43 and 90. */
#include "backend/cpu/kernel.h"
#include "backend/cpu/levels.h"

#include <immintrin.h>
#include <string.h>

enum { TILE = 12, FLOAT_TILE = 8 };

/* ---- inputs ---- */

/* samp_input_quantize_to of one block, m its own where given is NULL; start[0], start[width],
 * start[2*width] as in matmul.h. */
INLINE float quantize_block(const float *x, size_t n, const uint32_t *given, int bits, uint8_t *q,
                            int32_t *start, size_t width)
{
    __m512 v[4];
    __m512i max = _mm512_setzero_si512();
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        size_t left = n > 16 * i ? n - 16 * i : 0;
        __mmask16 mask = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
        v[i] = _mm512_maskz_loadu_ps(mask, x + 16 * i);
        __m512i magnitude =
            _mm512_and_si512(_mm512_castps_si512(v[i]), _mm512_set1_epi32(0x7fffffff));
        max = _mm512_max_epi32(max, magnitude);
    }
    uint32_t top = given ? *given : (uint32_t)_mm512_reduce_max_epi32(max);
    float m = samp_bits_float(top), n_max = bits == 8 ? SAMP_A8_MAX : SAMP_A16_MAX;
    if (!(m >= 1e-30f) || top >= 0x7f800000) {
        memset(q, 0, bits == 8 ? SAMP__BLOCK : 2 * SAMP__BLOCK);
        start[0] = start[width] = start[2 * width] = 0;
        return top >= 0x7f800000 ? NAN : 0;
    }
    __m512 factor = _mm512_set1_ps(n_max / m);
    __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(v[i], factor));
        sum[i / 2] = _mm512_add_epi32(sum[i / 2], value);
        __m128i low = _mm512_cvtepi32_epi8(value);
        if (bits == 16) {
            __m512i high = _mm512_srai_epi32(_mm512_add_epi32(value, _mm512_set1_epi32(128)), 8);
            _mm_storeu_si128((__m128i *)(q + 16 * i), _mm512_cvtepi32_epi8(high));
            _mm_storeu_si128((__m128i *)(q + SAMP__BLOCK + 16 * i), low);
        } else {
            _mm_storeu_si128((__m128i *)(q + 16 * i), low);
        }
    }
    int32_t first = _mm512_reduce_add_epi32(sum[0]), second = _mm512_reduce_add_epi32(sum[1]);
    start[0] = -128 * (first + second);
    start[width] = -128 * first;
    start[2 * width] = -128 * second;
    return m / n_max;
}

static void quantize(const samp__quantized *to, size_t token, const float *x, size_t cols)
{
    size_t slot = samp__tile_slot(to, token), t = slot % to->width;
    const uint32_t *given = to->magnitude ? to->magnitude + token : NULL;
    for (size_t b = 0; b < to->n_blocks; b++, slot += to->width) {
        size_t left = cols - b * SAMP__BLOCK, n = left < SAMP__BLOCK ? left : SAMP__BLOCK;
        to->scale[slot] =
            quantize_block(x + b * SAMP__BLOCK, n, given, to->bits, to->q + slot * to->q_bytes,
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
    float (*y)[2][SAMP__ROWS]; /* [token][group] */
} tile;

/* The codebook: with VBMI all 64 entries, repeated where there are fewer; else entries 0 … 15 and
 * 16 … 31 in each 128-bit lane. */
typedef struct tables {
    __m512i low, high;
} tables;

INLINE tables load_tables(const uint8_t codebook[SAMP__LINE])
{
#if SAMP__VBMI
    return (tables){_mm512_loadu_si512(codebook), _mm512_setzero_si512()};
#else
    const __m128i *entries = (const __m128i *)codebook;
    return (tables){_mm512_broadcast_i32x4(_mm_loadu_si128(entries)),
                    _mm512_broadcast_i32x4(_mm_loadu_si128(entries + 1))};
#endif
}

/* A byte's `width` bits from bit `first` on, moved to its bits 4 …; other bits are anything. */
INLINE __m512i to_bit_4(__m512i bits, int first)
{
    if (first < 4) return _mm512_slli_epi16(bits, (unsigned)(4 - first));
    return first > 4 ? _mm512_srli_epi16(bits, (unsigned)(first - 4)) : bits;
}

/* The codes whose low nibbles are those of v, and whose `width` high bits those of `bits` from bit
 * `first` on, through the codebook. */
INLINE __m512i look_up(__m512i v, __m512i bits, int width, int first, tables table)
{
    const __m512i nibble = _mm512_set1_epi8(15);
#if SAMP__VBMI
    if (width) { /* 0xd8: nibble ? v : bits */
        v = _mm512_ternarylogic_epi64(to_bit_4(bits, first), v, nibble, 0xd8);
    }
    return _mm512_permutexvar_epi8(v, table.low); /* by the low 6 bits */
#else
    v = _mm512_and_si512(v, nibble);
    __m512i u = _mm512_shuffle_epi8(table.low, v);
    if (width == 2) {
        __mmask64 upper = _mm512_test_epi8_mask(bits, _mm512_set1_epi8((char)(1 << first)));
        u = _mm512_mask_shuffle_epi8(u, upper, table.high, v);
    }
    if (width == 0) return u;
    const __m512i top = _mm512_set1_epi8((char)(1 << (first + width - 1)));
    return _mm512_mask_sub_epi8(u, _mm512_test_epi8_mask(bits, top), _mm512_set1_epi8(-1), u);
#endif
}

/* u of 16 rows x 4 columns: line j of columns 0…31 (part 0) or 32…63 (part 1). */
INLINE __m512i expand(samp__kind kind, const uint8_t *lines, size_t j, int part, tables table)
{
    if (kind == SAMP__BYTE) return _mm512_loadu_si512(lines + (j + 8 * (size_t)part) * SAMP__LINE);
    __m512i v = _mm512_loadu_si512(lines + j * SAMP__LINE);
    if (part) v = _mm512_srli_epi16(v, 4);
    const int width = samp__kinds[kind].high_bits;
    if (width == 0) return look_up(v, v, 0, 0, table);
    /* where j is a constant a shift is one instruction at most. */
    const int per_byte = 4 / width, first = width * (2 * (int)(j % (size_t)per_byte) + part);
    __m512i bits = _mm512_loadu_si512(lines + (8 + j / (size_t)per_byte) * SAMP__LINE);
    if (samp__kinds[kind].coded) return look_up(v, bits, width, first, table);
    bits = _mm512_and_si512(to_bit_4(bits, first), _mm512_set1_epi8((char)(width == 1 ? 16 : 48)));
    return _mm512_or_si512(_mm512_and_si512(v, _mm512_set1_epi8(15)), bits);
}

INLINE __m512i broadcast_four(const uint8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* The sums of one block over `parts` (bit 0: columns 0…31, bit 1: 32…63), started at start[t].
 * bits: of the inputs. One sum for each byte of the inputs, and for one token also for each part: a
 * vpdpbusd waits several cycles for the one before it into the same sum. */
INLINE void block_products(samp__kind kind, int bits, int m, int groups, int parts, const tile *w,
                           const uint8_t *lines, const uint8_t *q, const int32_t *start,
                           tables table, __m512i out[][2])
{
    const size_t q_bytes = bits == 8 ? SAMP__BLOCK : 2 * SAMP__BLOCK;
    const int chains = m == 1 ? 2 : 1;
    __m512i low[TILE][2][2], high[TILE][2][2]; /* [token][group][chain] */
    UNROLL
    for (int t = 0; t < m; t++) {
        UNROLL
        for (int g = 0; g < groups; g++) {
            UNROLL
            for (int c = 0; c < chains; c++) {
                low[t][g][c] = c ? _mm512_setzero_si512()
                                 : _mm512_srai_epi32(_mm512_set1_epi32(start[t]),
                                                     (unsigned)(7 - samp__kinds[kind].zero));
                high[t][g][c] = _mm512_setzero_si512();
            }
        }
    }
    UNROLL_LINES
    for (size_t j = 0; j < 8; j++) {
        UNROLL
        for (int part = 0; part < 2; part++) {
            if (!(parts >> part & 1)) continue;
            const int c = chains == 2 ? part : 0;
            const uint8_t *four = q + (size_t)part * 32 + j * 4;
            UNROLL
            for (int g = 0; g < groups; g++) {
                const uint8_t *at = lines + (size_t)g * w->weight->group_bytes;
                if (m == 1 && (part == 0 || kind == SAMP__BYTE))
                    samp__prefetch(at + (j + 8 * (size_t)part) * SAMP__LINE);
                __m512i u = expand(kind, at, j, part, table);
                UNROLL
                for (int t = 0; t < m; t++) {
                    const uint8_t *from = four + (size_t)t * q_bytes;
                    if (bits == 16) {
                        high[t][g][c] = _mm512_dpbusd_epi32(high[t][g][c], u, broadcast_four(from));
                        from += SAMP__BLOCK;
                    }
                    low[t][g][c] = _mm512_dpbusd_epi32(low[t][g][c], u, broadcast_four(from));
                }
            }
        }
    }
    UNROLL
    for (int t = 0; t < m; t++) {
        UNROLL
        for (int g = 0; g < groups; g++) {
            if (chains == 2) {
                low[t][g][0] = _mm512_add_epi32(low[t][g][0], low[t][g][1]);
                high[t][g][0] = _mm512_add_epi32(high[t][g][0], high[t][g][1]);
            }
            out[t][g] = bits == 8
                            ? low[t][g][0]
                            : _mm512_add_epi32(low[t][g][0], _mm512_slli_epi32(high[t][g][0], 8));
        }
    }
}

/* 16 rows' scales: the i-th of the group's. */
INLINE __m512 load_scale(const samp_weight *weight, const uint8_t *group, size_t i)
{
    if (!weight->coded_scales) return _mm512_loadu_ps(group + SAMP__LINE * i);
    const uint8_t *codes = group + SAMP__LINE + SAMP__ROWS * i;
    __m512i code = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)codes));
    return _mm512_mul_ps(_mm512_loadu_ps(group), _mm512_cvtepi32_ps(code));
}

INLINE void integer_tile(samp__kind kind, int bits, int m, int groups, const tile *w)
{
    const samp__kind_facts *facts = &samp__kinds[kind];
    const tables table = load_tables(w->weight->codebook);
    const uint8_t *lines = w->group + w->weight->lines_at, *q = w->q;
    const float *x_scale = w->scale;
    const int32_t *start = w->start;
    for (size_t b = 0; b < w->weight->n_blocks; b++) {
        UNROLL
        for (size_t s = 0; s < facts->scales; s++) {
            __m512i sum[TILE][2];
            block_products(kind, bits, m, groups, facts->scales == 2 ? 1 << s : 3, w, lines, q,
                           start + (facts->scales == 2 ? s + 1 : 0) * w->width, table, sum);
            UNROLL
            for (int g = 0; g < groups; g++) {
                __m512 scale = load_scale(w->weight, w->group + (size_t)g * w->weight->group_bytes,
                                          b * facts->scales + s);
                UNROLL
                for (int t = 0; t < m; t++) {
                    float *y = w->y[t][g];
                    __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x_scale[t]));
                    _mm512_storeu_ps(y, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[t][g]), both,
                                                        _mm512_loadu_ps(y)));
                }
            }
        }
        lines += w->weight->block_bytes;
        q += w->width * (bits == 8 ? SAMP__BLOCK : 2 * SAMP__BLOCK);
        x_scale += w->width;
        start += 3 * w->width;
    }
}

typedef void tile_function(const tile *w);

/* One function for each kind, input width and tile: 1, 2, 4, 8, 12 tokens of 16 rows, and 1
 * of 32. */
#define TILES(kind, bits)                                                                          \
    static void kind##_##bits##_1(const tile *w) { integer_tile(SAMP__##kind, bits, 1, 1, w); }    \
    static void kind##_##bits##_2(const tile *w) { integer_tile(SAMP__##kind, bits, 2, 1, w); }    \
    static void kind##_##bits##_4(const tile *w) { integer_tile(SAMP__##kind, bits, 4, 1, w); }    \
    static void kind##_##bits##_8(const tile *w) { integer_tile(SAMP__##kind, bits, 8, 1, w); }    \
    static void kind##_##bits##_12(const tile *w) { integer_tile(SAMP__##kind, bits, 12, 1, w); }  \
    static void kind##_##bits##_wide(const tile *w) { integer_tile(SAMP__##kind, bits, 1, 2, w); }
#define TILE_ROW(kind, bits)                                                                       \
    {                                                                                              \
        kind##_##bits##_1, kind##_##bits##_2, kind##_##bits##_4, kind##_##bits##_8,                \
            kind##_##bits##_12, kind##_##bits##_wide                                               \
    }
#define KINDS(X) X(BYTE) X(NIBBLE) X(NIBBLE32) X(INT5) X(INT6) X(CODE5) X(CODE6)
#define X(kind)  TILES(kind, 8) TILES(kind, 16)
KINDS(X)
#undef X

static const uint8_t widths[] = {1, 2, 4, 8, TILE, 0};
enum { N_WIDTHS = sizeof widths - 1, WIDE = N_WIDTHS };
static tile_function *const tiles[SAMP__INTEGER_KINDS][2][N_WIDTHS + 1] = {
#define X(kind) {TILE_ROW(kind, 8), TILE_ROW(kind, 16)},
    KINDS(X)
#undef X
};

static void store_tile(const samp__product *product, size_t group, size_t token, size_t m,
                       size_t n_groups, float (*y)[2][SAMP__ROWS])
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
            size_t slot = samp__tile_slot(input, token), width = 0;
            while (widths[width] < m) width++;
            _Alignas(64) float y[TILE][2][SAMP__ROWS];
            memset(y, 0, widths[width] * sizeof *y);
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

/* ---- float weights ---- */

INLINE __m512 load_values(samp__kind kind, const uint8_t *line)
{
    if (kind == SAMP__FP32) return _mm512_loadu_ps(line);
    if (kind == SAMP__FP8) { /* E4M3's bits as an FP16: the value * 2^-8 */
        __m256i code = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)line));
        return _mm512_cvtph_ps(
            _mm256_and_si256(_mm256_slli_epi16(code, 7), _mm256_set1_epi16((short)0xbfff)));
    }
    __m256i v = _mm256_loadu_si256((const __m256i *)line);
    if (kind == SAMP__FP16) return _mm512_cvtph_ps(v);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

/* One token x n_groups groups of 16 rows, of which there are 1 or 8. */
INLINE void float_groups(samp__kind kind, int n_groups, const samp_weight *weight,
                         const uint8_t *line, const float *x, float (*y)[SAMP__ROWS])
{
    __m512 sum[FLOAT_TILE];
    UNROLL
    for (int g = 0; g < n_groups; g++) sum[g] = _mm512_setzero_ps();
    for (size_t k = 0; k < weight->cols; k++, line += SAMP__ROWS * samp__kinds[kind].lines) {
        __m512 value = _mm512_set1_ps(x[k]);
        UNROLL
        for (int g = 0; g < n_groups; g++) {
            const uint8_t *at = line + (size_t)g * weight->group_bytes;
            sum[g] = _mm512_fmadd_ps(load_values(kind, at), value, sum[g]);
        }
    }
    UNROLL
    for (int g = 0; g < n_groups; g++) _mm512_store_ps(y[g], sum[g]);
}

INLINE void float_tokens(samp__kind kind, const uint8_t *line, size_t n, const float *x,
                         size_t cols, float (*y)[SAMP__ROWS], float *panel)
{
    __m512 sum[FLOAT_TILE];
    UNROLL
    for (int t = 0; t < FLOAT_TILE; t++) sum[t] = _mm512_load_ps(y[t]);
    for (size_t k = 0; k < n; k++, line += SAMP__ROWS * samp__kinds[kind].lines) {
        __m512 w = load_values(kind, line);
        if (panel) _mm512_store_ps(panel + SAMP__ROWS * k, w);
        UNROLL
        for (size_t t = 0; t < FLOAT_TILE; t++)
            sum[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[t * cols + k]), sum[t]);
    }
    UNROLL
    for (int t = 0; t < FLOAT_TILE; t++) _mm512_store_ps(y[t], sum[t]);
}

#include "backend/cpu/float_tiles.h"

const samp__matmul_level SAMP__TABLE = {.widths = widths,
                                        .q_bytes8 = SAMP__BLOCK,
                                        .q_bytes16 = 2 * SAMP__BLOCK,
                                        .quantize = quantize,
                                        .integers = integers,
                                        .floats = walk_floats};

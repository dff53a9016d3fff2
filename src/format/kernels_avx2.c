/* The inner loops with AVX2 and F16C: the same bytes as kernels_scalar.c (twins: the functions of
 * the same names there), whose functions also take the elements left over at the end.
 *
 * A code of a 16-entry table is found on codebook.h's grid, 32 weights at a time: as bytes, their
 * cells are looked up, and one compare of 16-bit positions does the rest. Weights on a midpoint's
 * own position, and the scale search, take bisection, 4 compares of floats: after each, the next
 * midpoint is looked up by the bits found so far. Larger tables are gathered from (lut.h). Bytes
 * read and written a weight: 4 and 0.5 (pack), 8 and 0 (fit, 20 calls a group in a search, about 11
 * floating-point operations a weight each).
 *
 * Measured, one core of an AMD EPYC (Zen 1, 256-bit instructions run in two halves, shared
 * machine), tests/format/test_kernels, gcc 12, 2026-11-24, with the widening of a bf16 input: GB/s
 * of bf16 for NF4 2.9 (by bisection, 1.6), nf4a 1.8, int5 and int6 2.0, int8 2.2, fp8 1.9; with the
 * scale search nf4 .048, int8 .085; nf5a and nf6a .75 and .047. All are bound by these
 * instructions, not by memory. */
#include "format/kernels.h"
#include "format/kernels_avx2.h"

#include <immintrin.h>
#include <string.h>

static const samp__kernels *const scalar = &samp__kernels_scalar;

float samp__avx2_extreme(const float *w, size_t n)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(w + i);
        low = _mm256_min_ps(x, low); /* of two zeros the second operand, which is positive */
        high = _mm256_max_ps(x, high);
    }
    /* lows negated, so that both are folded as maxima */
    __m256 minus = _mm256_sub_ps(_mm256_setzero_ps(), low);
    __m256 both = _mm256_max_ps(_mm256_unpacklo_ps(high, minus), _mm256_unpackhi_ps(high, minus));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    float highest = _mm_cvtss_f32(four), lowest = -_mm_cvtss_f32(_mm_movehdup_ps(four));
    float largest[2] = {highest >= -lowest ? highest : lowest, 0};
    if (i == n) return largest[0];
    largest[1] = scalar->extreme(w + i, n - i);
    return scalar->extreme(largest, 2);
}

static inline uint32_t magnitude(const float *w, size_t n)
{
    const __m256i bits = _mm256_set1_epi32(0x7fffffff);
    __m256i a = _mm256_setzero_si256(), b = a;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(w + i));
        __m256i y = _mm256_loadu_si256((const __m256i *)(w + i + 8));
        a = _mm256_max_epi32(a, _mm256_and_si256(x, bits));
        b = _mm256_max_epi32(b, _mm256_and_si256(y, bits));
    }
    a = _mm256_max_epi32(a, b);
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    four = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 1));
    uint32_t largest = (uint32_t)_mm_cvtsi128_si32(four), rest = 0;
    if (i < n) scalar->magnitudes(w + i, n - i, n, &rest);
    return largest > rest ? largest : rest;
}

void samp__avx2_magnitudes(const float *w, size_t n, size_t group, uint32_t *out)
{
    for (size_t i = 0; i < n; i += group) *out++ = magnitude(w + i, n - i < group ? n - i : group);
}

/* A codebook in registers: the midpoints by level of the bisection, and the values. */
typedef struct codebook {
    __m256 first, second_low, second_high, third,
        fourth; /* midpoints 7; 3, 11; 1 5 9 13; 0 2 … 14 */
    __m256 value_low, value_high;
} codebook;

static inline codebook load_codebook(const float midpoint[15], const float *value)
{
    const float *m = midpoint;
    codebook book = {.first = _mm256_set1_ps(m[7]),
                     .second_low = _mm256_set1_ps(m[3]),
                     .second_high = _mm256_set1_ps(m[11]),
                     .third = _mm256_setr_ps(m[1], m[5], m[9], m[13], m[1], m[5], m[9], m[13]),
                     .fourth = _mm256_setr_ps(m[0], m[2], m[4], m[6], m[8], m[10], m[12], m[14])};
    if (value) {
        book.value_low = _mm256_loadu_ps(value);
        book.value_high = _mm256_loadu_ps(value + 8);
    }
    return book;
}

/* The code's first bit as a mask; the code itself. A compare gives -1 where a bit is 1. */
static inline __m256i bisect(const codebook *book, __m256 x, __m256 *upper)
{
    __m256 bit3 = _mm256_cmp_ps(x, book->first, _CMP_GT_OQ);
    __m256 second = _mm256_blendv_ps(book->second_low, book->second_high, bit3);
    __m256i bit2 = _mm256_castps_si256(_mm256_cmp_ps(x, second, _CMP_GT_OQ));
    __m256i high = _mm256_castps_si256(bit3);
    __m256i code = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_add_epi32(high, high));
    code = _mm256_sub_epi32(code, bit2);
    __m256 third = _mm256_permutevar_ps(book->third, code);
    __m256i bit1 = _mm256_castps_si256(_mm256_cmp_ps(x, third, _CMP_GT_OQ));
    code = _mm256_sub_epi32(_mm256_add_epi32(code, code), bit1);
    __m256 fourth = _mm256_permutevar8x32_ps(book->fourth, code);
    __m256i bit0 = _mm256_castps_si256(_mm256_cmp_ps(x, fourth, _CMP_GT_OQ));
    *upper = bit3;
    return _mm256_sub_epi32(_mm256_add_epi32(code, code), bit0);
}

static inline __m256 level_of_code(const codebook *book, __m256i code, __m256 upper)
{
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(book->value_low, code),
                            _mm256_permutevar8x32_ps(book->value_high, code), upper);
}

/* 32 codes -> 16 bytes, the even one in the high nibble. Of each 8 codes the low lane has the first
 * four, the high lane the others. */
static inline __m128i pack_codes(__m256i codes)
{
    __m256i pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x0110));
    __m128i first = _mm256_castsi256_si128(pairs), second = _mm256_extracti128_si256(pairs, 1);
    first = _mm_packus_epi16(first, first);
    second = _mm_packus_epi16(second, second);
    return _mm_unpacklo_epi16(first, second);
}

/* A table of 32 cells, one a byte. A lookup gives 0 where the index's top bit is 1: `cell` has it in
 * negative cells, `other` in the rest. */
typedef struct cell_table {
    __m256i positive, negative;
} cell_table;

static inline cell_table load_cells(const uint8_t table[SAMP__CELLS])
{
    const __m128i *half = (const __m128i *)table;
    return (cell_table){_mm256_broadcastsi128_si256(_mm_loadu_si128(half)),
                        _mm256_broadcastsi128_si256(_mm_loadu_si128(half + 1))};
}

static inline __m256i of_cell(cell_table table, __m256i cell, __m256i other)
{
    return _mm256_or_si256(_mm256_shuffle_epi8(table.positive, cell),
                           _mm256_shuffle_epi8(table.negative, other));
}

/* Positions of 16 weights: lane 0 has 0 … 3 and 8 … 11. What is far too large for the conversion
 * comes out lowest. */
static inline __m256i positions(const float *w, __m256 factor, __m256 grid)
{
    __m256 a = _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(w), factor), grid);
    __m256 b = _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(w + 8), factor), grid);
    return _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
}

/* Codes of 32 weights by comparing floats, in pack_codes' order. */
static __attribute__((noinline)) __m256i codes_of_floats(const float midpoint[15], const float *w,
                                                         __m256 factor)
{
    const codebook book = load_codebook(midpoint, NULL);
    __m256i code[4];
    for (int k = 0; k < 4; k++) {
        __m256 upper, x = _mm256_mul_ps(_mm256_loadu_ps(w + 8 * k), factor);
        code[k] = bisect(&book, x, &upper);
    }
    return _mm256_packus_epi16(_mm256_packs_epi32(code[0], code[1]),
                               _mm256_packs_epi32(code[2], code[3]));
}

/* A prepared codebook in registers. */
typedef struct cell_book {
    __m256 grid;
    cell_table code, low, high;
} cell_book;

/* Codes of 32 weights; false when a position is a midpoint's, or cannot be told. */
static inline bool codes_of_cells(const cell_book *book, const float *w, __m256 factor,
                                  __m256i *codes)
{
    __m256i a = positions(w, factor, book->grid), b = positions(w + 16, factor, book->grid);
    __m256i cell = _mm256_packs_epi16(_mm256_srai_epi16(a, SAMP__CELL_BITS),
                                      _mm256_srai_epi16(b, SAMP__CELL_BITS));
    __m256i other = _mm256_xor_si256(cell, _mm256_set1_epi8((char)0x80));
    __m256i low = of_cell(book->low, cell, other), high = of_cell(book->high, cell, other);
    __m256i bound_a = _mm256_unpacklo_epi8(low, high), bound_b = _mm256_unpackhi_epi8(low, high);
    __m256i above =
        _mm256_packs_epi16(_mm256_cmpgt_epi16(a, bound_a), _mm256_cmpgt_epi16(b, bound_b));
    __m256i same = _mm256_or_si256(_mm256_cmpeq_epi16(a, bound_a), _mm256_cmpeq_epi16(b, bound_b));
    *codes = _mm256_sub_epi8(of_cell(book->code, cell, other), above);
    return _mm256_testz_si256(same, same);
}

static inline void pack_group(const cell_book *cells, const samp__codebook *book, const float *w,
                              size_t n, float inv, int pad, uint8_t *out)
{
    const __m256 factor = _mm256_set1_ps(inv);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i codes;
        if (!codes_of_cells(cells, w + i, factor, &codes))
            codes = codes_of_floats(book->midpoint, w + i, factor);
        _mm_storeu_si128((__m128i *)(out + i / 2), pack_codes(codes));
    }
    if (i < n) scalar->codebook_pack(w + i, n - i, n, &inv, book, pad, out + i / 2);
}

static void codebook_pack(const float *w, size_t n, size_t group, const float *inv,
                          const samp__codebook *book, int pad, uint8_t *out)
{
    const cell_book cells = {_mm256_set1_ps(book->grid), load_cells(book->code),
                             load_cells(book->low), load_cells(book->high)};
    for (size_t i = 0; i < n; i += group)
        pack_group(&cells, book, w + i, n - i < group ? n - i : group, *inv++, pad, out + i / 2);
}

void samp__avx2_codebook_unpack(const uint8_t *packed, size_t n, float scale, const float value[16],
                                float *out)
{
    const __m256 low = _mm256_loadu_ps(value), high = _mm256_loadu_ps(value + 8);
    const __m256 factor = _mm256_set1_ps(scale);
    const __m256i odd_places = _mm256_setr_epi32(4, 0, 4, 0, 4, 0, 4, 0);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        int32_t four;
        memcpy(&four, packed + i / 2, sizeof four);
        /* each byte twice, then the even place shifted by 4 */
        __m128i twice = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), _mm_cvtsi32_si128(four));
        __m256i code = _mm256_srlv_epi32(_mm256_cvtepu8_epi32(twice), odd_places);
        __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)); /* bit 3 to the sign */
        __m256 level = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, code),
                                        _mm256_permutevar8x32_ps(high, code), upper);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(level, factor));
    }
    scalar->codebook_unpack(packed + i / 2, n - i, scale, value, out + i);
}

/* 32 integers of -128 … 127 -> 32 bytes. */
static inline __m256i pack_integers(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* Clamping before rounding gives what clamping after does, as the limits are integers. */
static inline __m256i round_clamped(__m256 x, __m256 low, __m256 high)
{
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(x, low), high));
}

void samp__avx2_round_integers(const float *w, size_t n, float inv, float low, float high,
                               int8_t *t)
{
    const __m256 factor = _mm256_set1_ps(inv), lows = _mm256_set1_ps(low),
                 highs = _mm256_set1_ps(high);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i r[4];
        for (int k = 0; k < 4; k++)
            r[k] =
                round_clamped(_mm256_mul_ps(_mm256_loadu_ps(w + i + 8 * k), factor), lows, highs);
        _mm256_storeu_si256((__m256i *)(t + i), pack_integers(r[0], r[1], r[2], r[3]));
    }
    scalar->round_integers(w + i, n - i, inv, low, high, t + i);
}

/* The level nearest to each x: a gather from the table, at samp__lut_index. */
static inline __m256 nearest_levels(const samp__lut *lut, __m256 x)
{
    const __m256 end = _mm256_set1_ps(127), two = _mm256_set1_ps(2);
    __m256 clamped = _mm256_min_ps(_mm256_max_ps(x, _mm256_sub_ps(_mm256_setzero_ps(), end)), end);
    __m256i index = _mm256_cvttps_epi32(_mm256_ceil_ps(_mm256_mul_ps(clamped, two)));
    return _mm256_i32gather_ps(lut->value + SAMP__LUT_ZERO, index, sizeof(float));
}

void samp__avx2_round_to_levels(const samp__lut *lut, const float *w, size_t n, float inv,
                                int8_t *t)
{
    const __m256 factor = _mm256_set1_ps(inv);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i r[4];
        for (int k = 0; k < 4; k++)
            r[k] = _mm256_cvtps_epi32(
                nearest_levels(lut, _mm256_mul_ps(_mm256_loadu_ps(w + i + 8 * k), factor)));
        _mm256_storeu_si256((__m256i *)(t + i), pack_integers(r[0], r[1], r[2], r[3]));
    }
    scalar->round_to_levels(lut, w + i, n - i, inv, t + i);
}

void samp__avx2_scale_integers(const int8_t *t, size_t n, float scale, float *out)
{
    const __m256 factor = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(t + i)));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(factor, _mm256_cvtepi32_ps(wide)));
    }
    scalar->scale_integers(t + i, n - i, scale, out + i);
}

/* Lanes 0–7 and 8–15, added in halves as the scalar code does. */
static inline float lane_sum(__m256 low, __m256 high)
{
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Sums of 16 lanes, as two registers of 8. */
typedef struct fit_sums {
    __m256 wt, tt, error;
} fit_sums;

static inline void fit_add(fit_sums *sums, __m256 w, __m256 h, __m256 t, __m256 scale)
{
    __m256 ht = _mm256_mul_ps(h, t), rest = _mm256_sub_ps(w, _mm256_mul_ps(scale, t));
    sums->wt = _mm256_add_ps(sums->wt, _mm256_mul_ps(ht, w));
    sums->tt = _mm256_add_ps(sums->tt, _mm256_mul_ps(ht, t));
    sums->error = _mm256_add_ps(sums->error, _mm256_mul_ps(_mm256_mul_ps(h, rest), rest));
}

static inline void fit_codebook(fit_sums *sums, const codebook *book, const float *w,
                                const float *h, __m256 factor, __m256 scale)
{
    __m256 upper, x = _mm256_loadu_ps(w);
    __m256i code = bisect(book, _mm256_mul_ps(x, factor), &upper);
    fit_add(sums, x, _mm256_loadu_ps(h), level_of_code(book, code, upper), scale);
}

static inline void fit_integers(fit_sums *sums, __m256 low, __m256 high, const float *w,
                                const float *h, __m256 factor, __m256 scale)
{
    __m256 x = _mm256_loadu_ps(w);
    __m256i t = round_clamped(_mm256_mul_ps(x, factor), low, high);
    fit_add(sums, x, _mm256_loadu_ps(h), _mm256_cvtepi32_ps(t), scale);
}

static inline void fit_table(fit_sums *sums, const samp__lut *lut, const float *w, const float *h,
                             __m256 factor, __m256 scale)
{
    __m256 x = _mm256_loadu_ps(w), t = nearest_levels(lut, _mm256_mul_ps(x, factor));
    fit_add(sums, x, _mm256_loadu_ps(h), t, scale);
}

static samp__fit fit(const samp__levels *levels, const float *w, const float *h, size_t n,
                     float scale)
{
    const __m256 factor = _mm256_set1_ps(1.0f / scale), scales = _mm256_set1_ps(scale);
    fit_sums a = {0}, b = {0};
    if (levels->value) {
        const codebook book = load_codebook(levels->midpoint, levels->value);
        for (size_t i = 0; i < n; i += 16) {
            fit_codebook(&a, &book, w + i, h + i, factor, scales);
            fit_codebook(&b, &book, w + i + 8, h + i + 8, factor, scales);
        }
    } else if (levels->lut) {
        for (size_t i = 0; i < n; i += 16) {
            fit_table(&a, levels->lut, w + i, h + i, factor, scales);
            fit_table(&b, levels->lut, w + i + 8, h + i + 8, factor, scales);
        }
    } else {
        const __m256 low = _mm256_set1_ps(levels->low), high = _mm256_set1_ps(levels->high);
        for (size_t i = 0; i < n; i += 16) {
            fit_integers(&a, low, high, w + i, h + i, factor, scales);
            fit_integers(&b, low, high, w + i + 8, h + i + 8, factor, scales);
        }
    }
    return (samp__fit){lane_sum(a.wt, b.wt), lane_sum(a.tt, b.tt), lane_sum(a.error, b.error)};
}

void samp__avx2_bf16_to_float(const void *in, size_t n, float *out)
{
    const uint8_t *bytes = in;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i x = _mm_loadu_si128((const __m128i *)(bytes + 2 * i)), zero = _mm_setzero_si128();
        _mm_storeu_si128((__m128i *)(out + i), _mm_unpacklo_epi16(zero, x));
        _mm_storeu_si128((__m128i *)(out + i + 4), _mm_unpackhi_epi16(zero, x));
    }
    scalar->bf16_to_float(bytes + 2 * i, n - i, out + i);
}

/* 8 floats -> bf16 in the low halves of 8 lanes. */
static inline __m256i bf16_of(__m256 x)
{
    const __m256i one = _mm256_set1_epi32(1), bias = _mm256_set1_epi32(0x7fff);
    __m256i bits = _mm256_castps_si256(x), top = _mm256_srli_epi32(bits, 16);
    __m256i rounded = _mm256_srli_epi32(
        _mm256_add_epi32(bits, _mm256_add_epi32(bias, _mm256_and_si256(top, one))), 16);
    __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    __m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
}

void samp__avx2_float_to_bf16(const float *in, size_t n, void *out)
{
    uint8_t *bytes = out;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i a = bf16_of(_mm256_loadu_ps(in + i)), b = bf16_of(_mm256_loadu_ps(in + i + 8));
        __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xD8);
        _mm256_storeu_si256((__m256i *)(bytes + 2 * i), both);
    }
    scalar->float_to_bf16(in + i, n - i, bytes + 2 * i);
}

void samp__avx2_fp16_to_float(const void *in, size_t n, float *out)
{
    const uint8_t *bytes = in;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i,
                         _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(bytes + 2 * i))));
    scalar->fp16_to_float(bytes + 2 * i, n - i, out + i);
}

void samp__avx2_float_to_fp16(const float *in, size_t n, void *out)
{
    uint8_t *bytes = out;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half =
            _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((__m128i *)(bytes + 2 * i), half);
    }
    scalar->float_to_fp16(in + i, n - i, bytes + 2 * i);
}

/* base/half.h's samp_float_to_e4m3 for finite x (and infinities), 8 at a time. */
static inline __m256i e4m3_of(__m256 x)
{
    const __m256i magnitude_bits = _mm256_set1_epi32(0x7fffffff), one = _mm256_set1_epi32(1);
    __m256i bits = _mm256_castps_si256(x), magnitude = _mm256_and_si256(bits, magnitude_bits);
    __m256i sign = _mm256_and_si256(_mm256_srli_epi32(bits, 24), _mm256_set1_epi32(0x80));
    /* 448 and more: 0x43e00000 rounds to code 0x7e */
    magnitude = _mm256_min_epi32(magnitude, _mm256_set1_epi32(0x43e00000));
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(magnitude, 20), one);
    __m256i rounded =
        _mm256_add_epi32(_mm256_add_epi32(magnitude, _mm256_set1_epi32(0x7ffff)), odd);
    __m256i normal =
        _mm256_srli_epi32(_mm256_sub_epi32(rounded, _mm256_set1_epi32(0x3c000000)), 20);
    __m256 shifted = _mm256_add_ps(_mm256_castsi256_ps(magnitude), _mm256_set1_ps(0x1p14f));
    __m256i subnormal =
        _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x46800000));
    __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x3c800000), magnitude);
    return _mm256_or_si256(sign, _mm256_blendv_epi8(normal, subnormal, is_small));
}

void samp__avx2_float_to_e4m3(const float *w, size_t n, float scale, uint8_t *out)
{
    const __m256 divisor = _mm256_set1_ps(scale);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i code[4];
        for (int k = 0; k < 4; k++)
            code[k] = e4m3_of(_mm256_div_ps(_mm256_loadu_ps(w + i + 8 * k), divisor));
        __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(code[0], code[1]),
                                            _mm256_packs_epi32(code[2], code[3]));
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_permutevar8x32_epi32(bytes, order));
    }
    scalar->float_to_e4m3(w + i, n - i, scale, out + i);
}

/* As fp16 the bits of an E4M3 shifted by 7 are its value * 2^-8, exactly; 0x7f (NaN) is put right
 * after. */
void samp__avx2_e4m3_to_float(const uint8_t *in, size_t n, float scale, float *out)
{
    const __m256 factor = _mm256_set1_ps(scale), unit = _mm256_set1_ps(256.0f);
    const __m128i magnitude_bits = _mm_set1_epi16(0x7f), sign_bit = _mm_set1_epi16(0x80);
    const __m128i nan = _mm_set1_epi16(0x7e00);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i wide = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(in + i)));
        __m128i magnitude = _mm_and_si128(wide, magnitude_bits);
        __m128i half = _mm_slli_epi16(magnitude, 7);
        half = _mm_blendv_epi8(half, nan, _mm_cmpeq_epi16(magnitude, magnitude_bits));
        half = _mm_or_si128(half, _mm_slli_epi16(_mm_and_si128(wide, sign_bit), 8));
        __m256 x = _mm256_mul_ps(_mm256_cvtph_ps(half), unit);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(x, factor));
    }
    scalar->e4m3_to_float(in + i, n - i, scale, out + i);
}

const samp__kernels samp__kernels_avx2 = {.extreme = samp__avx2_extreme,
                                          .magnitudes = samp__avx2_magnitudes,
                                          .codebook_pack = codebook_pack,
                                          .codebook_unpack = samp__avx2_codebook_unpack,
                                          .round_integers = samp__avx2_round_integers,
                                          .round_to_levels = samp__avx2_round_to_levels,
                                          .scale_integers = samp__avx2_scale_integers,
                                          .fit = fit,
                                          .bf16_to_float = samp__avx2_bf16_to_float,
                                          .float_to_bf16 = samp__avx2_float_to_bf16,
                                          .fp16_to_float = samp__avx2_fp16_to_float,
                                          .float_to_fp16 = samp__avx2_float_to_fp16,
                                          .float_to_e4m3 = samp__avx2_float_to_e4m3,
                                          .e4m3_to_float = samp__avx2_e4m3_to_float};

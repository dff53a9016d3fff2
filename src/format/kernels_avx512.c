/* The two inner loops that gain from AVX-512: codes of a 16-entry table and the scale search's fit,
 * where one register holds the whole table (larger ones are gathered from). The rest is the AVX2
 * code (kernels_avx2.h). Scalar twins: the functions of the same names in kernels_scalar.c. */
#include "format/kernels_avx2.h"

#include <immintrin.h>

/* Midpoints for bisection: entry c of table `step` is midpoint[c + step - 1]. */
typedef struct codebook {
    __m512 first, step4, step2, step1, value;
} codebook;

static inline __m512 shifted(const float midpoint[15], int by)
{
    float entry[16] = {0};
    for (int c = 0; c + by < 15; c++) entry[c] = midpoint[c + by];
    return _mm512_loadu_ps(entry);
}

static inline codebook load_codebook(const float midpoint[15], const float *value)
{
    return (codebook){.first = _mm512_set1_ps(midpoint[7]),
                      .step4 = shifted(midpoint, 3),
                      .step2 = shifted(midpoint, 1),
                      .step1 = shifted(midpoint, 0),
                      .value = value ? _mm512_loadu_ps(value) : _mm512_setzero_ps()};
}

static inline __m512i advance(__m512 x, __m512 bound, __m512i code, int step)
{
    __mmask16 above = _mm512_cmp_ps_mask(x, bound, _CMP_GT_OQ);
    return _mm512_mask_add_epi32(code, above, code, _mm512_set1_epi32(step));
}

static inline __m512i bisect(const codebook *book, __m512 x)
{
    __m512i code = advance(x, book->first, _mm512_setzero_si512(), 8);
    code = advance(x, _mm512_permutexvar_ps(code, book->step4), code, 4);
    code = advance(x, _mm512_permutexvar_ps(code, book->step2), code, 2);
    return advance(x, _mm512_permutexvar_ps(code, book->step1), code, 1);
}

static void pack_group(const codebook *book, const samp__codebook *prepared, const float *w,
                       size_t n, float inv, int pad, uint8_t *out)
{
    const __m512 factor = _mm512_set1_ps(inv);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i code = bisect(book, _mm512_mul_ps(_mm512_loadu_ps(w + i), factor));
        /* a pair of codes is a 64-bit lane: even << 4 | odd comes to its lowest byte */
        __m512i pair = _mm512_or_si512(_mm512_slli_epi64(code, 4), _mm512_srli_epi64(code, 32));
        _mm_storel_epi64((__m128i *)(out + i / 2), _mm512_cvtepi64_epi8(pair));
    }
    if (i < n)
        samp__kernels_scalar.codebook_pack(w + i, n - i, n, &inv, prepared, pad, out + i / 2);
}

static void codebook_pack(const float *w, size_t n, size_t group, const float *inv,
                          const samp__codebook *prepared, int pad, uint8_t *out)
{
    const codebook book = load_codebook(prepared->midpoint, NULL);
    for (size_t i = 0; i < n; i += group)
        pack_group(&book, prepared, w + i, n - i < group ? n - i : group, *inv++, pad, out + i / 2);
}

/* 16 lanes, added in halves as the scalar code does. */
static inline float lane_sum(__m512 lanes)
{
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* The level nearest to each x: a gather from the table, at samp__lut_index. */
static inline __m512 nearest_levels(const samp__lut *lut, __m512 x)
{
    const __m512 low = _mm512_set1_ps(-127), high = _mm512_set1_ps(127), two = _mm512_set1_ps(2);
    __m512 twice = _mm512_mul_ps(_mm512_min_ps(_mm512_max_ps(x, low), high), two);
    __m512i index = _mm512_cvt_roundps_epi32(twice, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    return _mm512_i32gather_ps(index, lut->value + SAMP__LUT_ZERO, sizeof(float));
}

static samp__fit fit(const samp__levels *levels, const float *w, const float *h, size_t n,
                     float scale)
{
    const __m512 factor = _mm512_set1_ps(1.0f / scale), scales = _mm512_set1_ps(scale);
    const __m512 low = _mm512_set1_ps(levels->low), high = _mm512_set1_ps(levels->high);
    codebook book = {0};
    if (levels->value) book = load_codebook(levels->midpoint, levels->value);
    __m512 wt = _mm512_setzero_ps(), tt = wt, error = wt;
    for (size_t i = 0; i < n; i += 16) {
        __m512 x = _mm512_loadu_ps(w + i), scaled = _mm512_mul_ps(x, factor), t;
        if (levels->value) {
            t = _mm512_permutexvar_ps(bisect(&book, scaled), book.value);
        } else if (levels->lut) {
            t = nearest_levels(levels->lut, scaled);
        } else {
            __m512 clamped = _mm512_min_ps(_mm512_max_ps(scaled, low), high);
            t = _mm512_cvtepi32_ps(_mm512_cvtps_epi32(clamped));
        }
        __m512 importance = _mm512_loadu_ps(h + i), ht = _mm512_mul_ps(importance, t);
        __m512 rest = _mm512_sub_ps(x, _mm512_mul_ps(scales, t));
        wt = _mm512_add_ps(wt, _mm512_mul_ps(ht, x));
        tt = _mm512_add_ps(tt, _mm512_mul_ps(ht, t));
        error = _mm512_add_ps(error, _mm512_mul_ps(_mm512_mul_ps(importance, rest), rest));
    }
    return (samp__fit){lane_sum(wt), lane_sum(tt), lane_sum(error)};
}

const samp__kernels samp__kernels_avx512 = {.extreme = samp__avx2_extreme,
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

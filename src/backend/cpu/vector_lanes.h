/* Sixteen float lanes, four times: plain C, two AVX2 registers, one AVX-512 register, four of NEON
 * (vector_lanes_neon.h).
 *
 * backend/numerics.h defines sums in 16 lanes; code written over this type is written once and has
 * the same bits everywhere. The including .c file defines one of SAMP__LANES_SCALAR,
 * SAMP__LANES_AVX2, SAMP__LANES_AVX512 or SAMP__LANES_NEON and is compiled with that level's flags
 * (isa.cmake). All functions are static and inlined. `n` in names with _n is a number of lanes,
 * 0…16. */
#ifndef SAMP_CPU_VECTOR_LANES_H
#define SAMP_CPU_VECTOR_LANES_H

#include "backend/numerics.h"

#define SAMP__INLINE static inline __attribute__((always_inline, unused))

#if defined(SAMP__LANES_SCALAR)

enum { SAMP__EXP_CHAINS = 1 }; /* of lanes_exp_each */

typedef struct lanes {
    float v[SAMP_LANES];
} lanes;

#define SAMP__EACH(expression)                                                                     \
    lanes y;                                                                                       \
    for (int l = 0; l < SAMP_LANES; l++) y.v[l] = (expression);                                    \
    return y

SAMP__INLINE lanes lanes_set(float x) { SAMP__EACH(x); }
SAMP__INLINE lanes lanes_load(const float *p) { SAMP__EACH(p[l]); }
SAMP__INLINE lanes lanes_load_n(const float *p, int n) { SAMP__EACH(l < n ? p[l] : 0); }
SAMP__INLINE lanes lanes_load_fp16(const uint16_t *p) { SAMP__EACH(samp_fp16_to_float(p[l])); }
SAMP__INLINE lanes lanes_load_bf16(const uint16_t *p) { SAMP__EACH(samp_bf16_to_float(p[l])); }
SAMP__INLINE lanes lanes_load_int8(const int8_t *p) { SAMP__EACH((float)p[l]); }
SAMP__INLINE lanes lanes_add(lanes a, lanes b) { SAMP__EACH(a.v[l] + b.v[l]); }
SAMP__INLINE lanes lanes_sub(lanes a, lanes b) { SAMP__EACH(a.v[l] - b.v[l]); }
SAMP__INLINE lanes lanes_mul(lanes a, lanes b) { SAMP__EACH(a.v[l] * b.v[l]); }
SAMP__INLINE lanes lanes_div(lanes a, lanes b) { SAMP__EACH(a.v[l] / b.v[l]); }
SAMP__INLINE lanes lanes_neg(lanes a) { SAMP__EACH(-a.v[l]); }
SAMP__INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    SAMP__EACH(fmaf(a.v[l], b.v[l], c.v[l]));
}
SAMP__INLINE lanes lanes_round(lanes a) { SAMP__EACH(nearbyintf(a.v[l])); }
/* b where either is NaN. */
SAMP__INLINE lanes lanes_max(lanes a, lanes b) { SAMP__EACH(a.v[l] > b.v[l] ? a.v[l] : b.v[l]); }
SAMP__INLINE lanes lanes_min(lanes a, lanes b) { SAMP__EACH(a.v[l] < b.v[l] ? a.v[l] : b.v[l]); }
/* |x| as a non-negative float whose bits compare as integers; the larger of two such. */
SAMP__INLINE lanes lanes_max_bits(lanes max, lanes x)
{
    SAMP__EACH(samp_bits_float(samp_max_bits((float[]){max.v[l], x.v[l]}, 2)));
}
/* a in the first n lanes, b in the others. */
SAMP__INLINE lanes lanes_first(lanes a, lanes b, int n) { SAMP__EACH(l < n ? a.v[l] : b.v[l]); }
/* a where x > limit, 0 elsewhere and where x is NaN. */
SAMP__INLINE lanes lanes_where_above(lanes a, lanes x, float limit)
{
    SAMP__EACH(x.v[l] > limit ? a.v[l] : 0);
}
/* p * 2^n for whole n > -127; below, anything. */
SAMP__INLINE lanes lanes_scale(lanes p, lanes n)
{
    SAMP__EACH(p.v[l] *
               samp_bits_float((uint32_t)(n.v[l] > -127 ? (int32_t)n.v[l] + 127 : 0) << 23));
}
SAMP__INLINE void lanes_store(float *p, lanes a) { memcpy(p, a.v, sizeof a.v); }
SAMP__INLINE void lanes_store_n(float *p, lanes a, int n)
{
    for (int l = 0; l < n; l++) p[l] = a.v[l];
}
SAMP__INLINE void lanes_store_fp16(uint16_t *p, lanes a)
{
    for (int l = 0; l < SAMP_LANES; l++) p[l] = samp_float_to_fp16(a.v[l]);
}
/* Of whole values in range. */
SAMP__INLINE void lanes_store_int16(int16_t *p, lanes a)
{
    for (int l = 0; l < SAMP_LANES; l++) p[l] = (int16_t)a.v[l];
}
SAMP__INLINE void lanes_store_int8(int8_t *p, lanes a)
{
    for (int l = 0; l < SAMP_LANES; l++) p[l] = (int8_t)a.v[l];
}
/* Pairs p[0], p[1], p[2], … to firsts and seconds. */
SAMP__INLINE void lanes_load_pairs(const float *p, lanes *first, lanes *second)
{
    for (int l = 0; l < SAMP_LANES; l++) first->v[l] = p[2 * l], second->v[l] = p[2 * l + 1];
}
SAMP__INLINE float lanes_sum(lanes a) { return samp_lane_sum(a.v); }
SAMP__INLINE float lanes_largest(lanes a)
{
    float max = a.v[0];
    for (int l = 1; l < SAMP_LANES; l++) max = a.v[l] > max ? a.v[l] : max;
    return max;
}
SAMP__INLINE uint32_t lanes_largest_bits(lanes a) { return samp_max_bits(a.v, SAMP_LANES); }

#undef SAMP__EACH

#elif defined(SAMP__LANES_AVX2)

#include <immintrin.h>

enum { SAMP__EXP_CHAINS = 2 };

typedef struct lanes {
    __m256 lo, hi;
} lanes;

#define SAMP__BOTH(a, b) ((lanes){a, b})

static const int32_t samp__first_mask[2 * SAMP_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                         -1, -1, -1, -1, -1, -1, -1, -1};

SAMP__INLINE __m256i samp__mask_lo(int n)
{
    return _mm256_loadu_si256((const __m256i *)(samp__first_mask + SAMP_LANES - n));
}
SAMP__INLINE __m256i samp__mask_hi(int n)
{
    return _mm256_loadu_si256((const __m256i *)(samp__first_mask + SAMP_LANES - n + 8));
}
SAMP__INLINE lanes lanes_set(float x) { return SAMP__BOTH(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
SAMP__INLINE lanes lanes_load(const float *p)
{
    return SAMP__BOTH(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
SAMP__INLINE lanes lanes_load_n(const float *p, int n)
{
    return SAMP__BOTH(_mm256_maskload_ps(p, samp__mask_lo(n)),
                      _mm256_maskload_ps(p + 8, samp__mask_hi(n)));
}
SAMP__INLINE lanes lanes_load_fp16(const uint16_t *p)
{
    return SAMP__BOTH(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                      _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8))));
}
SAMP__INLINE lanes lanes_load_bf16(const uint16_t *p)
{
    __m256i lo = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    __m256i hi = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)));
    return SAMP__BOTH(_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)),
                      _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16)));
}
SAMP__INLINE lanes lanes_load_int8(const int8_t *p)
{
    return SAMP__BOTH(
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p))),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))));
}
SAMP__INLINE lanes lanes_add(lanes a, lanes b)
{
    return SAMP__BOTH(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi));
}
SAMP__INLINE lanes lanes_sub(lanes a, lanes b)
{
    return SAMP__BOTH(_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi));
}
SAMP__INLINE lanes lanes_mul(lanes a, lanes b)
{
    return SAMP__BOTH(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi));
}
SAMP__INLINE lanes lanes_div(lanes a, lanes b)
{
    return SAMP__BOTH(_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi));
}
SAMP__INLINE lanes lanes_neg(lanes a)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return SAMP__BOTH(_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign));
}
SAMP__INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return SAMP__BOTH(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}
SAMP__INLINE lanes lanes_round(lanes a)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return SAMP__BOTH(_mm256_round_ps(a.lo, NEAREST), _mm256_round_ps(a.hi, NEAREST));
}
SAMP__INLINE lanes lanes_max(lanes a, lanes b)
{
    return SAMP__BOTH(_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi));
}
SAMP__INLINE lanes lanes_min(lanes a, lanes b)
{
    return SAMP__BOTH(_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi));
}
SAMP__INLINE lanes lanes_max_bits(lanes max, lanes x)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i lo = _mm256_and_si256(_mm256_castps_si256(x.lo), magnitude);
    __m256i hi = _mm256_and_si256(_mm256_castps_si256(x.hi), magnitude);
    return SAMP__BOTH(_mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(max.lo), lo)),
                      _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(max.hi), hi)));
}
SAMP__INLINE lanes lanes_first(lanes a, lanes b, int n)
{
    return SAMP__BOTH(_mm256_blendv_ps(b.lo, a.lo, _mm256_castsi256_ps(samp__mask_lo(n))),
                      _mm256_blendv_ps(b.hi, a.hi, _mm256_castsi256_ps(samp__mask_hi(n))));
}
SAMP__INLINE lanes lanes_where_above(lanes a, lanes x, float limit)
{
    __m256 l = _mm256_set1_ps(limit);
    return SAMP__BOTH(_mm256_and_ps(a.lo, _mm256_cmp_ps(x.lo, l, _CMP_GT_OQ)),
                      _mm256_and_ps(a.hi, _mm256_cmp_ps(x.hi, l, _CMP_GT_OQ)));
}
SAMP__INLINE lanes lanes_scale(lanes p, lanes n)
{
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i lo = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.lo), bias), 23);
    __m256i hi = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.hi), bias), 23);
    return SAMP__BOTH(_mm256_mul_ps(p.lo, _mm256_castsi256_ps(lo)),
                      _mm256_mul_ps(p.hi, _mm256_castsi256_ps(hi)));
}
SAMP__INLINE void lanes_store(float *p, lanes a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
SAMP__INLINE void lanes_store_n(float *p, lanes a, int n)
{
    _mm256_maskstore_ps(p, samp__mask_lo(n), a.lo);
    _mm256_maskstore_ps(p + 8, samp__mask_hi(n), a.hi);
}
SAMP__INLINE void lanes_store_fp16(uint16_t *p, lanes a)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
SAMP__INLINE __m256i samp__pack16(lanes a) /* int16 in order */
{
    __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
    return _mm256_permute4x64_epi64(packed, 0xd8);
}
SAMP__INLINE void lanes_store_int16(int16_t *p, lanes a)
{
    _mm256_storeu_si256((__m256i *)p, samp__pack16(a));
}
SAMP__INLINE void lanes_store_int8(int8_t *p, lanes a)
{
    __m256i words = samp__pack16(a);
    __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)p, bytes);
}
SAMP__INLINE __m256 samp__in_order(__m256 x) /* 0 1 4 5 2 3 6 7 -> 0 … 7 */
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
}
SAMP__INLINE void lanes_load_pairs(const float *p, lanes *first, lanes *second)
{
    __m256 a = _mm256_loadu_ps(p), b = _mm256_loadu_ps(p + 8);
    __m256 c = _mm256_loadu_ps(p + 16), d = _mm256_loadu_ps(p + 24);
    first->lo = samp__in_order(_mm256_shuffle_ps(a, b, 0x88));
    first->hi = samp__in_order(_mm256_shuffle_ps(c, d, 0x88));
    second->lo = samp__in_order(_mm256_shuffle_ps(a, b, 0xdd));
    second->hi = samp__in_order(_mm256_shuffle_ps(c, d, 0xdd));
}

#undef SAMP__BOTH

#elif defined(SAMP__LANES_AVX512)

#include <immintrin.h>

enum { SAMP__EXP_CHAINS = 4 };

typedef __m512 lanes;

SAMP__INLINE __mmask16 samp__mask(int n) { return (__mmask16)((1u << n) - 1); }
SAMP__INLINE lanes lanes_set(float x) { return _mm512_set1_ps(x); }
SAMP__INLINE lanes lanes_load(const float *p) { return _mm512_loadu_ps(p); }
SAMP__INLINE lanes lanes_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(samp__mask(n), p);
}
SAMP__INLINE lanes lanes_load_fp16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
SAMP__INLINE lanes lanes_load_bf16(const uint16_t *p)
{
    __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
SAMP__INLINE lanes lanes_load_int8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
SAMP__INLINE lanes lanes_add(lanes a, lanes b) { return _mm512_add_ps(a, b); }
SAMP__INLINE lanes lanes_sub(lanes a, lanes b) { return _mm512_sub_ps(a, b); }
SAMP__INLINE lanes lanes_mul(lanes a, lanes b) { return _mm512_mul_ps(a, b); }
SAMP__INLINE lanes lanes_div(lanes a, lanes b) { return _mm512_div_ps(a, b); }
SAMP__INLINE lanes lanes_neg(lanes a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
SAMP__INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { return _mm512_fmadd_ps(a, b, c); }
SAMP__INLINE lanes lanes_round(lanes a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
SAMP__INLINE lanes lanes_max(lanes a, lanes b) { return _mm512_max_ps(a, b); }
SAMP__INLINE lanes lanes_min(lanes a, lanes b) { return _mm512_min_ps(a, b); }
SAMP__INLINE lanes lanes_max_bits(lanes max, lanes x)
{
    __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(max), magnitude));
}
SAMP__INLINE lanes lanes_first(lanes a, lanes b, int n)
{
    return _mm512_mask_blend_ps(samp__mask(n), b, a);
}
SAMP__INLINE lanes lanes_where_above(lanes a, lanes x, float limit)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_GT_OQ), a);
}
SAMP__INLINE lanes lanes_scale(lanes p, lanes n)
{
    __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
}
SAMP__INLINE void lanes_store(float *p, lanes a) { _mm512_storeu_ps(p, a); }
SAMP__INLINE void lanes_store_n(float *p, lanes a, int n)
{
    _mm512_mask_storeu_ps(p, samp__mask(n), a);
}
SAMP__INLINE void lanes_store_fp16(uint16_t *p, lanes a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
SAMP__INLINE void lanes_store_int16(int16_t *p, lanes a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a)));
}
SAMP__INLINE void lanes_store_int8(int8_t *p, lanes a)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a)));
}
SAMP__INLINE void lanes_load_pairs(const float *p, lanes *first, lanes *second)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    __m512 a = _mm512_loadu_ps(p), b = _mm512_loadu_ps(p + 16);
    *first = _mm512_permutex2var_ps(a, even, b);
    *second = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
}

#elif defined(SAMP__LANES_NEON)

#include "backend/cpu/vector_lanes_neon.h"

#endif

#if defined(SAMP__LANES_AVX2) || defined(SAMP__LANES_AVX512)

/* The two halves of 16 lanes; then everything across lanes is one text. */
#ifdef SAMP__LANES_AVX2
SAMP__INLINE __m256 samp__lower(lanes a) { return a.lo; }
SAMP__INLINE __m256 samp__upper(lanes a) { return a.hi; }
#else
SAMP__INLINE __m256 samp__lower(lanes a) { return _mm512_castps512_ps256(a); }
SAMP__INLINE __m256 samp__upper(lanes a) { return _mm512_extractf32x8_ps(a, 1); }
#endif

/* As samp_lane_sum: halves of 8, 4, 2, 1. */
SAMP__INLINE float lanes_sum(lanes a)
{
    __m256 eight = _mm256_add_ps(samp__lower(a), samp__upper(a));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
SAMP__INLINE float lanes_largest(lanes a)
{
    __m256 eight = _mm256_max_ps(samp__lower(a), samp__upper(a));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
SAMP__INLINE uint32_t lanes_largest_bits(lanes a)
{
    __m256i lower = _mm256_castps_si256(samp__lower(a)),
            upper = _mm256_castps_si256(samp__upper(a));
    __m256i eight = _mm256_max_epi32(lower, upper);
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

#endif

/* samp_exp of every lane of n vectors, step by step, so that n independent chains hide each other's
 * latency; n is a constant. */
SAMP__INLINE void lanes_exp_each(lanes *x, int n)
{
    static const float coefficients[] = {1.3981999507e-3f,
                                         8.3334519073e-3f,
                                         4.1665795894e-2f,
                                         1.6666665459e-1f,
                                         5.0000001201e-1f,
                                         1.0f,
                                         1.0f};
    lanes whole[SAMP__EXP_CHAINS], r[SAMP__EXP_CHAINS], p[SAMP__EXP_CHAINS];
    for (int i = 0; i < n; i++) {
        r[i] = lanes_min(x[i], lanes_set(88.0f));
        whole[i] = lanes_round(lanes_mul(r[i], lanes_set(1.44269504f)));
    }
    for (int i = 0; i < n; i++) r[i] = lanes_fma(whole[i], lanes_set(-0.693359375f), r[i]);
    for (int i = 0; i < n; i++) r[i] = lanes_fma(whole[i], lanes_set(2.12194440e-4f), r[i]);
    for (int i = 0; i < n; i++) p[i] = lanes_set(1.9875691500e-4f);
    for (int k = 0; k < 7; k++)
        for (int i = 0; i < n; i++) p[i] = lanes_fma(p[i], r[i], lanes_set(coefficients[k]));
    for (int i = 0; i < n; i++) x[i] = lanes_where_above(lanes_scale(p[i], whole[i]), x[i], -87.3f);
}

SAMP__INLINE lanes lanes_exp(lanes x)
{
    lanes_exp_each(&x, 1);
    return x;
}

#endif

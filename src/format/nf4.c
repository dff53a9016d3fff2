/* NF4 blocks as bitsandbytes computes them on a CPU (nf4.h): the same float operations in the same
 * order, so that every byte is the same. */
#include "format/nf4.h"

#include "format/kernels.h"
#include "format/nf4_block.h"

#include <math.h>

enum { ZERO_CODE = 7 };

/* bitsandbytes keeps 1/absmax finite: an all-zero block divides by this. */
static const float absmax_floor = 1e-38f;

const float *samp__nf4_midpoints(float out[15])
{
    for (int i = 0; i < 15; i++) out[i] = (samp_nf4_code[i] + samp_nf4_code[i + 1]) / 2;
    return out;
}

void samp__nf4_pack(const samp__kernels *kernels, const float midpoint[15], const float *w,
                    uint64_t n, float inv, uint8_t *codes)
{
    kernels->codebook_pack(w, n, inv, midpoint, ZERO_CODE, codes);
}

/* A last short block is divided by its absmax where a whole one is multiplied by the inverse, and
 * its stored absmax has the floor applied: so does bitsandbytes. */
static float encode_short(const float midpoint[15], const float *w, uint64_t n, uint8_t *codes)
{
    float m = fmaxf(fabsf(samp__kernels_scalar.extreme(w, n)), absmax_floor),
          scaled[SAMP_NF4_BLOCK];
    for (uint64_t i = 0; i < n; i++) scaled[i] = w[i] / m;
    samp__nf4_pack(&samp__kernels_scalar, midpoint, scaled, n, 1.0f, codes);
    return m;
}

float samp__nf4_block(const samp__kernels *kernels, const float midpoint[15], const float *w,
                      uint64_t n, uint8_t *codes)
{
    if (n < SAMP_NF4_BLOCK) return encode_short(midpoint, w, n, codes);
    float m = fabsf(kernels->extreme(w, n));
    samp__nf4_pack(kernels, midpoint, w, n, 1.0f / fmaxf(m, absmax_floor), codes);
    return m;
}

void samp_nf4_encode(const float *w, uint64_t n, uint8_t *codes, float *absmax)
{
    const samp__kernels *kernels = samp__kernels_get();
    float midpoint[15];
    samp__nf4_midpoints(midpoint);
    for (uint64_t at = 0; at < n; at += SAMP_NF4_BLOCK) {
        uint64_t length = n - at < SAMP_NF4_BLOCK ? n - at : SAMP_NF4_BLOCK;
        absmax[at / SAMP_NF4_BLOCK] =
            samp__nf4_block(kernels, midpoint, w + at, length, codes + at / 2);
    }
}

void samp_nf4_decode(const uint8_t *codes, const float *absmax, uint64_t n, float *out)
{
    const samp__kernels *kernels = samp__kernels_get();
    for (uint64_t at = 0; at < n; at += SAMP_NF4_BLOCK) {
        uint64_t length = n - at < SAMP_NF4_BLOCK ? n - at : SAMP_NF4_BLOCK;
        kernels->codebook_unpack(codes + at / 2, length, absmax[at / SAMP_NF4_BLOCK], samp_nf4_code,
                                 out + at);
    }
}

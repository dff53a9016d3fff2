/* NF4 blocks as bitsandbytes computes them on a CPU (nf4.h): the same float operations in the same
 * order, so that every byte is the same. */
#include "format/nf4.h"

#include "base/half.h"
#include "format/entry.h"
#include "format/kernels.h"
#include "format/nf4_block.h"

#include <math.h>

enum {
    ZERO_CODE = 7,
    RUN = 16 /* blocks that are encoded together: 4 KB of floats */
};

/* bitsandbytes keeps 1/absmax finite: an all-zero block divides by this. */
static const float absmax_floor = 1e-38f;

void samp__nf4_codebook(samp__codebook *out)
{
    float midpoint[15];
    for (int i = 0; i < 15; i++) midpoint[i] = (samp_nf4_code[i] + samp_nf4_code[i + 1]) / 2;
    samp__codebook_init(out, midpoint);
}

void samp__nf4_pack(const samp__kernels *kernels, const samp__codebook *book, const float *w,
                    uint64_t n, const float *inv, uint8_t *codes)
{
    kernels->codebook_pack(w, n, SAMP_NF4_BLOCK, inv, book, ZERO_CODE, codes);
}

/* A last short block is divided by its absmax where a whole one is multiplied by the inverse, and
 * its stored absmax has the floor applied: so does bitsandbytes. */
static float encode_short(const samp__codebook *book, const float *w, uint64_t n, uint8_t *codes)
{
    uint32_t magnitude;
    samp__kernels_scalar.magnitudes(w, n, n, &magnitude);
    float m = fmaxf(samp_bits_float(magnitude), absmax_floor), scaled[SAMP_NF4_BLOCK];
    for (uint64_t i = 0; i < n; i++) scaled[i] = w[i] / m;
    samp__nf4_pack(&samp__kernels_scalar, book, scaled, n, &(float){1}, codes);
    return m;
}

/* All scales of a run come before its codes, so that the processor need not wait for each. */
static void encode_run(const samp__kernels *kernels, const samp__codebook *book, const float *w,
                       uint64_t n, uint8_t *codes, void *absmax)
{
    uint32_t magnitude[RUN];
    float inv[RUN];
    kernels->magnitudes(w, n, SAMP_NF4_BLOCK, magnitude);
    memcpy(absmax, magnitude, n / SAMP_NF4_BLOCK * sizeof *magnitude);
    for (uint64_t b = 0; b < n / SAMP_NF4_BLOCK; b++) {
        float m = samp_bits_float(magnitude[b]);
        inv[b] = 1.0f / (m > absmax_floor ? m : absmax_floor);
    }
    samp__nf4_pack(kernels, book, w, n, inv, codes);
}

void samp__nf4_blocks(const samp__kernels *kernels, const samp__codebook *book, const float *w,
                      uint64_t n, uint8_t *codes, void *absmax)
{
    uint64_t whole = n / SAMP_NF4_BLOCK * SAMP_NF4_BLOCK;
    uint8_t *scales = absmax;
    for (uint64_t at = 0; at < whole; at += RUN * SAMP_NF4_BLOCK) {
        uint64_t run = whole - at < RUN * SAMP_NF4_BLOCK ? whole - at : RUN * SAMP_NF4_BLOCK;
        encode_run(kernels, book, w + at, run, codes + at / 2,
                   scales + at / SAMP_NF4_BLOCK * sizeof(float));
    }
    if (whole < n)
        samp__store_f32(scales, whole / SAMP_NF4_BLOCK,
                        encode_short(book, w + whole, n - whole, codes + whole / 2));
}

void samp_nf4_encode(const float *w, uint64_t n, uint8_t *codes, float *absmax)
{
    const samp__kernels *kernels = samp__kernels_get();
    samp__codebook book;
    samp__nf4_codebook(&book);
    samp__nf4_blocks(kernels, &book, w, n, codes, absmax);
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

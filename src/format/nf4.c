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
static uint32_t encode_short(const samp__codebook *book, const float *w, uint64_t n, uint8_t *codes,
                             void *absmax)
{
    uint32_t magnitude;
    samp__kernels_scalar.magnitudes(w, n, n, &magnitude);
    float m = fmaxf(samp_bits_float(magnitude), absmax_floor), scaled[SAMP_NF4_BLOCK];
    for (uint64_t i = 0; i < n; i++) scaled[i] = w[i] / m;
    samp__nf4_pack(&samp__kernels_scalar, book, scaled, n, &(float){1}, codes);
    samp__store_f32(absmax, 0, m);
    return magnitude;
}

/* All scales of a run come before its codes, so that the processor need not wait for each. */
static uint32_t encode_run(const samp__kernels *kernels, const samp__codebook *book, const float *w,
                           uint64_t n, uint8_t *codes, void *absmax)
{
    uint32_t magnitude[RUN], largest = 0;
    float inv[RUN];
    kernels->magnitudes(w, n, SAMP_NF4_BLOCK, magnitude);
    memcpy(absmax, magnitude, n / SAMP_NF4_BLOCK * sizeof *magnitude);
    for (uint64_t b = 0; b < n / SAMP_NF4_BLOCK; b++) {
        float m = samp_bits_float(magnitude[b]);
        inv[b] = 1.0f / (m > absmax_floor ? m : absmax_floor);
        largest = magnitude[b] > largest ? magnitude[b] : largest;
    }
    samp__nf4_pack(kernels, book, w, n, inv, codes);
    return largest;
}

/* A run as floats: itself, or widened into room. */
static const float *floats_of(const samp__kernels *kernels, samp_dtype dtype, const void *w,
                              uint64_t n, float *room)
{
    if (dtype == SAMP_F32) return w;
    (dtype == SAMP_F16 ? kernels->fp16_to_float : kernels->bf16_to_float)(w, n, room);
    return room;
}

uint32_t samp__nf4_blocks(const samp__kernels *kernels, const samp__codebook *book,
                          samp_dtype dtype, const void *w, uint64_t n, uint8_t *codes, void *absmax)
{
    enum { MOST = RUN * SAMP_NF4_BLOCK };
    float room[MOST];
    uint32_t largest = 0;
    uint64_t run;
    for (uint64_t at = 0; at < n; at += run) {
        run = n - at < MOST ? n - at : MOST;
        if (run > SAMP_NF4_BLOCK) run -= run % SAMP_NF4_BLOCK; /* a short block comes alone */
        const void *from = (const uint8_t *)w + at * (samp_dtype_bits(dtype) / 8);
        const float *x = floats_of(kernels, dtype, from, run, room);
        void *scales = (uint8_t *)absmax + at / SAMP_NF4_BLOCK * sizeof(float);
        uint32_t magnitude = run < SAMP_NF4_BLOCK
                                 ? encode_short(book, x, run, codes + at / 2, scales)
                                 : encode_run(kernels, book, x, run, codes + at / 2, scales);
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

void samp_nf4_encode(const float *w, uint64_t n, uint8_t *codes, float *absmax)
{
    const samp__kernels *kernels = samp__kernels_get();
    samp__codebook book;
    samp__nf4_codebook(&book);
    samp__nf4_blocks(kernels, &book, SAMP_F32, w, n, codes, absmax);
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

/* NF4 blocks and double quantization as bitsandbytes computes them on a CPU (nf4.h): the same float
 * operations in the same order, so that every byte is the same. */
#include "format/nf4.h"

#include "format/kernels.h"
#include "format/nf4_block.h"

#include <math.h>

enum { ZERO_CODE = 7 };

/* bitsandbytes keeps 1/absmax finite: an all-zero block divides by this. */
static const float absmax_floor = 1e-38f;

/* Midpoints as float sums and halves of the code table: (a + b) / 2. */
static const float *midpoints(float out[15])
{
    for (int i = 0; i < 15; i++) out[i] = (samp_nf4_code[i] + samp_nf4_code[i + 1]) / 2;
    return out;
}

void samp__nf4_pack(const samp__kernels *kernels, const float *w, uint64_t n, float inv,
                    uint8_t *codes)
{
    float midpoint[15];
    kernels->codebook_pack(w, n, inv, midpoints(midpoint), ZERO_CODE, codes);
}

/* A last short block is divided by its absmax where a whole one is multiplied by the inverse, and
 * its stored absmax has the floor applied: so does bitsandbytes. */
static float encode_short(const float *w, uint64_t n, uint8_t *codes)
{
    float m = fmaxf(samp__kernels_scalar.absmax(w, n), absmax_floor), scaled[SAMP_NF4_BLOCK];
    for (uint64_t i = 0; i < n; i++) scaled[i] = w[i] / m;
    samp__nf4_pack(&samp__kernels_scalar, scaled, n, 1.0f, codes);
    return m;
}

float samp__nf4_block(const samp__kernels *kernels, const float *w, uint64_t n, uint8_t *codes)
{
    if (n < SAMP_NF4_BLOCK) return encode_short(w, n, codes);
    float m = kernels->absmax(w, n);
    samp__nf4_pack(kernels, w, n, 1.0f / fmaxf(m, absmax_floor), codes);
    return m;
}

void samp_nf4_encode(const float *w, uint64_t n, uint8_t *codes, float *absmax)
{
    const samp__kernels *kernels = samp__kernels_get();
    for (uint64_t at = 0; at < n; at += SAMP_NF4_BLOCK) {
        uint64_t length = n - at < SAMP_NF4_BLOCK ? n - at : SAMP_NF4_BLOCK;
        absmax[at / SAMP_NF4_BLOCK] = samp__nf4_block(kernels, w + at, length, codes + at / 2);
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

/* ---- The mean as PyTorch sums it
 * --------------------------------------------------------------------- A vector of `lanes` partial
 * sums; rows of it are dealt to 4 interleaved sums; each of those cascades through 4 levels, where
 * a level is emptied into the next one every 2^k additions. */
enum { LANES = 8, INTERLEAVE = 4, LEVELS = 4 };

typedef struct partial_sums {
    float lane[INTERLEAVE][LANES];
} partial_sums;

static void add_row(partial_sums *sums, const float *x, int lanes)
{
    for (int k = 0; k < INTERLEAVE; k++)
        for (int l = 0; l < lanes; l++) sums->lane[k][l] += x[k * lanes + l];
}

static void add_sums(partial_sums *to, const partial_sums *from)
{
    for (int k = 0; k < INTERLEAVE; k++)
        for (int l = 0; l < LANES; l++) to->lane[k][l] += from->lane[k][l];
}

static int ceil_log2(uint64_t n)
{
    int bits = 0;
    while (((uint64_t)1 << bits) < n) bits++;
    return bits;
}

/* x [n_rows][INTERLEAVE][lanes] */
static partial_sums cascade(const float *x, uint64_t n_rows, int lanes)
{
    int power = ceil_log2(n_rows) / LEVELS > 4 ? ceil_log2(n_rows) / LEVELS : 4;
    uint64_t step = (uint64_t)1 << power, mask = step - 1, i = 0;
    size_t width = (size_t)(INTERLEAVE * lanes);
    partial_sums level[LEVELS] = {0};
    while (i + step <= n_rows) {
        for (uint64_t end = i + step; i < end; i++) add_row(&level[0], x + i * width, lanes);
        for (int j = 1; j < LEVELS; j++) {
            add_sums(&level[j], &level[j - 1]);
            level[j - 1] = (partial_sums){0};
            if (i & mask << j * power) break;
        }
    }
    for (; i < n_rows; i++) add_row(&level[0], x + i * width, lanes);
    for (int j = 1; j < LEVELS; j++) add_sums(&level[0], &level[j]);
    return level[0];
}

/* x [n_rows][lanes] -> sum [lanes] */
static void sum_rows(const float *x, uint64_t n_rows, int lanes, float sum[LANES])
{
    uint64_t whole = n_rows / INTERLEAVE;
    partial_sums sums = cascade(x, whole, lanes);
    for (uint64_t i = whole * INTERLEAVE; i < n_rows; i++)
        for (int l = 0; l < lanes; l++) sums.lane[0][l] += x[i * (uint64_t)lanes + (uint64_t)l];
    for (int l = 0; l < lanes; l++) {
        sum[l] = sums.lane[0][l];
        for (int k = 1; k < INTERLEAVE; k++) sum[l] += sums.lane[k][l];
    }
}

static float mean_of(const float *x, uint64_t n)
{
    float lane[LANES], total = 0;
    if (n < LANES) {
        sum_rows(x, n, 1, lane);
        return lane[0] / (float)n;
    }
    uint64_t n_rows = n / LANES;
    sum_rows(x, n_rows, LANES, lane);
    for (uint64_t i = n_rows * LANES; i < n; i++) total += x[i];
    for (int l = 0; l < LANES; l++) total += lane[l];
    return total / (float)n;
}

/* ---- Double quantization
 * ---------------------------------------------------------------------------- Code of x in -1 … 1:
 * the grid point below it, then the nearest map value to that point. */
static uint8_t nested_code(float x)
{
    enum { POINTS = 65535 };
    uint32_t point = (uint32_t)((x + 1.0f) * 0.5f * (float)POINTS + 0.5f);
    float v = -1.0f + 2.0f * (float)point / (float)POINTS;
    unsigned low = 0, high = 255; /* number of midpoints below v, by bisection */
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (0.5f * (samp_nf4_nested_map[middle] + samp_nf4_nested_map[middle + 1]) < v)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint8_t)low;
}

void samp_nf4_nest(const float *absmax, uint64_t n_blocks, uint8_t *codes, float *nested_absmax,
                   float *offset)
{
    *offset = mean_of(absmax, n_blocks);
    for (uint64_t first = 0; first < n_blocks; first += SAMP_NF4_NESTED_BLOCK) {
        uint64_t end =
            n_blocks - first < SAMP_NF4_NESTED_BLOCK ? n_blocks : first + SAMP_NF4_NESTED_BLOCK;
        float m = 0;
        for (uint64_t i = first; i < end; i++) m = fmaxf(m, fabsf(absmax[i] - *offset));
        nested_absmax[first / SAMP_NF4_NESTED_BLOCK] = m;
        float inv = 1.0f / m;
        for (uint64_t i = first; i < end; i++) {
            float x = (absmax[i] - *offset) * inv;
            codes[i] = m == 0 ? 0 : nested_code(x < -1 ? -1 : x > 1 ? 1 : x);
        }
    }
}

void samp_nf4_unnest(const uint8_t *codes, const float *nested_absmax, float offset,
                     uint64_t n_blocks, float *absmax)
{
    for (uint64_t i = 0; i < n_blocks; i++)
        absmax[i] =
            samp_nf4_nested_map[codes[i]] * nested_absmax[i / SAMP_NF4_NESTED_BLOCK] + offset;
}

/* Double quantization of NF4's scales as bitsandbytes computes it on a CPU (nf4.h): offset =
 * PyTorch's mean, then 8-bit codes of the signed dynamic map in blocks of 256. */
#include "format/nf4.h"
#include "base/half.h"
#include "format/nf4_block.h"

#include <pthread.h>

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
enum { POINTS = 65535 };

static uint8_t code_of[POINTS + 1]; /* of every grid point */

static void fill_codes(void)
{
    unsigned code = 0; /* number of midpoints below v */
    for (uint32_t point = 0; point <= POINTS; point++) {
        float v = -1.0f + 2.0f * (float)point / (float)POINTS;
        while (code < 255 && 0.5f * (samp_nf4_nested_map[code] + samp_nf4_nested_map[code + 1]) < v)
            code++;
        code_of[point] = (uint8_t)code;
    }
}

/* Loops that compilers vectorize: magnitudes are compared as integers. Returns absmax. */
static float encode_block(const float *x, uint64_t n, float offset, uint8_t *codes)
{
    uint32_t largest = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t magnitude = samp_float_bits(x[i] - offset) & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
    }
    float m = samp_bits_float(largest), inv = 1.0f / m;
    if (m == 0) {
        memset(codes, 0, n);
        return m;
    }
    int32_t point[SAMP_NF4_NESTED_BLOCK];
    for (uint64_t i = 0; i < n; i++) {
        float v = (x[i] - offset) * inv;
        /* A block of scales below 2^-128 makes inv infinite and 0*inv NaN: that takes -1. */
        v = !(v > -1) ? -1 : v > 1 ? 1 : v;
        point[i] = (int32_t)((v + 1.0f) * 0.5f * (float)POINTS + 0.5f);
    }
    for (uint64_t i = 0; i < n; i++) codes[i] = code_of[point[i]];
    return m;
}

void samp__dynamic8_encode(const float *x, uint64_t n, float offset, uint8_t *codes, float *absmax)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_codes);
    for (uint64_t first = 0; first < n; first += SAMP_NF4_NESTED_BLOCK) {
        uint64_t length = n - first < SAMP_NF4_NESTED_BLOCK ? n - first : SAMP_NF4_NESTED_BLOCK;
        absmax[first / SAMP_NF4_NESTED_BLOCK] =
            encode_block(x + first, length, offset, codes + first);
    }
}

void samp_nf4_nest(const float *absmax, uint64_t n_blocks, uint8_t *codes, float *nested_absmax,
                   float *offset)
{
    *offset = mean_of(absmax, n_blocks);
    samp__dynamic8_encode(absmax, n_blocks, *offset, codes, nested_absmax);
}

void samp_nf4_unnest(const uint8_t *codes, const float *nested_absmax, float offset,
                     uint64_t n_blocks, float *absmax)
{
    for (uint64_t i = 0; i < n_blocks; i++)
        absmax[i] =
            samp_nf4_nested_map[codes[i]] * nested_absmax[i / SAMP_NF4_NESTED_BLOCK] + offset;
}

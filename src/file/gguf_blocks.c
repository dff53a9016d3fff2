/* Decoding of GGUF blocks, value for value what llama.cpp's dequantize_row_* gives.
 *
 * All products here are exact in float (an 11-bit fp16 scale times at most 12 bits of integers), so
 * each value is rounded once at most, and neither the order of operations nor fused multiply-adds
 * can change a bit. Blocks are read byte by byte: no alignment is assumed, and the file is
 * little-endian on every host. */
#include "file/gguf_blocks.h"

#include "base/half.h"

#include <stddef.h>

enum { SMALL = 32, LARGE = 256 }; /* values of a block and of a super-block */

static uint16_t read_u16(const unsigned char *at) { return (uint16_t)(at[0] | at[1] << 8); }

static uint32_t read_u32(const unsigned char *at)
{
    return read_u16(at) | (uint32_t)read_u16(at + 2) << 16;
}

static float read_fp16(const unsigned char *at) { return samp_fp16_to_float(read_u16(at)); }

static void decode_f32(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (uint64_t i = 0; i < n_blocks; i++) out[i] = samp_bits_float(read_u32(blocks + 4 * i));
}

static void decode_f16(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (uint64_t i = 0; i < n_blocks; i++) out[i] = read_fp16(blocks + 2 * i);
}

static void decode_bf16(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (uint64_t i = 0; i < n_blocks; i++) out[i] = samp_bf16_to_float(read_u16(blocks + 2 * i));
}

/* fp16 d, int8 q[32]: d*q */
static void decode_q8_0(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 34, out += SMALL) {
        float d = read_fp16(blocks);
        for (int i = 0; i < SMALL; i++) out[i] = (float)(int8_t)blocks[2 + i] * d;
    }
}

/* fp16 d, 16 bytes of nibbles: byte i holds value i (low) and value i+16 (high): d*(q - 8) */
static void decode_q4_0(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 18, out += SMALL) {
        float d = read_fp16(blocks);
        for (int i = 0; i < SMALL / 2; i++) {
            unsigned pair = blocks[2 + i];
            out[i] = (float)((int)(pair & 15) - 8) * d;
            out[i + SMALL / 2] = (float)((int)(pair >> 4) - 8) * d;
        }
    }
}

/* fp16 d, fp16 m, nibbles as in Q4_0: d*q + m */
static void decode_q4_1(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 20, out += SMALL) {
        float d = read_fp16(blocks), m = read_fp16(blocks + 2);
        for (int i = 0; i < SMALL / 2; i++) {
            unsigned pair = blocks[4 + i];
            out[i] = (float)(pair & 15) * d + m;
            out[i + SMALL / 2] = (float)(pair >> 4) * d + m;
        }
    }
}

/* The five bits of value i: a nibble, and bit i of a 32-bit mask above it. */
static int five_bits(const unsigned char *nibbles, uint32_t high, int i)
{
    unsigned pair = nibbles[i % 16], low = i < 16 ? pair & 15 : pair >> 4;
    return (int)(low | (high >> i & 1) << 4);
}

/* fp16 d, 32 high bits, nibbles: d*(q - 16) */
static void decode_q5_0(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 22, out += SMALL) {
        float d = read_fp16(blocks);
        uint32_t high = read_u32(blocks + 2);
        for (int i = 0; i < SMALL; i++) out[i] = (float)(five_bits(blocks + 6, high, i) - 16) * d;
    }
}

/* fp16 d, fp16 m, 32 high bits, nibbles: d*q + m */
static void decode_q5_1(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 24, out += SMALL) {
        float d = read_fp16(blocks), m = read_fp16(blocks + 2);
        uint32_t high = read_u32(blocks + 4);
        for (int i = 0; i < SMALL; i++) out[i] = (float)five_bits(blocks + 8, high, i) * d + m;
    }
}

/* Eight pairs of 6-bit scale and minimum in 12 bytes: pairs 0–3 lie in the low six bits of bytes
 * 0–3 and 4–7; of pairs 4–7 the low four bits are the nibbles of bytes 8–11, the high two the top
 * bits of bytes 0–7. */
static void six_bit_pair(const unsigned char *packed, int j, float *scale, float *minimum)
{
    unsigned s, m;
    if (j < 4) {
        s = packed[j] & 63;
        m = packed[j + 4] & 63;
    } else {
        s = (packed[j + 4] & 15u) | (unsigned)(packed[j - 4] >> 6) << 4;
        m = (packed[j + 4] >> 4) | (unsigned)(packed[j] >> 6) << 4;
    }
    *scale = (float)s;
    *minimum = (float)m;
}

/* fp16 d, fp16 dmin, 12 bytes of scales, 128 bytes of nibbles: groups of 32 values, two groups (low
 * nibbles, high nibbles) in each 32 bytes: d*scale*q - dmin*minimum */
static void decode_q4_k(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 144) {
        float d = read_fp16(blocks), dmin = read_fp16(blocks + 2), scale, minimum;
        for (int group = 0; group < LARGE / SMALL; group++, out += SMALL) {
            const unsigned char *nibbles = blocks + 16 + group / 2 * SMALL;
            int shift = group % 2 * 4;
            six_bit_pair(blocks + 4, group, &scale, &minimum);
            float step = d * scale, offset = dmin * minimum;
            for (int i = 0; i < SMALL; i++)
                out[i] = step * (float)(nibbles[i] >> shift & 15) - offset;
        }
    }
}

/* As Q4_K, with 32 bytes of high bits before the nibbles: bit `group` of byte i belongs to value i.
 */
static void decode_q5_k(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 176) {
        float d = read_fp16(blocks), dmin = read_fp16(blocks + 2), scale, minimum;
        const unsigned char *high = blocks + 16;
        for (int group = 0; group < LARGE / SMALL; group++, out += SMALL) {
            const unsigned char *nibbles = blocks + 48 + group / 2 * SMALL;
            int shift = group % 2 * 4;
            six_bit_pair(blocks + 4, group, &scale, &minimum);
            float step = d * scale, offset = dmin * minimum;
            for (int i = 0; i < SMALL; i++) {
                int q = (nibbles[i] >> shift & 15) | (high[i] >> group & 1) << 4;
                out[i] = step * (float)q - offset;
            }
        }
    }
}

/* 128 bytes of low nibbles, 64 bytes of two high bits, int8 scale for each 16 values, fp16 d. Each
 * half of 128 values is four groups of 32: group g takes the low (g < 2) or high nibbles of 32
 * bytes (g odd: the second 32) and bits 2g, 2g+1 of the 32 bytes of high bits: d*scale*(q - 32) */
static void decode_q6_k(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    for (; n_blocks--; blocks += 210) {
        float d = read_fp16(blocks + 208);
        for (int group = 0; group < LARGE / SMALL; group++, out += SMALL) {
            int half = group / 4, g = group % 4;
            const unsigned char *low = blocks + 64 * half + g % 2 * SMALL;
            const unsigned char *high = blocks + 128 + 32 * half;
            const unsigned char *scales = blocks + 192 + 2 * group;
            for (int i = 0; i < SMALL; i++) {
                int q = (low[i] >> g / 2 * 4 & 15) | (high[i] >> 2 * g & 3) << 4;
                out[i] = d * (float)(int8_t)scales[i / 16] * (float)(q - 32);
            }
        }
    }
}

/* fp16 d, nibbles as in Q4_0 that choose from a table */
static void decode_iq4_nl(const unsigned char *blocks, uint64_t n_blocks, float *out)
{
    static const int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
    for (; n_blocks--; blocks += 18, out += SMALL) {
        float d = read_fp16(blocks);
        for (int i = 0; i < SMALL / 2; i++) {
            out[i] = d * (float)values[blocks[2 + i] & 15];
            out[i + SMALL / 2] = d * (float)values[blocks[2 + i] >> 4];
        }
    }
}

static const samp_gguf_type types[] = {
    {0, "F32", 1, 4, decode_f32},
    {1, "F16", 1, 2, decode_f16},
    {2, "Q4_0", SMALL, 18, decode_q4_0},
    {3, "Q4_1", SMALL, 20, decode_q4_1},
    {6, "Q5_0", SMALL, 22, decode_q5_0},
    {7, "Q5_1", SMALL, 24, decode_q5_1},
    {8, "Q8_0", SMALL, 34, decode_q8_0},
    {9, "Q8_1", SMALL, 36, NULL},
    {10, "Q2_K", LARGE, 84, NULL},
    {11, "Q3_K", LARGE, 110, NULL},
    {12, "Q4_K", LARGE, 144, decode_q4_k},
    {13, "Q5_K", LARGE, 176, decode_q5_k},
    {14, "Q6_K", LARGE, 210, decode_q6_k},
    {15, "Q8_K", LARGE, 292, NULL},
    {16, "IQ2_XXS", LARGE, 66, NULL},
    {17, "IQ2_XS", LARGE, 74, NULL},
    {18, "IQ3_XXS", LARGE, 98, NULL},
    {19, "IQ1_S", LARGE, 50, NULL},
    {20, "IQ4_NL", SMALL, 18, decode_iq4_nl},
    {21, "IQ3_S", LARGE, 110, NULL},
    {22, "IQ2_S", LARGE, 82, NULL},
    {23, "IQ4_XS", LARGE, 136, NULL},
    {24, "I8", 1, 1, NULL},
    {25, "I16", 1, 2, NULL},
    {26, "I32", 1, 4, NULL},
    {27, "I64", 1, 8, NULL},
    {28, "F64", 1, 8, NULL},
    {29, "IQ1_M", LARGE, 56, NULL},
    {30, "BF16", 1, 2, decode_bf16},
    {34, "TQ1_0", LARGE, 54, NULL},
    {35, "TQ2_0", LARGE, 66, NULL},
    {39, "MXFP4", SMALL, 17, NULL},
};

const samp_gguf_type *samp_gguf_type_find(uint32_t number)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == number) return &types[i];
    return NULL;
}

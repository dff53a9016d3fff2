/* A weight matrix in kernel layout: made once at load, read by every kernel of this folder.
 *
 * Rows are taken in groups of 16 (zero rows pad the last group), columns in blocks of 64 (zero
 * columns pad the last block). A group is contiguous, so one thread streams through it.
 *
 * Integer kinds. A group is its scales, then its blocks. A block of 16 rows x 64 columns is
 * lines of 64 bytes: dword lane r of a line belongs to row r, and byte i of it to column 4j+i,
 * so that 16 rows meet one broadcast dword of inputs, whatever the width of the vectors (one
 * AVX-512 register is a line). Bytes are unsigned, u = t + zero, because the multipliers want
 * one unsigned side.
 *
 *   BYTE     16 lines; line j: u of columns 4j+i
 *   NIBBLE    8 lines; line j: low nibble = code of column 4j+i, high nibble = of column 32+4j+i;
 *             codebook[code] = u
 *   NIBBLE32  the same with two scales a block: columns 0…31 and 32…63
 *   INT5      8 lines of the low four bits of u, as NIBBLE's codes; then 2 lines of high bits: bit
 *             2*(j%4)+h of line p is bit 4 of the weight in half h of line j, j/4 = p
 *   INT6      the same with 4 lines of high bits: bits 4*(j%2)+2*h … +1 of line p, j/2 = p
 *   CODE5     INT5's lines of codes: codebook[code] = u
 *   CODE6     INT6's lines of codes. Of both, codes whose top bit is set are the complements of
 *             those where it is not (format.h): codebook[code | top] = codebook[code] ^ 255
 *
 *   scales    float [blocks][scales a block][16 rows]; or, where the format stores 8-bit codes of
 *             them, float row_scale [16], then int8 [blocks][scales a block][16], padded to 64
 *             bytes: scale = row_scale * code
 *
 * Float kinds: column k of a group is a line of 16 values, FP32, BF16, FP16 or FP8. After an FP8
 * group's lines come its 16 row scales (scale of samp_row_form), by which finished sums are
 * multiplied. */
#ifndef SAMP_CPU_WEIGHT_H
#define SAMP_CPU_WEIGHT_H

#include "backend/backend.h"
#include "backend/cpu/huge.h"
#include "base/thread.h"

enum { SAMP__ROWS = 16, SAMP__BLOCK = 64, SAMP__LINE = 64 };

/* id, lines a block (bytes a value for float kinds), scales a row and block (0: float), log2 of
 * zero, bits of a code in high lines, whether codes are of a codebook */
#define SAMP__KIND_LIST(X)                                                                         \
    X(BYTE, 16, 1, 7, 0, false)                                                                    \
    X(NIBBLE, 8, 1, 7, 0, true)                                                                    \
    X(NIBBLE32, 8, 2, 7, 0, true)                                                                  \
    X(INT5, 10, 1, 4, 1, false)                                                                    \
    X(INT6, 12, 1, 5, 2, false)                                                                    \
    X(CODE5, 10, 1, 7, 1, true)                                                                    \
    X(CODE6, 12, 1, 7, 2, true)                                                                    \
    X(FP32, 4, 0, 0, 0, false)                                                                     \
    X(BF16, 2, 0, 0, 0, false)                                                                     \
    X(FP16, 2, 0, 0, 0, false)                                                                     \
    X(FP8, 1, 0, 0, 0, false)

typedef enum samp__kind {
#define X(id, lines, scales, zero, high_bits, coded) SAMP__##id,
    SAMP__KIND_LIST(X)
#undef X
        SAMP__KIND_COUNT,
    SAMP__INTEGER_KINDS = SAMP__FP32 /* the integer kinds come first */
} samp__kind;

typedef struct samp__kind_facts {
    size_t lines; /* lines a block; bytes a value for float kinds */
    size_t scales;
    int zero; /* log2 */
    int high_bits;
    bool coded;
} samp__kind_facts;

static const samp__kind_facts samp__kinds[] = {
#define X(id, lines, scales, zero, high_bits, coded) {lines, scales, zero, high_bits, coded},
    SAMP__KIND_LIST(X)
#undef X
};

struct samp_weight {
    samp__kind kind;
    size_t rows, cols;
    size_t n_groups, n_blocks;    /* of 16 rows, of 64 columns */
    bool coded_scales;            /* integer kinds, as the two that follow */
    size_t lines_at, block_bytes; /* the blocks' place in a group, and the bytes of one */
    size_t group_bytes;
    int activation_bits; /* 8 or 16; 32 for float kinds */
    bool outliers;       /* inputs are those of numerics.h, outliers; activation_bits is 8 */
    bool embed;
    uint8_t codebook[64]; /* repeated to fill it */
    uint8_t *data;        /* [n_groups][group_bytes] */
    samp__huge memory;
    /* For embed, where scale*t is not the exact value (NF4, FP8): the source's parts, for its decode;
     * format NULL when not kept. Part 0 is NULL when the packed codes are the same: row_codes
     * [n_threads][cols/2] then is the room in which a thread puts a row of it together again. */
    const samp_format *format;
    samp_layout layout;
    void *parts[SAMP_PARTS_MAX];
    uint8_t *row_codes;
};

static inline bool samp__is_float(const samp_weight *weight)
{
    return weight->kind >= SAMP__INTEGER_KINDS;
}

/* An FP8 weight as kernels multiply it: E4M3's value * 2^-8, its bits as an FP16. */
static inline float samp__fp8_value(uint8_t code)
{
    return samp_fp16_to_float((uint16_t)((code & 0x80u) << 8 | (code & 0x7fu) << 7));
}

/* The code, or u, of one weight of a block of an integer kind, 4 to 8 bits. */
static inline unsigned samp__packed_code(samp__kind kind, const uint8_t *lines, size_t row,
                                         size_t column)
{
    size_t half = column / 32, j = column % 32 / 4, at = row * 4 + column % 4;
    if (kind == SAMP__BYTE) return lines[(half * 8 + j) * SAMP__LINE + at];
    size_t width = (size_t)samp__kinds[kind].high_bits;
    unsigned code = lines[j * SAMP__LINE + at] >> (4 * half) & 15;
    if (width == 0) return code;
    size_t per_byte = 4 / width; /* a byte has the bits of both halves of so many lines */
    unsigned high = lines[(8 + j / per_byte) * SAMP__LINE + at];
    high >>= width * (2 * (j % per_byte) + half);
    return code | (high & ((1u << width) - 1)) << 4;
}

/* The row scales of an FP8 group. */
static inline const float *samp__row_scales(const samp_weight *weight, const uint8_t *group)
{
    return (const float *)(group + weight->cols * SAMP__ROWS);
}

/* Scale s of block b of a row. */
static inline float samp__scale(const samp_weight *weight, const uint8_t *group, size_t b, size_t s,
                                size_t row)
{
    size_t at = (b * samp__kinds[weight->kind].scales + s) * SAMP__ROWS + row;
    const float *scale = (const float *)group;
    return weight->coded_scales ? scale[row] * (float)(int8_t)group[SAMP__LINE + at] : scale[at];
}

samp_status samp__weight_create(samp_pool *pool, const samp_weight_source *source, bool exact,
                                samp_weight **out, samp_error *error);
void samp__weight_release(samp_weight *weight); /* NULL allowed */

/* weight_pack.c: fills weight->data and the codebook. With source->embed it also finds what
 * samp__weight_keep must keep for exact rows: nothing, the scales, or all parts. */
typedef enum samp__pack_result {
    SAMP__PACKED,
    SAMP__PACK_NEEDS_SCALES,
    SAMP__PACK_NEEDS_ALL,
    SAMP__PACK_FAILED /* out of memory */
} samp__pack_result;
samp__pack_result samp__weight_pack(samp_pool *pool, samp_weight *weight,
                                    const samp_weight_source *source);

/* weight_row.c: exact rows, for embed. */

/* Keeps the source's parts, part 0 only if asked to (weight->row_codes is made otherwise). */
samp_status samp__weight_keep(samp_weight *weight, const samp_weight_source *source, bool part0,
                              unsigned n_threads, samp_error *error);
/* The exact values of one row, to out [cols]; the weight is a float kind or was created with
 * embed. */
void samp__weight_row(const samp_weight *weight, size_t row, unsigned thread, float *out);

/* Two 4-bit codes of neighbouring columns as NF4's part 0 stores them. */
static inline uint8_t samp__code_pair(unsigned even, unsigned odd)
{
    return (uint8_t)(even << 4 | odd);
}

#endif

/* Packing of 5- and 6-bit integers into planes (bits.h). Plain loops that compilers vectorize. */
#include "format/bits.h"

#include <string.h>

static void pack_nibbles(const uint8_t u[64], uint8_t nibbles[32])
{
    for (int i = 0; i < 32; i++) nibbles[i] = (uint8_t)((u[i] & 15) | (u[32 + i] & 15) << 4);
}

static void unpack_nibbles(const uint8_t nibbles[32], uint8_t u[64])
{
    for (int i = 0; i < 32; i++) {
        u[i] = nibbles[i] & 15;
        u[32 + i] = nibbles[i] >> 4;
    }
}

/* Eight bytes of 0 or 1 <-> the bits of a byte, byte i being bit i: one multiply moves bit 0 of
 * byte i to bit 56+i; the other way the byte is copied to all eight, each keeps its own bit, and an
 * addition carries that up to bit 7. */
static uint8_t gather_bits(uint64_t bytes) { return (uint8_t)(bytes * 0x0102040810204080u >> 56); }

static uint64_t spread_bits(uint8_t bits)
{
    uint64_t own = bits * 0x0101010101010101u & 0x8040201008040201u;
    return (own + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

void samp_int5_pack(const uint8_t u[64], uint8_t nibbles[32], uint8_t high[8])
{
    pack_nibbles(u, nibbles);
    for (int i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, u + 8 * i, sizeof eight);
        high[i] = gather_bits(eight >> 4 & 0x0101010101010101u);
    }
}

void samp_int5_unpack(const uint8_t nibbles[32], const uint8_t high[8], uint8_t u[64])
{
    unpack_nibbles(nibbles, u);
    for (int i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, u + 8 * i, sizeof eight);
        eight |= spread_bits(high[i]) << 4;
        memcpy(u + 8 * i, &eight, sizeof eight);
    }
}

void samp_int6_pack(const uint8_t u[64], uint8_t nibbles[32], uint8_t high[16])
{
    pack_nibbles(u, nibbles);
    for (int j = 0; j < 16; j++)
        high[j] =
            (uint8_t)(u[j] >> 4 | u[16 + j] >> 4 << 2 | u[32 + j] >> 4 << 4 | u[48 + j] >> 4 << 6);
}

void samp_int6_unpack(const uint8_t nibbles[32], const uint8_t high[16], uint8_t u[64])
{
    unpack_nibbles(nibbles, u);
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 16; j++) u[16 * k + j] |= (uint8_t)((high[j] >> 2 * k & 3) << 4);
}

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

void samp_int5_pack(const uint8_t u[64], uint8_t nibbles[32], uint8_t high[8])
{
    pack_nibbles(u, nibbles);
    memset(high, 0, 8);
    for (int i = 0; i < 64; i++) high[i / 8] |= (uint8_t)((u[i] >> 4 & 1) << i % 8);
}

void samp_int5_unpack(const uint8_t nibbles[32], const uint8_t high[8], uint8_t u[64])
{
    unpack_nibbles(nibbles, u);
    for (int i = 0; i < 64; i++) u[i] |= (uint8_t)((high[i / 8] >> i % 8 & 1) << 4);
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
    for (int i = 0; i < 64; i++) u[i] |= (uint8_t)((high[i % 16] >> 2 * (i / 16) & 3) << 4);
}

/* How int5 and int6 lie in part 0: for each group of 64 columns a nibble plane, for the row then a
 * plane of high bits, so that a row is [groups][32] bytes of nibbles and [groups][8 or 16] bytes of
 * high bits. u = t + 16 or t + 32 is stored, unsigned; padding columns hold t = 0.
 *
 *   nibbles, 32 bytes a group: byte i = low nibble of u of column i | that of column 32+i << 4
 *                              (one 32-byte load, and, shift: columns 0–31 and 32–63 in order)
 *   int5, 8 bytes a group:     a little-endian 64-bit mask, bit i = bit 4 of column i
 *                              (an AVX-512 mask register as it is)
 *   int6, 16 bytes a group:    byte j, bits 2k and 2k+1 = bits 4 and 5 of column 16k+j, k = 0 … 3
 *                              (broadcast 16 bytes, shift lane k by 2k, and 3) */
#ifndef SAMP_FORMAT_BITS_H
#define SAMP_FORMAT_BITS_H

#include <stdint.h>

enum { SAMP_INT5_GROUP_BYTES = 40, SAMP_INT6_GROUP_BYTES = 48 };

/* u [64] unsigned values of one group <-> its two planes. */
void samp_int5_pack(const uint8_t u[64], uint8_t nibbles[32], uint8_t high[8]);
void samp_int5_unpack(const uint8_t nibbles[32], const uint8_t high[8], uint8_t u[64]);
void samp_int6_pack(const uint8_t u[64], uint8_t nibbles[32], uint8_t high[16]);
void samp_int6_unpack(const uint8_t nibbles[32], const uint8_t high[16], uint8_t u[64]);

#endif

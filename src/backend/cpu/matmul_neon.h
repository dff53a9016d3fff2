/* What the three NEON levels share (matmul_common_neon.c): the order of quantized inputs, and
 * products of float weights. They differ in integer products only (matmul_neon_body.h).
 *
 * Inputs are bytes: hi and lo of q = 256*hi + lo for 16-bit inputs, q itself for 8-bit ones. Rows
 * of bytes are taken two together, a pair: hi and lo of one token, or two tokens of 8 bits. A pair
 * lies in steps of 8 columns, the first row's 8 bytes, then the second's: what a matrix product
 * (smmla) wants as its second operand, and what dot products take dword by dword. A tile of one
 * 8-bit token is its 64 bytes. */
#ifndef SAMP_CPU_MATMUL_NEON_H
#define SAMP_CPU_MATMUL_NEON_H

#include "backend/cpu/levels.h"

enum { SAMP__STEP = 8, SAMP__NEON_TILE = 4 };

extern const uint8_t samp__neon_widths[]; /* 1, 2, SAMP__NEON_TILE, 0 */

void samp__neon_quantize(const samp__quantized *to, size_t token, const float *x, size_t cols);
void samp__neon_floats(const samp__product *product);

#endif

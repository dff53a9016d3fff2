/* Vector functions of the CPU backend: one table for each instruction set, chosen once when a
 * device opens.
 *
 * Every function equals its scalar definition in backend/numerics.h bit for bit, at every level
 * (tests/cpu/test_vector.c), so that results do not depend on the machine. The bodies are written
 * once, in vector_body.h, over 16 lanes (vector_lanes.h); vector_scalar.c, vector_avx2.c,
 * vector_avx512.c and vector_neon.c compile them for their level (levels.h). Pointers need no alignment; nothing is allocated or
 * kept. */
#ifndef SAMP_CPU_VECTOR_H
#define SAMP_CPU_VECTOR_H

#include "base/cpu.h"

#include <stddef.h>
#include <stdint.h>

typedef struct samp__vector {
    float (*dot)(const float *a, const float *b, size_t n);
    /* y may be x. */
    void (*rmsnorm)(const float *x, const float *gain, size_t dim, float eps, float *y);
    /* y[i] = samp_silu(g[i], u[i]); y may be g or u. */
    void (*silu)(const float *g, const float *u, size_t n, float *y);
    void (*exp)(const float *x, size_t n, float *y);
    void (*add)(const float *a, const float *b, size_t n, float *y); /* y may be a or b */
    /* samp_input_quantize: one group of n <= SAMP_INPUT_GROUP inputs, n_max SAMP_A8_MAX or
     * SAMP_A16_MAX. */
    float (*input_quantize)(const float *x, size_t n, int n_max, int16_t *q, int32_t *sum);
    void (*to_fp16)(const float *x, size_t n, uint16_t *y);
    void (*from_fp16)(const uint16_t *x, size_t n, float *y);
    void (*from_bf16)(const uint16_t *x, size_t n, float *y);
    /* Rotates one head in place; cos_sin is the position's row [head_dim/2][2]. */
    void (*rope)(float *head, size_t head_dim, const float *cos_sin);
    float (*kv_quantize)(const float *x, size_t n, int8_t *q);
} samp__vector;

#endif

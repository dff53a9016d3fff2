/* splitmix64: a small, seedable, portable generator for tests, sampling and bootstrap intervals. */
#ifndef SAMP_BASE_PRNG_H
#define SAMP_BASE_PRNG_H

#include <math.h>
#include <stdint.h>

typedef struct samp_prng {
    uint64_t state;
} samp_prng;

static inline uint64_t samp_prng_next(samp_prng *prng)
{
    uint64_t x = prng->state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* Uniform in [0, 1), 53 bits. */
static inline double samp_prng_uniform(samp_prng *prng)
{
    return (double)(samp_prng_next(prng) >> 11) * 0x1p-53;
}

/* Uniform in 0 … n-1 (n > 0); the bias of the multiply is below n/2^64. */
static inline uint64_t samp_prng_below(samp_prng *prng, uint64_t n)
{
    return (uint64_t)((unsigned __int128)samp_prng_next(prng) * n >> 64);
}

/* Standard normal (Box-Muller, one of the pair). */
static inline double samp_prng_normal(samp_prng *prng)
{
    double u = 1.0 - samp_prng_uniform(prng), v = samp_prng_uniform(prng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

#endif

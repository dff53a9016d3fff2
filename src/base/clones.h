/* Copies of a function for AVX-512 and AVX2, chosen by the loader: for plain loops that the compiler
 * vectorizes. Sums keep their order and products are not fused, so all copies give the same bits.
 * Sanitizers start before the loader can choose, and clang 14 does not know the attribute. */
#ifndef SAMP_BASE_CLONES_H
#define SAMP_BASE_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SAMP_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SAMP_CLONES
#endif

#endif

/* What the kernels of products share: loops that must be unrolled for their arrays of vectors to
 * live in registers, and functions that must be inlined so that kinds and tile sizes are
 * constants in them. */
#ifndef SAMP_CPU_KERNEL_H
#define SAMP_CPU_KERNEL_H

#define INLINE static inline __attribute__((always_inline))

/* Sanitizers check every access of an unrolled loop: minutes of compiling for nothing. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SAMP__SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SAMP__SANITIZED
#endif

/* UNROLL: always. UNROLL_LINES: where GCC needs straight-line code to keep an array of sums in
 * registers (its scalar replacement comes before the unrolling), and Clang would rather spill. */
#if defined(SAMP__SANITIZED)
#define UNROLL
#define UNROLL_LINES
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_LINES
#else
#define UNROLL       _Pragma("GCC unroll 16")
#define UNROLL_LINES UNROLL
#endif

/* How far ahead of its reads a product of one token asks for its weights, bytes: it waits for
 * memory, and hardware prefetchers stop at every page (Xeon: a fifth to a half faster than
 * without). */
enum { SAMP__PREFETCH = 3072 };

static inline void samp__prefetch(const void *at)
{
    __builtin_prefetch((const char *)at + SAMP__PREFETCH, 0, 3);
}

#endif

/* Sameness of texts: a hash that ignores case and white space, a signature whose few differing bits
 * mean nearly the same words, and a table that remembers which hashes came by.
 *
 * The table is one allocation of at most 64 MiB whatever the size of the log: 32-bit tags by linear
 * probing. Two different texts are taken for one with a probability of about 2^-31 a record; when
 * it is full (14.6 million different texts) it says so and learns no more. */
#ifndef SAMP_PLAN_SAMPLE_CONTENT_H
#define SAMP_PLAN_SAMPLE_CONTENT_H

#include "base/error.h"

#include <stdint.h>

uint64_t samp_content_hash(const char *text, size_t n);
/* Simhash over pairs of neighbouring words. */
uint64_t samp_content_signature(const char *text, size_t n);
/* Signatures with at most so many different bits belong to nearly the same text: a cosine of their
 * pairs of words of about 0.96. Of unrelated texts 32 bits differ, give or take 4. */
enum { SAMP_SIGNATURE_NEAR = 6 };

/* splitmix64's finalizer: a bijection that scatters. */
static inline uint64_t samp_mix64(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

typedef struct samp_seen {
    uint32_t *tags; /* 0 = free */
    uint64_t n_slots, n_used;
    bool full;
} samp_seen;

/* For about n_expected texts; 0 = not known, the largest table. */
samp_status samp_seen_init(samp_seen *seen, uint64_t n_expected, samp_error *error);
void samp_seen_release(samp_seen *seen);
/* True when the hash was added before; false for a new one, and for all unknown ones once full. */
bool samp_seen_add(samp_seen *seen, uint64_t hash);

#endif

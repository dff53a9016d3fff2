/* SHA-256 (OpenSSL), for artifact digests and fingerprints. */
#ifndef SAMP_BASE_HASH_H
#define SAMP_BASE_HASH_H

#include "base/error.h"

#include <stdint.h>

enum { SAMP_SHA256_HEX = 65 }; /* 64 hexadecimal digits and NUL */

typedef struct samp_sha256 samp_sha256;
samp_status samp_sha256_begin(samp_sha256 **out, samp_error *error);
void samp_sha256_update(samp_sha256 *hash, const void *bytes, size_t n);
/* Writes the digest in lower-case hexadecimal and releases hash. */
void samp_sha256_end(samp_sha256 *hash, char hex[SAMP_SHA256_HEX]);
samp_status samp_sha256_bytes(const void *bytes, size_t n, char hex[SAMP_SHA256_HEX],
                              samp_error *error);

#endif

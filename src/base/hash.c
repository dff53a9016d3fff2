/* SHA-256 through OpenSSL's EVP interface. */
#include "base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* samp_sha256 is EVP_MD_CTX under another name: no header of ours needs OpenSSL's. */
samp_status samp_sha256_begin(samp_sha256 **out, samp_error *error)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    *out = (samp_sha256 *)context;
    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1) return SAMP_OK;
    EVP_MD_CTX_free(context);
    *out = NULL;
    return samp_fail(error, SAMP_NOMEM, "out of memory for a SHA-256 computation");
}

void samp_sha256_update(samp_sha256 *hash, const void *bytes, size_t n)
{
    EVP_DigestUpdate((EVP_MD_CTX *)hash, bytes, n);
}

void samp_sha256_end(samp_sha256 *hash, char hex[SAMP_SHA256_HEX])
{
    unsigned char digest[32] = {0};
    EVP_DigestFinal_ex((EVP_MD_CTX *)hash, digest, NULL);
    EVP_MD_CTX_free((EVP_MD_CTX *)hash);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

samp_status samp_sha256_bytes(const void *bytes, size_t n, char hex[SAMP_SHA256_HEX],
                              samp_error *error)
{
    samp_sha256 *hash;
    SAMP_TRY(samp_sha256_begin(&hash, error));
    samp_sha256_update(hash, bytes, n);
    samp_sha256_end(hash, hex);
    return SAMP_OK;
}

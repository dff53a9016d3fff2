/* UTF-8, for text that may be any bytes. */
#ifndef SAMP_BASE_UTF8_H
#define SAMP_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character at p: 1 to 4; 0 when p[0..n) starts with an invalid sequence;
 * -1 when it is the beginning of a valid one. n > 0. */
int samp_utf8_length(const char *p, size_t n);
/* Code point of a character whose length samp_utf8_length gave. */
uint32_t samp_utf8_decode(const char *p, int length);
/* Writes 1 to 4 bytes. */
size_t samp_utf8_encode(uint32_t code, char out[4]);
/* n bytes are well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). */
bool samp_utf8_valid(const char *text, size_t n);
/* Characters of well-formed UTF-8; of other bytes, those that continue none. */
size_t samp_utf8_count(const char *text, size_t n);

#endif

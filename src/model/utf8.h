/* UTF-8 by hand, for text that may be any bytes: the tokenizers and the chat templates.
 * Defined in tokenizer_text.c; nothing is allocated. */
#ifndef SAMP_MODEL_UTF8_H
#define SAMP_MODEL_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character at p: 1 to 4; 0 when p[0..n) starts with an invalid sequence;
 * -1 when it is the beginning of a valid one. n > 0. */
int samp__utf8_length(const char *p, size_t n);
/* Code point of a character whose length samp__utf8_length gave. */
uint32_t samp__utf8_decode(const char *p, int length);
/* Writes 1 to 4 bytes. */
size_t samp__utf8_encode(uint32_t code, char out[4]);

#endif

/* A byte-level BPE tokenizer without merges: ids 0 … 255 are the bytes, then a few longer tokens
 * that only decoding and constraints meet, 300 is the end. */
#ifndef SAMP_TESTS_SUPPORT_BYTE_TOKENIZER_H
#define SAMP_TESTS_SUPPORT_BYTE_TOKENIZER_H

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTE_TOKENIZER_END = 300, BYTE_TOKENIZER_VOCABULARY = 304 };

/* The character that GPT-2's alphabet writes for a byte. */
static inline unsigned byte_alphabet(unsigned byte)
{
    unsigned moved = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool kept = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte) return kept ? b : 256 + moved;
        moved += !kept;
    }
    return 0;
}

static inline void byte_token(json_t *vocab, const char *bytes, size_t n, int id)
{
    char text[128];
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned c = byte_alphabet((unsigned char)bytes[i]);
        if (c < 0x80)
            text[length++] = (char)c;
        else {
            text[length++] = (char)(0xc0 | c >> 6);
            text[length++] = (char)(0x80 | (c & 0x3f));
        }
    }
    text[length] = '\0';
    json_object_set_new(vocab, text, json_integer(id));
}

/* tokenizer.json; release with free. */
static inline char *byte_tokenizer_text(void)
{
    static const char *const longer[] = {"\":", "\", \"", "{\"",       "\"}",  "[\"",
                                         "],",  "true",   "false",     "12",   "name",
                                         "  ",  "}\n",    "\xc3\xa9t", "\\u00"};
    json_t *vocab = json_object();
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        byte_token(vocab, &byte, 1, b);
    }
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        byte_token(vocab, longer[i], strlen(longer[i]), 256 + (int)i);
    json_t *all =
        json_pack("{s:s, s:[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}], s:{s:s, s:b, s:b}, "
                  "s:{s:s}, s:{s:s, s:o, s:[]}}",
                  "version", "1.0", "added_tokens", "id", BYTE_TOKENIZER_END, "content", "<end>",
                  "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1,
                  "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 1,
                  "decoder", "type", "ByteLevel", "model", "type", "BPE", "vocab", vocab, "merges");
    char *text = all ? json_dumps(all, 0) : NULL;
    if (!text) abort();
    json_decref(all);
    return text;
}

#endif

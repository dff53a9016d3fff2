/* A tokenizer's tokens in order of their bytes, with what each shares with the one before it:
 * a tree of prefixes without the tree. Private to the room. */
#ifndef SAMP_CONSTRAIN_VOCABULARY_H
#define SAMP_CONSTRAIN_VOCABULARY_H

#include "constrain/constrain.h"

typedef struct samp__vocabulary_token {
    const char *bytes; /* the tokenizer's */
    uint32_t length, shared;
    uint32_t id;
} samp__vocabulary_token;

struct samp_constrain_vocabulary {
    const samp_tokenizer *tokenizer;
    samp__vocabulary_token *tokens; /* [n], none empty, none special */
    uint32_t n, longest;
    uint32_t *ends; /* [n_ends] */
    uint32_t n_ends;
    size_t n_words; /* of a mask */
};

#endif

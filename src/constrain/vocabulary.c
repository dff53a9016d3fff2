/* Tokens in order of their bytes. */
#include "constrain/vocabulary.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static int compare_tokens(const void *a, const void *b)
{
    const samp__vocabulary_token *x = a, *y = b;
    uint32_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->bytes, y->bytes, n);
    if (order) return order;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void sort_tokens(samp_constrain_vocabulary *v)
{
    qsort(v->tokens, v->n, sizeof *v->tokens, compare_tokens);
    for (uint32_t i = 0; i < v->n; i++) {
        samp__vocabulary_token *token = &v->tokens[i];
        const samp__vocabulary_token *before = i ? &v->tokens[i - 1] : NULL;
        if (token->length > v->longest) v->longest = token->length;
        while (before && token->shared < token->length && token->shared < before->length &&
               token->bytes[token->shared] == before->bytes[token->shared])
            token->shared++;
    }
}

samp_status samp_constrain_vocabulary_create(samp_constrain_vocabulary **out,
                                             const samp_tokenizer *tokenizer, uint32_t vocab_size,
                                             const int32_t *end_tokens, size_t n_end,
                                             samp_error *error)
{
    uint32_t n = samp_tokenizer_vocab(tokenizer);
    samp_constrain_vocabulary *v = samp_alloc(1, sizeof *v);
    if (v) v->tokens = samp_alloc(n + 1, sizeof *v->tokens);
    if (v) v->ends = samp_alloc(n_end + 1, sizeof *v->ends);
    if (!v || !v->tokens || !v->ends) {
        samp_constrain_vocabulary_release(v);
        return samp_fail(error, SAMP_NOMEM, "out of memory for %u tokens", n);
    }
    v->tokenizer = tokenizer;
    v->n_words = ((size_t)vocab_size + 63) / 64;
    for (uint32_t id = 0; id < n && id < vocab_size; id++) {
        samp__vocabulary_token *token = &v->tokens[v->n];
        size_t length;
        if (samp_tokenizer_is_special(tokenizer, (int32_t)id)) continue;
        samp_tokenizer_bytes(tokenizer, (int32_t)id, false, &token->bytes, &length);
        if (length == 0) continue;
        token->length = (uint32_t)length;
        token->id = id;
        v->n++;
    }
    for (size_t i = 0; i < n_end; i++)
        if ((uint32_t)end_tokens[i] < vocab_size) v->ends[v->n_ends++] = (uint32_t)end_tokens[i];
    sort_tokens(v);
    *out = v;
    return SAMP_OK;
}

void samp_constrain_vocabulary_release(samp_constrain_vocabulary *vocabulary)
{
    if (!vocabulary) return;
    samp_free(vocabulary->tokens);
    samp_free(vocabulary->ends);
    samp_free(vocabulary);
}

/* Tokenizers: the public face. Encoding runs a text through the rooms that tokenizer_internal.h
 * lists; loading a folder puts its files through the readers; the rest looks things up. A
 * samp_tokenizer owns all its memory and never changes after it was made. */
#include "model/tokenizer_internal.h"

#include <string.h>

samp_status samp_tokens_push(samp_tokens *tokens, int32_t id, samp_error *error)
{
    if (tokens->count == tokens->capacity) {
        size_t capacity = tokens->capacity ? 2 * tokens->capacity : 64;
        int32_t *ids = samp_realloc(tokens->ids, capacity, sizeof *ids);
        if (!ids) return samp_fail(error, SAMP_NOMEM, "out of memory for %zu tokens", capacity);
        tokens->ids = ids;
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->count++] = id;
    return SAMP_OK;
}

void samp_tokens_release(samp_tokens *tokens)
{
    samp_free(tokens->ids);
    *tokens = (samp_tokens){0};
}

samp_status samp__tokenizer_new(samp_tokenizer **out, samp_error *error)
{
    samp_tokenizer *t = *out = samp_alloc(1, sizeof *t);
    if (!t) return samp_fail(error, SAMP_NOMEM, "out of memory for a tokenizer");
    t->unk = t->bos = t->eos = t->pad = t->unk_name = -1;
    for (int i = 0; i < 256; i++) t->symbol_of_byte[i] = t->symbol_of_ascii[i / 2] = -1;
    return SAMP_OK;
}

samp_status samp__tokenizer_finish(samp_tokenizer *t, samp__merge_list *merges, const char *where,
                                   samp_error *error)
{
    SAMP_TRY(samp__added_named(t, where, error));
    SAMP_TRY(samp__merges_finish(t, merges, error));
    SAMP_TRY(samp__vocabulary_finish(t, error));
    SAMP_TRY(samp__joins_finish(t, error));
    return samp__added_finish(t, where, error);
}

void samp_tokenizer_release(samp_tokenizer *t)
{
    if (!t) return;
    samp__split_release(t->split);
    json_decref(t->json_normalizer);
    json_decref(t->json_pre_tokenizer);
    json_decref(t->json_post_processor);
    json_decref(t->json_decoder);
    samp_arena_release(&t->arena);
    samp_free(t);
}

/* ---- Encoding ---- */

/* marks: [n], or NULL when all of the text may be special tokens. */
typedef samp_status (*segment_fn)(samp__scratch *s, const char *text, size_t n,
                                  const uint8_t *marks, bool first);

/* Pushes the added tokens of a text and hands what lies between them to `rest`. */
static samp_status cut_added(samp__scratch *s, const samp__added_trie *trie, const char *text,
                             size_t n, const uint8_t *marks, bool first, segment_fn rest)
{
    samp__added_match match;
    size_t at = 0;
    while (at < n &&
           samp__added_find(s->tokenizer, trie, s->parse_special, marks, text, n, at, &match)) {
        if (match.start > at)
            SAMP_TRY(
                rest(s, text + at, match.start - at, marks ? marks + at : NULL, first && at == 0));
        SAMP_TRY(samp_tokens_push(s->out, match.id, s->error));
        at = match.end;
    }
    return at < n ? rest(s, text + at, n - at, marks ? marks + at : NULL, first && at == 0)
                  : SAMP_OK;
}

static samp_status encode_normalized(samp__scratch *s, const char *text, size_t n,
                                     const uint8_t *marks, bool first)
{
    (void)marks;
    SAMP_TRY(
        samp__transforms_apply(&s->tokenizer->prefix, first, s->prefixed, &text, &n, s->error));
    return samp__split_text(s, text, n);
}

static samp_status encode_raw(samp__scratch *s, const char *text, size_t n, const uint8_t *marks,
                              bool first)
{
    const samp__transforms *normalizer = &s->tokenizer->normalizer;
    const char *raw = text;
    size_t n_raw = n;
    SAMP_TRY(samp__transforms_apply(normalizer, first, s->normalized, &text, &n, s->error));
    if (marks && text != raw && s->tokenizer->normalized.count) {
        SAMP_TRY(samp__transforms_marks(normalizer, first, raw, n_raw, marks, text, n, &s->marks,
                                        s->error));
        marks = (const uint8_t *)s->marks.data;
    }
    return cut_added(s, &s->tokenizer->normalized, text, n, marks, first, encode_normalized);
}

samp_status samp_tokenizer_encode(const samp_tokenizer *t, const char *text, size_t n,
                                  samp_encode_text options, samp_tokens *out, samp_error *error)
{
    if (n > SAMP__TEXT_MAX)
        return samp_fail(error, SAMP_LIMIT,
                         "a text of %zu bytes to encode, at most %d are accepted", n,
                         SAMP__TEXT_MAX);
    size_t before = out->count;
    if (options.add_bos && t->add_bos && t->bos >= 0)
        SAMP_TRY(samp_tokens_push(out, t->bos, error));
    samp__scratch scratch = {
        .tokenizer = t, .out = out, .error = error, .parse_special = options.parse_special};
    samp_status status = cut_added(&scratch, &t->raw, text, n, options.marks, true, encode_raw);
    samp__scratch_release(&scratch);
    if (status == SAMP_OK && options.add_eos && t->add_eos && t->eos >= 0)
        status = samp_tokens_push(out, t->eos, error);
    if (status != SAMP_OK) out->count = before;
    return status;
}

/* ---- Looking up ---- */

uint32_t samp_tokenizer_vocab(const samp_tokenizer *t) { return t->n_tokens; }

int32_t samp_tokenizer_bos(const samp_tokenizer *t) { return t->bos; }

int32_t samp_tokenizer_eos(const samp_tokenizer *t) { return t->eos; }

const char *samp_tokenizer_chat_template(const samp_tokenizer *t) { return t->chat_template; }

const char *samp_tokenizer_tool_template(const samp_tokenizer *t) { return t->tool_template; }

bool samp_tokenizer_is_special(const samp_tokenizer *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->n_tokens && t->tokens[id].flags & SAMP__TOKEN_SPECIAL;
}

int32_t samp_tokenizer_find(const samp_tokenizer *t, const char *text)
{
    return samp__vocabulary_find(t, text, strlen(text));
}

void samp_tokenizer_bytes(const samp_tokenizer *t, int32_t id, bool with_special,
                          const char **bytes, size_t *length)
{
    *bytes = "";
    *length = 0;
    if (id < 0 || (uint32_t)id >= t->n_tokens) return;
    if (!with_special && t->tokens[id].flags & SAMP__TOKEN_SPECIAL) return;
    *bytes = t->tokens[id].bytes;
    *length = t->tokens[id].n_bytes;
}

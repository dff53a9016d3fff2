/* The vocabulary: tokens by id, and hash tables from text to id.
 * Everything is allocated in the tokenizer's arena and never changes after samp__vocabulary_finish.
 */
#include "model/tokenizer_internal.h"

#include <string.h>

samp_status samp__vocabulary_begin(samp_tokenizer *t, uint64_t n, const char *where,
                                   samp_error *error)
{
    if (n == 0 || n > SAMP__VOCAB_MAX)
        return samp_fail(error, n ? SAMP_LIMIT : SAMP_CORRUPT,
                         "%s: the vocabulary has %llu ids, expected 1 to %d", where,
                         (unsigned long long)n, SAMP__VOCAB_MAX);
    t->tokens = samp_arena_alloc(&t->arena, n, sizeof *t->tokens);
    if (!t->tokens)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for %llu tokens", where,
                         (unsigned long long)n);
    t->n_tokens = (uint32_t)n;
    for (uint32_t id = 0; id < t->n_tokens; id++) t->tokens[id].text = t->tokens[id].bytes = "";
    return SAMP_OK;
}

static samp_status table_begin(samp_arena *arena, samp__string_table *table, uint32_t n,
                               samp_error *error)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)n) size *= 2;
    table->slots = samp_arena_alloc(arena, size, sizeof *table->slots);
    if (!table->slots)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the vocabulary's %u entries", n);
    table->mask = (uint32_t)(size - 1);
    return SAMP_OK;
}

/* The slot of a text: its own, or the free one where it belongs. */
static uint32_t *table_slot(const samp_tokenizer *t, const samp__string_table *table, bool by_bytes,
                            const char *text, size_t n)
{
    for (uint32_t at = (uint32_t)samp__hash_bytes(text, n) & table->mask;;
         at = (at + 1) & table->mask) {
        uint32_t *slot = &table->slots[at];
        if (!*slot) return slot;
        const samp__token *token = &t->tokens[*slot - 1];
        const char *other = by_bytes ? token->bytes : token->text;
        uint32_t n_other = by_bytes ? token->n_bytes : token->n_text;
        if (n_other == n && memcmp(other, text, n) == 0) return slot;
    }
}

samp_status samp__vocabulary_put(samp_tokenizer *t, uint32_t id, const char *text, size_t n,
                                 uint32_t flags, const char *where, samp_error *error)
{
    if (n > SAMP__TOKEN_BYTES_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: token %u has %zu bytes, at most %d are accepted",
                         where, id, n, SAMP__TOKEN_BYTES_MAX);
    samp__token *token = &t->tokens[id];
    if (token->flags)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: id %u is given to two tokens, \"%.40s\" and \"%.*s\"", where, id,
                         token->text, (int)(n < 40 ? n : 40), text);
    token->text = samp_arena_strndup(&t->arena, text, n);
    if (!token->text)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory for token %u", where, id);
    token->n_text = (uint32_t)n;
    token->flags = flags | SAMP__TOKEN_PRESENT;
    if (t->by_text.slots) {
        uint32_t *slot = table_slot(t, &t->by_text, false, token->text, n);
        if (!*slot) *slot = id + 1;
    }
    return SAMP_OK;
}

samp_status samp__vocabulary_index(samp_tokenizer *t, samp_error *error)
{
    SAMP_TRY(table_begin(&t->arena, &t->by_text, t->n_tokens, error));
    for (uint32_t id = 0; id < t->n_tokens; id++) {
        const samp__token *token = &t->tokens[id];
        if (!token->flags) continue;
        uint32_t *slot = table_slot(t, &t->by_text, false, token->text, token->n_text);
        if (!*slot) *slot = id + 1;
    }
    return SAMP_OK;
}

int32_t samp__vocabulary_find(const samp_tokenizer *t, const char *text, size_t n)
{
    return (int32_t)*table_slot(t, &t->by_text, false, text, n) - 1;
}

static bool is_model_token(const samp_tokenizer *t, int32_t id)
{
    return id >= 0 &&
           (t->tokens[id].flags & (SAMP__TOKEN_MODEL | SAMP__TOKEN_SPECIAL)) == SAMP__TOKEN_MODEL;
}

int32_t samp__vocabulary_find_model(const samp_tokenizer *t, const char *text, size_t n)
{
    int32_t id = samp__vocabulary_find(t, text, n);
    return is_model_token(t, id) ? id : -1;
}

int32_t samp__vocabulary_find_word(const samp_tokenizer *t, const char *bytes, size_t n)
{
    if (!t->by_bytes.slots) {
        int32_t id = samp__vocabulary_find_model(t, bytes, n);
        return id >= 0 && t->tokens[id].flags & SAMP__TOKEN_BYTE ? -1 : id;
    }
    return (int32_t)*table_slot(t, &t->by_bytes, true, bytes, n) - 1;
}

/* Bytes of a byte-level token; false when a character is not of the alphabet. */
static bool decode_alphabet(const samp__token *token, samp_buffer *out)
{
    samp_buffer_clear(out);
    for (size_t i = 0; i < token->n_text;) {
        int length = samp_utf8_length(token->text + i, token->n_text - i);
        int byte = length > 0 ? samp__code_to_byte(samp_utf8_decode(token->text + i, length)) : -1;
        if (byte < 0) return false;
        samp_buffer_append(out, &(char){(char)byte}, 1);
        i += (size_t)length;
    }
    return !out->failed;
}

static samp_status set_bytes(samp_tokenizer *t, samp__token *token, samp_buffer buffers[2],
                             samp_error *error)
{
    const char *bytes = token->text;
    size_t n = token->n_text;
    char one;
    if (token->flags & SAMP__TOKEN_BYTE) {
        one = (char)samp__byte_token(token->text, token->n_text);
        bytes = &one;
        n = 1;
    } else if (token->flags & SAMP__TOKEN_ADDED) {
        /* an added token is its own text */
    } else if (t->byte_level) {
        if (decode_alphabet(token, &buffers[0])) {
            bytes = buffers[0].data;
            n = buffers[0].length;
        }
    } else {
        SAMP_TRY(samp__transforms_apply(&t->token_decoder, false, buffers, &bytes, &n, error));
    }
    token->n_bytes = (uint32_t)n;
    token->bytes = n == token->n_text && memcmp(bytes, token->text, n) == 0
                       ? token->text
                       : samp_arena_strndup(&t->arena, n ? bytes : "", n);
    if (!token->bytes || buffers[0].failed)
        return samp_fail(error, SAMP_NOMEM, "out of memory for the vocabulary");
    return SAMP_OK;
}

static void set_symbols(samp_tokenizer *t)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        size_t n = t->byte_level ? samp_utf8_encode(samp__byte_to_code((uint8_t)byte), text) : 0;
        if (t->byte_level) t->symbol_of_byte[byte] = samp__vocabulary_find_model(t, text, n);
        text[0] = (char)byte;
        if (byte < 128) t->symbol_of_ascii[byte] = samp__vocabulary_find_model(t, text, 1);
    }
    if (t->byte_level || !t->byte_fallback) return;
    for (uint32_t id = t->n_tokens; id-- > 0;)
        if (t->tokens[id].flags & SAMP__TOKEN_BYTE)
            t->symbol_of_byte[samp__byte_token(t->tokens[id].text, 6)] = (int32_t)id;
}

samp_status samp__vocabulary_finish(samp_tokenizer *t, samp_error *error)
{
    samp_buffer buffers[2] = {{0}, {0}};
    samp_status status = SAMP_OK;
    for (uint32_t id = 0; id < t->n_tokens && status == SAMP_OK; id++) {
        samp__token *token = &t->tokens[id];
        if ((t->byte_fallback || t->decode_byte_tokens) && is_model_token(t, (int32_t)id) &&
            !(token->flags & SAMP__TOKEN_ADDED) &&
            samp__byte_token(token->text, token->n_text) >= 0)
            token->flags |= SAMP__TOKEN_BYTE;
        status = set_bytes(t, token, buffers, error);
    }
    samp_buffer_release(&buffers[0]);
    samp_buffer_release(&buffers[1]);
    SAMP_TRY(status);
    set_symbols(t);
    if (!t->byte_level || !t->ignore_merges) return SAMP_OK;
    SAMP_TRY(table_begin(&t->arena, &t->by_bytes, t->n_tokens, error));
    for (uint32_t id = 0; id < t->n_tokens; id++) {
        if (!is_model_token(t, (int32_t)id)) continue;
        const samp__token *token = &t->tokens[id];
        uint32_t *slot = table_slot(t, &t->by_bytes, true, token->bytes, token->n_bytes);
        if (!*slot) *slot = id + 1;
    }
    return SAMP_OK;
}

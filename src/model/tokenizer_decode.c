/* From ids back to text, whole or token by token.
 *
 * The whole decode gives the tokens' bytes as they are. The streaming one gives whole characters
 * only: it keeps up to three bytes of a character that the next token may complete, and writes
 * U+FFFD for each maximal part that can become none (Unicode 15, 3.9), so its output is always
 * valid UTF-8 and equals the whole decode wherever that is valid. */
#include "model/tokenizer_internal.h"

#include <string.h>

/* The bytes of a token at its place: SentencePiece's first one loses its leading space. */
static void token_bytes(const samp_tokenizer *t, int32_t id, bool with_special, bool *started,
                        const char **bytes, size_t *n)
{
    samp_tokenizer_bytes(t, id, with_special, bytes, n);
    if (*n == 0) return;
    if (!*started && t->strip_leading_space && **bytes == ' ') {
        (*bytes)++;
        (*n)--;
    }
    *started = true;
}

samp_status samp_tokenizer_decode(const samp_tokenizer *t, const int32_t *ids, size_t n,
                                  bool with_special, samp_buffer *out, samp_error *error)
{
    bool started = false;
    for (size_t i = 0; i < n; i++) {
        const char *bytes;
        size_t length;
        if (ids[i] < 0 || (uint32_t)ids[i] >= t->n_tokens)
            return samp_fail(error, SAMP_INVALID,
                             "token %zu has the id %d, the vocabulary has %u tokens", i, ids[i],
                             t->n_tokens);
        token_bytes(t, ids[i], with_special, &started, &bytes, &length);
        samp_buffer_append(out, bytes, length);
    }
    return samp_buffer_ok(out, error);
}

static void push_byte(samp_detokenizer *state, char byte, samp_buffer *out)
{
    state->pending[state->n_pending++] = byte;
    int length = samp_utf8_length(state->pending, state->n_pending);
    if (length < 0) return; /* a beginning: wait */
    if (length > 0) {
        samp_buffer_append(out, state->pending, state->n_pending);
        state->n_pending = 0;
        return;
    }
    samp_buffer_text(out, "\xef\xbf\xbd");
    bool alone = state->n_pending == 1;
    state->n_pending = 0;
    if (!alone) push_byte(state, byte, out); /* what it did not continue, it may start */
}

void samp_detokenize(const samp_tokenizer *t, samp_detokenizer *state, int32_t id,
                     bool with_special, samp_buffer *out)
{
    const char *bytes;
    size_t n;
    token_bytes(t, id, with_special, &state->started, &bytes, &n);
    for (size_t i = 0; i < n; i++) push_byte(state, bytes[i], out);
}

void samp_detokenize_end(samp_detokenizer *state, samp_buffer *out)
{
    if (state->n_pending) samp_buffer_text(out, "\xef\xbf\xbd");
    state->n_pending = 0;
}

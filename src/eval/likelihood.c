/* Log-likelihoods over one sequence that is cut back to what the next text shares with it. */
#include "eval/likelihood.h"

#include "base/memory.h"
#include "eval/compare.h"

#include <string.h>

enum { CHUNK = 32 }; /* rows of logits in memory at a time */

struct samp_scorer {
    samp_session *session;
    const samp_tokenizer *tokenizer;
    samp_sequence *sequence;
    size_t vocab;
    samp_tokens fed;   /* ids that the sequence holds */
    samp_tokens whole; /* context and continuation of the current text */
    samp_buffer text;  /* both, before they are encoded */
    size_t n_context;  /* row holds the logits after fed[0 … n_context); 0 = it holds none */
    float *row;        /* [vocab] */
    float *rows;       /* [CHUNK][vocab] */
    uint64_t n_fed;
};

samp_status samp_scorer_create(samp_scorer **out, samp_session *session,
                               const samp_tokenizer *tokenizer, samp_error *error)
{
    uint32_t vocab = samp_session_config(session)->vocab_size;
    if (samp_tokenizer_vocab(tokenizer) > vocab)
        return samp_fail(error, SAMP_MISMATCH,
                         "the tokenizer has %u tokens, the model %u: they are not of one model",
                         samp_tokenizer_vocab(tokenizer), vocab);
    samp_scorer *scorer = samp_alloc(1, sizeof *scorer);
    if (!scorer) return samp_fail(error, SAMP_NOMEM, "out of memory for a scorer");
    *scorer = (samp_scorer){.session = session, .tokenizer = tokenizer, .vocab = vocab};
    scorer->row = samp_alloc(vocab, sizeof *scorer->row);
    scorer->rows = samp_alloc((size_t)CHUNK * vocab, sizeof *scorer->rows);
    samp_status status = scorer->row && scorer->rows
                             ? samp_sequence_create(session, &scorer->sequence, error)
                             : samp_fail(error, SAMP_NOMEM, "out of memory for %u logits", vocab);
    if (status == SAMP_OK)
        *out = scorer;
    else
        samp_scorer_release(scorer);
    return status;
}

void samp_scorer_release(samp_scorer *scorer)
{
    if (!scorer) return;
    samp_sequence_release(scorer->session, scorer->sequence);
    samp_tokens_release(&scorer->fed);
    samp_tokens_release(&scorer->whole);
    samp_buffer_release(&scorer->text);
    samp_free(scorer->row);
    samp_free(scorer->rows);
    samp_free(scorer);
}

uint64_t samp_scorer_fed(const samp_scorer *scorer) { return scorer->n_fed; }

/* Fills scorer->whole; *n_context of its tokens are the context's. */
static samp_status encode(samp_scorer *s, const char *context, const char *continuation,
                          size_t *n_context, samp_error *error)
{
    samp_encode_text how = {.add_bos = true};
    size_t n = strlen(context);
    while (n && strchr(" \t\n\v\f\r", context[n - 1])) n--;
    s->whole.count = 0;
    SAMP_TRY(samp_tokenizer_encode(s->tokenizer, context, n, how, &s->whole, error));
    *n_context = s->whole.count;
    s->whole.count = 0;
    samp_buffer_clear(&s->text);
    samp_buffer_text(&s->text, context);
    samp_buffer_text(&s->text, continuation);
    SAMP_TRY(samp_buffer_ok(&s->text, error));
    SAMP_TRY(
        samp_tokenizer_encode(s->tokenizer, s->text.data, s->text.length, how, &s->whole, error));
    if (*n_context == 0 || s->whole.count <= *n_context)
        return samp_fail(error, SAMP_INVALID,
                         "\"%.60s\" makes no token of its own after a context of %zu tokens",
                         continuation, *n_context);
    return SAMP_OK;
}

/* Drops tokens from the left until all but the last fit the model's positions. */
static samp_status cut(samp_scorer *s, size_t *n_context, bool *was_cut, samp_error *error)
{
    size_t most = (size_t)samp_session_max_positions(s->session) + 1;
    size_t n_continuation = s->whole.count - *n_context;
    *was_cut = s->whole.count > most;
    if (!*was_cut) return SAMP_OK;
    if (n_continuation >= most)
        return samp_fail(error, SAMP_LIMIT,
                         "a choice has %zu tokens, the model and the context %zu positions; give a "
                         "larger --ctx if the model allows it",
                         n_continuation, most - 1);
    memmove(s->whole.ids, s->whole.ids + s->whole.count - most, most * sizeof *s->whole.ids);
    s->whole.count = most;
    *n_context = most - n_continuation;
    return SAMP_OK;
}

static void truncate(samp_scorer *s, size_t length)
{
    if (length >= s->fed.count) return;
    samp_sequence_truncate(s->session, s->sequence, (uint32_t)length);
    s->fed.count = length;
}

/* Feeds whole[fed.count … end); logits as samp_session_prefill puts them. */
static samp_status feed(samp_scorer *s, size_t end, bool all_logits, float *logits,
                        samp_error *error)
{
    size_t begin = s->fed.count;
    samp_status status = SAMP_OK;
    for (size_t i = begin; i < end && status == SAMP_OK; i++)
        status = samp_tokens_push(&s->fed, s->whole.ids[i], error);
    if (status == SAMP_OK)
        status = samp_session_prefill(s->session, s->sequence, s->whole.ids + begin,
                                      (uint32_t)(end - begin), all_logits, logits, error);
    if (status != SAMP_OK)
        s->fed.count = begin; /* what the sequence still holds */
    else
        s->n_fed += end - begin;
    return status;
}

/* Leaves the sequence holding exactly the context, and its last logits in row. */
static samp_status feed_context(samp_scorer *s, size_t n_context, samp_error *error)
{
    size_t shared = 0;
    while (shared < n_context && shared < s->fed.count &&
           s->fed.ids[shared] == s->whole.ids[shared])
        shared++;
    if (shared == n_context && s->n_context == n_context) {
        truncate(s, n_context);
        return SAMP_OK;
    }
    s->n_context = 0;
    truncate(s, shared < n_context ? shared : n_context - 1);
    SAMP_TRY(feed(s, n_context, false, s->row, error));
    s->n_context = n_context;
    return SAMP_OK;
}

samp_status samp_scorer_score(samp_scorer *s, const char *context, const char *continuation,
                              samp_likelihood *out, samp_error *error)
{
    size_t n_context;
    *out = (samp_likelihood){0};
    SAMP_TRY(encode(s, context, continuation, &n_context, error));
    SAMP_TRY(cut(s, &n_context, &out->cut, error));
    SAMP_TRY(feed_context(s, n_context, error));
    const int32_t *target = s->whole.ids + n_context;
    size_t n = s->whole.count - n_context;
    out->n_tokens = (uint32_t)n;
    out->log_likelihood = samp_score_position(s->row, s->vocab, target[0]).log_probability;
    for (size_t at = 1, count; at < n; at += count) {
        count = n - at < CHUNK ? n - at : CHUNK;
        SAMP_TRY(feed(s, n_context + at - 1 + count, true, s->rows, error));
        for (size_t i = 0; i < count; i++)
            out->log_likelihood +=
                samp_score_position(s->rows + i * s->vocab, s->vocab, target[at + i])
                    .log_probability;
    }
    return SAMP_OK;
}

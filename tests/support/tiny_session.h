/* Sessions over tiny models, for the tests of the run room. */
#ifndef SAMP_TESTS_SUPPORT_TINY_SESSION_H
#define SAMP_TESTS_SUPPORT_TINY_SESSION_H

#include "run/session.h"
#include "support/cmocka_all.h"
#include "support/tiny_model.h"

#define OK(expression)                                                                             \
    do {                                                                                           \
        samp_error ok_error_ = {0};                                                                \
        samp_error *const e = &ok_error_;                                                          \
        if ((expression) != SAMP_OK) fail_msg("%s", e->message);                                   \
    } while (0)

/* Opens a session on a folder; inside OK(…) `e` is the error to pass. */
static inline samp_session *session_on(const char *folder, samp_session_options options)
{
    samp_model *model;
    samp_session *session;
    OK(samp_model_open(&model, folder, e));
    OK(samp_session_open(&session, model, &options, e));
    samp_model_close(model); /* a session does not need its model */
    return session;
}

static inline samp_sequence *sequence_on(samp_session *session)
{
    samp_sequence *sequence;
    OK(samp_sequence_create(session, &sequence, e));
    return sequence;
}

static inline size_t vocab_of(const samp_session *session)
{
    return samp_session_config(session)->vocab_size;
}

/* n pseudo-random token ids; the same for the same seed. */
static inline void random_tokens(int32_t *out, uint32_t n, uint32_t vocab, uint64_t seed)
{
    samp_prng prng = {seed};
    for (uint32_t i = 0; i < n; i++) out[i] = (int32_t)samp_prng_below(&prng, vocab);
}

/* All logits of a text fed to a new sequence, [n][vocab]; release with samp_free. */
static inline float *logits_of(samp_session *session, const int32_t *tokens, uint32_t n)
{
    samp_sequence *sequence = sequence_on(session);
    float *logits = samp_alloc(n * vocab_of(session), sizeof *logits);
    OK(samp_session_prefill(session, sequence, tokens, n, true, logits, e));
    samp_sequence_release(session, sequence);
    return logits;
}

#endif

/* Log-likelihood of a text after another, as lm-evaluation-harness defines it: both are encoded as
 * one text; the tokens past those of the context alone are the continuation, white space at the
 * context's end being part of it; where the model has too few positions, tokens are dropped from
 * the left.
 *
 * A scorer keeps one sequence. What a text shares with the one before (the examples of a subject,
 * the question of a choice) is not computed again, and of a context scored twice in a row not even
 * its last token: choices of one token cost one run of the model together. The log-likelihoods are
 * the same to the bit as without, because results do not depend on how tokens are batched. */
#ifndef SAMP_EVAL_LIKELIHOOD_H
#define SAMP_EVAL_LIKELIHOOD_H

#include "model/tokenizer.h"
#include "run/session.h"

typedef struct samp_scorer samp_scorer;

/* Both must outlive the scorer. SAMP_MISMATCH when the tokenizer has ids the model does not. */
samp_status samp_scorer_create(samp_scorer **out, samp_session *session,
                               const samp_tokenizer *tokenizer, samp_error *error);
void samp_scorer_release(samp_scorer *scorer); /* NULL allowed */

typedef struct samp_likelihood {
    double log_likelihood; /* nats, of all tokens of the continuation */
    uint32_t n_tokens;     /* of the continuation */
    bool cut;              /* tokens were dropped from the left */
} samp_likelihood;

/* SAMP_INVALID when the continuation makes no token of its own, SAMP_LIMIT when it alone has more
 * tokens than the model positions. */
samp_status samp_scorer_score(samp_scorer *scorer, const char *context, const char *continuation,
                              samp_likelihood *out, samp_error *error);
/* Tokens fed to the model so far. */
uint64_t samp_scorer_fed(const samp_scorer *scorer);

#endif

/* Text from one sequence: feed a prompt, then choose and feed tokens until something ends it. */
#ifndef SAMP_RUN_GENERATE_H
#define SAMP_RUN_GENERATE_H

#include "model/tokenizer.h"
#include "run/sampler.h"
#include "run/session.h"

typedef struct samp_generate_options {
    const int32_t *prompt; /* tokens fed first; at least one */
    uint32_t n_prompt;
    uint32_t max_new; /* tokens to generate at most; 0 = as many as fit the context */
    bool ignore_eos;  /* go on after an end-of-sequence token, for benchmarks */
    /* Called with every piece of text as soon as it is whole characters; NULL = none wanted. A
     * false answer ends the generation with "stop". */
    bool (*piece)(void *context, const char *text, size_t n);
    void *context;
    samp_tokens *generated; /* NULL, or where the ids of generated tokens are appended */
} samp_generate_options;

typedef struct samp_generated {
    uint32_t n_prompt, n_generated; /* tokens; an end-of-sequence token is not counted */
    double prefill_seconds;         /* from the call to the first logits */
    double decode_seconds;          /* from there to the end */
    const char *finish_reason;      /* "stop" (end of sequence, or piece said so), "length" */
    int32_t stop_token;             /* the end-of-sequence token, -1 when it ended otherwise */
} samp_generated;

/* Appends to `sequence`, which may hold earlier positions (a chat). The prompt and every generated
 * token but the last are fed to it. Stops at any eos token of the config or the tokenizer, at
 * max_new, and when the context is full ("length"). The sampler is told of all tokens. tokenizer
 * may be NULL when piece is. */
samp_status samp_generate(samp_session *session, samp_sequence *sequence,
                          const samp_tokenizer *tokenizer, samp_sampler *sampler,
                          const samp_generate_options *options, samp_generated *out,
                          samp_error *error);

#endif

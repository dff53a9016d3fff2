/* Choosing the next token from logits. temperature 0 is greedy (ties: lowest id). */
#ifndef SAMP_RUN_SAMPLER_H
#define SAMP_RUN_SAMPLER_H

#include "base/error.h"
#include "base/prng.h"

typedef struct samp_logit_bias {
    int32_t token;
    float bias; /* -100 … 100, added to the token's logit before the penalties */
} samp_logit_bias;

typedef struct samp_sampler_options {
    float temperature;                         /* 0 = greedy */
    float top_p;                               /* 1 = off */
    float min_p;                               /* 0 = off */
    int top_k;                                 /* 0 = off */
    float repetition_penalty;                  /* 1 = off */
    float frequency_penalty, presence_penalty; /* 0 = off */
    uint64_t seed;
    const samp_logit_bias *logit_bias; /* [n_logit_bias]; a sampler copies it */
    uint32_t n_logit_bias;
} samp_sampler_options;

/* temperature 0, everything off, seed 0. */
samp_sampler_options samp_sampler_defaults(void);
/* Ranges as OpenAI's and vLLM's; the error names the option. */
samp_status samp_sampler_check(const samp_sampler_options *options, samp_error *error);
/* The rest of what samp_sampler_create checks, which needs the vocabulary: ids of logit_bias. */
samp_status samp_sampler_check_tokens(const samp_sampler_options *options, uint32_t vocab_size,
                                      samp_error *error);

typedef struct samp_sampler samp_sampler;
samp_status samp_sampler_create(samp_sampler **out, const samp_sampler_options *options,
                                uint32_t vocab_size, samp_error *error);
void samp_sampler_release(samp_sampler *sampler);
/* Counts a token (prompt or generated) for the penalties. */
void samp_sampler_accept(samp_sampler *sampler, int32_t token, bool generated);
/* logits [vocab_size] are overwritten; a token whose logit is -inf is not chosen as long as there
 * is another. */
int32_t samp_sampler_next(samp_sampler *sampler, float *logits);

#endif

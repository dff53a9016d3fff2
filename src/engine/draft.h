/* Speculation by prompt lookup (Saxena, 2023): the tokens that followed the last occurrence of the
 * text's end are guessed to follow again. A step computes the guesses together with the token
 * before them, the request's own sampler chooses at each place as it would have anyway, and the
 * guesses that were chosen cost no further step. Nothing of this shows in the answer. */
#ifndef SAMP_ENGINE_DRAFT_H
#define SAMP_ENGINE_DRAFT_H

#include <stdint.h>

enum { SAMP__DRAFT_MAX = 8 };

/* How a request's guesses fared. */
typedef struct samp__draft_record {
    float right;     /* share of guesses that were right, the last ones counting most */
    uint32_t silent; /* tokens since guessing stopped to pay */
    uint32_t wait;   /* such tokens before it is tried again */
} samp__draft_record;

void samp__draft_record_init(samp__draft_record *record);
/* How many tokens to guess, when one costs `cost` (samp__pace_guess_cost) of a token: as long as
 * all being right is likelier than that; now and then two although it did not pay. To be asked once
 * a token. */
uint32_t samp__draft_length(samp__draft_record *record, double cost);
void samp__draft_learn(samp__draft_record *record, uint32_t n_right, uint32_t n_wrong);

/* Guesses up to n_max tokens after tokens[0..n); returns how many, 0 when its end of three tokens
 * was not seen before. */
uint32_t samp__draft_lookup(const int32_t *tokens, uint32_t n, uint32_t n_max, int32_t *draft);

#endif

/* What a step costs: seconds = base + tokens * each, fitted by least squares to the last hundred
 * steps or so. The base is what reading the weights takes, whoever it is for. It says how much of a
 * prompt fits into a step that others wait for, and whether a guessed token is worth computing. */
#ifndef SAMP_ENGINE_PACE_H
#define SAMP_ENGINE_PACE_H

#include <stdint.h>

/* Weighted sums over steps, n tokens and t seconds each. Zeroed = nothing is known. */
typedef struct samp__pace {
    double weight, n, t, nn, nt;
} samp__pace;

void samp__pace_add(samp__pace *pace, uint32_t n_tokens, double seconds);
/* The two coefficients, neither negative; 0 and 0 before the first step. */
void samp__pace_fit(const samp__pace *pace, double *base, double *each);
/* Tokens that can join a step of n_tokens for it to last `seconds`; UINT32_MAX when unknown. */
uint32_t samp__pace_room(const samp__pace *pace, uint32_t n_tokens, double seconds);
/* Seconds of one more token over seconds a token has cost so far, in a step of n_tokens (at least
 * 1): a guess pays when it is right more often than this. A half while nothing is known. */
double samp__pace_guess_cost(const samp__pace *pace, uint32_t n_tokens);

#endif

/* The preparing thread: parsing, templates and tokenization take up to seconds for the largest
 * bodies, which neither the loop thread nor the engine's may spend. Calls are started one after the
 * other, in the order they came. */
#ifndef SAMP_SERVE_PREPARE_H
#define SAMP_SERVE_PREPARE_H

#include "base/error.h"

#include <stddef.h>

typedef struct samp_prepare samp_prepare;
struct samp_call;

samp_status samp_prepare_create(samp_prepare **out, size_t max_waiting, samp_error *error);
/* Starts what is still waiting, stops the thread. NULL allowed. */
void samp_prepare_release(samp_prepare *prepare);
/* Takes the caller's reference; false (and the reference stays) when max_waiting calls wait. */
bool samp_prepare_add(samp_prepare *prepare, struct samp_call *call);

#endif

/* The preparing thread: parsing, templates and tokenization take up to seconds for the largest
 * bodies, which neither the loop thread nor the engine's may spend. One piece of work after the
 * other, in the order they came. */
#ifndef SAMP_SERVE_PREPARE_H
#define SAMP_SERVE_PREPARE_H

#include "base/error.h"

#include <stddef.h>

typedef struct samp_prepare samp_prepare;
typedef void samp_prepare_work(void *context);

samp_status samp_prepare_create(samp_prepare **out, size_t max_waiting, samp_error *error);
/* Starts what is still waiting, stops the thread. NULL allowed. */
void samp_prepare_release(samp_prepare *prepare);
/* work(context) is called on the thread; false when max_waiting pieces of work wait. */
bool samp_prepare_add(samp_prepare *prepare, samp_prepare_work *work, void *context);
/* Nothing waits and nothing is under way. */
bool samp_prepare_is_idle(samp_prepare *prepare);

#endif

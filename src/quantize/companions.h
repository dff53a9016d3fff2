/* Small files that belong to a model and are taken over as they are: tokenizer, chat templates,
 * generation defaults, licences. */
#ifndef SAMP_QUANTIZE_COMPANIONS_H
#define SAMP_QUANTIZE_COMPANIONS_H

#include "base/error.h"

#include <stdint.h>

/* Copies those that `from` has to the folder `to`, durably. SAMP_LIMIT when there are more named
 * templates than a model can want. */
samp_status samp_companions_copy(const char *from, const char *to, samp_error *error);
/* Bytes that would be copied. */
samp_status samp_companions_weigh(const char *from, uint64_t *out, samp_error *error);

#endif

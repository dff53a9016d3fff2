/* A baseline's logits kept in a file, so that many candidates are compared with one run of an
 * original that is slow, or too large to be loaded beside them.
 *
 * FOLDER/<digest>.logits: 64 characters, the digest of all that the logits depend on, then float32
 * [n_positions][vocab] of the positions that are scored, in order. */
#ifndef SAMP_EVAL_KEPT_LOGITS_H
#define SAMP_EVAL_KEPT_LOGITS_H

#include "base/error.h"
#include "base/hash.h"

#include <stdint.h>

typedef struct samp_kept_logits samp_kept_logits;

/* Opens the file of this digest if it is there and complete, otherwise begins it. Errors:
 * SAMP_CORRUPT when a file of that name has another size or another beginning. */
samp_status samp_kept_logits_open(samp_kept_logits **out, const char *folder,
                                  const char digest[SAMP_SHA256_HEX], uint64_t n_positions,
                                  uint64_t vocab, samp_error *error);
/* Whether rows come from the file: the baseline need not run. */
bool samp_kept_logits_known(const samp_kept_logits *kept);
/* The next n rows [n][vocab]: read if known, else written. */
samp_status samp_kept_logits_rows(samp_kept_logits *kept, float *rows, uint64_t n,
                                  samp_error *error);
/* Makes what was written visible if all positions were; otherwise nothing stays. NULL allowed. */
samp_status samp_kept_logits_close(samp_kept_logits *kept, samp_error *error);

#endif

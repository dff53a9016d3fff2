/* The calibration text of `samp measure`: the sample that `samp sample` wrote, or a plain text
 * file, as one row of token ids.
 *
 * A sample is JSON lines {"text": …, "stratum": …}; its chat markers become special tokens where
 * the model's vocabulary has them. A plain text is one record, and nothing in it is special. Every
 * record begins with the bos token when the tokenizer says so and is followed by the eos token when
 * there is one, so that a window of calibration sees where one record ends and another begins. */
#ifndef SAMP_PLAN_CALIBRATION_H
#define SAMP_PLAN_CALIBRATION_H

#include "base/hash.h"
#include "base/json.h"
#include "model/tokenizer.h"

/* A sample larger than this was not meant for calibration. */
#define SAMP_CALIBRATION_BYTES_MAX ((uint64_t)256 << 20)

/* A file cut in two for those who have one sample to calibrate on and to evaluate with: no record is
 * in both parts. Of every eight records of a stratum the second is held out, so both parts have the
 * traffic's mix; of a plain text the last eighth, cut at white space. */
typedef enum samp_calibration_part {
    SAMP_CALIBRATION_ALL,
    SAMP_CALIBRATION_FIT,
    SAMP_CALIBRATION_HELD_OUT
} samp_calibration_part;

typedef struct samp_calibration_options {
    size_t max_tokens; /* 0 = all */
    samp_calibration_part part;
    const char *stratum; /* records of this one only; NULL = of all */
} samp_calibration_options;

/* Appends ids to tokens, which the caller releases. digest is the
 * SHA-256 of the whole file. *strata, when strata is not NULL, is a new reference:
 *     {"schema_version": 1, "records": n, "tokens": n, "complete": bool,
 *      "strata": {"code": {"records": n, "bytes": n, "tokens": n}, …}, "fingerprint": {…}}
 * complete: nothing was left out by max_tokens. fingerprint: what `samp sample` wrote beside the
 * file; left out when there is none or when it belongs to other bytes. On an error *strata is NULL
 * and tokens hold what was read. SAMP_CORRUPT names the line; SAMP_INVALID: no token at all, or no stratum with
 * a second record to hold out. */
samp_status samp_calibration_load(const char *path, const samp_tokenizer *tokenizer,
                                  const samp_calibration_options *options, samp_tokens *tokens,
                                  char digest[SAMP_SHA256_HEX], json_t **strata, samp_error *error);

/* out = where the fingerprint of sample `path` lies: calib.jsonl -> calib.fingerprint.json. */
samp_status samp_fingerprint_path(char *out, size_t n, const char *path, samp_error *error);

#endif

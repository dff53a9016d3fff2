/* Results of an evaluation as JSON, as `samp eval --json` prints them and reports read them. */
#ifndef SAMP_EVAL_RESULT_JSON_H
#define SAMP_EVAL_RESULT_JSON_H

#include "base/json.h"
#include "eval/eval.h"

/* {"value", "low", "high"}; NULL when out of memory. */
json_t *samp_estimate_json(samp_estimate estimate);
/* Reads the same; a plain number is an estimate without an interval. *out stays as it was when the
 * member is absent and not required. */
samp_status samp_estimate_parse(const json_t *object, const char *key, bool required,
                                samp_estimate *out, const char *where, samp_error *error);

/* The result on one text or stratum, its name as "text"; NULL when out of memory. */
json_t *samp_eval_result_json(const char *text, size_t n_tokens, const samp_eval_result *result);
/* *text points into the document. SAMP_CORRUPT names the member that is missing or malformed. */
samp_status samp_eval_result_parse(const json_t *object, const char **text,
                                   samp_eval_result *result, const char *where, samp_error *error);

#endif

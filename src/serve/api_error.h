/* What goes wrong with a request, as clients of OpenAI's API expect to hear it: an HTTP status and
 * an object with the four keys message, type, param and code.
 *
 * 400 is never worth a retry, 429 and 503 are (the official clients do so by themselves, after
 * Retry-After). Nothing to release. */
#ifndef SAMP_SERVE_API_ERROR_H
#define SAMP_SERVE_API_ERROR_H

#include "base/buffer.h"
#include "base/error.h"

typedef struct samp_api_error {
    int http_status;        /* 400, 401, 404 … */
    const char *code;       /* "model_not_found"; NULL = null */
    char param[64];         /* the field that is wrong, "" = null */
    unsigned retry_after_s; /* 0 = not said */
    char message[768];      /* one sentence */
} samp_api_error;

/* Fills *error; returns SAMP_INVALID, so that a reader can end with it. param and code may be NULL.
 */
samp_status samp_api_fail(samp_api_error *error, int http_status, const char *param,
                          const char *code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* An error of a room below: the caller's mistake (SAMP_INVALID, CORRUPT, UNSUPPORTED, MISMATCH) is
 * 400, SAMP_LIMIT and SAMP_NOMEM are 503, the rest is 500. Returns from->status. */
samp_status samp_api_error_from(samp_api_error *error, const char *param, const samp_error *from);

/* Appends {"error":{…}}. */
void samp_api_error_write(const samp_api_error *error, samp_buffer *out);

/* Appends text[0..n) as a JSON string: quotes, backslash and control bytes escaped; what is not
 * UTF-8 becomes U+FFFD. */
void samp_json_write_string(samp_buffer *out, const char *text, size_t n);

#endif

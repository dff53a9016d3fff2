/* Errors: one list of codes, one sentence for each failure.
 *
 * A function that can fail returns samp_status and fills a samp_error given by the caller. The
 * message is one whole sentence: what was found, what was expected, where (file, tensor, byte),
 * what to do. Only src/command prints it. samp_error lives on the caller's stack; nothing to
 * release. */
#ifndef SAMP_BASE_ERROR_H
#define SAMP_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define SAMP_STATUS_LIST(X)                                                                        \
    X(OK, "ok")                                                                                    \
    X(NOMEM, "out of memory")                                                                      \
    X(IO, "input or output failed")                                                                \
    X(NOT_FOUND, "not found")                                                                      \
    X(CORRUPT, "malformed or damaged input")                                                       \
    X(UNSUPPORTED, "not supported")                                                                \
    X(INVALID, "invalid argument")                                                                 \
    X(MISMATCH, "parts do not belong together")                                                    \
    X(LIMIT, "a limit was exceeded")                                                               \
    X(NUMERIC, "a value is not finite")                                                            \
    X(CANCELLED, "cancelled")

typedef enum samp_status {
#define X(name, text) SAMP_##name,
    SAMP_STATUS_LIST(X)
#undef X
} samp_status;

typedef struct samp_error {
    samp_status status;
    char message[768]; /* one sentence, NUL-terminated, control bytes already made visible */
} samp_error;

/* "malformed or damaged input" for SAMP_CORRUPT, and so on. */
const char *samp_status_text(samp_status status);

/* Fills *error (NULL allowed) and returns status, so that a caller can write
 *     return samp_fail(error, SAMP_CORRUPT, "%s: header is %zu bytes, expected at least 8", ...);
 * Control bytes in the formatted text (a hostile tensor name) are replaced by '?'. */
samp_status samp_fail(samp_error *error, samp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Like samp_fail, with ": " and strerror(errno) appended. */
samp_status samp_fail_errno(samp_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the message already in *error; returns error->status. */
samp_status samp_error_prefix(samp_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Returns from the calling function when an expression's status is not SAMP_OK. */
#define SAMP_TRY(expression)                                                                       \
    do {                                                                                           \
        samp_status samp_try_status_ = (expression);                                               \
        if (samp_try_status_ != SAMP_OK) return samp_try_status_;                                  \
    } while (0)

#endif

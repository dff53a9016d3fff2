/* Errors: texts of the status codes and formatting of the one-sentence message. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *samp_status_text(samp_status status)
{
    static const char *const texts[] = {
#define X(name, text) text,
        SAMP_STATUS_LIST(X)
#undef X
    };
    return (size_t)status < sizeof texts / sizeof *texts ? texts[status] : "unknown status";
}

/* A file or a request must not be able to move the cursor of the terminal that shows the message.
 */
static void hide_control_bytes(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

samp_status samp_fail(samp_error *error, samp_status status, const char *format, ...)
{
    if (!error) return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    hide_control_bytes(error->message);
    return status;
}

samp_status samp_fail_errno(samp_error *error, const char *format, ...)
{
    int saved = errno;
    samp_status status = saved == ENOENT ? SAMP_NOT_FOUND : saved == ENOMEM ? SAMP_NOMEM : SAMP_IO;
    if (!error) return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (n >= 0 && (size_t)n < sizeof error->message)
        snprintf(error->message + n, sizeof error->message - (size_t)n, ": %s", strerror(saved));
    hide_control_bytes(error->message);
    return status;
}

samp_status samp_error_prefix(samp_error *error, const char *format, ...)
{
    if (!error) return SAMP_INVALID;
    char old[sizeof error->message];
    memcpy(old, error->message, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (n >= 0 && (size_t)n < sizeof error->message)
        snprintf(error->message + n, sizeof error->message - (size_t)n, ": %.600s", old);
    hide_control_bytes(error->message);
    return error->status;
}

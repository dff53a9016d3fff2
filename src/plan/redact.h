/* Personal data and secrets out of a text: each found one becomes a placeholder that names its kind
 * ("[EMAIL]"), so that the text keeps its shape for calibration.
 *
 * Found by form, from left to right: what a provider's keys begin with and how long they are,
 * assignments to names such as password or api_key, bearer tokens, private-key blocks, numbers that
 * are written like telephone numbers, and card numbers whose check digit is right. No list of forms
 * is complete; this keeps the ordinary ones from being copied into one more file. */
#ifndef SAMP_PLAN_REDACT_H
#define SAMP_PLAN_REDACT_H

#include "base/buffer.h"

#include <stdint.h>

/* X(name, placeholder, what) */
#define SAMP_REDACTION_LIST(X)                                                                     \
    X(EMAIL, "[EMAIL]", "e-mail addresses")                                                        \
    X(PHONE, "[PHONE]", "telephone numbers")                                                       \
    X(CARD, "[CARD]", "card numbers")                                                              \
    X(PRIVATE_KEY, "[PRIVATE_KEY]", "private-key blocks")                                          \
    X(AWS_KEY, "[AWS_KEY]", "AWS keys")                                                            \
    X(GITHUB_TOKEN, "[GITHUB_TOKEN]", "GitHub tokens")                                             \
    X(SLACK_TOKEN, "[SLACK_TOKEN]", "Slack tokens")                                                \
    X(API_KEY, "[API_KEY]", "other API keys")                                                      \
    X(BEARER, "[BEARER]", "bearer tokens")                                                         \
    X(SECRET, "[SECRET]", "passwords and secrets")

typedef enum samp_redaction {
#define X(name, placeholder, what) SAMP_REDACTION_##name,
    SAMP_REDACTION_LIST(X)
#undef X
        SAMP_REDACTION_COUNT
} samp_redaction;

/* "email", …: the name in lower case, for JSON; and what it is, in words. */
const char *samp_redaction_name(samp_redaction kind);
const char *samp_redaction_text(samp_redaction kind);

/* Appends text[0..n) to out with placeholders; adds what was replaced to counts. Any bytes are
 * accepted. Out of memory shows in samp_buffer_ok(out). Redacting twice changes nothing more. */
void samp_redact(const char *text, size_t n, samp_buffer *out,
                 uint64_t counts[SAMP_REDACTION_COUNT]);

#endif

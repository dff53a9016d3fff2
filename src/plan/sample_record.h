/* One line of a log to the text a model would see.
 *
 * Accepted, as they are or under a dotted path ("request.body"): a chat request {"messages": […]},
 * a completion request {"prompt": text or list of texts}, {"prompt", "response"}, {"text"}, a bare
 * JSON string, and any of these as JSON inside a string. A record {"request": {…}, "response": {…}}
 * (or "body") is taken apart without being told. A response, as a text or as the server's answer
 * with "choices", becomes the last message.
 *
 * A conversation is written in ChatML, whatever template the served model has:
 *     <|im_start|>role
 *     content<|im_end|>
 * each message followed by a line feed; answers of the assistant are part of it, calls of tools are
 * written as <tool_call> and the call's JSON. Pictures and other parts that are not text are left
 * out, and so are definitions of tools. A prompt without a response stays plain.
 *
 * Lines from real services are not always valid: invalid UTF-8 and lone surrogates become U+FFFD,
 * control bytes and NUL become blanks, integers past 64 bits become numbers. */
#ifndef SAMP_PLAN_SAMPLE_RECORD_H
#define SAMP_PLAN_SAMPLE_RECORD_H

#include "base/buffer.h"
#include "base/json.h"

enum {
    SAMP_RECORD_TEXT_MAX = 256 << 10, /* bytes of text kept of one record */
    SAMP_STRATUM_NAME = 64            /* bytes of a stratum's name with NUL; longer ones are cut */
};

/* A reader's state over many lines; zeroed = ready. Buffers are used again for every line. */
typedef struct samp_record {
    samp_buffer text;
    size_t body;                     /* where the text after the system message begins */
    bool repaired;                   /* the line was not valid as it stood */
    bool truncated;                  /* the text was longer than SAMP_RECORD_TEXT_MAX */
    char stratum[SAMP_STRATUM_NAME]; /* value of the stratum field, "" when there is none */
    samp_buffer scratch;
} samp_record;

/* field and stratum_field: dotted paths or NULL. SAMP_CORRUPT: what is wrong with this line, to be
 * counted; SAMP_NOMEM ends the work. */
samp_status samp_record_read(samp_record *record, const char *line, size_t n, const char *field,
                             const char *stratum_field, samp_error *error);
void samp_record_release(samp_record *record);

#endif

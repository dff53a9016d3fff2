/* A conversation with a model, turn by turn, for `samp chat`.
 *
 * The messages are rendered anew for each answer; what the key and value cache already holds of
 * their tokens is kept, so that a turn costs its own tokens only. When the context is full the
 * oldest exchanges are forgotten, never the system prompt. */
#ifndef SAMP_COMMAND_CONVERSATION_H
#define SAMP_COMMAND_CONVERSATION_H

#include "chat/prompt.h"
#include "command/loaded.h"

typedef struct samp_conversation_options {
    samp_sampler_options sampling; /* each turn draws from a stream of its own */
    uint32_t max_new;              /* tokens of an answer; 0 = until the context is full */
    const json_t *variables;       /* of the template, NULL none */
} samp_conversation_options;

/* What an answer took. */
typedef struct samp_turn {
    uint32_t n_prompt; /* tokens of the whole conversation before the answer */
    uint32_t n_cached; /* of these, found in the cache */
    uint32_t n_answer;
    uint32_t forgotten; /* messages dropped because the context was full */
    bool cut;           /* stopped by the reader */
    double prefill_seconds, decode_seconds;
    const char *finish_reason; /* "stop", "length", "cut" */
} samp_turn;

/* Who reads an answer. */
typedef struct samp_reader {
    bool (*piece)(void *context, const char *text, size_t n); /* whole characters; false: stop */
    bool (*stopped)(void *context);                           /* asked while the prompt is read */
    void *context;
} samp_reader;

typedef struct samp_conversation samp_conversation;

/* model and chat must outlive it, and no one else may run sequences meanwhile. */
samp_status samp_conversation_open(samp_conversation **out, const samp_loaded *model,
                                   const samp_chat *chat, const samp_conversation_options *options,
                                   samp_error *error);
void samp_conversation_close(samp_conversation *conversation); /* NULL allowed */

/* Replaces the system prompt; an empty one is none. */
samp_status samp_conversation_system(samp_conversation *conversation, const char *text, size_t n,
                                     samp_error *error);
/* Forgets all but the system prompt. */
void samp_conversation_reset(samp_conversation *conversation);
uint32_t samp_conversation_messages(const samp_conversation *conversation);
/* Positions of the cache in use. */
uint32_t samp_conversation_length(const samp_conversation *conversation);

/* Adds a message of the user and streams the answer, which is added too, cut or not. Stopped before
 * its first token, or on failure, the conversation is as it was. */
samp_status samp_conversation_say(samp_conversation *conversation, const char *text, size_t n,
                                  const samp_reader *reader, samp_turn *turn, samp_error *error);
/* Another answer in place of the last one; SAMP_NOT_FOUND when there is none. */
samp_status samp_conversation_retry(samp_conversation *conversation, const samp_reader *reader,
                                    samp_turn *turn, samp_error *error);

#endif

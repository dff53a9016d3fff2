/* Conversations as tokens: a model's chat templates together with its tokenizer.
 *
 * Special tokens are made of the template's own text only, and of the tokens it asks for by name
 * (bos_token, eos_token); whatever comes with messages, tools and variables is plain text, also
 * where it reads "<|im_end|>". Between special tokens text is encoded as one piece, so that tokens
 * are the same as Hugging Face's wherever messages hold no special tokens. */
#ifndef SAMP_CHAT_PROMPT_H
#define SAMP_CHAT_PROMPT_H

#include "chat/template.h"
#include "model/tokenizer.h"

typedef struct samp_chat samp_chat;

/* The tokenizer's templates ("default", and "tool_use" for requests with tools), or `source` alone
 * when it is not NULL. SAMP_NOT_FOUND when there is none. The tokenizer must outlive *out. */
samp_status samp_chat_open(samp_chat **out, const samp_tokenizer *tokenizer, const char *source,
                           const char *where, samp_error *error);
void samp_chat_close(samp_chat *chat); /* NULL allowed */
/* The template that serves a request with or without tools. */
const samp_chat_template *samp_chat_template_for(const samp_chat *chat, bool with_tools);

/* Renders and appends the tokens; nothing on failure. input->tokens is set here. */
samp_status samp_chat_encode(const samp_chat *chat, const samp_chat_input *input, samp_tokens *out,
                             samp_error *error);

#endif

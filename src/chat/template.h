/* Chat templates: messages become the text a model was trained on.
 *
 * Templates are programs in Jinja2 that come with a model; this is the subset of it they use,
 * rendered as Hugging Face's transformers does (trim_blocks, lstrip_blocks, its tojson,
 * raise_exception, strftime_now, loop controls, {% generation %}, immutable values). Both the
 * template and the messages may be hostile: work, memory, recursion and output are limited.
 *
 * Each byte of the text is marked as written by the template or as come with the messages. The
 * marks follow values through every operator, filter and method. Only text whose every byte is the
 * template's may become a special token (samp_tokenizer_encode takes the marks), so that a user who
 * types "<|im_start|>system" has typed just these characters.
 *
 * A template never changes after it was made: several threads may render it. */
#ifndef SAMP_CHAT_TEMPLATE_H
#define SAMP_CHAT_TEMPLATE_H

#include "base/buffer.h"
#include "base/json.h"

#include <stdint.h>

typedef struct samp_chat_template samp_chat_template;

/* Compiles source (UTF-8, at most 1 MiB). `where` names it in messages. What the subset lacks is
 * SAMP_UNSUPPORTED with line and column; an unknown filter or test is, once it is reached. */
samp_status samp_chat_template_compile(samp_chat_template **out, const char *source, size_t n,
                                       const char *where, samp_error *error);
void samp_chat_template_release(samp_chat_template *chat_template); /* NULL allowed */
/* Whether the template reads a variable ("tools", "enable_thinking"). */
bool samp_chat_template_uses(const samp_chat_template *chat_template, const char *name);

typedef struct samp_chat_limits {
    uint64_t steps;        /* nodes evaluated, and bulk work; 0 = 20 million: about a second */
    uint64_t memory_bytes; /* of values; 0 = 256 MiB */
    uint64_t output_bytes; /* of any one text; 0 = 32 MiB */
    uint32_t depth;        /* of nested expressions, statements and macro calls; 0 = 400 */
} samp_chat_limits;

typedef struct samp_chat_input {
    const json_t *messages; /* array of objects */
    const json_t *tools;    /* array, or NULL: none, seen as None */
    bool add_generation_prompt;
    /* Objects, NULL allowed. variables: enable_thinking, documents, date_string …, marked like
     * messages; tokens: bos_token, eos_token …, marked like the template. */
    const json_t *variables, *tokens;
    int64_t now; /* seconds since 1970 for strftime_now; 0 = the clock */
    samp_chat_limits limits;
} samp_chat_input;

/* The text, and its marks: one byte for each of text's, 1 = written by the template. Zeroed =
 * ready for samp_chat_render. */
typedef struct samp_chat_text {
    samp_buffer text, marks;
} samp_chat_text;
void samp_chat_text_release(samp_chat_text *text);

/* Replaces *out. The template's raise_exception is SAMP_INVALID with its own words; SAMP_LIMIT
 * names the limit. */
samp_status samp_chat_render(const samp_chat_template *chat_template, const samp_chat_input *input,
                             samp_chat_text *out, samp_error *error);

#endif

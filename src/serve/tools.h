/* Tool calls in what a model writes: three ways of writing them, told from its chat template.
 *
 *   hermes   <tool_call>{"name": …, "arguments": {…}}</tool_call>   Qwen, SmolLM, Hermes
 *   llama3   {"name": …, "parameters": {…}}                         Llama 3.1 to 3.3
 *   mistral  [TOOL_CALLS][{"name": …, "arguments": {…}}, …]         Mistral */
#ifndef SAMP_SERVE_TOOLS_H
#define SAMP_SERVE_TOOLS_H

#include "base/buffer.h"
#include "base/json.h"

typedef enum samp_tool_style {
    SAMP_TOOL_STYLE_NONE, /* the template knows no tools */
    SAMP_TOOL_STYLE_HERMES,
    SAMP_TOOL_STYLE_LLAMA3,
    SAMP_TOOL_STYLE_MISTRAL
} samp_tool_style;

/* From the template's source. */
samp_tool_style samp_tool_style_of(const char *chat_template);
/* What begins a call, which is not text for the reader: "" when any '{' at the start does. */
const char *samp_tool_opening(samp_tool_style style);

typedef struct samp_tool_calls {
    size_t n_content; /* bytes of the text before the first call, trailing space left out */
    json_t *calls;    /* array of {"name": string, "arguments": object}; NULL = none */
} samp_tool_calls;

/* Reads the calls of a finished answer. What does not parse, or names none of `tools`, is text. */
void samp_tool_calls_read(samp_tool_style style, const json_t *tools, const char *text, size_t n,
                          samp_tool_calls *out);
/* What surrounds the one JSON object of a call, and the key of its arguments, for constrained
 * calls. */
void samp_tool_call_frame(samp_tool_style style, const char **before, const char **after,
                          const char **arguments_key);

#endif

/* A model's chat templates and its tokenizer: from messages to tokens. */
#include "chat/prompt.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

struct samp_chat {
    const samp_tokenizer *tokenizer;
    samp_chat_template *plain, *tools; /* tools NULL: plain serves both */
    json_t *tokens;                    /* bos_token, eos_token by their texts */
};

static bool set_token(samp_chat *chat, const char *name, int32_t id)
{
    const char *bytes;
    size_t n;
    if (id < 0) return true;
    samp_tokenizer_bytes(chat->tokenizer, id, true, &bytes, &n);
    json_t *text = json_stringn(bytes, n);
    if (!text) return true; /* a token that is no text: no template can write it */
    return samp_json_set(chat->tokens, name, text);
}

static samp_status open_templates(samp_chat *chat, const char *source, const char *where,
                                  samp_error *error)
{
    const char *tools = source ? NULL : samp_tokenizer_tool_template(chat->tokenizer);
    char place[512];
    snprintf(place, sizeof place, "%s%s", source ? "" : "the chat template of ", where);
    if (!source) source = samp_tokenizer_chat_template(chat->tokenizer);
    if (!source) source = tools, tools = NULL;
    if (!source)
        return samp_fail(error, SAMP_NOT_FOUND,
                         "%s has no chat template (tokenizer_config.json, chat_template.jinja): it "
                         "may not be trained to chat; give a template, or use samp generate",
                         where);
    SAMP_TRY(samp_chat_template_compile(&chat->plain, source, strlen(source), place, error));
    if (!tools) return SAMP_OK;
    return samp_chat_template_compile(&chat->tools, tools, strlen(tools), place, error);
}

samp_status samp_chat_open(samp_chat **out, const samp_tokenizer *tokenizer, const char *source,
                           const char *where, samp_error *error)
{
    samp_chat *chat = *out = samp_alloc(1, sizeof *chat);
    if (!chat) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    chat->tokenizer = tokenizer;
    chat->tokens = json_object();
    samp_status status = SAMP_OK;
    if (!chat->tokens || !set_token(chat, "bos_token", samp_tokenizer_bos(tokenizer)) ||
        !set_token(chat, "eos_token", samp_tokenizer_eos(tokenizer)))
        status = samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    if (status == SAMP_OK) status = open_templates(chat, source, where, error);
    if (status != SAMP_OK) {
        samp_chat_close(chat);
        *out = NULL;
    }
    return status;
}

void samp_chat_close(samp_chat *chat)
{
    if (!chat) return;
    samp_chat_template_release(chat->plain);
    samp_chat_template_release(chat->tools);
    json_decref(chat->tokens);
    samp_free(chat);
}

const samp_chat_template *samp_chat_template_for(const samp_chat *chat, bool with_tools)
{
    return with_tools && chat->tools ? chat->tools : chat->plain;
}

samp_status samp_chat_encode(const samp_chat *chat, const samp_chat_input *input, samp_tokens *out,
                             samp_error *error)
{
    samp_chat_text text = {0};
    samp_chat_input full = *input;
    full.tokens = chat->tokens;
    bool with_tools = json_array_size(input->tools) > 0;
    samp_status status =
        samp_chat_render(samp_chat_template_for(chat, with_tools), &full, &text, error);
    if (status == SAMP_OK && text.text.length)
        status = samp_tokenizer_encode(
            chat->tokenizer, text.text.data, text.text.length,
            (samp_encode_text){.parse_special = true, .marks = (uint8_t *)text.marks.data}, out,
            error);
    samp_chat_text_release(&text);
    return status;
}

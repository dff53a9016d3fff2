/* A chat template from anywhere, rendered on a fixed conversation under small limits. What is
 * rendered must be UTF-8 with a mark for each byte, the same a second time, and text that came with
 * the messages (a character no template of the corpus has) must be marked so wherever it ends up. */
#include "chat/template.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PRIVATE "\xee\x80\x80" /* U+E000 */

static const char MESSAGES[] =
    "[{\"role\": \"system\", \"content\": \"\\ue000 be \\ue000\"},"
    " {\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"\\ue000\\n a,b\"}],"
    "  \"n\": 3, \"x\": 1.5, \"none\": null, \"yes\": true, \"tags\": [\"\\ue000b\", \"A\", "
    "\"c\"]},"
    " {\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"id\": \"\\ue0001\","
    "  \"function\": {\"name\": \"f\", \"arguments\": {\"k\": \"\\ue000\", \"z\": [1, {}]}}}]},"
    " {\"role\": \"tool\", \"content\": \"  \\ue000  \", \"items\": {\"b\": 1, \"A\": "
    "\"\\ue000\"}}]";

static void *find(const samp_buffer *text, const char *needle)
{
    return text->length ? memmem(text->data, text->length, needle, strlen(needle)) : NULL;
}

static void check_text(const samp_chat_text *out, bool has_private)
{
    if (out->text.length != out->marks.length) abort();
    for (size_t i = 0; i < out->marks.length; i++)
        if (out->marks.data[i] != 0 && out->marks.data[i] != 1) abort();
    json_t *json = json_stringn(out->text.data ? out->text.data : "", out->text.length);
    if (!json) abort(); /* not UTF-8 */
    json_decref(json);
    if (has_private) return;
    for (size_t i = 0; i + 3 <= out->text.length; i++)
        if (memcmp(out->text.data + i, PRIVATE, 3) == 0 &&
            (out->marks.data[i] || out->marks.data[i + 1] || out->marks.data[i + 2]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    samp_error error, again;
    samp_chat_template *chat_template;
    samp_chat_text first = {0}, second = {0};
    const char *source = (const char *)data;
    if (samp_chat_template_compile(&chat_template, source, size, "fuzz", &error) != SAMP_OK)
        return 0;
    json_t *messages = json_loads(MESSAGES, 0, NULL);
    json_t *tokens = json_pack("{s:s, s:s}", "bos_token", "<s>", "eos_token", "</s>");
    if (!messages || !tokens) abort();
    samp_chat_input input = {
        .messages = messages,
        .tools = messages,
        .add_generation_prompt = true,
        .tokens = tokens,
        .now = 1795521600,
        .limits = {
            .steps = 100000, .memory_bytes = 16 << 20, .output_bytes = 1 << 20, .depth = 60}};
    samp_status status = samp_chat_render(chat_template, &input, &first, &error);
    if (status != samp_chat_render(chat_template, &input, &second, &again)) abort();
    if (status == SAMP_OK) {
        samp_buffer whole = {.data = (char *)source, .length = size};
        check_text(&first, find(&whole, PRIVATE) || find(&whole, "e000") || find(&whole, "E000"));
        if (first.text.length != second.text.length ||
            (first.text.length &&
             memcmp(first.text.data, second.text.data, first.text.length) != 0))
            abort();
    } else if (!*error.message || strcmp(error.message, again.message) != 0) {
        abort();
    }
    samp_chat_text_release(&first);
    samp_chat_text_release(&second);
    samp_chat_template_release(chat_template);
    json_decref(messages);
    json_decref(tokens);
    return 0;
}

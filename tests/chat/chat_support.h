/* What the tests of chat templates share: rendering a text of a template in one line. */
#ifndef SAMP_TESTS_CHAT_CHAT_SUPPORT_H
#define SAMP_TESTS_CHAT_CHAT_SUPPORT_H

#include "support/cmocka_all.h"

#include "base/json.h"
#include "base/memory.h"
#include "chat/template.h"
#include "file/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_NOW = 1795521600 }; /* NOW in tools/golden_chat.py */

static inline json_t *json_of(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &error);
    if (!json) fail_msg("%s: %s", error.text, text);
    return json;
}

static inline json_t *json_file(const char *path)
{
    samp_error error;
    json_t *json;
    if (samp_json_load(&json, path, 64 << 20, &error) != SAMP_OK) fail_msg("%s", error.message);
    return json;
}

/* Compiles and renders; out is released by the caller. */
static inline samp_status render_source(const char *source, size_t n, const samp_chat_input *input,
                                        samp_chat_text *out, samp_error *error)
{
    samp_chat_template *compiled;
    samp_status status = samp_chat_template_compile(&compiled, source, n, "t", error);
    if (status != SAMP_OK) return status;
    status = samp_chat_render(compiled, input, out, error);
    samp_chat_template_release(compiled);
    return status;
}

#endif

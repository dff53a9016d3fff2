/* Tool calls: finding and reading them. */
#include "serve/tools.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *sign; /* in the template's source */
    const char *opening, *closing;
    const char *before, *after, *arguments_key;
} styles[] = {
    [SAMP_TOOL_STYLE_NONE] = {NULL, NULL, NULL, "", "", "arguments"},
    [SAMP_TOOL_STYLE_HERMES] = {"<tool_call>", "<tool_call>", "</tool_call>", "<tool_call>\n",
                                "\n</tool_call>", "arguments"},
    [SAMP_TOOL_STYLE_LLAMA3] = {"\"parameters\": ", "", "", "", "", "parameters"},
    [SAMP_TOOL_STYLE_MISTRAL] = {"[TOOL_CALLS]", "[TOOL_CALLS]", "", "[TOOL_CALLS][", "]",
                                 "arguments"},
};

samp_tool_style samp_tool_style_of(const char *chat_template)
{
    static const samp_tool_style order[] = {SAMP_TOOL_STYLE_HERMES, SAMP_TOOL_STYLE_MISTRAL,
                                            SAMP_TOOL_STYLE_LLAMA3};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (strstr(chat_template, styles[order[i]].sign)) return order[i];
    return SAMP_TOOL_STYLE_NONE;
}

const char *samp_tool_opening(samp_tool_style style) { return styles[style].opening; }

void samp_tool_call_frame(samp_tool_style style, const char **before, const char **after,
                          const char **arguments_key)
{
    *before = styles[style].before;
    *after = styles[style].after;
    *arguments_key = styles[style].arguments_key;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_tool(const json_t *tools, const char *name)
{
    size_t i;
    json_t *tool;
    json_array_foreach((json_t *)tools, i, tool)
    {
        const char *known =
            json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        if (known && strcmp(known, name) == 0) return true;
    }
    return false;
}

/* Appends one call; false when it is none. */
static bool add_call(const json_t *tools, const json_t *call, json_t *calls)
{
    const char *name = json_string_value(json_object_get(call, "name"));
    json_t *arguments = json_object_get(call, "arguments");
    if (!arguments) arguments = json_object_get(call, "parameters");
    if (!name || !json_is_object(arguments) || !is_tool(tools, name)) return false;
    json_t *clean = json_pack("{s:s, s:O}", "name", name, "arguments", arguments);
    return clean && json_array_append_new(calls, clean) == 0;
}

/* A value of calls: one object, or an array of them. */
static bool add_value(const json_t *tools, const json_t *value, json_t *calls)
{
    size_t i;
    json_t *call;
    if (json_is_object(value)) return add_call(tools, value, calls);
    if (!json_is_array(value) || json_array_size(value) == 0) return false;
    json_array_foreach((json_t *)value, i, call) if (!add_call(tools, call, calls)) return false;
    return true;
}

/* JSON values one after the other, with the closing word and separators between them. */
static bool read_values(const char *opening, const char *closing, const json_t *tools,
                        const char *text, size_t n, json_t *calls)
{
    const char *end = text + n;
    while (text < end) {
        size_t skip = 0;
        if (isspace((unsigned char)*text) || *text == ';')
            skip = 1;
        else if (*closing && !strncmp(text, closing, strlen(closing)))
            skip = strlen(closing);
        else if (*opening && !strncmp(text, opening, strlen(opening)))
            skip = strlen(opening);
        if (skip) {
            text += skip;
            continue;
        }
        json_error_t detail;
        json_t *value = samp_json_read(text, (size_t)(end - text),
                                       JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &detail);
        if (!value) return false;
        bool good = add_value(tools, value, calls);
        json_decref(value);
        if (!good || detail.position <= 0) return false;
        text += detail.position;
    }
    return json_array_size(calls) > 0;
}

void samp_tool_calls_read(samp_tool_style style, const json_t *tools, const char *text, size_t n,
                          samp_tool_calls *out)
{
    *out = (samp_tool_calls){.n_content = n};
    if (style == SAMP_TOOL_STYLE_NONE || n == 0) return;
    const char *opening = styles[style].opening;
    const char *begin = text;
    if (*opening)
        begin = memmem(text, n, opening, strlen(opening));
    else
        while (begin < text + n && isspace((unsigned char)*begin)) begin++;
    if (!begin || (!*opening && (begin == text + n || *begin != '{'))) return;
    json_t *calls = json_array();
    if (!calls) return;
    if (!read_values(opening, styles[style].closing, tools, begin, n - (size_t)(begin - text),
                     calls)) {
        json_decref(calls);
        return;
    }
    out->calls = calls;
    out->n_content = (size_t)(begin - text);
    while (out->n_content > 0 && isspace((unsigned char)text[out->n_content - 1])) out->n_content--;
}

/* `messages`, `tools` and `tool_choice` of a chat request, as chat templates want them: content is
 * one string (parts of text are joined by a newline, as vLLM does), a call's arguments are an
 * object, the role "developer" is "system". The client's own document is not changed. */
#include "serve/request.h"

#include <stdio.h>
#include <string.h>

enum { PARTS_MAX = 1024, CALLS_MAX = 128 };

static samp_status no_memory(samp_api_error *error)
{
    return samp_api_fail(error, 503, "messages", NULL, "out of memory for the messages");
}

static samp_status bad_message(samp_api_error *error, size_t i, const char *what)
{
    char param[48];
    snprintf(param, sizeof param, "messages[%zu]", i);
    return samp_api_fail(error, 400, param, "invalid_value", "message %zu %s", i, what);
}

/* [{"type": "text", "text": …}, …] as one string. */
static samp_status join_parts(const json_t *parts, size_t i, samp_buffer *text,
                              samp_api_error *error)
{
    size_t k;
    json_t *part;
    if (json_array_size(parts) > PARTS_MAX) return bad_message(error, i, "has too many parts");
    json_array_foreach((json_t *)parts, k, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *words = json_object_get(part, "text");
        if (!type || strcmp(type, "text") != 0)
            return bad_message(error, i, "has a part that is not text; this model reads text only");
        if (!json_is_string(words)) return bad_message(error, i, "has a text part without 'text'");
        if (k) samp_buffer_append(text, "\n", 1);
        samp_buffer_append(text, json_string_value(words), json_string_length(words));
    }
    return text->failed ? no_memory(error) : SAMP_OK;
}

static samp_status flatten_content(json_t *message, size_t i, samp_api_error *error)
{
    json_t *content = json_object_get(message, "content");
    if (!content || json_is_null(content)) {
        bool calls = json_array_size(json_object_get(message, "tool_calls")) > 0;
        if (!calls) return bad_message(error, i, "has no content");
        return json_object_set_new(message, "content", json_string("")) ? no_memory(error)
                                                                        : SAMP_OK;
    }
    if (json_is_string(content)) return SAMP_OK;
    if (!json_is_array(content))
        return bad_message(error, i, "has content that is neither a string nor an array of parts");
    samp_buffer text = {0};
    samp_status status = join_parts(content, i, &text, error);
    if (status == SAMP_OK) {
        json_t *joined = json_stringn(text.data ? text.data : "", text.length);
        if (json_object_set_new(message, "content", joined)) status = no_memory(error);
    }
    samp_buffer_release(&text);
    return status;
}

/* OpenAI writes a call's arguments as JSON in a string; templates want the object. */
static samp_status parse_arguments(json_t *message, size_t i, samp_api_error *error)
{
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    size_t k;
    if (!calls || json_is_null(calls)) return SAMP_OK;
    if (!json_is_array(calls) || json_array_size(calls) > CALLS_MAX)
        return bad_message(error, i, "has 'tool_calls' that are not an array of calls");
    json_array_foreach(calls, k, call)
    {
        json_t *function = json_object_get(call, "function");
        if (!json_is_string(json_object_get(function, "name")))
            return bad_message(error, i, "has a tool call without a function's name");
        const json_t *text = json_object_get(function, "arguments");
        if (!json_is_string(text)) continue;
        json_t *arguments;
        samp_error detail;
        if (samp_json_parse(&arguments, json_string_value(text), json_string_length(text),
                            "arguments", &detail) != SAMP_OK)
            return bad_message(error, i, "has a tool call whose arguments are not JSON");
        if (json_object_set_new(function, "arguments", arguments)) return no_memory(error);
    }
    return SAMP_OK;
}

static samp_status read_message(json_t *message, size_t i, samp_api_error *error)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", "developer"};
    if (!json_is_object(message)) return bad_message(error, i, "is not an object");
    const char *role = json_string_value(json_object_get(message, "role"));
    if (!role) return bad_message(error, i, "has no role");
    size_t r = 0, n = sizeof roles / sizeof *roles;
    while (r < n && strcmp(role, roles[r]) != 0) r++;
    if (r == n)
        return bad_message(error, i,
                           "has an unknown role, expected system, developer, user, assistant or "
                           "tool");
    if (r == n - 1 && json_object_set_new(message, "role", json_string("system")))
        return no_memory(error);
    SAMP_TRY(parse_arguments(message, i, error));
    return flatten_content(message, i, error);
}

samp_status samp__api_read_messages(samp_api_request *request, samp_api_error *error)
{
    const json_t *messages = json_object_get(request->body, "messages");
    if (!messages || json_is_null(messages))
        return samp_api_fail(error, 400, "messages", "missing_required_parameter",
                             "'messages' is missing");
    size_t n = json_array_size(messages);
    if (!json_is_array(messages) || n == 0 || n > SAMP_API_MESSAGES_MAX)
        return samp_api_fail(error, 400, "messages", "invalid_value",
                             "'messages' must be an array of 1 to %d messages",
                             SAMP_API_MESSAGES_MAX);
    request->messages = json_deep_copy(messages);
    if (!request->messages) return no_memory(error);
    size_t i;
    json_t *message;
    json_array_foreach(request->messages, i, message) SAMP_TRY(read_message(message, i, error));
    return SAMP_OK;
}

/* ---- tools ----------------------------------------------------------------------------------- */

static samp_status check_tools(const json_t *tools, samp_api_error *error)
{
    size_t i;
    json_t *tool;
    if (!json_is_array(tools) || json_array_size(tools) > SAMP_API_TOOLS_MAX)
        return samp_api_fail(error, 400, "tools", "invalid_value",
                             "'tools' must be an array of at most %d tools", SAMP_API_TOOLS_MAX);
    json_array_foreach((json_t *)tools, i, tool)
    {
        const char *type = json_string_value(json_object_get(tool, "type"));
        const json_t *function = json_object_get(tool, "function");
        if (!type || strcmp(type, "function") != 0 ||
            !json_is_string(json_object_get(function, "name")))
            return samp_api_fail(error, 400, "tools", "invalid_value",
                                 "tool %zu is not {\"type\": \"function\", \"function\": "
                                 "{\"name\": …}}",
                                 i);
    }
    return SAMP_OK;
}

static bool has_tool(const json_t *tools, const char *name)
{
    size_t i;
    json_t *tool;
    json_array_foreach((json_t *)tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0) return true;
    }
    return false;
}

static samp_status read_choice(samp_api_request *request, const json_t *choice,
                               samp_api_error *error)
{
    static const struct {
        const char *word;
        samp_api_tool_choice choice;
    } words[] = {
        {"none", SAMP_TOOLS_NONE}, {"auto", SAMP_TOOLS_AUTO}, {"required", SAMP_TOOLS_REQUIRED}};
    const char *word = json_string_value(choice);
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i].word) != 0) continue;
        request->tool_choice = words[i].choice;
        return SAMP_OK;
    }
    const char *name =
        json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    if (!name || !has_tool(request->tools, name))
        return samp_api_fail(error, 400, "tool_choice", "invalid_value",
                             "'tool_choice' must be none, auto, required, or name a function of "
                             "'tools'");
    request->tool_choice = SAMP_TOOLS_NAMED;
    request->tool_name = name;
    return SAMP_OK;
}

samp_status samp__api_read_tools(samp_api_request *request, samp_api_error *error)
{
    const json_t *tools = json_object_get(request->body, "tools");
    const json_t *choice = json_object_get(request->body, "tool_choice");
    bool has_choice = choice && !json_is_null(choice);
    if (!tools || json_is_null(tools) || json_array_size(tools) == 0) {
        const char *word = json_string_value(choice);
        if (has_choice && !(word && (!strcmp(word, "none") || !strcmp(word, "auto"))))
            return samp_api_fail(error, 400, "tool_choice", "invalid_value",
                                 "'tool_choice' is there, but no 'tools'");
        return SAMP_OK;
    }
    SAMP_TRY(check_tools(tools, error));
    request->tools = tools;
    request->tool_choice = SAMP_TOOLS_AUTO;
    if (has_choice) SAMP_TRY(read_choice(request, choice, error));
    if (request->tool_choice == SAMP_TOOLS_NONE) request->tools = NULL;
    return SAMP_OK;
}

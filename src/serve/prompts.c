/* Prompts of a call as tokens, and the constraint of its answers. */
#include "base/memory.h"
#include "serve/call.h"
#include "serve/server_internal.h"

#include <string.h>

/* ---- tokens ---------------------------------------------------------------------------------- */

static samp_status copy_ids(const json_t *ids, samp_tokens *out, samp_error *error)
{
    size_t i;
    json_t *id;
    json_array_foreach((json_t *)ids, i, id)
        SAMP_TRY(samp_tokens_push(out, (int32_t)json_integer_value(id), error));
    return SAMP_OK;
}

/* Completions are raw: special tokens may be written in them, as with vLLM and llama.cpp. */
static samp_status encode_text(const samp_call *call, const json_t *text, samp_tokens *out,
                               samp_error *error)
{
    samp_encode_text how = {.parse_special = true, .add_bos = call->request.add_special_tokens};
    SAMP_TRY(samp_tokenizer_encode(call->server->tokenizer, json_string_value(text),
                                   json_string_length(text), how, out, error));
    if (out->count) return SAMP_OK;
    int32_t bos = samp_tokenizer_bos(call->server->tokenizer);
    if (bos >= 0) return samp_tokens_push(out, bos, error);
    return samp_fail(error, SAMP_INVALID, "the prompt is empty");
}

static samp_status read_completion_prompts(samp_call *call, samp_error *error)
{
    const json_t *prompt = call->request.prompt;
    bool many = json_is_array(prompt) && !json_is_integer(json_array_get(prompt, 0));
    size_t n = many ? json_array_size(prompt) : 1;
    call->prompts = samp_alloc(n, sizeof *call->prompts);
    if (!call->prompts) return samp_fail(error, SAMP_NOMEM, "out of memory for prompts");
    for (; call->n_prompts < n; call->n_prompts++) {
        const json_t *one = many ? json_array_get(prompt, call->n_prompts) : prompt;
        samp_tokens *out = &call->prompts[call->n_prompts];
        SAMP_TRY(json_is_string(one) ? encode_text(call, one, out, error)
                                     : copy_ids(one, out, error));
    }
    return SAMP_OK;
}

static samp_status render_chat(samp_call *call, samp_api_error *error)
{
    const samp_server *server = call->server;
    samp_error detail;
    if (!server->chat)
        return samp_api_fail(error, 400, "messages", "unsupported_parameter",
                             "this model has no chat template; use /v1/completions");
    const samp_chat_template *with =
        samp_chat_template_for(server->chat, call->request.tools != NULL);
    if (call->request.tools && !samp_chat_template_uses(with, "tools"))
        return samp_api_fail(error, 400, "tools", "unsupported_parameter",
                             "this model's chat template knows no tools");
    call->prompts = samp_alloc(1, sizeof *call->prompts);
    if (!call->prompts) return samp_api_fail(error, 503, NULL, NULL, "out of memory");
    call->n_prompts = 1;
    samp_chat_input input = {.messages = call->request.messages,
                             .tools = call->request.tools,
                             .add_generation_prompt = call->request.add_generation_prompt,
                             .variables = call->request.template_kwargs};
    if (samp_chat_encode(server->chat, &input, &call->prompts[0], &detail) != SAMP_OK)
        return samp_api_error_from(error, "messages", &detail);
    return SAMP_OK;
}

samp_status samp__call_read_prompts(samp_call *call, samp_api_error *error)
{
    samp_error detail;
    if (call->chat) return render_chat(call, error);
    if (read_completion_prompts(call, &detail) != SAMP_OK)
        return samp_api_error_from(error, "prompt", &detail);
    return SAMP_OK;
}

/* ---- constraints ----------------------------------------------------------------------------- */

/* The schema of one call of `tool`: {"name": …, "arguments": parameters}. */
static json_t *tool_schema(const json_t *tool, const char *arguments_key)
{
    const json_t *function = json_object_get(tool, "function");
    json_t *parameters = json_object_get(function, "parameters");
    json_t *arguments = parameters ? json_incref(parameters) : json_pack("{s:s}", "type", "object");
    return json_pack("{s:s, s:{s:{s:O}, s:o}, s:[s,s], s:b}", "type", "object", "properties",
                     "name", "const", json_object_get(function, "name"), arguments_key, arguments,
                     "required", "name", arguments_key, "additionalProperties", 0);
}

/* One of the tools, or the named one. References in parameters point into the tool's own schema and
 * are not followed here. */
static json_t *calls_schema(const samp_api_request *request, const char *arguments_key)
{
    json_t *branches = json_array();
    size_t i;
    json_t *tool;
    json_array_foreach((json_t *)request->tools, i, tool)
    {
        const char *name =
            json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        if (request->tool_choice == SAMP_TOOLS_NAMED && strcmp(name, request->tool_name) != 0)
            continue;
        if (!branches || json_array_append_new(branches, tool_schema(tool, arguments_key))) {
            json_decref(branches);
            return NULL;
        }
    }
    return json_pack("{s:o}", "anyOf", branches);
}

/* A schema that is too large stays so: no reason to try again. */
static samp_status schema_error(samp_api_error *error, const char *param, const samp_error *detail)
{
    samp_api_error_from(error, param, detail);
    if (detail->status == SAMP_LIMIT) {
        error->http_status = 400;
        error->retry_after_s = 0;
    }
    return detail->status;
}

static samp_status constrain_calls(const samp_call *call, samp_constrainer **out,
                                   samp_api_error *error)
{
    const char *key;
    samp_error detail = {0};
    samp_constrain_options options = {.ordered = true};
    if (call->tool_style == SAMP_TOOL_STYLE_NONE)
        return samp_api_fail(error, 400, "tool_choice", "unsupported_value",
                             "how this model writes tool calls is not known: 'tool_choice' can "
                             "only be auto or none");
    samp_tool_call_frame(call->tool_style, &options.before, &options.after, &key);
    json_t *schema = calls_schema(&call->request, key);
    if (!schema) return samp_api_fail(error, 503, NULL, NULL, "out of memory for tools");
    options.schema = schema;
    samp_status status = samp_constrainer_create(out, call->server->vocabulary, &options, &detail);
    json_decref(schema);
    return status == SAMP_OK ? status : schema_error(error, "tools", &detail);
}

samp_status samp__call_constrain(const samp_call *call, samp_constrainer **out,
                                 samp_api_error *error)
{
    const samp_api_request *r = &call->request;
    samp_error detail;
    *out = NULL;
    if (r->tool_choice == SAMP_TOOLS_REQUIRED || r->tool_choice == SAMP_TOOLS_NAMED)
        return constrain_calls(call, out, error);
    if (!r->json_object && !r->json_schema) return SAMP_OK;
    samp_constrain_options options = {.schema = r->json_schema, .ordered = r->strict_schema};
    if (samp_constrainer_create(out, call->server->vocabulary, &options, &detail) != SAMP_OK)
        return schema_error(error, "response_format", &detail);
    return SAMP_OK;
}

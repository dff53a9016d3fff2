/* Requests: their prompts, and what fields must be together. The fields are in request_fields.c. */
#include "serve/request.h"

#include <string.h>

/* ---- prompts --------------------------------------------------------------------------------- */

static samp_status check_ids(const json_t *ids, const samp_api_defaults *defaults,
                             samp_api_error *error)
{
    size_t i;
    json_t *id;
    json_array_foreach((json_t *)ids, i, id)
    {
        if (!json_is_integer(id)) return samp__api_wrong_type(error, "prompt", "text or token ids");
        json_int_t token = json_integer_value(id);
        if (token < 0 || token >= (json_int_t)defaults->vocab_size)
            return samp_api_fail(error, 400, "prompt", "invalid_value",
                                 "token id %lld at place %zu of 'prompt' is not one of this "
                                 "model's, 0 to %u",
                                 (long long)token, i, defaults->vocab_size - 1);
    }
    if (json_array_size(ids) == 0)
        return samp_api_fail(error, 400, "prompt", "invalid_value", "'prompt' has no tokens");
    return SAMP_OK;
}

static samp_status read_prompt(samp_api_request *request, const samp_api_defaults *defaults,
                               samp_api_error *error)
{
    const json_t *prompt = json_object_get(request->body, "prompt");
    if (!prompt || json_is_null(prompt))
        return samp_api_fail(error, 400, "prompt", "missing_required_parameter",
                             "'prompt' is missing");
    request->prompt = prompt;
    if (json_is_string(prompt)) return SAMP_OK;
    if (!json_is_array(prompt)) return samp__api_wrong_type(error, "prompt", "text or token ids");
    const json_t *first = json_array_get(prompt, 0);
    if (!first || json_is_integer(first)) return check_ids(prompt, defaults, error);
    if (json_array_size(prompt) > SAMP_API_PROMPTS_MAX)
        return samp_api_fail(error, 400, "prompt", "array_above_max_length",
                             "'prompt' has %zu prompts, expected at most %d",
                             json_array_size(prompt), SAMP_API_PROMPTS_MAX);
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)prompt, i, one)
    {
        if (json_is_string(one) && json_is_string(first)) continue;
        if (!json_is_array(one) || !json_is_array(first))
            return samp__api_wrong_type(error, "prompt",
                                        "text, texts, token ids, or lists of token ids");
        SAMP_TRY(check_ids(one, defaults, error));
    }
    return SAMP_OK;
}

/* ---- whole requests -------------------------------------------------------------------------- */

static samp_status check_together(const samp_api_request *request, samp_api_error *error)
{
    const samp_api_request *r = request;
    const json_t *top = json_object_get(r->body, "top_logprobs");
    if (r->messages && top && !json_is_null(top) &&
        !json_is_true(json_object_get(r->body, "logprobs")))
        return samp_api_fail(error, 400, "top_logprobs", "invalid_value",
                             "'top_logprobs' needs 'logprobs': true");
    if (r->min_tokens > r->max_tokens)
        return samp_api_fail(error, 400, "min_tokens", "invalid_value",
                             "'min_tokens' is %u, 'max_tokens' only %u", r->min_tokens,
                             r->max_tokens);
    if (r->stream && r->prompt_logprobs >= 0 && !r->echo)
        return samp_api_fail(error, 400, "prompt_logprobs", "invalid_value",
                             "'prompt_logprobs' cannot be streamed; set 'stream' to false");
    samp_error detail;
    if (samp_sampler_check(&r->sampler, &detail) != SAMP_OK)
        return samp_api_error_from(error, NULL, &detail);
    return SAMP_OK;
}

static samp_status parse(samp_api_request *request, bool chat, const samp_api_defaults *defaults,
                         samp_api_error *error)
{
    if (!json_is_object(request->body))
        return samp_api_fail(error, 400, NULL, "invalid_json", "the body must be a JSON object");
    SAMP_TRY(chat ? samp__api_read_messages(request, error)
                  : read_prompt(request, defaults, error));
    if (!chat) request->max_tokens = 16; /* OpenAI's default */
    SAMP_TRY(samp__api_read_fields(request, chat, defaults, error));
    if (chat) SAMP_TRY(samp__api_read_tools(request, error));
    return check_together(request, error);
}

samp_status samp_api_request_parse(samp_api_request *out, bool chat, const char *body, size_t n,
                                   const samp_api_defaults *defaults, samp_api_error *error)
{
    *out = (samp_api_request){.sampler = defaults->sampler,
                              .n = 1,
                              .max_tokens = UINT32_MAX,
                              .logprobs = -1,
                              .prompt_logprobs = -1,
                              .skip_special_tokens = true,
                              .add_special_tokens = !chat,
                              .add_generation_prompt = chat};
    samp_error detail;
    if (samp_json_parse(&out->body, body, n, "the body", &detail) != SAMP_OK) {
        samp_api_fail(error, 400, NULL, "invalid_json", "%s", detail.message);
        return SAMP_INVALID;
    }
    samp_status status = parse(out, chat, defaults, error);
    if (status != SAMP_OK) samp_api_request_release(out);
    return status;
}

void samp_api_request_release(samp_api_request *request)
{
    json_decref(request->messages);
    json_decref(request->body);
    *request = (samp_api_request){0};
}

const char *samp_api_request_stop(const samp_api_request *request, size_t i)
{
    if (request->stop) return i == 0 ? request->stop : NULL;
    return request->stops ? json_string_value(json_array_get(request->stops, i)) : NULL;
}

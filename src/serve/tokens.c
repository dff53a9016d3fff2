/* POST /tokenize and /detokenize, in vLLM's form; on the preparing thread, as the largest texts
 * take seconds. */
#include "base/memory.h"
#include "serve/server_internal.h"

#include <string.h>

static void respond(samp_http_exchange *exchange, samp_buffer *body, const samp_api_error *error)
{
    if (error->http_status)
        samp__respond_error(exchange, error); /* nothing was written */
    else
        samp__respond_body(exchange, "application/json", body);
}

static void write_tokens(const samp_server *server, const samp_tokens *tokens, bool strings,
                         samp_buffer *body)
{
    samp_buffer_printf(body, "{\"count\":%zu,\"max_model_len\":%u,\"tokens\":[", tokens->count,
                       server->defaults.max_positions);
    for (size_t i = 0; i < tokens->count; i++)
        samp_buffer_printf(body, i ? ",%d" : "%d", (int)tokens->ids[i]);
    samp_buffer_text(body, "],\"token_strs\":");
    samp_buffer_text(body, strings ? "[" : "null");
    for (size_t i = 0; strings && i < tokens->count; i++) {
        const char *bytes;
        size_t n;
        samp_tokenizer_bytes(server->tokenizer, tokens->ids[i], true, &bytes, &n);
        if (i) samp_buffer_text(body, ",");
        samp_json_write_string(body, bytes, n);
    }
    samp_buffer_text(body, strings ? "]}" : "}");
}

static samp_status encode(const samp_server *server, const json_t *json, samp_tokens *tokens,
                          samp_error *error)
{
    const json_t *messages = json_object_get(json, "messages");
    const json_t *prompt = json_object_get(json, "prompt");
    const json_t *special = json_object_get(json, "add_special_tokens");
    if (json_is_array(messages)) {
        if (!server->chat)
            return samp_fail(error, SAMP_UNSUPPORTED, "this model has no chat template");
        const json_t *generation = json_object_get(json, "add_generation_prompt");
        samp_chat_input input = {.messages = messages,
                                 .add_generation_prompt = !json_is_false(generation)};
        return samp_chat_encode(server->chat, &input, tokens, error);
    }
    if (!json_is_string(prompt))
        return samp_fail(error, SAMP_INVALID, "'prompt' must be a string, or 'messages' an array");
    samp_encode_text how = {.parse_special = true, .add_bos = !json_is_false(special)};
    return samp_tokenizer_encode(server->tokenizer, json_string_value(prompt),
                                 json_string_length(prompt), how, tokens, error);
}

static void tokenize(samp_server *server, samp_http_exchange *exchange,
                     const samp_http_request *request)
{
    samp_buffer body = {0};
    samp_tokens tokens = {0};
    samp_api_error error = {0};
    samp_error detail;
    json_t *json = NULL;
    if (samp_json_parse(&json, request->body, request->body_length, "the body", &detail) !=
            SAMP_OK ||
        encode(server, json, &tokens, &detail) != SAMP_OK)
        samp_api_error_from(&error, NULL, &detail);
    else
        write_tokens(server, &tokens, json_is_true(json_object_get(json, "return_token_strs")),
                     &body);
    json_decref(json);
    samp_tokens_release(&tokens);
    respond(exchange, &body, &error);
}

static samp_status read_ids(const samp_server *server, const json_t *json, samp_tokens *tokens,
                            samp_error *error)
{
    const json_t *ids = json_object_get(json, "tokens"), *id;
    size_t i;
    if (!json_is_array(ids))
        return samp_fail(error, SAMP_INVALID, "'tokens' must be an array of token ids");
    json_array_foreach((json_t *)ids, i, id)
    {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= (json_int_t)server->defaults.vocab_size)
            return samp_fail(error, SAMP_INVALID, "'tokens[%zu]' must be a token id, 0 to %u", i,
                             server->defaults.vocab_size - 1);
        SAMP_TRY(samp_tokens_push(tokens, (int32_t)value, error));
    }
    return SAMP_OK;
}

static void detokenize(samp_server *server, samp_http_exchange *exchange,
                       const samp_http_request *request)
{
    samp_buffer body = {0}, text = {0};
    samp_tokens tokens = {0};
    samp_api_error error = {0};
    samp_error detail;
    json_t *json = NULL;
    if (samp_json_parse(&json, request->body, request->body_length, "the body", &detail) !=
            SAMP_OK ||
        read_ids(server, json, &tokens, &detail) != SAMP_OK ||
        samp_tokenizer_decode(server->tokenizer, tokens.ids, tokens.count, true, &text, &detail) !=
            SAMP_OK)
        samp_api_error_from(&error, "tokens", &detail);
    else {
        samp_buffer_text(&body, "{\"prompt\":");
        samp_json_write_string(&body, text.data ? text.data : "", text.length);
        samp_buffer_text(&body, "}");
    }
    json_decref(json);
    samp_tokens_release(&tokens);
    samp_buffer_release(&text);
    respond(exchange, &body, &error);
}

/* ---- the way to the preparing thread --------------------------------------------------------- */

typedef void answer_function(samp_server *server, samp_http_exchange *exchange,
                             const samp_http_request *request);

typedef struct job {
    samp_server *server;
    samp_http_exchange *exchange; /* retained */
    answer_function *answer;
} job;

static void run_job(void *context)
{
    job *j = context;
    if (!samp_http_exchange_gone(j->exchange))
        j->answer(j->server, j->exchange, samp_http_exchange_request(j->exchange));
    samp_http_exchange_release(j->exchange);
    samp_free(j);
}

static void queue(samp_server *server, samp_http_exchange *exchange, answer_function *answer)
{
    samp_api_error error;
    job *j = samp_alloc(1, sizeof *j);
    if (j) *j = (job){server, samp_http_exchange_retain(exchange), answer};
    if (j && samp_prepare_add(server->prepare, run_job, j)) return;
    if (j) samp_http_exchange_release(exchange);
    samp_free(j);
    samp_api_fail(&error, 503, NULL, NULL, "too many requests are waiting");
    error.retry_after_s = 1;
    samp__respond_error(exchange, &error);
}

void samp__route_tokenize(samp_server *server, samp_http_exchange *exchange,
                          const samp_http_request *request)
{
    (void)request;
    queue(server, exchange, tokenize);
}

void samp__route_detokenize(samp_server *server, samp_http_exchange *exchange,
                            const samp_http_request *request)
{
    (void)request;
    queue(server, exchange, detokenize);
}

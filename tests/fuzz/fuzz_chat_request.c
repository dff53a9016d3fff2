/* Bodies of /v1/chat/completions and /v1/completions: the first byte says which. Whatever comes is a
 * request whose every promise holds, or an error object of valid JSON. */
#include "serve/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const samp_api_error *error)
{
    samp_buffer text = {0};
    samp_api_error_write(error, &text);
    json_t *json = json_loadb(text.data, text.length, JSON_ALLOW_NUL, NULL);
    if (!json || error->http_status < 400 || !error->message[0]) abort();
    json_decref(json);
    samp_buffer_release(&text);
}

static void check_request(const samp_api_request *r, bool chat)
{
    size_t i;
    json_t *message;
    if (r->n < 1 || r->n > SAMP_API_N_MAX || r->logprobs > SAMP_API_LOGPROBS_MAX) abort();
    if (chat != (r->messages != NULL) || chat == (r->prompt != NULL)) abort();
    if (r->n_biases > SAMP_API_BIASES_MAX || r->n_stop_tokens > SAMP_API_STOPS_MAX) abort();
    json_array_foreach(r->messages, i, message)
    {
        if (!json_is_string(json_object_get(message, "role"))) abort();
        if (!json_is_string(json_object_get(message, "content"))) abort();
    }
    for (i = 0; samp_api_request_stop(r, i); i++)
        if (!samp_api_request_stop(r, i)[0]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    samp_api_defaults defaults = {
        .sampler = samp_sampler_defaults(), .model = "m", .vocab_size = 1000, .max_positions = 512};
    samp_api_request request;
    samp_api_error error = {0};
    bool chat = size && data[0] % 2;
    if (size == 0) return 0;
    if (samp_api_request_parse(&request, chat, (const char *)data + 1, size - 1, &defaults,
                               &error) == SAMP_OK) {
        check_request(&request, chat);
        samp_api_request_release(&request);
    } else
        check_error(&error);
    return 0;
}

/* The body of POST /v1/chat/completions and /v1/completions: fields of OpenAI's API and the ones
 * vLLM added, every one checked before any work is done.
 *
 * Nothing is ignored silently: a field that would change the answer and is not supported is a 400
 * that names it, so is a field nobody knows ("temprature"). Fields without meaning for the answer
 * (user, metadata, store …) are accepted. null is as good as absent. */
#ifndef SAMP_SERVE_REQUEST_H
#define SAMP_SERVE_REQUEST_H

#include "base/json.h"
#include "run/sampler.h"
#include "serve/api_error.h"

enum {
    SAMP_API_N_MAX = 128,           /* choices of a request */
    SAMP_API_PROMPTS_MAX = 256,     /* prompts of a /v1/completions request */
    SAMP_API_LOGPROBS_MAX = 20,     /* alternatives reported for a token */
    SAMP_API_STOPS_MAX = 16,        /* stop strings, and stop token ids */
    SAMP_API_STOP_BYTES_MAX = 1024, /* bytes of a stop string */
    SAMP_API_BIASES_MAX = 1024,
    SAMP_API_MESSAGES_MAX = 4096,
    SAMP_API_TOOLS_MAX = 128,
};

typedef enum samp_api_tool_choice {
    SAMP_TOOLS_NONE, /* no tools, or tool_choice none */
    SAMP_TOOLS_AUTO,
    SAMP_TOOLS_REQUIRED, /* some call */
    SAMP_TOOLS_NAMED     /* this one call */
} samp_api_tool_choice;

typedef struct samp_api_request {
    json_t *body; /* owned; what follows points into it */

    const char *model;    /* NULL = not given */
    const json_t *prompt; /* completions: string, strings, ids, lists of ids; checked */
    json_t *messages;     /* chat: owned; content flattened to strings, arguments parsed */
    const json_t *tools;  /* NULL = none */
    samp_api_tool_choice tool_choice;
    const char *tool_name;           /* of SAMP_TOOLS_NAMED */
    const json_t *template_kwargs;   /* NULL = none */
    const json_t *json_schema;       /* response_format json_schema: the schema; NULL = none */
    bool json_object, strict_schema; /* response_format json_object; json_schema's strict */
    bool add_generation_prompt, add_special_tokens;

    samp_sampler_options sampler;
    bool has_seed;
    uint32_t n;
    uint32_t max_tokens; /* UINT32_MAX = as many as the context has room for */
    uint32_t min_tokens;
    const json_t *stops; /* array of strings; NULL = none */
    const char *stop;    /* the only one, when it was given as a string */
    int32_t stop_tokens[SAMP_API_STOPS_MAX];
    uint32_t n_stop_tokens;
    samp_logit_bias biases[SAMP_API_BIASES_MAX];
    uint32_t n_biases;
    int logprobs;        /* alternatives wanted for each generated token; -1 = no logprobs */
    int prompt_logprobs; /* the same for each prompt token */
    bool echo, ignore_eos, include_stop, skip_special_tokens, return_token_ids;
    bool stream, include_usage, continuous_usage;
    int64_t priority; /* lower runs first */
} samp_api_request;

/* What requests that say nothing get. */
typedef struct samp_api_defaults {
    samp_sampler_options sampler; /* temperature 1 … or the model's generation_config.json */
    const char *model;            /* the name it is served under */
    uint32_t vocab_size, max_positions;
} samp_api_defaults;

/* Parses n bytes of JSON. On failure *out is released. */
samp_status samp_api_request_parse(samp_api_request *out, bool chat, const char *body, size_t n,
                                   const samp_api_defaults *defaults, samp_api_error *error);
void samp_api_request_release(samp_api_request *request);

/* Stop string i of n, or NULL past the last. */
const char *samp_api_request_stop(const samp_api_request *request, size_t i);

/* Private to the room. Every field of the body by the table; "'name' must be a number". */
samp_status samp__api_read_fields(samp_api_request *request, bool chat,
                                  const samp_api_defaults *defaults, samp_api_error *error);
samp_status samp__api_wrong_type(samp_api_error *error, const char *name, const char *expected);
/* Checks and flattens `messages`, `tools` and `tool_choice` (messages.c). */
samp_status samp__api_read_messages(samp_api_request *request, samp_api_error *error);
samp_status samp__api_read_tools(samp_api_request *request, samp_api_error *error);

#endif

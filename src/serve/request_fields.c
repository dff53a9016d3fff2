/* The fields of a request: one table of those that are numbers and flags, one function for each of
 * the others. */
#include "serve/request.h"

#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum { CHAT = 1, COMPLETIONS = 2, BOTH = 3 };

typedef samp_status read_function(samp_api_request *request, const char *name, const json_t *value,
                                  const samp_api_defaults *defaults, samp_api_error *error);

typedef enum field_kind {
    FLOAT,    /* float at offset, low … high */
    UNSIGNED, /* uint32_t */
    COUNT,    /* int: -1 stays for null */
    FLAG,     /* bool */
    WITH,     /* a function of its own */
    IGNORED,  /* means nothing for the answer */
    REFUSED   /* would mean something, and is not supported */
} field_kind;

typedef struct field {
    const char *name;
    int apis;
    field_kind kind;
    size_t offset;
    double low, high;
    read_function *read;
} field;

/* ---- fields with a function of their own ----------------------------------------------------- */

samp_status samp__api_wrong_type(samp_api_error *error, const char *name, const char *expected)
{
    return samp_api_fail(error, 400, name, "invalid_type", "'%s' must be %s", name, expected);
}

static samp_status out_of_range(samp_api_error *error, const char *name, double low, double high)
{
    if (high >= UINT32_MAX)
        return samp_api_fail(error, 400, name, "invalid_value", "'%s' must be at least %g", name,
                             low);
    return samp_api_fail(error, 400, name, "invalid_value", "'%s' must be between %g and %g", name,
                         low, high);
}

static samp_status read_model(samp_api_request *request, const char *name, const json_t *value,
                              const samp_api_defaults *defaults, samp_api_error *error)
{
    if (!json_is_string(value)) return samp__api_wrong_type(error, name, "a string");
    request->model = json_string_value(value);
    if (strcmp(request->model, defaults->model) == 0) return SAMP_OK;
    return samp_api_fail(error, 404, name, "model_not_found",
                         "the model '%.200s' does not exist here; this server serves '%s'",
                         request->model, defaults->model);
}

static samp_status read_seed(samp_api_request *request, const char *name, const json_t *value,
                             const samp_api_defaults *defaults, samp_api_error *error)
{
    (void)defaults;
    if (!json_is_integer(value)) return samp__api_wrong_type(error, name, "an integer of 64 bits");
    request->sampler.seed = (uint64_t)json_integer_value(value);
    request->has_seed = true;
    return SAMP_OK;
}

static samp_status read_max_tokens(samp_api_request *request, const char *name, const json_t *value,
                                   const samp_api_defaults *defaults, samp_api_error *error)
{
    (void)defaults;
    if (!json_is_integer(value)) return samp__api_wrong_type(error, name, "an integer");
    json_int_t n = json_integer_value(value);
    if (n < (request->messages ? 1 : 0) || n > UINT32_MAX - 1)
        return out_of_range(error, name, request->messages ? 1 : 0, UINT32_MAX);
    request->max_tokens = (uint32_t)n;
    return SAMP_OK;
}

static samp_status read_top_k(samp_api_request *request, const char *name, const json_t *value,
                              const samp_api_defaults *defaults, samp_api_error *error)
{
    if (!json_is_integer(value)) return samp__api_wrong_type(error, name, "an integer");
    json_int_t k = json_integer_value(value);
    if (k < -1 || k > INT_MAX) return out_of_range(error, name, -1, UINT32_MAX);
    bool off = k <= 0 || k >= (json_int_t)defaults->vocab_size;
    request->sampler.top_k = off ? 0 : (int)k;
    return SAMP_OK;
}

static samp_status check_stop(const char *name, const json_t *value, samp_api_error *error)
{
    if (!json_is_string(value))
        return samp__api_wrong_type(error, name, "a string or an array of strings");
    size_t n = json_string_length(value);
    if (n == 0 || n > SAMP_API_STOP_BYTES_MAX)
        return samp_api_fail(error, 400, name, "invalid_value",
                             "a stop string has %zu bytes, expected 1 to %d", n,
                             SAMP_API_STOP_BYTES_MAX);
    return SAMP_OK;
}

static samp_status read_stop(samp_api_request *request, const char *name, const json_t *value,
                             const samp_api_defaults *defaults, samp_api_error *error)
{
    (void)defaults;
    if (!json_is_array(value)) {
        SAMP_TRY(check_stop(name, value, error));
        request->stop = json_string_value(value);
        return SAMP_OK;
    }
    if (json_array_size(value) > SAMP_API_STOPS_MAX)
        return samp_api_fail(error, 400, name, "array_above_max_length",
                             "'%s' has %zu strings, expected at most %d", name,
                             json_array_size(value), SAMP_API_STOPS_MAX);
    size_t i;
    json_t *stop;
    json_array_foreach((json_t *)value, i, stop) SAMP_TRY(check_stop(name, stop, error));
    request->stops = value;
    return SAMP_OK;
}

static samp_status read_stop_tokens(samp_api_request *request, const char *name,
                                    const json_t *value, const samp_api_defaults *defaults,
                                    samp_api_error *error)
{
    if (!json_is_array(value) || json_array_size(value) > SAMP_API_STOPS_MAX)
        return samp_api_fail(error, 400, name, "invalid_type",
                             "'%s' must be an array of at most %d token ids", name,
                             SAMP_API_STOPS_MAX);
    size_t i;
    json_t *id;
    json_array_foreach((json_t *)value, i, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= (json_int_t)defaults->vocab_size)
            return samp_api_fail(error, 400, name, "invalid_value",
                                 "'%s[%zu]' must be a token id, 0 to %u", name, i,
                                 defaults->vocab_size - 1);
        request->stop_tokens[request->n_stop_tokens++] = (int32_t)json_integer_value(id);
    }
    return SAMP_OK;
}

/* A token id as a member's name: digits only. */
static bool parse_token(const char *text, uint32_t vocab_size, int32_t *token)
{
    uint64_t id = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 10 || strspn(text, "0123456789") != n) return false;
    for (size_t i = 0; i < n; i++) id = id * 10 + (uint64_t)(text[i] - '0');
    *token = (int32_t)id;
    return id < vocab_size;
}

static samp_status read_logit_bias(samp_api_request *request, const char *name, const json_t *value,
                                   const samp_api_defaults *defaults, samp_api_error *error)
{
    if (!json_is_object(value) || json_object_size(value) > SAMP_API_BIASES_MAX)
        return samp_api_fail(error, 400, name, "invalid_type",
                             "'%s' must be an object of at most %d token ids and biases", name,
                             SAMP_API_BIASES_MAX);
    const char *key;
    json_t *bias;
    json_object_foreach((json_t *)value, key, bias)
    {
        samp_logit_bias *out = &request->biases[request->n_biases];
        if (!parse_token(key, defaults->vocab_size, &out->token))
            return samp_api_fail(error, 400, name, "invalid_value",
                                 "'%.20s' in '%s' is not a token id of this model, 0 to %u", key,
                                 name, defaults->vocab_size - 1);
        double b = json_is_number(bias) ? json_number_value(bias) : NAN;
        if (!(b >= -100 && b <= 100)) return out_of_range(error, name, -100, 100);
        out->bias = (float)b;
        request->n_biases++;
    }
    return SAMP_OK;
}

/* Chat: logprobs is a flag, top_logprobs the number; completions: logprobs is the number. */
static samp_status read_logprobs(samp_api_request *request, const char *name, const json_t *value,
                                 const samp_api_defaults *defaults, samp_api_error *error)
{
    (void)defaults;
    if (request->messages) {
        if (!json_is_boolean(value)) return samp__api_wrong_type(error, name, "true or false");
        if (json_is_true(value) && request->logprobs < 0) request->logprobs = 0;
        return SAMP_OK;
    }
    if (!json_is_integer(value)) return samp__api_wrong_type(error, name, "an integer");
    json_int_t n = json_integer_value(value);
    if (n < 0 || n > SAMP_API_LOGPROBS_MAX)
        return out_of_range(error, name, 0, SAMP_API_LOGPROBS_MAX);
    request->logprobs = (int)n;
    return SAMP_OK;
}

static samp_status read_stream_options(samp_api_request *request, const char *name,
                                       const json_t *value, const samp_api_defaults *defaults,
                                       samp_api_error *error)
{
    (void)defaults;
    if (!json_is_object(value)) return samp__api_wrong_type(error, name, "an object");
    request->include_usage = json_is_true(json_object_get(value, "include_usage"));
    request->continuous_usage = json_is_true(json_object_get(value, "continuous_usage_stats"));
    return SAMP_OK;
}

static samp_status read_template_kwargs(samp_api_request *request, const char *name,
                                        const json_t *value, const samp_api_defaults *defaults,
                                        samp_api_error *error)
{
    (void)defaults;
    static const char *const own[] = {"messages", "tools", "add_generation_prompt", "bos_token",
                                      "eos_token"};
    if (!json_is_object(value)) return samp__api_wrong_type(error, name, "an object");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (json_object_get(value, own[i]))
            return samp_api_fail(error, 400, name, "invalid_value",
                                 "'%s' may not set '%s': the server does", name, own[i]);
    request->template_kwargs = value;
    return SAMP_OK;
}

static samp_status read_response_format(samp_api_request *request, const char *name,
                                        const json_t *value, const samp_api_defaults *defaults,
                                        samp_api_error *error)
{
    (void)defaults;
    const char *type = json_string_value(json_object_get(value, "type"));
    if (!type) return samp__api_wrong_type(error, name, "an object with a 'type'");
    if (strcmp(type, "text") == 0) return SAMP_OK;
    if (strcmp(type, "json_object") == 0) {
        request->json_object = true;
        return SAMP_OK;
    }
    if (strcmp(type, "json_schema") != 0)
        return samp_api_fail(error, 400, "response_format.type", "unsupported_value",
                             "response_format '%.40s' is not supported; text, json_object and "
                             "json_schema are",
                             type);
    const json_t *outer = json_object_get(value, "json_schema");
    const json_t *schema = json_object_get(outer, "schema");
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return samp__api_wrong_type(error, "response_format.json_schema.schema", "a JSON schema");
    request->json_schema = schema;
    request->strict_schema = json_is_true(json_object_get(outer, "strict"));
    return SAMP_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

#define AT(member) offsetof(samp_api_request, member)
#define NUMBER(name, apis, member, low, high)                                                      \
    {                                                                                              \
        name, apis, FLOAT, AT(member), low, high, NULL                                             \
    }
#define INTEGER(name, apis, kind, member, low, high)                                               \
    {                                                                                              \
        name, apis, kind, AT(member), low, high, NULL                                              \
    }
#define BOOLEAN(name, apis, member)                                                                \
    {                                                                                              \
        name, apis, FLAG, AT(member), 0, 1, NULL                                                   \
    }
#define FUNCTION(name, apis, function)                                                             \
    {                                                                                              \
        name, apis, WITH, 0, 0, 0, function                                                        \
    }
#define ACCEPTED(name)                                                                             \
    {                                                                                              \
        name, BOTH, IGNORED, 0, 0, 0, NULL                                                         \
    }
#define NOT_YET(name)                                                                              \
    {                                                                                              \
        name, BOTH, REFUSED, 0, 0, 0, NULL                                                         \
    }

static const field fields[] = {
    FUNCTION("model", BOTH, read_model),
    NUMBER("temperature", BOTH, sampler.temperature, 0, 2),
    NUMBER("top_p", BOTH, sampler.top_p, 0, 1),
    NUMBER("min_p", BOTH, sampler.min_p, 0, 1),
    NUMBER("repetition_penalty", BOTH, sampler.repetition_penalty, 0.01, 10),
    NUMBER("frequency_penalty", BOTH, sampler.frequency_penalty, -2, 2),
    NUMBER("presence_penalty", BOTH, sampler.presence_penalty, -2, 2),
    FUNCTION("top_k", BOTH, read_top_k),
    FUNCTION("seed", BOTH, read_seed),
    INTEGER("n", BOTH, UNSIGNED, n, 1, SAMP_API_N_MAX),
    FUNCTION("max_tokens", BOTH, read_max_tokens),
    FUNCTION("max_completion_tokens", CHAT, read_max_tokens),
    INTEGER("min_tokens", BOTH, UNSIGNED, min_tokens, 0, UINT32_MAX - 1),
    FUNCTION("stop", BOTH, read_stop),
    FUNCTION("stop_token_ids", BOTH, read_stop_tokens),
    FUNCTION("logit_bias", BOTH, read_logit_bias),
    FUNCTION("logprobs", BOTH, read_logprobs),
    INTEGER("top_logprobs", CHAT, COUNT, logprobs, 0, SAMP_API_LOGPROBS_MAX),
    INTEGER("prompt_logprobs", BOTH, COUNT, prompt_logprobs, 0, SAMP_API_LOGPROBS_MAX),
    BOOLEAN("echo", COMPLETIONS, echo),
    BOOLEAN("ignore_eos", BOTH, ignore_eos),
    BOOLEAN("include_stop_str_in_output", BOTH, include_stop),
    BOOLEAN("skip_special_tokens", BOTH, skip_special_tokens),
    BOOLEAN("return_token_ids", BOTH, return_token_ids),
    BOOLEAN("stream", BOTH, stream),
    FUNCTION("stream_options", BOTH, read_stream_options),
    BOOLEAN("add_generation_prompt", CHAT, add_generation_prompt),
    BOOLEAN("add_special_tokens", BOTH, add_special_tokens),
    FUNCTION("chat_template_kwargs", CHAT, read_template_kwargs),
    FUNCTION("response_format", BOTH, read_response_format),
    {"messages", CHAT, IGNORED, 0, 0, 0, NULL},      /* read before the table */
    {"tools", CHAT, IGNORED, 0, 0, 0, NULL},         /* and after it */
    {"tool_choice", CHAT, IGNORED, 0, 0, 0, NULL},   /* with tools */
    {"prompt", COMPLETIONS, IGNORED, 0, 0, 0, NULL}, /* read before the table */
    ACCEPTED("user"),
    ACCEPTED("metadata"),
    ACCEPTED("store"),
    ACCEPTED("service_tier"),
    ACCEPTED("safety_identifier"),
    ACCEPTED("prompt_cache_key"),
    ACCEPTED("prompt_cache_retention"),
    ACCEPTED("parallel_tool_calls"),
    ACCEPTED("request_id"),
    NOT_YET("continue_final_message"),
    NOT_YET("best_of"),
    NOT_YET("suffix"),
    NOT_YET("audio"),
    NOT_YET("modalities"),
    NOT_YET("prediction"),
    NOT_YET("functions"),
    NOT_YET("function_call"),
    NOT_YET("web_search_options"),
    NOT_YET("reasoning_effort"),
    NOT_YET("verbosity"),
    NOT_YET("moderation"),
    NOT_YET("bad_words"),
    NOT_YET("allowed_token_ids"),
    NOT_YET("logprob_token_ids"),
    NOT_YET("length_penalty"),
    NOT_YET("use_beam_search"),
    NOT_YET("chat_template"),
    NOT_YET("structured_outputs"),
    NOT_YET("guided_json"),
    NOT_YET("guided_regex"),
    NOT_YET("guided_choice"),
    NOT_YET("guided_grammar"),
    NOT_YET("prompt_embeds"),
};

static const field *find_field(const char *name, int api)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0) return fields[i].apis & api ? &fields[i] : NULL;
    return NULL;
}

static samp_status read_integer(samp_api_request *request, const field *f, const json_t *value,
                                samp_api_error *error)
{
    void *place = (char *)request + f->offset;
    if (!json_is_integer(value)) return samp__api_wrong_type(error, f->name, "an integer");
    json_int_t n = json_integer_value(value);
    if (n < (json_int_t)f->low || n > (json_int_t)f->high)
        return out_of_range(error, f->name, f->low, f->high);
    if (f->kind == UNSIGNED)
        *(uint32_t *)place = (uint32_t)n;
    else
        *(int *)place = (int)n;
    return SAMP_OK;
}

static samp_status read_field(samp_api_request *request, const field *f, const json_t *value,
                              const samp_api_defaults *defaults, samp_api_error *error)
{
    void *place = (char *)request + f->offset;
    switch (f->kind) {
    case FLOAT: {
        if (!json_is_number(value)) return samp__api_wrong_type(error, f->name, "a number");
        double x = json_number_value(value);
        if (!(x >= f->low && x <= f->high)) return out_of_range(error, f->name, f->low, f->high);
        *(float *)place = (float)x;
        return SAMP_OK;
    }
    case UNSIGNED:
    case COUNT: return read_integer(request, f, value, error);
    case FLAG:
        if (!json_is_boolean(value)) return samp__api_wrong_type(error, f->name, "true or false");
        *(bool *)place = json_is_true(value);
        return SAMP_OK;
    case WITH: return f->read(request, f->name, value, defaults, error);
    case IGNORED: return SAMP_OK;
    case REFUSED:
    default:
        if (json_is_false(value) || json_integer_value(value) == 1) return SAMP_OK; /* no wish */
        return samp_api_fail(error, 400, f->name, "unsupported_parameter",
                             "'%s' is not supported by this server", f->name);
    }
}

samp_status samp__api_read_fields(samp_api_request *request, bool chat,
                                  const samp_api_defaults *defaults, samp_api_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach(request->body, name, value)
    {
        const field *f = find_field(name, chat ? CHAT : COMPLETIONS);
        if (!f)
            return samp_api_fail(error, 400, name, "unknown_parameter",
                                 "'%.60s' is not a parameter of %s; is it misspelt?", name,
                                 chat ? "/v1/chat/completions" : "/v1/completions");
        if (!json_is_null(value)) SAMP_TRY(read_field(request, f, value, defaults, error));
    }
    return SAMP_OK;
}

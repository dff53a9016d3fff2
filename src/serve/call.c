/* The life of a call: made, started, cancelled, completed, released. */
#include "serve/call.h"

#include "base/memory.h"
#include "serve/server_internal.h"

#include <ctype.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* ---- identifiers ----------------------------------------------------------------------------- */

static void random_hex(char *out, size_t n_digits)
{
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) memset(bytes, 0, sizeof bytes);
    for (size_t i = 0; i < n_digits; i++)
        out[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
    out[n_digits] = '\0';
}

/* An X-Request-Id that is safe in headers, logs and ids, at most 128 characters. */
static bool is_good_id(const char *id)
{
    size_t n = strlen(id);
    if (n == 0 || n > 128) return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)id[i]) && !strchr("-_.:", id[i])) return false;
    return true;
}

/* The trace id of "00-<32 hex digits>-<16>-<2>"; false when malformed or all zero (W3C Trace
 * Context). */
static bool read_trace_id(const char *traceparent, char out[33])
{
    static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    if (strlen(traceparent) != sizeof shape - 1) return false;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        char c = traceparent[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (shape[i] == 'x' ? !hex : c != shape[i]) return false;
    }
    memcpy(out, traceparent + 3, 32);
    out[32] = '\0';
    return strspn(out, "0") != 32;
}

static void name_call(samp_call *call)
{
    const samp_http_request *request = samp_http_exchange_request(call->exchange);
    const char *id = samp_http_request_header(request, "x-request-id");
    const char *trace = samp_http_request_header(request, "traceparent");
    char made[33];
    random_hex(made, 32);
    if (!id || !is_good_id(id)) id = made;
    snprintf(call->request_id, sizeof call->request_id, "%s", id);
    random_hex(made, 24); /* theirs may come twice; an answer's id may not */
    snprintf(call->id, sizeof call->id, "%s-%s", call->chat ? "chatcmpl" : "cmpl", made);
    samp_http_add_header(call->exchange, "X-Request-Id", call->request_id);
    if (!trace || !read_trace_id(trace, call->trace_id)) return;
    char own[64], span[17];
    random_hex(span, 16);
    snprintf(own, sizeof own, "00-%s-%s-01", call->trace_id, span);
    samp_http_add_header(call->exchange, "traceparent", own);
}

/* ---- life ------------------------------------------------------------------------------------ */

samp_call *samp_call_create(samp_server *server, samp_http_exchange *exchange, bool chat)
{
    samp_call *call = samp_alloc(1, sizeof *call);
    if (!call) return NULL;
    call->references = 1;
    call->server = server;
    call->chat = chat;
    call->exchange = samp_http_exchange_retain(exchange);
    call->created = (int64_t)time(NULL);
    call->tool_style = server->tool_style;
    name_call(call);
    return call;
}

samp_call *samp_call_retain(samp_call *call)
{
    atomic_fetch_add(&call->references, 1);
    return call;
}

static void release_choice(samp_choice *choice)
{
    samp_buffer_release(&choice->text);
    samp_tokens_release(&choice->ids);
    samp_free(choice->scored);
    samp_free(choice->prompt_scored);
    samp_free(choice->alternatives);
    samp_constrainer_release(choice->constrainer);
}

void samp_call_release(samp_call *call)
{
    if (atomic_fetch_sub(&call->references, 1) != 1) return;
    samp_access_log_call(call->server->log, call);
    for (uint32_t i = 0; i < call->n_choices; i++) release_choice(&call->choices[i]);
    for (uint32_t i = 0; i < call->n_prompts; i++) samp_tokens_release(&call->prompts[i]);
    samp_free(call->choices);
    samp_free(call->prompts);
    samp_api_request_release(&call->request);
    samp_http_exchange_release(call->exchange);
    samp_free(call);
}

void samp_call_cancel(samp_call *call)
{
    atomic_store(&call->cancelled, true);
    if (!call->server->engine) return;
    /* Choices whose id is not known yet are cancelled by the thread that submits them. */
    for (uint32_t i = 0; i < atomic_load(&call->n_submitted); i++) {
        uint64_t id = atomic_load(&call->choices[i].engine_id);
        if (id) samp_engine_cancel(call->server->engine, id);
    }
}

/* ---- starting -------------------------------------------------------------------------------- */

static uint64_t seed_of(const samp_call *call, uint32_t index)
{
    uint64_t seed;
    if (call->request.has_seed) return call->request.sampler.seed + index;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)call->created + index;
    return seed;
}

static bool constraint_allowed(void *context, uint64_t *mask)
{
    return samp_constrainer_allowed(context, mask);
}

static void constraint_accept(void *context, int32_t token)
{
    samp_constrainer_accept(context, token);
}

static samp_request engine_request(samp_choice *choice)
{
    const samp_call *call = choice->call;
    const samp_api_request *r = &call->request;
    const samp_tokens *prompt = &call->prompts[choice->prompt];
    samp_request out = samp_request_defaults();
    out.prompt = prompt->ids;
    out.n_prompt = (uint32_t)prompt->count;
    out.max_tokens = r->max_tokens;
    out.min_tokens = r->min_tokens;
    out.sampler = r->sampler;
    out.sampler.seed = seed_of(call, choice->index % r->n);
    out.sampler.logit_bias = r->biases;
    out.sampler.n_logit_bias = r->n_biases;
    out.stop_tokens = r->stop_tokens;
    out.n_stop_tokens = r->n_stop_tokens;
    out.ignore_eos = r->ignore_eos;
    out.logprobs = r->logprobs;
    out.prompt_logprobs = r->prompt_logprobs;
    if (r->echo && r->logprobs > out.prompt_logprobs) out.prompt_logprobs = r->logprobs;
    out.priority = r->priority;
    if (choice->constrainer)
        out.constraint = (samp_constraint){.allowed = constraint_allowed,
                                           .accept = constraint_accept,
                                           .context = choice->constrainer};
    out.sink = samp__choice_sink(choice);
    return out;
}

/* The echoed prompt begins the text. */
static samp_status echo_prompt(samp_choice *choice, samp_error *error)
{
    const samp_call *call = choice->call;
    const samp_tokens *prompt = &call->prompts[choice->prompt];
    SAMP_TRY(samp_tokenizer_decode(call->server->tokenizer, prompt->ids, prompt->count,
                                   !call->request.skip_special_tokens, &choice->text, error));
    SAMP_TRY(samp_buffer_ok(&choice->text, error));
    choice->n_echo = choice->n_scan = choice->text.length;
    choice->detokenizer.started = true;
    return SAMP_OK;
}

/* The schema is compiled once, for the first choice: a large one takes a second. */
static samp_status constrain_choice(samp_choice *choice, samp_api_error *error)
{
    const samp_constrainer *first = choice->call->choices[0].constrainer;
    if (choice->index == 0) return samp__call_constrain(choice->call, &choice->constrainer, error);
    if (!first) return SAMP_OK;
    choice->constrainer = samp_constrainer_fork(first);
    if (choice->constrainer) return SAMP_OK;
    return samp_api_fail(error, 503, NULL, NULL, "out of memory for a schema");
}

static samp_status make_choices(samp_call *call, samp_api_error *error)
{
    samp_error detail;
    uint32_t n = call->n_prompts * call->request.n;
    call->choices = samp_alloc(n, sizeof *call->choices);
    if (!call->choices)
        return samp_api_fail(error, 503, NULL, NULL, "out of memory for %u choices", n);
    while (call->n_choices < n) {
        uint32_t i = call->n_choices++; /* from here on its parts are released with the call */
        samp_choice *choice = &call->choices[i];
        choice->call = call;
        choice->index = i;
        choice->prompt = i / call->request.n;
        choice->stopped_by = -1;
        choice->end.stop_token = -1;
        SAMP_TRY(constrain_choice(choice, error));
        if (call->request.echo && echo_prompt(choice, &detail) != SAMP_OK)
            return samp_api_error_from(error, "echo", &detail);
    }
    return SAMP_OK;
}

static samp_status refuse(samp_call *call, const samp_ticket *ticket, const samp_error *detail,
                          samp_api_error *error)
{
    samp_status status = samp_api_error_from(error, NULL, detail);
    if (status == SAMP_LIMIT) {
        error->http_status = 429;
        error->code = ticket->reason;
        error->retry_after_s = (unsigned)(ticket->retry_seconds + 1);
        samp_metric_add(call->server->metrics, SAMP_METRIC_ADMISSION_REJECTIONS, ticket->reason, 1);
    } else if (status == SAMP_CANCELLED) {
        error->http_status = 503;
        error->retry_after_s = 1;
    }
    return status;
}

static samp_status check_room(samp_call *call, samp_api_error *error)
{
    samp_ticket ticket = {0};
    samp_error detail;
    uint64_t n_tokens = 0;
    uint32_t limit = call->server->defaults.max_positions;
    for (uint32_t i = 0; i < call->n_prompts; i++) {
        size_t n = call->prompts[i].count;
        if (n + (call->request.max_tokens > 0) > limit)
            return samp_api_fail(
                error, 400, call->chat ? "messages" : "prompt", "context_length_exceeded",
                "this model's context is %u tokens, and the prompt alone has %zu", limit, n);
        n_tokens += n * call->request.n;
    }
    uint32_t n_choices = call->n_prompts * call->request.n;
    if (samp_engine_admits(call->server->engine, n_choices, n_tokens, &ticket, &detail) != SAMP_OK)
        return refuse(call, &ticket, &detail, error);
    return SAMP_OK;
}

static void send(samp_call *call, samp_buffer *chunk)
{
    if (!chunk->failed) samp_http_sse_send(call->exchange, chunk->data, chunk->length);
    samp_buffer_clear(chunk);
}

/* The stream's head, and each choice's role: before the engine may send anything. */
static void begin_stream(samp_call *call)
{
    samp_buffer chunk = {0};
    samp_http_sse_begin(call->exchange);
    for (uint32_t i = 0; call->chat && i < call->n_choices; i++) {
        samp__answer_role(&call->choices[i], &chunk);
        send(call, &chunk);
    }
    samp_buffer_release(&chunk);
    call->streaming = true;
}

static void submit_all(samp_call *call)
{
    for (uint32_t i = 0; i < call->n_choices && !atomic_load(&call->cancelled); i++) {
        samp_choice *choice = &call->choices[i];
        samp_request request = engine_request(choice);
        samp_ticket ticket = {0};
        samp_error detail;
        samp_call_retain(call);
        atomic_fetch_add(&call->n_open, 1);
        if (samp_engine_submit(call->server->engine, &request, &ticket, &detail) != SAMP_OK) {
            samp_api_error error;
            refuse(call, &ticket, &detail, &error);
            samp__call_set_error(call, &error);
            samp_call_cancel(call); /* the ones before it */
            samp__call_close_one(call);
            samp_call_release(call);
            return;
        }
        atomic_store(&choice->engine_id, ticket.id);
        atomic_store(&call->n_submitted, i + 1);
        if (atomic_load(&call->cancelled)) samp_engine_cancel(call->server->engine, ticket.id);
    }
}

static samp_status prepare(samp_call *call, samp_api_error *error)
{
    const samp_http_request *request = samp_http_exchange_request(call->exchange);
    SAMP_TRY(samp_api_request_parse(&call->request, call->chat, request->body, request->body_length,
                                    &call->server->defaults, error));
    for (size_t i = 0; samp_api_request_stop(&call->request, i); i++)
        samp_stops_add(&call->stops, samp_api_request_stop(&call->request, i));
    call->n_stop_strings = call->stops.n;
    if (call->request.tools && *samp_tool_opening(call->tool_style))
        samp_stops_add(&call->stops, samp_tool_opening(call->tool_style));
    SAMP_TRY(samp__call_read_prompts(call, error));
    SAMP_TRY(check_room(call, error));
    return make_choices(call, error);
}

void samp_call_start(samp_call *call)
{
    atomic_store(&call->n_open, 1);
    samp_api_error error = {0};
    /* A call that was never prepared has nothing to answer with, though nobody will read it. */
    samp_status status = atomic_load(&call->cancelled)
                             ? samp_api_fail(&error, 499, NULL, NULL, "the client has left")
                             : prepare(call, &error);
    if (status != SAMP_OK) {
        samp__call_set_error(call, &error);
    } else {
        samp_metric_observe(call->server->metrics, SAMP_METRIC_REQUEST_N, call->request.n);
        if (call->request.max_tokens != UINT32_MAX)
            samp_metric_observe(call->server->metrics, SAMP_METRIC_REQUEST_MAX_TOKENS,
                                call->request.max_tokens);
        if (call->request.stream) begin_stream(call);
        submit_all(call);
    }
    samp__call_close_one(call);
}

/* ---- completing ------------------------------------------------------------------------------ */

static void end_stream(samp_call *call)
{
    samp_buffer chunk = {0};
    if (samp__call_has_error(call)) {
        samp_api_error_write(&call->error, &chunk);
        send(call, &chunk);
    } else if (call->request.include_usage) {
        samp__answer_usage_chunk(call, &chunk);
        send(call, &chunk);
    }
    samp_http_sse_send(call->exchange, "[DONE]", 6);
    samp_http_sse_end(call->exchange);
    samp_buffer_release(&chunk);
}

void samp__call_set_error(samp_call *call, const samp_api_error *error)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&call->error_state, &none, 1)) return;
    call->error = *error;
    atomic_store(&call->error_state, 2);
}

bool samp__call_has_error(const samp_call *call) { return atomic_load(&call->error_state) == 2; }

static void fail_for_memory(samp_call *call)
{
    samp_api_error error;
    samp_api_fail(&error, 503, NULL, NULL, "out of memory for the answer");
    samp__call_set_error(call, &error);
}

void samp__call_close_one(samp_call *call)
{
    if (atomic_fetch_sub(&call->n_open, 1) != 1) return;
    samp__observe_call(call->server, call);
    for (uint32_t i = 0; i < call->n_choices; i++)
        if (call->choices[i].failed) fail_for_memory(call);
    if (call->streaming) {
        end_stream(call);
        return;
    }
    samp_buffer body = {0};
    if (!samp__call_has_error(call)) {
        samp__answer_whole(call, &body);
        if (body.failed) fail_for_memory(call);
    }
    if (samp__call_has_error(call))
        samp__respond_error(call->exchange, &call->error);
    else
        samp_http_respond(call->exchange, 200, "application/json", body.data, body.length);
    samp_buffer_release(&body);
}

/* What the engine tells of a choice: tokens become text, text becomes chunks; stop strings end it.
 * All on the engine's thread. */
#include "base/utf8.h"
#include "serve/call.h"
#include "serve/server_internal.h"

#include <stdio.h>
#include <string.h>

/* Looks for stop strings in what was added, the echoed prompt left out; true when the choice is at
 * its end. */
static bool look_for_stops(samp_choice *choice)
{
    const samp_call *call = choice->call;
    const char *text = choice->text.data + choice->n_echo;
    size_t at, n = choice->text.length - choice->n_echo, from = choice->n_scan - choice->n_echo;
    int found = samp_stops_find(&call->stops, text, n, from, &at);
    if (found >= 0 && (size_t)found >= call->n_stop_strings) { /* a tool call begins */
        samp_stops strings = call->stops;
        if (!choice->calls_seen) choice->calls_at = choice->n_echo + at;
        choice->calls_seen = true;
        strings.n = call->n_stop_strings;
        found = samp_stops_find(&strings, text, n, from, &at);
    }
    choice->n_scan = choice->text.length;
    if (found < 0) return false;
    choice->stopped_by = found;
    choice->text.length =
        choice->n_echo + at + (call->request.include_stop ? call->stops.lengths[found] : 0);
    choice->text.data[choice->text.length] = '\0';
    return true;
}

static void send_new(samp_choice *choice)
{
    samp_call *call = choice->call;
    size_t shown = samp__choice_shown(choice);
    if (shown <= choice->n_shown) return;
    samp_buffer chunk = {0};
    samp__answer_chunk(choice, shown, false, &chunk);
    if (!chunk.failed) samp_http_sse_send(call->exchange, chunk.data, chunk.length);
    samp_buffer_release(&chunk);
    choice->n_shown = shown;
    choice->n_scored_shown = choice->n_scored;
}

static bool take_token(void *context, const samp_token_event *event)
{
    samp_choice *choice = context;
    samp_call *call = choice->call;
    const samp_tokenizer *tokenizer = call->server->tokenizer;
    samp_error ignored;
    samp__observe_token(call->server, choice);
    size_t before = choice->text.length;
    if (choice->ids.count == 0) choice->n_characters = samp_utf8_count(choice->text.data, before);
    if (!event->stops || (call->request.include_stop && !call->request.skip_special_tokens))
        samp_detokenize(tokenizer, &choice->detokenizer, event->token,
                        !call->request.skip_special_tokens, &choice->text);
    choice->failed = choice->text.failed ||
                     samp_tokens_push(&choice->ids, event->token, &ignored) != SAMP_OK ||
                     (event->logprob && !event->stops &&
                      !samp__choice_keep_scored(choice, event, choice->n_characters));
    if (choice->failed) return false;
    if (choice->text.length > before)
        choice->n_characters +=
            samp_utf8_count(choice->text.data + before, choice->text.length - before);
    bool stop = choice->text.length > before && call->stops.n && look_for_stops(choice);
    if (call->streaming && !stop && !event->stops) send_new(choice);
    return !stop;
}

static void take_prompt(void *context, const samp_token_event *event)
{
    samp_choice *choice = context;
    const samp_call *call = choice->call;
    samp_buffer piece = {0};
    if (call->request.prompt_logprobs >= 0 && !samp__choice_keep_prompt(choice, event))
        choice->failed = true;
    if (!call->request.echo || call->request.logprobs < 0) return;
    if (!samp__choice_keep_scored(choice, event, choice->n_characters)) choice->failed = true;
    samp_detokenize(call->server->tokenizer, &choice->echoed, event->token,
                    !call->request.skip_special_tokens, &piece);
    choice->n_characters += samp_utf8_count(piece.data, piece.length);
    samp_buffer_release(&piece);
}

/* What the engine could not do, or was told to stop, fails the whole call. */
static void take_error(samp_call *call, const samp_end *end)
{
    samp_api_error error;
    samp_error detail = {.status = end->status};
    snprintf(detail.message, sizeof detail.message, "%s", end->message);
    if (end->finish == SAMP_FINISH_ERROR)
        samp_api_error_from(&error, NULL, &detail);
    else
        samp_api_fail(&error, 503, NULL, "aborted", "the server stopped before the end");
    samp__call_set_error(call, &error);
}

static void take_end(void *context, const samp_end *end)
{
    samp_choice *choice = context;
    samp_call *call = choice->call;
    choice->end = *end;
    choice->end.message = NULL;
    choice->ended = true;
    if (choice->stopped_by < 0) samp_detokenize_end(&choice->detokenizer, &choice->text);
    choice->failed = choice->failed || choice->text.failed;
    if (end->finish == SAMP_FINISH_ERROR || end->finish == SAMP_FINISH_ABORT) take_error(call, end);
    if (call->streaming && !choice->failed && !samp__call_has_error(call)) {
        samp_buffer chunk = {0};
        samp__answer_chunk(choice, choice->text.length, true, &chunk);
        if (!chunk.failed) samp_http_sse_send(call->exchange, chunk.data, chunk.length);
        samp_buffer_release(&chunk);
    }
    samp__observe_end(call->server, choice);
    samp__call_close_one(call);
    samp_call_release(call);
}

samp_sink samp__choice_sink(samp_choice *choice)
{
    return (samp_sink){
        .token = take_token, .prompt = take_prompt, .end = take_end, .context = choice};
}

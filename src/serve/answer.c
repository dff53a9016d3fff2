/* The JSON of answers: whole ones, and chunks of a stream. */
#include "serve/call.h"
#include "serve/server_internal.h"

#include <stdlib.h>
#include <string.h>

const char *samp__choice_finish(const samp_choice *choice)
{
    if (choice->failed) return "error";
    return samp_finish_name(choice->end.finish);
}

size_t samp__choice_shown(const samp_choice *choice)
{
    const samp_call *call = choice->call;
    const char *text = choice->text.data ? choice->text.data : "";
    size_t n = choice->text.length;
    if (choice->calls_seen) return choice->calls_at;
    if (call->request.tools && !*samp_tool_opening(call->tool_style)) {
        size_t space = strspn(text, " \t\r\n");
        if (space >= n || text[space] == '{') return choice->n_shown;
    }
    return n - samp_stops_held(&call->stops, text + choice->n_echo, n - choice->n_echo);
}

/* What every object of an answer begins with. */
static void write_head(const samp_call *call, bool chunk, samp_buffer *out)
{
    const char *object =
        call->chat ? chunk ? "chat.completion.chunk" : "chat.completion" : "text_completion";
    samp_buffer_printf(out,
                       "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", call->id,
                       object, (long long)call->created);
    const char *model = call->server->model_name;
    samp_json_write_string(out, model, strlen(model));
    samp_buffer_printf(out, ",\"system_fingerprint\":\"%s\"", call->server->fingerprint);
}

static void write_usage(const samp_call *call, samp_buffer *out)
{
    uint64_t prompt = 0, generated = 0, cached = 0;
    for (uint32_t i = 0; i < call->n_prompts; i++) prompt += call->prompts[i].count;
    for (uint32_t i = 0; i < call->n_choices; i++) {
        const samp_choice *choice = &call->choices[i];
        generated += choice->ended ? choice->end.n_generated : choice->ids.count;
        if (choice->index % call->request.n == 0) cached += choice->end.n_cached;
    }
    samp_buffer_printf(out,
                       "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
                       "\"prompt_tokens_details\":{\"cached_tokens\":%llu}}",
                       (unsigned long long)prompt, (unsigned long long)generated,
                       (unsigned long long)(prompt + generated), (unsigned long long)cached);
}

static void write_ids(const samp_tokens *tokens, samp_buffer *out)
{
    samp_buffer_text(out, "[");
    for (size_t i = 0; i < tokens->count; i++)
        samp_buffer_printf(out, i ? ",%d" : "%d", (int)tokens->ids[i]);
    samp_buffer_text(out, "]");
}

/* finish_reason and what vLLM adds to it. */
static void write_finish(const samp_choice *choice, const char *finish, samp_buffer *out)
{
    samp_buffer_printf(out, ",\"finish_reason\":\"%s\",\"stop_reason\":", finish);
    if (choice->stopped_by >= 0) {
        const char *stop = choice->call->stops.strings[choice->stopped_by];
        samp_json_write_string(out, stop, strlen(stop));
    } else if (choice->end.stop_token >= 0)
        samp_buffer_printf(out, "%d", (int)choice->end.stop_token);
    else
        samp_buffer_text(out, "null");
}

/* [{"id", "type", "function": {"name", "arguments": "…"}}], with an index in chunks. */
static void write_calls(const samp_choice *choice, const json_t *calls, bool chunk,
                        samp_buffer *out)
{
    size_t i;
    json_t *call;
    samp_buffer_text(out, "\"tool_calls\":[");
    json_array_foreach((json_t *)calls, i, call)
    {
        const char *name = json_string_value(json_object_get(call, "name"));
        char *arguments = json_dumps(json_object_get(call, "arguments"), JSON_COMPACT);
        samp_buffer_text(out, i ? ",{" : "{");
        if (chunk) samp_buffer_printf(out, "\"index\":%zu,", i);
        samp_buffer_printf(out, "\"id\":\"call_%s_%u_%zu\",\"type\":\"function\",\"function\":",
                           choice->call->id + strlen("chatcmpl-"), choice->index, i);
        samp_buffer_text(out, "{\"name\":");
        samp_json_write_string(out, name, strlen(name));
        samp_buffer_text(out, ",\"arguments\":");
        if (arguments)
            samp_json_write_string(out, arguments, strlen(arguments));
        else
            out->failed = true;
        samp_buffer_text(out, "}}");
        free(arguments);
    }
    samp_buffer_text(out, "]");
}

static void read_calls(const samp_choice *choice, samp_tool_calls *calls)
{
    const samp_call *call = choice->call;
    *calls = (samp_tool_calls){.n_content = choice->text.length};
    if (call->chat && call->request.tools && choice->text.length)
        samp_tool_calls_read(call->tool_style, call->request.tools, choice->text.data,
                             choice->text.length, calls);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void write_chunk_end(const samp_call *call, samp_buffer *out)
{
    if (call->request.continuous_usage) {
        samp_buffer_text(out, ",\"usage\":");
        write_usage(call, out);
    } else if (call->request.include_usage)
        samp_buffer_text(out, ",\"usage\":null");
    samp_buffer_text(out, "}");
}

void samp__answer_role(const samp_choice *choice, samp_buffer *out)
{
    write_head(choice->call, true, out);
    samp_buffer_printf(out,
                       ",\"choices\":[{\"index\":%u,\"delta\":{\"role\":\"assistant\","
                       "\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]",
                       choice->index);
    write_chunk_end(choice->call, out);
}

void samp__answer_chunk(const samp_choice *choice, size_t shown, bool last, samp_buffer *out)
{
    const samp_call *call = choice->call;
    const char *text = choice->text.data ? choice->text.data : "";
    const char *finish = samp__choice_finish(choice);
    samp_tool_calls calls = {0};
    if (last) {
        read_calls(choice, &calls);
        shown = calls.n_content > choice->n_shown ? calls.n_content : choice->n_shown;
    }
    write_head(call, true, out);
    samp_buffer_printf(out, ",\"choices\":[{\"index\":%u,", choice->index);
    samp_buffer_text(out, call->chat ? "\"delta\":{" : "\"text\":");
    size_t n = shown - choice->n_shown;
    if (!call->chat || n || !last) {
        if (call->chat) samp_buffer_text(out, "\"content\":");
        samp_json_write_string(out, text + choice->n_shown, n);
    }
    if (calls.calls) {
        if (call->chat && n) samp_buffer_text(out, ",");
        write_calls(choice, calls.calls, true, out);
        if (choice->end.finish == SAMP_FINISH_STOP) finish = "tool_calls";
    }
    if (call->chat) samp_buffer_text(out, "}");
    samp_buffer_text(out, ",\"logprobs\":");
    samp__write_logprobs(choice, choice->n_scored_shown, out);
    if (last)
        write_finish(choice, finish, out);
    else
        samp_buffer_text(out, ",\"finish_reason\":null");
    if (call->request.return_token_ids && last) {
        samp_buffer_text(out, ",\"token_ids\":");
        write_ids(&choice->ids, out);
    }
    samp_buffer_text(out, "}]");
    write_chunk_end(call, out);
    json_decref(calls.calls);
}

void samp__answer_usage_chunk(const samp_call *call, samp_buffer *out)
{
    write_head(call, true, out);
    samp_buffer_text(out, ",\"choices\":[],\"usage\":");
    write_usage(call, out);
    samp_buffer_text(out, "}");
}

/* ---- whole answers --------------------------------------------------------------------------- */

static void write_message(const samp_choice *choice, const samp_tool_calls *calls, samp_buffer *out)
{
    const char *text = choice->text.data ? choice->text.data : "";
    samp_buffer_text(out, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (calls->calls && calls->n_content == 0)
        samp_buffer_text(out, "null");
    else
        samp_json_write_string(out, text, calls->n_content);
    samp_buffer_text(out, ",\"refusal\":null");
    if (calls->calls) {
        samp_buffer_text(out, ",");
        write_calls(choice, calls->calls, false, out);
    }
    samp_buffer_text(out, "}");
}

static void write_choice(const samp_choice *choice, samp_buffer *out)
{
    const samp_call *call = choice->call;
    const char *finish = samp__choice_finish(choice);
    samp_tool_calls calls;
    read_calls(choice, &calls);
    samp_buffer_printf(out, "{\"index\":%u,", choice->index);
    if (call->chat)
        write_message(choice, &calls, out);
    else {
        samp_buffer_text(out, "\"text\":");
        samp_json_write_string(out, choice->text.data ? choice->text.data : "",
                               choice->text.length);
    }
    samp_buffer_text(out, ",\"logprobs\":");
    samp__write_logprobs(choice, 0, out);
    if (calls.calls && choice->end.finish == SAMP_FINISH_STOP) finish = "tool_calls";
    write_finish(choice, finish, out);
    if (call->request.return_token_ids) {
        samp_buffer_text(out, ",\"token_ids\":");
        write_ids(&choice->ids, out);
        if (!call->chat) {
            samp_buffer_text(out, ",\"prompt_token_ids\":");
            write_ids(&call->prompts[choice->prompt], out);
        }
    }
    if (call->request.prompt_logprobs >= 0 && !call->chat) {
        samp_buffer_text(out, ",\"prompt_logprobs\":");
        samp__write_prompt_logprobs(choice, out);
    }
    samp_buffer_text(out, "}");
    json_decref(calls.calls);
}

void samp__answer_whole(const samp_call *call, samp_buffer *out)
{
    write_head(call, false, out);
    samp_buffer_text(out, ",\"choices\":[");
    for (uint32_t i = 0; i < call->n_choices; i++) {
        if (i) samp_buffer_text(out, ",");
        write_choice(&call->choices[i], out);
    }
    samp_buffer_text(out, "],\"usage\":");
    write_usage(call, out);
    if (call->chat && call->request.return_token_ids) {
        samp_buffer_text(out, ",\"prompt_token_ids\":");
        write_ids(&call->prompts[0], out);
    }
    if (call->chat && call->request.prompt_logprobs >= 0) {
        samp_buffer_text(out, ",\"prompt_logprobs\":");
        samp__write_prompt_logprobs(&call->choices[0], out);
    }
    samp_buffer_text(out, "}");
}

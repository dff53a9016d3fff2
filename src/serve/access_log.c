/* The log's lines. */
#include "serve/access_log.h"

#include "base/memory.h"
#include "serve/call.h"
#include "serve/line_writer.h"
#include "serve/server_internal.h"

#include <string.h>
#include <time.h>

struct samp_access_log {
    samp_line_writer *writer;
    bool texts;
};

samp_status samp_access_log_open(samp_access_log **out, const char *path, bool texts,
                                 samp_error *error)
{
    samp_access_log *log = samp_alloc(1, sizeof *log);
    if (!log) return samp_fail(error, SAMP_NOMEM, "out of memory for the log");
    log->texts = texts;
    samp_status status = samp_line_writer_open(&log->writer, path, error);
    if (status == SAMP_OK)
        *out = log;
    else
        samp_free(log);
    return status;
}

void samp_access_log_close(samp_access_log *log)
{
    if (!log) return;
    samp_line_writer_close(log->writer);
    samp_free(log);
}

void samp_access_log_reopen(samp_access_log *log)
{
    if (log) samp_line_writer_reopen(log->writer);
}

uint64_t samp_access_log_lost(const samp_access_log *log)
{
    return log ? samp_line_writer_lost(log->writer) : 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void put_line(samp_access_log *log, samp_buffer *line)
{
    samp_buffer_text(line, "}");
    samp_line_writer_put(log->writer, line);
    samp_buffer_release(line);
}

static void write_time(samp_buffer *line)
{
    struct timespec now;
    struct tm utc;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    samp_buffer_printf(line, "{\"ts\":\"%s.%06ldZ\"", text, now.tv_nsec / 1000);
}

static void member(samp_buffer *line, const char *key, const char *text)
{
    samp_buffer_printf(line, ",\"%s\":", key);
    samp_json_write_string(line, text, strlen(text));
}

static void member_ms(samp_buffer *line, const char *key, double from, double to)
{
    if (from > 0 && to >= from)
        samp_buffer_printf(line, ",\"%s\":%.3f", key, (to - from) * 1e3);
    else
        samp_buffer_printf(line, ",\"%s\":null", key);
}

/* Tokens and times, over all choices; finish_reason is the first one's. */
static void write_tokens(const samp_call *call, samp_buffer *line)
{
    uint64_t prompt = 0, generated = 0, cached = 0;
    double arrived = 0, scheduled = 0, first_token = 0;
    for (uint32_t i = 0; i < call->n_prompts; i++) prompt += call->prompts[i].count;
    for (uint32_t i = 0; i < call->n_choices; i++) {
        const samp_end *end = &call->choices[i].end;
        generated += end->n_generated;
        cached += end->n_cached;
        if (i == 0 || (end->first_token > 0 && end->first_token < first_token))
            first_token = end->first_token;
        if (i == 0) {
            arrived = end->arrived;
            scheduled = end->scheduled;
        }
    }
    samp_buffer_printf(
        line, ",\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"cached_tokens\":%llu",
        (unsigned long long)prompt, (unsigned long long)generated, (unsigned long long)cached);
    member_ms(line, "queue_ms", arrived, scheduled);
    member_ms(line, "ttft_ms", arrived, first_token);
    if (call->n_choices && call->choices[0].ended)
        member(line, "finish_reason", samp__choice_finish(&call->choices[0]));
    else
        samp_buffer_text(line, ",\"finish_reason\":null");
}

static void write_texts(const samp_call *call, samp_buffer *line)
{
    const samp_http_request *request = samp_http_exchange_request(call->exchange);
    samp_buffer_text(line, ",\"request\":");
    samp_json_write_string(line, request->body, request->body_length);
    samp_buffer_text(line, ",\"answers\":[");
    for (uint32_t i = 0; i < call->n_choices; i++) {
        const samp_buffer *text = &call->choices[i].text;
        if (i) samp_buffer_text(line, ",");
        samp_json_write_string(line, text->data ? text->data : "", text->length);
    }
    samp_buffer_text(line, "]");
}

void samp_access_log_call(samp_access_log *log, const samp_call *call)
{
    if (!log) return;
    samp_buffer line = {0};
    write_time(&line);
    samp_buffer_text(&line, ",\"level\":\"info\",\"msg\":\"request\"");
    member(&line, "request_id", call->request_id);
    member(&line, "trace_id", call->trace_id);
    member(&line, "route", call->chat ? "/v1/chat/completions" : "/v1/completions");
    samp_buffer_printf(&line, ",\"status\":%d", call->status);
    member(&line, "model", call->server->model_name);
    member(&line, "model_digest", call->server->fingerprint);
    member(&line, "quantization_level", call->server->quantization_level);
    samp_buffer_printf(&line, ",\"latency_ms\":%.3f", call->seconds * 1e3);
    write_tokens(call, &line);
    samp_buffer_printf(&line, ",\"stream\":%s,\"cancelled\":%s",
                       call->request.stream ? "true" : "false", call->complete ? "false" : "true");
    if (samp__call_has_error(call)) member(&line, "error", call->error.message);
    if (log->texts) write_texts(call, &line);
    put_line(log, &line);
}

void samp_access_log_exchange(samp_access_log *log, const samp_http_outcome *outcome)
{
    if (!log) return;
    samp_buffer line = {0};
    write_time(&line);
    samp_buffer_text(&line, ",\"level\":\"info\",\"msg\":\"http\"");
    member(&line, "method", outcome->method);
    member(&line, "route", outcome->path);
    samp_buffer_printf(&line, ",\"status\":%d,\"latency_ms\":%.3f", outcome->status,
                       outcome->seconds * 1e3);
    if (outcome->reason[0]) member(&line, "reason", outcome->reason);
    put_line(log, &line);
}

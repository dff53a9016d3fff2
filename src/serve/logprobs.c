/* Log-probabilities as the two APIs write them, and vLLM's of the prompt. */
#include "base/memory.h"
#include "base/utf8.h"
#include "serve/call.h"
#include "serve/server_internal.h"

#include <math.h>
#include <string.h>

/* ---- keeping --------------------------------------------------------------------------------- */

/* One more element in a growing array; NULL when out of memory. */
static void *grow(void **array, size_t n, size_t *capacity, size_t size)
{
    if (n == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 32;
        void *larger = samp_realloc(*array, more, size);
        if (!larger) return NULL;
        *array = larger;
        *capacity = more;
    }
    return (char *)*array + n * size;
}

static bool keep(samp_choice *choice, samp_scored **list, size_t *n, size_t *capacity,
                 const samp_token_event *event, size_t text_at)
{
    samp_scored *scored = grow((void **)list, *n, capacity, sizeof **list);
    if (!scored) return false;
    *scored = (samp_scored){.token = {.token = event->token},
                            .has_logprob = event->logprob != NULL,
                            .n_top = event->n_top,
                            .first_top = choice->n_alternatives,
                            .text_at = text_at};
    if (event->logprob) scored->token = *event->logprob;
    for (uint32_t i = 0; i < event->n_top; i++) {
        samp_logprob *top = grow((void **)&choice->alternatives, choice->n_alternatives,
                                 &choice->alternatives_capacity, sizeof *top);
        if (!top) return false;
        *top = event->top[i];
        choice->n_alternatives++;
    }
    ++*n;
    return true;
}

bool samp__choice_keep_scored(samp_choice *choice, const samp_token_event *event, size_t text_at)
{
    return keep(choice, &choice->scored, &choice->n_scored, &choice->scored_capacity, event,
                text_at);
}

bool samp__choice_keep_prompt(samp_choice *choice, const samp_token_event *event)
{
    return keep(choice, &choice->prompt_scored, &choice->n_prompt_scored,
                &choice->prompt_scored_capacity, event, 0);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* JSON has no infinity: what has no probability at all is written as vLLM does. */
static void write_logprob(samp_buffer *out, double logprob)
{
    samp_metrics_write_number(out, isfinite(logprob) ? logprob : -9999.0);
}

/* A token's text as a JSON string; bytes that are no text alone as OpenAI does:
 * "bytes:\xe2\x80". */
static void write_token(const samp_choice *choice, int32_t token, samp_buffer *out)
{
    const char *bytes;
    size_t n;
    samp_tokenizer_bytes(choice->call->server->tokenizer, token, true, &bytes, &n);
    if (samp_utf8_valid(bytes, n)) {
        samp_json_write_string(out, bytes, n);
        return;
    }
    samp_buffer_text(out, "\"bytes:");
    for (size_t i = 0; i < n; i++) samp_buffer_printf(out, "\\\\x%02x", (unsigned char)bytes[i]);
    samp_buffer_text(out, "\"");
}

static void write_bytes(const samp_choice *choice, int32_t token, samp_buffer *out)
{
    const char *bytes;
    size_t n;
    samp_tokenizer_bytes(choice->call->server->tokenizer, token, true, &bytes, &n);
    samp_buffer_text(out, "[");
    for (size_t i = 0; i < n; i++)
        samp_buffer_printf(out, i ? ",%u" : "%u", (unsigned char)bytes[i]);
    samp_buffer_text(out, "]");
}

static const samp_logprob *top_of(const samp_choice *choice, const samp_scored *scored, uint32_t i)
{
    return &choice->alternatives[scored->first_top + i];
}

static void write_chat_token(const samp_choice *choice, const samp_logprob *logprob,
                             samp_buffer *out)
{
    samp_buffer_text(out, "{\"token\":");
    write_token(choice, logprob->token, out);
    samp_buffer_text(out, ",\"logprob\":");
    write_logprob(out, logprob->logprob);
    samp_buffer_text(out, ",\"bytes\":");
    write_bytes(choice, logprob->token, out);
}

static void write_chat(const samp_choice *choice, size_t first, samp_buffer *out)
{
    samp_buffer_text(out, "{\"content\":[");
    for (size_t i = first; i < choice->n_scored; i++) {
        const samp_scored *scored = &choice->scored[i];
        if (i > first) samp_buffer_text(out, ",");
        write_chat_token(choice, &scored->token, out);
        samp_buffer_text(out, ",\"top_logprobs\":[");
        for (uint32_t k = 0; k < scored->n_top; k++) {
            if (k) samp_buffer_text(out, ",");
            write_chat_token(choice, top_of(choice, scored, k), out);
            samp_buffer_text(out, "}");
        }
        samp_buffer_text(out, "]}");
    }
    samp_buffer_text(out, "],\"refusal\":null}");
}

static void write_top_object(const samp_choice *choice, const samp_scored *scored, samp_buffer *out)
{
    bool has_own = false;
    samp_buffer_text(out, "{");
    for (uint32_t k = 0; k < scored->n_top; k++) {
        const samp_logprob *top = top_of(choice, scored, k);
        has_own = has_own || top->token == scored->token.token;
        if (k) samp_buffer_text(out, ",");
        write_token(choice, top->token, out);
        samp_buffer_text(out, ":");
        write_logprob(out, top->logprob);
    }
    if (!has_own) { /* the token itself is always there, as OpenAI has it */
        if (scored->n_top) samp_buffer_text(out, ",");
        write_token(choice, scored->token.token, out);
        samp_buffer_text(out, ":");
        write_logprob(out, scored->token.logprob);
    }
    samp_buffer_text(out, "}");
}

/* OpenAI's older form: four arrays side by side. */
static void write_completion(const samp_choice *choice, size_t first, samp_buffer *out)
{
    samp_buffer_text(out, "{\"text_offset\":[");
    for (size_t i = first; i < choice->n_scored; i++)
        samp_buffer_printf(out, i > first ? ",%zu" : "%zu", choice->scored[i].text_at);
    samp_buffer_text(out, "],\"token_logprobs\":[");
    for (size_t i = first; i < choice->n_scored; i++) {
        if (i > first) samp_buffer_text(out, ",");
        if (choice->scored[i].has_logprob)
            write_logprob(out, choice->scored[i].token.logprob);
        else
            samp_buffer_text(out, "null");
    }
    samp_buffer_text(out, "],\"tokens\":[");
    for (size_t i = first; i < choice->n_scored; i++) {
        if (i > first) samp_buffer_text(out, ",");
        write_token(choice, choice->scored[i].token.token, out);
    }
    samp_buffer_text(out, "],\"top_logprobs\":[");
    for (size_t i = first; i < choice->n_scored; i++) {
        if (i > first) samp_buffer_text(out, ",");
        if (choice->scored[i].has_logprob)
            write_top_object(choice, &choice->scored[i], out);
        else
            samp_buffer_text(out, "null");
    }
    samp_buffer_text(out, "]}");
}

void samp__write_logprobs(const samp_choice *choice, size_t first, samp_buffer *out)
{
    if (choice->call->request.logprobs < 0)
        samp_buffer_text(out, "null");
    else if (choice->call->chat)
        write_chat(choice, first, out);
    else
        write_completion(choice, first, out);
}

static void write_ranked(const samp_choice *choice, const samp_logprob *logprob, samp_buffer *out)
{
    samp_buffer_printf(out, "\"%d\":{\"logprob\":", (int)logprob->token);
    write_logprob(out, logprob->logprob);
    samp_buffer_printf(out, ",\"rank\":%u,\"decoded_token\":", logprob->rank);
    write_token(choice, logprob->token, out);
    samp_buffer_text(out, "}");
}

void samp__write_prompt_logprobs(const samp_choice *choice, samp_buffer *out)
{
    samp_buffer_text(out, "[");
    for (size_t i = 0; i < choice->n_prompt_scored; i++) {
        const samp_scored *scored = &choice->prompt_scored[i];
        if (i) samp_buffer_text(out, ",");
        if (!scored->has_logprob) {
            samp_buffer_text(out, "null");
            continue;
        }
        samp_buffer_text(out, "{");
        write_ranked(choice, &scored->token, out);
        for (uint32_t k = 0; k < scored->n_top; k++) {
            const samp_logprob *top = top_of(choice, scored, k);
            if (top->token == scored->token.token) continue;
            samp_buffer_text(out, ",");
            write_ranked(choice, top, out);
        }
        samp_buffer_text(out, "}");
    }
    samp_buffer_text(out, "]");
}

/* A call: one request to /v1/chat/completions or /v1/completions and its answer, from the moment
 * its body was read until nobody holds it any more.
 *
 * Threads: the loop thread makes a call and learns when its client left; the preparing thread
 * parses, renders and tokenizes; the engine's thread brings tokens. Each choice (n of each prompt)
 * belongs to the engine's thread from its submission to its end; the whole answer is written by
 * whoever ends the last choice. References keep the call: one for the exchange's end, one for the
 * preparing thread, one for each choice the engine has. */
#ifndef SAMP_SERVE_CALL_H
#define SAMP_SERVE_CALL_H

#include "constrain/constrain.h"
#include "engine/engine.h"
#include "http/server.h"
#include "model/tokenizer.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/stop.h"
#include "serve/tools.h"

#include <stdatomic.h>

enum { SAMP_ID_MAX = 136 };

/* Log-probabilities of one token, with the alternatives [n_top] that were asked for. */
typedef struct samp_scored {
    samp_logprob token;
    bool has_logprob; /* false for the first token of a prompt */
    uint32_t n_top;
    size_t first_top; /* in the choice's `alternatives` */
    size_t text_at;   /* characters of text before it */
} samp_scored;

typedef struct samp_choice {
    struct samp_call *call;
    uint32_t index;  /* in the answer's `choices` */
    uint32_t prompt; /* which prompt it answers */
    _Atomic uint64_t engine_id;

    samp_detokenizer detokenizer;
    samp_detokenizer echoed; /* counts the characters of the echoed prompt's tokens */
    samp_buffer text;        /* all that was generated, the echoed prompt before it */
    size_t n_echo;           /* bytes of text that are the prompt */
    size_t n_shown;          /* bytes already sent on the stream */
    size_t n_scan;           /* text before it holds no stop string */
    size_t n_characters;     /* of text: code points, where the next token begins */
    bool calls_seen;         /* a tool call began at calls_at: the rest is kept for the end */
    size_t calls_at;
    int stopped_by;      /* number of the stop string, -1 none */
    samp_tokens ids;     /* generated */
    samp_scored *scored; /* [n_scored]: prompt tokens first when echoed, then generated ones */
    size_t n_scored, scored_capacity, n_scored_shown;
    samp_scored *prompt_scored; /* [n_prompt_scored] for prompt_logprobs */
    size_t n_prompt_scored, prompt_scored_capacity;
    samp_logprob *alternatives;
    size_t n_alternatives, alternatives_capacity;
    samp_constrainer *constrainer; /* NULL = free */
    double last_token;             /* samp_clock() of the last one, 0 before */
    samp_end end;                  /* its message is not kept */
    bool ended, failed;            /* failed: memory ran out for its text */
} samp_choice;

typedef struct samp_call {
    _Atomic uint32_t references;
    samp_server *server;
    samp_http_exchange *exchange;
    bool chat;
    samp_api_request request;
    samp_stops stops; /* the request's, and after n_stop_strings what begins a tool call */
    size_t n_stop_strings;
    char id[SAMP_ID_MAX];         /* "chatcmpl-…" */
    char request_id[SAMP_ID_MAX]; /* X-Request-Id, theirs or made */
    char trace_id[33];            /* of traceparent, or "" */
    int64_t created;              /* seconds since 1970 */
    samp_tokens *prompts;         /* [n_prompts] */
    uint32_t n_prompts;
    samp_choice *choices; /* [n_choices] */
    uint32_t n_choices;
    samp_tool_style tool_style;

    _Atomic uint32_t n_open; /* choices that have not ended, and one while they are submitted */
    _Atomic uint32_t n_submitted; /* choices whose engine_id is set */
    _Atomic bool cancelled;       /* the client left */
    bool streaming;
    _Atomic int error_state; /* 0 none, 1 being written, 2 `error` holds it */
    samp_api_error error;
    /* For the log, set when the exchange ended. */
    int status;
    double seconds;
    bool complete;
} samp_call;

/* A call of the exchange, which it retains; NULL when out of memory. One reference: the caller's. */
samp_call *samp_call_create(samp_server *server, samp_http_exchange *exchange, bool chat);
samp_call *samp_call_retain(samp_call *call);
void samp_call_release(samp_call *call);

/* On the preparing thread: parses the body, makes tokens and gives the choices to the engine; or
 * answers with an error. */
void samp_call_start(samp_call *call);
/* Any thread: the client left; its choices end. */
void samp_call_cancel(samp_call *call);

/* Fills call->prompts from the request (prompts.c). */
samp_status samp__call_read_prompts(samp_call *call, samp_api_error *error);
/* What a choice may generate: its constrainer, when the request asks for JSON or a tool call. */
samp_status samp__call_constrain(const samp_call *call, samp_constrainer **out,
                                 samp_api_error *error);
/* The engine's thread (sink.c): what a choice's request calls. */
samp_sink samp__choice_sink(samp_choice *choice);
/* The first error of a call is the one it answers with; any thread. */
void samp__call_set_error(samp_call *call, const samp_api_error *error);
bool samp__call_has_error(const samp_call *call);
/* One choice less is open; the last one completes the answer. */
void samp__call_close_one(samp_call *call);

/* ---- the answer's JSON (answer.c): what a choice has that was not sent yet, and the whole ---- */

/* Text that may be shown now: what could become a stop string or a tool call is held back. */
size_t samp__choice_shown(const samp_choice *choice);
void samp__answer_chunk(const samp_choice *choice, size_t shown, bool last, samp_buffer *out);
/* The first chunk of a chat's choice, with its role; the one with usage alone. */
void samp__answer_role(const samp_choice *choice, samp_buffer *out);
void samp__answer_usage_chunk(const samp_call *call, samp_buffer *out);
void samp__answer_whole(const samp_call *call, samp_buffer *out);
/* "stop", "length", "tool_calls", "abort", "error". */
const char *samp__choice_finish(const samp_choice *choice);

/* Log-probabilities of scored[first … n_scored) in the API's form, or "null" (logprobs.c). */
void samp__write_logprobs(const samp_choice *choice, size_t first, samp_buffer *out);
/* vLLM's prompt_logprobs. */
void samp__write_prompt_logprobs(const samp_choice *choice, samp_buffer *out);
/* Keeps an event's log-probabilities; false when out of memory. */
bool samp__choice_keep_scored(samp_choice *choice, const samp_token_event *event, size_t text_at);
bool samp__choice_keep_prompt(samp_choice *choice, const samp_token_event *event);

#endif

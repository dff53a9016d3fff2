/* Load on an OpenAI-compatible server, and what it took: the client side of `samp bench URL`.
 *
 * What is counted is what a user meets. Latency counts from the moment a request was due (open
 * loop), not from when the client got round to it; tokens are counted by the server's usage, not by
 * chunks; an answer is a success only with status 200, no error event, a finish_reason, tokens, and
 * [DONE]. Two servers are compared by sending each request to one of them in random order, so that
 * the drift of the machine falls on both.
 *
 * One thread on libevent; nothing is shared with the server's own code but base. */
#ifndef SAMP_BENCH_LOAD_H
#define SAMP_BENCH_LOAD_H

#include "base/clock.h"
#include "base/buffer.h"
#include "base/json.h"

enum { SAMP_LOAD_ARMS = 2, SAMP_LOAD_REQUESTS_MAX = 1000000 };

typedef enum samp_load_arrivals {
    SAMP_LOAD_CLOSED,  /* `concurrency` requests at any moment */
    SAMP_LOAD_POISSON, /* `rate` a second, however the server does */
    SAMP_LOAD_CONSTANT
} samp_load_arrivals;

typedef struct samp_load_options {
    const char *urls[SAMP_LOAD_ARMS]; /* "http://127.0.0.1:8000"; the second NULL = one server */
    const char *model;                /* NULL = the first of /v1/models */
    const char *api_key;              /* NULL = none */
    samp_load_arrivals arrivals;
    uint32_t concurrency;   /* closed loop: requests at any moment, of all servers together */
    double rate;            /* requests a second to each server */
    uint32_t n_requests;    /* to each server */
    uint32_t n_warmup;      /* before them, not counted; closed loop: below the concurrency, first
                               tokens of the others wait for connections made all at once */
    uint32_t input_words;   /* of a prompt, random and unlike any other */
    uint32_t shared_words;  /* that every prompt begins with */
    uint32_t output_tokens; /* exactly, by ignore_eos and min_tokens, unless free_length */
    bool free_length, chat; /* chat: /v1/chat/completions instead of /v1/completions */
    double temperature;
    double timeout_s; /* of a request */
    uint64_t seed;
    samp_progress progress; /* "requests" */
} samp_load_options;

/* Why a request failed. */
#define SAMP_LOAD_OUTCOME_LIST(X)                                                                  \
    X(SUCCESS, "success")                                                                          \
    X(CONNECT, "no connection")                                                                    \
    X(DESCRIPTORS, "no file descriptor was left on this side")                                     \
    X(STATUS, "HTTP status")                                                                       \
    X(MALFORMED, "malformed answer")                                                               \
    X(ERROR_EVENT, "error within the stream")                                                      \
    X(NO_FINISH, "no finish_reason")                                                               \
    X(NO_DONE, "no [DONE]")                                                                        \
    X(NO_TOKENS, "no tokens")                                                                      \
    X(CUT, "connection cut")                                                                       \
    X(TIMEOUT, "timeout")

typedef enum samp_load_outcome {
#define X(id, text) SAMP_LOAD_##id,
    SAMP_LOAD_OUTCOME_LIST(X)
#undef X
        SAMP_LOAD_OUTCOMES
} samp_load_outcome;

const char *samp_load_outcome_text(samp_load_outcome outcome);

/* One request. Times are samp_clock(); 0 = did not happen. */
typedef struct samp_load_record {
    double due, sent, first_byte, first_token, last_token, end;
    uint32_t input_tokens, output_tokens; /* by usage; without it chunks are counted */
    uint32_t n_chunks;
    int status; /* HTTP */
    samp_load_outcome outcome;
    bool usage_seen;
} samp_load_record;

typedef struct samp_load_result {
    samp_load_record *records[SAMP_LOAD_ARMS]; /* [n_requests] of the options */
    float *gaps[SAMP_LOAD_ARMS];               /* seconds between chunks with text */
    size_t n_gaps[SAMP_LOAD_ARMS];
    double seconds;   /* of the counted part, all arms together */
    double lag_p99;   /* of it too: seconds a request was sent after it was due (open loop), or a
                         timer rang late */
    double cpu_share; /* of one core that this process used, which has one thread for all */
    char model[256];  /* that was asked for */
    double memory_bytes[SAMP_LOAD_ARMS]; /* resident, by the server's /metrics; 0 = not told */
} samp_load_result;

/* Fails only when nothing could be measured: a bad URL, no server, no memory. */
samp_status samp_load_run(const samp_load_options *options, samp_load_result *out,
                          samp_error *error);
void samp_load_result_release(samp_load_result *result);

/* ---- figures --------------------------------------------------------------------------------- */

/* What is measured of a request, in seconds: id, name in tables, vLLM's name. */
#define SAMP_LOAD_MEASURE_LIST(X)                                                                  \
    X(TTFT, "time to first token", "ttft")                                                         \
    X(TPOT, "time per output token", "tpot")                                                       \
    X(ITL, "between chunks", "itl")                                                                \
    X(E2E, "end to end", "e2el")

typedef enum samp_load_measure {
#define X(id, text, name) SAMP_LOAD_##id,
    SAMP_LOAD_MEASURE_LIST(X)
#undef X
        SAMP_LOAD_MEASURES
} samp_load_measure;

typedef struct samp_load_figure {
    size_t n;
    double mean, deviation;
    double p50, p90, p95, p99; /* NAN: too few; a percentile p needs 1/(1-p) requests */
} samp_load_figure;

typedef struct samp_load_summary {
    uint32_t n_requests, n_success, n_failed[SAMP_LOAD_OUTCOMES];
    double success_share;
    uint64_t input_tokens, output_tokens; /* of successes */
    double requests_per_s, output_tokens_per_s;
    samp_load_figure figures[SAMP_LOAD_MEASURES];
} samp_load_summary;

void samp_load_summarize(const samp_load_options *options, const samp_load_result *result, int arm,
                         samp_load_summary *out);
const char *samp_load_measure_text(samp_load_measure measure);
/* Ratio of the second arm's median to the first's, with a 95 % interval by bootstrap. */
void samp_load_ratio(const samp_load_options *options, const samp_load_result *result,
                     samp_load_measure measure, double *ratio, double *low, double *high);
/* The client was late by more than 10 ms, or its core was busy: figures tell of it too. */
bool samp_load_client_limits(const samp_load_result *result);
/* vLLM's field names ("mean_ttft_ms", "p99_itl_ms", "output_throughput"), and our own. */
json_t *samp_load_json(const samp_load_options *options, const samp_load_result *result);

/* "ttft_p99<250ms,success>=99.9%,output_tok_s>100": checks all, appends a line for each to text;
 * *met is false when one is missed. SAMP_INVALID names what cannot be read. */
samp_status samp_load_slo(const char *slo, const samp_load_summary *summary, samp_buffer *text,
                          bool *met, samp_error *error);

#endif

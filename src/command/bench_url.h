/* samp bench URL: load on a server, and what it took, for people. */
#ifndef SAMP_COMMAND_BENCH_URL_H
#define SAMP_COMMAND_BENCH_URL_H

#include "command/command.h"

/* Embedded in the options of samp bench. */
typedef struct samp_bench_url_options {
    const char *against, *model, *api_key, *arrivals, *slo;
    int64_t concurrency, requests, warmup, input, shared, output, seed;
    double rate, timeout, temperature;
    bool chat, free_length;
} samp_bench_url_options;

#define SAMP_BENCH_URL_OPTIONS(type, member)                                                       \
    SAMP_OPTION(type, TEXT, member.against, "against", 0, "URL",                                   \
                .help = "a second server; requests go to either in random order"),                 \
        SAMP_OPTION(type, INTEGER, member.concurrency, "concurrency", 'c', "N", .initial = "8",    \
                    .min = 1, .max = 10000, .help = "requests at any moment"),                     \
        SAMP_OPTION(type, NUMBER, member.rate, "rate", 0, "X", .initial = "0", .max = 1e6,         \
                    .help = "requests a second, however the server does (open loop)"),             \
        SAMP_OPTION(type, CHOICE, member.arrivals, "arrivals", 0, "HOW", .initial = "poisson",     \
                    .choices = "poisson|constant", .help = "of them with --rate"),                 \
        SAMP_OPTION(type, INTEGER, member.requests, "requests", 0, "N", .initial = "100",          \
                    .min = 1, .max = 1000000, .help = "to each server; p99 needs 100"),            \
        SAMP_OPTION(type, INTEGER, member.warmup, "warmup", 0, "N", .initial = "-1", .min = -1,    \
                    .max = 100000,                                                                 \
                    .help = "requests before them that are not counted; -1 = as many as at once, " \
                            "8 with --rate"),                                                      \
        SAMP_OPTION(type, INTEGER, member.input, "input-words", 0, "N", .initial = "64", .min = 1, \
                    .max = 100000, .help = "words of a prompt, unlike any other's"),               \
        SAMP_OPTION(type, INTEGER, member.shared, "shared-words", 0, "N", .initial = "0",          \
                    .max = 100000, .help = "words every prompt begins with"),                      \
        SAMP_OPTION(type, INTEGER, member.output, "output-tokens", 0, "N", .initial = "64",        \
                    .min = 1, .max = 100000, .help = "tokens of an answer"),                       \
        SAMP_OPTION(type, FLAG, member.free_length, "free-length", 0, NULL,                        \
                    .help = "let answers end before (no ignore_eos, no min_tokens)"),              \
        SAMP_OPTION(type, FLAG, member.chat, "chat", 0, NULL,                                      \
                    .help = "/v1/chat/completions instead of /v1/completions"),                    \
        SAMP_OPTION(type, NUMBER, member.temperature, "temperature", 0, "X", .initial = "0",       \
                    .max = 2, .help = "of the requests"),                                          \
        SAMP_OPTION(type, TEXT, member.model, "model", 0, "NAME",                                  \
                    .help = "to ask for; the first of /v1/models unless given"),                   \
        SAMP_OPTION(type, TEXT, member.api_key, "api-key-file", 0, "FILE",                         \
                    .help = "a file whose first line is the key to send"),                         \
        SAMP_OPTION(type, TEXT, member.slo, "slo", 0, "LIST",                                      \
                    .help = "objectives, such as \"ttft_p99<250ms,success>=99.9%\": exit code "    \
                            "1 when one is missed"),                                               \
        SAMP_OPTION(type, NUMBER, member.timeout, "timeout", 0, "SECONDS", .initial = "600",       \
                    .min = 0.001, .max = 86400, .help = "of a request"),                           \
        SAMP_OPTION(type, INTEGER, member.seed, "seed", 0, "N", .initial = "1", .max = 1e15,       \
                    .help = "of prompts and arrivals")

int samp_bench_url(const samp_bench_url_options *options, const char *url, bool json,
                   samp_error *error);

#endif

/* A model ready to run, as several commands need it: folder -> model -> tokenizer -> session. */
#ifndef SAMP_COMMAND_LOADED_H
#define SAMP_COMMAND_LOADED_H

#include "command/command.h"
#include "command/terminal.h"
#include "base/hash.h"
#include "eval/eval.h"
#include "model/tokenizer.h"
#include "run/sampler.h"
#include "run/session.h"

typedef struct samp_loaded {
    samp_model *model;
    samp_tokenizer *tokenizer; /* NULL when the command needs none */
    samp_session *session;
} samp_loaded;

/* Options that every command that runs a model has; embed them with SAMP_RUN_OPTIONS. */
typedef struct samp_run_options {
    int64_t threads, context;
    const char *kv, *backend;
    bool exact;
} samp_run_options;

#define SAMP_RUN_OPTIONS(type, member)                                                             \
    SAMP_OPTION(type, INTEGER, member.threads, "threads", 't', "N", .max = 256,                    \
                .help = "threads; 0 = what affinity and cgroup allow", .initial = "0"),            \
        SAMP_OPTION(type, FLAG, member.exact, "exact", 0, NULL,                                    \
                    .help = "decode every weight and multiply in float32: slow, exact"),           \
        SAMP_OPTION(type, CHOICE, member.kv, "kv", 0, "TYPE", .choices = "fp16|int8",              \
                    .initial = "fp16", .help = "precision of the key and value cache"),            \
        SAMP_OPTION(type, TEXT, member.backend, "backend", 0, "NAME", .initial = "cpu",            \
                    .help = "cpu, or the NAME of a samp-backend-NAME.so")

/* How tokens are chosen, for commands that write text; embed them with SAMP_SAMPLING_OPTIONS. */
typedef struct samp_sampling_options {
    int64_t max_new, context, seed, top_k;
    double temperature, top_p, min_p, repetition_penalty;
} samp_sampling_options;

#define SAMP_SAMPLING_OPTIONS(type, member, max_tokens, temperature_, top_p_)                      \
    SAMP_OPTION(type, INTEGER, member.max_new, "max-tokens", 'n', "N", .initial = max_tokens,      \
                .max = 1e6, .help = "tokens to generate at most; 0 = until the context is full"),  \
        SAMP_OPTION(type, INTEGER, member.context, "context", 'c', "N", .initial = "0",            \
                    .max = 1 << 20,                                                                \
                    .help = "positions of the cache; 0 = the model's, at most "                    \
                            "4096"),                                                               \
        SAMP_OPTION(type, NUMBER, member.temperature, "temperature", 0, "X",                       \
                    .initial = temperature_, .max = 2,                                             \
                    .help = "0 always takes the most likely token"),                               \
        SAMP_OPTION(type, NUMBER, member.top_p, "top-p", 0, "X", .initial = top_p_, .max = 1,      \
                    .help = "sample from the most likely tokens that together have this "          \
                            "probability"),                                                        \
        SAMP_OPTION(type, INTEGER, member.top_k, "top-k", 0, "N", .initial = "0", .max = 1e6,      \
                    .help = "sample from the N most likely tokens; 0 = all"),                      \
        SAMP_OPTION(type, NUMBER, member.min_p, "min-p", 0, "X", .initial = "0", .max = 1,         \
                    .help = "drop tokens less likely than X times the most likely one"),           \
        SAMP_OPTION(type, NUMBER, member.repetition_penalty, "repetition-penalty", 0, "X",         \
                    .initial = "1", .min = 0.01, .max = 10,                                        \
                    .help = "divides the logits of tokens already seen"),                          \
        SAMP_OPTION(type, INTEGER, member.seed, "seed", 's', "N", .initial = "0", .max = 9e15,     \
                    .help = "seed of the sampler")

samp_sampler_options samp_sampling(const samp_sampling_options *options);

/* Opens everything; context 0 keeps the session's default. On failure nothing stays open. */
samp_status samp_loaded_open(samp_loaded *out, const char *folder, const samp_run_options *options,
                             uint32_t context, bool with_tokenizer, samp_error *error);
void samp_loaded_close(samp_loaded *loaded);

/* SHA-256 of what the outputs of a model opened with these options depend on: shapes, config, sizes
 * and times of its files, exact or not, the cache's precision. */
samp_status samp_loaded_digest(const samp_loaded *loaded, const samp_run_options *options,
                               char hex[SAMP_SHA256_HEX], samp_error *error);

/* Tokenizes a text file (at most 1 GB) with the model's tokenizer and evaluates it, with a progress
 * line; baseline may be NULL. options->progress is replaced. *n_tokens gets the length of the text.
 */
samp_status samp_loaded_eval(samp_loaded *model, samp_session *baseline, const char *path,
                             const samp_eval_options *options, samp_eval_result *result,
                             size_t *n_tokens, samp_error *error);

#endif

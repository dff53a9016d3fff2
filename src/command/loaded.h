/* A model ready to run, as several commands need it: folder -> model -> tokenizer -> session. */
#ifndef SAMP_COMMAND_LOADED_H
#define SAMP_COMMAND_LOADED_H

#include "command/command.h"
#include "command/terminal.h"
#include "eval/eval.h"
#include "model/tokenizer.h"
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

/* Opens everything; context 0 keeps the session's default. On failure nothing stays open. */
samp_status samp_loaded_open(samp_loaded *out, const char *folder, const samp_run_options *options,
                             uint32_t context, bool with_tokenizer, samp_error *error);
void samp_loaded_close(samp_loaded *loaded);

/* Tokenizes a text file (at most 1 GB) with the model's tokenizer and evaluates it, with a progress
 * line; baseline may be NULL. options->progress is replaced. *n_tokens gets the length of the text.
 */
samp_status samp_loaded_eval(samp_loaded *model, samp_session *baseline, const char *path,
                             const samp_eval_options *options, samp_eval_result *result,
                             size_t *n_tokens, samp_error *error);

#endif

/* samp eval --task: multiple choice questions, their table and their JSON. */
#ifndef SAMP_COMMAND_EVAL_TASKS_H
#define SAMP_COMMAND_EVAL_TASKS_H

#include "command/loaded.h"

typedef struct samp_eval_tasks {
    samp_text_list tasks, dev; /* files, or folders of files */
    int64_t shots, questions;  /* questions of a file at most; 0 = all */
    const char *answers;       /* file to write every answer to, NULL = none */
    const char *kv;
    bool json;
} samp_eval_tasks;

/* Answers the questions with the model and, when it is open, with the baseline (which needs its own
 * tokenizer), and prints. */
samp_status samp_eval_tasks_run(const samp_eval_tasks *how, samp_loaded *model,
                                samp_loaded *baseline, samp_error *error);

#endif

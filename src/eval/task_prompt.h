/* What a file says of a question, and the prompts made of it. */
#ifndef SAMP_EVAL_TASK_PROMPT_H
#define SAMP_EVAL_TASK_PROMPT_H

#include "eval/task.h"

typedef enum samp__prompt_style {
    SAMP__PROMPT_LETTERS,   /* MMLU: choices are listed, letters are scored */
    SAMP__PROMPT_QUESTION,  /* ARC: choices are scored as texts */
    SAMP__PROMPT_QUERY,     /* as ARC, "Question: " is part of the text */
    SAMP__PROMPT_HELLASWAG, /* a text to go on with */
    SAMP__PROMPT_CONTEXTS   /* WinoGrande: `text` is scored after each choice */
} samp__prompt_style;

typedef struct samp__raw_question {
    samp__prompt_style style;
    const char *text;
    const char *more, *label; /* HellaSwag's ctx_b and activity_label */
    const char *choices[SAMP_CHOICES_MAX];
    uint32_t n_choices;
} samp__raw_question;

/* Fills the prompts and choices of out with copies in the arena. `where` names the line. */
samp_status samp__prompts_make(samp_arena *arena, const samp__raw_question *raw, const char *where,
                               samp_question *out, samp_error *error);

#endif

/* Multiple choice questions from a file, with the prompts lm-evaluation-harness makes of them.
 *
 * A CSV file is MMLU's own: question, choices, the letter of the right one; a first line that ends
 * in "answer" is a header. A JSON lines file has one question a line, in one of these forms:
 *
 *     form        members                                   prompt
 *     MMLU        question, choices, answer (subject)       letters
 *     ARC         question, choices or options, answerKey   Question: … Answer:
 *                 or answer
 *     query       query, choices, gold                      <query> Answer:
 *     HellaSwag   ctx_a, ctx_b, activity_label, endings,    a text to go on with
 *                 label
 *     WinoGrande  context_options, continuation, gold       each option is its own prompt
 *
 * Choices are texts, or {"label", "text"} each, or {"label": […], "text": […]}; the right one is a
 * number from 0, a label, or a letter. Everything else is refused with the line it stands in.
 *
 * Memory: all texts live in the task's arena. */
#ifndef SAMP_EVAL_TASK_H
#define SAMP_EVAL_TASK_H

#include "base/buffer.h"
#include "base/memory.h"

enum {
    SAMP_CHOICES_MAX = 26,
    SAMP_TASK_BYTES_MAX = 256 << 20, /* of a file */
    SAMP_SHOTS_MAX = 64
};

/* A choice's likelihood is that of " " + choices[i] after what comes before + prompts[i]. */
typedef struct samp_question {
    const char *id;      /* the file's own, or its number in the file, from 1 */
    const char *subject; /* its own, or the name of its file */
    bool lettered;       /* MMLU's prompt, which a description of the subject comes before */
    uint32_t n_choices, answer;
    const char **prompts; /* [n_choices]; one pointer n_choices times where all share it */
    const char **choices; /* [n_choices] */
} samp_question;

typedef struct samp_task {
    samp_question *questions; /* [n] */
    size_t n, capacity;
    samp_arena arena;
} samp_task;

/* Appends the questions of a file (at most max of them, 0 = all) to a zeroed or earlier task. */
samp_status samp_task_read(samp_task *task, const char *path, size_t max, samp_error *error);
void samp_task_release(samp_task *task);
/* "mmlu/test/anatomy_test.csv" -> "anatomy": what questions without a subject are called. */
samp_status samp_task_subject(const char *path, char *out, size_t n, samp_error *error);

/* Appends what comes before the question's own prompt: a description, and the first `shots`
 * questions of dev with their answers: those of the same subject, or any when dev has one subject
 * only. SAMP_MISMATCH when there are too few. dev may be NULL when shots is 0. */
samp_status samp_task_preamble(const samp_question *question, const samp_task *dev, uint32_t shots,
                               samp_buffer *out, samp_error *error);

#endif

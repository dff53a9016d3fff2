/* Task files: CSV and JSON lines to questions; and what comes before a question's prompt. */
#include "eval/task.h"

#include "base/json.h"
#include "eval/csv.h"
#include "eval/task_prompt.h"
#include "file/file.h"

#include <stdio.h>
#include <string.h>

/* The members of a JSON line that make it a question of this form. */
static const struct form {
    const char *question, *choices, *answer;
    samp__prompt_style style;
} forms[] = {
    {"question", "choices", "answer", SAMP__PROMPT_LETTERS},
    {"question", "choices", "answerKey", SAMP__PROMPT_QUESTION},
    {"question", "options", "answer", SAMP__PROMPT_QUESTION},
    {"question", "options", "answerKey", SAMP__PROMPT_QUESTION},
    {"query", "choices", "gold", SAMP__PROMPT_QUERY},
    {"ctx_a", "endings", "label", SAMP__PROMPT_HELLASWAG},
    {"continuation", "context_options", "gold", SAMP__PROMPT_CONTEXTS},
};
enum { N_FORMS = sizeof forms / sizeof *forms, WHERE_MAX = 4160 };

/* One file being read. */
typedef struct reading {
    samp_task *task;
    const char *path, *subject;
    size_t before;         /* questions that the task had */
    char where[WHERE_MAX]; /* "path: line N" */
} reading;

static void set_line(reading *r, uint64_t line)
{
    snprintf(r->where, sizeof r->where, "%.4096s: line %llu", r->path, (unsigned long long)line);
}

static samp_status add_question(reading *r, const samp__raw_question *raw, uint32_t answer,
                                const char *id, const char *subject, samp_error *error)
{
    samp_task *task = r->task;
    char number[24];
    for (const char *c = subject; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return samp_fail(error, SAMP_CORRUPT, "%s: the subject holds a control character",
                             r->where);
    snprintf(number, sizeof number, "%zu", task->n - r->before + 1);
    if (!id) id = number;
    if (task->n == task->capacity) {
        size_t capacity = task->capacity ? 2 * task->capacity : 256;
        samp_question *grown = samp_realloc(task->questions, capacity, sizeof *grown);
        if (!grown) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", r->where);
        task->questions = grown, task->capacity = capacity;
    }
    samp_question question = {.answer = answer,
                              .id = samp_arena_strndup(&task->arena, id, strlen(id)),
                              .subject = subject};
    /* Questions of one subject mostly follow one another: one copy of its name. */
    const char *last = task->n ? task->questions[task->n - 1].subject : "";
    question.subject = strcmp(last, subject) == 0
                           ? last
                           : samp_arena_strndup(&task->arena, subject, strlen(subject));
    if (!question.id || !question.subject)
        return samp_fail(error, SAMP_NOMEM, "%s: out of memory", r->where);
    SAMP_TRY(samp__prompts_make(&task->arena, raw, r->where, &question, error));
    task->questions[task->n++] = question;
    return SAMP_OK;
}

/* ---- CSV ---- */

static samp_status check_record(const reading *r, size_t n_fields, size_t expected,
                                samp_error *error)
{
    if (n_fields < 4 || n_fields > SAMP_CHOICES_MAX + 2)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: %zu fields, expected a question, 2 to %d choices and a letter",
                         r->where, n_fields, SAMP_CHOICES_MAX);
    if (expected && n_fields != expected)
        return samp_fail(error, SAMP_CORRUPT, "%s: %zu fields, expected %zu as in the first line",
                         r->where, n_fields, expected);
    return SAMP_OK;
}

static samp_status add_record(reading *r, const char *const *fields, size_t n, samp_error *error)
{
    samp__raw_question raw = {.style = SAMP__PROMPT_LETTERS, .text = fields[0]};
    const char *answer = fields[n - 1];
    raw.n_choices = (uint32_t)n - 2;
    for (uint32_t i = 0; i < raw.n_choices; i++) raw.choices[i] = fields[i + 1];
    if (*answer < 'A' || *answer >= 'A' + (char)raw.n_choices || answer[1])
        return samp_fail(error, SAMP_CORRUPT, "%s: the answer is \"%.20s\", expected A to %c",
                         r->where, answer, (char)('A' + (char)raw.n_choices - 1));
    return add_question(r, &raw, (uint32_t)(*answer - 'A'), NULL, r->subject, error);
}

static samp_status read_csv(reading *r, const samp_buffer *text, size_t last, samp_error *error)
{
    samp_csv csv;
    const char *fields[SAMP_CSV_FIELDS_MAX];
    size_t n, expected = 0;
    uint64_t line;
    samp_status status = samp_csv_begin(&csv, text->data, text->length, r->path, error);
    while (status == SAMP_OK && r->task->n < last) {
        status = samp_csv_next(&csv, fields, &n, &line, error);
        if (status != SAMP_OK || n == 0) break;
        set_line(r, line);
        status = check_record(r, n, expected, error);
        bool header = expected == 0 && status == SAMP_OK && strcmp(fields[n - 1], "answer") == 0;
        expected = n;
        if (status == SAMP_OK && !header) status = add_record(r, fields, n, error);
    }
    samp_csv_end(&csv);
    return status;
}

/* ---- JSON lines ---- */

static samp_status take_text(const reading *r, const json_t *value, const char *what,
                             const char **out, samp_error *error)
{
    *out = json_string_value(value);
    if (*out) return SAMP_OK;
    return samp_fail(error, SAMP_CORRUPT, "%s: %s is not a text", r->where, what);
}

/* Choices and, where they have them, their labels. */
static samp_status take_choices(const reading *r, const json_t *value, samp__raw_question *raw,
                                const char *labels[SAMP_CHOICES_MAX], samp_error *error)
{
    const json_t *texts = json_is_object(value) ? json_object_get(value, "text") : value;
    const json_t *names = json_is_object(value) ? json_object_get(value, "label") : NULL;
    size_t n = json_array_size(texts);
    if (n < 2 || n > SAMP_CHOICES_MAX)
        return samp_fail(error, SAMP_CORRUPT, "%s: %zu choices, expected a list of 2 to %d",
                         r->where, n, SAMP_CHOICES_MAX);
    if (names && json_array_size(names) != n)
        return samp_fail(error, SAMP_CORRUPT, "%s: %zu labels for %zu choices", r->where,
                         json_array_size(names), n);
    raw->n_choices = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *choice = json_array_get(texts, i), *label = json_array_get(names, i);
        if (json_is_object(choice)) {
            label = json_object_get(choice, "label");
            choice = json_object_get(choice, "text");
        }
        SAMP_TRY(take_text(r, choice, "a choice", &raw->choices[i], error));
        labels[i] = json_string_value(label);
    }
    return SAMP_OK;
}

/* A number from 0 (also as text), a label, or a letter. */
static samp_status take_answer(const reading *r, const json_t *value, uint32_t n_choices,
                               const char *const *labels, uint32_t *out, samp_error *error)
{
    const char *text = json_string_value(value);
    json_int_t index = json_is_integer(value) ? json_integer_value(value) : -1;
    for (uint32_t i = 0; text && i < n_choices && index < 0; i++)
        if (labels[i] && strcmp(text, labels[i]) == 0) index = i;
    if (index < 0 && text && *text && !text[1])
        index = *text >= '0' && *text <= '9'   ? *text - '0'
                : *text >= 'A' && *text <= 'Z' ? *text - 'A'
                                               : -1;
    if (index < 0 || index >= (json_int_t)n_choices)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: the answer is none of the %u choices, expected a number from 0, a "
                         "label or a letter",
                         r->where, n_choices);
    *out = (uint32_t)index;
    return SAMP_OK;
}

static const struct form *find_form(const json_t *object)
{
    for (size_t f = 0; f < N_FORMS; f++)
        if (json_object_get(object, forms[f].question) &&
            json_object_get(object, forms[f].choices) && json_object_get(object, forms[f].answer))
            return &forms[f];
    return NULL;
}

static samp_status add_object(reading *r, const json_t *object, samp_error *error)
{
    const struct form *form = find_form(object);
    if (!form)
        return samp_fail(error, SAMP_CORRUPT,
                         "%s: no form of question is known with these members; expected question, "
                         "choices and answer, or another form of samp eval --help",
                         r->where);
    samp__raw_question raw = {.style = form->style};
    const char *labels[SAMP_CHOICES_MAX] = {0}, *id = NULL, *subject = r->subject;
    uint32_t answer = 0;
    SAMP_TRY(
        take_text(r, json_object_get(object, form->question), form->question, &raw.text, error));
    SAMP_TRY(take_choices(r, json_object_get(object, form->choices), &raw, labels, error));
    SAMP_TRY(take_answer(r, json_object_get(object, form->answer), raw.n_choices, labels, &answer,
                         error));
    if (form->style == SAMP__PROMPT_HELLASWAG) {
        SAMP_TRY(samp_json_string(object, "ctx_b", true, &raw.more, r->where, error));
        SAMP_TRY(samp_json_string(object, "activity_label", true, &raw.label, r->where, error));
    }
    if (json_is_string(json_object_get(object, "id")))
        id = json_string_value(json_object_get(object, "id"));
    SAMP_TRY(samp_json_string(object, "subject", false, &subject, r->where, error));
    return add_question(r, &raw, answer, id, subject, error);
}

static samp_status read_json_lines(reading *r, const samp_buffer *text, size_t last,
                                   samp_error *error)
{
    const char *at = text->data, *end = at + text->length;
    for (uint64_t line = 1; at < end && r->task->n < last; line++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at)), *stop = feed ? feed : end;
        size_t n = (size_t)(stop - at);
        set_line(r, line);
        if (n > strspn(at, " \t\r")) {
            json_t *object;
            SAMP_TRY(samp_json_parse(&object, at, n, r->where, error));
            samp_status status = add_object(r, object, error);
            json_decref(object);
            SAMP_TRY(status);
        }
        at = feed ? feed + 1 : end;
    }
    return SAMP_OK;
}

/* ---- files ---- */

samp_status samp_task_subject(const char *path, char *out, size_t n, samp_error *error)
{
    static const char *const ends[] = {"_test", "_dev", "_validation", "_val", "_train"};
    const char *name = samp_path_name(path);
    size_t length = strcspn(name, ".");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (length <= end || strncmp(name + length - end, ends[i], end) != 0) continue;
        length -= end;
        break;
    }
    if (length == 0 || length >= n)
        return samp_fail(error, SAMP_INVALID, "%s: its name is no name for a subject", path);
    memcpy(out, name, length);
    out[length] = '\0';
    return SAMP_OK;
}

samp_status samp_task_read(samp_task *task, const char *path, size_t max, samp_error *error)
{
    char subject[256];
    samp_buffer text = {0};
    reading r = {.task = task, .path = path, .subject = subject, .before = task->n};
    size_t before = task->n, last = max && max < SIZE_MAX - before ? before + max : SIZE_MAX;
    const char *dot = strrchr(samp_path_name(path), '.');
    bool csv = dot && strcmp(dot, ".csv") == 0;
    if (!csv && !(dot && (strcmp(dot, ".jsonl") == 0 || strcmp(dot, ".json") == 0)))
        return samp_fail(error, SAMP_UNSUPPORTED,
                         "%s: expected questions in a file named .csv or .jsonl", path);
    SAMP_TRY(samp_task_subject(path, subject, sizeof subject, error));
    samp_status status = samp_file_slurp(path, SAMP_TASK_BYTES_MAX, &text, error);
    if (status == SAMP_OK && text.length)
        status = csv ? read_csv(&r, &text, last, error) : read_json_lines(&r, &text, last, error);
    samp_buffer_release(&text);
    if (status == SAMP_OK && task->n == before)
        return samp_fail(error, SAMP_CORRUPT, "%s: holds no question", path);
    return status;
}

void samp_task_release(samp_task *task)
{
    samp_free(task->questions);
    samp_arena_release(&task->arena);
    *task = (samp_task){0};
}

/* ---- before a question ---- */

static bool one_subject(const samp_task *task)
{
    for (size_t i = 1; i < task->n; i++)
        if (strcmp(task->questions[i].subject, task->questions[0].subject) != 0) return false;
    return true;
}

samp_status samp_task_preamble(const samp_question *question, const samp_task *dev, uint32_t shots,
                               samp_buffer *out, samp_error *error)
{
    bool any = shots && one_subject(dev);
    uint32_t given = 0;
    if (question->lettered) {
        samp_buffer_text(out, "The following are multiple choice questions (with answers) about ");
        for (const char *c = question->subject; *c; c++)
            samp_buffer_append(out, *c == '_' ? " " : c, 1);
        samp_buffer_text(out, ".\n\n");
    }
    for (size_t i = 0; shots && given < shots && i < dev->n; i++) {
        const samp_question *shot = &dev->questions[i];
        if (!any && strcmp(shot->subject, question->subject) != 0) continue;
        samp_buffer_printf(out, "%s %s\n\n", shot->prompts[shot->answer],
                           shot->choices[shot->answer]);
        given++;
    }
    if (given < shots)
        return samp_fail(error, SAMP_MISMATCH,
                         "%u examples are wanted before the questions on %s, %u were found in the "
                         "files of examples",
                         shots, question->subject, given);
    return samp_buffer_ok(out, error);
}

/* Prompts, byte for byte those of lm-evaluation-harness 0.4.13 (tasks/mmlu/default, tasks/arc,
 * tasks/piqa, tasks/hellaswag, tasks/winogrande). Its text functions are Python's; here white space
 * and letters are those of ASCII. */
#include "eval/task_prompt.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

/* Appends text without the white space around it. */
static void append_stripped(samp_buffer *out, const char *text)
{
    size_t n = strlen(text);
    while (n && is_space(text[n - 1])) n--;
    while (n && is_space(*text)) text++, n--;
    samp_buffer_append(out, text, n);
}

/* ---- HellaSwag ---- */

/* Appends text with every `from` replaced by `to`, found from left to right. */
static void append_replaced(samp_buffer *out, const char *text, const char *from, const char *to)
{
    for (const char *hit; (hit = strstr(text, from)); text = hit + strlen(from)) {
        samp_buffer_append(out, text, (size_t)(hit - text));
        samp_buffer_text(out, to);
    }
    samp_buffer_text(out, text);
}

/* Appends text without "[…]", the marks that WikiHow articles left behind; one that spans lines
 * stays. */
static void append_unbracketed(samp_buffer *out, const char *text)
{
    for (const char *open; (open = strchr(text, '['));) {
        const char *close = open + strcspn(open, "]\n");
        const char *next = *close == ']' ? close + 1 : open + 1;
        samp_buffer_append(out, text, (size_t)((*close == ']' ? open : next) - text));
        text = next;
    }
    samp_buffer_text(out, text);
}

static const char *or_empty(const samp_buffer *buffer) { return buffer->data ? buffer->data : ""; }

static void append_cleaned(samp_buffer *out, const char *text)
{
    samp_buffer a = {0}, b = {0};
    append_stripped(&a, text);
    append_replaced(&b, or_empty(&a), " [title]", ". ");
    samp_buffer_clear(&a);
    append_unbracketed(&a, or_empty(&b));
    append_replaced(out, or_empty(&a), "  ", " ");
    out->failed |= a.failed || b.failed;
    samp_buffer_release(&a);
    samp_buffer_release(&b);
}

/* First letter upper case, the others lower case. */
static void append_capitalized(samp_buffer *out, const char *text)
{
    for (bool first = true; *text; text++, first = false) {
        char c = *text;
        if (first && c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
        if (!first && c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        samp_buffer_append(out, &c, 1);
    }
}

static void hellaswag_prompt(samp_buffer *out, const samp__raw_question *raw)
{
    samp_buffer text = {0};
    samp_buffer_printf(&text, "%s: %s ", raw->label, raw->text);
    append_capitalized(&text, raw->more);
    append_cleaned(out, or_empty(&text));
    out->failed |= text.failed;
    samp_buffer_release(&text);
}

/* ---- all styles ---- */

static const char *letter(uint32_t i)
{
    static const char letters[SAMP_CHOICES_MAX][2] = {"A", "B", "C", "D", "E", "F", "G", "H", "I",
                                                      "J", "K", "L", "M", "N", "O", "P", "Q", "R",
                                                      "S", "T", "U", "V", "W", "X", "Y", "Z"};
    return letters[i];
}

/* The prompt that all choices share. */
static void shared_prompt(samp_buffer *out, const samp__raw_question *raw)
{
    switch (raw->style) {
    case SAMP__PROMPT_LETTERS:
        append_stripped(out, raw->text);
        for (uint32_t i = 0; i < raw->n_choices; i++)
            samp_buffer_printf(out, "\n%s. %s", letter(i), raw->choices[i]);
        samp_buffer_text(out, "\nAnswer:");
        break;
    case SAMP__PROMPT_QUESTION: samp_buffer_printf(out, "Question: %s\nAnswer:", raw->text); break;
    case SAMP__PROMPT_QUERY: samp_buffer_printf(out, "%s\nAnswer:", raw->text); break;
    case SAMP__PROMPT_HELLASWAG: hellaswag_prompt(out, raw); break;
    case SAMP__PROMPT_CONTEXTS: break; /* each has its own */
    }
}

/* What is scored after the prompt of choice i. */
static void choice_text(samp_buffer *out, const samp__raw_question *raw, uint32_t i)
{
    if (raw->style == SAMP__PROMPT_LETTERS)
        samp_buffer_text(out, letter(i));
    else if (raw->style == SAMP__PROMPT_CONTEXTS)
        samp_buffer_text(out, raw->text);
    else if (raw->style == SAMP__PROMPT_HELLASWAG)
        append_cleaned(out, raw->choices[i]);
    else
        samp_buffer_text(out, raw->choices[i]);
}

static const char *keep(samp_arena *arena, samp_buffer *text)
{
    const char *copy =
        text->failed ? NULL : samp_arena_strndup(arena, or_empty(text), text->length);
    samp_buffer_clear(text);
    return copy;
}

samp_status samp__prompts_make(samp_arena *arena, const samp__raw_question *raw, const char *where,
                               samp_question *out, samp_error *error)
{
    uint32_t n = raw->n_choices;
    bool own_prompts = raw->style == SAMP__PROMPT_CONTEXTS;
    samp_buffer text = {0};
    out->n_choices = n;
    out->lettered = raw->style == SAMP__PROMPT_LETTERS;
    out->prompts = samp_arena_alloc(arena, n, sizeof *out->prompts);
    out->choices = samp_arena_alloc(arena, n, sizeof *out->choices);
    shared_prompt(&text, raw);
    const char *shared = own_prompts ? NULL : keep(arena, &text);
    bool complete = out->prompts && out->choices;
    for (uint32_t i = 0; complete && i < n; i++) {
        out->prompts[i] = own_prompts
                              ? samp_arena_strndup(arena, raw->choices[i], strlen(raw->choices[i]))
                              : shared;
        choice_text(&text, raw, i);
        out->choices[i] = keep(arena, &text);
        complete = out->prompts[i] && out->choices[i];
    }
    samp_buffer_release(&text);
    if (!complete) return samp_fail(error, SAMP_NOMEM, "%s: out of memory for a question", where);
    for (uint32_t i = 0; i < n; i++)
        if (!*out->choices[i] || !*out->prompts[i])
            return samp_fail(error, SAMP_CORRUPT, "%s: the %s of choice %u is empty", where,
                             *out->prompts[i] ? "text" : "prompt", i + 1);
    return SAMP_OK;
}

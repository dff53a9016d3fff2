/* Labelled texts for the classifier, from ../shared/data (read in place, never copied here): what
 * tools/train_classifier.c learns from (even numbers) and test_classify.c judges by (odd numbers).
 *
 * The labels are those of the sources, not of a person who read each text. Arena-Hard's prompts are
 * all labelled chat though most ask for programs: training leaves them out (it would learn that
 * requests for code are chat), the measurement keeps them and counts each as the error its label
 * says. Training also leaves out chat with fenced code. Texts carry no chat markers, so that the
 * class cannot be read off them. */
#ifndef SAMP_TESTS_PLAN_LABELLED_H
#define SAMP_TESTS_PLAN_LABELLED_H

#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "plan/classify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELLED_ARENA "arena-hard"

/* X(name, command that prints it, how a line becomes a text, class or COUNT = the line's own) */
#define LABELLED_SOURCES(X)                                                                        \
    X("prompts_mixed", "zstd -dc $SAMP_LABELLED/prompts_mixed.jsonl.zst | grep -v arena-hard",     \
      "prompt+response", SAMP_CLASS_COUNT)                                                         \
    X(LABELLED_ARENA, "zstd -dc $SAMP_LABELLED/prompts_mixed.jsonl.zst | grep arena-hard",         \
      "prompt+response", SAMP_CLASS_COUNT)                                                         \
    X("code requests",                                                                             \
      "zstd -dc $SAMP_LABELLED/prompts_mixed.jsonl.zst | grep '\"category\": \"code\"'", "prompt", \
      SAMP_CLASS_CODE)                                                                             \
    X("json requests",                                                                             \
      "zstd -dc $SAMP_LABELLED/prompts_mixed.jsonl.zst | grep '\"category\": \"json\"'", "prompt", \
      SAMP_CLASS_JSON)                                                                             \
    X("humaneval", "gzip -dc $SAMP_LABELLED/humaneval/HumanEval.jsonl.gz",                         \
      "prompt+canonical_solution", SAMP_CLASS_CODE)                                                \
    X("mbpp", "cat $SAMP_LABELLED/mbpp/mbpp.jsonl", "text+code", SAMP_CLASS_CODE)                  \
    X("gsm8k", "cat $SAMP_LABELLED/gsm8k/test.jsonl", "question+answer", SAMP_CLASS_MATH)          \
    X("gsm8k questions", "zstd -dc $SAMP_LABELLED/gsm8k/train.jsonl.zst | head -n 600",            \
      "question", SAMP_CLASS_MATH)                                                                 \
    X("mmlu mathematics",                                                                          \
      "tar --zstd -xOf $SAMP_LABELLED/mmlu.tar.zst mmlu/test/abstract_algebra_test.csv "           \
      "mmlu/test/college_mathematics_test.csv mmlu/test/high_school_mathematics_test.csv "         \
      "mmlu/test/elementary_mathematics_test.csv",                                                 \
      "", SAMP_CLASS_MATH)                                                                         \
    X("c4", "zstd -dc $SAMP_LABELLED/text/c4_demo.jsonl.zst", "text", SAMP_CLASS_PROSE)            \
    X("wikipedia", "zstd -dc $SAMP_LABELLED/text/wiki_demo.txt.zst | fold -s -w 1500", "",         \
      SAMP_CLASS_PROSE)                                                                            \
    X("wikitext2", "grep -E '.{200}' $SAMP_LABELLED/wikitext2/wiki.valid.raw | head -n 600", "",   \
      SAMP_CLASS_PROSE)                                                                            \
    X("oasst", "zstd -dc $SAMP_LABELLED/text/oasst_en_100_conversations.jsonl.zst", "messages",    \
      SAMP_CLASS_CHAT)                                                                             \
    X("ifeval", "cat $SAMP_LABELLED/ifeval/input_data.jsonl", "prompt", SAMP_CLASS_CHAT)           \
    X("arc questions", "head -n 600 $SAMP_LABELLED/arc/arc_easy.jsonl", "query", SAMP_CLASS_CHAT)  \
    X("piqa questions", "head -n 400 $SAMP_LABELLED/piqa/piqa.jsonl", "query", SAMP_CLASS_CHAT)    \
    X("maskbench", "zstd -dc $SAMP_LABELLED/json/maskbench_subset.jsonl.zst", "schema",            \
      SAMP_CLASS_JSON)                                                                             \
    X("source files", "cat $SAMP_SOURCES/src/*/*.[ch] | tr '\\n' '\\036' | fold -w 1500", "",      \
      SAMP_CLASS_CODE)

enum { LABELLED_SOURCE_MAX = 24 };

typedef struct labelled_text {
    char *text;
    size_t n;
    samp_class label;
    unsigned source, number; /* number within the source: even = training, odd = held out */
} labelled_text;

typedef struct labelled_set {
    labelled_text *items;
    size_t count, capacity;
    const char *names[LABELLED_SOURCE_MAX];
    unsigned n_sources;
} labelled_set;

static inline void labelled_release(labelled_set *set)
{
    for (size_t i = 0; i < set->count; i++) samp_free(set->items[i].text);
    samp_free(set->items);
}

static inline void labelled_value(samp_buffer *out, const json_t *value)
{
    if (json_is_string(value)) {
        if (out->length) samp_buffer_text(out, "\n\n");
        samp_buffer_text(out, json_string_value(value));
    } else if (json_is_array(value)) { /* messages */
        for (size_t i = 0; i < json_array_size(value); i++)
            labelled_value(out, json_object_get(json_array_get(value, i), "content"));
    } else if (json_is_object(value)) {
        char *text = json_dumps(value, 0);
        samp_buffer_text(out, text ? text : "");
        samp_free(text);
    }
}

/* The text of one line: the members named by "a+b", or the line itself; its number is its id where
 * it has one, so that a prompt alone and with its answer are in the same half. */
static inline void labelled_render(samp_buffer *out, char *line, const char *how, samp_class *label,
                                   unsigned *number)
{
    samp_buffer_clear(out);
    if (!*how) {
        for (char *c = line; *c; c++)
            if (*c == '\036') *c = '\n';
        samp_buffer_text(out, line);
        return;
    }
    json_t *record = json_loads(line, 0, NULL);
    char members[64];
    snprintf(members, sizeof members, "%s", how);
    char *rest = NULL;
    for (char *name = strtok_r(members, "+", &rest); name; name = strtok_r(NULL, "+", &rest))
        labelled_value(out, json_object_get(record, name));
    const char *category = json_string_value(json_object_get(record, "category"));
    for (int c = 0; *label == SAMP_CLASS_COUNT && category && c < SAMP_CLASS_COUNT; c++)
        if (strcmp(category, samp_class_name((samp_class)c)) == 0) *label = (samp_class)c;
    json_t *id = json_object_get(record, "id");
    if (json_is_integer(id)) *number = (unsigned)json_integer_value(id);
    json_decref(record);
}

static inline void labelled_read(labelled_set *set, const char *name, const char *command,
                                 const char *how, samp_class label)
{
    char *line = NULL;
    size_t room = 0;
    unsigned n_lines = 0;
    set->names[set->n_sources] = name;
    FILE *pipe = popen(command, "r");
    if (!pipe) abort();
    samp_buffer text = {0};
    for (ssize_t n; (n = getline(&line, &room, pipe)) > 0;) {
        samp_class own = label;
        unsigned number = n_lines++;
        labelled_render(&text, line, how, &own, &number);
        if (text.length < 8 || own == SAMP_CLASS_COUNT) continue;
        if (set->count == set->capacity) {
            set->capacity = set->capacity ? 2 * set->capacity : 1024;
            set->items = samp_realloc(set->items, set->capacity, sizeof *set->items);
            if (!set->items) abort();
        }
        set->items[set->count++] =
            (labelled_text){samp_strdup(text.data), text.length, own, set->n_sources, number};
    }
    pclose(pipe);
    free(line);
    samp_buffer_release(&text);
    set->n_sources++;
}

/* False when the data are not there. */
static inline bool labelled_load(labelled_set *set)
{
    memset(set, 0, sizeof *set);
    FILE *there = fopen(SAMP_DATA "/prompts_mixed.jsonl.zst", "r");
    if (!there) return false;
    fclose(there);
    setenv("SAMP_LABELLED", SAMP_DATA, 1);
    setenv("SAMP_SOURCES", SAMP_SOURCE, 1);
#define X(name, command, how, label) labelled_read(set, name, command, how, label);
    LABELLED_SOURCES(X)
#undef X
    return set->count > 0;
}

#endif

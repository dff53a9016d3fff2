/* Multiple choice on the real model against lm-evaluation-harness 0.4.13 (tests/golden/choices.tsv,
 * made by tools/golden_choices.py): the log-likelihood of every choice of thirteen questions, MMLU
 * without and with five examples, ARC, HellaSwag, WinoGrande.
 *
 * Needs the demo model and the evaluation data beside the project. */
#include "eval/choices.h"
#include "quantize/import.h"
#include "support/cmocka_all.h"
#include "support/demo_model.h"

#include "file/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/samp-harness-XXXXXX";
static const char *model_path;
static samp_error error;
static samp_model *model;
static samp_session *session;
static samp_tokenizer *tokenizer;
static samp_scorer *scorer;

#define OK(expression)                                                                             \
    do {                                                                                           \
        if ((expression) != SAMP_OK) fail_msg("%s", error.message);                                \
    } while (0)

static const char *path_in(const char *name)
{
    static char path[2][700];
    static unsigned next;
    next ^= 1;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static int open_all(void **state)
{
    (void)state;
    char command[2000];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "tar -I zstd -xf '%s/mmlu.tar.zst' -C '%s'", SAMP_DATA,
             folder);
    assert_int_equal(system(command), 0);
    OK(samp_import(model_path, path_in("model"), &(samp_import_options){0}, NULL, &error));
    OK(samp_model_open(&model, path_in("model"), &error));
    samp_session_options options = {.exact = true, .context = 1024};
    OK(samp_session_open(&session, model, &options, &error));
    OK(samp_tokenizer_load(&tokenizer, path_in("model"), &error));
    OK(samp_scorer_create(&scorer, session, tokenizer, &error));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    samp_scorer_release(scorer);
    if (tokenizer) samp_tokenizer_release(tokenizer);
    samp_session_close(session);
    if (model) samp_model_close(model);
    return samp_remove_folder(folder, &error) == SAMP_OK ? 0 : -1;
}

/* The line of the golden file: right answer and log-likelihoods; returns how many there are. */
static uint32_t harness_answer(const char *task, uint32_t shots, size_t number, uint32_t *right,
                               double values[SAMP_CHOICES_MAX])
{
    char line[1024], begin[200];
    FILE *file = fopen(SAMP_GOLDEN "/choices.tsv", "re");
    assert_non_null(file);
    size_t n = (size_t)snprintf(begin, sizeof begin, "%s\t%u\t%zu\t", task, shots, number);
    uint32_t found = 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, begin, n) != 0) continue;
        char *at = line + n;
        *right = (uint32_t)strtoul(at, &at, 10);
        while (*at == '\t') values[found++] = strtod(at + 1, &at);
    }
    fclose(file);
    if (found == 0) fail_msg("no line %s", begin);
    return found;
}

static double worst;

static void check_task(const char *name, const char *path, const char *examples, uint32_t shots,
                       size_t n)
{
    samp_task task = {0}, dev = {0};
    samp_answers answers;
    OK(samp_task_read(&task, path, n, &error));
    if (shots) OK(samp_task_read(&dev, examples, 0, &error));
    OK(samp_answer_task(scorer, &task, &dev, shots, &(samp_progress){0}, &answers, &error));
    for (size_t i = 0; i < n; i++) {
        double expected[SAMP_CHOICES_MAX];
        uint32_t right;
        assert_int_equal(harness_answer(name, shots, i + 1, &right, expected),
                         task.questions[i].n_choices);
        assert_int_equal(task.questions[i].answer, right);
        for (uint32_t c = 0; c < task.questions[i].n_choices; c++) {
            double off = fabs(answers.items[i].log_likelihoods[c] - expected[c]);
            if (off > worst) worst = off;
            if (!(off < 1e-2))
                fail_msg("%s, %u-shot, question %zu, choice %u: %.6f, expected %.6f", name, shots,
                         i + 1, c, answers.items[i].log_likelihoods[c], expected[c]);
        }
    }
    samp_answers_release(&answers);
    samp_task_release(&task);
    samp_task_release(&dev);
}

static void mmlu(void **state)
{
    (void)state;
    check_task("abstract_algebra", path_in("mmlu/test/abstract_algebra_test.csv"), NULL, 0, 2);
    check_task("anatomy", path_in("mmlu/test/anatomy_test.csv"), NULL, 0, 2);
    check_task("world_religions", path_in("mmlu/test/world_religions_test.csv"), NULL, 0, 2);
}

static void mmlu_five_examples(void **state)
{
    (void)state;
    check_task("abstract_algebra", path_in("mmlu/test/abstract_algebra_test.csv"),
               path_in("mmlu/dev/abstract_algebra_dev.csv"), 5, 1);
}

static void choices_of_text(void **state)
{
    (void)state;
    check_task("arc_challenge", SAMP_DATA "/arc/arc_challenge_test.jsonl", NULL, 0, 2);
    check_task("hellaswag_val_part", SAMP_DATA "/hellaswag/hellaswag_val_part.jsonl", NULL, 0, 2);
    check_task("winogrande", SAMP_DATA "/winogrande/winogrande.jsonl", NULL, 0, 2);
    print_message("log-likelihoods are within %.1e of lm-evaluation-harness\n", worst);
}

int main(void)
{
    model_path = demo_model();
    if (!model_path) return 77;
    if (access(SAMP_DATA "/mmlu.tar.zst", R_OK) != 0) {
        printf("skipped: %s is not there\n", SAMP_DATA "/mmlu.tar.zst");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(mmlu), cmocka_unit_test(mmlu_five_examples),
                                       cmocka_unit_test(choices_of_text)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}

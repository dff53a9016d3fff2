/* samp eval --task. */
#include "command/eval_tasks.h"

#include "base/memory.h"
#include "eval/choices.h"
#include "eval/result_json.h"
#include "file/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* The questions, the examples, and both models' answers. */
typedef struct task_run {
    const samp_eval_tasks *how;
    samp_task task, dev;
    samp_answers answers[2]; /* model, baseline */
    bool compared;
    samp_tallies tallies;
} task_run;

/* ---- reading ---- */

static int is_task_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && dot != entry->d_name && (strcmp(dot, ".csv") == 0 || strcmp(dot, ".jsonl") == 0);
}

/* A file, or every .csv and .jsonl file of a folder in order of their names. */
static samp_status read_path(samp_task *task, const char *path, size_t max, samp_error *error)
{
    if (!samp_is_folder(path)) return samp_task_read(task, path, max, error);
    struct dirent **entries;
    int n = scandir(path, &entries, is_task_file, alphasort);
    if (n < 0) return samp_fail_errno(error, "the folder %s cannot be read", path);
    samp_status status =
        n ? SAMP_OK
          : samp_fail(error, SAMP_NOT_FOUND, "%s: no .csv or .jsonl file is in this folder", path);
    for (int i = 0; i < n; i++) {
        char file[4096];
        if (status == SAMP_OK)
            status = samp_path_join(file, sizeof file, path, entries[i]->d_name, error);
        if (status == SAMP_OK) status = samp_task_read(task, file, max, error);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static samp_status read_paths(samp_task *task, const samp_text_list *paths, size_t max,
                              samp_error *error)
{
    for (size_t i = 0; i < paths->count; i++)
        SAMP_TRY(read_path(task, paths->items[i], max, error));
    return SAMP_OK;
}

static samp_status answer(task_run *run, samp_loaded *model, samp_answers *out, samp_error *error)
{
    samp_scorer *scorer;
    samp_meter meter;
    SAMP_TRY(samp_scorer_create(&scorer, model->session, model->tokenizer, error));
    samp_progress progress = samp_meter_start(&meter, "questions");
    samp_status status = samp_answer_task(scorer, &run->task, run->how->shots ? &run->dev : NULL,
                                          (uint32_t)run->how->shots, &progress, out, error);
    samp_meter_stop(&meter);
    samp_scorer_release(scorer);
    if (status != SAMP_OK) samp_error_prefix(error, "%s", samp_model_folder(model->model));
    return status;
}

/* ---- every answer, a JSON line each ---- */

static json_t *answer_json(const samp_question *question, const samp_answer *answer,
                           const samp_answer *baseline)
{
    json_t *list = json_array(), *before = baseline ? json_array() : NULL;
    for (uint32_t i = 0; i < question->n_choices; i++) {
        json_array_append_new(list, json_real(answer->log_likelihoods[i]));
        if (before) json_array_append_new(before, json_real(baseline->log_likelihoods[i]));
    }
    json_t *root =
        json_pack("{s:s,s:s,s:i,s:i,s:i,s:o*}", "subject", question->subject, "id", question->id,
                  "answer", (int)question->answer, "picked", (int)answer->picked, "picked_norm",
                  (int)answer->picked_norm, "log_likelihoods", list);
    if (root && before) {
        samp_json_set(root, "baseline_picked", json_integer(baseline->picked));
        samp_json_set(root, "baseline_log_likelihoods", json_incref(before));
    }
    json_decref(before);
    return root;
}

static samp_status write_answers(const task_run *run, const char *path, samp_error *error)
{
    samp_buffer text = {0};
    for (size_t i = 0; i < run->task.n; i++) {
        json_t *line = answer_json(&run->task.questions[i], &run->answers[0].items[i],
                                   run->compared ? &run->answers[1].items[i] : NULL);
        char *dumped = line ? json_dumps(line, JSON_COMPACT) : NULL;
        if (dumped) {
            samp_buffer_printf(&text, "%s\n", dumped);
            samp_free(dumped);
        } else {
            text.failed = true;
        }
        json_decref(line);
    }
    samp_status status = samp_buffer_ok(&text, error);
    if (status == SAMP_OK) status = samp_file_write(path, text.data, text.length, error);
    samp_buffer_release(&text);
    return status;
}

/* ---- the table ---- */

static const char *show_share(char *out, size_t right, size_t n)
{
    snprintf(out, 32, "%.2f", 100.0 * (double)right / (double)n);
    return out;
}

static void add_row(samp_table *table, const samp_tally *t, bool by_length)
{
    enum { CELL = 48 };
    char cell[11][CELL];
    const char *cells[11];
    size_t n = 0;
    samp_estimate share = samp_estimate_share(t->right, t->n);
    cells[n++] = t->subject ? t->subject : "all";
    cells[n++] = samp_show_count(cell[1], t->n);
    snprintf(cell[2], CELL, "%.2f", 100 * share.value);
    snprintf(cell[3], CELL, "%.1f to %.1f", 100 * share.low, 100 * share.high);
    cells[n++] = cell[2];
    cells[n++] = cell[3];
    if (by_length) cells[n++] = show_share(cell[4], t->right_norm, t->n);
    if (t->compared) {
        samp_estimate d = samp_estimate_paired(t->lost, t->gained, t->n);
        snprintf(cell[6], CELL, "%+.2f", 100 * d.value);
        snprintf(cell[7], CELL, "%+.2f to %+.2f", 100 * d.low, 100 * d.high);
        snprintf(cell[10], CELL, "%.3f", samp_mcnemar_exact(t->lost, t->gained));
        cells[n++] = show_share(cell[5], t->baseline_right, t->n);
        cells[n++] = cell[6];
        cells[n++] = cell[7];
        snprintf(cell[8], CELL, "%zu / %zu", t->lost, t->gained);
        cells[n++] = cell[8];
        cells[n++] = samp_show_count(cell[9], t->changed);
        cells[n++] = cell[10];
    }
    samp_table_row(table, n, cells);
}

static void print_table(const task_run *run)
{
    const samp_tallies *tallies = &run->tallies;
    const char *headers[11] = {"subject", "questions", "acc, %", "95 %"};
    size_t n = 4;
    if (tallies->by_length) headers[n++] = "acc_norm, %";
    if (run->compared) {
        static const char *const more[] = {"baseline's",    "points",  "95 %",
                                           "lost / gained", "changed", "p"};
        for (size_t i = 0; i < sizeof more / sizeof *more; i++) headers[n++] = more[i];
    }
    samp_table table;
    samp_table_begin(&table, "lrrrrrrrrrr", n, headers);
    for (size_t i = 0; i < tallies->n_subjects; i++)
        add_row(&table, &tallies->subjects[i], tallies->by_length);
    if (tallies->n_subjects > 1) {
        samp_table_line(&table);
        add_row(&table, &tallies->all, tallies->by_length);
    }
    samp_table_print(&table, stdout);
    samp_table_release(&table);
}

static void print_result(const task_run *run, const samp_loaded *model, const samp_loaded *baseline)
{
    printf("%s on %s, %lld-shot\n", samp_model_folder(model->model),
           samp_session_describe(model->session), (long long)run->how->shots);
    print_table(run);
    if (run->tallies.all.n_cut)
        printf("%zu prompts did not fit %u positions and lost their beginning: give a larger "
               "--ctx.\n",
               run->tallies.all.n_cut, samp_session_max_positions(model->session));
    if (!run->compared) return;
    printf("Paired with %s: lost and gained are questions right with one model only, changed\n"
           "those with another answer, right or wrong; p is McNemar's exact test.\n",
           samp_model_folder(baseline->model));
}

/* ---- JSON ---- */

static json_t *share_json(size_t right, size_t n)
{
    return samp_estimate_json(samp_estimate_share(right, n));
}

static json_t *tally_json(const samp_tally *t)
{
    json_t *root =
        json_pack("{s:s,s:I,s:I,s:o,s:o}", "subject", t->subject ? t->subject : "all", "questions",
                  (json_int_t)t->n, "cut", (json_int_t)t->n_cut, "acc", share_json(t->right, t->n),
                  "acc_norm", share_json(t->right_norm, t->n));
    if (!root || !t->compared) return root;
    samp_json_set(root, "baseline_acc", share_json(t->baseline_right, t->n));
    samp_json_set(root, "baseline_acc_norm", share_json(t->baseline_right_norm, t->n));
    samp_json_set(root, "difference",
                  samp_estimate_json(samp_estimate_paired(t->lost, t->gained, t->n)));
    samp_json_set(root, "lost", json_integer((json_int_t)t->lost));
    samp_json_set(root, "gained", json_integer((json_int_t)t->gained));
    samp_json_set(root, "changed", json_integer((json_int_t)t->changed));
    samp_json_set(root, "mcnemar_p", json_real(samp_mcnemar_exact(t->lost, t->gained)));
    return root;
}

static json_t *result_json(const task_run *run, const samp_loaded *model,
                           const samp_loaded *baseline)
{
    json_t *subjects = json_array();
    for (size_t i = 0; i < run->tallies.n_subjects; i++)
        json_array_append_new(subjects, tally_json(&run->tallies.subjects[i]));
    json_t *root =
        json_pack("{s:i,s:s,s:s,s:s,s:I,s:o,s:o}", "schema_version", 1, "model",
                  samp_model_folder(model->model), "backend", samp_session_describe(model->session),
                  "kv", run->how->kv, "shots", (json_int_t)run->how->shots, "subjects", subjects,
                  "all", tally_json(&run->tallies.all));
    if (root && run->compared)
        samp_json_set(root, "baseline", json_string(samp_model_folder(baseline->model)));
    return root;
}

static samp_status run_all(task_run *run, samp_loaded *model, samp_loaded *baseline,
                           samp_error *error)
{
    const samp_eval_tasks *how = run->how;
    SAMP_TRY(read_paths(&run->task, &how->tasks, (size_t)how->questions, error));
    if (how->shots) SAMP_TRY(read_paths(&run->dev, &how->dev, 0, error));
    SAMP_TRY(answer(run, model, &run->answers[0], error));
    if (run->compared) SAMP_TRY(answer(run, baseline, &run->answers[1], error));
    if (how->answers) SAMP_TRY(write_answers(run, how->answers, error));
    SAMP_TRY(samp_tally_answers(&run->task, &run->answers[0],
                                run->compared ? &run->answers[1] : NULL, &run->tallies, error));
    if (how->json) return samp_print_json(result_json(run, model, baseline), error);
    print_result(run, model, baseline);
    return SAMP_OK;
}

samp_status samp_eval_tasks_run(const samp_eval_tasks *how, samp_loaded *model,
                                samp_loaded *baseline, samp_error *error)
{
    task_run run = {.how = how, .compared = baseline->session != NULL};
    samp_status status = run_all(&run, model, baseline, error);
    samp_tallies_release(&run.tallies);
    samp_answers_release(&run.answers[0]);
    samp_answers_release(&run.answers[1]);
    samp_task_release(&run.task);
    samp_task_release(&run.dev);
    return status;
}

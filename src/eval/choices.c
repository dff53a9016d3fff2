/* Answers and tallies. */
#include "eval/choices.h"

#include "base/utf8.h"

#include <string.h>

static size_t characters(const char *text) { return samp_utf8_count(text, strlen(text)); }

static samp_status answer_question(samp_scorer *scorer, const samp_question *question,
                                   const char *preamble, samp_answer *answer, samp_error *error)
{
    samp_buffer context = {0}, choice = {0};
    samp_status status = SAMP_OK;
    double best = 0, best_norm = 0;
    for (uint32_t i = 0; i < question->n_choices && status == SAMP_OK; i++) {
        samp_likelihood likelihood;
        samp_buffer_clear(&context);
        samp_buffer_clear(&choice);
        samp_buffer_printf(&context, "%s%s", preamble, question->prompts[i]);
        samp_buffer_printf(&choice, " %s", question->choices[i]);
        status = samp_buffer_ok(&context, error);
        if (status == SAMP_OK) status = samp_buffer_ok(&choice, error);
        if (status == SAMP_OK)
            status = samp_scorer_score(scorer, context.data, choice.data, &likelihood, error);
        if (status != SAMP_OK) break;
        double norm = likelihood.log_likelihood / (double)characters(question->choices[i]);
        answer->log_likelihoods[i] = likelihood.log_likelihood;
        answer->cut |= likelihood.cut;
        if (i == 0 || likelihood.log_likelihood > best)
            best = likelihood.log_likelihood, answer->picked = i;
        if (i == 0 || norm > best_norm) best_norm = norm, answer->picked_norm = i;
    }
    samp_buffer_release(&context);
    samp_buffer_release(&choice);
    if (status != SAMP_OK)
        samp_error_prefix(error, "question %.60s of %.60s", question->id, question->subject);
    return status;
}

static samp_status answer_all(samp_scorer *scorer, const samp_task *task, const samp_task *dev,
                              uint32_t shots, const samp_progress *progress, samp_answers *out,
                              samp_buffer *preamble, samp_error *error)
{
    out->items = samp_arena_alloc(&out->arena, task->n, sizeof *out->items);
    if (!out->items) return samp_fail(error, SAMP_NOMEM, "out of memory for %zu answers", task->n);
    for (size_t i = 0; i < task->n; i++) {
        const samp_question *question = &task->questions[i];
        double *values = samp_arena_alloc(&out->arena, question->n_choices, sizeof *values);
        if (!values) return samp_fail(error, SAMP_NOMEM, "out of memory for an answer");
        out->items[i].log_likelihoods = values;
        samp_buffer_clear(preamble);
        SAMP_TRY(samp_task_preamble(question, dev, shots, preamble, error));
        SAMP_TRY(answer_question(scorer, question, preamble->length ? preamble->data : "",
                                 &out->items[i], error));
        if (!samp_progress_report(progress, "answer", i + 1, task->n))
            return samp_fail(error, SAMP_CANCELLED, "evaluation was cancelled");
    }
    out->n = task->n;
    return SAMP_OK;
}

samp_status samp_answer_task(samp_scorer *scorer, const samp_task *task, const samp_task *dev,
                             uint32_t shots, const samp_progress *progress, samp_answers *out,
                             samp_error *error)
{
    samp_buffer preamble = {0};
    uint64_t before = samp_scorer_fed(scorer);
    *out = (samp_answers){0};
    samp_status status = answer_all(scorer, task, dev, shots, progress, out, &preamble, error);
    out->n_fed = samp_scorer_fed(scorer) - before;
    samp_buffer_release(&preamble);
    if (status != SAMP_OK) samp_answers_release(out);
    return status;
}

void samp_answers_release(samp_answers *answers)
{
    samp_arena_release(&answers->arena);
    *answers = (samp_answers){0};
}

/* ---- tallies ---- */

/* The tally of a subject; questions of one subject mostly follow one another. */
static samp_tally *find_tally(samp_tallies *tallies, const char *subject)
{
    for (size_t i = tallies->n_subjects; i-- > 0;)
        if (strcmp(tallies->subjects[i].subject, subject) == 0) return &tallies->subjects[i];
    if (tallies->n_subjects == SAMP_SUBJECTS_MAX) return NULL;
    samp_tally *tally = &tallies->subjects[tallies->n_subjects++];
    *tally = (samp_tally){.subject = subject, .compared = tallies->all.compared};
    return tally;
}

static void count(samp_tally *tally, uint32_t right, const samp_answer *a,
                  const samp_answer *baseline)
{
    tally->n++;
    tally->right += a->picked == right;
    tally->right_norm += a->picked_norm == right;
    tally->n_cut += a->cut;
    if (!baseline) return;
    tally->baseline_right += baseline->picked == right;
    tally->baseline_right_norm += baseline->picked_norm == right;
    tally->lost += baseline->picked == right && a->picked != right;
    tally->gained += baseline->picked != right && a->picked == right;
    tally->changed += baseline->picked != a->picked;
}

static bool lengths_differ(const samp_question *question)
{
    size_t first = characters(question->choices[0]);
    for (uint32_t i = 1; i < question->n_choices; i++)
        if (characters(question->choices[i]) != first) return true;
    return false;
}

samp_status samp_tally_answers(const samp_task *task, const samp_answers *candidate,
                               const samp_answers *baseline, samp_tallies *out, samp_error *error)
{
    *out = (samp_tallies){.all.compared = baseline != NULL};
    out->subjects = samp_alloc(SAMP_SUBJECTS_MAX, sizeof *out->subjects);
    if (!out->subjects) return samp_fail(error, SAMP_NOMEM, "out of memory for tallies");
    for (size_t i = 0; i < task->n; i++) {
        const samp_question *question = &task->questions[i];
        const samp_answer *before = baseline ? &baseline->items[i] : NULL;
        samp_tally *tally = find_tally(out, question->subject);
        if (!tally) {
            samp_tallies_release(out);
            return samp_fail(error, SAMP_LIMIT,
                             "more than %d different subjects (the next is %.60s)",
                             SAMP_SUBJECTS_MAX, question->subject);
        }
        count(tally, question->answer, &candidate->items[i], before);
        count(&out->all, question->answer, &candidate->items[i], before);
        out->by_length |= lengths_differ(question);
    }
    return SAMP_OK;
}

void samp_tallies_release(samp_tallies *tallies)
{
    samp_free(tallies->subjects);
    *tallies = (samp_tallies){0};
}

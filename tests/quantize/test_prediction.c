/* What `samp measure` predicts against what is measured: 200 random plans of a trained model
 * (stories260K), each written by the quantizer and compared with the original on text that was not
 * used for measuring. The text is the model's own: stories at temperature 1. */
#include "eval/eval.h"
#include "plan/measure.h"
#include "quantize/import.h"
#include "quantize/input_moments.h"
#include "quantize/quantize.h"
#include "run/generate.h"
#include "support/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WINDOW = 256,
    FIT_WINDOWS = 24,
    HELD_OUT_WINDOWS = 8,
    PLANS = 200,
    BOS = 1,
    FIRST_IDS = 64 /* of 512: the head is two groups, as of large vocabularies */
};

#define OK(expression)                                                                             \
    do {                                                                                           \
        if ((expression) != SAMP_OK) fail_msg("%s", error.message);                                \
    } while (0)

/* In memory where there is such a folder: 200 artifacts are written, each with its fsyncs. */
static char scratch[64];
static char source[80], artifact[80], work[80], moments_path[96], kept[80];

static int set_up(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "%s/samp-prediction-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(scratch)) return 1;
    snprintf(source, sizeof source, "%s/model", scratch);
    snprintf(artifact, sizeof artifact, "%s/artifact", scratch);
    snprintf(work, sizeof work, "%s/work", scratch);
    snprintf(kept, sizeof kept, "%s/kept", scratch);
    snprintf(moments_path, sizeof moments_path, "%s/moments.safetensors", scratch);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return samp_remove_folder(scratch, NULL) == SAMP_OK ? 0 : 1;
}

/* n windows of the model's own stories, [n][WINDOW]. */
static int32_t *tell(samp_session *session, uint32_t n, uint64_t seed)
{
    samp_error error;
    samp_tokens told = {0};
    samp_sequence *sequence;
    samp_sampler *sampler;
    samp_sampler_options how = samp_sampler_defaults();
    how.temperature = 1;
    how.top_p = 1;
    how.seed = seed;
    OK(samp_sequence_create(session, &sequence, &error));
    OK(samp_sampler_create(&sampler, &how, samp_session_config(session)->vocab_size, &error));
    int32_t *tokens = samp_alloc(n * WINDOW, sizeof *tokens), bos = BOS;
    for (uint32_t w = 0; w < n; w++) {
        samp_generated result;
        samp_generate_options options = {.prompt = &bos,
                                         .n_prompt = 1,
                                         .max_new = WINDOW - 1,
                                         .ignore_eos = true,
                                         .generated = &told};
        told.count = 0;
        samp_sequence_truncate(session, sequence, 0);
        OK(samp_generate(session, sequence, NULL, sampler, &options, &result, &error));
        assert_int_equal(told.count, WINDOW - 1);
        tokens[w * WINDOW] = BOS;
        memcpy(tokens + w * WINDOW + 1, told.ids, (WINDOW - 1) * sizeof *tokens);
    }
    samp_tokens_release(&told);
    samp_sampler_release(sampler);
    samp_sequence_release(session, sequence);
    return tokens;
}

/* A plan at a random place between the smallest and the largest: every group takes a random choice
 * near it. Returns what is predicted. */
static double draw_plan(const samp_sensitivity *s, samp_model *model, samp_prng *prng,
                        samp_weight_plan *plan)
{
    static const samp_format_id ladder[] = {SAMP_FORMAT_NF4A, SAMP_FORMAT_NF4A_G32,
                                            SAMP_FORMAT_NF5A, SAMP_FORMAT_NF6A, SAMP_FORMAT_INT8};
    double level = samp_prng_uniform(prng) * 4, predicted = 0;
    for (size_t g = 0; g < s->n_groups; g++) {
        const samp_sensitivity_group *group = &s->groups[g];
        int step = (int)lround(level + samp_prng_uniform(prng) * 2 - 1);
        step = step < 0 ? 0 : step > 4 ? 4 : step;
        const samp_sensitivity_choice *choice = NULL;
        for (uint32_t c = 0; c < group->n_choices; c++)
            if (group->choices[c].format->id == ladder[step]) choice = &group->choices[c];
        assert_non_null(choice);
        predicted += choice->kl;
        for (uint32_t w = 0; w < group->n_weights; w++)
            for (size_t i = 0; i < samp_model_count(model); i++)
                if (strcmp(samp_model_at(model, i)->name, group->weights[w]) == 0) {
                    plan[i].format = choice->format;
                    plan[i].rounding = choice->rounding;
                    plan[i].activation_bits = 16;
                }
    }
    return predicted * s->bias;
}

static double measured_kl(samp_session *baseline, const int32_t *tokens)
{
    samp_error error;
    samp_model *model;
    samp_session *session;
    samp_eval_result result;
    samp_session_options one = {.n_threads = 1};
    samp_eval_options how = {.context = WINDOW, .keep_logits = kept, .baseline_digest = "stories"};
    OK(samp_model_open(&model, artifact, &error));
    OK(samp_session_open(&session, model, &one, &error));
    OK(samp_eval_tokens(session, baseline, tokens, HELD_OUT_WINDOWS * WINDOW, &how, &result,
                        &error));
    samp_session_close(session);
    samp_model_close(model);
    return result.kl_mean.value;
}

static int by_value(const void *a, const void *b)
{
    double x = **(const double *const *)a, y = **(const double *const *)b;
    return (x > y) - (x < y);
}

static void rank(const double *values, double *ranks)
{
    const double *order[PLANS];
    for (int i = 0; i < PLANS; i++) order[i] = &values[i];
    qsort(order, PLANS, sizeof *order, by_value);
    for (int i = 0; i < PLANS; i++) ranks[order[i] - values] = i;
}

/* Spearman's; values do not tie. */
static double rank_correlation(const double *a, const double *b)
{
    double ra[PLANS], rb[PLANS], sum = 0;
    rank(a, ra);
    rank(b, rb);
    for (int i = 0; i < PLANS; i++) sum += (ra[i] - rb[i]) * (ra[i] - rb[i]);
    return 1 - 6 * sum / ((double)PLANS * (PLANS * PLANS - 1.0));
}

static void predictions_hold(void **state)
{
    (void)state;
    if (access(SAMP_DATA "/stories260K/stories260K.bin", R_OK) != 0) {
        print_message("skipped: no stories260K in " SAMP_DATA "\n");
        skip();
    }
    samp_error error;
    samp_model *model;
    samp_session *baseline;
    samp_sensitivity s;
    samp_input_moments *inputs;
    samp_import_options import = {.dtype = "fp32",
                                  .tokenizer = SAMP_DATA "/stories260K/tok512.bin"};
    samp_session_options one = {.n_threads = 1};
    OK(samp_import(SAMP_DATA "/stories260K/stories260K.bin", source, &import, NULL, &error));
    OK(samp_model_open(&model, source, &error));
    OK(samp_session_open(&baseline, model, &one, &error));
    int32_t *fit = tell(baseline, FIT_WINDOWS, 1), *held_out = tell(baseline, HELD_OUT_WINDOWS, 2);
    samp_measure_options measure = {.work_folder = work,
                                    .moments_path = moments_path,
                                    .tokens = fit,
                                    .n_tokens = FIT_WINDOWS * WINDOW,
                                    .window = WINDOW,
                                    .probe_windows = 12,
                                    .score_every = 1,
                                    .first_ids = FIRST_IDS,
                                    .n_threads = 1};
    OK(samp_measure(model, &measure, &s, &error));
    samp_weight_plan *plan = samp_alloc(samp_model_count(model), sizeof *plan);
    OK(samp_input_moments_open(&inputs, moments_path, model, plan, &error));
    double predicted[PLANS], measured[PLANS], log_ratio = 0, off = 0;
    samp_prng prng = {3};
    for (int i = 0; i < PLANS; i++) {
        predicted[i] = draw_plan(&s, model, &prng, plan);
        samp_quantize_options how = {
            .weights = plan, .first_rows = FIRST_IDS, .n_threads = 1, .force = true};
        OK(samp_quantize(source, artifact, &how, NULL, &error));
        measured[i] = measured_kl(baseline, held_out);
        log_ratio += log(measured[i] / predicted[i]) / PLANS;
    }
    for (int i = 0; i < PLANS; i++)
        off += fabs(measured[i] / (predicted[i] * exp(log_ratio)) - 1) / PLANS;
    double correlation = rank_correlation(predicted, measured);
    print_message(
        "rank correlation %.4f; measured/predicted %.3f, then off by %.1f %% on average\n",
        correlation, exp(log_ratio), 100 * off);
    assert_true(correlation >= .95);
    assert_true(off <= .10);
    samp_input_moments_close(inputs);
    samp_free(plan), samp_free(fit), samp_free(held_out);
    samp_sensitivity_release(&s);
    samp_session_close(baseline);
    samp_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(predictions_hold)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The real model: logits against an independent implementation (PyTorch in float64,
 * tests/golden/README.md), and the default integer path against exact mode for each way the demo
 * could quantize it.
 *
 * Needs the demo model. */
#include "eval/eval.h"
#include "quantize/import.h"
#include "quantize/quantize.h"
#include "run/session.h"
#include "support/demo_model.h"
#include "support/golden.h"

#include "base/memory.h"
#include "eval/compare.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOWS = 4, WINDOW = 512, POSITIONS = WINDOWS * WINDOW, TOP = 8, CHUNK = 64 };

static char folder[] = "/tmp/samp-real-XXXXXX";
static const char *model_path;
static samp_error error;
static golden_file golden;
static samp_model *model;
static samp_session *exact;

#define OK(expression)                                                                             \
    do {                                                                                           \
        if ((expression) != SAMP_OK) fail_msg("%s", error.message);                                \
    } while (0)

static const char *path_in(const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static samp_session *open_session(samp_model *from, bool exact_mode)
{
    samp_session *session;
    samp_session_options options = {.exact = exact_mode, .context = WINDOW};
    OK(samp_session_open(&session, from, &options, &error));
    return session;
}

/* float32 weights: the golden file's model is the GGUF's weights without another rounding. */
static int open_model(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    char out[700];
    snprintf(out, sizeof out, "%s/model", folder);
    OK(samp_import(model_path, out, &(samp_import_options){.dtype = "fp32"}, NULL, &error));
    OK(samp_model_open(&model, out, &error));
    exact = open_session(model, true);
    golden = golden_open("logits_smollm2");
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    samp_session_close(exact);
    samp_model_close(model);
    free(golden.bytes);
    char command[800];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Largest difference at the golden ids, agreement of the most likely token. */
static void logits_equal_an_independent_implementation(void **state)
{
    (void)state;
    golden_array tokens = golden_get(&golden, "tokens"), lse = golden_get(&golden, "log_sum_exp");
    golden_array ids[2] = {golden_get(&golden, "top_id"), golden_get(&golden, "probe_id")};
    golden_array values[2] = {golden_get(&golden, "top_logit"), golden_get(&golden, "probe_logit")};
    assert_int_equal(tokens.n, POSITIONS);
    uint32_t vocab = samp_session_config(exact)->vocab_size;
    float *logits = samp_alloc((size_t)CHUNK * vocab, sizeof *logits);
    samp_sequence *sequence;
    OK(samp_sequence_create(exact, &sequence, &error));
    double worst = 0, worst_lse = 0;
    int same_top = 0;
    for (size_t at = 0; at < POSITIONS; at += CHUNK) {
        if (at % WINDOW == 0) samp_sequence_truncate(exact, sequence, 0);
        OK(samp_session_prefill(exact, sequence, (const int32_t *)tokens.data + at, CHUNK, true,
                                logits, &error));
        for (size_t i = 0; i < CHUNK; i++) {
            const float *row = logits + i * vocab;
            for (int which = 0; which < 2; which++)
                for (size_t k = 0; k < TOP; k++) {
                    size_t index = (at + i) * TOP + k;
                    float expected = ((const float *)values[which].data)[index];
                    worst =
                        fmax(worst, fabs((double)row[((const int32_t *)ids[which].data)[index]] -
                                         expected));
                }
            samp_position p = samp_score_position(row, vocab, 0);
            same_top += p.top == ((const int32_t *)ids[0].data)[(at + i) * TOP];
            double own = (double)row[0] - p.log_probability;
            worst_lse = fmax(worst_lse, fabs(own - (double)((const float *)lse.data)[at + i]));
        }
    }
    print_message("exact mode against float64: largest logit difference %.2e, log-sum-exp %.2e, "
                  "same top-1 %d of %d\n",
                  worst, worst_lse, same_top, POSITIONS);
    assert_true(worst <= 2e-3);
    assert_true(worst_lse <= 2e-3);
    assert_true(same_top >= 0.999 * POSITIONS);
    samp_sequence_release(exact, sequence);
    samp_free(logits);
}

/* KL(exact || default) of one artifact over all golden windows: what integer products cost. */
static void compare_paths(const char *recipe)
{
    char source[700], out[700];
    snprintf(source, sizeof source, "%s", path_in("model"));
    snprintf(out, sizeof out, "%s", path_in(recipe));
    OK(samp_quantize(source, out, &(samp_quantize_options){.recipe = recipe}, NULL, &error));
    samp_model *artifact;
    OK(samp_model_open(&artifact, out, &error));
    samp_session *by_integers = open_session(artifact, false),
                 *by_floats = open_session(artifact, true);
    golden_array tokens = golden_get(&golden, "tokens");
    samp_eval_options options = {.context = WINDOW, .max_windows = 2};
    samp_eval_result result;
    OK(samp_eval_tokens(by_integers, by_floats, (const int32_t *)tokens.data, POSITIONS, &options,
                        &result, &error));
    print_message("%s: default path against exact mode: KL %.6f nats a token, same top-1 %.2f %%, "
                  "%zu tokens\n",
                  recipe, result.kl_mean.value, result.top1.value * 100, result.n_scored);
    assert_true(result.kl_mean.value <= 1e-3);
    samp_session_close(by_integers);
    samp_session_close(by_floats);
    samp_model_close(artifact);
}

static void default_path_of_samp(void **state)
{
    (void)state;
    compare_paths("samp");
}
static void default_path_of_nf4a(void **state)
{
    (void)state;
    compare_paths("nf4a");
}

int main(void)
{
    model_path = demo_model();
    if (!model_path) return 77;
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_equal_an_independent_implementation),
                                       cmocka_unit_test(default_path_of_samp),
                                       cmocka_unit_test(default_path_of_nf4a)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}

/* Drift: inputs like the calibration's have none, others do, and looking costs what it may. */
#include "plan/measure.h"
#include "quantize/input_fingerprint.h"
#include "quantize/input_moments.h"
#include "serve/drift.h"
#include "support/cmocka_all.h"
#include "support/tiny_model.h"

#include <math.h>

enum { TOKENS = 1024, WINDOW = 128 };

static int32_t tokens[TOKENS];

/* The fingerprint of a model on `tokens`, as quantize writes it. */
static json_t *measure(samp_model *model, const char *folder)
{
    char work[300], path[300];
    samp_error error;
    samp_sensitivity sensitivity = {0};
    samp_input_moments *moments;
    samp_weight_plan *plan = samp_alloc(samp_model_count(model), sizeof *plan);
    snprintf(work, sizeof work, "%s/work", folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    samp_measure_options options = {.work_folder = work,
                                    .moments_path = path,
                                    .tokens = tokens,
                                    .n_tokens = TOKENS,
                                    .window = WINDOW,
                                    .probe_windows = 1,
                                    .n_threads = 1};
    tiny_check(samp_measure(model, &options, &sensitivity, &error), &error);
    tiny_check(samp_input_moments_open(&moments, path, model, plan, &error), &error);
    json_t *manifest =
        json_pack("{s:o}", "calibration_inputs", samp_input_fingerprint(model, plan));
    assert_non_null(manifest);
    samp_input_moments_close(moments);
    samp_sensitivity_release(&sensitivity);
    samp_free(plan);
    return manifest;
}

/* Runs all tokens with every step looked at; the largest drift. */
static double run(samp_model *model, const json_t *manifest, samp_metrics *metrics)
{
    samp_drift *drift;
    samp_session *session;
    samp_error error;
    double worst = 0, value;
    const char *group;
    size_t n = 0;
    tiny_check(samp_drift_create(&drift, model, manifest, metrics, &error), &error);
    assert_non_null(drift);
    samp_session_options options = {.n_threads = 2, .tap = samp_drift_tap(drift)};
    tiny_check(samp_session_open(&session, model, &options, &error), &error);
    for (unsigned window = 0; window < TOKENS / WINDOW; window++) {
        samp_sequence *sequence;
        tiny_check(samp_sequence_create(session, &sequence, &error), &error);
        for (unsigned at = 0; at < WINDOW; at += 2) {
            samp_drift_step(drift, 100); /* half a second to spend on looking */
            tiny_check(samp_session_prefill(session, sequence, tokens + window * WINDOW + at, 2,
                                            false, NULL, &error),
                       &error);
        }
        samp_sequence_release(session, sequence);
    }
    samp_drift_step(drift, 0);
    for (; samp_drift_read(drift, n, &group, &value); n++)
        if (!isnan(value) && value > worst) worst = value;
    assert_int_equal(n, 4 * samp_model_config(model)->n_layers + 1);
    samp_session_close(session);
    samp_drift_release(drift);
    return worst;
}

static void other_traffic_is_seen(void **state)
{
    char *folder = tiny_folder();
    samp_config config = tiny_config();
    samp_model *model;
    samp_metrics *metrics;
    samp_error error;
    samp_prng prng = {3};
    (void)state;
    tiny_write(folder, &config, 11);
    for (int i = 0; i < TOKENS; i++) tokens[i] = (int32_t)samp_prng_below(&prng, 100);
    tiny_check(samp_model_open(&model, folder, &error), &error);
    tiny_check(samp_metrics_create(&metrics, "tiny", &error), &error);
    json_t *manifest = measure(model, folder);
    double same = run(model, manifest, metrics);
    assert_true(samp_metric_value(metrics, SAMP_METRIC_DRIFT_TOKENS, NULL) > 500);
    for (int i = 0; i < TOKENS; i++) tokens[i] = i % 3 ? 150 : 180; /* two tokens only */
    double other = run(model, manifest, metrics);
    print_message("drift of the calibration's own text %.3f, of other text %.3f\n", same, other);
    assert_true(same < 0.1);
    assert_true(other > 3 * same);
    samp_drift *none;
    json_t *empty = json_object();
    tiny_check(samp_drift_create(&none, model, empty, metrics, &error), &error);
    assert_null(none);
    json_decref(empty);
    json_decref(manifest);
    samp_metrics_release(metrics);
    samp_model_close(model);
    tiny_remove(folder);
}

/* Steps pay for looking: with nothing owed no step is looked at. */
static void looking_has_a_price(void **state)
{
    char *folder = tiny_folder();
    samp_config config = tiny_config();
    samp_model *model;
    samp_metrics *metrics;
    samp_error error;
    samp_drift *drift;
    (void)state;
    tiny_write(folder, &config, 11);
    tiny_check(samp_model_open(&model, folder, &error), &error);
    tiny_check(samp_metrics_create(&metrics, "tiny", &error), &error);
    json_t *manifest = json_pack("{s:{}}", "calibration_inputs");
    tiny_check(samp_drift_create(&drift, model, manifest, metrics, &error), &error);
    samp_drift_step(drift, 1e-9); /* allowed: nothing is known of the cost yet */
    samp_drift_step(drift, 1e-9); /* looked; the cost is more than two such steps pay for */
    double seen = samp_metric_value(metrics, SAMP_METRIC_DRIFT_TOKENS, NULL);
    for (int i = 0; i < 100; i++) samp_drift_step(drift, 1e-9);
    assert_true(samp_metric_value(metrics, SAMP_METRIC_DRIFT_TOKENS, NULL) == seen);
    samp_drift_release(drift);
    json_decref(manifest);
    samp_metrics_release(metrics);
    samp_model_close(model);
    tiny_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(other_traffic_is_seen),
                                       cmocka_unit_test(looking_has_a_price)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The guard of LLM.int8's threshold: a logit that is not finite raises it to 8.0, a warning says so,
 * the step runs once more; and the threshold comes from config.json. */
#include "support/tiny_session.h"

#include <fcntl.h>

static char *folder;

/* LLM.int8 with a gain that overflows, or without. */
static void make_model(bool broken, const char *threshold)
{
    samp_config config = tiny_config_even();
    char *plain = tiny_folder();
    folder = tiny_folder();
    tiny_write(plain, &config, 6);
    if (broken) { /* what tiny_write made, once more, with another final norm */
        tiny_file file = {0};
        samp_prng prng = {6};
        for (int role = 0; role < SAMP_ROLE_COUNT; role++) {
            if (!samp_role_present((samp_role)role, &config)) continue;
            uint32_t n_layers = samp_role_is_per_layer((samp_role)role) ? config.n_layers : 1;
            for (uint32_t layer = 0; layer < n_layers; layer++) {
                tiny_weight(&file, &config, (samp_role)role, layer, &prng);
                if (role != SAMP_ROLE_MLP_NORM) continue;
                float *gain = (float *)file.tensors[file.n - 1].bytes;
                for (uint32_t i = 0; i < config.dim; i++) gain[i] = i % 2 ? 3e38f : -3e38f;
            }
        }
        tiny_commit(&file, plain);
    }
    tiny_quantize(plain, folder, SAMP_FORMAT_LLM_INT8, 8);
    tiny_remove(plain);
    char path[512];
    json_t *json;
    OK(samp_path_join(path, sizeof path, folder, "config.json", e));
    OK(samp_json_load(&json, path, 1 << 20, e));
    json_object_set_new(json_object_get(json, "quantization_config"), "llm_int8_threshold",
                        json_real(strtod(threshold, NULL)));
    tiny_write_json(folder, json);
}

/* One step of three tokens; what was written to standard error goes to said [1024]. */
static samp_status step(samp_session *session, float *logits, char *said)
{
    samp_error error = {0};
    int32_t tokens[] = {1, 2, 3};
    samp_sequence *sequence = sequence_on(session);
    samp_feed feed = {.sequence = sequence, .tokens = tokens, .n_tokens = 3, .logits = logits};
    char path[512];
    OK(samp_path_join(path, sizeof path, folder, "said", e));
    int kept = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    samp_status status = samp_session_step(session, &feed, 1, &error);
    dup2(kept, STDERR_FILENO);
    ssize_t n = pread(file, said, 1023, 0);
    said[n > 0 ? n : 0] = '\0';
    close(file);
    close(kept);
    assert_int_equal(samp_sequence_length(sequence), status == SAMP_OK ? 3 : 0);
    samp_sequence_release(session, sequence);
    return status;
}

static void threshold_is_raised_once(void **state)
{
    (void)state;
    make_model(true, "6.0");
    samp_session *session = session_on(folder, (samp_session_options){.n_threads = 1});
    float *logits = samp_alloc(vocab_of(session), sizeof *logits);
    char said[1024];
    assert_true(samp_session_outlier_threshold(session) == 6);
    assert_int_equal(step(session, logits, said), SAMP_NUMERIC);
    assert_non_null(strstr(said, "outliers goes from 6 to 8"));
    assert_true(samp_session_outlier_threshold(session) == 8);
    assert_int_equal(step(session, logits, said),
                     SAMP_NUMERIC); /* there is nothing more to raise */
    assert_string_equal(said, "");
    samp_session_close(session);
    samp_free(logits);
    tiny_remove(folder);
}

/* A low threshold is no danger: more columns as they are, finite logits, closer to exact mode. */
static void low_thresholds_are_more_accurate(void **state)
{
    (void)state;
    static const char *const thresholds[] = {"0", "3.0", "1.0"};
    double error[3];
    for (int i = 0; i < 3; i++) {
        make_model(false, thresholds[i]);
        samp_session *session = session_on(folder, (samp_session_options){.n_threads = 1});
        samp_session *exact = session_on(folder, (samp_session_options){.exact = true});
        size_t vocab = vocab_of(session);
        float *logits = samp_alloc(2 * vocab, sizeof *logits);
        char said[1024];
        assert_int_equal(step(session, logits, said), SAMP_OK);
        assert_int_equal(step(exact, logits + vocab, said), SAMP_OK);
        error[i] = 0;
        for (size_t v = 0; v < vocab; v++) {
            double d = (double)logits[v] - (double)logits[vocab + v];
            error[i] += d * d;
        }
        samp_free(logits);
        samp_session_close(exact);
        samp_session_close(session);
        tiny_remove(folder);
    }
    assert_true(error[2] < error[0]);
    assert_true(error[1] <= error[0]);
}

static void bad_thresholds_are_refused(void **state)
{
    (void)state;
    samp_model *model;
    samp_error error;
    make_model(false, "-1");
    assert_int_equal(samp_model_open(&model, folder, &error), SAMP_CORRUPT);
    assert_non_null(strstr(error.message, "\"llm_int8_threshold\" is -1"));
    tiny_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threshold_is_raised_once),
                                       cmocka_unit_test(low_thresholds_are_more_accurate),
                                       cmocka_unit_test(bad_thresholds_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

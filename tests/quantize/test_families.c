/* The journey with families that are not quite Llama, on the checkpoints of tests/golden/models:
 * measured layer by layer as the whole model computes, planned within a budget, quantized to the
 * bytes that were announced, valid, and run with the same bits on both backends. Biases and norms
 * stay as they were. */
#include "eval/compare.h"
#include "plan/measure.h"
#include "plan/plan.h"
#include "quantize/input_moments.h"
#include "quantize/quantize.h"
#include "quantize/validate.h"
#include "run/layered.h"
#include "support/tiny_session.h"

#include <sys/stat.h>

enum { WINDOW = 80, N_TOKENS = 3 * WINDOW }; /* past a KV block and five windows of 16 */

static char root[256], source[256], artifact[300];
static int32_t tokens[N_TOKENS];

static float *logits_in(const char *folder, const char *backend)
{
    samp_session *session =
        session_on(folder, (samp_session_options){.backend = backend, .n_threads = 1});
    float *logits = logits_of(session, tokens, WINDOW);
    samp_session_close(session);
    return logits;
}

static void layered_equals_whole(samp_model *model)
{
    samp_layered *layered;
    samp_layered_head *head;
    const samp_config *config = samp_model_config(model);
    float *x = samp_alloc((size_t)WINDOW * config->dim, sizeof *x);
    float *logits = samp_alloc((size_t)WINDOW * config->vocab_size, sizeof *logits);
    OK(samp_layered_open(&layered, model, &(samp_session_options){.n_threads = 1}, WINDOW, e));
    OK(samp_layered_embed(layered, NULL, tokens, WINDOW, x, e));
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        samp_layered_block *block;
        OK(samp_layered_block_create(layered, layer, NULL, &block, e));
        OK(samp_layered_run(layered, block, WINDOW, x, NULL, e));
        samp_layered_block_release(layered, block);
    }
    OK(samp_layered_head_create(layered, NULL, &head, e));
    const samp_layered_head *heads[] = {head, NULL};
    OK(samp_layered_logits(layered, heads, x, WINDOW, logits, NULL, e));
    samp_layered_head_release(layered, head);
    samp_layered_close(layered);
    float *whole = logits_in(source, "cpu");
    assert_memory_equal(logits, whole, (size_t)WINDOW * config->vocab_size * sizeof *logits);
    samp_free(whole);
    samp_free(logits);
    samp_free(x);
}

/* Measures, plans within about six bits a weight, and writes the artifact. */
static void journey(samp_model *model, const char *moments)
{
    samp_sensitivity s;
    samp_plan plan;
    char work[300];
    snprintf(work, sizeof work, "%s/work", root);
    samp_measure_options measure = {.work_folder = work,
                                    .moments_path = moments,
                                    .tokens = tokens,
                                    .n_tokens = N_TOKENS,
                                    .window = WINDOW,
                                    .probe_windows = 1,
                                    .n_threads = 1};
    OK(samp_measure(model, &measure, &s, e));
    uint64_t vectors = 0, bytes = 0;
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *weight = samp_model_at(model, i);
        bytes += weight->layout.bytes;
        if (!samp_role_is_matrix(weight->role)) vectors += weight->layout.bytes;
    }
    assert_int_equal(s.vector_bytes, vectors);
    samp_plan_options how = {.max_bytes = bytes / 16 * 6 + 20000};
    OK(samp_plan_make(&plan, &s, &how, e));
    uint64_t announced = plan.solution.bytes + plan.fixed_bytes;
    json_t *json = samp_plan_json(&plan, &s, &how);
    samp_weight_plan *weights = samp_alloc(samp_model_count(model), sizeof *weights);
    samp_input_moments *inputs;
    OK(samp_plan_parse(json, "plan", model, weights, e));
    OK(samp_input_moments_open(&inputs, moments, model, weights, e));
    samp_quantize_sizes sizes;
    samp_quantize_options options = {.weights = weights, .n_threads = 1, .dry_run = &sizes};
    OK(samp_quantize(source, NULL, &options, NULL, e));
    options.dry_run = NULL;
    OK(samp_quantize(source, artifact, &options, NULL, e));
    struct stat file;
    char path[600];
    snprintf(path, sizeof path, "%s/%s", artifact, sizes.files.shards[0].name);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(sizes.files.bytes, file.st_size);
    assert_true(sizes.files.bytes <= announced && announced <= how.max_bytes);
    samp_artifact_sizes_release(&sizes.files);
    samp_input_moments_close(inputs);
    samp_free(weights);
    json_decref(json);
    samp_plan_release(&plan);
    samp_sensitivity_release(&s);
}

static void vectors_are_the_same(samp_model *model)
{
    samp_model *quantized;
    OK(samp_model_open(&quantized, artifact, e));
    for (size_t i = 0; i < samp_model_count(model); i++) {
        const samp_weight_ref *a = samp_model_at(model, i), *b = samp_model_at(quantized, i);
        assert_string_equal(a->name, b->name);
        if (samp_role_is_matrix(a->role)) continue;
        void *x[SAMP_PARTS_MAX], *y[SAMP_PARTS_MAX];
        assert_ptr_equal(a->format, b->format);
        OK(samp_model_read_parts(model, a, x, e));
        OK(samp_model_read_parts(quantized, b, y, e));
        assert_memory_equal(x[0], y[0], a->layout.bytes);
        samp_model_free_parts(x);
        samp_model_free_parts(y);
    }
    samp_model_close(quantized);
}

/* Mean over positions. */
static double divergence(const float *from, const float *to, size_t vocab)
{
    double sum = 0;
    for (size_t i = 0; i < WINDOW; i++) {
        double p_sum = 0, q_sum = 0, kl = 0;
        for (size_t v = 0; v < vocab; v++) {
            p_sum += exp((double)from[i * vocab + v]);
            q_sum += exp((double)to[i * vocab + v]);
        }
        for (size_t v = 0; v < vocab; v++) {
            double log_p = (double)from[i * vocab + v] - log(p_sum);
            kl += exp(log_p) * (log_p - (double)to[i * vocab + v] + log(q_sum));
        }
        sum += kl / WINDOW;
    }
    return sum;
}

static void test_journey(void **state)
{
    (void)state;
    static const char *const cases[] = {"qwen2", "qwen2_yarn", "qwen3", "smollm3", "mistral"};
    char *scratch = tiny_folder(), moments[300];
    snprintf(root, sizeof root, "%s", scratch);
    snprintf(artifact, sizeof artifact, "%s/artifact", scratch);
    snprintf(moments, sizeof moments, "%s/moments.safetensors", scratch);
    random_tokens(tokens, N_TOKENS, 128, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_model *model;
        snprintf(source, sizeof source, SAMP_GOLDEN "/models/%s", cases[i]);
        OK(samp_model_open(&model, source, e));
        layered_equals_whole(model);
        journey(model, moments);
        vectors_are_the_same(model);
        float *plain = logits_in(source, "cpu"), *cpu = logits_in(artifact, "cpu");
        float *reference = logits_in(artifact, "reference");
        assert_memory_equal(cpu, reference, WINDOW * 128 * sizeof *cpu);
        double kl = divergence(plain, cpu, 128);
        printf("%s: %.4f nats a token\n", cases[i], kl);
        assert_true(kl > 0 && kl < 0.1);
        samp_free(plain), samp_free(cpu), samp_free(reference);
        samp_findings findings = {0};
        OK(samp_validate(artifact, &(samp_validate_options){.depth = SAMP_VALIDATE_DEEP}, NULL,
                         &findings, e));
        for (size_t f = 0; f < findings.count; f++)
            if (samp_finding_rule_get(findings.items[f].id)->severity == SAMP_SEVERITY_ERROR)
                fail_msg("%s: %s", cases[i], findings.items[f].message);
        samp_findings_release(&findings);
        samp_model_close(model);
        OK(samp_remove_folder(artifact, e));
    }
    tiny_remove(scratch);
}

/* A plan is for one model: windows, rope and biases are in its digest. */
static void test_digests_differ(void **state)
{
    (void)state;
    static const char *const cases[] = {"llama2", "llama3",     "mistral", "qwen2",
                                        "qwen3",  "qwen2_yarn", "smollm3"};
    enum { N = sizeof cases / sizeof *cases };
    char digests[N][65], folder[256];
    for (size_t i = 0; i < N; i++) {
        samp_model *model;
        snprintf(folder, sizeof folder, SAMP_GOLDEN "/models/%s", cases[i]);
        OK(samp_model_open(&model, folder, e));
        OK(samp_model_digest(model, digests[i], e));
        samp_model_close(model);
        for (size_t j = 0; j < i; j++) assert_string_not_equal(digests[i], digests[j]);
    }
}

int main(void)
{
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journey),
        cmocka_unit_test(test_digests_differ),
    };
    return cmocka_run_group_tests_name("quantize/families", tests, NULL, NULL);
}

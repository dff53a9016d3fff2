/* The CPU backend against the reference, through whole models, by memcmp of logits: every number
 * format, both input precisions, both KV types, exact and not, at every instruction set this
 * machine has. */
#include "base/cpu.h"
#include "support/tiny_session.h"

enum { LENGTH = 70, SEQUENCES = 2 }; /* past one KV block */

/* Logits of two sequences of unequal length, fed in two batched steps: [2][LENGTH][vocab]. */
static float *batched_logits(const char *folder, samp_session_options options)
{
    static const uint32_t lengths[SEQUENCES] = {LENGTH, 11};
    samp_session *session = session_on(folder, options);
    size_t vocab = vocab_of(session);
    float *logits = samp_alloc(SEQUENCES * LENGTH * vocab, sizeof *logits);
    int32_t tokens[SEQUENCES][LENGTH];
    samp_feed feeds[SEQUENCES];
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        random_tokens(tokens[s], LENGTH, (uint32_t)vocab, s);
        feeds[s] = (samp_feed){sequence_on(session), tokens[s], lengths[s] - 7, true,
                               logits + s * LENGTH * vocab};
    }
    OK(samp_session_step(session, feeds, SEQUENCES, e));
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        feeds[s].logits += feeds[s].n_tokens * vocab;
        feeds[s].tokens += feeds[s].n_tokens;
        feeds[s].n_tokens = 7;
    }
    OK(samp_session_step(session, feeds, SEQUENCES, e));
    for (uint32_t s = 0; s < SEQUENCES; s++) samp_sequence_release(session, feeds[s].sequence);
    samp_session_close(session);
    return logits;
}

static void expect_equal(const char *folder, samp_session_options options, size_t vocab,
                         const char *what)
{
    options.backend = "reference";
    float *want = batched_logits(folder, options);
    options.backend = "cpu";
    options.n_threads = 2;
    for (int level = 0; level <= (int)samp_cpu_host(); level++) {
        setenv("SAMP_CPU", samp_cpu_name((samp_cpu_level)level), 1);
        float *got = batched_logits(folder, options);
        size_t n = SEQUENCES * LENGTH * vocab;
        for (size_t i = 0; i < n; i++)
            if (memcmp(&got[i], &want[i], sizeof *got) != 0)
                fail_msg("%s, %s, exact %d, kv %d: sequence %zu, position %zu, logit %zu is %.9g, "
                         "reference %.9g",
                         what, samp_cpu_name((samp_cpu_level)level), options.exact,
                         (int)options.kv_type, i / vocab / LENGTH, i / vocab % LENGTH, i % vocab,
                         (double)got[i], (double)want[i]);
        samp_free(got);
    }
    unsetenv("SAMP_CPU");
    samp_free(want);
}

static void compare_format(const char *plain, size_t vocab, samp_format_id format,
                           int activation_bits)
{
    char *folder = tiny_folder(), what[64];
    tiny_quantize(plain, folder, format, activation_bits);
    snprintf(what, sizeof what, "%s a%d", samp_format_get(format)->name, activation_bits);
    expect_equal(folder, (samp_session_options){.kv_type = SAMP_KV_FP16}, vocab, what);
    expect_equal(folder, (samp_session_options){.kv_type = SAMP_KV_INT8}, vocab, what);
    if (activation_bits == 16)
        expect_equal(folder, (samp_session_options){.exact = true}, vocab, what);
    tiny_remove(folder);
}

static void compare_all(const samp_config *config)
{
    char *plain = tiny_folder();
    tiny_write(plain, config, 5);
    expect_equal(plain, (samp_session_options){0}, config->vocab_size, "plain");
    for (int format = 0; format < SAMP_FORMAT_COUNT; format++) {
        compare_format(plain, config->vocab_size, (samp_format_id)format, 16);
        compare_format(plain, config->vocab_size, (samp_format_id)format, 8);
    }
    tiny_remove(plain);
}

static void test_odd_shapes(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    config.vocab_size = 71;
    compare_all(&config);
}

static void test_even_shapes(void **state)
{
    (void)state;
    samp_config config = tiny_config_even();
    config.vocab_size = 71;
    compare_all(&config);
}

/* Logits of a model in int8 whose head is cut after `first_rows` rows, those in `first`. */
static float *cut_logits(const char *plain, samp_format_id first, uint64_t first_rows,
                         const char *backend)
{
    char *folder = tiny_folder();
    tiny_quantize_cut(plain, folder, SAMP_FORMAT_INT8, 16, first_rows, first);
    float *logits = batched_logits(folder, (samp_session_options){.backend = backend});
    tiny_remove(folder);
    return logits;
}

/* A head in two weights is the same as one where both have its format, and where they do not, each
 * part is that of a head all in it; on both backends, tied and not. */
static void test_head_in_two_weights(void **state)
{
    (void)state;
    enum { FIRST = 24 };
    for (int tied = 0; tied < 2; tied++) {
        samp_config config = tiny_config_even();
        config.vocab_size = 71;
        config.tied_embeddings = tied;
        char *plain = tiny_folder();
        tiny_write(plain, &config, 6);
        size_t n = SEQUENCES * LENGTH * config.vocab_size;
        float *whole = cut_logits(plain, SAMP_FORMAT_INT8, 0, NULL),
              *same = cut_logits(plain, SAMP_FORMAT_INT8, FIRST, NULL),
              *mixed = cut_logits(plain, SAMP_FORMAT_NF4, FIRST, NULL),
              *reference = cut_logits(plain, SAMP_FORMAT_NF4, FIRST, "reference");
        assert_memory_equal(same, whole, n * sizeof *whole);
        assert_memory_equal(mixed, reference, n * sizeof *mixed);
        size_t differ = 0;
        for (size_t i = 0; i < LENGTH * config.vocab_size && !tied; i++) {
            bool first = i % config.vocab_size < FIRST;
            differ += first && mixed[i] != whole[i];
            if (!first) assert_true(mixed[i] == whole[i]);
        }
        assert_true(tied || differ > LENGTH * FIRST / 2);
        samp_free(whole), samp_free(same), samp_free(mixed), samp_free(reference);
        tiny_remove(plain);
    }
}

int main(void)
{
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_even_shapes),
        cmocka_unit_test(test_head_in_two_weights),
    };
    return cmocka_run_group_tests_name("run/backends", tests, NULL, NULL);
}

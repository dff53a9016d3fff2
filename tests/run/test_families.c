/* Every family against transformers: the tiny checkpoints and logits of tests/golden/models (made by
 * tools/golden_models.py). Exact sessions must give those logits; others come close; and however a
 * text is cut into steps, on whichever backend, the bits are the same. */
#include "support/golden.h"
#include "support/tiny_session.h"

enum { LENGTH = 150 };

static const char *const CASES[] = {"llama2",     "llama3", "mistral", "qwen2",
                                    "qwen2_yarn", "qwen3",  "smollm3"};
enum { N_CASES = sizeof CASES / sizeof *CASES };

typedef struct golden_case {
    golden_file file;
    char folder[512];
    const int32_t *tokens; /* [LENGTH] */
    golden_array rows, logits;
} golden_case;

static golden_case case_open(const char *name)
{
    golden_case c;
    char path[64];
    snprintf(path, sizeof path, "models/%s/logits", name);
    snprintf(c.folder, sizeof c.folder, "%s/models/%s", SAMP_GOLDEN, name);
    c.file = golden_open(path);
    golden_array tokens = golden_get(&c.file, "tokens");
    assert_int_equal(tokens.n, LENGTH);
    c.tokens = (const int32_t *)tokens.data;
    c.rows = golden_get(&c.file, "rows");
    c.logits = golden_get(&c.file, "logits");
    return c;
}

/* The largest difference from the golden logits, relative to the largest of them. */
static double worst(const golden_case *c, const float *got)
{
    const int32_t *rows = (const int32_t *)c->rows.data;
    const float *want = (const float *)c->logits.data;
    size_t vocab = c->logits.n / c->rows.n;
    double difference = 0, largest = 0;
    for (size_t r = 0; r < c->rows.n; r++)
        for (size_t i = 0; i < vocab; i++) {
            double x = (double)want[r * vocab + i], y = (double)got[(size_t)rows[r] * vocab + i];
            difference = fmax(difference, fabs(x - y));
            largest = fmax(largest, fabs(x));
        }
    return difference / largest;
}

static float *run(const golden_case *c, samp_session_options options)
{
    samp_session *session = session_on(c->folder, options);
    float *logits = logits_of(session, c->tokens, LENGTH);
    samp_session_close(session);
    return logits;
}

static void test_equals_transformers(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        golden_case c = case_open(CASES[i]);
        float *exact = run(&c, (samp_session_options){.exact = true});
        float *fast = run(&c, (samp_session_options){0});
        double exact_error = worst(&c, exact), fast_error = worst(&c, fast);
        printf("%s: exact %.1e, otherwise %.1e of the largest logit\n", CASES[i], exact_error,
               fast_error);
        assert_true(exact_error < 1e-4);
        assert_true(fast_error < 1e-2); /* keys and values in FP16 */
        samp_free(exact);
        samp_free(fast);
        free(c.file.bytes);
    }
}

/* One token at a time, steps that straddle the window and the KV blocks, all at once; 1 to 5
 * threads; the plainest instruction set; the reference backend. */
static void test_same_bits(void **state)
{
    (void)state;
    static const samp_session_options ways[] = {{.max_batch = 1, .n_threads = 1},
                                                {.max_batch = 7, .n_threads = 2},
                                                {.max_batch = 64, .n_threads = 5},
                                                {.backend = "reference"}};
    for (int i = 0; i < N_CASES; i++)
        for (int exact = 0; exact < 2; exact++) {
            golden_case c = case_open(CASES[i]);
            float *whole = run(&c, (samp_session_options){.exact = exact, .n_threads = 1});
            size_t vocab = c.logits.n / c.rows.n;
            for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
                samp_session_options options = ways[w];
                options.exact = exact;
                if (w == 1) setenv("SAMP_CPU", "scalar", 1);
                float *got = run(&c, options);
                unsetenv("SAMP_CPU");
                if (memcmp(got, whole, LENGTH * vocab * sizeof *got) != 0)
                    fail_msg("%s, exact %d: way %zu differs from one step", CASES[i], exact, w);
                samp_free(got);
            }
            samp_free(whole);
            free(c.file.bytes);
        }
}

int main(void)
{
    setenv("SAMP_BACKEND_PATH", SAMP_BUILD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_transformers),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests_name("run/families", tests, NULL, NULL);
}

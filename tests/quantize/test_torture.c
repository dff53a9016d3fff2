/* Each of the first 1,000 allocations fails, one run after the other: of loading a model, of
 * quantizing and validating one, and of an evaluation against a baseline. In one series all
 * allocations after the failing one fail too, in the other it is the only one, so that code that
 * goes on without looking is found. Every time: SAMP_NOMEM and a sentence or, where only one failed
 * and can be done without, success; nothing leaked (by count, so in every build); what OUT held is
 * untouched. */
#include "support/cmocka_all.h"

#include "eval/eval.h"
#include "model/tokenizer.h"
#include "quantize/model_maker.h"
#include "quantize/quantize.h"
#include "quantize/validate.h"

enum { ALLOCATIONS = 1000 };

typedef struct fixture {
    char root[256], source[512], artifact[512], logits[512];
} fixture;

static int group_setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    samp_error error;
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0); /* fsync costs nothing */
    maker_scratch(f->root, sizeof f->root);
    snprintf(f->source, sizeof f->source, "%s/source", f->root);
    snprintf(f->artifact, sizeof f->artifact, "%s/artifact", f->root);
    snprintf(f->logits, sizeof f->logits, "%s/logits", f->root);
    maker_model(f->source, (maker_shape){1, 64, 96, 2, 1, 160, false}, 1);
    samp_quantize_options options = {.recipe = "samp", .n_threads = 1};
    maker_must(samp_quantize(f->source, f->artifact, &options, NULL, &error), &error);
    *state = f;
    return 0;
}

static int group_teardown(void **state)
{
    fixture *f = *state;
    samp_error error;
    maker_must(samp_remove_folder(f->root, &error), &error);
    free(f);
    return 0;
}

/* ---- the journeys ---- */

static samp_status open_session(const char *folder, samp_session **out, samp_error *error)
{
    samp_model *model;
    SAMP_TRY(samp_model_open(&model, folder, error));
    samp_session_options options = {.n_threads = 1, .context = 128, .max_batch = 32};
    samp_status status = samp_session_open(out, model, &options, error);
    samp_model_close(model);
    return status;
}

static samp_status load(const fixture *f, samp_error *error)
{
    samp_tokenizer *tokenizer;
    samp_session *session = NULL;
    samp_tokens tokens = {0};
    SAMP_TRY(samp_tokenizer_load(&tokenizer, f->artifact, error));
    samp_encode_text how = {.add_bos = true};
    samp_status status = samp_tokenizer_encode(tokenizer, "abcab", 5, how, &tokens, error);
    if (status == SAMP_OK) status = open_session(f->artifact, &session, error);
    samp_session_close(session);
    samp_tokens_release(&tokens);
    samp_tokenizer_release(tokenizer);
    return status;
}

static samp_status quantize(const fixture *f, samp_error *error)
{
    samp_quantize_options options = {
        .recipe = "samp", .n_threads = 1, .start_over = true, .force = true};
    return samp_quantize(f->source, f->artifact, &options, NULL, error);
}

static samp_status evaluate(const fixture *f, samp_error *error)
{
    samp_session *candidate = NULL, *baseline = NULL;
    samp_eval_result result;
    int32_t tokens[96];
    for (int i = 0; i < 96; i++) tokens[i] = i * 7 % 160;
    samp_eval_options options = {.context = 32, .keep_logits = f->logits, .baseline_digest = "d"};
    samp_status status = open_session(f->artifact, &candidate, error);
    if (status == SAMP_OK) status = open_session(f->source, &baseline, error);
    if (status == SAMP_OK)
        status = samp_eval_tokens(candidate, baseline, tokens, 96, &options, &result, error);
    samp_session_close(baseline);
    samp_session_close(candidate);
    return status;
}

/* A sound artifact stays sound: what memory is missing for is no finding. */
static samp_status validate(const fixture *f, samp_error *error)
{
    samp_findings findings = {0};
    samp_validate_options options = {.depth = SAMP_VALIDATE_DEEP, .n_threads = 1};
    samp_status status = samp_validate(f->artifact, &options, NULL, &findings, error);
    if (status == SAMP_OK && findings.count) fail_msg("%s", findings.items[0].message);
    samp_findings_release(&findings);
    return status;
}

/* ---- torture ---- */

typedef samp_status journey(const fixture *f, samp_error *error);

/* Fails each allocation in turn; how many runs failed. */
static int torture(const fixture *f, journey *go, void (*arm)(uint64_t n))
{
    int failures = 0;
    for (uint64_t n = 1; n <= ALLOCATIONS; n++) {
        samp_error error = {0};
        uint64_t before = samp_alloc_live(), first = samp_alloc_count();
        arm(n);
        samp_status status = go(f, &error);
        samp_alloc_fail_at(0);
        if (samp_alloc_live() != before)
            fail_msg("allocation %llu: %lld blocks were leaked", (unsigned long long)n,
                     (long long)(samp_alloc_live() - before));
        if (status != SAMP_OK && (status != SAMP_NOMEM || !strstr(error.message, "memory")))
            fail_msg("allocation %llu: status %d, \"%s\"", (unsigned long long)n, status,
                     error.message);
        if (!samp_is_folder(f->artifact)) fail_msg("the artifact that was there is gone");
        if (status == SAMP_OK && samp_alloc_count() - first < n) break; /* it never came to n */
        failures += status != SAMP_OK;
    }
    return failures;
}

static void torture_both(const fixture *f, journey *go)
{
    samp_error error = {0};
    maker_must(go(f, &error), &error); /* what is made once in a process is made here */
    int failures = torture(f, go, samp_alloc_fail_at);
    int alone = torture(f, go, samp_alloc_fail_once);
    print_message("%d and %d runs failed\n", failures, alone);
    assert_true(failures > 50 && alone > 50);
    maker_must(go(f, &error), &error);
}

static void test_load(void **state) { torture_both(*state, load); }
static void test_quantize(void **state) { torture_both(*state, quantize); }
static void test_validate(void **state) { torture_both(*state, validate); }
static void test_evaluate(void **state) { torture_both(*state, evaluate); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_validate),
        cmocka_unit_test(test_evaluate),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

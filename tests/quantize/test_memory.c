/* quantize and validate need the memory of a few row panels, not of a model: measured on one layer
 * of an 8B model's shapes. SAMP_TEST_8B=1 takes all 32 layers and its whole vocabulary (16 GB of
 * sparse input, up to 8 GB of output). */
#include "support/cmocka_all.h"

#include "base/clock.h"
#include "quantize/model_maker.h"
#include "quantize/quantize.h"
#include "quantize/validate.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A goal of its own; the requirement is 1 GB. Sanitizers keep freed memory for a while. */
#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined SANITIZED || defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { PEAK_MB = 1000 };
#else
enum { PEAK_MB = 300 };
#endif

typedef struct memory_job {
    const char *source, *out;
    bool validate;
} memory_job;

static int work(const memory_job *job)
{
    samp_error error = {0};
    samp_status status;
    if (job->validate) {
        samp_findings findings = {0};
        samp_validate_options options = {.depth = SAMP_VALIDATE_DEEP, .n_threads = 2};
        status = samp_validate(job->out, &options, NULL, &findings, &error);
        if (samp_findings_at_least(&findings, SAMP_SEVERITY_ERROR)) status = SAMP_CORRUPT;
        samp_findings_release(&findings);
    } else {
        samp_quantize_options options = {.recipe = "samp", .n_threads = 2};
        status = samp_quantize(job->source, job->out, &options, NULL, &error);
    }
    if (status != SAMP_OK) fprintf(stderr, "%s\n", error.message);
    return status == SAMP_OK ? 0 : 1;
}

/* Peak resident set of a child that does the job, in MB. */
static double peak_of(const memory_job *job)
{
    double start = samp_clock();
    pid_t child = fork();
    if (child == 0) _exit(work(job));
    int status;
    struct rusage usage;
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    double peak_mb = (double)usage.ru_maxrss / 1024;
    print_message("%s: peak %.0f MB, %.1f s\n", job->validate ? "validate --deep" : "quantize",
                  peak_mb, samp_clock() - start);
    return peak_mb;
}

static void test_peak_memory(void **state)
{
    (void)state;
    bool whole = getenv("SAMP_TEST_8B") != NULL;
    maker_shape shape = {whole ? 32 : 1, 4096, 14336, 32, 8, whole ? 128256 : 8192, false};
    char root[256], source[512], out[512];
    maker_scratch(root, sizeof root);
    snprintf(source, sizeof source, "%s/source", root);
    snprintf(out, sizeof out, "%s/out", root);
    maker_sparse_model(source, shape, 1);
    memory_job quantize = {source, out, false}, validate = {source, out, true};
    double a = peak_of(&quantize), b = peak_of(&validate);
    samp_error error;
    maker_must(samp_remove_folder(root, &error), &error);
    assert_true(a < PEAK_MB);
    assert_true(b < PEAK_MB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peak_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How fast a tokenizer encodes: bench_tokenizer FOLDER TEXT... prints, for each file, the seconds
 * of the fastest of several runs and the tokens. Run by tools/bench_tokenizer.py, which compares
 * them with Hugging Face's tokenizers. */
#include "file/file.h"
#include "model/tokenizer.h"

#include <stdio.h>
#include <time.h>

enum { RUNS = 5, TEXT_MAX = 64 << 20 };

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static samp_status time_file(const samp_tokenizer *t, const char *path, samp_error *error)
{
    samp_buffer text = {0};
    samp_tokens tokens = {0};
    double best = 1e9;
    samp_status status = samp_file_slurp(path, TEXT_MAX, &text, error);
    for (int run = 0; run < RUNS && status == SAMP_OK; run++) {
        tokens.count = 0;
        double start = seconds_now();
        status = samp_tokenizer_encode(t, text.length ? text.data : "", text.length,
                                       (samp_encode_text){.parse_special = true}, &tokens, error);
        double seconds = seconds_now() - start;
        if (seconds < best) best = seconds;
    }
    if (status == SAMP_OK) printf("%.6f %zu\n", best, tokens.count);
    samp_tokens_release(&tokens);
    samp_buffer_release(&text);
    return status;
}

int main(int argc, char **argv)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    samp_status status = SAMP_INVALID;
    if (argc < 3)
        samp_fail(&error, status, "usage: bench_tokenizer FOLDER TEXT...");
    else
        status = samp_tokenizer_load(&t, argv[1], &error);
    for (int i = 2; i < argc && status == SAMP_OK; i++) status = time_file(t, argv[i], &error);
    if (status != SAMP_OK) fprintf(stderr, "%s\n", error.message);
    samp_tokenizer_release(t);
    return status == SAMP_OK ? 0 : 2;
}

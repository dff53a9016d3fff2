/* What the engine costs and saves, against plain steps of a session on the same model:
 *
 *     bench_engine MODEL [THREADS [RUNS [FEWEST]]]
 *     bench_engine --offline MODEL THREADS STREAMS REQUESTS PROMPT ANSWER
 *
 * streams  tokens a second of FEWEST (1) … 64 requests at once (32 prompt tokens, 32 generated,
 *          greedy, no guesses), and of as many sequences fed by hand; the two alternate, ratios are
 *          of medians
 * prefix   time to the first token of a prompt of 1,056 tokens, with its first 1,024 in the cache
 *          over without
 * guesses  tokens a second of one request that repeats itself, with guesses over without
 *
 * --offline: tokens a second of that many requests, all there from the start, STREAMS of them running: what `samp bench -c
 * STREAMS` of a server on the same model can at best see.
 *
 * On a shared machine only ratios mean something: seconds of processor time are given beside wall
 * time, because other programs' load is not in them. Prints one JSON object. */
#include "base/prng.h"
#include "support/engine_times.h"
#include "support/tiny_session.h"

enum { STREAMS_MAX = 64, PROMPT = 32, ANSWER = 32, SHARED = 1024 };

/* ---- a session by hand ---- */

static int32_t likeliest(const float *logits, uint32_t vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

static times by_hand(samp_session *session, const int32_t *prompts, uint32_t n)
{
    uint32_t vocab = (uint32_t)vocab_of(session);
    samp_sequence *sequences[STREAMS_MAX];
    samp_feed feeds[STREAMS_MAX];
    int32_t tokens[STREAMS_MAX];
    float *logits = samp_alloc((size_t)n * vocab, sizeof *logits);
    samp_error error;
    for (uint32_t i = 0; i < n; i++)
        check(samp_sequence_create(session, &sequences[i], &error), &error);
    times start = now();
    for (uint32_t done = 0, group = 512 / PROMPT; done < n; done += group) { /* steps of 512 */
        uint32_t m = n - done < group ? n - done : group;
        for (uint32_t i = done; i < done + m; i++)
            feeds[i] = (samp_feed){sequences[i], prompts + i * PROMPT, PROMPT, false,
                                   logits + (size_t)i * vocab};
        check(samp_session_step(session, feeds + done, m, &error), &error);
    }
    for (uint32_t t = 1; t <= ANSWER; t++) {
        for (uint32_t i = 0; i < n; i++) {
            tokens[i] = likeliest(logits + (size_t)i * vocab, vocab);
            feeds[i] = (samp_feed){sequences[i], &tokens[i], 1, false, logits + (size_t)i * vocab};
        }
        if (t < ANSWER) check(samp_session_step(session, feeds, n, &error), &error);
    }
    times taken = since(start);
    for (uint32_t i = 0; i < n; i++) samp_sequence_release(session, sequences[i]);
    samp_free(logits);
    return taken;
}

/* ---- the three benches ---- */

static samp_engine_options options_of(unsigned n_threads, bool guesses)
{
    return (samp_engine_options){.session = {.n_threads = n_threads, .context = 16384},
                                 .no_speculation = !guesses};
}

static void bench_streams(const char *folder, unsigned n_threads, uint32_t runs, uint32_t fewest)
{
    samp_session *session =
        session_on(folder, (samp_session_options){.n_threads = n_threads, .context = 16384});
    samp_engine *engine = open_engine(folder, options_of(n_threads, false));
    int32_t prompts[STREAMS_MAX * PROMPT];
    printf(" \"streams\": [");
    for (uint32_t n = fewest; n <= STREAMS_MAX; n *= 2) {
        double wall[2][RUNS_MAX], cpu[2][RUNS_MAX];
        for (uint32_t r = 0; r < runs; r++) {
            random_tokens(prompts, n * PROMPT, (uint32_t)vocab_of(session), 1000 * r + n);
            for (uint32_t k = 0; k < 2; k++) { /* A B, B A, …: a steady drift cancels */
                uint32_t which = (k + r) % 2;
                times t = which ? by_engine(engine, prompts, PROMPT, ANSWER, n, r, NULL)
                                : by_hand(session, prompts, n);
                wall[which][r] = t.wall;
                cpu[which][r] = t.cpu;
            }
        }
        double hand = median(wall[0], runs), engines = median(wall[1], runs);
        printf("%s\n  {\"n\": %u, \"session_tokens_s\": %.1f, \"engine_tokens_s\": %.1f, "
               "\"share_wall\": %.3f, \"share_cpu\": %.3f}",
               n > fewest ? "," : "", n, n * ANSWER / hand, n * ANSWER / engines, hand / engines,
               median(cpu[0], runs) / median(cpu[1], runs));
        fflush(stdout);
    }
    printf("],\n");
    samp_engine_close(engine);
    samp_session_close(session);
}

static void bench_prefix(const char *folder, unsigned n_threads, uint32_t runs)
{
    samp_engine *engine = open_engine(folder, options_of(n_threads, false));
    uint32_t vocab = samp_session_config(samp_engine_session(engine))->vocab_size;
    int32_t prompt[SHARED + PROMPT];
    double cold[RUNS_MAX], warm[RUNS_MAX];
    for (uint32_t r = 0; r < runs; r++) {
        random_tokens(prompt, SHARED, vocab, r);
        random_tokens(prompt + SHARED, PROMPT, vocab, 100 + r);
        by_engine(engine, prompt, SHARED + PROMPT, 1, 1, 0, &cold[r]);
        random_tokens(prompt + SHARED, PROMPT, vocab, 200 + r);
        by_engine(engine, prompt, SHARED + PROMPT, 1, 1, 0, &warm[r]);
    }
    printf(" \"prefix\": {\"shared\": %d, \"ttft_cold_s\": %.4f, \"ttft_shared_s\": %.4f, "
           "\"ratio\": %.4f},\n",
           SHARED, median(cold, runs), median(warm, runs), median(warm, runs) / median(cold, runs));
    samp_engine_close(engine);
}

static void bench_guesses(const char *folder, unsigned n_threads, uint32_t runs)
{
    samp_engine *engines[2] = {open_engine(folder, options_of(n_threads, false)),
                               open_engine(folder, options_of(n_threads, true))};
    uint32_t vocab = samp_session_config(samp_engine_session(engines[0]))->vocab_size;
    int32_t prompt[4 * PROMPT];
    double wall[2][RUNS_MAX];
    random_tokens(prompt, PROMPT, vocab, 1);
    for (uint32_t i = PROMPT; i < 4 * PROMPT; i++) prompt[i] = prompt[i - PROMPT];
    for (uint32_t r = 0; r < runs; r++)
        for (uint32_t k = 0; k < 2; k++)
            wall[(k + r) % 2][r] =
                by_engine(engines[(k + r) % 2], prompt, 4 * PROMPT, 4 * ANSWER, 1, r, NULL).wall;
    samp_engine_stats stats;
    samp_engine_stats_read(engines[1], &stats);
    printf(" \"guesses\": {\"made\": %llu, \"right\": %llu, \"tokens_s\": %.1f, \"speedup\": %.2f}",
           (unsigned long long)stats.drafted_tokens, (unsigned long long)stats.accepted_tokens,
           4 * ANSWER / median(wall[1], runs), median(wall[0], runs) / median(wall[1], runs));
    for (int i = 0; i < 2; i++) samp_engine_close(engines[i]);
}

static int offline(char **argv)
{
    uint32_t streams = (uint32_t)atoi(argv[4]), n = (uint32_t)atoi(argv[5]);
    uint32_t n_prompt = (uint32_t)atoi(argv[6]), n_answer = (uint32_t)atoi(argv[7]);
    samp_engine_options options = options_of((unsigned)atoi(argv[3]), false);
    options.max_running = streams;
    samp_engine *engine = open_engine(argv[2], options);
    uint32_t vocab = samp_session_config(samp_engine_session(engine))->vocab_size;
    int32_t *prompts = samp_alloc((size_t)n * n_prompt, sizeof *prompts);
    random_tokens(prompts, (size_t)n * n_prompt, vocab, 1);
    by_engine(engine, prompts, n_prompt, n_answer, streams, 1, NULL); /* warm-up */
    times t = by_engine(engine, prompts, n_prompt, n_answer, n, 2, NULL);
    printf("{\"streams\": %u, \"tokens_s\": %.1f}\n", streams, n * n_answer / t.wall);
    samp_free(prompts);
    samp_engine_close(engine);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 8 && strcmp(argv[1], "--offline") == 0) return offline(argv);
    uint32_t runs = argc > 3 ? (uint32_t)atoi(argv[3]) : 5;
    uint32_t fewest = argc > 4 ? (uint32_t)atoi(argv[4]) : 1;
    unsigned n_threads = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    if (argc < 2 || runs < 1 || runs > RUNS_MAX || fewest < 1) {
        fprintf(stderr, "usage: bench_engine MODEL [THREADS [RUNS [FEWEST]]] (at most %d runs)\n",
                RUNS_MAX);
        return 3;
    }
    printf("{\"runs\": %u, \"threads\": %u,\n", runs, n_threads);
    bench_streams(argv[1], n_threads, runs, fewest);
    bench_prefix(argv[1], n_threads, runs);
    bench_guesses(argv[1], n_threads, runs);
    printf("}\n");
    return 0;
}

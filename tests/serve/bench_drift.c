/* What looking for drift costs: pairs of runs of an engine that looks, and does not.
 *
 *     bench_drift ARTIFACT STREAMS [ANSWER [PAIRS [THREADS]]]
 *
 * ARTIFACT must have a fingerprint of its calibration. Each run is STREAMS requests at once, 32
 * prompt tokens and ANSWER generated, greedy, no guesses; the two alternate, the same prompts for
 * both. Prints one JSON object: each pair's processor seconds and wall seconds, with over without,
 * and how many tokens were looked at. A pair that begins with the one is followed by one that
 * begins with the other. It is one engine that looks or does not: of two, one is faster by two
 * percent for where its memory lies. */
#include "base/prng.h"
#include "quantize/about.h"
#include "serve/drift.h"
#include "support/engine_times.h"
#include "support/tiny_session.h"

enum { STREAMS_MAX = 64, PROMPT = 32 };

typedef struct looking {
    samp_engine *engine;
    samp_tap tap; /* the drift's own */
    atomic_bool on;
    samp_metrics *metrics;
    samp_drift *drift;
} looking;

static void take_step(void *context, const samp_engine_step *step)
{
    looking *l = context;
    if (atomic_load(&l->on)) samp_drift_step(l->drift, step->seconds);
}

static void take_input(void *context, const samp_backend *backend, samp_device *device,
                       samp_role role, uint32_t layer, const samp_input *input, uint32_t n_rows)
{
    const looking *l = context;
    if (atomic_load(&l->on))
        l->tap.input(l->tap.context, backend, device, role, layer, input, n_rows);
}

static void looking_open(looking *l, const char *folder, samp_engine_options options)
{
    samp_model *model;
    samp_about about;
    samp_error error;
    check(samp_model_open(&model, folder, &error), &error);
    samp_about_model(model, &about);
    check(samp_metrics_create(&l->metrics, "bench", &error), &error);
    check(samp_drift_create(&l->drift, model, about.manifest, l->metrics, &error), &error);
    if (!l->drift) {
        fprintf(stderr, "%s has no calibration_inputs in samp.json\n", folder);
        exit(2);
    }
    samp_about_release(&about);
    samp_model_close(model);
    options.stepped = take_step;
    options.context = l;
    l->tap = samp_drift_tap(l->drift);
    options.session.tap = (samp_tap){.input = take_input, .context = l};
    l->engine = open_engine(folder, options);
}

static void looking_close(looking *l)
{
    samp_engine_close(l->engine);
    samp_drift_release(l->drift);
    samp_metrics_release(l->metrics);
}

static void print_pairs(const char *name, const double *ratios, uint32_t n)
{
    printf(" \"%s\": {\"median\": %.4f, \"pairs\": [", name, median(ratios, n));
    for (uint32_t i = 0; i < n; i++) printf("%s%.4f", i ? ", " : "", ratios[i]);
    printf("]},\n");
}

static uint32_t argument(int argc, char **argv, int i, uint32_t otherwise)
{
    return argc > i ? (uint32_t)atoi(argv[i]) : otherwise;
}

int main(int argc, char **argv)
{
    uint32_t n = argument(argc, argv, 2, 1), answer = argument(argc, argv, 3, 128);
    uint32_t pairs = argument(argc, argv, 4, 15);
    if (argc < 2 || n < 1 || n > STREAMS_MAX || pairs < 1 || pairs > RUNS_MAX || answer < 1) {
        fprintf(stderr, "usage: bench_drift ARTIFACT STREAMS [ANSWER [PAIRS [THREADS]]]\n");
        return 3;
    }
    samp_engine_options options = {
        .session = {.n_threads = argument(argc, argv, 5, 1), .context = 16384},
        .no_speculation = true};
    looking l = {0};
    looking_open(&l, argv[1], options);
    uint32_t vocab = samp_session_config(samp_engine_session(l.engine))->vocab_size;
    int32_t prompts[STREAMS_MAX * PROMPT];
    double cpu[RUNS_MAX], wall[RUNS_MAX], seconds = 0;
    for (uint32_t r = 0; r <= pairs; r++) { /* the first warms up */
        times t[2];
        random_tokens(prompts, n * PROMPT, vocab, r);
        for (uint32_t k = 0; k < 2; k++) {
            uint32_t which = (k + r) % 2;
            atomic_store(&l.on, which == 1);
            t[which] = by_engine(l.engine, prompts, PROMPT, answer, n, 2 * r + k, NULL);
        }
        if (r == 0) continue;
        cpu[r - 1] = t[1].cpu / t[0].cpu;
        wall[r - 1] = t[1].wall / t[0].wall;
        seconds += t[0].cpu;
    }
    printf("{\"streams\": %u, \"answer\": %u, \"threads\": %u, \"cpu_s_a_run\": %.3f,\n", n, answer,
           options.session.n_threads, seconds / pairs);
    print_pairs("cpu", cpu, pairs);
    print_pairs("wall", wall, pairs);
    printf(" \"tokens_looked_at\": %.0f}\n",
           samp_metric_value(l.metrics, SAMP_METRIC_DRIFT_TOKENS, NULL));
    looking_close(&l);
    return 0;
}

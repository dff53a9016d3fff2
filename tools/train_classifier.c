/* Makes src/plan/classify_weights.h: multinomial logistic regression on the classifier's features,
 * from the even-numbered texts of tests/plan/labelled.h; each source counts alike whatever its size
 * (square root of it), so that the largest does not decide for all.
 *
 *     gcc -std=c17 -D_GNU_SOURCE -O2 -Isrc -Itests -DSAMP_DATA='"../shared/data"' \
 *         -DSAMP_SOURCE='"."' tools/train_classifier.c BUILD/libsamp_plan.a BUILD/libsamp_base.a \
 *         -ljansson -lcrypto -lm -o /tmp/train && /tmp/train >src/plan/classify_weights.h
 *
 * Then rebuild and run BUILD/test_plan_classify, which prints the confusion matrix. */
#include "plan/labelled.h"

#include <math.h>

enum { F = SAMP_FEATURE_COUNT, C = SAMP_CLASS_COUNT, STEPS = 4000 };

typedef struct sample {
    float x[F];
    int label;
    double weight;
} sample;

/* One step of gradient descent with momentum on the weighted cross-entropy; returns the loss. */
static double step(const sample *samples, size_t n, double w[F][C], double v[F][C], double rate)
{
    double gradient[F][C] = {0}, loss = 0;
    for (size_t i = 0; i < n; i++) {
        double score[C] = {0}, top = -1e9, sum = 0;
        for (int c = 0; c < C; c++) {
            for (int f = 0; f < F; f++) score[c] += w[f][c] * samples[i].x[f];
            top = fmax(top, score[c]);
        }
        for (int c = 0; c < C; c++) sum += score[c] = exp(score[c] - top);
        loss -= samples[i].weight * log(score[samples[i].label] / sum);
        for (int c = 0; c < C; c++) {
            double d = samples[i].weight * (score[c] / sum - (c == samples[i].label));
            for (int f = 0; f < F; f++) gradient[f][c] += d * samples[i].x[f];
        }
    }
    const double decay = 3e-5;
    for (int f = 0; f < F; f++)
        for (int c = 0; c < C; c++) {
            v[f][c] = 0.95 * v[f][c] - rate * (gradient[f][c] + decay * w[f][c]);
            w[f][c] += v[f][c];
        }
    return loss;
}

/* The labels of some chat are wrong for our purpose (tests/plan/labelled.h). */
static bool is_training(const labelled_set *set, const labelled_text *t)
{
    if (t->number % 2 || strcmp(set->names[t->source], LABELLED_ARENA) == 0) return false;
    return t->label != SAMP_CLASS_CHAT || !strstr(t->text, "```");
}

static size_t prepare(const labelled_set *set, sample *out)
{
    size_t n = 0, sizes[LABELLED_SOURCE_MAX] = {0};
    double total = 0;
    for (size_t i = 0; i < set->count; i++) sizes[set->items[i].source]++;
    for (size_t i = 0; i < set->count; i++) {
        const labelled_text *t = &set->items[i];
        if (!is_training(set, t)) continue;
        samp_language language;
        samp_classify_features(t->text, t->n, out[n].x, &language);
        out[n].label = (int)t->label;
        total += out[n].weight = 1 / sqrt((double)sizes[t->source]);
        n++;
    }
    for (size_t i = 0; i < n; i++) out[i].weight /= total;
    return n;
}

static void print_weights(double w[F][C])
{
    static const char *const features[] = {
#define X(name) #name,
        SAMP_FEATURE_LIST(X)
#undef X
    };
    printf("/* Weights of the classifier; made by tools/train_classifier.c, not by hand. */\n"
           "#ifndef SAMP_PLAN_CLASSIFY_WEIGHTS_H\n#define SAMP_PLAN_CLASSIFY_WEIGHTS_H\n\n"
           "#include \"plan/classify.h\"\n\n"
           "static const float classify_weights[SAMP_FEATURE_COUNT][SAMP_CLASS_COUNT] = {\n"
           "    /*");
    for (int c = 0; c < C; c++) printf(" %s", samp_class_name((samp_class)c));
    printf(" */\n");
    for (int f = 0; f < F; f++) {
        printf("    [SAMP_FEATURE_%s] = {", features[f]);
        for (int c = 0; c < C; c++) printf("%s%.3ff", c ? ", " : "", w[f][c]);
        printf("},\n");
    }
    printf("};\n\n#endif\n");
}

int main(void)
{
    static double w[F][C], v[F][C];
    labelled_set set;
    if (!labelled_load(&set)) {
        fprintf(stderr, "no data at %s\n", SAMP_DATA);
        return 1;
    }
    sample *samples = samp_alloc(set.count, sizeof *samples);
    if (!samples) return 1;
    size_t n = prepare(&set, samples);
    for (int i = 0; i < STEPS; i++) {
        double loss = step(samples, n, w, v, 1.0);
        if (i % 500 == 0 || i == STEPS - 1) fprintf(stderr, "step %d: loss %.4f\n", i, loss);
    }
    print_weights(w);
    samp_free(samples);
    labelled_release(&set);
    return 0;
}

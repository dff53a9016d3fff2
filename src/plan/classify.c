/* The linear model: scores of the classes from the features, the largest wins. */
#include "plan/classify.h"

#include "plan/classify_weights.h"

#include <stdbool.h>
#include <string.h>

const char *samp_class_name(samp_class class_id)
{
    static const char *const names[] = {
#define X(name, text) text,
        SAMP_CLASS_LIST(X)
#undef X
    };
    return names[class_id];
}

const char *samp_language_name(samp_language language)
{
    static const char *const names[] = {
#define X(name, text) text,
        SAMP_LANGUAGE_LIST(X)
#undef X
    };
    return names[language];
}

void samp_classify(const char *text, size_t n, samp_class *class_id, samp_language *language)
{
    float features[SAMP_FEATURE_COUNT], best = 0;
    samp_classify_features(text, n, features, language);
    *class_id = SAMP_CLASS_CHAT;
    if (n == 0) return;
    for (int c = 0; c < SAMP_CLASS_COUNT; c++) {
        float score = 0;
        for (int f = 0; f < SAMP_FEATURE_COUNT; f++) score += classify_weights[f][c] * features[f];
        if (c == 0 || score > best) best = score, *class_id = (samp_class)c;
    }
    bool talk = *class_id == SAMP_CLASS_CHAT || *class_id == SAMP_CLASS_PROSE;
    if (talk && features[SAMP_FEATURE_FENCED] >= 0.5f) *class_id = SAMP_CLASS_CODE; /* 1/4 */
    /* A conversation is never mere prose. */
    if (*class_id == SAMP_CLASS_PROSE && memmem(text, n < 64 ? n : 64, "<|im_start|>", 12))
        *class_id = SAMP_CLASS_CHAT;
}

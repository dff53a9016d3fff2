/* What a text is: code, JSON, mathematics, chat or prose, and its language; from cheap statistics
 * of its bytes and words, fast enough to look at every record of a large log.
 *
 * A linear model over the features below chooses the class. Its weights (classify_weights.h) are
 * made by tools/train_classifier.c from labelled data; tests/plan/test_classify.c measures the
 * confusion matrix on the half that training did not see. The language comes from the script and,
 * in Latin script, from stop words. Nothing is allocated; any bytes are accepted. */
#ifndef SAMP_PLAN_CLASSIFY_H
#define SAMP_PLAN_CLASSIFY_H

#include <stddef.h>

#define SAMP_CLASS_LIST(X)                                                                         \
    X(CODE, "code") X(JSON, "json") X(MATH, "math") X(CHAT, "chat") X(PROSE, "prose")

typedef enum samp_class {
#define X(name, text) SAMP_CLASS_##name,
    SAMP_CLASS_LIST(X)
#undef X
        SAMP_CLASS_COUNT
} samp_class;

/* Scripts that serve several languages carry the name of the one most written in them. */
#define SAMP_LANGUAGE_LIST(X)                                                                      \
    X(EN, "en")                                                                                    \
    X(DE, "de")                                                                                    \
    X(FR, "fr")                                                                                    \
    X(ES, "es")                                                                                    \
    X(IT, "it")                                                                                    \
    X(PT, "pt")                                                                                    \
    X(NL, "nl")                                                                                    \
    X(ZH, "zh")                                                                                    \
    X(JA, "ja")                                                                                    \
    X(KO, "ko")                                                                                    \
    X(RU, "ru")                                                                                    \
    X(EL, "el")                                                                                    \
    X(HE, "he")                                                                                    \
    X(AR, "ar")                                                                                    \
    X(HI, "hi")                                                                                    \
    X(TH, "th")                                                                                    \
    X(OTHER, "other")

typedef enum samp_language {
#define X(name, text) SAMP_LANGUAGE_##name,
    SAMP_LANGUAGE_LIST(X)
#undef X
        SAMP_LANGUAGE_COUNT
} samp_language;

const char *samp_class_name(samp_class class_id);
const char *samp_language_name(samp_language language);

/* Long texts are judged by their first 16 KiB and last 4 KiB. */
enum { SAMP_CLASSIFY_HEAD = 16 << 10, SAMP_CLASSIFY_TAIL = 4 << 10 };

/* text[0..n): any bytes. An empty text is chat, language other. */
void samp_classify(const char *text, size_t n, samp_class *class_id, samp_language *language);

/* What the linear model sees, for training: SAMP_FEATURE_COUNT numbers of about unit size. */
#define SAMP_FEATURE_LIST(X)                                                                       \
    X(BIAS)                                                                                        \
    X(LETTERS)                                                                                     \
    X(DIGITS)                                                                                      \
    X(BRACES)                                                                                      \
    X(BRACKETS)                                                                                    \
    X(PARENTHESES)                                                                                 \
    X(SEMICOLONS)                                                                                  \
    X(UNDERSCORES)                                                                                 \
    X(EQUALS)                                                                                      \
    X(OPERATORS)                                                                                   \
    X(KEY_COLONS)                                                                                  \
    X(QUOTES)                                                                                      \
    X(LATEX)                                                                                       \
    X(MONEY)                                                                                       \
    X(QUESTIONS)                                                                                   \
    X(LINES)                                                                                       \
    X(INDENTED)                                                                                    \
    X(CODE_ENDINGS)                                                                                \
    X(FENCED)                                                                                      \
    X(KEYWORD)                                                                                     \
    X(PROGRAM)                                                                                     \
    X(STORY)                                                                                       \
    X(FORMAL)                                                                                      \
    X(STRUCT)                                                                                      \
    X(PERSON)                                                                                      \
    X(ASK)                                                                                         \
    X(THIRD)                                                                                       \
    X(ENGLISH)                                                                                     \
    X(NUMBERS)                                                                                     \
    X(CAPITALS)                                                                                    \
    X(FIRST_ASKS)                                                                                  \
    X(NUMBERLESS)                                                                                  \
    X(OPENS_ASKING)                                                                                \
    X(LENGTH)                                                                                      \
    X(JSON_KEYS)                                                                                   \
    X(JSON_END)

enum {
#define X(name) SAMP_FEATURE_##name,
    SAMP_FEATURE_LIST(X)
#undef X
        SAMP_FEATURE_COUNT
};
void samp_classify_features(const char *text, size_t n, float features[SAMP_FEATURE_COUNT],
                            samp_language *language);

#endif

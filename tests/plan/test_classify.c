/* The classifier: its tables, hostile bytes, languages, and the confusion matrix on the held-out
 * half of the labelled data (printed; written as JSON where SAMP_CLASSIFIER_JSON says). */
#include "support/cmocka_all.h"

#include "base/prng.h"
#include "plan/classify_words.h"
#include "plan/labelled.h"

#include <math.h>

enum { C = SAMP_CLASS_COUNT };

static void words_are_sorted_and_unique(void **state)
{
    (void)state;
    size_t n = sizeof classify_words / sizeof *classify_words;
    assert_true(n > 500);
    for (size_t i = 1; i < n; i++)
        assert_true(memcmp(classify_words[i - 1].word, classify_words[i].word, 8) < 0);
    for (size_t i = 0; i < n; i++) assert_true(classify_words[i].groups != 0);
}

static void expect(const char *text, samp_class class_id, samp_language language)
{
    samp_class got;
    samp_language spoken;
    samp_classify(text, strlen(text), &got, &spoken);
    if (got != class_id || spoken != language)
        fail_msg("\"%.60s…\": %s, %s; expected %s, %s", text, samp_class_name(got),
                 samp_language_name(spoken), samp_class_name(class_id),
                 samp_language_name(language));
}

static void texts_by_hand(void **state)
{
    (void)state;
    expect("fn main() {\n    let v: Vec<i32> = (0..10).collect();\n    println!(\"{:?}\", v);\n}\n",
           SAMP_CLASS_CODE, SAMP_LANGUAGE_EN);
    expect(
        "Why does this loop never end?\n\n```python\nwhile i < len(items):\n    print(items[i])\n"
        "```\n",
        SAMP_CLASS_CODE, SAMP_LANGUAGE_EN);
    expect("{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 3}}",
           SAMP_CLASS_JSON, SAMP_LANGUAGE_EN);
    expect("A baker sells 12 rolls at $0.50 each and 3 loaves at $4 each. How much money does she "
           "earn in total?\n12 * 0.5 = 6, 3 * 4 = 12, 6 + 12 = 18. She earns $18.",
           SAMP_CLASS_MATH, SAMP_LANGUAGE_EN);
    expect(
        "Could you help me write a polite letter to my landlord about the noise upstairs? I would "
        "like to keep a friendly tone.",
        SAMP_CLASS_CHAT, SAMP_LANGUAGE_EN);
    expect("The abbey was founded in 1137 by the Cistercians and flourished until the seventeenth "
           "century, when its library was sold. The ruins were excavated between 1921 and 1934 by "
           "a team from the national museum.",
           SAMP_CLASS_PROSE, SAMP_LANGUAGE_EN);
}

static void a_conversation_is_not_prose(void **state)
{
    (void)state;
    expect(
        "<|im_start|>user\nThe abbey was founded in 1137 by the Cistercians and flourished until "
        "the seventeenth century, when its library was sold.<|im_end|>\n",
        SAMP_CLASS_CHAT, SAMP_LANGUAGE_EN);
}

static void languages(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        samp_language language;
    } cases[] = {
        {"Where is the nearest station and how do I get there with a bicycle?", SAMP_LANGUAGE_EN},
        {"Wie komme ich am schnellsten zu dem Bahnhof, und ist er heute offen?", SAMP_LANGUAGE_DE},
        {"Je voudrais savoir comment on prépare une tarte avec des pommes pour les enfants.",
         SAMP_LANGUAGE_FR},
        {"¿Cómo se prepara una tortilla para los niños y qué más necesito de la tienda?",
         SAMP_LANGUAGE_ES},
        {"Vorrei sapere come si prepara la pizza che mangiano gli italiani e non quella del "
         "supermercato.",
         SAMP_LANGUAGE_IT},
        {"Não sei como fazer um bolo de chocolate para os meus filhos; você pode ajudar?",
         SAMP_LANGUAGE_PT},
        {"Hoe kan ik een taart bakken voor mijn kinderen, en wat heb ik daar voor nodig van het "
         "huis?",
         SAMP_LANGUAGE_NL},
        {"请告诉我怎么做苹果派，需要哪些材料？", SAMP_LANGUAGE_ZH},
        {"りんごのパイの作り方を教えてください。", SAMP_LANGUAGE_JA},
        {"사과 파이를 만드는 방법을 알려 주세요.", SAMP_LANGUAGE_KO},
        {"Расскажите, пожалуйста, как испечь яблочный пирог.", SAMP_LANGUAGE_RU},
        {"Πώς φτιάχνεται μια μηλόπιτα για δέκα άτομα;", SAMP_LANGUAGE_EL},
        {"איך מכינים עוגת תפוחים לעשרה אנשים?", SAMP_LANGUAGE_HE},
        {"كيف أصنع فطيرة التفاح لعشرة أشخاص؟", SAMP_LANGUAGE_AR},
        {"सेब का केक कैसे बनाते हैं?", SAMP_LANGUAGE_HI},
        {"ทำพายแอปเปิ้ลอย่างไร", SAMP_LANGUAGE_TH},
        {"Hogyan készül az almás pite tíz személyre, milyen hozzávalók kellenek?",
         SAMP_LANGUAGE_OTHER},
        {"x = y + 1", SAMP_LANGUAGE_EN},
        {"12345", SAMP_LANGUAGE_OTHER},
        {"", SAMP_LANGUAGE_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_class class_id;
        samp_language language;
        samp_classify(cases[i].text, strlen(cases[i].text), &class_id, &language);
        if (language != cases[i].language)
            fail_msg("\"%s\": %s, expected %s", cases[i].text, samp_language_name(language),
                     samp_language_name(cases[i].language));
    }
}

/* Any bytes, of any length around the cut, from a block of exactly that size. */
static void any_bytes(void **state)
{
    (void)state;
    samp_prng prng = {7};
    static const char interesting[] = "{}[]\":,<|im_start|>\\\n \xE4\xB8\xF0\x9F\x80$%9a_`";
    for (int round = 0; round < 400; round++) {
        size_t n = samp_prng_below(&prng, round < 380 ? 300 : 60000);
        char *text = malloc(n ? n : 1);
        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
            text[i] = round % 2 ? (char)samp_prng_next(&prng)
                                : interesting[samp_prng_below(&prng, sizeof interesting)];
        float features[SAMP_FEATURE_COUNT];
        samp_language language;
        samp_class class_id;
        samp_classify_features(text, n, features, &language);
        for (int f = 0; f < SAMP_FEATURE_COUNT; f++) assert_true(isfinite(features[f]));
        samp_classify(text, n, &class_id, &language);
        assert_true((int)class_id < C && language < SAMP_LANGUAGE_COUNT);
        free(text);
    }
}

typedef struct confusion {
    unsigned total[C][C];
    unsigned source[LABELLED_SOURCE_MAX][C], right[LABELLED_SOURCE_MAX];
} confusion;

static double share_right(const confusion *m)
{
    unsigned right = 0, all = 0;
    for (int a = 0; a < C; a++)
        for (int b = 0; b < C; b++) all += m->total[a][b], right += a == b ? m->total[a][b] : 0;
    return (double)right / all;
}

static void print_matrix(const confusion *m, const labelled_set *set)
{
    printf("held-out half, labelled (rows) against classified:\n%-18s", "");
    for (int c = 0; c < C; c++) printf("%7s", samp_class_name((samp_class)c));
    printf("\n");
    for (int a = 0; a < C; a++) {
        unsigned all = 0;
        printf("%-18s", samp_class_name((samp_class)a));
        for (int b = 0; b < C; b++) printf("%7u", m->total[a][b]), all += m->total[a][b];
        printf("  %5.1f %%\n", 100.0 * m->total[a][a] / all);
    }
    for (unsigned s = 0; s < set->n_sources; s++) {
        unsigned all = 0;
        printf("%-18s", set->names[s]);
        for (int b = 0; b < C; b++) printf("%7u", m->source[s][b]), all += m->source[s][b];
        if (all) printf("  %5.1f %%", 100.0 * m->right[s] / all);
        printf("\n");
    }
    printf("accuracy %.1f %%\n", 100 * share_right(m));
}

static json_t *row_json(const unsigned counts[C])
{
    json_t *row = json_object();
    for (int c = 0; c < C; c++)
        samp_json_set(row, samp_class_name((samp_class)c), json_integer(counts[c]));
    return row;
}

static void write_matrix(const confusion *m, const labelled_set *set, const char *path)
{
    json_t *matrix = json_object(), *sources = json_object();
    for (int a = 0; a < C; a++)
        samp_json_set(matrix, samp_class_name((samp_class)a), row_json(m->total[a]));
    for (unsigned s = 0; s < set->n_sources; s++)
        samp_json_set(sources, set->names[s], row_json(m->source[s]));
    json_t *root = json_pack(
        "{s:i,s:s,s:s,s:f,s:o,s:o}", "schema_version", 1, "made_by", "tests/plan/test_classify.c",
        "what",
        "odd-numbered texts of tests/plan/labelled.h (training saw the even ones); rows: the "
        "source's label, columns: the classifier's",
        "accuracy", share_right(m), "confusion", matrix, "by_source", sources);
    assert_int_equal(json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)), 0);
    json_decref(root);
}

static void held_out_half(void **state)
{
    (void)state;
    labelled_set set;
    if (!labelled_load(&set)) {
        printf("skipped: no labelled data at " SAMP_DATA "\n");
        skip();
    }
    static confusion m;
    memset(&m, 0, sizeof m);
    unsigned foreign = 0;
    for (size_t i = 0; i < set.count; i++) {
        const labelled_text *t = &set.items[i];
        if (t->number % 2 == 0) continue;
        samp_class got;
        samp_language language;
        samp_classify(t->text, t->n, &got, &language);
        if (getenv("SAMP_CLASSIFIER_SHOW") && got != t->label)
            printf("%s %u: %s for %s: %.100s\n", set.names[t->source], t->number,
                   samp_class_name(got), samp_class_name(t->label), t->text);
        m.total[t->label][got]++;
        foreign += language != SAMP_LANGUAGE_EN;
        if (getenv("SAMP_CLASSIFIER_SHOW") && language != SAMP_LANGUAGE_EN)
            printf("language %s of %s %u: %.100s\n", samp_language_name(language),
                   set.names[t->source], t->number, t->text);
        m.source[t->source][got]++;
        m.right[t->source] += got == t->label;
    }
    print_matrix(&m, &set);
    printf("English taken for another language: %u of %zu\n", foreign, set.count / 2);
    assert_true(foreign * 100 <= set.count / 2);
    const char *path = getenv("SAMP_CLASSIFIER_JSON");
    if (path) write_matrix(&m, &set, path);
    assert_true(share_right(&m) >= 0.90);
    labelled_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_sorted_and_unique),
        cmocka_unit_test(texts_by_hand),
        cmocka_unit_test(a_conversation_is_not_prose),
        cmocka_unit_test(languages),
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(held_out_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

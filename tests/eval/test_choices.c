/* Likelihoods with what texts share computed once are those of each text alone, to the bit; tallies
 * of two models count what changed. */
#include "eval/choices.h"
#include "support/tiny_session.h"

#include "eval/compare.h"

static char *folder;
static samp_session *session;
static samp_tokenizer *tokenizer;
static samp_scorer *scorer;

/* Letters and a space, two merges. */
static const char vocabulary[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"\xC4\xA0\":"
    "5,"
    "\"f\":6,\"\xC4\xA0"
    "a\":7,\"ab\":8},\"merges\":[[\"\xC4\xA0\",\"a\"],[\"a\",\"b\"]]},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
    "\"decoder\":{\"type\":\"ByteLevel\"}}";

static int open_all(void **state)
{
    (void)state;
    samp_config config = tiny_config();
    config.max_positions = 48;
    folder = tiny_folder();
    tiny_write(folder, &config, 5);
    session = session_on(folder, (samp_session_options){.n_threads = 1, .context = 256});
    OK(samp_tokenizer_parse(&tokenizer, vocabulary, strlen(vocabulary), NULL, 0, "test", e));
    OK(samp_scorer_create(&scorer, session, tokenizer, e));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    samp_scorer_release(scorer);
    samp_tokenizer_release(tokenizer);
    samp_session_close(session);
    tiny_remove(folder);
    return 0;
}

/* All logits of the whole text from an empty sequence: no sharing, nothing kept. */
static double alone(const char *context, const char *continuation, uint32_t drop)
{
    samp_tokens tokens = {0};
    char text[512];
    OK(samp_tokenizer_encode(tokenizer, context, strlen(context), (samp_encode_text){0}, &tokens,
                             e));
    size_t n_context = tokens.count;
    tokens.count = 0;
    snprintf(text, sizeof text, "%s%s", context, continuation);
    OK(samp_tokenizer_encode(tokenizer, text, strlen(text), (samp_encode_text){0}, &tokens, e));
    size_t vocab = vocab_of(session), n = tokens.count - drop;
    float *logits = logits_of(session, tokens.ids + drop, (uint32_t)n - 1);
    double sum = 0;
    for (size_t i = n_context - drop; i < n; i++)
        sum += samp_score_position(logits + (i - 1) * vocab, vocab, tokens.ids[drop + i])
                   .log_probability;
    samp_free(logits);
    samp_tokens_release(&tokens);
    return sum;
}

static void check_score(const char *context, const char *continuation, uint32_t n_tokens,
                        uint32_t drop)
{
    samp_likelihood got;
    OK(samp_scorer_score(scorer, context, continuation, &got, e));
    assert_int_equal(got.n_tokens, n_tokens);
    assert_int_equal(got.cut, drop > 0);
    double expected = alone(context, continuation, drop);
    if (memcmp(&got.log_likelihood, &expected, sizeof expected) != 0)
        fail_msg("%s|%s: %.17g, expected %.17g", context, continuation, got.log_likelihood,
                 expected);
}

static void sharing_changes_nothing(void **state)
{
    (void)state;
    uint64_t before = samp_scorer_fed(scorer);
    check_score("cab dead", " a", 1, 0);
    uint64_t first = samp_scorer_fed(scorer) - before;
    check_score("cab dead", " b", 2, 0); /* the context's row is still there: one token is fed */
    assert_int_equal(samp_scorer_fed(scorer) - before, first + 1);
    check_score("cab dead", " a", 1, 0); /* cut back: nothing is fed */
    assert_int_equal(samp_scorer_fed(scorer) - before, first + 1);
    check_score("cab dead", " bead cab fade", 13, 0);
    check_score("cab", " dead", 5, 0); /* a context that is the beginning of what is held */
    check_score("cab feed", " dead", 5, 0);
    check_score("fab", " a", 1, 0);
    check_score("fab", " cab deaf bead cab deaf bead cabab f f f f", 38, 0); /* more than a chunk */
}

/* A sharing that forgets which text a row belongs to would fail here first. */
static void random_texts(void **state)
{
    (void)state;
    samp_prng prng = {9};
    for (int i = 0; i < 60; i++) {
        char context[16] = "", continuation[8] = " ";
        size_t n = 1 + samp_prng_below(&prng, 8), m = 1 + samp_prng_below(&prng, 3);
        for (size_t k = 0; k < n; k++) context[k] = "ab"[samp_prng_below(&prng, 2)];
        for (size_t k = 0; k < m; k++) continuation[k + 1] = "cd"[samp_prng_below(&prng, 2)];
        check_score(context, continuation, (uint32_t)m + 1, 0);
    }
}

static void white_space_moves(void **state)
{
    (void)state;
    samp_likelihood a, b;
    OK(samp_scorer_score(scorer, "cab ", "ad", &a, e));
    OK(samp_scorer_score(scorer, "cab", " ad", &b, e));
    assert_true(a.log_likelihood == b.log_likelihood && a.n_tokens == b.n_tokens);
}

static void long_prompts_lose_their_beginning(void **state)
{
    (void)state;
    char context[80];
    memset(context, 'c', sizeof context);
    context[60] = '\0';
    check_score(context, " de", 3, 60 + 3 - 49); /* 48 positions and the token after them */
    check_score(context, " df", 3, 60 + 3 - 49);
    context[46] = '\0';
    check_score(context, " de", 3, 0);
}

static void refused(void **state)
{
    (void)state;
    samp_likelihood out;
    samp_error error;
    char many[80];
    memset(many, 'c', sizeof many);
    many[0] = ' ', many[60] = '\0';
    assert_int_equal(samp_scorer_score(scorer, "", " a", &out, &error), SAMP_INVALID);
    assert_int_equal(samp_scorer_score(scorer, "a", "", &out, &error), SAMP_INVALID);
    assert_int_equal(samp_scorer_score(scorer, "a", many, &out, &error), SAMP_LIMIT);
    check_score("cab", " a", 1, 0); /* and the scorer goes on */
}

/* One question in this file, right answer 0. */
static samp_question question(const char *subject, const char **prompts, const char **choices)
{
    return (samp_question){
        .id = "1", .subject = subject, .n_choices = 2, .prompts = prompts, .choices = choices};
}

static void answers(void **state)
{
    (void)state;
    const char *prompts[] = {"cab", "cab"}, *choices[] = {"a", "bead"};
    samp_question q = question("s", prompts, choices);
    samp_task task = {.questions = &q, .n = 1};
    samp_answers got;
    OK(samp_answer_task(scorer, &task, NULL, 0, &(samp_progress){0}, &got, e));
    double a = alone("cab", " a", 0), b = alone("cab", " bead", 0);
    assert_true(got.items[0].log_likelihoods[0] == a && got.items[0].log_likelihoods[1] == b);
    assert_int_equal(got.items[0].picked, a >= b ? 0 : 1);
    assert_int_equal(got.items[0].picked_norm, a >= b / 4 ? 0 : 1);
    samp_answers_release(&got);
}

static void tallies(void **state)
{
    (void)state;
    enum { N = 5 };
    const char *prompts[] = {"p", "p"}, *same[] = {"A", "B"}, *choices[] = {"é", "bb"};
    samp_question questions[N] = {question("x", prompts, same), question("y", prompts, same),
                                  question("x", prompts, same), question("x", prompts, same),
                                  question("y", prompts, same)};
    samp_task task = {.questions = questions, .n = N};
    samp_answer now[N] = {
        {.picked = 0}, {.picked = 1}, {.picked = 0}, {.picked = 1}, {.picked = 0}};
    samp_answer then[N] = {
        {.picked = 0}, {.picked = 0}, {.picked = 1}, {.picked = 1}, {.picked = 1}};
    samp_answers candidate = {.items = now, .n = N}, baseline = {.items = then, .n = N};
    samp_tallies t;
    OK(samp_tally_answers(&task, &candidate, &baseline, &t, e));
    assert_int_equal(t.n_subjects, 2);
    assert_int_equal(t.all.right, 3);
    assert_int_equal(t.all.baseline_right, 2);
    assert_int_equal(t.all.gained, 2);
    assert_int_equal(t.all.lost, 1);
    assert_int_equal(t.all.changed, 3);
    assert_string_equal(t.subjects[0].subject, "x");
    assert_int_equal(t.subjects[0].n, 3);
    assert_int_equal(t.subjects[0].gained, 1);
    assert_int_equal(t.subjects[0].lost, 0);
    assert_int_equal(t.subjects[1].lost, 1);
    assert_false(t.by_length);
    samp_tallies_release(&t);
    questions[4].choices = choices; /* one character of two bytes, and two characters */
    OK(samp_tally_answers(&task, &candidate, NULL, &t, e));
    assert_true(t.by_length && !t.all.compared);
    samp_tallies_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharing_changes_nothing),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(white_space_moves),
        cmocka_unit_test(long_prompts_lose_their_beginning),
        cmocka_unit_test(refused),
        cmocka_unit_test(answers),
        cmocka_unit_test(tallies),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}

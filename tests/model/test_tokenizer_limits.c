/* Tokenizers under stress: words of five megabytes, patterns that backtrack, every allocation failing in
 * turn, and several threads at once. Times are of the process's CPU, since other programs run beside
 * the tests; bounds are for an optimized build, and three times the worst seen on a slow machine. */
#include "model/tokenizer_data.h"

#include "base/thread.h"

#include <pthread.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define SLOW_BUILD 1
#else
#define SLOW_BUILD 0
#endif

enum { WORD_BYTES = SLOW_BUILD ? 500 * 1000 : 5 * 1000 * 1000 };
static const double WORD_SECONDS = SLOW_BUILD ? 20 : 3;

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void time_word(const samp_tokenizer *t, const char *name, const samp_buffer *text)
{
    double start = cpu_seconds();
    samp_tokens tokens = encode(t, text->data, text->length, false);
    double seconds = cpu_seconds() - start;
    print_message("  %-28s %8zu bytes %8zu tokens %6.2f s of CPU\n", name, text->length,
                  tokens.count, seconds);
    samp_error error = {0};
    samp_buffer again = {0};
    assert_ok(samp_tokenizer_decode(t, tokens.ids, tokens.count, false, &again, &error), &error);
    assert_int_equal(again.length, text->length);
    assert_memory_equal(again.data, text->data, text->length);
    assert_true(seconds < WORD_SECONDS);
    samp_buffer_release(&again);
    samp_tokens_release(&tokens);
}

/* `unit` over and over, then `end`. */
static void time_repeated(const samp_tokenizer *t, const char *name, const char *unit,
                          const char *end)
{
    samp_buffer text = {0};
    while (text.length < WORD_BYTES) samp_buffer_text(&text, unit);
    samp_buffer_text(&text, end);
    time_word(t, name, &text);
    samp_buffer_release(&text);
}

static void time_words(const samp_tokenizer *t)
{
    time_repeated(t, "one letter", "a", "");
    time_repeated(t, "two letters", "ab", "");
    time_repeated(t, "spaces, then a letter", " ", "x");
    time_repeated(t, "spaces and newlines", " \n", "x");
    time_repeated(t, "newlines", "\n", "x");
    time_repeated(t, "digits", "1234567890", "");
    time_repeated(t, "dashes", "-", "");
    time_repeated(t, "apostrophes", "'", "s");
    time_repeated(t, "combining marks", "\xcc\x81\xcc\x96", "");
    time_repeated(t, "invalid bytes", "\xe2\x82", "");
    time_repeated(t, "special tokens, unparsed", "<|eot_id|>", "");
    samp_prng prng = {3};
    samp_buffer text = {0};
    while (text.length < WORD_BYTES)
        samp_buffer_append(&text, &"etaoinshrdlu"[samp_prng_below(&prng, 12)], 1);
    time_word(t, "random letters", &text);
    samp_buffer_release(&text);
}

static void test_long_words_llama3(void **state)
{
    (void)state;
    const samp_tokenizer *t = llama3_tokenizer();
    time_words(t);
}

static void test_long_words_sentencepiece(void **state)
{
    (void)state;
    samp_tokenizer *t = gguf_tokenizer(TOKENIZERS "/ggml-vocab-llama-spm.gguf");
    time_words(t);
    samp_tokenizer_release(t);
}

/* The same word in one call and cut where it cannot matter: the lists of a long word and the heap of a
 * short one must agree. */
static void test_long_equals_short(void **state)
{
    (void)state;
    enum { WORD = 3000, N = 20 };
    static const char *const merges[] = {"b c", "a b",  "ab c",   "bc a", "abc a", "c c",  "cc cc",
                                         "a a", "aa b", "cab ca", "c a",  "ca b",  "aab c"};
    samp_tokenizer *t = tokenizer_of(small_model(merges, 9), json_array(), "null",
                                     "{\"type\": \"ByteLevel\", \"add_prefix_space\": false,"
                                     " \"use_regex\": false}",
                                     BYTE_LEVEL_DECODER);
    samp_prng prng = {5};
    samp_buffer text = {0};
    samp_tokens parts = {0};
    for (int i = 0; i < N; i++) {
        size_t start = text.length;
        for (int k = 0; k < WORD; k++)
            samp_buffer_append(&text, &"abc"[samp_prng_below(&prng, 3)], 1);
        samp_buffer_append(&text, "-", 1); /* in no merge */
        samp_tokens part = encode(t, text.data + start, WORD + 1, false);
        for (size_t k = 0; k < part.count; k++) samp_tokens_push(&parts, part.ids[k], NULL);
        samp_tokens_release(&part);
    }
    samp_tokens whole = encode(t, text.data, text.length, false);
    assert_ids(&whole, parts.ids, parts.count, "random abc");
    samp_tokens_release(&whole);
    samp_tokens_release(&parts);
    samp_buffer_release(&text);
    samp_tokenizer_release(t);
}

/* Plain byte-pair encoding as its definition reads: over and over, the leftmost pair of lowest rank. */
static size_t encode_by_definition(const char *const *merges, int n_merges, const char *word,
                                   size_t n, int32_t *ids)
{
    int left[32], right[32];
    for (int r = 0; r < n_merges; r++) {
        char parts[2][16] = {"", ""};
        sscanf(merges[r], "%15s %15s", parts[0], parts[1]);
        for (int side = 0; side < 2; side++) {
            int id = (unsigned char)parts[side][0];
            for (int k = 0; k < r && parts[side][1]; k++) {
                char joined[32] = "", *to = joined;
                for (const char *from = merges[k]; *from; from++)
                    if (*from != ' ') *to++ = *from;
                if (strcmp(joined, parts[side]) == 0) id = 256 + k;
            }
            *(side ? &right[r] : &left[r]) = id;
        }
    }
    for (size_t i = 0; i < n; i++) ids[i] = (unsigned char)word[i];
    for (;;) {
        int best = n_merges;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (int r = 0; r < best; r++)
                if (ids[i] == left[r] && ids[i + 1] == right[r]) {
                    best = r;
                    at = i;
                }
        if (best == n_merges) return n;
        ids[at] = 256 + best;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

/* Long enough for the lists a rank (8,192 symbols), and short words for the heap. */
static void test_definition(void **state)
{
    (void)state;
    static const char *const merges[] = {"b c",     "a b", "a bc", "c c", "cc cc",
                                         "abc abc", "a a", "aa a", "c a", "ca b"};
    enum { N = 9000 };
    static int32_t ids[N];
    static char word[N];
    samp_tokenizer *t = tokenizer_of(small_model(merges, 10), json_array(), "null",
                                     "{\"type\": \"ByteLevel\", \"add_prefix_space\": false,"
                                     " \"use_regex\": false}",
                                     BYTE_LEVEL_DECODER);
    samp_prng prng = {9};
    for (int i = 0; i < 300; i++) {
        size_t n = i < 2 ? N : (size_t)samp_prng_below(&prng, 200) + 1;
        for (size_t k = 0; k < n; k++) word[k] = "aabbccz"[samp_prng_below(&prng, 6 + (i & 1))];
        samp_tokens tokens = encode(t, word, n, false);
        assert_ids(&tokens, ids, encode_by_definition(merges, 10, word, n, ids), "random abc");
        samp_tokens_release(&tokens);
    }
    samp_tokenizer_release(t);
}

/* ---- Patterns ---- */

static void test_backtracking(void **state)
{
    (void)state;
    samp_error error = {0};
    static const char *const patterns[] = {"(a+)+[bc]", "(a|aa)+[bc]", "(a*)*[bc]",
                                           "a*a*a*a*a*a*a*[bc]"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        json_t *step = json_pack("{s:s, s:{s:s}, s:s}", "type", "Split", "pattern", "Regex",
                                 patterns[i], "behavior", "Isolated");
        char *json = json_dumps(step, 0);
        samp_tokenizer *t = tokenizer_of(small_model(NULL, 0), json_array(), "null", json, "null");
        samp_tokens tokens = {0};
        char text[20000];
        memset(text, 'a', sizeof text);
        double start = cpu_seconds();
        samp_status status =
            samp_tokenizer_encode(t, text, sizeof text, (samp_encode_text){0}, &tokens, &error);
        assert_fails(status, &error, SAMP_LIMIT, "cannot be cut into words");
        assert_true(cpu_seconds() - start < WORD_SECONDS);
        samp_tokens_release(&tokens);
        samp_tokenizer_release(t);
        samp_free(json);
        json_decref(step);
    }
}

/* Steps are granted by the whole text, wherever its long part stands. */
static void test_steps_of_later_parts(void **state)
{
    (void)state;
    samp_tokenizer *t =
        tokenizer_of(small_model(NULL, 0), json_pack("[o]", special_token("<s>", 256)), "null",
                     LLAMA3_PRE_TOKENIZER, BYTE_LEVEL_DECODER);
    samp_buffer text = {0};
    samp_buffer_text(&text, "<s>a<s>");
    while (text.length < 3 * 1000 * 1000) samp_buffer_text(&text, "          ");
    samp_buffer_text(&text, "x");
    samp_tokens tokens = encode(t, text.data, text.length, true);
    assert_int_equal(tokens.count, text.length - 4);
    samp_tokens_release(&tokens);
    samp_buffer_release(&text);
    samp_tokenizer_release(t);
}

static void test_text_limit(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_tokens tokens = {0};
    samp_tokenizer *t = tokenizer_of(small_model(NULL, 0), json_array(), "null", "null", "null");
    assert_fails(
        samp_tokenizer_encode(t, "", ((size_t)1 << 30) + 1, (samp_encode_text){0}, &tokens, &error),
        &error, SAMP_LIMIT, "1073741825 bytes");
    samp_tokenizer_release(t);
}

/* ---- Memory ---- */

static const char ONE_OF_EACH[] =
    "{\"added_tokens\": [{\"id\": 4, \"content\": \"<s>\", \"special\": true, \"normalized\": "
    "true}],"
    " \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\":"
    " \"Replace\", \"pattern\": {\"String\": \"x\"}, \"content\": \"a\"}]},"
    " \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"},"
    " {\"type\": \"ByteLevel\", \"add_prefix_space\": false}]}, \"decoder\": {\"type\": "
    "\"ByteLevel\"}, \"post_processor\":"
    " {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}]},"
    " \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"\\u0120\": 3},"
    " \"merges\": [\"a b\"], \"ignore_merges\": true}}";
static const char ITS_CONFIG[] = "{\"eos_token\": \"<s>\", \"chat_template\": \"x\"}";

/* Reads, encodes, writes. The folder's two files are left to the caller. */
static samp_status whole_life(const char *folder, samp_error *error)
{
    samp_tokenizer *t;
    samp_tokens tokens = {0};
    samp_buffer text = {0};
    samp_status status = samp_tokenizer_parse(&t, ONE_OF_EACH, strlen(ONE_OF_EACH), ITS_CONFIG,
                                              strlen(ITS_CONFIG), "t", error);
    if (status != SAMP_OK) return status;
    static const char said[] = "e\xcc\x81 xb1<s>bbxa\xff";
    status = samp_tokenizer_encode(t, said, strlen(said),
                                   (samp_encode_text){.parse_special = true, .add_bos = true},
                                   &tokens, error);
    if (status == SAMP_OK)
        status = samp_tokenizer_decode(t, tokens.ids, tokens.count, true, &text, error);
    if (status == SAMP_OK) status = samp_tokenizer_write(t, folder, error);
    samp_buffer_release(&text);
    samp_tokens_release(&tokens);
    samp_tokenizer_release(t);
    return status;
}

static void test_failing_memory(void **state)
{
    (void)state;
    samp_error error = {0};
    char folder[] = "/tmp/samp-tokenizer-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_ok(whole_life(folder, &error), &error);
    samp_status status = SAMP_NOMEM;
    uint64_t n = 0;
    while (status != SAMP_OK) {
        samp_alloc_fail_at(++n);
        status = whole_life(folder, &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK && status != SAMP_NOMEM)
            fail_msg("allocation %llu: %s", (unsigned long long)n, error.message);
        assert_true(n < 100000);
    }
    print_message("  %llu allocations failed in turn\n", (unsigned long long)n - 1);
    assert_ok(samp_remove_folder(folder, &error), &error);
}

/* Readers whose allocations are few, on real files: a sample of the failures. */
static void test_failing_memory_gguf(void **state)
{
    (void)state;
    samp_error error = {0};
    static const char path[] = TOKENIZERS "/ggml-vocab-gpt-2.gguf";
    require_file(path);
    samp_gguf *gguf;
    assert_ok(samp_gguf_open(&gguf, path, &error), &error);
    samp_status status = SAMP_NOMEM;
    uint64_t step = SLOW_BUILD ? 29 : 7;
    for (uint64_t n = 1; status != SAMP_OK; n += n < 40 ? 1 : step) {
        samp_tokenizer *t = NULL;
        samp_alloc_fail_at(n);
        status = samp_tokenizer_from_gguf(&t, gguf, &error);
        samp_alloc_fail_at(0);
        assert_true(status == SAMP_OK || (status == SAMP_NOMEM && !t));
        samp_tokenizer_release(t);
    }
    samp_gguf_close(gguf);
}

static void test_failing_memory_llama2c(void **state)
{
    (void)state;
    samp_error error = {0};
    static const char path[] = SAMP_DATA "/stories260K/tok512.bin";
    require_file(path);
    samp_status status = SAMP_NOMEM;
    for (uint64_t n = 1; status != SAMP_OK; n++) {
        samp_tokenizer *t = NULL;
        samp_alloc_fail_at(n);
        status = samp_tokenizer_from_llama2c(&t, path, 512, &error);
        samp_alloc_fail_at(0);
        assert_true(status == SAMP_OK || (status == SAMP_NOMEM && !t));
        samp_tokenizer_release(t);
    }
}

/* ---- Threads and speed ---- */

typedef struct job {
    const samp_tokenizer *t;
    const samp_buffer *text;
    const samp_tokens *expected;
    int wrong;
} job;

static void *encode_often(void *argument)
{
    job *j = argument;
    samp_error error = {0};
    for (int i = 0; i < 50; i++) {
        samp_tokens tokens = {0};
        samp_status status =
            samp_tokenizer_encode(j->t, j->text->data, j->text->length,
                                  (samp_encode_text){.parse_special = true}, &tokens, &error);
        j->wrong += status != SAMP_OK || tokens.count != j->expected->count ||
                    memcmp(tokens.ids, j->expected->ids, tokens.count * sizeof *tokens.ids) != 0;
        samp_tokens_release(&tokens);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    static const char *const merges[] = {"t h", "th e", "Ġ the", "i n", "e r"};
    samp_tokenizer *t =
        tokenizer_of(small_model(merges, 5), json_pack("[o]", special_token("<|", 300)),
                     "{\"type\": \"NFC\"}", SMOLLM_PRE_TOKENIZER, BYTE_LEVEL_DECODER);
    samp_prng prng = {2};
    samp_buffer text = {0};
    random_text(&prng, &text, 5000);
    samp_tokens expected = encode(t, text.data, text.length, true);
    job jobs[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){t, &text, &expected, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].wrong, 0);
    }
    samp_tokens_release(&expected);
    samp_buffer_release(&text);
    samp_tokenizer_release(t);
}

static void print_speed(const samp_tokenizer *t, const char *name, const samp_buffer *text)
{
    double start = cpu_seconds();
    samp_tokens tokens = encode(t, text->data, text->length, false);
    double seconds = cpu_seconds() - start;
    print_message("  %-8s %7zu bytes of wiki text, %6zu tokens: %5.1f MB/s\n", name, text->length,
                  tokens.count, (double)text->length / seconds * 1e-6);
    assert_true(tokens.count > text->length / 8);
    samp_tokens_release(&tokens);
}

static void test_speed(void **state)
{
    (void)state;
    require_file(SAMP_DATA "/wikitext2/wiki.valid.raw");
    samp_buffer text = read_all(SAMP_DATA "/wikitext2/wiki.valid.raw");
    samp_tokenizer *smollm2 = smollm2_tokenizer();
    samp_tokenizer *llama2 = gguf_tokenizer(TOKENIZERS "/ggml-vocab-llama-spm.gguf");
    print_speed(smollm2, "SmolLM2", &text);
    print_speed(llama2, "Llama 2", &text);
    samp_tokenizer_release(smollm2);
    samp_tokenizer_release(llama2);
    samp_buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_words_llama3),
        cmocka_unit_test(test_long_words_sentencepiece),
        cmocka_unit_test(test_long_equals_short),
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_backtracking),
        cmocka_unit_test(test_steps_of_later_parts),
        cmocka_unit_test(test_text_limit),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_failing_memory_gguf),
        cmocka_unit_test(test_failing_memory_llama2c),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, release_llama3);
}

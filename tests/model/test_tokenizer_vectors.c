/* Tokenizers against ids made by others: llama.cpp's test vectors (../shared/data/tokenizers: inputs with
 * a separator line between them, and a line of ids for each), and the golden files of
 * tools/golden_tokenizer.py (Hugging Face's tokenizers and OpenAI's tiktoken).
 * SAMP_TEST_VOCABULARIES=folder with further ggml-vocab-*.gguf, .inp and .out files runs those too. */
#include "model/tokenizer_data.h"

#include <dirent.h>

static const char SEPARATOR[] = "\n__ggml_vocab_test__\n";

/* Every input of path.inp gives its line of path.out. */
static void check_vectors(const samp_tokenizer *t, const char *path, int n_expected)
{
    char name[1024];
    snprintf(name, sizeof name, "%s.inp", path);
    samp_buffer inputs = read_all(name);
    snprintf(name, sizeof name, "%s.out", path);
    samp_buffer outputs = read_all(name);
    const char *text = inputs.data, *line = outputs.data;
    int n_items = 0;
    while (text) {
        const char *end = strstr(text, SEPARATOR);
        size_t n = end ? (size_t)(end - text) : strlen(text), n_ids;
        if (!end && n == 0) break; /* behind the last separator */
        int32_t ids[4096];
        line = parse_ids(line, ids, &n_ids);
        assert_int_equal(*line, '\n');
        line++;
        samp_tokens tokens = encode(t, text, n, false);
        assert_ids(&tokens, ids, n_ids, text);
        samp_tokens_release(&tokens);
        n_items++;
        text = end ? end + strlen(SEPARATOR) : NULL;
    }
    assert_int_equal(*line, '\0');
    assert_int_equal(n_items, n_expected);
    samp_buffer_release(&inputs);
    samp_buffer_release(&outputs);
}

static void test_smollm2_vectors(void **state)
{
    (void)state;
    samp_tokenizer *t = smollm2_tokenizer();
    check_vectors(t, TOKENIZERS "/ggml-vocab-smollm.gguf", 46);
    samp_tokenizer_release(t);
}

static void test_llama3_vectors(void **state)
{
    (void)state;
    const samp_tokenizer *t = llama3_tokenizer();
    check_vectors(t, TOKENIZERS "/ggml-vocab-llama-bpe.gguf", 46);
}

static void test_gguf_vectors(void **state)
{
    (void)state;
    static const char *const paths[] = {TOKENIZERS "/ggml-vocab-gpt-2.gguf",
                                        TOKENIZERS "/ggml-vocab-llama-spm.gguf"};
    for (size_t i = 0; i < 2; i++) {
        samp_tokenizer *t = gguf_tokenizer(paths[i]);
        check_vectors(t, paths[i], 46);
        samp_tokenizer_release(t);
    }
}

/* llama-spm.out starts each line without bos, and so must we unless asked for it. */
static void test_bos(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_tokens tokens = {0};
    samp_tokenizer *t = gguf_tokenizer(TOKENIZERS "/ggml-vocab-llama-spm.gguf");
    assert_int_equal(samp_tokenizer_bos(t), 1);
    assert_int_equal(samp_tokenizer_eos(t), 2);
    assert_ok(
        samp_tokenizer_encode(t, "Hello", 5, (samp_encode_text){.add_bos = true}, &tokens, &error),
        &error);
    assert_ids(&tokens, (const int32_t[]){1, 15043}, 2, "Hello");
    samp_tokens_release(&tokens);
    samp_tokenizer_release(t);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static void test_further_vocabularies(void **state)
{
    (void)state;
    const char *folder = getenv("SAMP_TEST_VOCABULARIES");
    if (!folder) {
        print_message("SAMP_TEST_VOCABULARIES is not set: skipped\n");
        skip();
    }
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        char path[1024], vectors[1100];
        samp_error error = {0};
        samp_tokenizer *t = NULL;
        samp_gguf *gguf;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        snprintf(vectors, sizeof vectors, "%s.out", path);
        if (!ends_with(path, ".gguf") || !samp_is_file(vectors)) continue;
        assert_ok(samp_gguf_open(&gguf, path, &error), &error);
        samp_status status = samp_tokenizer_from_gguf(&t, gguf, &error);
        samp_gguf_close(gguf);
        if (status == SAMP_OK)
            check_vectors(t, path, 46);
        else
            assert_fails(status, &error, SAMP_UNSUPPORTED, "is not supported (supported: ");
        print_message("%s: %s\n", entry->d_name, status == SAMP_OK ? "46 equal" : error.message);
        samp_tokenizer_release(t);
    }
    closedir(entries);
}

/* A line: text as JSON, ids with special tokens parsed, and where those differ ids without. */
static void check_golden(const samp_tokenizer *t, const char *path, int n_expected)
{
    samp_buffer file = read_all(path);
    int n_lines = 0;
    for (const char *line = file.data; *line; n_lines++) {
        json_error_t failure;
        json_t *text = json_loadb(line, (size_t)(strchr(line, '\t') - line),
                                  JSON_DECODE_ANY | JSON_ALLOW_NUL, &failure);
        assert_non_null(text);
        const char *bytes = json_string_value(text);
        size_t n = json_string_length(text), n_ids;
        int32_t ids[4096];
        line = parse_ids(strchr(line, '\t') + 1, ids, &n_ids);
        samp_tokens tokens = encode(t, bytes, n, true);
        assert_ids(&tokens, ids, n_ids, bytes);
        samp_tokens_release(&tokens);
        if (*line == '\t') line = parse_ids(line + 1, ids, &n_ids);
        tokens = encode(t, bytes, n, false);
        assert_ids(&tokens, ids, n_ids, bytes);
        samp_tokens_release(&tokens);
        json_decref(text);
        assert_int_equal(*line++, '\n');
    }
    assert_int_equal(n_lines, n_expected);
    samp_buffer_release(&file);
}

static void test_golden_smollm2(void **state)
{
    (void)state;
    samp_tokenizer *t = smollm2_tokenizer();
    check_golden(t, SAMP_GOLDEN "/tokenizer_smollm2.tsv", 300);
    samp_tokenizer_release(t);
}

static void test_golden_llama3(void **state)
{
    (void)state;
    const samp_tokenizer *t = llama3_tokenizer();
    check_golden(t, SAMP_GOLDEN "/tokenizer_llama3.tsv", 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smollm2_vectors),      cmocka_unit_test(test_llama3_vectors),
        cmocka_unit_test(test_gguf_vectors),         cmocka_unit_test(test_bos),
        cmocka_unit_test(test_further_vocabularies), cmocka_unit_test(test_golden_smollm2),
        cmocka_unit_test(test_golden_llama3),
    };
    return cmocka_run_group_tests(tests, NULL, release_llama3);
}

/* 10,000 random strings a family against Hugging Face's tokenizers: ids with and without special
 * tokens, and the text they decode to (tools/golden_tokenizer_random.py; tests/golden/README.md).
 * Each family's pipeline runs on a small vocabulary that is stored here; real vocabularies are
 * those of ../shared/data, and with SAMP_TEST_TOKENIZERS=folder whatever the tool wrote digests
 * beside: NAME.gguf and NAME.gguf.random, or FOLDER/tokenizer.json and FOLDER/random. */
#include "model/random_strings.h"
#include "support/golden.h"

#include <dirent.h>

/* added_tokens of families.json with ids: the model's own, or counted on from its last. */
static json_t *number_added(const json_t *listed, const json_t *vocab)
{
    json_t *added = json_deep_copy(listed), *item;
    json_int_t next = (json_int_t)json_object_size(vocab);
    size_t i;
    json_array_foreach(added, i, item)
    {
        const char *content = json_string_value(json_object_get(item, "content"));
        const json_t *known = json_object_get(vocab, content);
        json_object_set_new(item, "id", json_integer(known ? json_integer_value(known) : next++));
    }
    return added;
}

static json_t *part_of(const json_t *family, const char *name)
{
    json_t *part = json_object_get(family, name);
    return part ? json_incref(part) : json_null();
}

/* tokenizer.json of a family's pipeline around its small vocabulary. */
static samp_tokenizer *small_family(const json_t *families, const char *name, const json_t *family)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    const char *model_name = json_string_value(json_object_get(family, "model"));
    json_t *model = load_golden_json(model_name);
    const json_t *lists = json_object_get(families, "added_tokens");
    const json_t *listed = json_object_get(lists, name);
    json_t *added = number_added(listed ? listed : json_object_get(lists, model_name),
                                 json_object_get(model, "vocab"));
    json_object_set_new(model, "ignore_merges",
                        json_boolean(json_is_true(json_object_get(family, "ignore_merges"))));
    json_t *root =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "model", model, "added_tokens", added, "normalizer",
                  part_of(family, "normalizer"), "pre_tokenizer", part_of(family, "pre_tokenizer"),
                  "decoder", part_of(family, "decoder"));
    char *text = json_dumps(root, 0);
    assert_non_null(text);
    assert_ok(samp_tokenizer_parse(&t, text, strlen(text), NULL, 0, name, &error), &error);
    samp_free(text);
    json_decref(root);
    return t;
}

static size_t count_wrong(const samp_tokenizer *t, const golden_file *file, const char *name)
{
    golden_array digests = golden_get(file, name);
    return count_wrong_strings(t, name, digests.data, digests.n);
}

static void test_families(void **state)
{
    (void)state;
    golden_file file = golden_open("tokenizers/random");
    json_t *families = load_golden_json("families"), *family;
    const char *name;
    size_t n_wrong = 0;
    json_object_foreach(json_object_get(families, "families"), name, family)
    {
        samp_tokenizer *t = small_family(families, name, family);
        n_wrong += count_wrong(t, &file, name);
        samp_tokenizer_release(t);
    }
    assert_int_equal(n_wrong, 0);
    json_decref(families);
    free(file.bytes);
}

static void check_shared(const samp_tokenizer *t, const char *name)
{
    golden_file file = golden_open("tokenizers/random_shared");
    assert_int_equal(count_wrong(t, &file, name), 0);
    free(file.bytes);
}

static void test_gpt2(void **state)
{
    (void)state;
    samp_tokenizer *t = gguf_tokenizer(TOKENIZERS "/ggml-vocab-gpt-2.gguf");
    check_shared(t, "gpt-2");
    samp_tokenizer_release(t);
}

static void test_llama2(void **state)
{
    (void)state;
    samp_tokenizer *t = gguf_tokenizer(TOKENIZERS "/ggml-vocab-llama-spm.gguf");
    check_shared(t, "llama-spm");
    samp_tokenizer_release(t);
}

static void test_smollm2(void **state)
{
    (void)state;
    samp_tokenizer *t = smollm2_tokenizer();
    check_shared(t, "smollm2");
    samp_tokenizer_release(t);
}

static void test_llama3(void **state)
{
    (void)state;
    check_shared(llama3_tokenizer(), "llama3");
}

static samp_tokenizer *folder_tokenizer(const char *path)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_ok(samp_tokenizer_load(&t, path, &error), &error);
    return t;
}

static void test_further_tokenizers(void **state)
{
    (void)state;
    const char *folder = getenv("SAMP_TEST_TOKENIZERS");
    if (!folder) {
        print_message("SAMP_TEST_TOKENIZERS is not set: skipped\n");
        skip();
    }
    size_t n_wrong = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        char path[1024], beside[1100], inside[1100];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        snprintf(beside, sizeof beside, "%s.random", path);
        snprintf(inside, sizeof inside, "%s/random", path);
        bool is_gguf = samp_is_file(beside);
        if (!is_gguf && !samp_is_file(inside)) continue;
        samp_buffer digests = read_all(is_gguf ? beside : inside);
        samp_tokenizer *t = is_gguf ? gguf_tokenizer(path) : folder_tokenizer(path);
        size_t wrong = count_wrong_strings(t, path, (const uint8_t *)digests.data, digests.length);
        if (!wrong) print_message("%s: all equal\n", entry->d_name);
        n_wrong += wrong;
        samp_tokenizer_release(t);
        samp_buffer_release(&digests);
    }
    closedir(entries);
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families), cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_llama2),   cmocka_unit_test(test_smollm2),
        cmocka_unit_test(test_llama3),   cmocka_unit_test(test_further_tokenizers),
    };
    return cmocka_run_group_tests(tests, NULL, release_llama3);
}

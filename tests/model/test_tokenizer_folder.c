/* What the files of a folder say of a tokenizer, and which of them wins, as in Hugging Face's
 * transformers 5.23: added tokens and their flags, special tokens, bos and eos, templates. */
#include "model/tokenizer_data.h"

#include <unistd.h>

typedef struct folder {
    char path[64];
} folder;

static folder folder_make(void)
{
    folder f;
    strcpy(f.path, "/tmp/samp-tokenizer-XXXXXX");
    assert_non_null(mkdtemp(f.path));
    return f;
}

static void folder_write(const folder *f, const char *name, const char *text)
{
    char path[256];
    samp_error error = {0};
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    assert_ok(samp_file_write(path, text, strlen(text), &error), &error);
}

static samp_tokenizer *folder_load(const folder *f)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_ok(samp_tokenizer_load(&t, f->path, &error), &error);
    return t;
}

static void folder_remove(const folder *f)
{
    samp_error error = {0};
    assert_ok(samp_remove_folder(f->path, &error), &error);
}

/* The files in turn, a name and a text each, up to NULL; the tokenizer they make. */
static samp_tokenizer *folder_of(const char *const *files)
{
    folder f = folder_make();
    for (; *files; files += 2) folder_write(&f, files[0], files[1]);
    samp_tokenizer *t = folder_load(&f);
    folder_remove(&f);
    return t;
}

static const char SMALL_JSON[] =
    "{\"added_tokens\": [{\"id\": 5, \"content\": \"<x>\", \"special\": true, \"normalized\":"
    " false}], \"model\": {\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"</s>\": 3, \" \": 4},"
    " \"merges\": [\"a b\"]}}";

/* The configuration's added tokens: new ones, and other flags for those of tokenizer.json. */
static void test_added_tokens_decoder(void **state)
{
    (void)state;
    samp_tokenizer *t = folder_of((const char *const[]){
        "tokenizer.json", SMALL_JSON, "tokenizer_config.json",
        "{\"added_tokens_decoder\": {\"5\": {\"content\": \"<x>\", \"special\": true, \"lstrip\":"
        " true}, \"7\": {\"content\": \"<y>\", \"rstrip\": true}},"
        " \"model_max_length\": 1000000000000000019884624838656}",
        NULL});
    assert_int_equal(samp_tokenizer_vocab(t), 8);
    assert_encodes(t, "a <x> a", true, "0 5 4 0");
    assert_encodes(t, "a <y> a", false, "0 4 7 0");
    assert_true(samp_tokenizer_is_special(t, 5));
    assert_false(samp_tokenizer_is_special(t, 7));
    samp_tokenizer_release(t);
}

/* Named special tokens of the vocabulary are found in a text, and not made by merging. */
static void test_named_tokens(void **state)
{
    (void)state;
    samp_tokenizer *t = folder_of((const char *const[]){
        "tokenizer.json", SMALL_JSON, "tokenizer_config.json",
        "{\"eos_token\": {\"content\": \"</s>\", \"lstrip\": true}, \"additional_special_tokens\":"
        " [\"ab\", \"absent\"]}",
        NULL});
    assert_int_equal(samp_tokenizer_eos(t), 3);
    assert_encodes(t, "a </s>", true, "0 3");
    assert_encodes(t, "ab", true, "2");
    assert_encodes(t, "ab", false, "0 1");
    samp_tokenizer_release(t);
}

/* special_tokens_map.json counts where the configuration has no added_tokens_decoder. */
static void test_special_tokens_map(void **state)
{
    (void)state;
    static const char map[] = "{\"eos_token\": \"<x>\", \"bos_token\": \"</s>\"}";
    samp_tokenizer *t = folder_of(
        (const char *const[]){"tokenizer.json", SMALL_JSON, "tokenizer_config.json",
                              "{\"eos_token\": \"</s>\"}", "special_tokens_map.json", map, NULL});
    assert_int_equal(samp_tokenizer_eos(t), 5);
    assert_int_equal(samp_tokenizer_bos(t), 3);
    samp_tokenizer_release(t);
    t = folder_of((const char *const[]){"tokenizer.json", SMALL_JSON, "tokenizer_config.json",
                                        "{\"eos_token\": \"</s>\", \"added_tokens_decoder\": {}}",
                                        "special_tokens_map.json", map, NULL});
    assert_int_equal(samp_tokenizer_eos(t), 3);
    assert_int_equal(samp_tokenizer_bos(t), -1);
    samp_tokenizer_release(t);
}

static void assert_framed(const samp_tokenizer *t, const char *expected)
{
    samp_error error = {0};
    samp_tokens tokens = {0};
    int32_t ids[4096];
    size_t n;
    parse_ids(expected, ids, &n);
    samp_encode_text options = {.add_bos = true, .add_eos = true};
    assert_ok(samp_tokenizer_encode(t, "a", 1, options, &tokens, &error), &error);
    assert_ids(&tokens, ids, n, "a");
    samp_tokens_release(&tokens);
}

static void test_bos_and_eos(void **state)
{
    (void)state;
    static const char template[] =
        "{\"model\": {\"vocab\": {\"a\": 0, \"<s>\": 1, \"</s>\": 2}, \"merges\": []},"
        " \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": ["
        "{\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}},"
        " {\"SpecialToken\": {\"id\": \"</s>\"}}]}}";
    samp_tokenizer *t = folder_of((const char *const[]){"tokenizer.json", template, NULL});
    assert_framed(t, "1 0 2");
    assert_int_equal(samp_tokenizer_eos(t), 2);
    samp_tokenizer_release(t);
    t = folder_of((const char *const[]){"tokenizer.json", template, "tokenizer_config.json",
                                        "{\"add_bos_token\": true, \"add_eos_token\": false}",
                                        NULL});
    assert_framed(t, "1 0");
    samp_tokenizer_release(t);
    t = folder_of((const char *const[]){"tokenizer.json", SMALL_JSON, "tokenizer_config.json",
                                        "{\"add_eos_token\": true}", "generation_config.json",
                                        "{\"eos_token_id\": [5, 3]}", NULL});
    assert_framed(t, "0 5");
    samp_tokenizer_release(t);
}

/* ---- tokenizer.model ---- */

static folder model_folder(void)
{
    folder f = folder_make();
    char path[256];
    samp_error error = {0};
    snprintf(path, sizeof path, "%s/tokenizer.model", f.path);
    assert_ok(samp_file_copy(SAMP_GOLDEN "/tokenizers/characters.model", path, &error), &error);
    return f;
}

/* added_tokens.json counts beside tokenizer.model; tokenizer.json, when there, takes its place. */
static void test_model_folder(void **state)
{
    (void)state;
    folder f = model_folder();
    folder_write(&f, "added_tokens.json", "{\"<pad>\": 1400, \"<tool>\": 1402}");
    folder_write(&f, "special_tokens_map.json", "{\"pad_token\": \"<pad>\"}");
    samp_tokenizer *t = folder_load(&f);
    assert_true(samp_tokenizer_is_special(t, 1400));
    assert_false(samp_tokenizer_is_special(t, 1402));
    assert_int_equal(samp_tokenizer_vocab(t), 1403);
    assert_int_equal(samp_tokenizer_find(t, "<tool>"), 1402);
    assert_encodes(t, "<tool><s>", true, "1402 1");
    samp_tokenizer_release(t);
    folder_write(&f, "tokenizer.json", SMALL_JSON);
    t = folder_load(&f);
    assert_int_equal(samp_tokenizer_vocab(t), 6);
    samp_tokenizer_release(t);
    folder_remove(&f);
}

static void check_refused(const folder *f, const char *name, const char *text, samp_status status,
                          const char *says)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    char path[256];
    folder_write(f, name, text);
    assert_fails(samp_tokenizer_load(&t, f->path, &error), &error, status, says);
    assert_null(t);
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    assert_int_equal(unlink(path), 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const char config[] = "tokenizer_config.json";
    folder f = model_folder();
    check_refused(&f, config, "[]", SAMP_CORRUPT, "is no JSON object");
    check_refused(&f, config, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"c\"}}}",
                  SAMP_CORRUPT, "has the id \"x\", expected 0 to");
    check_refused(&f, config, "{\"added_tokens_decoder\": {\"9999999\": {\"content\": \"c\"}}}",
                  SAMP_CORRUPT, "has the id \"9999999\"");
    check_refused(&f, config, "{\"added_tokens_decoder\": {\"4000000\": {\"content\": \"c\"}}}",
                  SAMP_CORRUPT, "adds the id 4000000, but there are only 1400");
    check_refused(&f, config, "{\"added_tokens_decoder\": {\"7\": {\"content\": \"new\"}}}",
                  SAMP_CORRUPT, "id 7 is given to two tokens");
    check_refused(&f, config, "{\"added_tokens_decoder\": {\"7\": {}}}", SAMP_CORRUPT,
                  "\"content\" is missing");
    check_refused(&f, config, "{\"legacy\": 1}", SAMP_CORRUPT, "\"legacy\"");
    check_refused(&f, "added_tokens.json", "{\"a\": 1400, \"b\": 1400}", SAMP_CORRUPT,
                  "gives the id 1400 to two tokens");
    check_refused(&f, "added_tokens.json", "{\"a\": -1}", SAMP_CORRUPT, "not an integer from 0");
    folder_remove(&f);
}

/* ---- Templates ---- */

static const char BOTH[] =
    "{\"chat_template\": [{\"name\": \"default\", \"template\": \"config\"}, {\"name\":"
    " \"tool_use\", \"template\": \"config tools\"}]}";

static void check_templates(const folder *f, const char *plain, const char *tools)
{
    samp_tokenizer *t = folder_load(f);
    assert_string_equal(samp_tokenizer_chat_template(t), plain);
    if (tools)
        assert_string_equal(samp_tokenizer_tool_template(t), tools);
    else
        assert_null(samp_tokenizer_tool_template(t));
    samp_tokenizer_release(t);
}

/* Files take the place of what the configuration has. */
static void test_templates(void **state)
{
    (void)state;
    samp_error error = {0};
    folder f = folder_make();
    char more[128];
    folder_write(&f, "tokenizer.json", SMALL_JSON);
    folder_write(&f, "tokenizer_config.json", BOTH);
    check_templates(&f, "config", "config tools");
    folder_write(&f, "chat_template.jinja", "file");
    check_templates(&f, "file", NULL);
    snprintf(more, sizeof more, "%s/additional_chat_templates", f.path);
    assert_ok(samp_make_folder(more, &error), &error);
    folder_write(&f, "additional_chat_templates/tool_use.jinja", "file tools");
    check_templates(&f, "file", "file tools");
    folder_write(&f, "chat_template.jinja", "");
    check_templates(&f, "", "file tools");
    folder_remove(&f);
}

/* Each allocation in turn fails: a clear error, and nothing is left (a sanitizer sees leaks). */
static void test_failing_memory(void **state)
{
    (void)state;
    samp_error error = {0};
    folder f = folder_make();
    char more[128];
    folder_write(&f, "tokenizer.json", SMALL_JSON);
    folder_write(&f, "tokenizer_config.json", BOTH);
    folder_write(&f, "special_tokens_map.json",
                 "{\"eos_token\": \"</s>\", \"additional_special_tokens\": [\"ab\"]}");
    folder_write(&f, "added_tokens.json", "{\"<pad>\": 1400}");
    folder_write(&f, "generation_config.json", "{\"bos_token_id\": 5}");
    folder_write(&f, "chat_template.jinja", "file");
    snprintf(more, sizeof more, "%s/additional_chat_templates", f.path);
    assert_ok(samp_make_folder(more, &error), &error);
    folder_write(&f, "additional_chat_templates/tool_use.jinja", "file tools");
    for (int with_model = 0; with_model < 2; with_model++) {
        samp_status status = SAMP_NOMEM;
        uint64_t n = 0;
        while (status != SAMP_OK) {
            samp_tokenizer *t = NULL;
            samp_alloc_fail_at(++n);
            status = samp_tokenizer_load(&t, f.path, &error);
            samp_alloc_fail_at(0);
            if (status != SAMP_OK && (status != SAMP_NOMEM || t))
                fail_msg("allocation %llu: %s", (unsigned long long)n, error.message);
            samp_tokenizer_release(t);
        }
        print_message("  %llu allocations failed in turn\n", (unsigned long long)n - 1);
        char path[256];
        snprintf(path, sizeof path, "%s/tokenizer.json", f.path);
        if (!with_model) assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof path, "%s/tokenizer.model", f.path);
        folder_write(&f, "special_tokens_map.json", "{\"pad_token\": \"<pad>\"}");
        assert_ok(samp_file_copy(SAMP_GOLDEN "/tokenizers/characters.model", path, &error), &error);
    }
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added_tokens_decoder),
        cmocka_unit_test(test_named_tokens),
        cmocka_unit_test(test_special_tokens_map),
        cmocka_unit_test(test_bos_and_eos),
        cmocka_unit_test(test_model_folder),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

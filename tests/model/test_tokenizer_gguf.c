/* Tokenizers from GGUF metadata made here of the small vocabularies of tests/golden/tokenizers:
 * each name of tokenizer.ggml.pre must give its family's pipeline, on all of the random strings. */
#include "model/random_strings.h"
#include "quantize/gguf_maker.h"
#include "support/golden.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

typedef struct vocabulary {
    json_t *model;
    const char **texts;
    uint32_t *types;
    size_t n, n_added; /* families.json adds the last ones */
} vocabulary;

static vocabulary vocabulary_load(const char *name)
{
    vocabulary v = {.model = load_golden_json(name)};
    json_t *families = load_golden_json("families"), *token, *id;
    const json_t *listed = json_object_get(json_object_get(families, "added_tokens"), name);
    const char *text;
    size_t i, n = json_object_size(json_object_get(v.model, "vocab"));
    v.texts = calloc(n + json_array_size(listed), sizeof *v.texts);
    v.types = calloc(n + json_array_size(listed), sizeof *v.types);
    json_object_foreach(json_object_get(v.model, "vocab"), text, id)
    {
        v.texts[json_integer_value(id)] = text;
        v.types[json_integer_value(id)] =
            strncmp(text, "<0x", 3) == 0 && strlen(text) == 6 ? BYTE : NORMAL;
    }
    v.n = n;
    json_array_foreach(listed, i, token)
    {
        text = json_string_value(json_object_get(token, "content"));
        const json_t *known = json_object_get(json_object_get(v.model, "vocab"), text);
        size_t at = known ? (size_t)json_integer_value(known) : v.n++;
        if (!known) v.texts[at] = strdup(text), v.n_added++;
        v.types[at] = json_is_true(json_object_get(token, "special")) ? CONTROL : USER_DEFINED;
    }
    json_decref(families);
    return v;
}

static void vocabulary_release(vocabulary *v)
{
    for (size_t i = v->n - v->n_added; i < v->n; i++) free((char *)(uintptr_t)v->texts[i]);
    free(v->texts);
    free(v->types);
    json_decref(v->model);
}

static samp_tokenizer *finish(gguf_maker *maker)
{
    samp_error error = {0};
    samp_gguf *gguf;
    samp_tokenizer *t = NULL;
    samp_buffer file = gguf_finish(maker);
    assert_ok(samp_gguf_parse(&gguf, file.data, file.length, file.length, "made", &error), &error);
    assert_ok(samp_tokenizer_from_gguf(&t, gguf, &error), &error);
    samp_gguf_close(gguf);
    samp_buffer_release(&file);
    return t;
}

static samp_tokenizer *byte_level(const vocabulary *v, const char *pre)
{
    gguf_maker maker = {0};
    const json_t *pair, *merges = json_object_get(v->model, "merges");
    size_t i;
    gguf_text(&maker, "tokenizer.ggml.model", "gpt2");
    gguf_text(&maker, "tokenizer.ggml.pre", pre);
    gguf_texts(&maker, "tokenizer.ggml.tokens", v->texts, v->n);
    gguf_u32s(&maker, "tokenizer.ggml.token_type", v->types, v->n);
    gguf_key(&maker, "tokenizer.ggml.merges", GGUF_ARRAY);
    put_u32(&maker.metadata, GGUF_STRING);
    put_u64(&maker.metadata, json_array_size(merges));
    json_array_foreach(merges, i, pair)
    {
        char text[256];
        snprintf(text, sizeof text, "%s %s", json_string_value(json_array_get(pair, 0)),
                 json_string_value(json_array_get(pair, 1)));
        put_string(&maker.metadata, text);
    }
    return finish(&maker);
}

static size_t count_wrong(const samp_tokenizer *t, const char *family)
{
    golden_file file = golden_open("tokenizers/random");
    golden_array digests = golden_get(&file, family);
    size_t n_wrong = count_wrong_strings(t, family, digests.data, digests.n);
    free(file.bytes);
    return n_wrong;
}

static void test_pre_tokenizers(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *family;
    } rows[] = {{"gpt-2", "gpt2"},       {"smollm", "smollm"}, {"starcoder", "smollm"},
                {"llama-bpe", "llama3"}, {"qwen2", "qwen2"},   {"tekken", "tekken"}};
    vocabulary v = vocabulary_load("bytes");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        samp_tokenizer *t = byte_level(&v, rows[i].pre);
        assert_int_equal(count_wrong(t, rows[i].family), 0);
        samp_tokenizer_release(t);
    }
    vocabulary_release(&v);
}

/* The pieces of a SentencePiece model stand in the order of their scores. */
static samp_tokenizer *sentencepiece(const vocabulary *v, bool add_space_prefix)
{
    gguf_maker maker = {0};
    gguf_text(&maker, "tokenizer.ggml.model", "llama");
    gguf_texts(&maker, "tokenizer.ggml.tokens", v->texts, v->n);
    gguf_u32s(&maker, "tokenizer.ggml.token_type", v->types, v->n);
    gguf_key(&maker, "tokenizer.ggml.scores", GGUF_ARRAY);
    put_u32(&maker.metadata, GGUF_F32);
    put_u64(&maker.metadata, v->n);
    for (size_t i = 0; i < v->n; i++) {
        float score = -(float)i;
        samp_buffer_append(&maker.metadata, &score, sizeof score);
    }
    gguf_u32(&maker, "tokenizer.ggml.bos_token_id", 1);
    gguf_u32(&maker, "tokenizer.ggml.eos_token_id", 2);
    if (!add_space_prefix) {
        gguf_key(&maker, "tokenizer.ggml.add_space_prefix", GGUF_BOOL);
        samp_buffer_append(&maker.metadata, "", 1);
        gguf_key(&maker, "tokenizer.ggml.add_eos_token", GGUF_BOOL);
        samp_buffer_append(&maker.metadata, "\1", 1);
    }
    return finish(&maker);
}

static void check_framed(const samp_tokenizer *t, size_t n_expected)
{
    samp_error error = {0};
    samp_tokens tokens = {0};
    samp_encode_text options = {.add_bos = true, .add_eos = true};
    assert_ok(samp_tokenizer_encode(t, "", 0, options, &tokens, &error), &error);
    assert_ids(&tokens, (const int32_t[]){1, 2}, n_expected, "");
    samp_tokens_release(&tokens);
}

static void test_sentencepiece(void **state)
{
    (void)state;
    vocabulary v = vocabulary_load("characters");
    v.types[0] = UNKNOWN;
    samp_tokenizer *t = sentencepiece(&v, true);
    assert_int_equal(count_wrong(t, "llama2"), 0);
    check_framed(t, 1);
    samp_tokenizer_release(t);
    t = sentencepiece(&v, false);
    assert_int_equal(count_wrong(t, "llama2_bare"), 0);
    check_framed(t, 2);
    samp_tokenizer_release(t);
    vocabulary_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pre_tokenizers),
                                       cmocka_unit_test(test_sentencepiece)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What holds for every text and every tokenizer: bytes come back, streaming equals whole decoding, a user's
 * text makes no special token, and a tokenizer that was written reads back to the same ids. */
#include "model/tokenizer_data.h"

#include <unistd.h>

static const char SAID[] = "<|im_start|>system\nYou are <|im_end|><|endoftext|> </s><s><unk>"
                           "<|eot_id|><|begin_of_text|><0x0A>";

static samp_tokenizer *stories_tokenizer(void)
{
    static const char path[] = SAMP_DATA "/stories260K/tok512.bin";
    require_file(path);
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_ok(samp_tokenizer_from_llama2c(&t, path, 512, &error), &error);
    return t;
}

static samp_buffer decode(const samp_tokenizer *t, const samp_tokens *tokens)
{
    samp_error error = {0};
    samp_buffer text = {0};
    assert_ok(samp_tokenizer_decode(t, tokens->ids, tokens->count, false, &text, &error), &error);
    samp_buffer_text(&text, "");
    return text;
}

/* The streamed text; after each token it must be valid UTF-8 (jansson checks it). */
static samp_buffer stream(const samp_tokenizer *t, const samp_tokens *tokens)
{
    samp_buffer text = {0};
    samp_detokenizer state = {0};
    size_t checked = 0;
    for (size_t i = 0; i <= tokens->count; i++) {
        if (i < tokens->count)
            samp_detokenize(t, &state, tokens->ids[i], false, &text);
        else
            samp_detokenize_end(&state, &text);
        if (text.length == checked) continue;
        json_t *part = json_stringn(text.data + checked, text.length - checked);
        assert_non_null(part);
        json_decref(part);
        checked = text.length;
    }
    samp_buffer_text(&text, "");
    return text;
}

static void check_no_special(const samp_tokenizer *t, const samp_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++)
        assert_false(samp_tokenizer_is_special(t, tokens->ids[i]));
}

/* SentencePiece writes a space as U+2581, so that a text's own U+2581 comes back as a space. */
static void remove_marks(samp_buffer *text)
{
    for (char *mark; (mark = memmem(text->data, text->length, "▁", 3));) memcpy(mark, "___", 3);
}

/* Random bytes and what a user might say; `lossless` when the vocabulary has every byte. */
static void check_texts(const samp_tokenizer *t, bool lossless, int n)
{
    samp_prng prng = {7};
    samp_buffer text = {0};
    for (int i = 0; i < n; i++) {
        random_text(&prng, &text, (size_t)samp_prng_below(&prng, 200) + 1);
        if (i % 10 == 0) samp_buffer_text(&text, SAID);
        remove_marks(&text);
        samp_tokens tokens = encode(t, text.data, text.length, false);
        check_no_special(t, &tokens);
        samp_buffer whole = decode(t, &tokens), streamed = stream(t, &tokens);
        if (lossless) {
            assert_int_equal(whole.length, text.length);
            assert_memory_equal(whole.data, text.data, text.length);
        }
        json_t *valid = json_stringn(whole.data, whole.length);
        if (valid) assert_string_equal(streamed.data, whole.data);
        json_decref(valid);
        samp_buffer_release(&whole);
        samp_buffer_release(&streamed);
        samp_tokens_release(&tokens);
    }
    samp_buffer_release(&text);
}

static void test_texts_llama3(void **state)
{
    (void)state;
    const samp_tokenizer *t = llama3_tokenizer();
    check_texts(t, true, 1000);
}

static void test_texts_smollm2(void **state)
{
    (void)state;
    samp_tokenizer *t = smollm2_tokenizer(); /* has no token for 21 bytes */
    check_texts(t, false, 1000);
    static const char missing[] = "\x04\x06\x13\x14\x16\x1d\xc0\xc1\xf1\xf2\xf5\xff";
    samp_tokens tokens = encode(t, missing, sizeof missing - 1, false);
    assert_int_equal(tokens.count, 0); /* dropped, as Hugging Face does */
    samp_tokens_release(&tokens);
    assert_pieces(t, "a\x04 b", false, "a| b");
    samp_tokenizer_release(t);
}

static void test_texts_sentencepiece(void **state)
{
    (void)state;
    samp_tokenizer *t = gguf_tokenizer(TOKENIZERS "/ggml-vocab-llama-spm.gguf");
    check_texts(t, true, 1000);
    samp_tokenizer_release(t);
}

static void test_texts_stories(void **state)
{
    (void)state;
    samp_tokenizer *t = stories_tokenizer();
    check_texts(t, true, 1000);
    samp_tokenizer_release(t);
}

/* ---- Streaming ---- */

/* Every pair, triple … of bytes cut at random into tokens of one byte: what comes out is UTF-8, equal
 * to the whole where that is valid, and U+FFFD for each maximal part that is not. */
static void test_streaming_bytes(void **state)
{
    (void)state;
    samp_tokenizer *t =
        tokenizer_of(small_model(NULL, 0), json_array(), "null",
                     "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", BYTE_LEVEL_DECODER);
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"a\xc3\xa9z", "aéz"},
        {"\xf0\x9f\x99\x82", "🙂"},
        {"\xf0\x9f\x99", "\xef\xbf\xbd"},
        {"\xf0\x9f\x99"
         "a",
         "\xef\xbf\xbd"
         "a"},
        {"\xc3\xc3\xa9", "\xef\xbf\xbdé"},
        {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf1\x80\x80\xe1\x80\xc2"
         "b\x80",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
         "b\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_tokens tokens = {0};
        for (const char *b = cases[i].bytes; *b; b++)
            samp_tokens_push(&tokens, (unsigned char)*b, NULL);
        samp_buffer streamed = stream(t, &tokens);
        assert_string_equal(streamed.data, cases[i].text);
        samp_buffer_release(&streamed);
        samp_tokens_release(&tokens);
    }
    samp_tokenizer_release(t);
}

static void test_special_text(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_tokenizer *t = smollm2_tokenizer();
    const int32_t ids[] = {1, 9690, 198, 2};
    for (int with_special = 0; with_special < 2; with_special++) {
        samp_buffer whole = {0}, streamed = {0};
        samp_detokenizer detokenizer = {0};
        assert_ok(samp_tokenizer_decode(t, ids, 4, with_special, &whole, &error), &error);
        for (int i = 0; i < 4; i++)
            samp_detokenize(t, &detokenizer, ids[i], with_special, &streamed);
        samp_detokenize_end(&detokenizer, &streamed);
        assert_string_equal(whole.data,
                            with_special ? "<|im_start|>system\n<|im_end|>" : "system\n");
        assert_string_equal(streamed.data, whole.data);
        samp_buffer_release(&whole);
        samp_buffer_release(&streamed);
    }
    samp_buffer out = {0};
    assert_fails(samp_tokenizer_decode(t, (const int32_t[]){49152}, 1, false, &out, &error), &error,
                 SAMP_INVALID, "49152");
    assert_fails(samp_tokenizer_decode(t, (const int32_t[]){-1}, 1, false, &out, &error), &error,
                 SAMP_INVALID, "-1");
    assert_encodes(t, "<|im_start|>", true, "1");
    assert_pieces(t, "<|im_start|>", false, "<|||im|_|start|||>");
    assert_int_equal(samp_tokenizer_find(t, "<|im_end|>"), 2);
    samp_tokenizer_release(t);
}

/* ---- stories260K ---- */

static void test_stories(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_tokenizer *t = stories_tokenizer();
    assert_int_equal(samp_tokenizer_vocab(t), 512);
    assert_int_equal(samp_tokenizer_bos(t), 1);
    assert_int_equal(samp_tokenizer_eos(t), 2);
    /* ids of llama2.c's algorithm, reimplemented in a few lines of Python for this test */
    assert_encodes(t, "Once upon a time, there was a little girl named Lily.", false,
                   "403 407 261 378 432 383 286 261 376 298 315 421 395 317 426");
    assert_encodes(t, "Tom & Zoë said: 日本\n", false,
                   "274 287 410 499 410 469 414 198 174 336 467 410 233 154 168 233 159 175 13");
    samp_tokenizer_release(t);
    t = NULL;
    static const char path[] = SAMP_DATA "/stories260K/tok512.bin";
    assert_fails(samp_tokenizer_from_llama2c(&t, path, 511, &error), &error, SAMP_MISMATCH,
                 "are left behind the model's 511 tokens");
    assert_fails(samp_tokenizer_from_llama2c(&t, path, 513, &error), &error, SAMP_CORRUPT,
                 "token 512");
    assert_fails(samp_tokenizer_from_llama2c(&t, path, 2, &error), &error, SAMP_INVALID,
                 "at least 3");
    assert_null(t);
}

/* ---- Writing ---- */

static void check_written(const samp_tokenizer *t)
{
    samp_error error = {0};
    samp_tokenizer *again = NULL;
    char folder[256], path[512];
    snprintf(folder, sizeof folder, "%s/samp-tokenizer-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    assert_ok(samp_tokenizer_write(t, folder, &error), &error);
    assert_ok(samp_tokenizer_load(&again, folder, &error), &error);
    assert_int_equal(samp_tokenizer_vocab(again), samp_tokenizer_vocab(t));
    assert_int_equal(samp_tokenizer_bos(again), samp_tokenizer_bos(t));
    assert_int_equal(samp_tokenizer_eos(again), samp_tokenizer_eos(t));
    const char *chat_template = samp_tokenizer_chat_template(t);
    const char *written = samp_tokenizer_chat_template(again);
    assert_int_equal(chat_template != NULL, written != NULL);
    if (chat_template) assert_string_equal(written, chat_template);
    samp_prng prng = {11};
    samp_buffer text = {0};
    for (int i = 0; i < 500; i++) {
        random_text(&prng, &text, (size_t)samp_prng_below(&prng, 200) + 1);
        if (i % 5 == 0) samp_buffer_text(&text, SAID);
        samp_encode_text options = {.parse_special = i % 2, .add_bos = true};
        samp_tokens first = {0}, second = {0};
        assert_ok(samp_tokenizer_encode(t, text.data, text.length, options, &first, &error),
                  &error);
        assert_ok(samp_tokenizer_encode(again, text.data, text.length, options, &second, &error),
                  &error);
        assert_ids(&second, first.ids, first.count, text.data);
        samp_buffer a = decode(t, &first), b = decode(again, &second);
        assert_int_equal(a.length, b.length);
        assert_memory_equal(a.data, b.data, a.length);
        samp_buffer_release(&a);
        samp_buffer_release(&b);
        samp_tokens_release(&first);
        samp_tokens_release(&second);
    }
    samp_buffer_release(&text);
    snprintf(path, sizeof path, "%s/chat_template.jinja", folder);
    assert_ok(samp_file_write(path, "{{ 1 }}", 7, &error), &error);
    samp_tokenizer_release(again);
    assert_ok(samp_tokenizer_load(&again, folder, &error), &error);
    assert_string_equal(samp_tokenizer_chat_template(again), "{{ 1 }}");
    samp_tokenizer_release(again);
    assert_ok(samp_remove_folder(folder, &error), &error);
}

static void test_write_smollm2(void **state)
{
    (void)state;
    samp_tokenizer *t = smollm2_tokenizer();
    check_written(t);
    samp_tokenizer_release(t);
}

static void test_write_llama3(void **state)
{
    (void)state;
    check_written(llama3_tokenizer());
}

static void test_write_sentencepiece(void **state)
{
    (void)state;
    samp_tokenizer *t = gguf_tokenizer(TOKENIZERS "/ggml-vocab-llama-spm.gguf");
    check_written(t);
    samp_tokenizer_release(t);
}

static void test_write_stories(void **state)
{
    (void)state;
    samp_tokenizer *t = stories_tokenizer();
    check_written(t);
    samp_tokenizer_release(t);
}

static void test_write_config(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    static const char json[] =
        "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true}, {\"id\": 7,"
        " \"content\": \"tool call\", \"lstrip\": true}], \"model\": {\"vocab\": {\"</s>\": 1,"
        " \"a\": 2, \" \": 3, \" a\": 4}, \"merges\": [[\" \", \"a\"]]}}";
    static const char config[] =
        "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_bos_token\":"
        " true, \"chat_template\": \"{{ \\\"é\\\" }}\\n\"}";
    assert_ok(samp_tokenizer_parse(&t, json, strlen(json), config, strlen(config), "t", &error),
              &error);
    assert_encodes(t, "a a tool callX", false, "2 4 7");
    check_written(t);
    samp_tokenizer_release(t);
}

static void test_load_absent(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_fails(samp_tokenizer_load(&t, "/nonexistent", &error), &error, SAMP_NOT_FOUND,
                 "/nonexistent does not exist");
    assert_fails(samp_tokenizer_load(&t, "/", &error), &error, SAMP_NOT_FOUND,
                 "/ has neither tokenizer.json nor tokenizer.model");
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_llama3),
        cmocka_unit_test(test_texts_smollm2),
        cmocka_unit_test(test_texts_sentencepiece),
        cmocka_unit_test(test_texts_stories),
        cmocka_unit_test(test_streaming_bytes),
        cmocka_unit_test(test_special_text),
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_write_smollm2),
        cmocka_unit_test(test_write_llama3),
        cmocka_unit_test(test_write_sentencepiece),
        cmocka_unit_test(test_write_stories),
        cmocka_unit_test(test_write_config),
        cmocka_unit_test(test_load_absent),
    };
    return cmocka_run_group_tests(tests, NULL, release_llama3);
}

/* tokenizer.model: the small one that SentencePiece itself trained (tests/golden/tokenizers), cut
 * at many a byte, and models made here field by field for what is refused. */
#include "model/random_strings.h"
#include "support/golden.h"

static const char MODEL[] = SAMP_GOLDEN "/tokenizers/characters.model";

static samp_tokenizer *read_model(const char *bytes, size_t n)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_ok(samp_tokenizer_from_sentencepiece(&t, bytes, n, "test", &error), &error);
    return t;
}

static size_t count_wrong(const samp_tokenizer *t, const char *name)
{
    golden_file file = golden_open("tokenizers/random");
    golden_array digests = golden_get(&file, name);
    size_t n_wrong = count_wrong_strings(t, name, digests.data, digests.n);
    free(file.bytes);
    return n_wrong;
}

/* families.json adds this one to the small vocabulary; the model itself does not have it. */
static const char ADDED[] = "{\"added_tokens_decoder\": {\"1400\": {\"content\": \"<|eot_id|>\","
                            " \"special\": true, \"normalized\": false}}, \"legacy\": %s}";

static char *make_folder(void)
{
    static char folder[64];
    strcpy(folder, "/tmp/samp-tokenizer-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void write_text(const char *folder, const char *name, const char *text, size_t n)
{
    char path[256];
    samp_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(samp_file_write(path, text, n, &error), &error);
}

static samp_tokenizer *load_folder(const char *folder)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_ok(samp_tokenizer_load(&t, folder, &error), &error);
    return t;
}

static void remove_folder(const char *folder)
{
    samp_error error = {0};
    assert_ok(samp_remove_folder(folder, &error), &error);
}

/* In a folder, with a configuration, and then written and read again as tokenizer.json. */
static void test_random_strings(void **state)
{
    (void)state;
    static const char *const legacy[] = {"true", "false"}, *const families[] = {"llama2",
                                                                                "mistral"};
    samp_buffer model = read_all(MODEL);
    for (int i = 0; i < 2; i++) {
        char config[256];
        samp_error error = {0};
        const char *folder = make_folder();
        snprintf(config, sizeof config, ADDED, legacy[i]);
        write_text(folder, "tokenizer.model", model.data, model.length);
        write_text(folder, "tokenizer_config.json", config, strlen(config));
        samp_tokenizer *t = load_folder(folder);
        assert_int_equal(samp_tokenizer_vocab(t), 1401);
        assert_int_equal(count_wrong(t, families[i]), 0);
        assert_ok(samp_tokenizer_write(t, folder, &error), &error);
        samp_tokenizer_release(t);
        t = load_folder(folder); /* tokenizer.json goes first */
        assert_int_equal(count_wrong(t, families[i]), 0);
        samp_tokenizer_release(t);
        remove_folder(folder);
    }
    samp_buffer_release(&model);
}

static void test_special_ids(void **state)
{
    (void)state;
    samp_buffer model = read_all(MODEL);
    samp_tokenizer *t = read_model(model.data, model.length);
    assert_int_equal(samp_tokenizer_vocab(t), 1400);
    assert_int_equal(samp_tokenizer_bos(t), 1);
    assert_int_equal(samp_tokenizer_eos(t), 2);
    assert_true(samp_tokenizer_is_special(t, 0));
    assert_false(samp_tokenizer_is_special(t, samp_tokenizer_find(t, "<tool_call>")));
    assert_pieces(t, "<tool_call></s>", false, "<tool_call>| </|s>");
    assert_pieces(t, "<tool_call></s>", true, "<tool_call>|</s>");
    samp_tokenizer_release(t);
    samp_buffer_release(&model);
}

/* A model that ends early is an error that names the file and a byte; never more is read. */
static void test_truncated(void **state)
{
    (void)state;
    samp_buffer model = read_all(MODEL);
    for (size_t n = 0; n < model.length; n += n < 300 || n + 900 > model.length ? 1 : 97) {
        samp_error error = {0};
        samp_tokenizer *t = NULL;
        char *exact = malloc(n ? n : 1);
        memcpy(exact, model.data, n);
        samp_status status = samp_tokenizer_from_sentencepiece(&t, exact, n, "cut.model", &error);
        if (status == SAMP_OK)
            samp_tokenizer_release(t); /* between two fields behind the pieces */
        else
            assert_non_null(strstr(error.message, "cut.model"));
        free(exact);
    }
    samp_buffer_release(&model);
}

static void test_failing_memory(void **state)
{
    (void)state;
    samp_buffer model = read_all(MODEL);
    samp_status status = SAMP_NOMEM;
    for (uint64_t n = 1; status != SAMP_OK; n++) {
        samp_error error = {0};
        samp_tokenizer *t = NULL;
        samp_alloc_fail_at(n);
        status = samp_tokenizer_from_sentencepiece(&t, model.data, model.length, "m", &error);
        samp_alloc_fail_at(0);
        assert_true(status == SAMP_OK || (status == SAMP_NOMEM && !t));
        samp_tokenizer_release(t);
    }
    samp_buffer_release(&model);
}

/* ---- Models made field by field ---- */

static void put_varint(samp_buffer *out, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) samp_buffer_append(out, &(char){(char)(value | 0x80)}, 1);
    samp_buffer_append(out, &(char){(char)value}, 1);
}

static void put_number(samp_buffer *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(samp_buffer *out, unsigned field, const char *bytes, size_t n)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, n);
    samp_buffer_append(out, bytes, n);
}

static void put_message(samp_buffer *out, unsigned field, samp_buffer *message)
{
    put_bytes(out, field, message->length ? message->data : "", message->length);
    samp_buffer_release(message);
}

static void put_piece(samp_buffer *out, const char *text, float score, unsigned type)
{
    samp_buffer piece = {0};
    put_bytes(&piece, 1, text, strlen(text));
    put_varint(&piece, 2 << 3 | 5);
    samp_buffer_append(&piece, &score, 4);
    if (type) put_number(&piece, 3, type);
    put_message(out, 1, &piece);
}

enum { TRAINER = 2, NORMALIZER = 3 };

/* Pieces <unk>, a, b, ab, and settings that are fine. */
static samp_buffer good_model(void)
{
    samp_buffer model = {0}, trainer = {0}, normalizer = {0};
    put_piece(&model, "<unk>", 0, 2);
    put_piece(&model, "a", -1, 1);
    put_piece(&model, "b", -2, 0);
    put_piece(&model, "ab", -3, 1);
    put_number(&trainer, 3, 2);
    put_number(&normalizer, 4, 0);
    put_number(&normalizer, 3, 0);
    put_message(&model, TRAINER, &trainer);
    put_message(&model, NORMALIZER, &normalizer);
    return model;
}

static void check_refused(samp_buffer *model, samp_status expected, const char *says)
{
    samp_error error = {0};
    samp_tokenizer *t = NULL;
    assert_fails(samp_tokenizer_from_sentencepiece(&t, model->length ? model->data : "",
                                                   model->length, "t.model", &error),
                 &error, expected, says);
    assert_null(t);
    assert_non_null(strstr(error.message, "t.model"));
    samp_buffer_release(model);
}

/* The good model with one more field of trainer_spec or normalizer_spec: the last counts. */
static void refuse_number(unsigned message, unsigned field, uint64_t value, samp_status status,
                          const char *says)
{
    samp_buffer model = good_model(), inner = {0};
    put_number(&inner, field, value);
    put_message(&model, message, &inner);
    check_refused(&model, status, says);
}

static void refuse_piece(const char *text, unsigned type, const char *says)
{
    samp_buffer model = good_model();
    put_piece(&model, text, 0, type);
    check_refused(&model, SAMP_CORRUPT, says);
}

static void refuse_bytes(const char *bytes, size_t n, const char *says)
{
    samp_buffer model = good_model();
    samp_buffer_append(&model, bytes, n);
    check_refused(&model, SAMP_CORRUPT, says);
}

static void test_good(void **state)
{
    (void)state;
    samp_buffer model = good_model();
    put_number(&model, 200, 5);           /* an extension */
    put_bytes(&model, 4, "self test", 9); /* not needed */
    samp_tokenizer *t = read_model(model.data, model.length);
    assert_encodes(t, "aab?b", false, "1 3 0 2"); /* no byte fallback: the unknown piece */
    assert_int_equal(samp_tokenizer_bos(t), -1);  /* id 1 is no control piece */
    samp_tokenizer_release(t);
    samp_buffer_release(&model);
}

/* Pieces of one score become merges in the order of their ids, as Hugging Face's converter has it. */
static void test_equal_scores(void **state)
{
    (void)state;
    static const char *const runs[] = {"aa", "aaaa", "aaa"};
    samp_error error = {0};
    json_t *root;
    char path[256];
    samp_buffer model = good_model(), merges = {0};
    for (int i = 0; i < 3; i++) put_piece(&model, runs[i], -9, 1);
    samp_tokenizer *t = read_model(model.data, model.length);
    const char *folder = make_folder();
    assert_ok(samp_tokenizer_write(t, folder, &error), &error);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_ok(samp_json_load(&root, path, 1 << 20, &error), &error);
    size_t i;
    const json_t *merge;
    json_array_foreach(json_object_get(json_object_get(root, "model"), "merges"), i, merge)
    {
        samp_buffer_text(&merges, json_string_value(merge));
        samp_buffer_text(&merges, "|");
    }
    assert_string_equal(merges.data, "a b|a a|a aaa|aa aa|aaa a|a aa|aa a|");
    json_decref(root);
    samp_buffer_release(&merges);
    samp_buffer_release(&model);
    samp_tokenizer_release(t);
    remove_folder(folder);
}

static void test_refused(void **state)
{
    (void)state;
    samp_buffer empty = {0};
    check_refused(&empty, SAMP_UNSUPPORTED, "unigram (1), only BPE");
    refuse_number(TRAINER, 3, 1, SAMP_UNSUPPORTED, "unigram (1), only BPE");
    refuse_number(TRAINER, 3, 4, SAMP_UNSUPPORTED, "character (4)");
    refuse_number(TRAINER, 3, UINT64_MAX, SAMP_UNSUPPORTED, "unknown (18446744073709551615)");
    refuse_number(TRAINER, 24, 1, SAMP_UNSUPPORTED, "treat_whitespace_as_suffix");
    refuse_number(NORMALIZER, 4, 1, SAMP_UNSUPPORTED, "remove_extra_whitespaces");
    refuse_number(NORMALIZER, 5, 0, SAMP_UNSUPPORTED, "unescaped whitespace");
    refuse_number(TRAINER, 40, 2, SAMP_CORRUPT, "piece 0 is the unknown one, expected 2");
    refuse_number(NORMALIZER, 1, 1, SAMP_CORRUPT, "the normalizer's name has wire type 0");
    refuse_piece("c", 7, "piece 4 has type 7, expected 1 to 6");
    refuse_piece("a", 1, "pieces 1 and 4 are both \"a\"");
    refuse_piece("<unk2>", 2, "piece 4 is the unknown one");
    refuse_piece("<0x4>", 6, "stands for no byte");
    refuse_piece("", 1, "has no text");
    refuse_bytes("\x0a\x7f", 2, "needs 127 bytes");
    refuse_bytes("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "needs 18446744073709551615");
    refuse_bytes("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "more than 64 bits");
    refuse_bytes("\x0b", 1, "wire type 3");
    refuse_bytes("\x02\x00", 2, "field number 0");
    refuse_bytes("\x08\x01", 2, "a piece has wire type 0, expected 2");
    samp_buffer model = good_model(), inner = {0};
    put_bytes(&inner, 1, "nmt_nfkc", 8);
    put_bytes(&inner, 2, "table", 5);
    put_message(&model, NORMALIZER, &inner);
    check_refused(&model, SAMP_UNSUPPORTED, "\"nmt_nfkc\" with a table");
    model = good_model();
    put_bytes(&inner, 2, "table", 5);
    put_message(&model, 5, &inner);
    check_refused(&model, SAMP_UNSUPPORTED, "a denormalizer");
    samp_buffer ranks = {0};
    samp_buffer_text(&ranks, "IQ== 0\nIg== 1\n");
    check_refused(&ranks, SAMP_UNSUPPORTED, "tiktoken");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_strings), cmocka_unit_test(test_special_ids),
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_good),           cmocka_unit_test(test_refused),
        cmocka_unit_test(test_equal_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

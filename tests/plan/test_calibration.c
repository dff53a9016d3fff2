/* Calibration text to tokens: samples and plain text, limits, fingerprints, and what is refused.
 * The tokenizer is made here: small letters, blank, line feed, and ChatML's markers as special
 * tokens. */
#include "file/scratch.h"

#include "plan/calibration.h"

static samp_tokenizer *letters;
enum { BLANK = 26, FEED = 27, START = 28, END = 29, EOS = 30 };

static int make(void **state)
{
    samp_error error = {0};
    samp_buffer json = {0};
    samp_buffer_text(&json, "{\"added_tokens\":[");
    static const char *const added[] = {"<|im_start|>", "<|im_end|>", "<eos>"};
    for (int i = 0; i < 3; i++)
        samp_buffer_printf(&json,
                           "%s{\"id\":%d,\"content\":\"%s\",\"special\":true,"
                           "\"normalized\":false}",
                           i ? "," : "", START + i, added[i]);
    samp_buffer_text(&json,
                     "],\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                     "\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\"},"
                     "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    for (int i = 0; i < 26; i++) samp_buffer_printf(&json, "\"%c\":%d,", 'a' + i, i);
    samp_buffer_text(&json, "\"\xC4\xA0\":26,\"\xC4\x8A\":27}}}");
    const char *config = "{\"eos_token\":\"<eos>\"}";
    samp_status status = samp_tokenizer_parse(&letters, json.data, json.length, config,
                                              strlen(config), "test", &error);
    samp_buffer_release(&json);
    if (status != SAMP_OK) print_error("%s\n", error.message);
    return status == SAMP_OK ? scratch_make(state) : -1;
}

static int release(void **state)
{
    samp_tokenizer_release(letters);
    return scratch_remove(state);
}

static samp_tokens tokens;
static json_t *strata;
static char digest[SAMP_SHA256_HEX];

static samp_status load(const char *name, const char *content, size_t max_tokens, samp_error *error)
{
    put_file(name, content, strlen(content));
    json_decref(strata);
    samp_tokens_release(&tokens);
    tokens = (samp_tokens){0};
    samp_calibration_options options = {.max_tokens = max_tokens};
    return samp_calibration_load(scratch_path(name), letters, &options, &tokens, digest, &strata,
                                 error);
}

static void expect_tokens(const int32_t *ids, size_t n)
{
    assert_int_equal(tokens.count, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(tokens.ids[i], ids[i]);
}

static json_int_t number(const char *stratum, const char *key)
{
    return json_integer_value(
        json_object_get(json_object_get(json_object_get(strata, "strata"), stratum), key));
}

static int forget(void **state)
{
    (void)state;
    json_decref(strata);
    strata = NULL;
    samp_tokens_release(&tokens);
    tokens = (samp_tokens){0};
    return 0;
}

static const char two[] = "{\"text\":\"<|im_start|>ab<|im_end|>\",\"stratum\":\"chat\"}\n\n"
                          "{\"text\":\"c d\",\"stratum\":\"code\",\"source_line\":4}\n";

static void a_sample(void **state)
{
    (void)state;
    samp_error error = {0};
    assert_ok(load("calib.jsonl", two, 0, &error), &error);
    expect_tokens((const int32_t[]){START, 0, 1, END, EOS, 2, BLANK, 3, EOS}, 9);
    assert_int_equal(number("chat", "records"), 1);
    assert_int_equal(number("chat", "tokens"), 5);
    assert_int_equal(number("code", "tokens"), 4);
    assert_int_equal(number("code", "bytes"), 3);
    assert_true(json_is_true(json_object_get(strata, "complete")));
    assert_null(json_object_get(strata, "fingerprint"));
    assert_int_equal(strlen(digest), 64);
}

static void plain_text_has_nothing_special(void **state)
{
    (void)state;
    samp_error error = {0};
    assert_ok(load("plain.txt", "ab\nc", 0, &error), &error);
    expect_tokens((const int32_t[]){0, 1, FEED, 2, EOS}, 5);
    assert_ok(load("marked.txt", "a<eos>b", 0, &error), &error);
    for (size_t i = 0; i + 1 < tokens.count; i++) assert_true(tokens.ids[i] < START);
    assert_ok(load("brace.txt", "{ a }\n{ b }\n", 0, &error), &error);
    assert_int_equal(tokens.ids[tokens.count - 1], EOS);
}

static void the_limit_cuts(void **state)
{
    (void)state;
    samp_error error = {0};
    for (size_t limit = 1; limit < 9; limit++) {
        assert_ok(load("calib.jsonl", two, limit, &error), &error);
        assert_int_equal(tokens.count, limit);
        assert_true(json_is_false(json_object_get(strata, "complete")));
        assert_int_equal(json_integer_value(json_object_get(strata, "tokens")), limit);
    }
    assert_ok(load("calib.jsonl", two, 9, &error), &error);
    assert_true(json_is_true(json_object_get(strata, "complete")));
    char text[4097];
    memset(text, 'a', 4096), text[4096] = '\0';
    for (size_t i = 6; i < 4096; i += 7) text[i] = ' ';
    assert_ok(load("long.txt", text, 10, &error), &error);
    assert_int_equal(tokens.count, 10);
    assert_true(json_is_false(json_object_get(strata, "complete")));
}

static void the_fingerprint_goes_along(void **state)
{
    (void)state;
    samp_error error = {0};
    char fingerprint[256];
    assert_ok(load("calib.jsonl", two, 0, &error), &error);
    snprintf(fingerprint, sizeof fingerprint, "{\"schema_version\":1,\"sha256\":\"%s\",\"seed\":7}",
             digest);
    put_file("calib.fingerprint.json", fingerprint, strlen(fingerprint));
    assert_ok(load("calib.jsonl", two, 0, &error), &error);
    json_t *found = json_object_get(strata, "fingerprint");
    assert_int_equal(json_integer_value(json_object_get(found, "seed")), 7);
    /* Another sample under the same name: the fingerprint is not its own. */
    assert_ok(load("calib.jsonl", "{\"text\":\"a\"}\n", 0, &error), &error);
    assert_null(json_object_get(strata, "fingerprint"));
    assert_int_equal(number("unnamed", "records"), 1);
}

static void paths_of_fingerprints(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"calib.jsonl", "calib.fingerprint.json"},
                                           {"a.b/calib", "a.b/calib.fingerprint.json"},
                                           {"/x/calib.v2.jsonl", "/x/calib.v2.fingerprint.json"},
                                           {".hidden", ".hidden.fingerprint.json"}};
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        samp_error error = {0};
        assert_ok(samp_fingerprint_path(path, sizeof path, cases[i][0], &error), &error);
        assert_string_equal(path, cases[i][1]);
        assert_fails(samp_fingerprint_path(path, 8, cases[i][0], &error), &error, SAMP_LIMIT,
                     "too long");
    }
}

static void load_part(const char *name, samp_calibration_part part, const char *stratum)
{
    samp_error error = {0};
    samp_calibration_options options = {.part = part, .stratum = stratum};
    assert_int_equal(forget(NULL), 0);
    assert_ok(samp_calibration_load(scratch_path(name), letters, &options, &tokens, digest, &strata,
                                    &error),
              &error);
}

/* 20 records of one letter each, their letter a count within their stratum. */
static void parts_share_no_record(void **state)
{
    (void)state;
    char text[2048] = "";
    for (int i = 0; i < 20; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "{\"text\":\"%c\",\"stratum\":\"%s\"}\n", 'a' + i / 2, i % 2 ? "odd" : "even");
    put_file("parts.jsonl", text, strlen(text));
    load_part("parts.jsonl", SAMP_CALIBRATION_HELD_OUT, NULL);
    expect_tokens((const int32_t[]){1, EOS, 1, EOS, 9, EOS, 9, EOS}, 8);
    assert_int_equal(number("even", "records"), 2);
    load_part("parts.jsonl", SAMP_CALIBRATION_HELD_OUT, "odd");
    expect_tokens((const int32_t[]){1, EOS, 9, EOS}, 4);
    load_part("parts.jsonl", SAMP_CALIBRATION_FIT, NULL);
    assert_int_equal(tokens.count, 2 * 16);
    for (size_t i = 0; i < tokens.count; i++) assert_true(tokens.ids[i] != 1 && tokens.ids[i] != 9);
    assert_int_equal(number("odd", "records"), 8);

    put_file("parts.txt", "aaaa aaaa aaaa aaaa aaaa aaaa aaaa bbbb", 39);
    load_part("parts.txt", SAMP_CALIBRATION_HELD_OUT, NULL);
    expect_tokens((const int32_t[]){BLANK, 1, 1, 1, 1, EOS}, 6);
    load_part("parts.txt", SAMP_CALIBRATION_FIT, NULL);
    assert_int_equal(tokens.count, 34 + 1);
}

static void refused(void **state)
{
    (void)state;
    samp_error error = {0};
    assert_fails(load("a", "", 0, &error), &error, SAMP_INVALID, "is empty");
    assert_fails(load("b", "{\"text\":\"a\"}\n{\"text\":\n", 0, &error), &error, SAMP_CORRUPT,
                 "line 2");
    assert_fails(load("c", "{\"messages\":[]}\n", 0, &error), &error, SAMP_CORRUPT,
                 "\"text\" is missing");
    assert_fails(load("d", "{\"text\":\"a\"}\n[]\n", 0, &error), &error, SAMP_CORRUPT,
                 "line 2 is not an object");
    samp_calibration_options all = {0};
    put_file("one", "{\"text\":\"a\"}\n", 13);
    samp_calibration_options held_out = {.part = SAMP_CALIBRATION_HELD_OUT};
    assert_fails(samp_calibration_load(scratch_path("one"), letters, &held_out, &tokens, digest,
                                       NULL, &error),
                 &error, SAMP_INVALID, "too small to hold an eighth out");
    assert_fails(
        samp_calibration_load("/nonexistent", letters, &all, &tokens, digest, NULL, &error), &error,
        SAMP_NOT_FOUND, "/nonexistent");
    assert_null(strata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_sample, forget),
        cmocka_unit_test_teardown(plain_text_has_nothing_special, forget),
        cmocka_unit_test_teardown(the_limit_cuts, forget),
        cmocka_unit_test_teardown(the_fingerprint_goes_along, forget),
        cmocka_unit_test_teardown(paths_of_fingerprints, forget),
        cmocka_unit_test_teardown(parts_share_no_record, forget),
        cmocka_unit_test_teardown(refused, forget),
    };
    return cmocka_run_group_tests(tests, make, release);
}

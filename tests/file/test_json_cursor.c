/* The streaming JSON parser: what it accepts and refuses (JSONTestSuite when the shared data is
 * there), exact integers, strings, depth. */
#include "file/scratch.h"

#include "file/json_cursor.h"

/* Parses a whole text as one value. */
static samp_status parse_any(const char *text, size_t n, samp_error *error)
{
    samp_cursor bytes;
    samp_json_cursor json;
    samp_cursor_init(&bytes, text, n, "test", error);
    samp_json_cursor_init(&json, &bytes);
    if (samp_json_cursor_skip(&json)) samp_json_cursor_end(&json);
    samp_json_cursor_release(&json);
    return bytes.status;
}

static void test_accepts(void **state)
{
    static const char *const texts[] = {"{}",          "[]",
                                        " [ 1 , 2 ] ", "-0",
                                        "0.5e-3",      "\"\\u00e9\\ud83d\\ude00\"",
                                        "true",        "{\"a\":{\"b\":[null,false]}}",
                                        "\"\x7f\"",    "[\"\xf4\x8f\xbf\xbf\"]"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        samp_error error = {0};
        assert_ok(parse_any(texts[i], strlen(texts[i]), &error), &error);
    }
}

static void test_refuses(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "JSON ends where a value was expected"},
        {"[1,]", "byte 3: found ']', expected a value"},
        {"{\"a\":1,}", "byte 7: found '}', expected a key in quotes"},
        {"{\"a\" 1}", "found '1', expected ':'"},
        {"{a:1}", "found 'a', expected a key in quotes"},
        {"[1 2]", "found '2', expected ',' or ']'"},
        {"[1}", "found '}', expected ',' or ']'"},
        {"01", "found '1', expected the end"},
        {"-", "JSON ends where a digit was expected"},
        {"+1", "found '+', expected a value"},
        {".5", "found '.', expected a value"},
        {"1.", "JSON ends where a digit was expected"},
        {"1e", "JSON ends where a digit was expected"},
        {"1e400", "a number is too large"},
        {"NaN", "found 'N', expected a value"},
        {"nul", "JSON ends where true, false or null was expected"},
        {"truE", "found 'E', expected true, false or null"},
        {"\"a", "where the closing quote of a string was expected"},
        {"\"a\nb\"", "control byte 0x0a"},
        {"\"\\x\"", "found 'x', expected one of"},
        {"\"\\u12g4\"", "byte 5: found 'g', expected a hexadecimal digit"},
        {"\"\\ud800\"", "\\ud800 is half of a surrogate pair"},
        {"\"\\udc00\"", "\\udc00 is half of a surrogate pair"},
        {"\"\\ud800\\u0041\"", "\\ud800 is half of a surrogate pair"},
        {"\"\\ud800x\"", "\\ud800 is half of a surrogate pair"},
        {"\"\xff\"", "not valid UTF-8 (byte 0xff)"},
        {"\"\xc0\xaf\"", "not valid UTF-8 (byte 0xc0)"},     /* overlong '/' */
        {"\"\xe0\x80\xaf\"", "not valid UTF-8 (byte 0xe0)"}, /* overlong */
        {"\"\xed\xa0\x80\"", "not valid UTF-8 (byte 0xed)"}, /* surrogate */
        {"\"\xf4\x90\x80\x80\"", "not valid UTF-8"},         /* past U+10FFFF */
        {"\"\xe2\x82", "not valid UTF-8"},                   /* cut off */
        {"\xef\xbb\xbf{}", "found byte 0xef, expected a value"},
        {"{} x", "found 'x', expected the end"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_error error = {0};
        assert_fails(parse_any(cases[i].text, strlen(cases[i].text), &error), &error, SAMP_CORRUPT,
                     cases[i].says);
    }
}

static void test_depth(void **state)
{
    char text[2 * SAMP_JSON_DEPTH_MAX + 3];
    samp_error error = {0};
    (void)state;
    memset(text, '[', SAMP_JSON_DEPTH_MAX);
    memset(text + SAMP_JSON_DEPTH_MAX, ']', SAMP_JSON_DEPTH_MAX);
    assert_ok(parse_any(text, 2 * SAMP_JSON_DEPTH_MAX, &error), &error);
    memset(text, '[', SAMP_JSON_DEPTH_MAX + 1);
    assert_fails(parse_any(text, SAMP_JSON_DEPTH_MAX + 1, &error), &error, SAMP_LIMIT,
                 "nested deeper than 127");
    char *deep = malloc(100000);
    assert_non_null(deep);
    memset(deep, '[', 100000);
    assert_fails(parse_any(deep, 100000, &error), &error, SAMP_LIMIT,
                 "byte 127: JSON is nested deeper");
    free(deep);
}

static samp_status parse_u64(const char *text, uint64_t *value, samp_error *error)
{
    samp_cursor bytes;
    samp_json_cursor json;
    samp_cursor_init(&bytes, text, strlen(text), "test", error);
    samp_json_cursor_init(&json, &bytes);
    samp_json_cursor_u64(&json, "a size", value);
    samp_json_cursor_release(&json);
    return bytes.status;
}

static void test_integers(void **state)
{
    uint64_t value;
    samp_error error = {0};
    (void)state;
    assert_ok(parse_u64("18446744073709551615", &value, &error), &error);
    assert_true(value == UINT64_MAX);
    assert_ok(parse_u64(" 9007199254740993", &value, &error), &error); /* 2^53+1: not a double */
    assert_true(value == 9007199254740993u);
    assert_ok(parse_u64("0", &value, &error), &error);
    assert_true(value == 0);
    assert_fails(parse_u64("18446744073709551616", &value, &error), &error, SAMP_CORRUPT,
                 "larger than 2^64-1");
    assert_fails(parse_u64("-1", &value, &error), &error, SAMP_CORRUPT,
                 "found '-', expected a size");
    assert_fails(parse_u64("-0", &value, &error), &error, SAMP_CORRUPT,
                 "found '-', expected a size");
    assert_fails(parse_u64("2.0", &value, &error), &error, SAMP_CORRUPT,
                 "without fraction or exponent");
    assert_fails(parse_u64("1e3", &value, &error), &error, SAMP_CORRUPT,
                 "without fraction or exponent");
    assert_fails(parse_u64("007", &value, &error), &error, SAMP_CORRUPT, "without leading zeros");
    assert_fails(parse_u64("\"2\"", &value, &error), &error, SAMP_CORRUPT,
                 "found '\"', expected a size");
}

static void test_strings(void **state)
{
    static const char text[] =
        "[\"plain\", \"a\\n\\\"\\u0041\\u20ac\\ud83d\\ude00z\", \"\\u0000\"]";
    samp_error error = {0};
    samp_cursor bytes;
    samp_json_cursor json;
    samp_json_text string = {0};
    (void)state;
    samp_cursor_init(&bytes, text, strlen(text), "test", &error);
    samp_json_cursor_init(&json, &bytes);
    assert_true(samp_json_cursor_enter(&json, '['));
    assert_true(samp_json_cursor_element(&json) &&
                samp_json_cursor_string(&json, "a string", &string));
    assert_true(samp_json_text_is(string, "plain"));
    assert_true(string.data == text + 2); /* in place */
    assert_true(samp_json_cursor_element(&json) &&
                samp_json_cursor_string(&json, "a string", &string));
    assert_true(samp_json_text_is(string, "a\n\"A\xe2\x82\xac\xf0\x9f\x98\x80z"));
    assert_true(samp_json_cursor_element(&json) &&
                samp_json_cursor_string(&json, "a string", &string));
    assert_true(string.length == 1 && string.data[0] == '\0');
    assert_false(samp_json_cursor_element(&json));
    assert_true(samp_json_cursor_end(&json));
    assert_int_equal(bytes.status, SAMP_OK);
    samp_json_cursor_release(&json);
}

/* Objects walked by hand: members in order, nested values left where they end. */
static void test_walk(void **state)
{
    static const char text[] = "{\"a\": 1, \"b\": {\"c\": [2, 3]}, \"d\": {} , \"e\":[]}";
    samp_error error = {0};
    samp_cursor bytes;
    samp_json_cursor json;
    samp_json_text key;
    char keys[8] = "";
    uint64_t sum = 0, value;
    (void)state;
    samp_cursor_init(&bytes, text, strlen(text), "test", &error);
    samp_json_cursor_init(&json, &bytes);
    assert_true(samp_json_cursor_enter(&json, '{'));
    while (samp_json_cursor_member(&json, &key)) {
        strncat(keys, key.data, 1);
        if (samp_json_cursor_peek(&json) != '1') {
            assert_true(samp_json_cursor_skip(&json));
            continue;
        }
        assert_true(samp_json_cursor_u64(&json, "a number", &value));
        sum += value;
    }
    assert_true(samp_json_cursor_end(&json));
    assert_string_equal(keys, "abde");
    assert_true(sum == 1 && json.depth == 0);
    assert_false(samp_json_cursor_member(&json, &key)); /* at the end nothing more comes */
    samp_json_cursor_release(&json);
}

static void run_suite_file(const char *folder, const char *name, int counts[3])
{
    char path[1024];
    samp_buffer text = {0};
    samp_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(samp_file_slurp(path, 1 << 20, &text, &error), &error);
    samp_status status = parse_any(text.data, text.length, &error);
    if (name[0] == 'y' && status != SAMP_OK) fail_msg("%s: %s", name, error.message);
    if (name[0] == 'n' && status == SAMP_OK) fail_msg("%s: accepted", name);
    counts[name[0] == 'y' ? 0 : name[0] == 'n' ? 1 : 2]++;
    samp_buffer_release(&text);
}

static void test_json_test_suite(void **state)
{
    static const char archive[] = SAMP_DATA "/json/json_test_suite.tar.zst";
    char command[2048], folder[512];
    (void)state;
    if (!samp_is_file(archive)) {
        print_message("%s is not there: JSONTestSuite is skipped\n", archive);
        skip();
    }
    snprintf(command, sizeof command, "tar --zstd -xf '%s' -C '%s'", archive, scratch);
    if (system(command) != 0) {
        print_message("tar or zstd is not installed: JSONTestSuite is skipped\n");
        skip();
    }
    snprintf(folder, sizeof folder, "%s/test_parsing", scratch);
    DIR *listing = opendir(folder);
    const struct dirent *entry;
    int counts[3] = {0};
    assert_non_null(listing);
    while ((entry = readdir(listing)) != NULL)
        if (strchr("yni", entry->d_name[0])) run_suite_file(folder, entry->d_name, counts);
    closedir(listing);
    print_message("JSONTestSuite: %d accepted, %d refused, %d left to the parser\n", counts[0],
                  counts[1], counts[2]);
    assert_true(counts[0] >= 90 && counts[1] >= 180);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),         cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_depth),           cmocka_unit_test(test_integers),
        cmocka_unit_test(test_strings),         cmocka_unit_test(test_walk),
        cmocka_unit_test(test_json_test_suite),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

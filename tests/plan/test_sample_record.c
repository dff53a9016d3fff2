/* Lines of logs to texts: every accepted shape, what is damaged, and what is refused. */
#include "file/scratch.h"

#include "file/json_cursor.h"
#include "plan/sample_record.h"

#define USER(text)      "<|im_start|>user\n" text "<|im_end|>\n"
#define ASSISTANT(text) "<|im_start|>assistant\n" text "<|im_end|>\n"

static samp_record record;

static int release(void **state)
{
    (void)state;
    samp_record_release(&record);
    record = (samp_record){0};
    return 0;
}

static samp_status read_line(const char *line, size_t n, const char *field, samp_error *error)
{
    return samp_record_read(&record, line, n, field, NULL, error);
}

static void expect(const char *line, const char *field, const char *text)
{
    samp_error error = {0};
    assert_ok(read_line(line, strlen(line), field, &error), &error);
    assert_string_equal(record.text.data, text);
    assert_false(record.repaired);
}

static void shapes(void **state)
{
    (void)state;
    expect("{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\","
           "\"content\":\"Hello\"}]}",
           NULL, USER("Hi") ASSISTANT("Hello"));
    expect("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
           "{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}},{\"type\":\"text\","
           "\"text\":\"b\"}]}]}",
           NULL, USER("ab"));
    expect("{\"prompt\":\"Once\"}", NULL, "Once");
    expect("{\"prompt\":[\"one\",\"two\"]}", NULL, "one\ntwo");
    expect("{\"prompt\":\"p\",\"response\":\"r\"}", NULL, USER("p") ASSISTANT("r"));
    expect("{\"prompt\":\"p\",\"response\":null}", NULL, "p");
    expect("{\"text\":\"t\"}", NULL, "t");
    expect("\"bare\"", NULL, "bare");
    expect("[{\"role\":\"user\",\"content\":\"list\"}]", NULL, USER("list"));
}

static void wrappers(void **state)
{
    (void)state;
    const char *answer = "\"response\":{\"choices\":[{\"message\":{\"role\":\"assistant\","
                         "\"content\":\"A\"}}]}";
    char line[512];
    snprintf(line, sizeof line,
             "{\"request\":{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"}]},%s}", answer);
    expect(line, NULL, USER("Q") ASSISTANT("A"));
    expect(line, "request", USER("Q") ASSISTANT("A"));
    expect("{\"a\":{\"b\":[{\"prompt\":\"x\"},{\"prompt\":\"y\"}]}}", "a.b.1", "y");
    expect("{\"body\":\"{\\\"prompt\\\":\\\"nested\\\"}\"}", NULL, "nested");
    expect("{\"q\":\"{not json\"}", "q", "{not json");
    expect("{\"prompt\":\"p\",\"choices\":[{\"text\":\"c\"}]}", NULL, USER("p") ASSISTANT("c"));
    expect(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"w\"},{\"role\":\"assistant\",\"content\":"
        "null,\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"x\\\":1}\"}}]}]}",
        NULL,
        USER("w") ASSISTANT("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\":1}}\n"
                            "</tool_call>"));
}

static void the_system_message_is_not_judged(void **state)
{
    (void)state;
    expect("{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\","
           "\"content\":\"Hi\"}]}",
           NULL, "<|im_start|>system\nBe brief.<|im_end|>\n" USER("Hi"));
    assert_string_equal(record.text.data + record.body, USER("Hi"));
}

static void refused(const char *line, const char *field, const char *says)
{
    samp_error error = {0};
    samp_status status = read_line(line, strlen(line), field, &error);
    assert_fails(status, &error, SAMP_CORRUPT, says);
}

static void what_is_no_record(void **state)
{
    (void)state;
    refused("{\"prompt\":", NULL, "not valid JSON");
    refused("nonsense", NULL, "not valid JSON");
    refused("17", NULL, "neither an object nor a text");
    refused("{\"prompt\":[1,2,3]}", NULL, "neither a text nor texts");
    refused("{\"messages\":\"x\"}", NULL, "not a list of messages");
    refused("{\"messages\":[]}", NULL, "not a list of messages");
    refused("{\"x\":1}", NULL, "none of \"messages\"");
    refused("{\"text\":\" \\n\"}", NULL, "empty");
    refused("{\"x\":1}", "a.b", "--field");
    refused("{\"body\":{\"body\":{\"body\":{\"body\":{\"body\":{\"text\":\"deep\"}}}}}}", NULL,
            "none of \"messages\"");
}

/* Lines that are not valid JSON as they stand, made valid. */
static void damaged_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t n;
        const char *text;
    } cases[] = {
#define CASE(line, text) {line, sizeof(line) - 1, text}
        CASE("{\"text\":\"a\xFFz\"}", "a\xEF\xBF\xBDz"),
        CASE("{\"text\":\"a\xE2\x82\"}", "a\xEF\xBF\xBD\xEF\xBF\xBD"),
        CASE("{\"text\":\"\xC0\xAF\"}", "\xEF\xBF\xBD\xEF\xBF\xBD"),
        CASE("{\"text\":\"a\0b\"}", "a b"),
        CASE("{\"text\":\"a\\u0000b\"}", "a b"),
        CASE("{\"text\":\"a\tb\"}", "a b"),
        CASE("{\"text\":\"\\ud83dx\"}", "\xEF\xBF\xBDx"),
        CASE("{\"text\":\"\\ude00\\ud83d\"}", "\xEF\xBF\xBD\xEF\xBF\xBD"),
        CASE("{\"text\":\"\\ud83d\\ude00\xFF\"}", "\xF0\x9F\x98\x80\xEF\xBF\xBD"),
        CASE("{\"text\":\"twice\",\"text\":\"said\"}", "said"),
#undef CASE
    };
    expect("{\"id\":99999999999999999999,\"text\":\"big\"}", NULL, "big"); /* no damage */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_error error = {0};
        assert_ok(read_line(cases[i].line, cases[i].n, NULL, &error), &error);
        assert_string_equal(record.text.data, cases[i].text);
        assert_int_equal(record.text.length, strlen(cases[i].text));
        assert_true(record.repaired);
    }
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    samp_buffer line = {0};
    samp_error error = {0};
    samp_buffer_text(&line, "{\"text\":\"x");
    while (line.length < SAMP_RECORD_TEXT_MAX + 1000) samp_buffer_text(&line, "\xE2\x82\xAC");
    samp_buffer_text(&line, "\"}");
    assert_ok(read_line(line.data, line.length, NULL, &error), &error);
    assert_true(record.truncated);
    assert_in_range(record.text.length, SAMP_RECORD_TEXT_MAX - 3, SAMP_RECORD_TEXT_MAX);
    assert_true(samp_utf8_valid(record.text.data, record.text.length));
    samp_buffer_release(&line);
}

static void strata(void **state)
{
    (void)state;
    static const struct {
        const char *line, *stratum;
    } cases[] = {{"{\"text\":\"t\",\"meta\":{\"team\":\"search\"}}", "search"},
                 {"{\"text\":\"t\",\"meta\":{\"team\":7}}", "7"},
                 {"{\"text\":\"t\",\"meta\":{\"team\":true}}", "true"},
                 {"{\"text\":\"t\",\"meta\":{\"team\":null}}", ""},
                 {"{\"text\":\"t\"}", ""},
                 {"{\"text\":\"t\",\"meta\":{\"team\":\"a\\nb\"}}", "a?b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_error error = {0};
        assert_ok(samp_record_read(&record, cases[i].line, strlen(cases[i].line), NULL, "meta.team",
                                   &error),
                  &error);
        assert_string_equal(record.stratum, cases[i].stratum);
    }
    char line[400];
    snprintf(line, sizeof line, "{\"text\":\"t\",\"s\":\"%0*d\xE2\x82\xAC\"}", 62, 0);
    samp_error error = {0};
    assert_ok(samp_record_read(&record, line, strlen(line), NULL, "s", &error), &error);
    assert_int_equal(strlen(record.stratum), 62); /* not half of the euro sign */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(shapes, release),
        cmocka_unit_test_teardown(wrappers, release),
        cmocka_unit_test_teardown(the_system_message_is_not_judged, release),
        cmocka_unit_test_teardown(what_is_no_record, release),
        cmocka_unit_test_teardown(damaged_lines, release),
        cmocka_unit_test_teardown(long_texts_are_cut_between_characters, release),
        cmocka_unit_test_teardown(strata, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

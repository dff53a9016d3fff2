/* Hostile templates and requests end with a sentence that names the limit, soon and in little
 * memory; so does a failed allocation at any point. Errors say where. */
#include "chat/chat_support.h"

#include "base/clock.h"

static const char CHAT[] = "[{\"role\": \"user\", \"content\": \"hello hello hello\"}]";

static samp_status try(const char *source, samp_chat_limits limits, samp_error *error)
{
    samp_chat_text text = {0};
    json_t *messages = json_of(CHAT);
    samp_chat_input input = {.messages = messages, .limits = limits};
    samp_status status = render_source(source, strlen(source), &input, &text, error);
    samp_chat_text_release(&text);
    json_decref(messages);
    return status;
}

/* A tenth of the default work, so that sanitized builds are as strict about time. */
static void assert_stops(const char *source, samp_status expected, const char *says)
{
    samp_error error = {0};
    double start = samp_clock();
    samp_chat_limits limits = {.steps = 2000000, .memory_bytes = 64 << 20};
    samp_status status = try(source, limits, &error);
    if (status != expected || !strstr(error.message, says))
        fail_msg("%.100s: status %d, \"%s\", expected %d, \"…%s…\"", source, (int)status,
                 error.message, (int)expected, says);
    if (samp_clock() - start > 20) fail_msg("%.100s took %.1f s", source, samp_clock() - start);
}

#define LOOP "{% for a in range(99999) %}"
static void hostile_templates_stop(void **state)
{
    (void)state;
    static const char *const steps[] = {
        LOOP LOOP LOOP "{% endfor %}{% endfor %}{% endfor %}",
        LOOP LOOP "{% if a %}{% endif %}{% endfor %}{% endfor %}",
        "{% set x = range(20000)|list %}{{ x|sort(reverse=true) }}",
        "{% set x = range(20000)|list %}{{ x|unique|list|length }}",
        LOOP "{{ range(99999)|sum }}{% endfor %}",
        "{% set s = 'a' * 100000 %}" LOOP "{{ s.rfind('ab') }}{% endfor %}",
        "{% set s = 'a' * 400000 %}{{ s.rfind('a' * 100000 ~ 'b' ~ 'a' * 100000) }}",
        "{% set s = 'a' * 400000 %}{{ ('b' * 400000).strip(s ~ 'c') }}",
        "{% set s = 'a' * 400000 %}" LOOP "{{ s.count('b') }}{% endfor %}",
        "{% set s = 'a' * 400000 %}" LOOP "{{ s == s ~ '' }}{% endfor %}",
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_stops(steps[i], SAMP_LIMIT, "the limit");
    static const char *const space[] = {
        "{{ 'ab' * 100000000 }}",
        "{% set ns = namespace(s='ab') %}" LOOP "{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}" LOOP "{% set ns.l = ns.l + ns.l %}{% endfor %}",
        LOOP "{{ 'a' * 1000 }}{% endfor %}",
        "{{ [1] * 9223372036854775807 }}",
        "{{ [[1]]|tojson(indent=2000000000) }}",
        "{{ 'a'|indent(9223372036854775807) }}",
        "{% set s = 'a' * 100000 %}{{ s.replace('', s) }}",
        "{{ ('a,' * 900000).split(',') }}",
    };
    for (size_t i = 0; i < sizeof space / sizeof *space; i++)
        assert_stops(space[i], SAMP_LIMIT, "the limit");
    assert_stops("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", SAMP_LIMIT, "levels deep");
    assert_stops("{% macro m(a=m()) %}{% endmacro %}{{ m() }}", SAMP_LIMIT, "levels deep");
    assert_stops("{{ range(100001) }}", SAMP_LIMIT, "a range of more than");
    assert_stops("{{ range(0, 10, 0) }}", SAMP_INVALID, "step");
    assert_stops("{{ 9223372036854775807 + 1 }}", SAMP_LIMIT, "64 bits");
    assert_stops("{{ 10 ** 100 }}", SAMP_LIMIT, "64 bits");
    assert_stops("{{ 99999999999999999999 }}", SAMP_CORRUPT, "64 bits");
    assert_stops("{{ (0 - 9223372036854775807 - 1) // -1 }}", SAMP_LIMIT, "64 bits");
    assert_stops("{{ strftime_now('%c' * 50) }}", SAMP_LIMIT, "date");
    assert_stops("{{ '\\ud800' }}", SAMP_CORRUPT, "escape");
}

/* n times `open`, `middle`, n times `close`. */
static char *nested(int n, const char *open, const char *middle, const char *close)
{
    samp_buffer text = {0};
    for (int i = 0; i < n; i++) samp_buffer_text(&text, open);
    samp_buffer_text(&text, middle);
    for (int i = 0; i < n; i++) samp_buffer_text(&text, close);
    assert_false(text.failed);
    return text.data;
}

static void deep_templates_are_refused(void **state)
{
    (void)state;
    static const char *const shapes[][5] = {
        {"(", "1", ")", "{{ ", " }}"},
        {"[", "", "]", "{{ ", " }}"},
        {"{1: ", "1", "}", "{{ ", " }}"},
        {"a(", "", ")", "{{ ", " }}"},
        {"not ", "1", "", "{{ ", " }}"},
        {"- ", "1", "", "{{ ", " }}"},
        {"1 if 1 else ", "1", "", "{{ ", " }}"},
        {"{% if 1 %}", "", "{% endif %}", "", ""},
        {"{% for a in b %}", "", "{% endfor %}", "", ""},
        {"{% macro m() %}", "", "{% endmacro %}", "", ""},
        {"1 + ", "1", "", "{{ ", " }}"},
        {"1 ** ", "1", "", "{{ ", " }}"},
        {"1 and ", "1", "", "{{ ", " }}"},
        {"", "a", ".a", "{{ ", " }}"},
        {"", "''", "|trim", "{{ ", " }}"},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char *middle = nested(20000, shapes[i][0], shapes[i][1], shapes[i][2]);
        samp_buffer source = {0};
        samp_buffer_printf(&source, "%s%s%s", shapes[i][3], middle, shapes[i][4]);
        samp_error error = {0};
        samp_status status = try(source.data, (samp_chat_limits){0}, &error);
        if (status != SAMP_LIMIT || !strstr(error.message, "deep"))
            fail_msg("%s: %d, %s", shapes[i][0], (int)status, error.message);
        samp_buffer_release(&source);
        samp_free(middle);
    }
}

static void deep_messages_are_refused(void **state)
{
    (void)state;
    samp_error error = {0};
    samp_chat_text text = {0};
    char *deep = nested(1500, "[", "", "]");
    samp_buffer json = {0};
    samp_buffer_printf(&json, "[{\"role\": \"user\", \"content\": %s}]", deep);
    json_t *messages = json_of(json.data);
    samp_chat_input input = {.messages = messages};
    static const char source[] = "{{ messages }}";
    assert_int_equal(render_source(source, strlen(source), &input, &text, &error), SAMP_LIMIT);
    assert_non_null(strstr(error.message, "levels deep"));
    samp_chat_text_release(&text);
    json_decref(messages);
    samp_buffer_release(&json);
    samp_free(deep);
}

static void limits_are_the_callers(void **state)
{
    (void)state;
    samp_error error = {0};
    static const char source[] = "{% for a in range(100) %}0123456789{% endfor %}";
    assert_int_equal(try(source, (samp_chat_limits){0}, &error), SAMP_OK);
    assert_int_equal(try(source, (samp_chat_limits){.steps = 100}, &error), SAMP_LIMIT);
    assert_non_null(strstr(error.message, "more than 100 steps"));
    assert_int_equal(try(source, (samp_chat_limits){.output_bytes = 999}, &error), SAMP_LIMIT);
    assert_non_null(strstr(error.message, "more than 999 bytes"));
    assert_int_equal(try(source, (samp_chat_limits){.output_bytes = 1000}, &error), SAMP_OK);
    assert_int_equal(try(source, (samp_chat_limits){.memory_bytes = 2000}, &error), SAMP_LIMIT);
    assert_int_equal(try(source, (samp_chat_limits){.depth = 2}, &error), SAMP_LIMIT);
}

static void errors_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *source, *says;
        samp_status status;
    } cases[] = {
        {"a\n  {{ x.y }}", "t, line 2, column 8: 'x' is undefined", SAMP_INVALID},
        {"{% include 'x' %}", "t, line 1, column 4: this statement is not supported: include",
         SAMP_UNSUPPORTED},
        {"\n\n{{ 'a'|urlize }}", "t, line 3, column 8: the filter 'urlize' is not supported",
         SAMP_UNSUPPORTED},
        {"{{ 1 is weird }}", "the test 'weird' is not supported", SAMP_UNSUPPORTED},
        {"{% for x in y recursive %}{% endfor %}", "recursive loops", SAMP_UNSUPPORTED},
        {"{{ raise_exception('Only user turns') }}",
         "column 19: the template says: Only user turns", SAMP_INVALID},
        {"{% if x %}", "the end of the template, expected elif", SAMP_CORRUPT},
        {"{{ f(*x) }}", "* and ** arguments", SAMP_UNSUPPORTED},
        {"{{ messages[0].content.zfill(3) }}", "'zfill' is undefined and cannot be called",
         SAMP_UNSUPPORTED},
        {"{{ messages.append(1) }}", "'append' is undefined", SAMP_UNSUPPORTED},
        {"{{ 'a%s' % 1 }}", "formatting a text", SAMP_UNSUPPORTED},
        {"a {{ b", "an output without its }}", SAMP_CORRUPT},
        {"\xff", "byte 0 of the chat template is no text", SAMP_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_error error = {0};
        samp_status status = try(cases[i].source, (samp_chat_limits){0}, &error);
        if (status != cases[i].status || !strstr(error.message, cases[i].says))
            fail_msg("%s: %d, \"%s\", expected \"…%s…\"", cases[i].source, (int)status,
                     error.message, cases[i].says);
    }
}

static void failed_allocations_are_clean(void **state)
{
    (void)state;
    static const char source[] =
        "{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{% set ns = namespace(x='') %}"
        "{% for m in messages %}{% set ns.x = ns.x + m.content|upper|replace('E', 'é') %}"
        "{% set c %}{{ ns.x.split('L')|join('-')|tojson }}{% endset %}{{ c }}{% endfor %}"
        "{{ messages|tojson(indent=2) }}{{ {'a': [1, 2.5, none]} }}{{ 'a' * 100000 }}";
    samp_error error = {0};
    uint64_t n = 0;
    for (n = 1; n < 200; n++) {
        samp_alloc_fail_at(n);
        samp_status status = try(source, (samp_chat_limits){0}, &error);
        samp_alloc_fail_at(0);
        if (status == SAMP_OK) break;
        assert_int_equal(status, SAMP_NOMEM);
    }
    assert_in_range(n, 5, 199);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_templates_stop),    cmocka_unit_test(deep_templates_are_refused),
        cmocka_unit_test(deep_messages_are_refused), cmocka_unit_test(limits_are_the_callers),
        cmocka_unit_test(errors_say_where),          cmocka_unit_test(failed_allocations_are_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The command line: values, errors, and that every command's tables are sound. */
#include "base/memory.h"
#include "command/command.h"
#include "command/settings.h"
#include "command/terminal.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct demo {
    bool flag, other;
    const char *text, *choice, *config;
    int64_t count, size;
    double number;
    samp_text_list list;
} demo;

static const samp_option table[] = {
    SAMP_OPTION(demo, FLAG, flag, "flag", 'f', NULL, .help = "a flag"),
    SAMP_OPTION(demo, FLAG, other, "other", 'o', NULL, .help = "another", .initial = ""),
    SAMP_OPTION(demo, TEXT, text, "text", 't', "TEXT", .help = "a text"),
    SAMP_OPTION(demo, CHOICE, choice, "choice", 0, "WHAT", .choices = "one|two", .initial = "one",
                .help = "a choice"),
    SAMP_OPTION(demo, INTEGER, count, "count", 'n', "N", .min = 1, .max = 10, .initial = "3",
                .help = "a number"),
    SAMP_OPTION(demo, BYTES, size, "size", 0, "BYTES", .max = 1e15, .help = "a size"),
    SAMP_OPTION(demo, NUMBER, number, "number", 0, "X", .min = -1, .max = 1, .help = "a number"),
    SAMP_OPTION(demo, LIST, list, "list", 0, "TEXT", .help = "texts"),
    SAMP_OPTION(demo, TEXT, config, "config", 0, "FILE", .help = "more of these"),
};

static const samp_command command = {.name = "demo",
                                     .summary = "test",
                                     .arguments = "A [B]",
                                     .min_arguments = 1,
                                     .max_arguments = 2,
                                     .description = "",
                                     .examples = "",
                                     SAMP_OPTIONS(table),
                                     .options_size = sizeof(demo),
                                     .environment = "SAMP_DEMO_"};

static samp_error error;
static demo got;
static samp_buffer settings; /* the file of options */
static const char *arguments[16];
static size_t n_arguments;
static bool help;

static samp_status parse(int argc, ...)
{
    char *argv[16];
    va_list list;
    va_start(list, argc);
    for (int i = 0; i < argc; i++) argv[i] = va_arg(list, char *);
    va_end(list);
    got = (demo){0};
    samp_buffer_clear(&settings);
    return samp_options_parse(&command, argc, argv, &got, &settings, arguments, &n_arguments, &help,
                              &error);
}

static void values_in_every_spelling(void **state)
{
    (void)state;
    assert_int_equal(parse(9, "-f", "--text=x y", "--choice", "two", "-n7", "--size", "1.5GB",
                           "--no-other", "a"),
                     SAMP_OK);
    assert_true(got.flag);
    assert_false(got.other);
    assert_string_equal(got.text, "x y");
    assert_string_equal(got.choice, "two");
    assert_int_equal(got.count, 7);
    assert_int_equal(got.size, 1500000000);
    assert_int_equal(n_arguments, 1);
    assert_int_equal(parse(6, "--number", "-0.5", "--list=a", "--list=b", "--", "-f"), SAMP_OK);
    assert_true(got.number == -0.5 && got.list.count == 2 && !got.flag && got.count == 3 &&
                got.other);
    assert_string_equal(arguments[0], "-f");
    assert_int_equal(parse(2, "-", "b"), SAMP_OK); /* a lone dash is an argument */
    assert_int_equal(parse(1, "--help"), SAMP_OK);
    assert_true(help);
}

static void errors_name_the_option(void **state)
{
    (void)state;
    assert_int_equal(parse(2, "--txt", "x"), SAMP_INVALID);
    assert_non_null(strstr(error.message, "did you mean --text?"));
    assert_int_equal(parse(2, "--count", "11"), SAMP_INVALID);
    assert_non_null(strstr(error.message, "expected 1 to 10"));
    const char *const bad[][2] = {{"--count", "3x"},
                                  {"--count", ""},
                                  {"--size", "-1"},
                                  {"--size", "1QB"},
                                  {"--size", "nan"},
                                  {"--number", "inf"},
                                  {"--choice", "on"},
                                  {"--choice", ""},
                                  {"--choice", "three"},
                                  {"--flag=1", "a"},
                                  {"--count", "99999999999999999999"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse(3, bad[i][0], bad[i][1], "a") != SAMP_INVALID)
            fail_msg("%s %s was accepted", bad[i][0], bad[i][1]);
        assert_non_null(
            strstr(error.message, strncmp(bad[i][0], "--flag", 6) == 0 ? "--flag" : bad[i][0]));
    }
    assert_int_equal(parse(2, "a", "--text"), SAMP_INVALID);
    assert_non_null(strstr(error.message, "needs a value"));
    assert_int_equal(parse(0), SAMP_INVALID);
    assert_int_equal(parse(3, "a", "b", "c"), SAMP_INVALID);
    assert_int_equal(parse(2, "-fx", "a"), SAMP_INVALID);
}

static void expect_hint(const char *name, const char *option, const char *hint)
{
    const samp_command *c = samp_command_find(name);
    assert_int_equal(samp__option_unknown(c, option, &error), SAMP_INVALID);
    if (!strstr(error.message, hint)) fail_msg("%s", error.message);
}

static void unknown_options_get_an_answer(void **state)
{
    (void)state;
    expect_hint("serve", "--port=8000", "--port is not an option; here it is --listen ADDRESS: ");
    expect_hint("serve", "--max_model_len", "here it is --context N");
    expect_hint("eval", "--max-model-len", "here it is --ctx N");
    expect_hint("generate", "--temp", "did you mean --temperature?");
    expect_hint("generate", "--prompts", "did you mean --prompt?");
    expect_hint("serve", "--model", "usage: samp serve MODEL");
    expect_hint("serve", "-m", "usage: samp serve MODEL");
    expect_hint("serve", "-zport", "-z is not an option; samp serve --help lists them");
    expect_hint("serve", "--n", "samp serve --help lists them"); /* not --kv */
    expect_hint("serve", "--", "samp serve --help lists them");
    expect_hint("serve", "port", "here it is --listen"); /* in a file of options */
    char long_name[5000];
    memset(long_name, '-', 2);
    memset(long_name + 2, 'x', sizeof long_name - 3);
    long_name[sizeof long_name - 1] = '\0';
    expect_hint("serve", long_name, "samp serve --help lists them");
}

/* What other programs call an option is none of ours there, and stands for one that some command
 * has. */
static void names_from_elsewhere_are_of_use(void **state)
{
    (void)state;
    const char *theirs, *ours;
    size_t n = samp__option_elsewhere(0, &theirs, &ours);
    for (size_t i = 0; i < n; i++) {
        bool used = false;
        samp__option_elsewhere(i, &theirs, &ours);
        for (size_t c = 0; c < samp_command_count(); c++)
            used |= samp__option_find(samp_command_at(c), ours, strlen(ours)) &&
                    !samp__option_find(samp_command_at(c), theirs, strlen(theirs));
        if (!used) fail_msg("no command needs to hear that %s is --%s", theirs, ours);
    }
}

static const char *file_of(const char *lines)
{
    static char path[100];
    snprintf(path, sizeof path, "/tmp/samp-options-%d", (int)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(lines, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* Command line, variables, file: in this order. */
static void options_come_from_variables_and_a_file(void **state)
{
    (void)state;
    const char *path = file_of("# a comment\n\n  count =  4  \ntext = from = file # too\r\n"
                               "flag = yes\nother = no\nlist = a\nlist = b b\nsize=2kB");
    assert_int_equal(parse(3, "--config", path, "x"), SAMP_OK);
    assert_true(got.count == 4 && got.flag && !got.other && got.size == 2000);
    assert_string_equal(got.text, "from = file # too");
    assert_true(got.list.count == 2 && strcmp(got.list.items[1], "b b") == 0);
    assert_string_equal(got.choice, "one"); /* in neither */

    setenv("SAMP_DEMO_COUNT", "5", 1);
    setenv("SAMP_DEMO_LIST", "c", 1);
    setenv("SAMP_DEMO_FLAG", "no", 1);
    setenv("SAMP_DEMO_CONFIG", path, 1);
    assert_int_equal(parse(1, "x"), SAMP_OK);
    assert_true(got.count == 5 && !got.flag && got.size == 2000);
    assert_true(got.list.count == 1 && strcmp(got.list.items[0], "c") == 0);
    assert_int_equal(parse(5, "-n", "6", "-f", "--other", "x"), SAMP_OK);
    assert_true(got.count == 6 && got.flag && got.other);
    assert_int_equal(parse(2, "--no-flag", "x"), SAMP_OK);
    assert_false(got.flag);

    setenv("SAMP_DEMO_COUNT", "many", 1);
    assert_int_equal(parse(1, "x"), SAMP_INVALID);
    assert_non_null(strstr(error.message, "variable SAMP_DEMO_COUNT: --count many"));
    unsetenv("SAMP_DEMO_COUNT");
    unsetenv("SAMP_DEMO_LIST");
    unsetenv("SAMP_DEMO_FLAG");
    unsetenv("SAMP_DEMO_CONFIG");
    remove(path);
}

static void a_wrong_line_is_named(void **state)
{
    static const char *const bad[][2] = {
        {"count = 4\ncuont = 4", "line 2: cuont is not an option; did you mean --count?"},
        {"count", "line 1: \"count\" is not NAME = VALUE"},
        {"count = 11", "line 1: --count 11: expected 1 to 10"},
        {"count = 4\n\ncount = 4", "line 3: count was given before"},
        {"flag = maybe", "line 1: flag is \"maybe\": expected yes or no"},
        {"config = x", "line 1: a file of options cannot name another one"},
        {"= 4", "line 1: \"= 4\" is not NAME = VALUE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(3, "--config", file_of(bad[i][0]), "x"), SAMP_INVALID);
        if (!strstr(error.message, bad[i][1])) fail_msg("%s: %s", bad[i][0], error.message);
    }
    remove(file_of(""));
    assert_int_not_equal(parse(3, "--config", "/nowhere", "x"), SAMP_OK);
    assert_non_null(strstr(error.message, "/nowhere"));
}

static void sizes(void **state)
{
    (void)state;
    int64_t n;
    assert_true(samp_parse_bytes("38GB", &n) && n == 38000000000);
    assert_true(samp_parse_bytes("1GiB", &n) && n == 1 << 30);
    assert_true(samp_parse_bytes("80 MB", &n) && n == 80000000);
    assert_false(samp_parse_bytes("", &n) || samp_parse_bytes("GB", &n) ||
                 samp_parse_bytes("1e30", &n));
}

/* Names are unique, initial values parse, every option and command explains itself, examples start
 * with "$ samp NAME". */
static void every_command_is_sound(void **state)
{
    (void)state;
    for (size_t c = 0; c < samp_command_count(); c++) {
        const samp_command *one = samp_command_at(c);
        assert_ptr_equal(samp_command_find(one->name), one);
        assert_non_null(one->run);
        assert_non_null(strstr(one->examples, "$ samp "));
        assert_true(strlen(one->summary) <= 66);
        assert_true(one->n_options <= 64);
        void *options = samp_alloc(1, one->options_size ? one->options_size : 1);
        for (size_t i = 0; i < one->n_options; i++) {
            const samp_option *option = &one->options[i];
            assert_non_null(option->help);
            assert_true(option->kind == SAMP_OPTION_FLAG || option->value != NULL);
            assert_true(option->offset < one->options_size);
            for (size_t j = 0; j < i; j++) {
                assert_string_not_equal(option->name, one->options[j].name);
                assert_true(!option->letter || option->letter != one->options[j].letter);
            }
        }
        char *none[] = {"--help"};
        if (samp_options_parse(one, 1, none, options, &settings, arguments, &n_arguments, &help,
                               &error) != SAMP_OK)
            fail_msg("samp %s: %s", one->name, error.message);
        samp_free(options);
    }
}

static char *text_of(void (*write)(FILE *, const samp_command *), const samp_command *one)
{
    char *text = NULL;
    size_t n;
    FILE *stream = open_memstream(&text, &n);
    write(stream, one);
    fclose(stream);
    return text;
}

static void help_and_man_show_every_option(void **state)
{
    (void)state;
    for (size_t c = 0; c < samp_command_count(); c++) {
        const samp_command *one = samp_command_at(c);
        char *page = text_of(samp_help_command, one), *man = text_of(samp_help_man, one);
        for (size_t i = 0; i < one->n_options; i++) {
            char name[64];
            snprintf(name, sizeof name, "--%s", one->options[i].name);
            assert_non_null(strstr(page, name));
            assert_non_null(strstr(man, ".TP"));
        }
        free(page);
        free(man);
    }
}

static void table_lines_up(void **state)
{
    (void)state;
    static const char *const headers[] = {"name", "µ"};
    samp_table t;
    samp_table_begin(&t, "lr", 2, headers);
    const char *row[] = {"a–b", "12"};
    samp_table_row(&t, 2, row);
    char *text = NULL;
    size_t n;
    FILE *stream = open_memstream(&text, &n);
    samp_table_print(&t, stream);
    fclose(stream);
    assert_string_equal(text, "name   µ\n────────\na–b   12\n");
    free(text);
    samp_table_release(&t);
}

static void readable_numbers(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(samp_show_bytes(out, 999), "999 B");
    assert_string_equal(samp_show_bytes(out, 124234567), "124 MB");
    assert_string_equal(samp_show_bytes(out, 1.5e9), "1.50 GB");
    assert_string_equal(samp_show_count(out, 1234567), "1,234,567");
    assert_string_equal(samp_show_seconds(out, 0.0123), "12 ms");
    assert_string_equal(samp_show_seconds(out, 125), "2 min 5 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_in_every_spelling),
                                       cmocka_unit_test(errors_name_the_option),
                                       cmocka_unit_test(unknown_options_get_an_answer),
                                       cmocka_unit_test(names_from_elsewhere_are_of_use),
                                       cmocka_unit_test(options_come_from_variables_and_a_file),
                                       cmocka_unit_test(a_wrong_line_is_named),
                                       cmocka_unit_test(sizes),
                                       cmocka_unit_test(every_command_is_sound),
                                       cmocka_unit_test(help_and_man_show_every_option),
                                       cmocka_unit_test(table_lines_up),
                                       cmocka_unit_test(readable_numbers)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    samp_buffer_release(&settings);
    return failed;
}

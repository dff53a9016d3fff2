/* The CSV reader against what Python's csv module (strict) makes of the same bytes. */
#include "eval/csv.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

/* Records as text: fields in brackets, records after one another; or the error's message. */
static const char *read_all(const char *text, size_t n)
{
    static char out[4096];
    const char *fields[SAMP_CSV_FIELDS_MAX];
    samp_error error = {0};
    samp_csv csv;
    size_t n_fields, at = 0;
    uint64_t line;
    samp_status status = samp_csv_begin(&csv, text, n, "t.csv", &error);
    out[0] = '\0';
    while (status == SAMP_OK) {
        status = samp_csv_next(&csv, fields, &n_fields, &line, &error);
        if (status != SAMP_OK || n_fields == 0) break;
        at += (size_t)snprintf(out + at, sizeof out - at, "%llu:", (unsigned long long)line);
        for (size_t i = 0; i < n_fields; i++)
            at += (size_t)snprintf(out + at, sizeof out - at, "[%s]", fields[i]);
    }
    samp_csv_end(&csv);
    if (status != SAMP_OK) snprintf(out, sizeof out, "%s", error.message);
    return out;
}

static void check(const char *text, const char *expected)
{
    assert_string_equal(read_all(text, strlen(text)), expected);
}

static void records(void **state)
{
    (void)state;
    check("", "");
    check("a,b\nc,d\n", "1:[a][b]2:[c][d]");
    check("a,b\r\nc,d", "1:[a][b]2:[c][d]");
    check("\n\na,\n,b\n", "3:[a][]4:[][b]");
    check("\xEF\xBB\xBF"
          "a,b",
          "1:[a][b]");
    check("\"a,b\",\"c\"\"d\"\"\"\n", "1:[a,b][c\"d\"]");
    check("\"two\nlines\r\n\",x\ny\n", "1:[two\nlines\r\n][x]4:[y]");
    check("5\" pipe,a \"b\" c\n", "1:[5\" pipe][a \"b\" c]"); /* as in MMLU's own files */
    check("\"\",\"\"\n", "1:[][]");
}

static void refused(void **state)
{
    (void)state;
    check("a\n\"b\n", "t.csv: line 2: a quote is opened and never closed");
    check("\"a\"b\n", "t.csv: line 1: text follows a closing quote, expected a comma");
    check("a\rb\n", "t.csv: line 1: a carriage return without a line feed");
    check("\r", "t.csv: line 1: a carriage return without a line feed");
    check("a,\xFF\n", "t.csv: is not UTF-8; convert it with iconv");
    assert_string_equal(read_all("a\0b", 3), "t.csv: holds a NUL byte, expected text");
    char many[2 * SAMP_CSV_FIELDS_MAX + 1];
    memset(many, ',', sizeof many);
    many[sizeof many - 1] = '\0';
    check(many, "t.csv: line 1: more than 64 fields");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Constrained decoding against published sets of schemas: what is valid is accepted, what is not is
 * refused, and what is not supported says so.
 *   maskbench:     research data of JSONSchemaBench, 1,085 schemas of use (../shared/data/json)
 *   test suite:    JSON Schema Test Suite, draft 2020-12 (the same place) */
#include "constrain/constrain.h"
#include "support/cmocka_all.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct counts {
    unsigned schemas, unsupported, invalid_schema;
    unsigned accepted, refused; /* rightly */
    unsigned wrongly_accepted, wrongly_refused;
} counts;

/* Prints what went wrong when SAMP_TEST_VERBOSE is set. */
static void tell(const char *what, const char *where, const char *more)
{
    if (getenv("SAMP_TEST_VERBOSE")) print_message("%s: %s %s\n", what, where, more);
}

static void check_instance(const json_t *schema, const json_t *data, bool valid, const char *where,
                           counts *c)
{
    samp_constrainer *constrainer;
    samp_error error;
    samp_constrain_options options = {.schema = schema};
    char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    assert_non_null(text);
    assert_int_equal(samp_constrainer_create(&constrainer, NULL, &options, &error), SAMP_OK);
    bool accepted = samp_constrainer_accept_bytes(constrainer, text, strlen(text)) &&
                    samp_constrainer_complete(constrainer);
    if (accepted == valid)
        ++*(valid ? &c->accepted : &c->refused);
    else {
        ++*(accepted ? &c->wrongly_accepted : &c->wrongly_refused);
        tell(accepted ? "accepted" : "refused", where, text);
    }
    samp_constrainer_release(constrainer);
    free(text);
}

static void check_schema(const json_t *schema, const json_t *tests, const char *where, counts *c)
{
    samp_constrainer *constrainer;
    samp_error error;
    samp_constrain_options options = {.schema = schema};
    size_t i;
    json_t *test;
    samp_status status = samp_constrainer_create(&constrainer, NULL, &options, &error);
    bool none_valid = true;
    c->schemas++;
    json_array_foreach((json_t *)tests, i, test) none_valid =
        none_valid && !json_is_true(json_object_get(test, "valid"));
    if (status != SAMP_OK) {
        /* "no value satisfies the schema" is right when none does */
        if (status == SAMP_INVALID && none_valid) {
            c->refused += (unsigned)json_array_size(tests);
            return;
        }
        assert_true(error.message[0]);
        ++*(status == SAMP_INVALID ? &c->invalid_schema : &c->unsupported);
        tell("schema", where, error.message);
        return;
    }
    samp_constrainer_release(constrainer);
    json_array_foreach((json_t *)tests, i, test)
        check_instance(schema, json_object_get(test, "data"),
                       json_is_true(json_object_get(test, "valid")), where, c);
}

static void print_counts(const char *what, const counts *c)
{
    print_message("%s: %u schemas, %u unsupported, %u invalid; %u accepted and %u refused rightly, "
                  "%u accepted and %u refused wrongly\n",
                  what, c->schemas, c->unsupported, c->invalid_schema, c->accepted, c->refused,
                  c->wrongly_accepted, c->wrongly_refused);
}

/* ---- maskbench ------------------------------------------------------------------------------- */

static void test_maskbench(void **state)
{
    static const char archive[] = SAMP_DATA "/json/maskbench_subset.jsonl.zst";
    char command[1024], *line = NULL;
    size_t room = 0;
    counts c = {0};
    unsigned unreadable = 0;
    (void)state;
    if (access(archive, R_OK) != 0) {
        print_message("%s is not there: skipped\n", archive);
        skip();
    }
    snprintf(command, sizeof command, "zstdcat '%s'", archive);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (getline(&line, &room, pipe) > 0) {
        json_t *record = json_loads(line, JSON_ALLOW_NUL, NULL);
        if (!record) { /* a lone surrogate: no text of ours can hold it */
            unreadable++;
            continue;
        }
        check_schema(json_object_get(record, "schema"), json_object_get(record, "tests"),
                     json_string_value(json_object_get(record, "id")), &c);
        json_decref(record);
    }
    free(line);
    pclose(pipe);
    print_counts("maskbench", &c);
    assert_int_equal(c.schemas + unreadable, 1085);
    assert_int_equal(c.wrongly_accepted, 0);
    assert_true(c.unsupported <= 122); /* contains, uniqueItems, rare formats, odd negations */
    /* draft 7's rule that $ref hides its neighbours, and base64 that is none */
    assert_true(c.wrongly_refused <= 6);
}

/* ---- JSON Schema Test Suite ------------------------------------------------------------------ */

static void run_file(const char *folder, const char *name, counts *c)
{
    char path[1200], where[400];
    size_t i;
    json_t *group;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *groups = json_load_file(path, JSON_ALLOW_NUL, NULL);
    if (!groups) { /* numbers of hundreds of digits, lone surrogates */
        tell("unreadable", name, "");
        return;
    }
    json_array_foreach(groups, i, group)
    {
        snprintf(where, sizeof where, "%s, %s", name,
                 json_string_value(json_object_get(group, "description")));
        check_schema(json_object_get(group, "schema"), json_object_get(group, "tests"), where, c);
    }
    json_decref(groups);
}

static void test_suite(void **state)
{
    static const char archive[] = SAMP_DATA "/json/json_schema_test_suite_draft2020-12.tar.zst";
    char folder[] = "/tmp/samp-schema-XXXXXX", command[1024], tests[256];
    counts c = {0};
    (void)state;
    if (access(archive, R_OK) != 0) {
        print_message("%s is not there: skipped\n", archive);
        skip();
    }
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "tar --zstd -xf '%s' -C '%s'", archive, folder);
    assert_int_equal(system(command), 0);
    snprintf(tests, sizeof tests, "%s/tests/draft2020-12", folder);
    DIR *list = opendir(tests);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list));) {
        size_t n = strlen(entry->d_name);
        if (n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0)
            run_file(tests, entry->d_name, &c);
    }
    closedir(list);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    print_counts("JSON Schema Test Suite", &c);
    assert_true(c.schemas > 300);
    assert_int_equal(c.wrongly_accepted, 0);
    assert_true(c.unsupported <= 121); /* unevaluated…, contains, uniqueItems, other documents */
    assert_true(c.wrongly_refused <= 25); /* formats bind here; 1.0 is not written for 1 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_maskbench),
                                       cmocka_unit_test(test_suite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

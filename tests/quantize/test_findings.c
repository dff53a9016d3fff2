/* The list of findings: exit codes, and its three renderings. */
#include "support/cmocka_all.h"

#include "base/json.h"
#include "quantize/findings.h"

#include <stdio.h>
#include <string.h>

static void test_exit_codes(void **state)
{
    (void)state;
    samp_findings findings = {0};
    assert_int_equal(samp_findings_exit(&findings, SAMP_SEVERITY_NOTE), 0);
    samp_findings_add(&findings, SAMP_FINDING_LEFTOVER, "a", NULL, "b");
    assert_int_equal(samp_findings_exit(&findings, SAMP_SEVERITY_ERROR), 0);
    assert_int_equal(samp_findings_exit(&findings, SAMP_SEVERITY_WARNING), 1);
    for (int i = 0; i < 300; i++)
        samp_findings_add(&findings, SAMP_FINDING_TENSOR_EXTRA, "a", "t", "number %d", i);
    assert_int_equal(findings.count, 1 + SAMP_FINDINGS_PER_ID);
    assert_int_equal(samp_findings_at_least(&findings, SAMP_SEVERITY_ERROR), 300);
    samp_severity severity;
    assert_true(samp_severity_parse("warning", &severity));
    assert_int_equal(severity, SAMP_SEVERITY_WARNING);
    assert_false(samp_severity_parse("fatal", &severity));
    samp_findings_release(&findings);
}

static void test_reports(void **state)
{
    (void)state;
    samp_findings findings = {0};
    samp_error error;
    samp_findings_add(&findings, SAMP_FINDING_SHARD_POINTER, "model-00001-of-00004.safetensors",
                      NULL, "it is a pointer");
    samp_findings_add(&findings, SAMP_FINDING_TENSOR_SHAPE, "model-00001-of-00004.safetensors",
                      "a\xff\x1b[2J", "shape\nlie");
    samp_buffer text = {0};
    samp_findings_text(&findings, "folder", false, &text);
    assert_non_null(strstr(text.data, "SAMP-SHD-006  model-00001-of-00004.safetensors"));
    assert_non_null(strstr(text.data, "git lfs pull"));
    assert_non_null(strstr(text.data, "2 errors, 0 warnings"));
    assert_non_null(strstr(text.data, "shape?lie")); /* no control bytes from a file */
    assert_null(strchr(text.data, 0x1b));

    samp_buffer_clear(&text);
    assert_int_equal(samp_findings_json(&findings, "folder", &text, &error), SAMP_OK);
    json_t *root;
    assert_int_equal(samp_json_parse(&root, text.data, text.length, "report", &error), SAMP_OK);
    assert_int_equal(json_integer_value(json_object_get(root, "schema_version")), 1);
    assert_true(json_is_false(json_object_get(root, "ok")));
    json_t *first = json_array_get(json_object_get(root, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "id")), "SAMP-SHD-006");
    assert_string_equal(json_string_value(json_object_get(first, "severity")), "error");
    json_decref(root);

    samp_buffer_clear(&text);
    assert_int_equal(samp_findings_sarif(&findings, "/m/a b", &text, &error), SAMP_OK);
    assert_int_equal(samp_json_parse(&root, text.data, text.length, "report", &error), SAMP_OK);
    assert_string_equal(json_string_value(json_object_get(root, "version")), "2.1.0");
    json_t *run = json_array_get(json_object_get(root, "runs"), 0);
    json_t *rules =
        json_object_get(json_object_get(json_object_get(run, "tool"), "driver"), "rules");
    assert_int_equal(json_array_size(rules), SAMP_FINDING_COUNT);
    json_t *result = json_array_get(json_object_get(run, "results"), 1);
    size_t rule = (size_t)json_integer_value(json_object_get(result, "ruleIndex"));
    assert_string_equal(json_string_value(json_object_get(result, "ruleId")),
                        json_string_value(json_object_get(json_array_get(rules, rule), "id")));
    assert_non_null(strstr(text.data, "file:///m/a%20b/model-00001-of-00004.safetensors"));
    json_decref(root);

    samp_buffer_clear(&text); /* in CI: relative to the repository */
    assert_int_equal(samp_findings_sarif(&findings, "models/a", &text, &error), SAMP_OK);
    assert_non_null(strstr(text.data, "\"models/a/model-00001-of-00004.safetensors\""));

    samp_buffer_clear(&text);
    samp_findings_rules(&text);
    assert_non_null(strstr(text.data, "| SAMP-TGT-001 | error |"));
    samp_buffer_release(&text);
    samp_findings_release(&findings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

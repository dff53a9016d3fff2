/* samp.json: written, verified, and every kind of damage found under its own id. */
#include "file/scratch.h"

#include "file/manifest.h"

#include <sys/stat.h>

/* All findings of one verification, "ID severity file;" each. */
typedef struct findings {
    char text[1024];
    char message[1024]; /* of the last */
    uint64_t progress_calls, done, total;
    uint64_t stop_after; /* calls of progress; 0 = never */
} findings;

static void note(void *context, const char *id, samp_severity severity, const char *file,
                 const char *message)
{
    findings *found = context;
    size_t length = strlen(found->text);
    snprintf(found->text + length, sizeof found->text - length, "%s %s %s;", id,
             severity == SAMP_SEVERITY_ERROR ? "error" : "warning", file);
    snprintf(found->message, sizeof found->message, "%s", message);
}

static bool count_progress(void *context, uint64_t done, uint64_t total)
{
    findings *found = context;
    found->progress_calls++;
    assert_true(done > found->done && done <= total);
    found->done = done;
    found->total = total;
    return found->progress_calls != found->stop_after;
}

static samp_status verify(findings *found, bool digests, samp_error *error)
{
    samp_manifest_check check = {
        .digests = digests, .report = note, .progress = count_progress, .context = found};
    return samp_manifest_verify(scratch_path("m"), &check, error);
}

enum { BIG = (1 << 20) + 5 };

/* A folder with two files and their manifest. */
static void put_artifact(void)
{
    samp_error error = {0};
    samp_manifest_file files[2] = {{.name = "config.json"}, {.name = "model.safetensors"}};
    if (samp_is_folder(scratch_path("m")))
        assert_ok(samp_remove_folder(scratch_path("m"), &error), &error);
    assert_int_equal(mkdir(scratch_path("m"), 0700), 0);
    char *big = calloc(BIG, 1);
    assert_non_null(big);
    put_file("m/config.json", "{}", 2);
    put_file("m/model.safetensors", big, BIG);
    free(big);
    uint64_t done = 0;
    for (int i = 0; i < 2; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", scratch_path("m"), files[i].name);
        assert_ok(
            samp_hash_file(path, &files[i].bytes, files[i].sha256, NULL, NULL, &done, 0, &error),
            &error);
    }
    assert_int_equal(done, BIG + 2);
    assert_string_equal(
        files[0].sha256,
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"); /* of {} */
    json_t *about = json_pack("{s:s, s:s}", "recipe", "samp", "source", "a model");
    assert_ok(samp_manifest_write(scratch_path("m"), files, 2, about, &error), &error);
    json_decref(about);
}

static void expect_findings(bool digests, const char *expected)
{
    findings found = {0};
    samp_error error = {0};
    assert_ok(verify(&found, digests, &error), &error);
    assert_string_equal(found.text, expected);
}

static void test_good(void **state)
{
    findings found = {0};
    samp_error error = {0};
    json_t *root;
    (void)state;
    put_artifact();
    assert_ok(verify(&found, true, &error), &error);
    assert_string_equal(found.text, "");
    assert_true(found.progress_calls == 3 && found.done == BIG + 2 && found.total == BIG + 2);
    assert_ok(samp_json_load(&root, scratch_path("m/samp.json"), 10000, &error), &error);
    assert_string_equal(json_string_value(json_object_get(root, "tool")), "samp");
    assert_string_equal(json_string_value(json_object_get(root, "recipe")), "samp");
    assert_string_equal(json_string_value(json_object_get(root, "version")), SAMP_VERSION);
    json_decref(root);
    found = (findings){0};
    assert_ok(verify(&found, false, &error), &error);
    assert_true(found.text[0] == '\0' && found.progress_calls == 0);
}

static void test_damage(void **state)
{
    findings found = {0};
    samp_error error = {0};
    (void)state;
    put_artifact();
    put_file("m/config.json", "[]", 2);
    expect_findings(false, "");
    expect_findings(true, "SAMP-MAN-007 error config.json;");
    put_file("m/config.json", "{ }", 3);
    expect_findings(false, "SAMP-MAN-006 error config.json;");
    assert_ok(verify(&found, false, &error), &error);
    assert_non_null(strstr(found.message, "config.json is 3 bytes, the manifest says 2"));
    assert_int_equal(unlink(scratch_path("m/config.json")), 0);
    expect_findings(true, "SAMP-MAN-004 error config.json;");
    assert_int_equal(mkfifo(scratch_path("m/config.json"), 0600), 0);
    expect_findings(true, "SAMP-MAN-005 error config.json;");
    assert_int_equal(unlink(scratch_path("m/config.json")), 0);
    assert_int_equal(symlink("config.json", scratch_path("m/config.json")), 0);
    expect_findings(true, "SAMP-MAN-005 error config.json;");
}

static void test_unlisted(void **state)
{
    (void)state;
    put_artifact();
    put_file("m/README.md", "x", 1);
    expect_findings(true, "");
    put_file("m/adapter.safetensors", "x", 1);
    expect_findings(true, "SAMP-MAN-008 error adapter.safetensors;");
    assert_int_equal(unlink(scratch_path("m/adapter.safetensors")), 0);
    put_file("m/model.safetensors.index.json", "x", 1);
    expect_findings(false, "SAMP-MAN-008 error model.safetensors.index.json;");
    assert_int_equal(unlink(scratch_path("m/model.safetensors.index.json")), 0);
    put_file("m/pytorch_model.bin", "x", 1);
    expect_findings(false, "SAMP-MAN-009 warning pytorch_model.bin;");
}

static void put_manifest(const char *text) { put_file("m/samp.json", text, strlen(text)); }

#define CHANGED "SAMP-MAN-010 error samp.json;"
#define DIGEST  "0000000000000000000000000000000000000000000000000000000000000000"

static void test_bad_manifests(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "SAMP-MAN-001 error samp.json;"},
        {"[]", "SAMP-MAN-001 error samp.json;"},
        {"{\"files\":{}}", "SAMP-MAN-001 error samp.json;" CHANGED},
        {"{\"schema_version\":1,\"files\":[]}", "SAMP-MAN-001 error samp.json;" CHANGED},
        {"{\"schema_version\":1,\"schema_version\":1,\"files\":{}}",
         "SAMP-MAN-001 error samp.json;"},
        {"{\"schema_version\":2,\"files\":{}}", "SAMP-MAN-002 error samp.json;" CHANGED},
        {"{\"schema_version\":1,\"files\":{}}", CHANGED},
        {"{\"schema_version\":1,\"files\":{\"../x\":{\"bytes\":0,\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-003 error ../x;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"/etc/passwd\":{\"bytes\":0,\"sha256\":\"" DIGEST
         "\"}}}",
         "SAMP-MAN-003 error /etc/passwd;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"\":{\"bytes\":0,\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-003 error ;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"..\":{\"bytes\":0,\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-003 error ..;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"a/x\":{\"bytes\":0,\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-003 error a/x;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"additional_chat_templates/../x\":{\"bytes\":0,"
         "\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-003 error additional_chat_templates/../x;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"additional_chat_templates/\":{\"bytes\":0,"
         "\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-003 error additional_chat_templates/;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"additional_chat_templates/x.jinja\":{\"bytes\":0,"
         "\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-004 error additional_chat_templates/x.jinja;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"x\":{\"bytes\":0,\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-004 error x;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"x\":{\"bytes\":-1,\"sha256\":\"" DIGEST "\"}}}",
         "SAMP-MAN-001 error x;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"x\":{\"bytes\":0,\"sha256\":\"0\"}}}",
         "SAMP-MAN-001 error x;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"x\":{\"bytes\":0}}}", "SAMP-MAN-001 error x;" CHANGED},
        {"{\"schema_version\":1,\"files\":{\"x\":7}}", "SAMP-MAN-001 error x;" CHANGED},
    };
    (void)state;
    put_artifact();
    assert_int_equal(unlink(scratch_path("m/model.safetensors")), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_manifest(cases[i].text);
        expect_findings(true, cases[i].expected);
    }
}

/* The manifest's own text is sealed: a change that leaves it well-formed is seen too. */
static void test_changed_manifest(void **state)
{
    samp_buffer text = {0};
    samp_error error = {0};
    (void)state;
    put_artifact();
    assert_ok(samp_file_slurp(scratch_path("m/samp.json"), 10000, &text, &error), &error);
    char *recipe = strstr(text.data, "a model");
    assert_non_null(recipe);
    recipe[0] = 'b';
    put_file("m/samp.json", text.data, text.length);
    expect_findings(false, CHANGED);
    recipe[0] = 'a';
    samp_buffer_append(&text, " ", 1); /* not even white space */
    put_file("m/samp.json", text.data, text.length);
    expect_findings(false, CHANGED);
    put_file("m/samp.json", text.data, text.length - 1);
    expect_findings(false, "");
    samp_buffer_release(&text);
}

static void test_cannot_check(void **state)
{
    findings found = {.stop_after = 2};
    samp_error error = {0};
    samp_manifest_file bad = {.name = "../x"};
    (void)state;
    put_artifact();
    assert_fails(verify(&found, true, &error), &error, SAMP_CANCELLED,
                 "computing its digest was stopped");
    assert_int_equal(found.progress_calls, 2);
    assert_int_equal(unlink(scratch_path("m/samp.json")), 0);
    assert_fails(verify(&found, true, &error), &error, SAMP_NOT_FOUND,
                 "samp.json cannot be opened");
    assert_fails(samp_manifest_write(scratch_path("m"), &bad, 1, NULL, &error), &error,
                 SAMP_INVALID, "\"../x\" cannot be listed");
    assert_string_equal(found.text, "");
}

/* An evaluation that comes later is sealed in with the rest; nothing but a manifest is amended. */
static void test_amended(void **state)
{
    findings found = {0};
    samp_error error = {0};
    json_t *measured = json_pack("{s:f}", "kl_mean", 0.0312);
    (void)state;
    put_artifact();
    for (int i = 0; i < 2; i++) /* a second time replaces the first */
        assert_ok(samp_manifest_amend(scratch_path("m"), "measured", measured, &error), &error);
    assert_ok(verify(&found, true, &error), &error);
    assert_string_equal(found.text, "");
    json_t *root;
    assert_ok(samp_json_load(&root, scratch_path("m/samp.json"), 1 << 20, &error), &error);
    assert_true(json_equal(json_object_get(root, "measured"), measured));
    json_decref(root);
    put_file("m/samp.json", "{\"files\": []}", 13);
    assert_fails(samp_manifest_amend(scratch_path("m"), "measured", measured, &error), &error,
                 SAMP_CORRUPT, "is no manifest");
    assert_int_equal(unlink(scratch_path("m/samp.json")), 0);
    assert_fails(samp_manifest_amend(scratch_path("m"), "measured", measured, &error), &error,
                 SAMP_NOT_FOUND, "samp.json");
    json_decref(measured);
}

/* A failed allocation is never mistaken for damage. */
static void test_out_of_memory(void **state)
{
    samp_status status = SAMP_NOMEM;
    findings found = {0};
    samp_error error = {0};
    int n = 0;
    (void)state;
    put_artifact();
    for (; status != SAMP_OK && n < 1000; n++) {
        found = (findings){0};
        samp_alloc_fail_at((uint64_t)n + 1);
        status = verify(&found, true, &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK) assert_int_equal(status, SAMP_NOMEM);
        assert_string_equal(found.text, "");
    }
    assert_ok(status, &error);
    assert_true(n > 20 && found.done == BIG + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_unlisted),
        cmocka_unit_test(test_bad_manifests),
        cmocka_unit_test(test_changed_manifest),
        cmocka_unit_test(test_cannot_check),
        cmocka_unit_test(test_amended),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

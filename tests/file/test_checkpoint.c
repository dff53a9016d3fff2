/* Checkpoint folders: one file, shards with an index, and every way the two can disagree
 * (research/serving.md §6.4, numbers 34 – 40). */
#include "file/scratch.h"

#include "file/checkpoint.h"

#include <sys/stat.h>

/* A shard with tensors of four bytes; the data of tensor NAME is its first byte, four times. */
static void put_shard(const char *name, const char *const *tensors, size_t n)
{
    samp_tensor_spec specs[8] = {0};
    uint64_t offsets[8], size;
    samp_error error = {0};
    samp_buffer file = {0};
    for (size_t i = 0; i < n; i++) specs[i] = (samp_tensor_spec){tensors[i], SAMP_U8, 1, {4}};
    assert_ok(samp_safetensors_header(specs, n, NULL, 0, &file, offsets, &size, &error), &error);
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < 4; j++) samp_buffer_append(&file, tensors[i], 1);
    put_file(name, file.data, file.length);
    samp_buffer_release(&file);
}

static void put_text(const char *name, const char *text) { put_file(name, text, strlen(text)); }

#define INDEX          "m/model.safetensors.index.json"
#define SHARD1         "m/model-00001-of-00002.safetensors"
#define SHARD2         "m/model-00002-of-00002.safetensors"
#define ENTRY1(tensor) "\"" tensor "\":\"model-00001-of-00002.safetensors\""
#define ENTRY2(tensor) "\"" tensor "\":\"model-00002-of-00002.safetensors\""

/* Two good shards, and an index that may be anything. */
static void put_model(const char *index)
{
    samp_error error = {0};
    if (samp_is_folder(scratch_path("m")))
        assert_ok(samp_remove_folder(scratch_path("m"), &error), &error);
    assert_int_equal(mkdir(scratch_path("m"), 0700), 0);
    put_shard(SHARD1, (const char *const[]){"b", "a"}, 2);
    put_shard(SHARD2, (const char *const[]){"c"}, 1);
    if (index) put_text(INDEX, index);
}

static const char good_index[] = "{\"metadata\":{\"total_size\":12},\"weight_map\":{" ENTRY1(
    "a") "," ENTRY1("b") "," ENTRY2("c") "}}";

static void expect_failure(samp_status expected, const char *says)
{
    samp_error error = {0};
    samp_checkpoint *checkpoint;
    assert_fails(samp_checkpoint_open(&checkpoint, scratch_path("m"), &error), &error, expected,
                 says);
    assert_null(checkpoint);
}

static void test_shards(void **state)
{
    samp_error error = {0};
    samp_checkpoint *checkpoint;
    unsigned char bytes[4];
    uint64_t stated, actual;
    (void)state;
    put_model(good_index);
    put_text("m/consolidated.safetensors", "another format's file beside it is no concern of ours");
    assert_ok(samp_checkpoint_open(&checkpoint, scratch_path("m"), &error), &error);
    assert_int_equal(samp_checkpoint_count(checkpoint), 3);
    assert_int_equal(samp_checkpoint_shards(checkpoint), 2);
    assert_string_equal(samp_checkpoint_shard_name(checkpoint, 1),
                        "model-00002-of-00002.safetensors");
    assert_string_equal(samp_checkpoint_at(checkpoint, 0)->name, "b");
    const samp_tensor_info *c = samp_checkpoint_find(checkpoint, "c");
    assert_int_equal(c->shard, 1);
    assert_ok(samp_checkpoint_read(checkpoint, c, 1, bytes, 3, &error), &error);
    assert_memory_equal(bytes, "ccc", 3);
    assert_fails(samp_checkpoint_read(checkpoint, c, 1, bytes, 4, &error), &error, SAMP_INVALID,
                 "outside of tensor c");
    assert_null(samp_checkpoint_find(checkpoint, "d"));
    assert_true(samp_checkpoint_total_size(checkpoint, &stated, &actual));
    assert_true(stated == 12 && actual == 12);
    samp_checkpoint_forget(checkpoint, c, 0, 4);
    samp_checkpoint_close(checkpoint);
    samp_checkpoint_close(NULL);
}

static void test_single(void **state)
{
    samp_error error = {0};
    samp_checkpoint *checkpoint;
    uint64_t stated, actual;
    (void)state;
    put_model(NULL);
    assert_int_equal(unlink(scratch_path(SHARD1)) | unlink(scratch_path(SHARD2)), 0);
    expect_failure(SAMP_NOT_FOUND,
                   "has neither model.safetensors nor model.safetensors.index.json");
    put_shard("m/model.safetensors", (const char *const[]){"x"}, 1);
    assert_ok(samp_checkpoint_open(&checkpoint, scratch_path("m"), &error), &error);
    assert_int_equal(samp_checkpoint_count(checkpoint), 1);
    assert_false(samp_checkpoint_total_size(checkpoint, &stated, &actual));
    samp_checkpoint_close(checkpoint);
    /* An index may name model.safetensors itself; one that does not makes the folder ambiguous. */
    put_text(INDEX, "{\"weight_map\":{\"x\":\"model.safetensors\"}}");
    assert_ok(samp_checkpoint_open(&checkpoint, scratch_path("m"), &error), &error);
    samp_checkpoint_close(checkpoint);
    put_shard(SHARD1, (const char *const[]){"x"}, 1);
    put_text(INDEX, "{\"weight_map\":{" ENTRY1("x") "}}");
    expect_failure(SAMP_MISMATCH, "has both model.safetensors and model.safetensors.index.json");
    assert_fails(samp_checkpoint_open(&checkpoint, scratch_path("absent"), &error), &error,
                 SAMP_NOT_FOUND, "is not a folder");
}

/* 35: names that would leave the folder */
static void test_shard_names(void **state)
{
    static const char *const names[] = {"../../etc/passwd",
                                        "/etc/passwd",
                                        "../model.safetensors",
                                        "/tmp/m.safetensors",
                                        "sub/m.safetensors",
                                        "..\\\\m.safetensors",
                                        "C:m.safetensors",
                                        ".safetensors",
                                        "..safetensors",
                                        "m.bin",
                                        "",
                                        "m\\u0000.safetensors",
                                        "m\\n.safetensors"};
    char text[256];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", names[i]);
        put_model(text);
        expect_failure(SAMP_CORRUPT, "expected the name of a .safetensors file in the same folder");
    }
}

static void test_bad_indexes(void **state)
{
    static const struct {
        const char *text;
        samp_status status;
        const char *says;
    } cases[] = {
        {"", SAMP_CORRUPT, "JSON ends where an object was expected"},
        {"[]", SAMP_CORRUPT, "found '[', expected an object"},
        {"{}", SAMP_CORRUPT, "\"weight_map\" is missing or empty"},
        {"{\"weight_map\":{}}", SAMP_CORRUPT, "\"weight_map\" is missing or empty"},
        {"{\"weight_map\":[]}", SAMP_CORRUPT, "found '[', expected an object"},
        {"{\"weight_map\":{\"a\":1}}", SAMP_CORRUPT, "found '1', expected the name of a shard"},
        {"{\"weight_map\":{\"\":\"m.safetensors\"}}", SAMP_CORRUPT,
         "a name that no tensor can have"},
        {"{\"weight_map\":{" ENTRY1("a") "," ENTRY1("a") "}}", SAMP_CORRUPT,
         "weight_map has tensor a twice"},
        {"{\"weight_map\":{" ENTRY1("a") "},\"weight_map\":{}}", SAMP_CORRUPT,
         "\"weight_map\" is there twice"},
        {"{\"metadata\":{},\"metadata\":{}}", SAMP_CORRUPT, "\"metadata\" is there twice"},
        /* 38 */
        {"{\"weight_map\":{" ENTRY1("a") "," ENTRY1("b") "," ENTRY2("c") "," ENTRY2("d") "}}",
         SAMP_MISMATCH, "puts tensor d in model-00002-of-00002.safetensors, but no shard has it"},
        {"{\"weight_map\":{" ENTRY1("a") "," ENTRY1("b") "," ENTRY1("c") "," ENTRY2("a2") "}}",
         SAMP_MISMATCH,
         "puts tensor c in model-00001-of-00002.safetensors, but it is in "
         "model-00002-of-00002.safetensors"},
        {"{\"weight_map\":{" ENTRY1("a") "," ENTRY2("c") "}}", SAMP_MISMATCH,
         "tensor b of model-00001-of-00002.safetensors is not named in"},
        /* 40 */
        {"{\"weight_map\":{\"a\":\"best-of-00002-of-00002.safetensors\"}}", SAMP_MISMATCH,
         "no tensor is in shard 1 of 2 of best-of; the index has a gap"},
        {"{\"weight_map\":{" ENTRY2("c") "}}", SAMP_MISMATCH,
         "no tensor is in shard 1 of 2 of model; the index has a gap"},
        {"{\"weight_map\":{" ENTRY1("a") "," ENTRY1("b") "}}", SAMP_MISMATCH,
         "no tensor is in shard 2 of 2 of model"},
        {"{\"weight_map\":{" ENTRY1("a") ",\"c\":\"model-00002-of-00003.safetensors\"}}",
         SAMP_MISMATCH,
         "model-00001-of-00002.safetensors and model-00002-of-00003.safetensors are of different "
         "totals"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_model(cases[i].text);
        expect_failure(cases[i].status, cases[i].says);
    }
}

/* 36, 37, 38, 40: shards that are missing, left over, doubled or not weights */
static void test_bad_shards(void **state)
{
    (void)state;
    put_model(good_index);
    assert_int_equal(unlink(scratch_path(SHARD2)), 0);
    expect_failure(SAMP_NOT_FOUND,
                   "model-00002-of-00002.safetensors cannot be opened: No such file");
    put_model(good_index);
    put_text("m/model-00003-of-00003.safetensors", "");
    expect_failure(SAMP_MISMATCH,
                   "model-00003-of-00003.safetensors is not named in model.safetensors.index.json");
    put_model(NULL);
    expect_failure(SAMP_NOT_FOUND, "but no model.safetensors.index.json that says what is in it");
    put_model(good_index);
    put_shard(SHARD2, (const char *const[]){"c", "a"}, 2);
    expect_failure(SAMP_MISMATCH, "tensor a is in two shards");
    put_model(good_index);
    put_text(SHARD2, "");
    expect_failure(SAMP_CORRUPT, "model-00002-of-00002.safetensors is 0 bytes");
    put_model(good_index);
    put_text(SHARD2, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    expect_failure(SAMP_CORRUPT, "is a git-lfs pointer");
    put_model(good_index);
    put_file(SHARD2, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    expect_failure(SAMP_CORRUPT,
                   "the header length is 0, expected at least 2; a file that starts with zeros");
}

/* 34: a shard that is no file; a link to one is fine, as in a download cache */
static void test_special_shards(void **state)
{
    samp_error error = {0};
    samp_checkpoint *checkpoint;
    (void)state;
    put_model(good_index);
    assert_int_equal(unlink(scratch_path(SHARD2)), 0);
    assert_int_equal(mkfifo(scratch_path(SHARD2), 0600), 0);
    expect_failure(SAMP_INVALID, "is a pipe, expected a regular file");
    assert_int_equal(unlink(scratch_path(SHARD2)), 0);
    assert_int_equal(mkdir(scratch_path(SHARD2), 0700), 0);
    expect_failure(SAMP_INVALID, "is a folder, expected a regular file");
    assert_int_equal(rmdir(scratch_path(SHARD2)), 0);
    assert_int_equal(symlink("model-00002-of-00002.safetensors", scratch_path(SHARD2)), 0);
    expect_failure(SAMP_IO, "symbolic links");
    assert_int_equal(unlink(scratch_path(SHARD2)), 0);
    assert_int_equal(symlink("/dev/zero", scratch_path(SHARD2)), 0);
    expect_failure(SAMP_INVALID, "is a device, expected a regular file");
    assert_int_equal(unlink(scratch_path(SHARD2)), 0);
    put_shard("blob", (const char *const[]){"c"}, 1);
    assert_int_equal(symlink("../blob", scratch_path(SHARD2)), 0);
    assert_ok(samp_checkpoint_open(&checkpoint, scratch_path("m"), &error), &error);
    samp_checkpoint_close(checkpoint);
}

/* 39: a wrong total is reported to whoever asks, in both of the ways it is written */
static void test_total_size(void **state)
{
    static const struct {
        const char *total;
        bool known;
        uint64_t value;
    } cases[] = {{"13", true, 13},
                 {"12.0", true, 12},
                 {"\"12\"", false, 0},
                 {"1e1", false, 0},
                 {"-12", false, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_error error = {0};
        samp_checkpoint *checkpoint;
        uint64_t stated, actual;
        char text[512];
        snprintf(text, sizeof text,
                 "{\"metadata\":{\"total_size\":%s},\"weight_map\":{" ENTRY1("a") "," ENTRY1(
                     "b") "," ENTRY2("c") "}}",
                 cases[i].total);
        put_model(text);
        assert_ok(samp_checkpoint_open(&checkpoint, scratch_path("m"), &error), &error);
        assert_int_equal(samp_checkpoint_total_size(checkpoint, &stated, &actual), cases[i].known);
        assert_true(stated == cases[i].value && actual == 12);
        samp_checkpoint_close(checkpoint);
    }
}

/* Names that look numbered and are not count as any other name. */
static void test_odd_numbers(void **state)
{
    static const char *const names[] = {"model-00000-of-00000.safetensors",
                                        "model-1-of-2.safetensors",
                                        "model-00001-of-.safetensors",
                                        "-00001-of-00002.safetensors.safetensors",
                                        "model-0000000001-of-0000000002.safetensors",
                                        "00001-of-00002.safetensors"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        samp_error error = {0};
        samp_checkpoint *checkpoint;
        char text[256], shard[256];
        snprintf(text, sizeof text, "{\"weight_map\":{\"x\":\"%s\"}}", names[i]);
        put_model(text);
        assert_int_equal(unlink(scratch_path(SHARD1)) | unlink(scratch_path(SHARD2)), 0);
        snprintf(shard, sizeof shard, "m/%s", names[i]);
        put_shard(shard, (const char *const[]){"x"}, 1);
        assert_ok(samp_checkpoint_open(&checkpoint, scratch_path("m"), &error), &error);
        samp_checkpoint_close(checkpoint);
    }
}

static samp_status note_entry(void *context, const char *tensor, const char *shard,
                              samp_error *error)
{
    char *text = context;
    strcat(strcat(text, tensor), shard);
    return tensor[0] == '!' ? samp_fail(error, SAMP_CANCELLED, "enough") : SAMP_OK;
}

static void test_index_callback(void **state)
{
    static const char text[] = "{\"weight_map\":{\"z\":\"1.safetensors\",\"!\":\"2.safetensors\","
                               "\"a\":\"1.safetensors\"}}";
    samp_error error = {0};
    char seen[256] = "";
    (void)state;
    assert_fails(samp_checkpoint_index(text, strlen(text), "index", note_entry, seen, &error),
                 &error, SAMP_CANCELLED, "enough");
    assert_string_equal(seen, "z1.safetensors!2.safetensors");
}

static void test_out_of_memory(void **state)
{
    samp_error error = {0};
    samp_checkpoint *checkpoint;
    samp_status status = SAMP_NOMEM;
    int n = 0;
    (void)state;
    put_model(good_index);
    for (; status != SAMP_OK && n < 1000; n++) {
        samp_alloc_fail_at((uint64_t)n + 1);
        status = samp_checkpoint_open(&checkpoint, scratch_path("m"), &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK) assert_fails(status, &error, SAMP_NOMEM, "out of memory");
    }
    assert_ok(status, &error);
    assert_true(n > 20);
    samp_checkpoint_close(checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards),         cmocka_unit_test(test_single),
        cmocka_unit_test(test_shard_names),    cmocka_unit_test(test_bad_indexes),
        cmocka_unit_test(test_bad_shards),     cmocka_unit_test(test_special_shards),
        cmocka_unit_test(test_total_size),     cmocka_unit_test(test_odd_numbers),
        cmocka_unit_test(test_index_callback), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

/* safetensors: what is written is read back, and each bad file of research/serving.md §6.4 (the
 * numbers in the comments) is refused with the sentence that tells what is wrong. */
#include "file/headers.h"
#include "file/scratch.h"

#include "file/safetensors.h"

#include <sys/stat.h>

/* Length field and text; release with free. */
static unsigned char *make_header(const char *text, size_t n)
{
    unsigned char *bytes = malloc(n + 8);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)n >> 8 * i);
    memcpy(bytes + 8, text, n);
    return bytes;
}

static samp_status parse_text(const char *text, size_t n, uint64_t data_bytes,
                              samp_safetensors **out, samp_error *error)
{
    unsigned char *bytes = make_header(text, n);
    samp_status status =
        samp_safetensors_parse(out, bytes, n + 8, n + 8 + data_bytes, "bad.safetensors", error);
    free(bytes);
    return status;
}

static void test_bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        samp_error error = {0};
        samp_safetensors *file;
        samp_status status = parse_text(bad_headers[i].text, strlen(bad_headers[i].text),
                                        bad_headers[i].data_bytes, &file, &error);
        assert_fails(status, &error, bad_headers[i].status, bad_headers[i].says);
        assert_null(file);
    }
}

static void test_good_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_headers / sizeof *good_headers; i++) {
        samp_error error = {0};
        samp_safetensors *file;
        const good_header *good = &good_headers[i];
        assert_ok(parse_text(good->text, strlen(good->text), good->data_bytes, &file, &error),
                  &error);
        assert_int_equal(samp_safetensors_count(file), good->n);
        samp_safetensors_close(file);
    }
}

static void test_file_order(void **state)
{
    static const char text[] = "{\"late\":" TENSOR("U8", "[4]", 2, 6) ",\"early\":" TENSOR(
        "F16", "[1]", 0, 2) ",\"none\":" TENSOR("I64", "[0]", 6, 6) "}";
    samp_error error = {0};
    samp_safetensors *file;
    (void)state;
    assert_ok(parse_text(text, strlen(text), 6, &file, &error), &error);
    assert_string_equal(samp_safetensors_at(file, 0)->name, "early");
    assert_string_equal(samp_safetensors_at(file, 1)->name, "late");
    assert_string_equal(samp_safetensors_at(file, 2)->name, "none");
    const samp_tensor_info *late = samp_safetensors_find(file, "late");
    assert_ptr_equal(late, samp_safetensors_at(file, 1));
    assert_true(late->offset == 8 + strlen(text) + 2 && late->bytes == 4 && late->shape[0] == 4);
    assert_null(samp_safetensors_find(file, "lat"));
    assert_null(samp_safetensors_metadata(file, "format"));
    samp_safetensors_close(file);
}

/* 1 – 8, 28, 40: files whose very first bytes are wrong. */
static void test_bad_lengths(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } cases[] = {
        {"", 0, "is 0 bytes, expected at least 8"},
        {"1234567", 7, "is 7 bytes, expected at least 8"},
        {"\0\0\0\0\0\0\0\0", 8, "the header length is 0"},
        {"\0\0\0\0\0\0\0\0{}", 10, "the header length is 0"},
        {"\1\0\0\0\0\0\0\0{", 9, "JSON ends where"},
        {"\1\0\0\0\0\0\0\0 ", 9, "starts with byte 0x20"},
        {"\x01\xe1\xf5\x05\0\0\0\0{}", 10, "length is 100000001, at most 100000000"},
        {"\0\0\0\0\0\0\0\x80{}", 10, "length is 9223372036854775808, at most 100000000"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "length is 18446744073709551615"},
        {"\xf8\xff\xff\xff\xff\xff\xff\xff{}", 10,
         "length is 18446744073709551608"}, /* 8+N wraps to 0 */
        {"\x03\0\0\0\0\0\0\0{}", 10, "the header is 3 bytes, but the file has only 2"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", 64, "git lfs pull"},
        {"PK\x03\x04\0\0\0\x1e{}", 10, "probably not a safetensors file"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_error error = {0};
        samp_safetensors *file;
        put_file("bad.safetensors", cases[i].bytes, cases[i].n);
        assert_fails(samp_safetensors_open(&file, scratch_path("bad.safetensors"), &error), &error,
                     SAMP_CORRUPT, cases[i].says);
        assert_null(file);
    }
}

/* 13: deep nesting where any value may stand; 32: a name of a megabyte. */
static void test_large_text(void **state)
{
    samp_error error = {0};
    samp_safetensors *file;
    samp_buffer text = {0};
    (void)state;
    samp_buffer_text(&text, "{\"a\":{\"x\":");
    for (int i = 0; i < 100000; i++) samp_buffer_text(&text, "[");
    assert_fails(parse_text(text.data, text.length, 0, &file, &error), &error, SAMP_LIMIT,
                 "nested deeper than 127");
    samp_buffer_clear(&text);
    samp_buffer_text(&text, "{\"__metadata__\":{\"x\":");
    for (int i = 0; i < 100000; i++) samp_buffer_text(&text, "[");
    assert_fails(parse_text(text.data, text.length, 0, &file, &error), &error, SAMP_CORRUPT,
                 "expected a string");
    samp_buffer_clear(&text); /* ten million digits where any value may stand */
    samp_buffer_text(&text, "{\"a\":{\"x\":0.");
    for (int i = 0; i < 10000000; i++) samp_buffer_append(&text, "7", 1);
    samp_buffer_text(&text, ",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    assert_ok(parse_text(text.data, text.length, 0, &file, &error), &error);
    samp_safetensors_close(file);
    samp_buffer_clear(&text);
    samp_buffer_text(&text, "{\"");
    for (int i = 0; i < 1 << 20; i++) samp_buffer_text(&text, "n");
    samp_buffer_text(&text, "\":" TENSOR("U8", "[1]", 0, 1) "}");
    assert_fails(parse_text(text.data, text.length, 1, &file, &error), &error, SAMP_CORRUPT,
                 "name is 1048576 bytes");
    samp_buffer_release(&text);
}

/* 31: more tensors than the cap, all empty, so that nothing else is wrong. */
static void test_too_many_tensors(void **state)
{
    samp_error error = {0};
    samp_safetensors *file;
    samp_buffer text = {0};
    (void)state;
    samp_buffer_text(&text, "{");
    for (int i = 0; i < 1000001; i++)
        samp_buffer_printf(&text, "%s\"%d\":" TENSOR("U8", "[0]", 0, 0), i ? "," : "", i);
    samp_buffer_text(&text, "}");
    assert_ok(samp_buffer_ok(&text, &error), &error);
    assert_fails(parse_text(text.data, text.length, 0, &file, &error), &error, SAMP_LIMIT,
                 "more than 1000000 tensors");
    samp_buffer_release(&text);
}

static void test_too_much_metadata(void **state)
{
    samp_error error = {0};
    samp_safetensors *file;
    samp_buffer text = {0};
    (void)state;
    samp_buffer_text(&text, "{\"__metadata__\":{");
    for (int i = 0; i < 65537; i++) samp_buffer_printf(&text, "%s\"%d\":\"\"", i ? "," : "", i);
    samp_buffer_text(&text, "}}");
    assert_fails(parse_text(text.data, text.length, 0, &file, &error), &error, SAMP_LIMIT,
                 "more than 65536 keys");
    samp_buffer_release(&text);
}

static const samp_tensor_spec specs[] = {
    {"model.embed.weight", SAMP_BF16, 2, {3, 5}},
    {"odd \"name\" \\ \xc3\xa9", SAMP_U8, 1, {7}},
    {"scalar", SAMP_F32, 0, {0}},
    {"empty", SAMP_F64, 2, {4, 0}},
    {"last", SAMP_I64, 3, {1, 2, 2}},
};
enum { N_SPECS = sizeof specs / sizeof *specs };

/* Byte i of tensor t. */
static unsigned char pattern(size_t t, size_t i) { return (unsigned char)(t * 61 + i * 7 + 1); }

static void write_example(const char *name, uint64_t offsets[N_SPECS])
{
    static const char *const metadata[][2] = {{"format", "pt"}, {"note", "a\n\"b\""}};
    samp_error error = {0};
    samp_buffer header = {0};
    samp_output *output;
    uint64_t size;
    assert_ok(samp_safetensors_header(specs, N_SPECS, metadata, 2, &header, offsets, &size, &error),
              &error);
    assert_true(header.length % 64 == 0 && offsets[0] == header.length);
    assert_ok(samp_output_create(&output, scratch_path(name), &error), &error);
    assert_ok(samp_output_write(output, header.data, header.length, &error), &error);
    for (size_t t = N_SPECS; t-- > 0;) { /* data in any order */
        uint64_t end = t + 1 < N_SPECS ? offsets[t + 1] : size;
        for (uint64_t at = offsets[t]; at < end; at++) {
            unsigned char byte = pattern(t, at - offsets[t]);
            assert_ok(samp_output_write_at(output, at, &byte, 1, &error), &error);
        }
    }
    assert_ok(samp_output_commit(output, &error), &error);
    samp_buffer_release(&header);
    struct stat info;
    assert_int_equal(stat(scratch_path(name), &info), 0);
    assert_int_equal(info.st_size, size);
}

static void test_round_trip(void **state)
{
    uint64_t offsets[N_SPECS];
    samp_error error = {0};
    samp_safetensors *file;
    unsigned char bytes[64];
    (void)state;
    write_example("good.safetensors", offsets);
    assert_ok(samp_safetensors_open(&file, scratch_path("good.safetensors"), &error), &error);
    assert_int_equal(samp_safetensors_count(file), N_SPECS);
    assert_string_equal(samp_safetensors_metadata(file, "note"), "a\n\"b\"");
    for (size_t t = 0; t < N_SPECS; t++) {
        const samp_tensor_info *tensor = samp_safetensors_find(file, specs[t].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, specs[t].dtype);
        assert_int_equal(tensor->rank, specs[t].rank);
        assert_memory_equal(tensor->shape, specs[t].shape,
                            sizeof *tensor->shape * (size_t)tensor->rank);
        assert_true(tensor->offset == offsets[t] && tensor->bytes <= sizeof bytes);
        assert_ok(samp_safetensors_read(file, tensor, 0, bytes, tensor->bytes, &error), &error);
        for (size_t i = 0; i < tensor->bytes; i++) assert_int_equal(bytes[i], pattern(t, i));
    }
    const samp_tensor_info *last = samp_safetensors_find(file, "last");
    assert_ok(samp_safetensors_read(file, last, 31, bytes, 1, &error), &error);
    assert_int_equal(bytes[0], pattern(4, 31));
    assert_fails(samp_safetensors_read(file, last, 31, bytes, 2, &error), &error, SAMP_INVALID,
                 "2 bytes at byte 31 lie outside of tensor last (32 bytes)");
    assert_fails(samp_safetensors_read(file, last, UINT64_MAX, bytes, 2, &error), &error,
                 SAMP_INVALID, "lie outside");
    samp_safetensors_close(file);
}

/* The writer refuses what the reader would refuse. */
static void test_bad_specs(void **state)
{
    static const struct {
        samp_tensor_spec spec;
        const char *says;
    } cases[] = {
        {{"", SAMP_U8, 1, {1}}, "cannot be the name"},
        {{"a\nb", SAMP_U8, 1, {1}}, "cannot be the name"},
        {{"\xff", SAMP_U8, 1, {1}}, "cannot be the name"},
        {{"__metadata__", SAMP_U8, 1, {1}}, "cannot be the name"},
        {{"a", SAMP_F4, 1, {3}}, "does not end at a whole byte"},
        {{"a", SAMP_F32, 2, {1ull << 32, 1ull << 32}}, "overflows"},
        {{"a", SAMP_F32, 9, {1}}, "rank 9"},
        {{"first", SAMP_U8, 1, {1}}, "tensor first is given twice"},
    };
    samp_error error = {0};
    samp_buffer header = {0};
    uint64_t offsets[2], size;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samp_tensor_spec pair[2] = {{"first", SAMP_U8, 1, {1}}, cases[i].spec};
        assert_fails(samp_safetensors_header(pair, 2, NULL, 0, &header, offsets, &size, &error),
                     &error, SAMP_INVALID, cases[i].says);
    }
    static const char *const twice[][2] = {{"k", "1"}, {"k", "2"}};
    assert_fails(samp_safetensors_header(specs, 1, twice, 2, &header, offsets, &size, &error),
                 &error, SAMP_INVALID, "metadata \"k\" is given twice");
    samp_buffer_release(&header);
}

/* Offsets past 4 GiB, in a file that is mostly a hole. */
static void test_large_file(void **state)
{
    static const samp_tensor_spec large[] = {{"most", SAMP_U8, 2, {5, 1 << 30}},
                                             {"end", SAMP_U8, 1, {3}}};
    samp_error error = {0};
    samp_buffer header = {0};
    samp_output *output;
    samp_safetensors *file;
    uint64_t offsets[2], size;
    char bytes[4] = "";
    (void)state;
    assert_ok(samp_safetensors_header(large, 2, NULL, 0, &header, offsets, &size, &error), &error);
    assert_true(offsets[1] == header.length + (5ull << 30) && size == offsets[1] + 3);
    assert_ok(samp_output_create(&output, scratch_path("large.safetensors"), &error), &error);
    assert_ok(samp_output_write(output, header.data, header.length, &error), &error);
    samp_status status = samp_output_write_at(output, offsets[1], "xyz", 3, &error);
    if (status == SAMP_OK)
        status = samp_output_commit(output, &error);
    else
        samp_output_abandon(output);
    samp_buffer_release(&header);
    if (status != SAMP_OK) {
        print_message("a sparse file of 5 GiB cannot be made here (%s): skipped\n", error.message);
        skip();
    }
    assert_ok(samp_safetensors_open(&file, scratch_path("large.safetensors"), &error), &error);
    assert_ok(samp_safetensors_read(file, samp_safetensors_find(file, "end"), 0, bytes, 3, &error),
              &error);
    assert_string_equal(bytes, "xyz");
    const samp_tensor_info *most = samp_safetensors_find(file, "most");
    assert_ok(samp_safetensors_read(file, most, most->bytes - 1, bytes, 1, &error), &error);
    assert_int_equal(bytes[0], 0);
    samp_safetensors_close(file);
}

/* 33: the file is cut after it was opened; an error, not a signal. */
static void test_shrinking_file(void **state)
{
    uint64_t offsets[N_SPECS];
    samp_error error = {0};
    samp_safetensors *file;
    unsigned char bytes[32];
    (void)state;
    write_example("shrinks.safetensors", offsets);
    const char *path = scratch_path("shrinks.safetensors");
    assert_ok(samp_safetensors_open(&file, path, &error), &error);
    assert_int_equal(truncate(path, (off_t)offsets[4] + 5), 0);
    assert_fails(
        samp_safetensors_read(file, samp_safetensors_find(file, "last"), 0, bytes, 32, &error),
        &error, SAMP_IO, "something shortened it while it was read");
    samp_safetensors_close(file);
}

/* Every allocation fails in turn: a clean error, nothing leaked (the sanitizer build sees leaks).
 */
static void test_out_of_memory(void **state)
{
    uint64_t offsets[N_SPECS];
    samp_error error = {0};
    samp_safetensors *file;
    (void)state;
    write_example("memory.safetensors", offsets);
    const char *path = scratch_path("memory.safetensors");
    samp_status status = SAMP_NOMEM;
    int n = 0;
    for (; status != SAMP_OK && n < 1000; n++) {
        samp_alloc_fail_at((uint64_t)n + 1);
        status = samp_safetensors_open(&file, path, &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK) assert_fails(status, &error, SAMP_NOMEM, "out of memory");
    }
    assert_ok(status, &error);
    assert_true(n > 5);
    samp_safetensors_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_headers),       cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_file_order),        cmocka_unit_test(test_bad_lengths),
        cmocka_unit_test(test_large_text),        cmocka_unit_test(test_too_many_tensors),
        cmocka_unit_test(test_too_much_metadata), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bad_specs),         cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_shrinking_file),    cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

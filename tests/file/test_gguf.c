/* GGUF: a file written by the gguf package is read value for value and decoded bit for bit; every
 * bad file of research/serving.md §6.4, numbers 51 – 54, is refused with the sentence that tells
 * what is wrong. */
#include "file/scratch.h"

#include "file/gguf.h"
#include "support/demo_model.h"
#include "support/golden.h"

#include <math.h>

static void test_metadata(void **state)
{
    samp_error error = {0};
    samp_gguf *gguf;
    int64_t integer = 7;
    double number = 7;
    bool truth = false;
    samp_gguf_string text = {0};
    (void)state;
    assert_ok(samp_gguf_open(&gguf, SAMP_GOLDEN "/gguf/example.gguf", &error), &error);
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"t.u8", 255},       {"t.i8", -128},        {"t.u16", 65535},
                    {"t.i16", -32768},   {"t.u32", 4294967295}, {"t.i32", INT32_MIN},
                    {"t.i64", INT64_MIN}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        assert_true(samp_gguf_integer(gguf, integers[i].key, &integer));
        assert_true(integer == integers[i].value);
    }
    integer = 7;
    assert_false(samp_gguf_integer(gguf, "t.u64", &integer)); /* 2^64-1 does not fit */
    assert_false(samp_gguf_integer(gguf, "t.f32", &integer));
    assert_false(samp_gguf_integer(gguf, "t.ints", &integer));
    assert_false(samp_gguf_integer(gguf, "t.absent", &integer));
    assert_true(integer == 7);
    assert_true(samp_gguf_number(gguf, "t.f32", &number) && number == (double)1e-5f);
    assert_true(samp_gguf_number(gguf, "t.f64", &number) && number == 1e-300);
    assert_true(samp_gguf_number(gguf, "t.i8", &number) && number == -128);
    assert_false(samp_gguf_number(gguf, "t.string", &number));
    assert_true(samp_gguf_bool(gguf, "t.bool", &truth) && truth);
    assert_false(samp_gguf_bool(gguf, "t.u8", &truth));
    assert_true(samp_gguf_text(gguf, "t.string", &text));
    assert_int_equal(text.length, 6);
    assert_memory_equal(text.data, "caf\xc3\xa9\n", 6);
    assert_false(samp_gguf_text(gguf, "t.strings", &text));
    samp_gguf_close(gguf);
    samp_gguf_close(NULL);
}

static void test_arrays(void **state)
{
    samp_error error = {0};
    samp_gguf *gguf;
    const samp_gguf_string *strings;
    const int32_t *integers;
    const float *floats;
    (void)state;
    assert_ok(samp_gguf_open(&gguf, SAMP_GOLDEN "/gguf/example.gguf", &error), &error);
    assert_int_equal(samp_gguf_strings(gguf, "t.strings", &strings), 4);
    assert_int_equal(strings[0].length, 0);
    assert_memory_equal(strings[2].data, "\xe2\x82\xac", strings[2].length);
    assert_memory_equal(strings[3].data, "<|im_start|>", strings[3].length);
    assert_int_equal(samp_gguf_integers(gguf, "t.ints", &integers), 3);
    assert_true(integers[0] == 1 && integers[1] == -2 && integers[2] == 3);
    assert_int_equal(samp_gguf_integers(gguf, "t.bools", &integers), 2);
    assert_true(integers[0] == 1 && integers[1] == 0);
    assert_int_equal(samp_gguf_integers(gguf, "t.big", &integers), 0); /* 2^40 does not fit */
    assert_int_equal(samp_gguf_floats(gguf, "t.floats", &floats), 2);
    assert_true(floats[0] == 0.5f && floats[1] == -1.25f);
    assert_int_equal(samp_gguf_floats(gguf, "t.ints", &floats), 0);
    assert_int_equal(samp_gguf_strings(gguf, "t.string", &strings), 0);
    assert_int_equal(samp_gguf_strings(gguf, "absent", &strings), 0);
    samp_gguf_close(gguf);
}

/* Every type samp decodes, bit for bit, as a whole and row by row. */
static void test_decoding(void **state)
{
    samp_error error = {0};
    samp_gguf *gguf;
    float rows[3 * 512];
    (void)state;
    golden_file golden = golden_open("gguf/example");
    assert_ok(samp_gguf_open(&gguf, SAMP_GOLDEN "/gguf/example.gguf", &error), &error);
    assert_int_equal(samp_gguf_count(gguf), 12);
    for (size_t i = 0; i < samp_gguf_count(gguf); i++) {
        const samp_gguf_tensor *tensor = samp_gguf_at(gguf, i);
        golden_array expected = golden_get(&golden, tensor->name);
        assert_string_equal(tensor->name, tensor->type_name);
        assert_true(tensor->rank == 2 && tensor->shape[1] == 3 && tensor->shape[2] == 1);
        assert_int_equal(expected.n, 3 * tensor->shape[0]);
        assert_ok(samp_gguf_rows(gguf, tensor, 0, 3, rows, &error), &error);
        if (memcmp(rows, expected.data, expected.n_bytes) != 0)
            fail_msg("%s differs", tensor->name);
        memset(rows, 0xff, sizeof rows);
        for (uint64_t row = 3; row-- > 0;)
            assert_ok(samp_gguf_rows(gguf, tensor, row, 1, rows + row * tensor->shape[0], &error),
                      &error);
        if (memcmp(rows, expected.data, expected.n_bytes) != 0)
            fail_msg("%s by rows differs", tensor->name);
        assert_fails(samp_gguf_rows(gguf, tensor, 2, 2, rows, &error), &error, SAMP_INVALID,
                     "2 rows from row 2 lie outside");
        assert_fails(samp_gguf_rows(gguf, tensor, UINT64_MAX, 2, rows, &error), &error,
                     SAMP_INVALID, "lie outside");
    }
    samp_gguf_close(gguf);
    free(golden.bytes);
}

/* Writing by hand. */
static void put_u32(samp_buffer *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) samp_buffer_append(out, &(char){(char)(value >> 8 * i)}, 1);
}

static void put_u64(samp_buffer *out, uint64_t value)
{
    put_u32(out, (uint32_t)value);
    put_u32(out, (uint32_t)(value >> 32));
}

static void put_string(samp_buffer *out, const char *text)
{
    put_u64(out, strlen(text));
    samp_buffer_text(out, text);
}

static void put_start(samp_buffer *out, uint64_t n_tensors, uint64_t n_keys)
{
    samp_buffer_clear(out);
    samp_buffer_text(out, "GGUF");
    put_u32(out, 3);
    put_u64(out, n_tensors);
    put_u64(out, n_keys);
}

static void put_tensor(samp_buffer *out, const char *name, uint32_t rank, const uint64_t *shape,
                       uint32_t type, uint64_t offset)
{
    put_string(out, name);
    put_u32(out, rank);
    for (uint32_t i = 0; i < rank && i < 8; i++) put_u64(out, shape[i]);
    put_u32(out, type);
    put_u64(out, offset);
}

enum { DATA = 4096, TYPE_U32 = 4, TYPE_STRING = 8, TYPE_ARRAY = 9, F32 = 0, Q4_0 = 2, Q2_K = 10 };

/* Parses the bytes in memory and as a file, with DATA bytes behind them: both must say the same. */
static samp_status parse_both(const samp_buffer *bytes, samp_error *error)
{
    samp_gguf *gguf;
    samp_error second = {0};
    *error = (samp_error){0};
    samp_status status =
        samp_gguf_parse(&gguf, bytes->data, bytes->length, bytes->length + DATA, "a.gguf", error);
    assert_true((status == SAMP_OK) == (gguf != NULL));
    samp_gguf_close(gguf);
    FILE *file = fopen(scratch_path("a.gguf"), "wb");
    assert_non_null(file);
    static const char zeros[DATA];
    assert_true(fwrite(bytes->data, 1, bytes->length, file) == bytes->length &&
                fwrite(zeros, 1, DATA, file) == DATA);
    fclose(file);
    assert_int_equal(samp_gguf_open(&gguf, scratch_path("a.gguf"), &second), status);
    samp_gguf_close(gguf);
    return status;
}

static void expect(const samp_buffer *bytes, samp_status status, const char *says)
{
    samp_error error;
    if (status == SAMP_OK)
        assert_ok(parse_both(bytes, &error), &error);
    else
        assert_fails(parse_both(bytes, &error), &error, status, says);
}

/* 51 */
static void test_magic_and_version(void **state)
{
    static const struct {
        uint32_t version;
        const char *says;
    } cases[] = {{0, "GGUF version 0, only 2 and 3 are read"},
                 {1, "GGUF version 1, only 2 and 3 are read"},
                 {4, "GGUF version 4, only 2 and 3 are read"},
                 {0x03000000, "the file is big-endian"}};
    samp_buffer bytes = {0};
    samp_error error;
    samp_gguf *gguf;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_start(&bytes, 0, 0);
        memcpy(bytes.data + 4, &cases[i].version, 4);
        expect(&bytes, SAMP_UNSUPPORTED, cases[i].says);
    }
    put_start(&bytes, 0, 0);
    expect(&bytes, SAMP_OK, "");
    bytes.data[4] = 2;
    expect(&bytes, SAMP_OK, "");
    bytes.data[0] = 'g';
    expect(&bytes, SAMP_CORRUPT, "does not start with \"GGUF\"");
    for (size_t n = 0; n < 24; n++) { /* cut anywhere */
        put_start(&bytes, 0, 0);
        assert_fails(samp_gguf_parse(&gguf, bytes.data, n, n, "cut", &error), &error, SAMP_CORRUPT,
                     "are left");
    }
    samp_buffer_release(&bytes);
}

/* 52 */
static void test_counts(void **state)
{
    static const struct {
        uint64_t tensors, keys;
        samp_status status;
        const char *says;
    } cases[] = {
        {1ull << 63, 0, SAMP_LIMIT,
         "the number of tensors is 9223372036854775808, at most 1000000"},
        {0, 1ull << 63, SAMP_LIMIT,
         "the number of metadata keys is 9223372036854775808, at most 65536"},
        {UINT64_MAX, UINT64_MAX, SAMP_LIMIT, "the number of tensors is"},
        {1000000, 0, SAMP_CORRUPT, "0 keys and 1000000 tensors cannot lie in the"},
        {0, 65536, SAMP_CORRUPT, "65536 keys and 0 tensors cannot lie in the"},
    };
    samp_buffer bytes = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_start(&bytes, cases[i].tensors, cases[i].keys);
        expect(&bytes, cases[i].status, cases[i].says);
    }
    samp_buffer_release(&bytes);
}

/* One key, "k", of a type; what follows is put by the caller. */
static void put_key(samp_buffer *out, uint32_t type)
{
    put_start(out, 0, 1);
    put_string(out, "k");
    put_u32(out, type);
}

static void put_array(samp_buffer *out, uint32_t type, uint64_t n)
{
    put_key(out, TYPE_ARRAY);
    put_u32(out, type);
    put_u64(out, n);
}

/* 53 */
static void test_bad_values(void **state)
{
    samp_buffer bytes = {0};
    (void)state;
    put_start(&bytes, 0, 1);
    put_u64(&bytes, 1ull << 63); /* length of the key */
    samp_buffer_append(&bytes, "12345678", 8);
    expect(&bytes, SAMP_CORRUPT, "a metadata key of 9223372036854775808 bytes, but only");
    put_key(&bytes, TYPE_STRING);
    put_u64(&bytes, 1ull << 63);
    expect(&bytes, SAMP_CORRUPT, "a string of 9223372036854775808 bytes, but only");
    put_array(&bytes, TYPE_ARRAY, 1);
    expect(&bytes, SAMP_UNSUPPORTED, "key k is an array of arrays");
    put_array(&bytes, TYPE_U32, 1ull << 60);
    expect(&bytes, SAMP_CORRUPT, "key k is an array of 1152921504606846976 elements, but only");
    put_array(&bytes, TYPE_STRING, 1ull << 61); /* times 8 it would wrap */
    expect(&bytes, SAMP_CORRUPT, "key k is an array of 2305843009213693952 elements, but only");
    put_array(&bytes, 13, 1);
    expect(&bytes, SAMP_CORRUPT, "metadata type 13 is unknown, expected 0 to 12");
    put_key(&bytes, 99);
    samp_buffer_append(&bytes, "12345678", 8);
    expect(&bytes, SAMP_CORRUPT, "metadata type 99 is unknown");
    put_key(&bytes, 7);
    samp_buffer_append(&bytes, "\2", 1);
    expect(&bytes, SAMP_CORRUPT, "a truth value is 2, expected 0 or 1");
    put_start(&bytes, 0, 1);
    put_string(&bytes, "");
    put_u32(&bytes, 7);
    samp_buffer_append(&bytes, "\1", 1);
    expect(&bytes, SAMP_CORRUPT, "a metadata key is empty");
    put_start(&bytes, 0, 1);
    put_string(&bytes, "a\x1b[2J");
    put_u32(&bytes, 7);
    samp_buffer_append(&bytes, "\1", 1);
    expect(&bytes, SAMP_CORRUPT, "a metadata key is not plain text");
    put_start(&bytes, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_string(&bytes, "same");
        put_u32(&bytes, TYPE_U32);
        put_u32(&bytes, (uint32_t)i);
    }
    expect(&bytes, SAMP_CORRUPT, "metadata key same is there twice");
    samp_buffer_release(&bytes);
}

/* 54: alignment */
static void test_alignment(void **state)
{
    static const struct {
        uint32_t value;
        bool good;
    } cases[] = {{0, false},      {1, true},        {3, false},          {32, true}, {64, true},
                 {1 << 20, true}, {1 << 21, false}, {0x80000000, false}, {48, false}};
    samp_buffer bytes = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_start(&bytes, 0, 1);
        put_string(&bytes, "general.alignment");
        put_u32(&bytes, TYPE_U32);
        put_u32(&bytes, cases[i].value);
        expect(&bytes, cases[i].good ? SAMP_OK : SAMP_CORRUPT,
               "expected a 32-bit power of two up to 1048576");
    }
    put_start(&bytes, 0, 1);
    put_string(&bytes, "general.alignment");
    put_u32(&bytes, TYPE_STRING);
    put_string(&bytes, "32");
    expect(&bytes, SAMP_CORRUPT, "general.alignment is 0");
    samp_buffer_release(&bytes);
}

/* 54: tensors */
static void test_bad_tensors(void **state)
{
    static const struct {
        uint32_t rank, type;
        uint64_t shape[5], offset;
        samp_status status;
        const char *says;
    } cases[] = {
        {1, F32, {8}, 0, SAMP_OK, ""},
        {4, F32, {2, 2, 2, 2}, 32, SAMP_OK, ""},
        {1, F32, {1024}, 0, SAMP_OK, ""},
        {0, F32, {0}, 0, SAMP_CORRUPT, "tensor t has rank 0, expected 1 to 4"},
        {5, F32, {1, 1, 1, 1, 1}, 0, SAMP_CORRUPT, "tensor t has rank 5, expected 1 to 4"},
        {0xffffffff, F32, {1, 1, 1, 1, 1}, 0, SAMP_CORRUPT, "tensor t has rank 4294967295"},
        {2, F32, {4, 0}, 0, SAMP_CORRUPT, "tensor t has a dimension of 0"},
        {1, F32, {0}, 0, SAMP_CORRUPT, "tensor t has a dimension of 0"},
        {1, F32, {(1ull << 62) - 1}, 0, SAMP_CORRUPT, "lies past the end of the file"},
        {1, F32, {1ull << 62}, 0, SAMP_CORRUPT, "more than 2^63 values"},
        {1, F32, {UINT64_MAX}, 0, SAMP_CORRUPT, "more than 2^63 values"},
        {2, F32, {1ull << 32, 1ull << 32}, 0, SAMP_CORRUPT, "more than 2^63 values"},
        {3, F32, {4194305, 4194305, 211106198978564}, 0, SAMP_CORRUPT, "more than 2^63 values"},
        {1, F32, {2048}, 0, SAMP_CORRUPT, "lies past the end of the file"},
        {1, F32, {8}, 4096, SAMP_CORRUPT, "lies past the end of the file"},
        {1, F32, {8}, UINT64_MAX - 31, SAMP_CORRUPT, "lies past the end of the file"},
        {1, F32, {8}, 8, SAMP_CORRUPT, "tensor t is at offset 8, expected a multiple of 32"},
        {1, Q4_0, {40}, 0, SAMP_CORRUPT, "rows of 40 values, expected a multiple of 32 for Q4_0"},
        {1, 4, {32}, 0, SAMP_UNSUPPORTED, "tensor t has the unknown type 4"}, /* a removed type, of
                                                                                 size 0 */
        {1, 1000, {32}, 0, SAMP_UNSUPPORTED, "tensor t has the unknown type 1000"},
    };
    samp_buffer bytes = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_start(&bytes, 1, 0);
        put_tensor(&bytes, "t", cases[i].rank, cases[i].shape, cases[i].type, cases[i].offset);
        while (bytes.length % 32) samp_buffer_append(&bytes, "", 1);
        expect(&bytes, cases[i].status, cases[i].says);
    }
    samp_buffer_release(&bytes);
}

static void test_pairs_of_tensors(void **state)
{
    static const uint64_t shape[] = {16}; /* 64 bytes of F32 */
    samp_buffer bytes = {0};
    (void)state;
    put_start(&bytes, 2, 0);
    put_tensor(&bytes, "b", 1, shape, F32, 64);
    put_tensor(&bytes, "a", 1, shape, F32, 0);
    expect(&bytes, SAMP_OK, "");
    put_start(&bytes, 2, 0);
    put_tensor(&bytes, "b", 1, shape, F32, 32);
    put_tensor(&bytes, "a", 1, shape, F32, 0);
    expect(&bytes, SAMP_CORRUPT, "tensors a and b overlap");
    put_start(&bytes, 2, 0);
    put_tensor(&bytes, "a", 1, shape, F32, 0);
    put_tensor(&bytes, "a", 1, shape, F32, 64);
    expect(&bytes, SAMP_CORRUPT, "tensor a is there twice");
    put_start(&bytes, 2, 0);
    put_tensor(&bytes, "", 1, shape, F32, 0);
    put_tensor(&bytes, "ab", 1, shape, F32, 64);
    expect(&bytes, SAMP_CORRUPT, "a tensor name is empty");
    samp_buffer_release(&bytes);
}

/* A type that is known by size only: the file opens, decoding names the type. */
static void test_type_not_decoded(void **state)
{
    static const uint64_t shape[] = {256};
    samp_error error = {0};
    samp_buffer bytes = {0};
    samp_gguf *gguf;
    float row[256];
    (void)state;
    put_start(&bytes, 1, 0);
    put_tensor(&bytes, "t", 1, shape, Q2_K, 0);
    expect(&bytes, SAMP_OK, ""); /* leaves the file a.gguf */
    samp_buffer_release(&bytes);
    assert_ok(samp_gguf_open(&gguf, scratch_path("a.gguf"), &error), &error);
    const samp_gguf_tensor *tensor = samp_gguf_find(gguf, "t");
    assert_int_equal(tensor->bytes, 84);
    assert_fails(samp_gguf_rows(gguf, tensor, 0, 1, row, &error), &error, SAMP_UNSUPPORTED,
                 "tensor t is Q2_K, which is not read; expected F32");
    assert_null(samp_gguf_find(gguf, "u"));
    samp_gguf_close(gguf);
}

/* Strings longer than the reader's window and numbers across its edge. */
static void test_window(void **state)
{
    enum { N = 200000, LONG = 150000 };
    samp_error error = {0};
    samp_buffer bytes = {0};
    samp_gguf *gguf;
    const int32_t *integers;
    samp_gguf_string text;
    char *long_text = malloc(LONG);
    (void)state;
    assert_non_null(long_text);
    for (int i = 0; i < LONG; i++) long_text[i] = (char)('a' + i % 23);
    put_start(&bytes, 0, 3);
    put_string(&bytes, "odd");
    put_u32(&bytes, TYPE_STRING);
    put_string(&bytes, "xyz");
    put_string(&bytes, "numbers");
    put_u32(&bytes, TYPE_ARRAY);
    put_u32(&bytes, TYPE_U32);
    put_u64(&bytes, N);
    for (uint32_t i = 0; i < N; i++) put_u32(&bytes, i * 3);
    put_string(&bytes, "text");
    put_u32(&bytes, TYPE_STRING);
    put_u64(&bytes, LONG);
    samp_buffer_append(&bytes, long_text, LONG);
    expect(&bytes, SAMP_OK, "");
    assert_ok(samp_gguf_open(&gguf, scratch_path("a.gguf"), &error), &error);
    assert_int_equal(samp_gguf_integers(gguf, "numbers", &integers), N);
    for (int32_t i = 0; i < N; i++) assert_true(integers[i] == i * 3);
    assert_true(samp_gguf_text(gguf, "text", &text));
    assert_int_equal(text.length, LONG);
    assert_memory_equal(text.data, long_text, LONG);
    samp_gguf_close(gguf);
    samp_buffer_release(&bytes);
    free(long_text);
}

static void test_out_of_memory(void **state)
{
    samp_error error = {0};
    samp_gguf *gguf;
    samp_status status = SAMP_NOMEM;
    int n = 0;
    (void)state;
    for (; status != SAMP_OK && n < 1000; n++) {
        samp_alloc_fail_at((uint64_t)n + 1);
        status = samp_gguf_open(&gguf, SAMP_GOLDEN "/gguf/example.gguf", &error);
        samp_alloc_fail_at(0);
        if (status != SAMP_OK) assert_fails(status, &error, SAMP_NOMEM, "out of memory");
    }
    assert_ok(status, &error);
    assert_true(n > 5);
    samp_gguf_close(gguf);
}

/* The real model, when it is there: all tensors decode to finite values; the sum is the gguf
 * package's. */
static void test_real_model(void **state)
{
    const char *path = demo_model();
    samp_error error = {0};
    samp_gguf *gguf;
    const samp_gguf_string *tokens;
    (void)state;
    if (!path) skip();
    assert_ok(samp_gguf_open(&gguf, path, &error), &error);
    assert_int_equal(samp_gguf_count(gguf), 272);
    assert_int_equal(samp_gguf_strings(gguf, "tokenizer.ggml.tokens", &tokens), 49152);
    const samp_gguf_tensor *tensor = samp_gguf_find(gguf, "blk.7.ffn_down.weight");
    assert_non_null(tensor);
    assert_string_equal(tensor->type_name, "Q4_1");
    assert_true(tensor->shape[0] == 1536 && tensor->shape[1] == 576);
    float *rows = malloc(1536 * 576 * sizeof *rows);
    double sum = 0;
    assert_non_null(rows);
    assert_ok(samp_gguf_rows(gguf, tensor, 0, 576, rows, &error), &error);
    for (size_t i = 0; i < 1536 * 576; i++) sum += rows[i];
    assert_true(fabs(sum - -198.9853515625) < 1e-9);
    free(rows);
    samp_gguf_close(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata),         cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_decoding),         cmocka_unit_test(test_magic_and_version),
        cmocka_unit_test(test_counts),           cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_alignment),        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_pairs_of_tensors), cmocka_unit_test(test_type_not_decoded),
        cmocka_unit_test(test_window),           cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_real_model),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}

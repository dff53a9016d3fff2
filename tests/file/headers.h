/* safetensors headers by hand: what must be refused, with a part of the sentence that says why, and
 * what looks odd and is right. The Rust library judges the same texts
 * (test_safetensors_verdicts.c), and the program meets them as files
 * (tests/command/test_bad_inputs.c). */
#ifndef SAMP_TESTS_FILE_HEADERS_H
#define SAMP_TESTS_FILE_HEADERS_H

#include "base/error.h"

#include <stdint.h>

#define TENSOR(dtype, shape, begin, end)                                                           \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

typedef struct header_case {
    int number; /* in research/serving.md §6.4 */
    const char *text;
    uint64_t data_bytes;
    samp_status status;
    const char *says;
} header_case;

static const header_case bad_headers[] = {
    {9, "[]", 0, SAMP_CORRUPT, "starts with byte 0x5b, expected '{'"},
    {9, "\"x\"", 0, SAMP_CORRUPT, "starts with byte 0x22, expected '{'"},
    {9, "null", 0, SAMP_CORRUPT, "starts with byte 0x6e, expected '{'"},
    {10, "\xef\xbb\xbf{}", 0, SAMP_CORRUPT, "starts with byte 0xef, expected '{'"},
    {10, " {}", 0, SAMP_CORRUPT, "starts with byte 0x20, expected '{'"},
    {11, "{\"\xff\":" TENSOR("U8", "[1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "not valid UTF-8 (byte 0xff)"},
    {12, "{\"\xc0\xaf\":" TENSOR("U8", "[1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "not valid UTF-8 (byte 0xc0)"},
    {12, "{\"\\ud800\":" TENSOR("U8", "[1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "half of a surrogate pair"},
    {14, "{\"a\":" TENSOR("U8", "[1]", 0, 1) ",\"a\":" TENSOR("U8", "[1]", 1, 2) "}", 2,
     SAMP_CORRUPT, "tensor a is there twice"},
    {14, "{\"\\u0061\":" TENSOR("U8", "[1]", 0, 1) ",\"a\":" TENSOR("U8", "[1]", 1, 2) "}", 2,
     SAMP_CORRUPT, "tensor a is there twice"},
    {15, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     SAMP_CORRUPT, "tensor a has \"shape\" twice"},
    {16, "{\"__metadata__\":{\"k\":1}}", 0, SAMP_CORRUPT,
     "found '1', expected a string as a value of __metadata__"},
    {16, "{\"__metadata__\":{\"k\":{}}}", 0, SAMP_CORRUPT,
     "found '{', expected a string as a value of __metadata__"},
    {16, "{\"__metadata__\":[]}", 0, SAMP_CORRUPT, "found '[', expected an object"},
    {16, "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, SAMP_CORRUPT,
     "__metadata__ has \"k\" twice"},
    {16, "{\"__metadata__\":{},\"__metadata__\":{}}", 0, SAMP_CORRUPT,
     "\"__metadata__\" is there twice"},
    {16, "{\"__metadata__\":{\"k\":\"a\\u0000b\"}}", 0, SAMP_CORRUPT, "__metadata__ holds a NUL"},
    {17, "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, SAMP_CORRUPT,
     "tensor a has no \"dtype\""},
    {17, "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, SAMP_CORRUPT,
     "tensor a has no \"shape\""},
    {17, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, SAMP_CORRUPT,
     "tensor a has no \"data_offsets\""},
    {17, "{\"a\":[\"U8\",[1],[0,1]]}", 1, SAMP_CORRUPT, "found '[', expected an object"},
    {18, "{\"a\":" TENSOR("F7", "[1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "tensor a has the unknown dtype \"F7\""},
    {19, "{\"a\":" TENSOR("f32", "[1]", 0, 4) "}", 4, SAMP_CORRUPT,
     "tensor a has the unknown dtype \"f32\""},
    {18, "{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, SAMP_CORRUPT,
     "found '5', expected a string as dtype"},
    {20, "{\"a\":" TENSOR("U8", "[-1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "found '-', expected a dimension of shape"},
    {20, "{\"a\":" TENSOR("U8", "[2.0]", 0, 2) "}", 2, SAMP_CORRUPT,
     "plain whole number without fraction"},
    {20, "{\"a\":" TENSOR("U8", "[1e3]", 0, 1000) "}", 1000, SAMP_CORRUPT,
     "plain whole number without fraction"},
    {20, "{\"a\":" TENSOR("U8", "[\"2\"]", 0, 2) "}", 2, SAMP_CORRUPT,
     "found '\"', expected a dimension of shape"},
    {20, "{\"a\":" TENSOR("U8", "[18446744073709551616]", 0, 1) "}", 1, SAMP_CORRUPT,
     "larger than 2^64-1"},
    {21, "{\"a\":" TENSOR("F32", "[4194305,4194305,211106198978564]", 0, 16) "}", 16, SAMP_CORRUPT,
     "asks for more than 2^64 bits"},
    {22, "{\"a\":" TENSOR("U8", "[4294967296,4294967296]", 0, 0) "}", 0, SAMP_CORRUPT,
     "asks for more than 2^64 bits"},
    {22, "{\"a\":" TENSOR("F64", "[288230376151711744]", 0, 0) "}", 0, SAMP_CORRUPT,
     "asks for more than 2^64 bits"},
    {22, "{\"a\":" TENSOR("U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1, SAMP_LIMIT,
     "more than 8 dimensions"},
    {20, "{\"a\":" TENSOR("U8", "3", 0, 3) "}", 3, SAMP_CORRUPT, "found '3', expected an array"},
    {23, "{\"a\":" TENSOR("U8", "[1]", 1, 0) "}", 1, SAMP_CORRUPT,
     "ends at byte 0 of the data, before it begins (1)"},
    {24, "{\"a\":" TENSOR("U8", "[1]", -1, 0) "}", 1, SAMP_CORRUPT,
     "found '-', expected an offset in data_offsets"},
    {17, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, SAMP_CORRUPT,
     "has 1 data_offsets"},
    {17, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, SAMP_CORRUPT,
     "has 3 data_offsets"},
    {25, "{\"a\":" TENSOR("U8", "[4]", 0, 4) ",\"b\":" TENSOR("U8", "[4]", 2, 6) "}", 6,
     SAMP_CORRUPT, "tensor b begins at byte 2 of the data, expected 4: there is an overlap"},
    {25, "{\"a\":" TENSOR("U8", "[4]", 0, 4) ",\"b\":" TENSOR("U8", "[4]", 0, 4) "}", 4,
     SAMP_CORRUPT, "tensor b begins at byte 0 of the data, expected 4: there is an overlap"},
    {26, "{\"a\":" TENSOR("U8", "[4]", 0, 4) ",\"b\":" TENSOR("U8", "[4]", 6, 10) "}", 10,
     SAMP_CORRUPT, "tensor b begins at byte 6 of the data, expected 4: there is a hole"},
    {27, "{\"a\":" TENSOR("U8", "[4]", 4, 8) "}", 8, SAMP_CORRUPT,
     "tensor a begins at byte 4 of the data, expected 0"},
    {28, "{\"a\":" TENSOR("U8", "[4]", 0, 4) "}", 7, SAMP_CORRUPT,
     "3 bytes follow the last tensor's data"},
    {29, "{\"a\":" TENSOR("U8", "[4]", 0, 4) "}", 3, SAMP_CORRUPT,
     "there are only 3; the file is truncated"},
    {28, "{}", 3, SAMP_CORRUPT, "3 bytes follow the last tensor's data"},
    {29, "{\"a\":" TENSOR("F32", "[1000000]", 0, 4) "}", 4, SAMP_CORRUPT,
     "has 4 bytes of data, its shape and F32 ask for 4000000"},
    {30, "{\"a\":" TENSOR("F4", "[3]", 0, 1) "}", 1, SAMP_CORRUPT,
     "12 bits of F4, which do not end at a whole byte"},
    {32, "{\"\":" TENSOR("U8", "[1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "name is 0 bytes, expected 1 to 512"},
    {32, "{\"a\\u0000b\":" TENSOR("U8", "[1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "name \"a\" holds control byte 0x00"},
    {32, "{\"a\\nb\":" TENSOR("U8", "[1]", 0, 1) "}", 1, SAMP_CORRUPT, "holds control byte 0x0a"},
    {32, "{\"a\\u001b[2J\":" TENSOR("U8", "[1]", 0, 1) "}", 1, SAMP_CORRUPT,
     "holds control byte 0x1b"},
    {9, "{", 0, SAMP_CORRUPT, "JSON ends where ',' or '}' was expected"},
    {9, "{\"a\":" TENSOR("U8", "[1]", 0, 1) "} x", 1, SAMP_CORRUPT,
     "expected the end of the JSON text"},
};

/* What the Rust library accepts and looks odd. */
typedef struct good_header {
    const char *text;
    uint64_t data_bytes;
    size_t n; /* tensors */
} good_header;

static const good_header good_headers[] = {
    {"{}", 0, 0},
    {"{}   ", 0, 0},
    {"{\"__metadata__\":{}}", 0, 0},
    {"{\"__metadata__\":null}", 0, 0},
    {"{\"a\":" TENSOR("F32", "[]", 0, 4) "}", 4, 1},    /* rank 0 */
    {"{\"a\":" TENSOR("F32", "[2,0]", 0, 0) "}", 0, 1}, /* empty */
    {"{\"b\":" TENSOR("U8", "[4]", 2, 6) ",\"a\":" TENSOR("U8", "[2]", 0, 2) "}", 6,
     2}, /* any order */
    {"{\"a\":" TENSOR("U8", "[0]", 4, 4) ",\"b\":" TENSOR("U8", "[4]", 0, 4) "}", 4,
     2}, /* empty at the end */
    {"{\"a\":" TENSOR("U8", "[0]", 0, 0) ",\"b\":" TENSOR("U8", "[0]", 0, 0) "}", 0,
     2}, /* two empty */
    {"{\"a\":{\"extra\":[{\"x\":1e9}],\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     1}, /* unknown key */
    {"{\"a\":" TENSOR("F4", "[4]", 0, 2) "}", 2, 1},
    {"{\"a\":" TENSOR("F6_E2M3", "[4]", 0, 3) "}", 3, 1},
    {"{\"../../etc/passwd\":" TENSOR("U8", "[1]", 0, 1) "}", 1, 1}, /* 32: a name, never a path */
    {"{\"__proto__\":" TENSOR("U8", "[1]", 0, 1) "}", 1, 1},        /* 32 */
    {"{\"\xc3\xa9 \\ud83d\\ude00\":" TENSOR("U8", "[1]", 0, 1) "}", 1, 1},
};

#endif

/* safetensors files made wrong on purpose, the same ones every time: file i is made from the number
 * i alone. Half of them are put together from random tensors with one slip that keeps the JSON
 * well-formed, half are good headers with bytes changed, cut, repeated or put in. The verdicts of
 * the Rust library on them are stored (tools/compare_safetensors.py), so changing anything here
 * means asking it again. */
#ifndef SAMP_TESTS_FILE_MUTANTS_H
#define SAMP_TESTS_FILE_MUTANTS_H

#include "file/headers.h"

#include "base/buffer.h"
#include "base/prng.h"
#include "format/dtype.h"

#include <stdio.h>
#include <string.h>

enum {
    MUTANTS_BAD = sizeof bad_headers / sizeof *bad_headers,
    MUTANTS_GOOD = sizeof good_headers / sizeof *good_headers,
    MUTANTS_BY_HAND = MUTANTS_BAD + MUTANTS_GOOD,
    MUTANTS_MADE = 10000,
    MUTANTS_ALL = MUTANTS_BY_HAND + MUTANTS_MADE
};

typedef enum mutant_slip {
    SLIP_NAME_TWICE,
    SLIP_KEY_TWICE,
    SLIP_KEY_MISSING,
    SLIP_KEY_EXTRA,
    SLIP_NAME,
    SLIP_DTYPE,
    SLIP_SHAPE,
    SLIP_RANK,
    SLIP_BEGIN,
    SLIP_END,
    SLIP_NUMBER,
    SLIP_DATA,
    SLIP_METADATA,
    SLIP_ARRAY,
    SLIP_TAIL,
    SLIP_HEAD,
    SLIPS
} mutant_slip;

typedef struct mutant_tensor {
    const char *name;
    unsigned dtype, rank, shape[10];
    uint64_t begin, end;
} mutant_tensor;

#define PICK(prng, list) ((list)[samp_prng_below(prng, sizeof(list) / sizeof *(list))])

static const struct {
    const char *name;
    unsigned bits;
} mutant_dtypes[] = {
#define X(id, name, bits) {name, bits},
    SAMP_DTYPE_LIST(X)
#undef X
};
enum { MUTANT_DTYPES = sizeof mutant_dtypes / sizeof *mutant_dtypes };

static inline void mutant_length(samp_buffer *out, uint64_t n)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(n >> 8 * i);
    samp_buffer_append(out, bytes, sizeof bytes);
}

static inline void mutant_data(samp_buffer *out, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) samp_buffer_append(out, "", 1);
}

/* Tensors that lie one after the other; *data gets their bytes. */
static inline unsigned mutant_tensors(samp_prng *prng, mutant_tensor *tensors, uint64_t *data)
{
    static const char *const names[] = {"a", "b", "model.norm.weight", "\xc3\xa9", "__proto__"};
    unsigned n = (unsigned)samp_prng_below(prng, 5);
    *data = 0;
    for (unsigned i = 0; i < n; i++) {
        mutant_tensor *t = &tensors[i];
        uint64_t elements = 1;
        *t = (mutant_tensor){.name = names[i],
                             .dtype = (unsigned)samp_prng_below(prng, MUTANT_DTYPES),
                             .rank = (unsigned)samp_prng_below(prng, 4),
                             .begin = *data};
        for (unsigned d = 0; d < t->rank; d++)
            elements *= t->shape[d] = (unsigned)samp_prng_below(prng, 5);
        if (elements * mutant_dtypes[t->dtype].bits % 8) t->dtype = 0;
        *data += elements * mutant_dtypes[t->dtype].bits / 8;
        t->end = *data;
    }
    return n;
}

/* Slips that change a tensor before it is printed. */
static inline void mutant_slip_tensor(samp_prng *prng, mutant_slip slip, mutant_tensor *t,
                                      const mutant_tensor *first)
{
    static const char *const names[] = {
        "",        "a\\u0000b", "x\\n", "\\u001b[2J",  "../../etc/passwd", "\\ud83d\\ude00",
        "\\ud800", "\\u0061",   "\x7f", "__metadata__"};
    switch (slip) {
    case SLIP_NAME_TWICE: t->name = first->name; break;
    case SLIP_NAME: t->name = PICK(prng, names); break;
    case SLIP_DTYPE: t->dtype = (unsigned)samp_prng_below(prng, MUTANT_DTYPES); break;
    case SLIP_SHAPE:
        if (t->rank)
            t->shape[samp_prng_below(prng, t->rank)] += 1 + (unsigned)samp_prng_below(prng, 3);
        break;
    case SLIP_RANK: /* dimensions of 1 change no size */
        while (t->rank < 10 && samp_prng_below(prng, 8)) t->shape[t->rank++] = 1;
        break;
    case SLIP_BEGIN: t->begin += 1 + samp_prng_below(prng, 4); break;
    case SLIP_END: t->end += 1 + samp_prng_below(prng, 4); break;
    default: break;
    }
}

static inline void mutant_print_list(samp_buffer *out, const mutant_tensor *t, const char *number)
{
    samp_buffer_text(out, "[");
    for (unsigned d = 0; d < t->rank; d++)
        if (d == 0 && number)
            samp_buffer_text(out, number);
        else
            samp_buffer_printf(out, "%s%u", d ? "," : "", t->shape[d]);
    samp_buffer_text(out, "]");
}

static inline void mutant_print(samp_prng *prng, mutant_slip slip, samp_buffer *out,
                                const mutant_tensor *t)
{
    static const char *const dtypes[] = {"F7", "f32", "", "F6_E2M3 ", "I128"};
    static const char *const numbers[] = {
        "-1",        "2.0", "1e0", "-0", "01", "\"2\"", "null", "true", "18446744073709551616",
        "4294967296"};
    static const char *const extras[] = {"1",       "-1.5e3", "null", "[[{}]]",     "{\"x\":{}}",
                                         "\"\\n\"", "tru",    "01",   "\"\\ud800\""};
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    const char *dtype = slip == SLIP_DTYPE && samp_prng_below(prng, 2)
                            ? PICK(prng, dtypes)
                            : mutant_dtypes[t->dtype].name;
    const char *number = slip == SLIP_NUMBER ? PICK(prng, numbers) : NULL;
    unsigned key = (unsigned)samp_prng_below(prng, 3);
    samp_buffer_printf(out, "\"%s\":", t->name);
    if (slip == SLIP_ARRAY) {
        samp_buffer_printf(out, "[\"%s\",", dtype);
        mutant_print_list(out, t, NULL);
        samp_buffer_printf(out, ",[%llu,%llu]]", (unsigned long long)t->begin,
                           (unsigned long long)t->end);
        return;
    }
    samp_buffer_text(out, "{");
    if (slip == SLIP_KEY_EXTRA) samp_buffer_printf(out, "\"x\":%s,", PICK(prng, extras));
    if (slip == SLIP_KEY_TWICE)
        samp_buffer_printf(out, "\"%s\":%s,", keys[key], key ? "[0,0]" : "\"U8\"");
    bool omit = slip == SLIP_KEY_MISSING;
    samp_buffer_printf(out, "\"%s\":\"%s\",\"%s\":", omit && key == 0 ? "type" : "dtype", dtype,
                       omit && key == 1 ? "size" : "shape");
    mutant_print_list(out, t, number);
    samp_buffer_printf(out, ",\"%s\":[%llu,%llu]}", omit && key == 2 ? "offsets" : "data_offsets",
                       (unsigned long long)t->begin, (unsigned long long)t->end);
}

/* A header put together, and the bytes of data it asks for, but for one slip. */
static inline void mutant_compose(samp_prng *prng, samp_buffer *out)
{
    static const char *const metadata[] = {"{}",
                                           "null",
                                           "{\"k\":\"v\"}",
                                           "{\"k\":1}",
                                           "{\"k\":{}}",
                                           "[]",
                                           "{\"k\":\"1\",\"k\":\"2\"}",
                                           "{\"k\":\"\\u0000\"}",
                                           "{},\"__metadata__\":{}",
                                           "{\"\":\"\"}"};
    static const char *const tails[] = {" ", "        ", "\n", "\t\r\n ",
                                        "x", "{}",       ",",  "\\u0000"};
    static const char *const heads[] = {" ", "\n", "\xef\xbb\xbf", "[", "null "};
    mutant_tensor tensors[5];
    uint64_t data;
    unsigned n = mutant_tensors(prng, tensors, &data),
             at = n ? (unsigned)samp_prng_below(prng, n) : 0;
    mutant_slip slip = (mutant_slip)samp_prng_below(prng, SLIPS);
    if (n) mutant_slip_tensor(prng, slip, &tensors[at], &tensors[0]);
    if (slip == SLIP_DATA) data += samp_prng_below(prng, 2) ? 1 : (uint64_t) - (data > 0);
    samp_buffer text = {0};
    samp_buffer_printf(&text, "%s{", slip == SLIP_HEAD ? PICK(prng, heads) : "");
    if (slip == SLIP_METADATA)
        samp_buffer_printf(&text, "\"__metadata__\":%s%s", PICK(prng, metadata), n ? "," : "");
    unsigned rotate = (unsigned)samp_prng_below(prng, 5); /* tensors stand in any order */
    for (unsigned i = 0; i < n; i++) {
        unsigned k = (i + rotate) % n;
        if (i) samp_buffer_text(&text, ",");
        mutant_print(prng, k == at ? slip : SLIPS, &text, &tensors[k]);
    }
    samp_buffer_printf(&text, "}%s", slip == SLIP_TAIL ? PICK(prng, tails) : "");
    mutant_length(out, text.length);
    samp_buffer_append(out, text.data, text.length);
    mutant_data(out, data);
    samp_buffer_release(&text);
}

/* One change of bytes; *data follows the header. */
static inline void mutant_change(samp_prng *prng, samp_buffer *text, uint64_t *data)
{
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "\"",
                                         "\"\"",
                                         " ",
                                         "null",
                                         "true",
                                         "1",
                                         "0",
                                         "-",
                                         "1.0",
                                         "1e2",
                                         "18446744073709551615",
                                         "4294967296",
                                         "\\u0000",
                                         "\\ud800",
                                         "\xff",
                                         "\xc0\xaf",
                                         "\xc3\xa9",
                                         "\"dtype\"",
                                         "\"shape\"",
                                         "\"data_offsets\"",
                                         "\"__metadata__\"",
                                         "\"F32\"",
                                         "\"F4\"",
                                         "[0,0]",
                                         "[]",
                                         "{}",
                                         "\"x\":1,",
                                         "\"x\":[[{}]],"};
    char copy[512];
    size_t n = text->length < sizeof copy ? text->length : sizeof copy, at, cut;
    memcpy(copy, text->data, n);
    at = samp_prng_below(prng, n + 1);
    cut = samp_prng_below(prng, 6);
    if (cut > n - at) cut = n - at;
    switch (samp_prng_below(prng, 5)) {
    case 0:
        if (at < n) copy[at] ^= (char)(1 << samp_prng_below(prng, 8));
        break;
    case 1: n = (memmove(copy + at, copy + at + cut, n - at - cut), n - cut); break;
    case 2: /* a piece put in, or in place of some bytes */
    case 3: {
        samp_buffer made = {0};
        samp_buffer_append(&made, copy, at);
        if (samp_prng_below(prng, 4))
            samp_buffer_text(&made, PICK(prng, pieces));
        else
            samp_buffer_append(&made, copy, n / 2); /* or a repetition */
        size_t skip = samp_prng_below(prng, 2) ? cut : 0;
        samp_buffer_append(&made, copy + at + skip, n - at - skip);
        samp_buffer_clear(text);
        samp_buffer_append(text, made.data, made.length);
        samp_buffer_release(&made);
        return;
    }
    default: *data += samp_prng_below(prng, 2) ? 1 : (uint64_t) - (*data > 0);
    }
    samp_buffer_clear(text);
    samp_buffer_append(text, copy, n);
}

static inline void mutant_corrupt(samp_prng *prng, samp_buffer *out)
{
    static const uint64_t lengths[] = {0,         1,          2,          100000000,
                                       100000001, 1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    const good_header *good = &PICK(prng, good_headers);
    samp_buffer text = {0};
    uint64_t data = good->data_bytes;
    samp_buffer_text(&text, good->text);
    for (uint64_t n = 1 + samp_prng_below(prng, 3); n; n--) mutant_change(prng, &text, &data);
    uint64_t length = text.length;
    if (samp_prng_below(prng, 20) == 0) length = PICK(prng, lengths);
    if (samp_prng_below(prng, 20) == 0) length += samp_prng_below(prng, 3) - 1;
    mutant_length(out, length);
    samp_buffer_append(out, text.data, text.length);
    mutant_data(out, data);
    if (samp_prng_below(prng, 50) == 0 && out->length > 8) out->length = samp_prng_below(prng, 9);
    samp_buffer_release(&text);
}

/* File number i of MUTANTS_ALL into *out, which is cleared first. */
static inline void mutant_make(unsigned i, samp_buffer *out)
{
    samp_buffer_clear(out);
    if (i < MUTANTS_BY_HAND) {
        const char *text =
            i < MUTANTS_BAD ? bad_headers[i].text : good_headers[i - MUTANTS_BAD].text;
        mutant_length(out, strlen(text));
        samp_buffer_text(out, text);
        mutant_data(out, i < MUTANTS_BAD ? bad_headers[i].data_bytes
                                         : good_headers[i - MUTANTS_BAD].data_bytes);
        return;
    }
    samp_prng prng = {(uint64_t)i << 32};
    if (i % 2)
        mutant_compose(&prng, out);
    else
        mutant_corrupt(&prng, out);
}

#endif

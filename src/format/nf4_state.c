/* The quant_state text of NF4 tensors (nf4.h). */
#include "format/nf4.h"

#include "base/json.h"
#include "base/memory.h"
#include "format/nf4_block.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLOAT_TEXT = 40, /* room for the repr of a double */
    STATE_MAX = 256, /* longest text: about 180 bytes with two 20-digit sizes */
    READ_MAX = 4096  /* of a foreign file */
};

static const struct {
    samp_dtype dtype;
    const char *name;
} dtype_names[] = {{SAMP_BF16, "bfloat16"}, {SAMP_F16, "float16"}, {SAMP_F32, "float32"}};

static const char *dtype_name(samp_dtype dtype)
{
    for (size_t i = 0; i < sizeof dtype_names / sizeof *dtype_names; i++)
        if (dtype_names[i].dtype == dtype) return dtype_names[i].name;
    return "bfloat16";
}

/* A double as Python's repr prints it: the fewest digits that read back to the same number, plain
 * when 1e-4 <= |x| < 1e16, else with an exponent of at least two digits. */
static void python_float(double x, char out[FLOAT_TEXT])
{
    char digits[FLOAT_TEXT];
    int precision = 0;
    do snprintf(digits, sizeof digits, "%.*e", precision, x);
    while (strtod(digits, NULL) != x && ++precision < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (x == 0 || (exponent >= -4 && exponent < 16)) {
        int decimals = precision > exponent ? precision - exponent : 1;
        snprintf(out, FLOAT_TEXT, "%.*f", decimals, x);
    } else {
        snprintf(out, FLOAT_TEXT, "%s", digits);
    }
}

static uint64_t format_state(const samp_nf4_state *state, const char *offset, char out[STATE_MAX])
{
    int n = snprintf(out, STATE_MAX,
                     "{\"quant_type\": \"nf4\", \"blocksize\": %d, \"dtype\": \"%s\", "
                     "\"shape\": [%llu, %llu]",
                     SAMP_NF4_BLOCK, dtype_name(state->dtype), (unsigned long long)state->rows,
                     (unsigned long long)state->cols);
    if (state->nested)
        n += snprintf(out + n, (size_t)(STATE_MAX - n),
                      ", \"nested_blocksize\": %d, \"nested_dtype\": \"float32\", "
                      "\"nested_offset\": %s",
                      SAMP_NF4_NESTED_BLOCK, offset);
    return (uint64_t)(n + snprintf(out + n, (size_t)(STATE_MAX - n), "}"));
}

uint64_t samp_nf4_state_bytes(const samp_nf4_state *state)
{
    char text[STATE_MAX];
    return format_state(state, "-1.2345678901234567e-45", text); /* no float prints longer */
}

void samp_nf4_state_write(const samp_nf4_state *state, void *out)
{
    char text[STATE_MAX], offset[FLOAT_TEXT];
    python_float((double)state->offset, offset);
    uint64_t n = format_state(state, offset, text), bytes = samp_nf4_state_bytes(state);
    memset(out, ' ', bytes);
    memcpy(out, text, n);
}

float samp__nf4_state_offset(const void *text, uint64_t n)
{
    static const char key[] = "\"nested_offset\":";
    char number[FLOAT_TEXT] = "0";
    const char *at = memmem(text, n, key, sizeof key - 1);
    if (!at) return 0;
    at += sizeof key - 1;
    size_t left = (size_t)((const char *)text + n - at);
    memcpy(number, at, left < FLOAT_TEXT - 1 ? left : FLOAT_TEXT - 1);
    return (float)strtod(number, NULL);
}

/* "shape": [d0, d1, …] -> rows, cols */
static samp_status read_shape(const json_t *root, const char *name, samp_nf4_state *out,
                              samp_error *error)
{
    const json_t *shape = json_object_get(root, "shape");
    size_t rank = json_array_size(shape);
    if (rank == 0)
        return samp_fail(error, SAMP_CORRUPT, "%s: quant_state has no list \"shape\"", name);
    out->rows = out->cols = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(shape, i);
        json_int_t d = json_integer_value(item);
        uint64_t *side = i == 0 ? &out->rows : &out->cols;
        if (!json_is_integer(item) || d <= 0 || !samp_mul(*side, (uint64_t)d, side))
            return samp_fail(error, SAMP_CORRUPT,
                             "%s: quant_state's shape[%zu] is not a size a tensor can have", name,
                             i);
    }
    return SAMP_OK;
}

static samp_status read_dtype(const json_t *root, const char *name, samp_dtype *out,
                              samp_error *error)
{
    const char *text = NULL;
    SAMP_TRY(samp_json_string(root, "dtype", true, &text, name, error));
    for (size_t i = 0; i < sizeof dtype_names / sizeof *dtype_names; i++) {
        if (strcmp(dtype_names[i].name, text) != 0) continue;
        *out = dtype_names[i].dtype;
        return SAMP_OK;
    }
    return samp_fail(error, SAMP_UNSUPPORTED,
                     "%s: quant_state's dtype is %s, expected bfloat16, float16 or float32", name,
                     text);
}

static samp_status read_members(const json_t *root, const char *name, samp_nf4_state *out,
                                samp_error *error)
{
    const char *type = NULL, *nested_dtype = NULL;
    int64_t block = 0, nested_block = 0;
    double offset = 0;
    SAMP_TRY(samp_json_string(root, "quant_type", true, &type, name, error));
    SAMP_TRY(samp_json_integer(root, "blocksize", true, 1, 4096, &block, name, error));
    SAMP_TRY(read_dtype(root, name, &out->dtype, error));
    out->nested = json_object_get(root, "nested_blocksize") != NULL;
    if (out->nested) {
        SAMP_TRY(
            samp_json_integer(root, "nested_blocksize", true, 1, 4096, &nested_block, name, error));
        SAMP_TRY(samp_json_string(root, "nested_dtype", true, &nested_dtype, name, error));
        SAMP_TRY(samp_json_number(root, "nested_offset", true, &offset, name, error));
    }
    if (strcmp(type, "nf4") != 0 || block != SAMP_NF4_BLOCK ||
        (out->nested &&
         (nested_block != SAMP_NF4_NESTED_BLOCK || strcmp(nested_dtype, "float32") != 0)))
        return samp_fail(
            error, SAMP_UNSUPPORTED,
            "%s: quant_state is %s in blocks of %lld, nested %s in blocks of %lld; expected "
            "nf4 in blocks of 64, nested float32 in blocks of 256",
            name, type, (long long)block, out->nested ? nested_dtype : "none",
            (long long)nested_block);
    out->offset = (float)offset;
    if (!isfinite(out->offset))
        return samp_fail(error, SAMP_NUMERIC, "%s: quant_state's nested_offset %g is not a float",
                         name, offset);
    return read_shape(root, name, out, error);
}

samp_status samp_nf4_state_read(const void *text, uint64_t n, const char *name, samp_nf4_state *out,
                                samp_error *error)
{
    if (n > READ_MAX)
        return samp_fail(error, SAMP_LIMIT, "%s: quant_state is %llu bytes, the most is %d", name,
                         (unsigned long long)n, READ_MAX);
    memset(out, 0, sizeof *out);
    json_t *root = NULL;
    SAMP_TRY(samp_json_parse(&root, text, (size_t)n, name, error));
    samp_status status = read_members(root, name, out, error);
    json_decref(root);
    if (status == SAMP_OK && out->nested && samp__nf4_state_offset(text, n) != out->offset)
        status =
            samp_fail(error, SAMP_UNSUPPORTED,
                      "%s: quant_state's nested_offset is not written as bitsandbytes does", name);
    return status;
}
